//! What a service shows, and which service that is: a client certificate of its connection, or an access token.

use super::client_certificate::{ClientCertificateProblem, Presented};
use super::context::{AccessTokenRefusal, Shared};
use super::extract::Bearer;
use crate::core::{CoreError, State};
use crate::identity::{CertificateRefusal, Credential, Service};
use crate::policy::User;

/// A service that has proved itself.
pub(super) struct Proved {
    pub service: Service,
    pub credential: Credential,
    /// Whether it may have sessions, and do anything.
    pub is_active: bool,
}

/// Why nobody is proved.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unproved {
    #[error("no client certificate is shown")]
    NoCertificate,
    #[error("a client certificate proves nothing: {0}")]
    Certificate(#[from] ClientCertificateProblem),
    #[error("a client certificate proves nobody: {0}")]
    Nobody(#[from] CertificateRefusal),
    #[error("an access token proves nothing: {0}")]
    Token(#[from] AccessTokenRefusal),
    #[error("an access token is that of client `{0}`, which is no service")]
    UnknownClient(String),
    #[error(transparent)]
    Core(#[from] CoreError),
}

impl Unproved {
    /// The word in records.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::Certificate(problem) => problem.label(),
            Self::Nobody(refusal) => refusal.label(),
            Self::Token(refusal) => refusal.label(),
            Self::UnknownClient(_) => "client_unknown",
            Self::Core(_) => "busy",
        }
    }
}

/// The service that the certificate of a connection proves.
pub(super) async fn by_certificate(shared: &Shared, presented: &Presented) -> Result<Proved, Unproved> {
    let names = presented.certificate(shared.now().wall)?.ok_or(Unproved::NoCertificate)?.names.clone();
    let find = move |state: &State| {
        let (service, name) = state.accounts.services.with_certificate(&names)?;
        Ok::<_, CertificateRefusal>(proved(state, service, Credential::Certificate(name.clone())))
    };
    Ok(shared.context.core.read_first(find).await??)
}

/// The service that an access token of a provider proves.
pub(super) async fn by_token(shared: &Shared, token: &Bearer) -> Result<Proved, Unproved> {
    let (provider, client) = shared.context.tokens.verify(token, shared.now().wall).await?;
    let unknown = Unproved::UnknownClient(client.clone());
    let find = move |state: &State| {
        let service = state.accounts.services.with_client(&provider, &client)?;
        Some(proved(state, service, Credential::Client(provider, client)))
    };
    shared.context.core.read_first(find).await?.ok_or(unknown)
}

fn proved(state: &State, service: &Service, credential: Credential) -> Proved {
    let is_active = state.gateway.user(&service.name).is_some_and(User::is_active);
    Proved { service: service.clone(), credential, is_active }
}

/// Whether a secret has the form of a signed token (RFC 7515, section 7.1), which none of the gateway's own has.
pub(super) fn is_signed_token(secret: &str) -> bool {
    let parts: Vec<&str> = secret.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| !part.is_empty())
}
