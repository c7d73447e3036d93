//! scim2-tester, which judges a SCIM server by the RFCs.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Authority, Environment, command, script};
use crate::netns::{Namespace, checked};

/// What one check has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The verdict.
    pub verdict: Verdict,
    /// The name of the check.
    pub title: String,
    /// The type of resource that it looked at, or nothing.
    pub resource: String,
    /// Why.
    pub reason: String,
    /// What it saw, cut short.
    pub data: String,
}

/// The verdicts of scim2-tester, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Not run.
    Skipped,
    /// As a MUST says.
    Success,
    /// As a SHOULD says.
    Compliant,
    /// As a MAY says.
    Acceptable,
    /// Not as a SHOULD says.
    Deviation,
    /// Not as a MUST says.
    Error,
    /// A risk to security.
    Critical,
}

impl Check {
    /// Whether an RFC forbids what was seen.
    pub fn is_violation(&self) -> bool {
        self.verdict >= Verdict::Error
    }
}

/// Runs all checks from a host against the server with this base address, which has to be one on which everything may
/// be created and deleted.
pub fn scim_tester(host: &Namespace, base: &str, token: &str, authority: &Authority) -> Result<Vec<Check>> {
    let mut python = command(host, Environment::Testers, "python", authority)?;
    python.arg(script("scim_checks.py")).arg(base).env("TOKEN", token);
    let output = checked(&mut python)?;
    let checks = output.lines().map(check).collect::<Result<Vec<_>>>()?;
    ensure!(!checks.is_empty(), "scim2-tester has checked nothing");
    Ok(checks)
}

fn check(line: &str) -> Result<Check> {
    let value: Value = serde_json::from_str(line).with_context(|| format!("not JSON: `{line}`"))?;
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let verdict = match value["status"].as_str().unwrap_or_default() {
        "SKIPPED" => Verdict::Skipped,
        "SUCCESS" => Verdict::Success,
        "COMPLIANT" => Verdict::Compliant,
        "ACCEPTABLE" => Verdict::Acceptable,
        "DEVIATION" => Verdict::Deviation,
        "ERROR" => Verdict::Error,
        "CRITICAL" => Verdict::Critical,
        other => anyhow::bail!("scim2-tester says `{other}`, which is no verdict"),
    };
    Ok(Check { verdict, title: text("title"), resource: text("resource"), reason: text("reason"), data: text("data") })
}
