//! Where records are passed on to.

mod syslog;

use super::section::Section;
use super::value::Value;
use crate::export::{
    Begin, Destination, EXAMPLE_ENTERPRISE, ElasticSettings, Endpoint, ExportSettings, FLOWS, Form, HttpSettings,
    IpfixSettings, OtlpSettings, SHORTEST_MESSAGE, SplunkSettings, TlsSettings, Transport,
};
use crate::record::Kind;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::{Host, Url};

/// There are few: each reads the archive for itself.
const MOST: usize = 16;
/// Longest name.
const LONGEST: usize = 32;
/// Further headers.
const MOST_HEADERS: usize = 8;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Who receives records.
#[derive(Clone, Copy)]
enum To {
    Http,
    Splunk,
    Elastic,
    Syslog,
    Lines,
    Otlp,
    Ipfix,
}

const KINDS: [(&str, To); 7] = [
    ("http", To::Http),
    ("splunk", To::Splunk),
    ("elastic", To::Elastic),
    ("syslog", To::Syslog),
    ("lines", To::Lines),
    ("otlp", To::Otlp),
    ("ipfix", To::Ipfix),
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
    let types: Vec<_> = types.iter().flatten().filter_map(|value| Some((record_type(value)?, value))).collect();
    let begins = [("now", Begin::Now), ("oldest", Begin::Oldest)];
    let begin = section.value("begin").and_then(|value| value.choice(&begins)).unwrap_or_default();
    let batch = section.value("batch").and_then(|value| value.integer(1..=10_000));
    // Every key of a destination is read before anything is given up.
    let Some(to) = to else {
        section.overlook_the_rest();
        return None;
    };
    let destination = match to {
        To::Http => http(section, folder).map(Destination::Http),
        To::Splunk => splunk(section, folder).map(Destination::Splunk),
        To::Elastic => elastic(section, folder).map(Destination::Elastic),
        To::Syslog => syslog::messages(section, folder).map(Destination::Syslog),
        To::Lines => syslog::lines(section, folder).map(Destination::Lines),
        To::Otlp => otlp(section, folder).map(Destination::Otlp),
        To::Ipfix => ipfix(section).map(Destination::Ipfix),
    };
    let types = match to {
        To::Ipfix => flows(&types),
        _ => types.iter().map(|(kind, _)| *kind).collect(),
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

fn otlp(section: &mut Section<'_, '_>, folder: &Path) -> Option<OtlpSettings> {
    let url = section.required("url", "url = \"https://collector.example.org:4318\"").and_then(|value| url(&value));
    let token = section.value("token_file").and_then(|value| value.path(folder));
    let headers = headers(section.section("header_files"), folder);
    let metrics = section.value("metrics").and_then(|value| value.duration(SECOND..=HOUR));
    let tls = tls(section, folder);
    Some(OtlpSettings { url: url?, token, headers, metrics, tls })
}

/// Names of headers, and the files with their values.
fn headers(section: Section<'_, '_>, folder: &Path) -> Vec<(HeaderName, PathBuf)> {
    let mut found = Vec::new();
    for (name, value) in section.into_entries() {
        let header = HeaderName::from_bytes(name.as_bytes());
        let header = header.ok().filter(|header| *header != AUTHORIZATION && *header != CONTENT_TYPE);
        if header.is_none() {
            let fix = "name one like `x-api-key`; what `Authorization` needs is `token_file`";
            value.refuse(format!("`{}` is not a header that may be set", name.escape_debug()), fix);
        }
        if found.len() == MOST_HEADERS {
            value.refuse(format!("there are more than {MOST_HEADERS} headers"), "remove some of them");
        }
        found.extend(header.zip(value.path(folder)));
    }
    found
}

fn ipfix(section: &mut Section<'_, '_>) -> Option<IpfixSettings> {
    let address = section.required("address", "address = \"flows.example.org:4739\"");
    let endpoint = address.and_then(|value| endpoint(&value, None));
    let transports = [("udp", Transport::Udp), ("tcp", Transport::Tcp)];
    let transport = section.value("transport").and_then(|value| value.choice(&transports)).unwrap_or_default();
    let mut number = |key, bounds| section.value(key).and_then(|value| value.integer(bounds));
    let domain = number("domain", 0..=u32::MAX.into()).and_then(|number| u32::try_from(number).ok()).unwrap_or(1);
    let enterprise = number("enterprise", 1..=u32::MAX.into()).and_then(|number| u32::try_from(number).ok());
    let message =
        number("message_bytes", SHORTEST_MESSAGE as u64..=65_535).and_then(|number| usize::try_from(number).ok());
    let templates = section.value("templates").and_then(|value| value.duration(SECOND..=HOUR));
    Some(IpfixSettings {
        endpoint: endpoint?,
        transport,
        domain,
        enterprise: enterprise.unwrap_or(EXAMPLE_ENTERPRISE),
        message: message.unwrap_or(1_400),
        templates: templates.unwrap_or(Duration::from_secs(60)),
    })
}

/// Of the types of records those that are flows: without a choice, each flow once.
fn flows(types: &[(&'static str, &Value<'_, '_>)]) -> Vec<&'static str> {
    if types.is_empty() {
        return vec![Kind::FlowEnd.label(), Kind::Denied.label()];
    }
    for (kind, value) in types {
        if !FLOWS.iter().any(|flow| flow.label() == *kind) {
            value.refuse(
                format!("`{kind}` is not a flow, and IPFIX has nothing else"),
                "write some of `flow_end`, `flow_update` and `denied`; another export may have the rest",
            );
        }
    }
    types.iter().map(|(kind, _)| *kind).collect()
}

/// A name or an address, and a port if there is no usual one.
fn endpoint(value: &Value<'_, '_>, usual: Option<u16>) -> Option<Endpoint> {
    let text = value.text("collector.example.org:5044")?;
    let endpoint = Endpoint::parse(text, usual);
    if endpoint.is_none() {
        value.refuse(
            format!("`{}` is not a host with a port", text.escape_debug()),
            "write a name or an address and a port, like `collector.example.org:5044` or `[2001:db8::1]:5044`",
        );
    }
    endpoint
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
        // It is not repeated: there may be a password in it.
        value.refuse(
            "is not an https address without a name, a password and a fragment",
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

#[cfg(test)]
mod collectors;
