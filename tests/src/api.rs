//! The HTTP interface of the daemon, asked by curl from one of the hosts, because this library speaks no TLS.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::netns::Namespace;

/// A caller: from a host, to a listener, with or without a token.
#[derive(Clone, Debug)]
pub struct Api {
    host: Namespace,
    base: String,
    authority: PathBuf,
    headers: Vec<String>,
    certificate: Option<(PathBuf, PathBuf)>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// The body.
    pub text: String,
}

impl Api {
    /// A caller without a token, who trusts the certificates in `authority`.
    pub fn new(host: &Namespace, base: &str, authority: &Path) -> Self {
        Self {
            host: host.clone(),
            base: base.to_owned(),
            authority: authority.to_owned(),
            headers: Vec::new(),
            certificate: None,
        }
    }

    /// The same with this secret instead of any other.
    pub fn bearer(&self, secret: &str) -> Self {
        let mut api = self.anonymous();
        api.headers.push(format!("Authorization: Bearer {secret}"));
        api
    }

    /// The same with a client certificate and its key, in these files.
    pub fn certificate(&self, certificate: &Path, key: &Path) -> Self {
        Self { certificate: Some((certificate.to_owned(), key.to_owned())), ..self.clone() }
    }

    /// The same without a secret or any other header.
    pub fn anonymous(&self) -> Self {
        Self { headers: Vec::new(), ..self.clone() }
    }

    /// The same with one more header.
    pub fn header(&self, header: &str) -> Self {
        let mut api = self.clone();
        api.headers.push(header.to_owned());
        api
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.send("GET", path, None)
    }

    /// `POST` without a body.
    pub fn post(&self, path: &str) -> Result<Answer> {
        self.send("POST", path, None)
    }

    /// `POST` of a JSON document.
    pub fn post_json(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send("POST", path, Some(("application/json", &body.to_string())))
    }

    /// `PUT` of a JSON document.
    pub fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send("PUT", path, Some(("application/json", &body.to_string())))
    }

    /// `DELETE`.
    pub fn delete(&self, path: &str) -> Result<Answer> {
        self.send("DELETE", path, None)
    }

    /// Any request; the body with its media type.
    pub fn send(&self, method: &str, path: &str, body: Option<(&str, &str)>) -> Result<Answer> {
        let mut curl = self.host.command("curl")?;
        curl.args(["--silent", "--show-error", "--include", "--http1.1", "--max-time", "10", "--noproxy", "*"]);
        curl.arg("--cacert").arg(&self.authority).args(["--request", method]);
        if let Some((certificate, key)) = &self.certificate {
            curl.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        for header in &self.headers {
            curl.args(["--header", header]);
        }
        if let Some((media_type, _)) = body {
            curl.args(["--data-binary", "@-", "--header", &format!("Content-Type: {media_type}")]);
        }
        curl.arg(format!("{}{path}", self.base));
        let mut curl = curl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // Dropped at the end of the statement: that is the end of the body.
        curl.stdin.take().context("curl has no input")?.write_all(body.map_or("", |(_, text)| text).as_bytes())?;
        let output = curl.wait_with_output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{method} {}{path}: {}", self.base, complaint.trim());
        Answer::parse(&String::from_utf8_lossy(&output.stdout))
    }
}

impl Answer {
    fn parse(text: &str) -> Result<Self> {
        let (head, body) = text.split_once("\r\n\r\n").context("an answer without a head")?;
        let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("no status in `{head}`"))?;
        Ok(Self { status, head: head.to_owned(), text: body.to_owned() })
    }

    /// The body, as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.text).with_context(|| format!("{}: not JSON: {}", self.status, self.text))
    }

    /// The body of an answer that has to have succeeded; null if it has none.
    pub fn ok(&self) -> Result<Value> {
        match self.status {
            204 => Ok(Value::Null),
            200..=299 => self.json(),
            status => bail!("status {status}: {}", self.text),
        }
    }

    /// The problem document of an answer that has to have this status.
    pub fn problem(&self, status: u16) -> Result<Value> {
        ensure!(self.status == status, "status {} instead of {status}: {}", self.status, self.text);
        let problem = self.json()?;
        ensure!(self.header("content-type") == Some("application/problem+json"), "not a problem: {}", self.head);
        ensure!(problem["status"] == status && problem["title"].is_string(), "not a whole problem: {problem}");
        Ok(problem)
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(':'));
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}
