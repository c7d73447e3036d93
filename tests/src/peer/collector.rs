//! Receivers of records by HTTPS, which take their interfaces at their word, and the published schema of OCSF.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Authority, Environment, Script, command, script};
use crate::netns::Namespace;

/// What it is let in by.
const TOKEN: &str = "b2a7c0de-0000-4000-8000-000000000001";

/// The receivers at work. Dropping ends them.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    token: PathBuf,
    script: Script,
}

impl Collector {
    /// Starts them at an address of a host and waits until they serve.
    pub fn start(host: &Namespace, address: SocketAddr, authority: &Authority) -> Result<Self> {
        let made = authority.certify("collector", &[address.ip()])?;
        let mut python = command(host, Environment::Testers, "python", authority)?;
        python.arg(script("collector.py")).args([address.ip().to_string(), address.port().to_string()]);
        python.arg(made.key).arg(made.certificate).arg(TOKEN);
        let token = authority.file("collector.token");
        std::fs::write(&token, TOKEN)?;
        let script = Script::start("the collector", python, &authority.file("collector.log"))?;
        Ok(Self { address, token, script })
    }

    /// Where they are.
    pub fn base(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The file with what lets a gateway in.
    pub fn token(&self) -> &PathBuf {
        &self.token
    }

    /// Everything that was taken so far, by the path that it came to.
    pub fn taken(&self) -> Result<BTreeMap<String, Vec<Value>>> {
        let answer = self.script.ask(&json!({ "command": "taken" }))?;
        serde_json::from_value(answer["taken"].clone()).context("the collector's answer")
    }

    /// Takes nothing of so many requests from now on.
    pub fn fail(&self, requests: usize) -> Result<()> {
        self.script.ask(&json!({ "command": "break", "failures": requests })).map(drop)
    }
}

/// What is wrong with each event, by the published schema of OCSF.
pub fn ocsf_faults(host: &Namespace, authority: &Authority, events: &[Value]) -> Result<Vec<Vec<String>>> {
    let mut python = command(host, Environment::Testers, "python", authority)?;
    python.arg(script("ocsf_checks.py"));
    let script = Script::start("the schema of OCSF", python, &authority.file("ocsf.log"))?;
    let answer = script.ask(&json!({ "command": "check", "events": events }))?;
    serde_json::from_value(answer["faults"].clone()).context("the schema's answer")
}
