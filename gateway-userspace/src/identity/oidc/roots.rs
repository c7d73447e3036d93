//! Whom a provider's certificate must come from: the system's authorities, or those of a file.
//!
//! The system's store, not a list that is compiled in: what its administrator adds or distrusts counts here too,
//! without a new gateway.

use super::SettingsError;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

pub(super) fn config(ca: Option<&Path>) -> Result<ClientConfig, SettingsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let roots = match ca {
        Some(path) => file(path)?,
        None => system()?,
    };
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn file(path: &Path) -> Result<RootCertStore, SettingsError> {
    let unreadable = |source| SettingsError::CaUnreadable { path: path.into(), source };
    let text = std::fs::read(path).map_err(unreadable)?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).flatten());
    if added == 0 { Err(SettingsError::CaEmpty(path.into())) } else { Ok(roots) }
}

fn system() -> Result<RootCertStore, SettingsError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 { Err(SettingsError::NoAuthorities) } else { Ok(roots) }
}
