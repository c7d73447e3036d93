//! Real identity providers and testers, as they come from their own registries: what a gateway meets outside of these
//! tests. `cargo xtask setup` installs them below the target directory, in the exact versions of the files in
//! `tests/peers`.
//!
//! Each is started in a namespace, speaks TLS with a certificate of an [`Authority`], and ends when it is dropped. A
//! [`Browser`] plays the person before them.

pub mod authority;
pub mod browser;
pub mod canaille;
pub mod collector;
pub mod form;
pub mod glewlwyd;
pub mod oidc_provider;
pub mod otlp_collector;
pub mod schemathesis;
pub mod scim_recorder;
pub mod scim_tester;
mod script;
pub mod token;
pub mod web;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

pub use authority::{Authority, Certificate};
pub use browser::{Browser, Page};
pub use canaille::Canaille;
pub use collector::{Collector, ocsf_faults};
pub use form::Form;
pub use glewlwyd::Glewlwyd;
pub use oidc_provider::OidcProvider;
pub use otlp_collector::OtlpCollector;
pub use schemathesis::{Outcome, schemathesis};
pub use scim_recorder::{Push, ScimRecorder};
pub use scim_tester::{Check, scim_tester};
pub use script::Script;

use crate::{netns::Namespace, tools};

/// What is installed, to the byte: the names of the files and what they say.
pub const LOCKS: [(&str, &str); 5] = [
    ("providers.txt", include_str!("../peers/providers.txt")),
    ("testers.txt", include_str!("../peers/testers.txt")),
    ("collectors.txt", include_str!("../peers/collectors.txt")),
    ("package.json", include_str!("../peers/package.json")),
    ("package-lock.json", include_str!("../peers/package-lock.json")),
];

/// Where the packages of the registries are: a Python environment for each list of packages, and `node_modules`.
pub fn home() -> PathBuf {
    tools::target_dir().join("tools/peers")
}

/// The environments below [`home`]: several, because the providers and the testers want different versions of the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Canaille; and Node.js, which is a Python package here, because Debian's is too old.
    Providers,
    /// scim2-tester and schemathesis; and the schema of OCSF.
    Testers,
    /// Those who receive records: OpenTelemetry's own library of its protocol.
    Collectors,
}

impl Environment {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Providers, Self::Testers, Self::Collectors];

    /// Its name, which is that of its folder and of its lock.
    pub fn name(self) -> &'static str {
        match self {
            Self::Providers => "providers",
            Self::Testers => "testers",
            Self::Collectors => "collectors",
        }
    }

    /// The path of one of its programs.
    pub fn program(self, name: &str) -> PathBuf {
        home().join(self.name()).join("bin").join(name)
    }
}

/// Whether exactly what the locks say is installed: the installation ends with a copy of them.
pub fn is_installed() -> bool {
    LOCKS.iter().all(|(name, text)| fs::read_to_string(home().join(name)).is_ok_and(|found| found == *text))
}

/// The file of one of our own scripts.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

/// A program of an environment, on a host, that trusts the authority and asks no proxy.
fn command(host: &Namespace, environment: Environment, name: &str, authority: &Authority) -> Result<Command> {
    ensure!(is_installed(), "the identity peers are not installed: run `cargo xtask setup`");
    let mut command = host.command(environment.program(name))?;
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
        command.env(name, authority.trusted());
    }
    // Nothing but lines of the scripts is wanted, and as soon as they are written.
    command.env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1").env_remove("SSL_CERT_DIR");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::LOCKS;

    #[test]
    fn every_package_has_a_hash_and_none_says_where_it_comes_from() -> anyhow::Result<()> {
        for (name, text) in LOCKS {
            let packages = text.lines().filter(|line| line.contains("==")).count();
            match name {
                "package.json" => {}
                "package-lock.json" => {
                    let lock: Value = serde_json::from_str(text)?;
                    let mut packages = lock["packages"].as_object().into_iter().flatten().skip(1).peekable();
                    assert!(packages.peek().is_some());
                    for (package, entry) in packages {
                        assert!(entry["integrity"].is_string() && entry["resolved"].is_null(), "{package}: {entry}");
                    }
                }
                _ => {
                    assert!(packages > 0 && text.matches("--hash=sha256:").count() >= packages, "{name}");
                    assert!(!text.contains("://"), "{name}");
                }
            }
        }
        Ok(())
    }
}
