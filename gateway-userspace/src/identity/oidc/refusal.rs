//! Why a login, a refresh or a provider is refused: one list, which logs, metrics and pages share. No reason carries
//! anything that came from the other side.

use crate::identity::jose::{KeySetError, TokenRefusal};

/// Why a provider or what it says is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// A token is not what it must be.
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    /// The provider's keys are not what they must be.
    #[error(transparent)]
    Keys(#[from] KeySetError),
    /// No connection, or no trust in its certificate.
    #[error("provider cannot be reached; see the log for why, and compare `ca` with its certificate")]
    ProviderUnreachable,
    /// It took too long.
    #[error("provider took too long to answer; try again")]
    ProviderSlow,
    /// An answer of a status that says nothing about the question.
    #[error("provider answers with an error of its own; try again, and see its log")]
    ProviderFails,
    /// It sent us elsewhere.
    #[error("provider sends the gateway elsewhere, which is not followed; compare `issuer` with what it publishes")]
    Redirected,
    /// More than 1 MiB.
    #[error("provider answers with more than 1 MiB")]
    AnswerTooLong,
    /// Not the JSON that the standard says.
    #[error("provider answers with something that cannot be read")]
    AnswerMalformed,
    /// The metadata are of another issuer.
    #[error("provider calls itself by another name; set `issuer` to exactly what it publishes")]
    MetadataIssuerWrong,
    /// An endpoint that is needed is not published.
    #[error("provider does not publish an endpoint that is needed")]
    EndpointMissing,
    /// An endpoint is not an https URL.
    #[error("provider publishes an endpoint that is not a plain https URL")]
    EndpointInsecure,
    /// An endpoint is elsewhere.
    #[error("provider publishes an endpoint on another host; if it belongs to it, add the host to `hosts`")]
    EndpointForeign,
    /// It does not know S256.
    #[error("provider does not support PKCE with S256; let it")]
    PkceUnsupported,
    /// It began too long ago.
    #[error("login took longer than ten minutes; begin anew")]
    LoginExpired,
    /// The answer has no `state`.
    #[error("answer does not belong to a login; begin anew")]
    StateMissing,
    /// The answer is of another login.
    #[error("answer belongs to another login; begin anew")]
    StateWrong,
    /// A parameter stands there twice.
    #[error("answer has a parameter twice")]
    ParameterTwice,
    /// An answer that no honest provider gives.
    #[error("answer is too long")]
    ParameterTooLong,
    /// The answer does not say whose it is.
    #[error("answer does not say which provider it is of, though this provider promises to say so")]
    ResponseIssuerMissing,
    /// The answer is of another provider.
    #[error("answer is of another provider than the one that was asked")]
    ResponseIssuerWrong,
    /// The answer has neither a code nor an error.
    #[error("answer has no code; begin anew")]
    CodeMissing,
    /// The person or the provider said no.
    #[error("provider or person refused; ask whoever runs the provider for access to this application")]
    AccessDenied,
    /// The person has to do something there.
    #[error("provider needs the person to do something first; log in without `prompt=none`")]
    InteractionRequired,
    /// It says so.
    #[error("provider is busy; try again later")]
    ProviderBusy,
    /// It does not like what was asked.
    #[error(
        "provider does not accept the request; compare `scopes`, `redirect_uri` and `acr_values` with what it allows"
    )]
    RequestRefused,
    /// The code is not worth anything.
    #[error("provider does not accept the code: it was used, is too old or is of another login; begin anew")]
    CodeRefused,
    /// It does not know the gateway.
    #[error("provider does not accept the gateway itself; compare `client_id`, the secret and the way it is presented")]
    ClientRefused,
    /// Not a bearer token.
    #[error("provider answers with a token of a type that is not supported")]
    TokenTypeWrong,
    /// There is no ID token.
    #[error("provider does not say who it is: there is no ID token; let it grant the scope `openid`")]
    IdTokenMissing,
    /// There is no `auth_time` though it was asked for.
    #[error("provider does not say when the person authenticated, though it was asked for; let it send `auth_time`")]
    AuthTimeMissing,
    /// The person authenticated too long ago.
    #[error("person authenticated too long ago; authenticate again")]
    AuthTimeTooOld,
    /// `auth_time` is ahead of our clock.
    #[error("provider says that the person authenticates in the future; compare the clocks")]
    AuthTimeInFuture,
    /// There is no `acr` though one was demanded.
    #[error("provider does not say how the person authenticated, though it was asked for; let it send `acr`")]
    AcrMissing,
    /// The person authenticated in another way than demanded.
    #[error("person authenticated in another way than what they do needs; authenticate again with more")]
    AcrInsufficient,
    /// A claim that the settings require is missing or says something else.
    #[error("person does not belong to those who may come in by this provider; see its `require`")]
    ClaimRequired,
    /// It is about somebody else.
    #[error("provider speaks of another person than before")]
    SubjectChanged,
    /// No claim has a name.
    #[error(
        "provider does not say the name of the person; let it send the claim, or set another with `username` in `[provider.claims]`"
    )]
    UsernameMissing,
    /// The claim for the name is no name.
    #[error("name of the person has another type or length than a name has")]
    UsernameMalformed,
    /// The groups are not texts.
    #[error("groups of the person are not a list of texts")]
    GroupsMalformed,
    /// There are more groups than fit, so the provider left them out.
    #[error(
        "person is in more groups than the provider puts into a token; let it send only groups assigned to this application"
    )]
    GroupsOverage,
    /// There is no device authorization endpoint.
    #[error("provider does not support logins by device code; enable them there, or log in with a browser")]
    DeviceUnsupported,
    /// There are no access tokens of services.
    #[error("access tokens of this provider are not accepted; set `audience` of its services")]
    ServicesOff,
}

