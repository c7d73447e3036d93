//! A collector of OpenTelemetry's protocol that decodes with the protocol's own library, and writes what it got to a file.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Environment, Script, is_installed, script};
use crate::netns::Namespace;

/// The collector at work. Dropping ends it.
#[derive(Debug)]
pub struct OtlpCollector {
    script: Script,
}

impl OtlpCollector {
    /// Starts it on a host with a configuration of the real collector, and waits until it serves.
    pub fn start(host: &Namespace, config: &str, folder: &Path) -> Result<Self> {
        ensure!(is_installed(), "the peers are not installed: run `cargo xtask setup`");
        let file = folder.join("otelcol.yaml");
        fs::write(&file, config).with_context(|| file.display().to_string())?;
        let mut python = host.command(Environment::Collectors.program("python"))?;
        python.env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        python.arg(script("otlp_collector.py")).arg(&file);
        Ok(Self { script: Script::start("the collector", python, &folder.join("otelcol.log"))? })
    }

    /// How the next requests to a path are answered: each of these has a `status` and perhaps `headers`, or a number of
    /// `rejected` records. None of them is kept.
    pub fn fails(&self, path: &str, answers: &Value) -> Result<()> {
        self.script.ask(&json!({ "command": "fail", "path": path, "answers": answers })).map(drop)
    }

    /// What it has complained about so far.
    pub fn log(&self) -> String {
        self.script.log()
    }
}
