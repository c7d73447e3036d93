//! A person's browser on one of the hosts: it keeps cookies, follows redirects one by one, and fills in forms. curl does
//! the talking, because this library speaks no TLS.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{Authority, Form, web};
use crate::netns::{Namespace, checked};

/// More redirects than any login needs.
const MAX_REDIRECTS: usize = 20;
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A browser with a jar of cookies. Clones share the jar.
#[derive(Clone, Debug)]
pub struct Browser {
    host: Namespace,
    authority: Authority,
    jar: PathBuf,
}

/// An answer, as the person would see it.
#[derive(Clone, Debug)]
pub struct Page {
    /// The address that was asked.
    pub url: String,
    /// The HTTP status.
    pub status: u16,
    /// The headers, as they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// Where a redirect leads, absolute; nobody has been there yet.
    pub location: Option<String>,
}

impl Browser {
    /// A browser on a host, without cookies, that trusts the authority.
    pub fn new(host: &Namespace, authority: &Authority) -> Self {
        let jar = authority.file(&format!("cookies-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        Self { host: host.clone(), authority: authority.clone(), jar }
    }

    /// The same browser, with the same cookies, on another host.
    #[must_use]
    pub fn on(&self, host: &Namespace) -> Self {
        Self { host: host.clone(), ..self.clone() }
    }

    /// One request, whatever it answers.
    pub fn get(&self, url: &str) -> Result<Page> {
        self.send("GET", url, &[], &[])
    }

    /// One request with these fields of a form.
    pub fn post(&self, url: &str, fields: &[(&str, &str)]) -> Result<Page> {
        self.send("POST", url, &[], fields)
    }

    /// One request with these headers and the fields of a form.
    pub fn send(&self, method: &str, url: &str, headers: &[&str], fields: &[(&str, &str)]) -> Result<Page> {
        let data: Vec<String> = fields.iter().map(|(name, value)| format!("{}={value}", web::encode(name))).collect();
        let data = data.iter().flat_map(|field| ["--data-urlencode", field]);
        self.curl(method, url, headers, &data.collect::<Vec<_>>())
    }

    /// One request with a JSON document.
    pub fn send_json(&self, method: &str, url: &str, headers: &[&str], body: &Value) -> Result<Page> {
        let mut headers = headers.to_vec();
        headers.push("Content-Type: application/json");
        self.curl(method, url, &headers, &["--data-raw", &body.to_string()])
    }

    /// Sends a form of a page, as it is filled in, and does not follow.
    pub fn submit(&self, page: &Page, form: &Form) -> Result<Page> {
        let url = web::join(&page.url, &form.action);
        let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let referrer = [format!("Referer: {}", page.url), format!("Origin: {}", web::origin(&page.url))];
        match form.method.as_str() {
            "post" => self.send("POST", &url, &referrer.each_ref().map(String::as_str), &fields),
            _ => self.get(&web::with_query(&url, &fields)),
        }
    }

    /// Presses a button of a page that sends nothing with it, and does not follow.
    pub fn post_from(&self, page: &Page, action: &str) -> Result<Page> {
        let form = Form { action: action.to_owned(), method: "post".to_owned(), ..Form::default() };
        self.submit(page, &form)
    }

    /// Asks, and follows redirects until a page comes or one leads to an address that begins with `until`, which is
    /// not asked. All answers in order, at least one.
    pub fn visit(&self, url: &str, until: &str) -> Result<Vec<Page>> {
        let first = self.get(url)?;
        self.follow(first, until)
    }

    /// Follows the redirects of an answer in the same way; the answer is the first of them.
    pub fn follow(&self, first: Page, until: &str) -> Result<Vec<Page>> {
        let mut pages = vec![first];
        while let Some(location) = pages.last().and_then(|page| page.location.clone()) {
            if !until.is_empty() && location.starts_with(until) {
                break;
            }
            ensure!(pages.len() <= MAX_REDIRECTS, "more than {MAX_REDIRECTS} redirects, the last to `{location}`");
            pages.push(self.get(&location)?);
        }
        Ok(pages)
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let jar = std::fs::read_to_string(&self.jar).ok()?;
        // The format of Netscape's: name and value come last.
        let mut cookies = jar.lines().filter_map(|line| line.rsplit_once('\t'));
        cookies.find(|(rest, _)| rest.rsplit('\t').next() == Some(name)).map(|(_, value)| value.to_owned())
    }

    /// Forgets all cookies.
    pub fn forget(&self) {
        // There may be none.
        let _ = std::fs::remove_file(&self.jar);
    }

    fn curl(&self, method: &str, url: &str, headers: &[&str], more: &[&str]) -> Result<Page> {
        let mut curl = self.host.command("curl")?;
        curl.args(["--silent", "--show-error", "--include", "--http1.1", "--max-time", "20", "--noproxy", "*"]);
        curl.arg("--cacert").arg(self.authority.trusted()).arg("--cookie").arg(&self.jar).arg("--cookie-jar");
        curl.arg(&self.jar).args(["--request", method, "--header", "Expect:"]);
        curl.args(headers.iter().flat_map(|header| ["--header", header])).args(more);
        curl.args(["--write-out", "\n%{redirect_url}", "--url", url]);
        let output = checked(&mut curl).with_context(|| format!("{method} {url}"))?;
        Page::parse(url, &output)
    }
}

impl Page {
    fn parse(url: &str, output: &str) -> Result<Self> {
        let (answer, location) = output.rsplit_once('\n').context("curl says nothing")?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
        let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
        let headers = head.lines().filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        Ok(Self {
            url: url.to_owned(),
            status: status.with_context(|| format!("no status in `{head}`"))?,
            headers: headers.collect(),
            body: body.to_owned(),
            location: Some(location.to_owned()).filter(|location| !location.is_empty()),
        })
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The form that has a field or a button of this name.
    pub fn form(&self, field: &str) -> Result<Form> {
        Form::with(&self.body, field).with_context(|| format!("{} {}", self.status, self.url))
    }

    /// The body, as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body)
            .with_context(|| format!("{} {}: not JSON: {}", self.status, self.url, self.body))
    }

    /// The body of an answer that has to have succeeded, as JSON.
    pub fn ok(&self) -> Result<Value> {
        match self.status {
            200..=299 => self.json(),
            status => bail!("{}: status {status}: {}", self.url, self.body),
        }
    }

    /// A parameter of the address that a redirect leads to.
    pub fn parameter(&self, name: &str) -> Result<String> {
        let location = self.location.as_deref();
        let location =
            location.with_context(|| format!("{} leads nowhere: {} {}", self.url, self.status, self.body))?;
        web::query_value(location, name).with_context(|| format!("no `{name}` in `{location}`"))
    }
}