impl Refusal {
    /// Its name in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Token(refusal) => refusal.label(),
            Self::Keys(error) => error.label(),
            Self::ProviderUnreachable => "provider_unreachable",
            Self::ProviderSlow => "provider_slow",
            Self::ProviderFails => "provider_fails",
            Self::Redirected => "redirected",
            Self::AnswerTooLong => "answer_too_long",
            Self::AnswerMalformed => "answer_malformed",
            Self::MetadataIssuerWrong => "metadata_issuer_wrong",
            Self::EndpointMissing => "endpoint_missing",
            Self::EndpointInsecure => "endpoint_insecure",
            Self::EndpointForeign => "endpoint_foreign",
            Self::PkceUnsupported => "pkce_unsupported",
            Self::LoginExpired => "login_expired",
            Self::StateMissing => "state_missing",
            Self::StateWrong => "state_wrong",
            Self::ParameterTwice => "parameter_twice",
            Self::ParameterTooLong => "parameter_too_long",
            Self::ResponseIssuerMissing => "response_issuer_missing",
            Self::ResponseIssuerWrong => "response_issuer_wrong",
            Self::CodeMissing => "code_missing",
            Self::AccessDenied => "access_denied",
            Self::InteractionRequired => "interaction_required",
            Self::ProviderBusy => "provider_busy",
            Self::RequestRefused => "request_refused",
            Self::CodeRefused => "code_refused",
            Self::ClientRefused => "client_refused",
            Self::TokenTypeWrong => "token_type_wrong",
            Self::IdTokenMissing => "id_token_missing",
            Self::AuthTimeMissing => "auth_time_missing",
            Self::AuthTimeTooOld => "auth_time_too_old",
            Self::AuthTimeInFuture => "auth_time_in_future",
            Self::AcrMissing => "acr_missing",
            Self::AcrInsufficient => "acr_insufficient",
            Self::ClaimRequired => "claim_required",
            Self::SubjectChanged => "subject_changed",
            Self::UsernameMissing => "username_missing",
            Self::UsernameMalformed => "username_malformed",
            Self::GroupsMalformed => "groups_malformed",
            Self::GroupsOverage => "groups_overage",
            Self::DeviceUnsupported => "device_unsupported",
            Self::ServicesOff => "services_off",
        }
    }

    /// Whether the provider could not be asked, which says nothing about the person.
    #[must_use]
    pub const fn is_outage(self) -> bool {
        matches!(
            self,
            Self::ProviderUnreachable
                | Self::ProviderSlow
                | Self::ProviderFails
                | Self::ProviderBusy
                | Self::ClientRefused
        )
    }

    /// Whether it says of somebody who had access that they have none any more: what is believed of the provider is
    /// about another, or not about one of those who may come in.
    #[must_use]
    pub const fn ends_access(self) -> bool {
        matches!(self, Self::SubjectChanged | Self::ClaimRequired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Those that are neither about a token nor about keys.
    const OWN: [Refusal; 40] = [
        Refusal::RequestRefused,
        Refusal::UsernameMissing,
        Refusal::GroupsOverage,
        Refusal::ProviderUnreachable,
        Refusal::ProviderSlow,
        Refusal::ProviderFails,
        Refusal::Redirected,
        Refusal::AnswerTooLong,
        Refusal::AnswerMalformed,
        Refusal::MetadataIssuerWrong,
        Refusal::EndpointMissing,
        Refusal::EndpointInsecure,
        Refusal::EndpointForeign,
        Refusal::PkceUnsupported,
        Refusal::LoginExpired,
        Refusal::StateMissing,
        Refusal::StateWrong,
        Refusal::ParameterTwice,
        Refusal::ParameterTooLong,
        Refusal::ResponseIssuerMissing,
        Refusal::ResponseIssuerWrong,
        Refusal::CodeMissing,
        Refusal::AccessDenied,
        Refusal::InteractionRequired,
        Refusal::ProviderBusy,
        Refusal::CodeRefused,
        Refusal::ClientRefused,
        Refusal::TokenTypeWrong,
        Refusal::IdTokenMissing,
        Refusal::AuthTimeMissing,
        Refusal::AuthTimeTooOld,
        Refusal::AuthTimeInFuture,
        Refusal::AcrMissing,
        Refusal::AcrInsufficient,
        Refusal::ClaimRequired,
        Refusal::SubjectChanged,
        Refusal::UsernameMalformed,
        Refusal::GroupsMalformed,
        Refusal::DeviceUnsupported,
        Refusal::ServicesOff,
    ];

    #[test]
    fn every_reason_has_its_own_label_and_text() {
        let tokens = TokenRefusal::ALL.into_iter().map(Refusal::Token);
        let all = || tokens.clone().chain(KeySetError::ALL.into_iter().map(Refusal::Keys)).chain(OWN);
        let labels: BTreeSet<_> = all().map(Refusal::label).collect();
        let texts: BTreeSet<_> = all().map(|refusal| refusal.to_string()).collect();
        assert_eq!((labels.len(), texts.len()), (all().count(), all().count()));
        assert!(labels.iter().all(|label| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    }
}
