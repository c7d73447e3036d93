//! Whom a provider's certificate must come from: the system's authorities, or those of a file.

use super::SettingsError;
use crate::outward::{authorities, system_authorities, trusting};
use rustls::ClientConfig;
use std::path::Path;

/// What a connection to a provider needs: whom its certificate may come from.
///
/// # Errors
/// If the file cannot be read, or has none; or if the system has none.
pub fn config(ca: Option<&Path>) -> Result<ClientConfig, SettingsError> {
    let roots = match ca {
        Some(path) => {
            let unreadable = |source| SettingsError::CaUnreadable { path: path.into(), source };
            let pem = std::fs::read(path).map_err(unreadable)?;
            authorities(&pem).ok_or_else(|| SettingsError::CaEmpty(path.into()))?
        }
        None => system_authorities().ok_or(SettingsError::NoAuthorities)?,
    };
    Ok(trusting(roots)?)
}
