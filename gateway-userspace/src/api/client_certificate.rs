//! Client certificates: which authorities sign them, and what names they carry. A handshake without one is as good as one
//! with one; one with a certificate that is not good fails.
//!
//! Signature, dates, revocation and purpose are for rustls to check. What it leaves open is closed here: the certificate
//! itself has to say that it is for clients, and one that has expired since the handshake is worth nothing.

use super::certificate::{CertificateError, read_all};
use crate::identity::CertificateName;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::path::PathBuf;
use std::sync::Arc;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// Names that one certificate may have.
const MOST_NAMES: usize = 64;

/// Who signs the certificates of clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientAuthority {
    /// Their certificates, in PEM.
    pub certificates: PathBuf,
    /// Lists of those that they have revoked, in PEM. If there are any, each client certificate has to be covered by one.
    pub revoked: Option<PathBuf>,
}

impl ClientAuthority {
    /// What checks certificates in handshakes.
    ///
    /// # Errors
    /// If a file cannot be read, or holds something else.
    pub fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
        let wanted = "certificate of an authority";
        let mut roots = RootCertStore::empty();
        for certificate in read_all::<CertificateDer<'_>>(&self.certificates, wanted)? {
            let not_one = |_| CertificateError::NotPem { path: self.certificates.clone(), wanted };
            roots.add(certificate).map_err(not_one)?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated();
        if let Some(path) = &self.revoked {
            builder = builder
                .with_crls(read_all::<CertificateRevocationListDer<'_>>(path, "certificate revocation list")?)
                .only_check_end_entity_revocation()
                .enforce_revocation_expiration();
        }
        builder.build().map_err(CertificateError::ClientAuthority)
    }
}

/// A certificate that was good in its handshake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientCertificate {
    /// Its names.
    pub names: Vec<CertificateName>,
    /// The last second of its time.
    expires_at: OffsetDateTime,
}

/// Why a certificate that an authority has signed proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientCertificateProblem {
    /// It could not be taken apart.
    #[error("it cannot be read")]
    Unreadable,
    /// It does not say that it is for clients.
    #[error("its extended key usage does not say `clientAuth`")]
    Purpose,
    /// It was good in the handshake, and no longer is.
    #[error("it has expired")]
    Expired,
}

impl ClientCertificateProblem {
    /// The word in records.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "certificate_unreadable",
            Self::Purpose => "certificate_purpose",
            Self::Expired => "certificate_expired",
        }
    }
}

/// What a connection's handshake has brought; an extension of its requests.
#[derive(Clone, Debug, Default)]
pub struct Presented(Option<Result<Arc<ClientCertificate>, ClientCertificateProblem>>);

impl Presented {
    /// What the certificate of a handshake says, if there was one.
    #[must_use]
    pub fn of(certificate: Option<&[u8]>) -> Self {
        Self(certificate.map(|certificate| ClientCertificate::read(certificate).map(Arc::new)))
    }

    /// The certificate, if there is one.
    ///
    /// # Errors
    /// If it proves nothing, or nothing now.
    pub fn certificate(&self, now: OffsetDateTime) -> Result<Option<&ClientCertificate>, ClientCertificateProblem> {
        match &self.0 {
            None => Ok(None),
            Some(Err(problem)) => Err(*problem),
            Some(Ok(certificate)) if now > certificate.expires_at => Err(ClientCertificateProblem::Expired),
            Some(Ok(certificate)) => Ok(Some(certificate)),
        }
    }
}

