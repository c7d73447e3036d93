//! The command line, run on a host of the world.

use std::{collections::BTreeMap, io::Write as _, path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result, bail};

use crate::netns::Namespace;

/// The command line, in a given namespace with a given environment.
#[derive(Clone, Debug)]
pub struct Cli {
    binary: PathBuf,
    host: Namespace,
    env: BTreeMap<String, String>,
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Cli {
    /// Runs `binary` on `host`.
    pub fn new(binary: impl Into<PathBuf>, host: &Namespace) -> Self {
        Self { binary: binary.into(), host: host.clone(), env: BTreeMap::new() }
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Runs a command without input.
    pub fn run(&self, args: &[&str]) -> Result<Ran> {
        self.run_with(args, "")
    }

    /// Runs a command that reads `input`.
    pub fn run_with(&self, args: &[&str], input: &str) -> Result<Ran> {
        let mut command = self.host.command(&self.binary)?;
        command.args(args).envs(&self.env).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.binary.display()))?;
        // A command that reads nothing may have ended before it could be written to.
        let _ = child.stdin.take().context("a command without input")?.write_all(input.as_bytes());
        let output = child.wait_with_output()?;
        Ok(Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a command that has to succeed, and parses the JSON that it prints.
    pub fn json(&self, args: &[&str]) -> Result<serde_json::Value> {
        let ran = self.run(args)?;
        if ran.code != 0 {
            bail!("portcullis {} exited with {}: {}{}", args.join(" "), ran.code, ran.stderr, ran.stdout);
        }
        ran.json()
    }
}

impl Ran {
    /// What it printed, as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {}", self.stdout))
    }
}
