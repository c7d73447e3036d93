//! Whom to trust: authorities, or exactly one certificate. There is no way to trust everybody.

use super::CliError;
use crate::outward::{authorities, system_authorities};
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A pin alone decides if there is one; else the authorities of `ca`; else those of the system.
/// `own` is the client's certificate with its key.
pub(super) fn config(
    ca: Option<&Path>,
    pin: Option<&str>,
    own: Option<&(PathBuf, PathBuf)>,
) -> Result<ClientConfig, CliError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    if let Some(pin) = pin {
        let pin = parse_pin(pin).ok_or_else(|| CliError::Pin(pin.to_owned()))?;
        let verifier = Arc::new(Pinned { pin, provider });
        return shows(builder.dangerous().with_custom_certificate_verifier(verifier), own);
    }
    let roots = match ca {
        Some(path) => authorities(&read("`--ca`", path)?).ok_or_else(|| CliError::NoCertificate(path.into()))?,
        None => system_authorities().ok_or(CliError::NoAuthorities)?,
    };
    shows(builder.with_root_certificates(roots), own)
}

/// With the certificate that the client shows, if it has one.
fn shows(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    own: Option<&(PathBuf, PathBuf)>,
) -> Result<ClientConfig, CliError> {
    let Some((certificate, key)) = own else { return Ok(builder.with_no_client_auth()) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read("`--certificate`", certificate)?).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| CliError::NoCertificate(certificate.clone()))?;
    let secret = PrivateKeyDer::from_pem_slice(&read("`--key`", key)?).map_err(|_| CliError::NoKey(key.clone()))?;
    Ok(builder.with_client_auth_cert(chain, secret)?)
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|source| CliError::Setting { option, path: path.into(), source })
}

/// 64 hexadecimal digits, with colons or without.
fn parse_pin(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let mut pin = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in pin.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(pin)
}

fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate.as_ref()).into()
}

/// Accepts one certificate, whatever its names and dates. The handshake still proves that the peer has its key.
#[derive(Debug)]
struct Pinned {
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = fingerprint(certificate);
        if found == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        let found: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
        Err(Error::General(format!("its certificate has the fingerprint `{found}`, which is not the one of `--pin`")))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_64_digits_with_colons_or_without() {
        let digits = "00ff".repeat(16);
        let colons: Vec<String> =
            digits.to_uppercase().as_bytes().chunks(2).map(|p| String::from_utf8(p.into()).unwrap()).collect();
        assert_eq!(parse_pin(&digits), parse_pin(&colons.join(":")));
        assert_eq!(parse_pin(&digits).unwrap()[1], 0xff);
        for wrong in ["", "00ff", &digits.replace("ff", "+f"), &digits.replace("ff", "gg"), &format!("{digits}00")] {
            assert!(matches!(config(None, Some(wrong), None), Err(CliError::Pin(_))), "{wrong}");
        }
    }

    #[test]
    fn only_the_pinned_certificate_is_accepted() {
        let certificate = CertificateDer::from(vec![1, 2, 3]);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verify = |pin| {
            let pinned = Pinned { pin, provider: Arc::clone(&provider) };
            let name = ServerName::try_from("gateway.example").unwrap();
            pinned.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now())
        };
        assert!(verify(fingerprint(&certificate)).is_ok());
        assert!(verify([0; 32]).unwrap_err().to_string().contains("is not the one of `--pin`"));
    }

    #[test]
    fn a_file_without_certificate_is_bad_configuration() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = config(Some(file.path()), None, None).unwrap_err();
        assert!(matches!(error, CliError::NoCertificate(_)) && error.exit_code() == 78);
        let error = config(Some(Path::new("/nonexistent/ca.pem")), None, None).unwrap_err();
        assert_eq!(error.exit_code(), 78);
    }
}
