//! What proves who asks: an API token from a file or the environment, or the secret of the own session, which is kept
//! in a file that only its owner can read and is sent only to the gateway that gave it.

use super::CliError;
use crate::wire::Secret;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use url::Url;

/// The API token, if one is configured. A file comes before the environment.
pub(super) fn api_token(file: Option<&Path>, variable: Option<String>) -> Result<Option<SecretString>, CliError> {
    let text = match (file, variable) {
        (Some(path), _) => read_token(path)?,
        (None, Some(text)) => text,
        (None, None) => return Ok(None),
    };
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CliError::NotAToken);
    }
    Ok(Some(SecretString::from(token)))
}

fn read_token(path: &Path) -> Result<String, CliError> {
    let unreadable = |source| CliError::Setting { option: "`--token-file`", path: path.into(), source };
    let about = fs::metadata(path).map_err(unreadable)?;
    if about.is_file() && about.permissions().mode() & 0o007 != 0 {
        return Err(CliError::ExposedToken(path.into()));
    }
    fs::read_to_string(path).map_err(unreadable)
}

/// Where the own session is kept between commands.
pub(super) struct SessionFile(PathBuf);

#[derive(Serialize, Deserialize)]
struct Kept {
    url: String,
    secret: Secret,
}

impl SessionFile {
    /// In `$XDG_RUNTIME_DIR`, which ends with the login on this machine; else among the state in the home directory.
    pub(super) fn usual() -> Result<Self, CliError> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = absolute("XDG_RUNTIME_DIR")
            .or_else(|| absolute("XDG_STATE_HOME"))
            .or_else(|| Some(absolute("HOME")?.join(".local/state")))
            .ok_or(CliError::NoPlace)?;
        Ok(Self(folder.join("portcullis/session")))
    }

    /// The secret of the session at this gateway, if there is one.
    pub(super) fn secret(&self, url: &Url) -> Result<Option<SecretString>, CliError> {
        let text = match fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let kept: Kept = serde_json::from_slice(&text).map_err(|error| self.failed(error.into()))?;
        Ok(Some(kept.secret.0).filter(|_| kept.url == url.as_str()))
    }

    /// Keeps the secret of the session at this gateway. A file that others could have prepared is replaced, not opened.
    pub(super) fn keep(&self, url: &Url, secret: &Secret) -> Result<(), CliError> {
        let kept = Kept { url: url.to_string(), secret: secret.clone() };
        let write = || {
            let folder = self.0.parent().unwrap_or(Path::new("/"));
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let new = self.0.with_extension(format!("new-{}", std::process::id()));
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec(&kept)?)?;
            fs::rename(&new, &self.0)
        };
        write().map_err(|error| self.failed(error))
    }

    /// Forgets the session.
    pub(super) fn forget(&self) -> Result<(), CliError> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    fn failed(&self, source: io::Error) -> CliError {
        CliError::SessionFile { path: self.0.clone(), source }
    }
}

/// The header that presents a secret. Marked as sensitive, so that nothing prints it.
pub(super) fn bearer(secret: &SecretString) -> Result<reqwest::header::HeaderValue, CliError> {
    let value = format!("Bearer {}", secret.expose_secret());
    let mut value = reqwest::header::HeaderValue::try_from(value).map_err(|_| CliError::NotAToken)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_session_is_kept_for_its_owner_and_told_to_its_gateway_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = SessionFile(folder.path().join("portcullis/session"));
        let (ours, other) = (url("https://192.0.2.1"), url("https://192.0.2.2"));
        assert!(file.secret(&ours).unwrap().is_none());
        for secret in ["first", "second"] {
            file.keep(&ours, &Secret(secret.into())).unwrap();
        }
        assert_eq!(file.secret(&ours).unwrap().unwrap().expose_secret(), "second");
        assert!(file.secret(&other).unwrap().is_none());
        assert_eq!(fs::metadata(&file.0).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(file.0.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        file.forget().unwrap();
        file.forget().unwrap();
        assert!(file.secret(&ours).unwrap().is_none());
    }

    #[test]
    fn a_token_file_comes_before_the_environment_and_must_not_be_open_to_everybody() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "pct_file\n").unwrap();
        let token = |file: Option<&Path>, variable: Option<&str>| {
            api_token(file, variable.map(str::to_owned))
                .map(|token| token.map(|token| token.expose_secret().to_owned()))
        };
        assert_eq!(token(Some(file.path()), Some("pct_env")).unwrap().as_deref(), Some("pct_file"));
        assert_eq!(token(None, Some("pct_env")).unwrap().as_deref(), Some("pct_env"));
        assert_eq!(token(None, None).unwrap(), None);
        assert!(matches!(token(None, Some("two words")), Err(CliError::NotAToken)));
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(token(Some(file.path()), None), Err(CliError::ExposedToken(_))));
        assert!(matches!(token(Some(Path::new("/nonexistent")), None), Err(CliError::Setting { .. })));
    }

    #[test]
    fn a_bearer_is_not_printed() {
        let bearer = bearer(&"canary".into()).unwrap();
        assert!(!format!("{bearer:?}").contains("canary"));
    }
}
