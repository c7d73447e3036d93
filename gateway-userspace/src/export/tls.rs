//! Whom a receiver's certificate must come from, and what the gateway shows it.

use super::SetupError;
use super::settings::TlsSettings;
use crate::outward::{authorities, system_authorities};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

/// What a connection to the receiver needs.
///
/// # Errors
/// If a file cannot be read or used, or the system trusts nobody.
pub(super) fn client(settings: &TlsSettings) -> Result<ClientConfig, SetupError> {
    let roots = match &settings.ca {
        Some(path) => authorities(&read(path)?)
            .ok_or_else(|| SetupError::Unusable { path: path.clone(), problem: "has no certificate in PEM" })?,
        None => system_authorities().ok_or(SetupError::NoAuthorities)?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    let Some((chain_path, key_path)) = &settings.identity else { return Ok(builder.with_no_client_auth()) };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(chain_path)?).flatten().collect();
    if chain.is_empty() {
        return Err(SetupError::Unusable { path: chain_path.clone(), problem: "has no certificate in PEM" });
    }
    let key = PrivateKeyDer::from_pem_slice(&read(key_path)?)
        .map_err(|_| SetupError::Unusable { path: key_path.clone(), problem: "has no private key in PEM" })?;
    Ok(builder.with_client_auth_cert(chain, key)?)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, SetupError> {
    std::fs::read(path).map_err(|source| SetupError::Unreadable { path: path.into(), source })
}
