//! Whom a provider's certificate must come from: the system's authorities, or those of a file.

use super::SettingsError;
use crate::outward::{authorities, system_authorities};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use std::path::Path;
use std::sync::Arc;

/// What a connection to a provider needs: whom its certificate may come from.
///
/// # Errors
/// If the file cannot be read, or has none; or if the system has none.
pub fn config(ca: Option<&Path>) -> Result<ClientConfig, SettingsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let roots = match ca {
        Some(path) => {
            let unreadable = |source| SettingsError::CaUnreadable { path: path.into(), source };
            let pem = std::fs::read(path).map_err(unreadable)?;
            authorities(&pem).ok_or_else(|| SettingsError::CaEmpty(path.into()))?
        }
        None => system_authorities().ok_or(SettingsError::NoAuthorities)?,
    };
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
