//! Where records are passed on to.

mod syslog;

use super::section::Section;
use super::value::Value;
use crate::export::{
    Begin, Destination, ElasticSettings, ExportSettings, Form, HttpSettings, SplunkSettings, TlsSettings,
};
use crate::record::Kind;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use url::{Host, Url};

/// There are few: each reads the archive for itself.
const MOST: usize = 16;
/// Longest name.
const LONGEST: usize = 32;

/// Who receives records.
#[derive(Clone, Copy)]
enum To {
    Http,
    Splunk,
    Elastic,
    Syslog,
    Lines,
}

const KINDS: [(&str, To); 5] = [
    ("http", To::Http),
    ("splunk", To::Splunk),
    ("elastic", To::Elastic),
    ("syslog", To::Syslog),
    ("lines", To::Lines),
];

pub(super) fn exports(root: &mut Section<'_, '_>, folder: &Path, has_archive: bool) -> Vec<ExportSettings> {
    let (mut names, mut found) = (BTreeSet::new(), Vec::new());
    for (index, section) in root.sections("export").iter_mut().enumerate() {
        if index == MOST {
            section.refuse("name", format!("there are more than {MOST} exports"), "remove some of them");
        }
        if index == 0 && !has_archive {
            let fix =
                "remove `archive = false` below `[records]`: the archive is where records wait for their receivers";
            section.refuse("to", "needs the archive of records", fix);
        }
        let Some(export) = export(section, folder) else { continue };
        if !names.insert(export.name.clone()) {
            section.refuse("name", format!("`{}` is another export's", export.name), "choose another name");
        }
        found.push(export);
    }
    found
}

fn export(section: &mut Section<'_, '_>, folder: &Path) -> Option<ExportSettings> {
    let name = section.required("name", "name = \"siem\"").and_then(|value| export_name(&value));
    let to = section.required("to", "to = \"splunk\"").and_then(|value| value.choice(&KINDS));
    let types = section.value("types").map(|value| value.list("write a list of types of records, like `[\"denied\"]`"));
    let types = types.iter().flatten().filter_map(record_type).collect();
    let begins = [("now", Begin::Now), ("oldest", Begin::Oldest)];
    let begin = section.value("begin").and_then(|value| value.choice(&begins)).unwrap_or_default();
    let batch = section.value("batch").and_then(|value| value.integer(1..=10_000));
    // Every key of a destination is read before anything is given up.
    let destination = match to? {
        To::Http => http(section, folder).map(Destination::Http),
        To::Splunk => splunk(section, folder).map(Destination::Splunk),
        To::Elastic => elastic(section, folder).map(Destination::Elastic),
        To::Syslog => syslog::messages(section, folder).map(Destination::Syslog),
        To::Lines => syslog::lines(section, folder).map(Destination::Lines),
    };
    let batch = batch.and_then(|batch| usize::try_from(batch).ok()).unwrap_or(1_000);
    Some(ExportSettings { name: name?, destination: destination?, types, begin, batch })
}

/// It stands in metrics and in the name of a file.
fn export_name(value: &Value<'_, '_>) -> Option<String> {
    let text = value.text("siem")?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if text.is_empty() || text.len() > LONGEST || !text.bytes().all(is_plain) {
        let problem = format!("`{}` is not a name", text.escape_debug());
        value.refuse(problem, format!("write 1 to {LONGEST} of a-z, 0-9, `-` and `_`"));
        return None;
    }
    Some(text.to_owned())
}

fn record_type(value: &Value<'_, '_>) -> Option<&'static str> {
    value.choice(&Kind::ALL.map(|kind| (kind.label(), kind.label())))
}

fn http(section: &mut Section<'_, '_>, folder: &Path) -> Option<HttpSettings> {
    let url = section.required("url", "url = \"https://collector.example.org/records\"").and_then(|value| url(&value));
    let form = form(section).unwrap_or(Form::Json);
    let token = section.value("token_file").and_then(|value| value.path(folder));
    let tls = tls(section, folder);
    Some(HttpSettings { url: url?, form, token, tls })
}

fn splunk(section: &mut Section<'_, '_>, folder: &Path) -> Option<SplunkSettings> {
    let example = "url = \"https://splunk.example.org:8088/services/collector/event\"";
    let url = section.required("url", example).and_then(|value| url(&value));
    let index = section.value("index").and_then(|value| value.label()).map(str::to_owned);
    let token = section.required("token_file", "token_file = \"secrets/splunk\"");
    let token = token.and_then(|value| value.path(folder));
    let tls = tls(section, folder);
    Some(SplunkSettings { url: url?, index, token: token?, tls })
}

fn elastic(section: &mut Section<'_, '_>, folder: &Path) -> Option<ElasticSettings> {
    let url = section.required("url", "url = \"https://elastic.example.org:9200\"").and_then(|value| url(&value));
    let index = section.value("index").and_then(|value| value.label()).unwrap_or("portcullis").to_owned();
    let token = section.value("token_file").and_then(|value| value.path(folder));
    let tls = tls(section, folder);
    Some(ElasticSettings { url: url?, index, token, tls })
}

fn form(section: &mut Section<'_, '_>) -> Option<Form> {
    let forms = [("json", Form::Json), ("cef", Form::Cef), ("ocsf", Form::Ocsf)];
    section.value("form").and_then(|value| value.choice(&forms))
}

fn tls(section: &mut Section<'_, '_>, folder: &Path) -> TlsSettings {
    let ca = section.value("ca").and_then(|value| value.path(folder));
    let certificate = section.value("certificate").and_then(|value| value.path(folder));
    let key = section.value("key").and_then(|value| value.path(folder));
    if certificate.is_some() != key.is_some() {
        let missing = if key.is_none() { "key" } else { "certificate" };
        section.refuse(missing, "is missing", "name both, `certificate` and `key`, or neither");
    }
    TlsSettings { ca, identity: certificate.zip(key) }
}

/// By HTTPS, but for programs on this machine.
fn url(value: &Value<'_, '_>) -> Option<Url> {
    let text = value.text("https://collector.example.org")?;
    let is_good = |url: &Url| {
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_here(url));
        is_safe && url.has_host() && url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
    };
    let good = Url::parse(text).ok().filter(is_good);
    if good.is_none() {
        value.refuse(
            format!("`{text}` is not an https address"),
            "write one like `https://collector.example.org/path`, or an http one of this machine, like `http://127.0.0.1:4318`",
        );
    }
    good
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
