//! What the gateway proves itself with to a transmitter: a bearer token from a file, read for each request so that it
//! can be replaced at any time.

use super::http::{self, Failure};
use reqwest::RequestBuilder;
use secrecy::SecretString;
use std::path::{Path, PathBuf};
use tokio::io::AsyncReadExt as _;

/// A file that is longer has no secret in it.
const LARGEST: u64 = 16 * 1024;

/// The bearer token in a file.
#[derive(Debug, Clone)]
pub struct Credential(pub PathBuf);

impl Credential {
    /// Adds it to a request.
    pub(super) async fn present(&self, request: RequestBuilder) -> Result<RequestBuilder, Failure> {
        http::bearer(request, &secret(&self.0).await?)
    }
}

/// The first and only line of a file.
async fn secret(path: &Path) -> Result<SecretString, Failure> {
    let wrong = |problem: String| Failure::Credential(format!("`{}`: {problem}", path.display()));
    let file = tokio::fs::File::open(path).await.map_err(|error| wrong(error.to_string()))?;
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text).await.map_err(|error| wrong(error.to_string()))?;
    let secret = text.trim();
    if secret.is_empty() { Err(wrong("the file is empty".into())) } else { Ok(SecretString::from(secret.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[tokio::test]
    async fn a_secret_is_the_line_of_its_file_and_never_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "s3cr3t-canary\n").unwrap();
        let read = secret(&path).await.unwrap();
        assert_eq!(read.expose_secret(), "s3cr3t-canary");
        assert!(!format!("{read:?}{:?}", Credential(path)).contains("canary"));
    }

    #[tokio::test]
    async fn a_file_that_is_missing_or_empty_says_which_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let missing = secret(&path).await.unwrap_err();
        assert!(missing.to_string().contains("token`:"), "{missing}");
        std::fs::write(&path, " \n").unwrap();
        let empty = secret(&path).await.unwrap_err();
        assert!(empty.to_string().ends_with("the file is empty"), "{empty}");
    }
}
