//! schemathesis, which reads an OpenAPI document and asks everything that it allows and forbids.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Authority, Environment, command};
use crate::netns::Namespace;

/// How a run has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether no check has failed.
    pub passed: bool,
    /// What it has written, for people.
    pub report: String,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checks, such as `not_a_server_error`; `all` is all of them.
    pub checks: Vec<String>,
    /// The checks among them that are left out.
    pub excluded: Vec<String>,
    /// Cases for each operation.
    pub examples: u32,
    /// Where the random cases begin: the same seed, the same cases.
    pub seed: u64,
    /// Headers of every request, such as `Authorization: Bearer …`.
    pub headers: Vec<String>,
    /// Further arguments, such as `--exclude-path`.
    pub arguments: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        let (checks, excluded) = (vec!["all".to_owned()], Vec::new());
        Self { checks, excluded, examples: 20, seed: 1, headers: Vec::new(), arguments: Vec::new() }
    }
}

/// Runs it from a host; `document` is the address of the OpenAPI document, or its file with `--url` among the arguments.
pub fn schemathesis(host: &Namespace, document: &str, authority: &Authority, options: &Options) -> Result<Outcome> {
    let mut run = command(host, Environment::Testers, "schemathesis", authority)?;
    run.args(["run", document, "--no-color", "--continue-on-failure", "--generation-database", "none"]);
    run.arg("--tls-verify").arg(authority.trusted()).args(["--checks", &options.checks.join(",")]);
    if !options.excluded.is_empty() {
        run.args(["--exclude-checks", &options.excluded.join(",")]);
    }
    run.args(["--max-examples", &options.examples.to_string(), "--seed", &options.seed.to_string()]);
    run.args(options.headers.iter().flat_map(|header| ["--header", header])).args(&options.arguments);
    // It looks for its configuration, and leaves its caches, where it runs.
    run.current_dir(authority.path());
    outcome(&mut run)
}

/// 0: nothing failed. 1: something did. Anything else: it could not run.
fn outcome(run: &mut Command) -> Result<Outcome> {
    let output = run.output().context("cannot start schemathesis")?;
    let report = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(code @ (0 | 1)) => Ok(Outcome { passed: code == 0, report }),
        _ => anyhow::bail!("schemathesis did not run ({}): {}", output.status, report.trim()),
    }
}
