//! The certificate authority of the peers, made by openssl because this library speaks no TLS, and the folder in which
//! they keep their files.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context as _, Result};

use crate::{netns::checked, scratch::Scratch, tools};

/// A certificate authority for one test. Clones are the same; its files go with the last one.
#[derive(Clone, Debug)]
pub struct Authority(Arc<Scratch>);

/// A private key, and the certificate for it.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The file of the private key (PEM).
    pub key: PathBuf,
    /// The file of the certificate (PEM).
    pub certificate: PathBuf,
}

impl Authority {
    /// Makes one.
    pub fn new() -> Result<Self> {
        let authority = Self(Arc::new(Scratch::new()?));
        let mut request = request(&authority.file("ca.key"), &authority.root(), "/CN=Authority of the tests")?;
        extend(&mut request, &["basicConstraints=critical,CA:true", "keyUsage=critical,keyCertSign"]);
        checked(&mut request)?;
        fs::copy(authority.root(), authority.trusted())?;
        Ok(authority)
    }

    /// The file of its own certificate (PEM): what a gateway is to trust.
    pub fn root(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// The file of all certificates that browsers, testers and peers trust: its own, and those that were added.
    pub fn trusted(&self) -> PathBuf {
        self.file("trusted.pem")
    }

    /// Lets browsers, testers and the peers that are started from now on trust another certificate (PEM): that of the
    /// gateway, which makes its own.
    pub fn trust(&self, certificate: &Path) -> Result<()> {
        let more = fs::read(certificate).with_context(|| certificate.display().to_string())?;
        Ok(OpenOptions::new().append(true).open(self.trusted())?.write_all(&more)?)
    }

    /// The folder of the files.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A certificate for a server at these addresses; `name` also names its files.
    pub fn certify(&self, name: &str, addresses: &[IpAddr]) -> Result<Certificate> {
        let made =
            Certificate { key: self.file(&format!("{name}.key")), certificate: self.file(&format!("{name}.pem")) };
        let names = addresses.iter().map(|address| format!(",IP:{address}"));
        let names = format!("subjectAltName=DNS:{name}{}", names.collect::<String>());
        let mut request = request(&made.key, &made.certificate, &format!("/CN={name}"))?;
        request.arg("-CA").arg(self.root()).arg("-CAkey").arg(self.file("ca.key"));
        extend(&mut request, &["basicConstraints=critical,CA:false", "extendedKeyUsage=serverAuth", &names]);
        checked(&mut request)?;
        Ok(made)
    }
}

fn request(key: &Path, certificate: &Path, subject: &str) -> Result<Command> {
    let mut openssl = tools::command("openssl")?;
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"]);
    // The system's own file would add to what is asked for.
    openssl.args(["-config", "/dev/null", "-subj", subject]).arg("-keyout").arg(key).arg("-out").arg(certificate);
    Ok(openssl)
}

fn extend(request: &mut Command, extensions: &[&str]) {
    for extension in extensions {
        request.args(["-addext", extension]);
    }
}
