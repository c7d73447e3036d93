//! The row of what a session has of its provider's.

use super::words;
use crate::identity::ProviderSession;
use crate::policy::ProviderName;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// Its tokens stand in the state file as they are: they are to be shown to the provider again. The file is for root only.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct ProviderSessionShape {
    provider: String,
    subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
}

impl From<&ProviderSession> for ProviderSessionShape {
    fn from(session: &ProviderSession) -> Self {
        let ProviderSession { provider, subject, sid, refresh_token, id_token } = session;
        let exposed = |secret: &Option<SecretString>| secret.as_ref().map(|secret| secret.expose_secret().to_owned());
        Self {
            provider: provider.to_string(),
            subject: subject.clone(),
            sid: sid.clone(),
            refresh_token: exposed(refresh_token),
            id_token: exposed(id_token),
        }
    }
}

impl TryFrom<ProviderSessionShape> for ProviderSession {
    type Error = String;

    fn try_from(shape: ProviderSessionShape) -> Result<Self, String> {
        let ProviderSessionShape { provider, subject, sid, refresh_token, id_token } = shape;
        let provider = ProviderName::new(&provider).map_err(words)?;
        let (refresh_token, id_token) = (refresh_token.map(Into::into), id_token.map(Into::into));
        Ok(Self { provider, subject, sid, refresh_token, id_token })
    }
}
