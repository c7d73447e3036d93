//! A SCIM server that takes down what it is asked: what a provider pushes, before a gateway is there to take it.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Authority, Environment, Script, command, script};
use crate::netns::Namespace;

/// The recorder at work. Dropping ends it.
#[derive(Debug)]
pub struct ScimRecorder {
    base: String,
    script: Script,
}

/// A request that came.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// The HTTP method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The header of that name, or nothing.
    pub authorization: String,
    /// The body, or null.
    pub body: Value,
}

impl ScimRecorder {
    /// Starts it at an address of a host and waits until it serves.
    pub fn start(host: &Namespace, address: SocketAddr, authority: &Authority) -> Result<Self> {
        let name = format!("scim-recorder-{}", address.port());
        let made = authority.certify(&name, &[address.ip()])?;
        let mut python = command(host, Environment::Testers, "python", authority)?;
        python.arg(script("scim_recorder.py")).args([address.ip().to_string(), address.port().to_string()]);
        python.arg(made.key).arg(made.certificate);
        let script = Script::start("the SCIM recorder", python, &authority.file(&format!("{name}.log")))?;
        Ok(Self { base: format!("https://{address}"), script })
    }

    /// The base of its resources.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// What has come since the last look, in order.
    pub fn pushes(&self) -> Result<Vec<Push>> {
        let answer = self.script.ask(&json!({ "command": "pushes" }))?;
        let pushes = answer["pushes"].as_array().context("no pushes")?;
        Ok(pushes.iter().map(Push::new).collect())
    }
}

impl Push {
    fn new(push: &Value) -> Self {
        let text = |name: &str| push[name].as_str().unwrap_or_default().to_owned();
        Self {
            method: text("method"),
            path: text("path"),
            authorization: text("authorization"),
            body: push["body"].clone(),
        }
    }
}