impl ClientCertificate {
    /// Takes a certificate apart.
    ///
    /// # Errors
    /// If that cannot be done, or it is not for clients.
    pub fn read(der: &[u8]) -> Result<Self, ClientCertificateProblem> {
        let unreadable = |_| ClientCertificateProblem::Unreadable;
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| ClientCertificateProblem::Unreadable)?;
        let usage = certificate.extended_key_usage().map_err(unreadable)?;
        if !usage.is_some_and(|usage| usage.value.client_auth) {
            return Err(ClientCertificateProblem::Purpose);
        }
        let mut names = Vec::new();
        if let Some(alternative) = certificate.subject_alternative_name().map_err(unreadable)? {
            names.extend(alternative.value.general_names.iter().filter_map(|name| match name {
                GeneralName::URI(uri) => CertificateName::uri(uri),
                GeneralName::DNSName(name) => CertificateName::dns(name),
                _ => None,
            }));
        }
        let mut common = certificate.subject().iter_common_name();
        if let (Some(name), None) = (common.next(), common.next()) {
            names.extend(name.as_str().ok().and_then(CertificateName::common_name));
        }
        if names.len() > MOST_NAMES {
            return Err(ClientCertificateProblem::Unreadable);
        }
        let expires_at = certificate.validity().not_after.to_datetime();
        Ok(Self { names, expires_at })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
        KeyUsagePurpose, SanType,
    };
    use std::fs;

    /// An authority's certificate and key.
    pub fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    /// For a client with these names.
    pub fn client(uri: &str, dns: &str, common: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.subject_alt_names =
            vec![SanType::URI(uri.try_into().unwrap()), SanType::DnsName(dns.try_into().unwrap())];
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params
    }

    fn signed(params: &CertificateParams) -> Vec<u8> {
        params.signed_by(&KeyPair::generate().unwrap(), &authority()).unwrap().der().to_vec()
    }

    #[test]
    fn every_name_of_a_certificate_is_read_with_its_kind() {
        let found =
            ClientCertificate::read(&signed(&client("spiffe://example.org/ci", "CI.example.org", "ci"))).unwrap();
        let names: Vec<String> = found.names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["uri:spiffe://example.org/ci", "dns:ci.example.org", "cn:ci"]);
    }

    #[test]
    fn a_certificate_that_does_not_say_it_is_for_clients_proves_nothing() {
        for usages in [vec![], vec![ExtendedKeyUsagePurpose::ServerAuth], vec![ExtendedKeyUsagePurpose::Any]] {
            let mut params = client("spiffe://example.org/ci", "ci", "ci");
            params.extended_key_usages = usages.clone();
            assert_eq!(ClientCertificate::read(&signed(&params)), Err(ClientCertificateProblem::Purpose), "{usages:?}");
        }
        assert_eq!(ClientCertificate::read(b"\x30\x03abc"), Err(ClientCertificateProblem::Unreadable));
    }

    #[test]
    fn two_common_names_are_none() {
        let mut params = client("spiffe://example.org/ci", "ci", "ci");
        params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 3]), "root");
        let found = ClientCertificate::read(&signed(&params)).unwrap();
        assert_eq!(found.names.len(), 2, "{found:?}");
    }

    #[test]
    fn a_certificate_that_expires_during_its_connection_is_worth_nothing_from_then_on() {
        let mut params = client("spiffe://example.org/ci", "ci", "ci");
        params.not_after = OffsetDateTime::from_unix_timestamp(2_000_000_000).unwrap();
        let presented = Presented::of(Some(&signed(&params)));
        assert!(presented.certificate(params.not_after).unwrap().is_some());
        let late = presented.certificate(params.not_after + time::Duration::SECOND);
        assert_eq!(late, Err(ClientCertificateProblem::Expired));
        assert_eq!(Presented::of(None).certificate(params.not_after), Ok(None));
    }

    #[test]
    fn a_file_without_an_authority_or_a_list_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (certificates, lists) = (folder.path().join("ca.pem"), folder.path().join("crl.pem"));
        let of = |revoked: Option<&PathBuf>| ClientAuthority {
            certificates: certificates.clone(),
            revoked: revoked.cloned(),
        };
        assert!(of(None).verifier().unwrap_err().to_string().contains("ca.pem"));
        fs::write(&certificates, "nothing").unwrap();
        assert!(of(None).verifier().unwrap_err().to_string().contains("holds no certificate of an authority"));
        fs::write(&certificates, authority().as_ref().pem()).unwrap();
        of(None).verifier().unwrap();
        fs::write(&lists, "nothing").unwrap();
        assert!(of(Some(&lists)).verifier().unwrap_err().to_string().contains("holds no certificate revocation list"));
    }
}
