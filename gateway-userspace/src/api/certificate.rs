//! The gateway's certificate: given, or made at the first start.

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// The longest that browsers accept.
const DAYS: i64 = 825;

/// There was no gateway before. A clock that says otherwise has not been set yet, and a certificate of its time would be
/// worth nothing as soon as it is.
const FIRST: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

/// A certificate with its key.
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file could not be read or written.
    #[error("`{path}`: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("`{path}` holds no {wanted} in PEM form")]
    NotPem {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// What a file holds in PEM form is no certificate inside.
    #[error("the certificate, or one of its chain, is no X.509 certificate")]
    NotX509,
    /// Others can read the key.
    #[error("key file `{0}` can be read by everybody; run `chmod o-rwx` on it")]
    Exposed(PathBuf),
    /// A certificate could not be made.
    #[error("no certificate could be made for {names}: {source}")]
    Make {
        /// For whom.
        names: String,
        /// Why.
        source: rcgen::Error,
    },
    /// The authorities of clients, or their lists of revoked certificates, cannot be used.
    #[error("the authorities of client certificates cannot be used: {0}")]
    ClientAuthority(VerifierBuilderError),
    /// Certificate and key do not go together, or TLS does not know them.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Certificate {
    /// Reads a certificate chain and its key.
    ///
    /// # Errors
    /// If a file cannot be read, or holds something else, or if the key is open to everybody.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let chain = read_all(chain, "certificate")?;
        let text = read_file(key)?;
        if fs::metadata(key).is_ok_and(|data| data.permissions().mode() & 0o007 != 0) {
            return Err(CertificateError::Exposed(key.to_owned()));
        }
        let not_pem = |_| CertificateError::NotPem { path: key.to_owned(), wanted: "private key" };
        Ok(Self { chain, key: PrivateKeyDer::from_pem_slice(&text).map_err(not_pem)? })
    }

    /// Reads the certificate, or makes one that signs itself if there is neither certificate nor key. Logs its
    /// fingerprint then: whoever connects first can compare.
    ///
    /// # Errors
    /// If it can be neither read nor made.
    pub fn load_or_make(chain: &Path, key: &Path, names: &[String]) -> Result<Self, CertificateError> {
        if chain.exists() || key.exists() {
            return Self::load(chain, key);
        }
        let (certificate, secret) = make(names, OffsetDateTime::now_utc().max(FIRST))?;
        // The key first: a certificate without its key would be taken for a given one.
        write(key, &secret, 0o600)?;
        write(chain, &certificate, 0o644)?;
        let made = Self::load(chain, key)?;
        tracing::info!(path = %chain.display(), fingerprint = made.fingerprint(), "made a certificate that signs itself");
        Ok(made)
    }

    /// The SHA-256 of the certificate, as browsers show it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.chain.first().map_or(&[][..], AsRef::as_ref));
        digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    /// Until when it is valid: the certificate itself, or one that stands between it and its authority, if that ends before.
    ///
    /// # Errors
    /// If it is no X.509 certificate.
    pub fn expires(&self) -> Result<OffsetDateTime, CertificateError> {
        let end = |der: &CertificateDer<'_>| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            Some(certificate.validity().not_after.to_datetime())
        };
        let ends: Option<Vec<OffsetDateTime>> = self.chain.iter().map(end).collect();
        ends.and_then(|ends| ends.into_iter().min()).ok_or(CertificateError::NotX509)
    }

    /// How TLS is to be spoken: 1.3 and 1.2, HTTP/2 and HTTP/1.1; and which certificates clients may have, if any.
    ///
    /// # Errors
    /// If the key does not belong to the certificate.
    pub fn into_config(
        self,
        clients: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Result<Arc<ServerConfig>, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_details(provider, Arc::new(WallClock));
        let builder = builder.with_protocol_versions(&[&TLS13, &TLS12])?;
        let takes_certificates = clients.is_some();
        let clients = clients.unwrap_or_else(WebPkiClientVerifier::no_client_auth);
        let mut config = builder.with_client_cert_verifier(clients).with_single_cert(self.chain, self.key)?;
        if takes_certificates {
            // Whoever resumes a session is not asked for a certificate again, even if it was revoked meanwhile.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|source| CertificateError::File { path: path.to_owned(), source })
}

/// All of a kind that a file holds, and at least one.
pub(super) fn read_all<T: PemObject>(path: &Path, wanted: &'static str) -> Result<Vec<T>, CertificateError> {
    let found: Result<Vec<T>, _> = T::pem_slice_iter(&read_file(path)?).collect();
    let not_pem = || CertificateError::NotPem { path: path.to_owned(), wanted };
    found.ok().filter(|found| !found.is_empty()).ok_or_else(not_pem)
}

/// The wall clock for TLS, which knows no time before 1970: rustls' own panics then, in each handshake.
#[derive(Debug)]
struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Some(UnixTime::since_unix_epoch(since.unwrap_or_default()))
    }
}

/// ECDSA on P-256: known to every client.
fn make(names: &[String], now: OffsetDateTime) -> Result<(String, String), CertificateError> {
    let failed = |source| CertificateError::Make { names: names.join(", "), source };
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
    params.not_before = now - Duration::HOUR;
    params.not_after = now + Duration::days(DAYS);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, names.first().map_or("portcullis", String::as_str));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertificateError> {
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| CertificateError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_read_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let names = ["gateway.example".to_owned(), "192.0.2.1".to_owned()];
        let made = Certificate::load_or_make(&chain, &key, &names).unwrap();
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let read = Certificate::load_or_make(&chain, &key, &[]).unwrap();
        assert_eq!(made.fingerprint(), read.fingerprint());
        assert_eq!(made.fingerprint().len(), 32 * 3 - 1);
        let left = read.expires().unwrap() - OffsetDateTime::now_utc().max(FIRST);
        assert!((Duration::days(DAYS - 1)..=Duration::days(DAYS)).contains(&left), "{left}");
        read.into_config(None).unwrap();
    }

    #[test]
    fn an_exposed_key_and_a_file_without_certificate_are_refused_with_their_path() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        Certificate::load_or_make(&chain, &key, &["g".to_owned()]).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Certificate::load(&chain, &key).unwrap_err(), CertificateError::Exposed(_)));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&chain, "nothing").unwrap();
        let error = Certificate::load(&chain, &key).unwrap_err().to_string();
        assert!(error.contains("cert.pem") && error.contains("holds no certificate"), "{error}");
    }

    #[test]
    fn a_chain_is_valid_for_as_long_as_all_of_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let early = datetime!(2027-01-01 00:00 UTC);
        let (own, secret) = make(&["g".to_owned()], early + Duration::days(9)).unwrap();
        let (between, _) = make(&["authority".to_owned()], early).unwrap();
        write(&chain, &format!("{own}{between}"), 0o644).unwrap();
        write(&key, &secret, 0o600).unwrap();
        assert_eq!(Certificate::load(&chain, &key).unwrap().expires().unwrap(), early + Duration::days(DAYS));
    }

    #[test]
    fn a_key_of_another_certificate_is_unusable() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        for number in ["1", "2"] {
            let (chain, key) = (file(&format!("c{number}")), file(&format!("k{number}")));
            Certificate::load_or_make(&chain, &key, &["g".to_owned()]).unwrap();
        }
        let mixed = Certificate::load(&file("c1"), &file("k2")).unwrap();
        assert!(matches!(mixed.into_config(None).unwrap_err(), CertificateError::Unusable(_)));
    }
}
