//! Why a token is refused: one list, which logs, metrics and answers share.

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenRefusal {
    /// More bytes than any honest token has.
    #[error("token is longer than 16 KiB; let the provider send fewer claims")]
    TooLong,
    /// Not three parts of strict base64url.
    #[error("token is not a signed token in compact form")]
    NotCompact,
    /// The header is not an object, or a member has the wrong type.
    #[error("header of the token cannot be read")]
    HeaderMalformed,
    /// The payload is not an object, or is too deep.
    #[error("claims of the token cannot be read")]
    ClaimsMalformed,
    /// A member stands there twice.
    #[error("token has a member twice, so that two readers could understand it differently")]
    DuplicateMember,
    /// `none`, a shared secret, or an algorithm that is not allowed.
    #[error("token is signed with an algorithm that is not allowed; see `algorithms` of the provider")]
    AlgorithmRefused,
    /// The header brings a key of its own.
    #[error("token brings its own key, which is never used")]
    ForeignKey,
    /// The header has `crit`.
    #[error("token demands an extension that is not supported")]
    CriticalHeader,
    /// The header has `b64`.
    #[error("payload of the token is not encoded, which is not supported")]
    Unencoded,
    /// The header has `enc` or `zip`.
    #[error("token is encrypted or compressed; let the provider only sign it")]
    Encrypted,
    /// `typ` says that it is another kind of token.
    #[error("token is of another type than the one that belongs here")]
    TypeWrong,
    /// No such key in the issuer's key set.
    #[error("token is signed with a key that the provider does not publish")]
    KeyUnknown,
    /// No `kid`, and not exactly one key that fits.
    #[error("token does not say which key it is signed with, and more than one fits")]
    KeyAmbiguous,
    /// The key is for another algorithm.
    #[error("token is signed with another algorithm than its key is for")]
    KeyMismatch,
    /// There are no keys that are young enough.
    #[error("keys of the provider could not be fetched for too long; see whether the gateway reaches it")]
    KeysUnavailable,
    /// The signature is not of that key.
    #[error("signature of the token is wrong")]
    SignatureWrong,
    /// `iss` is missing or of another issuer.
    #[error("token is of another issuer; compare `issuer` with what the provider publishes")]
    IssuerWrong,
    /// `aud` is missing or names others only.
    #[error("token is for somebody else; compare `client_id` or `audience` with what the provider has")]
    AudienceWrong,
    /// `azp` is missing where it must be, or somebody else.
    #[error("token was issued to another client")]
    AuthorizedPartyWrong,
    /// There is no `exp`.
    #[error("token does not say when it expires")]
    ExpiryMissing,
    /// `exp` has passed.
    #[error("token has expired; compare the clocks")]
    Expired,
    /// A token that must not have an `exp` has one.
    #[error("token expires, which tokens of this kind do not")]
    ExpiryUnexpected,
    /// There is no `iat`.
    #[error("token does not say when it was issued")]
    IssuedMissing,
    /// `iat` is ahead of our clock.
    #[error("token was issued in the future; compare the clocks")]
    IssuedInFuture,
    /// `iat` is too long ago.
    #[error("token was issued too long ago")]
    TooOld,
    /// `nbf` is ahead of our clock.
    #[error("token is not valid yet; compare the clocks")]
    NotYetValid,
    /// A time is not a number of seconds, or beyond all times.
    #[error("a time in the token is not a number of seconds")]
    TimeMalformed,
    /// `sub` is missing, empty, too long or not a text.
    #[error("token does not say whom it is about")]
    SubjectMissing,
    /// There is no `nonce`.
    #[error("token is not bound to this login")]
    NonceMissing,
    /// `nonce` is of another login.
    #[error("token is bound to another login")]
    NonceWrong,
    /// A `nonce` in a token that must not have one.
    #[error("token has a nonce, which tokens of this kind do not have")]
    NonceUnexpected,
    /// `at_hash` is of another access token.
    #[error("token came with another access token than the one it names")]
    AccessHashWrong,
    /// `c_hash` is of another code.
    #[error("token came with another code than the one it names")]
    CodeHashWrong,
    /// `events` in a token that must not have them.
    #[error("token reports events, which tokens of this kind do not")]
    EventsUnexpected,
    /// There are no `events`, or they are no object of objects.
    #[error("token does not report an event")]
    EventsMissing,
    /// Not a logout, or something besides.
    #[error("token does not report a logout")]
    EventWrong,
    /// There is no `jti`.
    #[error("token has no identifier, so that a replay could not be told")]
    IdentifierMissing,
    /// It was seen before.
    #[error("token was used before")]
    Replayed,
    /// What remembers tokens is full.
    #[error("too many tokens at once to tell replays; let the provider try again")]
    ReplaysFull,
    /// Neither `sub` nor `sid`.
    #[error("token says neither who nor which session")]
    NobodyNamed,
    /// There is no `client_id`.
    #[error("token does not say which client it was issued to")]
    ClientMissing,
    /// Another claim has a type that it must not have.
    #[error("a claim of the token has another type than the standard says")]
    ClaimMalformed,
}

impl TokenRefusal {
    /// All of them.
    pub const ALL: [Self; 42] = [
        Self::TooLong,
        Self::NotCompact,
        Self::HeaderMalformed,
        Self::ClaimsMalformed,
        Self::DuplicateMember,
        Self::AlgorithmRefused,
        Self::ForeignKey,
        Self::CriticalHeader,
        Self::Unencoded,
        Self::Encrypted,
        Self::TypeWrong,
        Self::KeyUnknown,
        Self::KeyAmbiguous,
        Self::KeyMismatch,
        Self::KeysUnavailable,
        Self::SignatureWrong,
        Self::IssuerWrong,
        Self::AudienceWrong,
        Self::AuthorizedPartyWrong,
        Self::ExpiryMissing,
        Self::Expired,
        Self::ExpiryUnexpected,
        Self::IssuedMissing,
        Self::IssuedInFuture,
        Self::TooOld,
        Self::NotYetValid,
        Self::TimeMalformed,
        Self::SubjectMissing,
        Self::NonceMissing,
        Self::NonceWrong,
        Self::NonceUnexpected,
        Self::AccessHashWrong,
        Self::CodeHashWrong,
        Self::EventsUnexpected,
        Self::EventsMissing,
        Self::EventWrong,
        Self::IdentifierMissing,
        Self::Replayed,
        Self::ReplaysFull,
        Self::NobodyNamed,
        Self::ClientMissing,
        Self::ClaimMalformed,
    ];

    /// Its name in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::NotCompact => "not_compact",
            Self::HeaderMalformed => "header_malformed",
            Self::ClaimsMalformed => "claims_malformed",
            Self::DuplicateMember => "duplicate_member",
            Self::AlgorithmRefused => "algorithm_refused",
            Self::ForeignKey => "foreign_key",
            Self::CriticalHeader => "critical_header",
            Self::Unencoded => "unencoded",
            Self::Encrypted => "encrypted",
            Self::TypeWrong => "type_wrong",
            Self::KeyUnknown => "key_unknown",
            Self::KeyAmbiguous => "key_ambiguous",
            Self::KeyMismatch => "key_mismatch",
            Self::KeysUnavailable => "keys_unavailable",
            Self::SignatureWrong => "signature_wrong",
            Self::IssuerWrong => "issuer_wrong",
            Self::AudienceWrong => "audience_wrong",
            Self::AuthorizedPartyWrong => "authorized_party_wrong",
            Self::ExpiryMissing => "expiry_missing",
            Self::Expired => "expired",
            Self::ExpiryUnexpected => "expiry_unexpected",
            Self::IssuedMissing => "issued_missing",
            Self::IssuedInFuture => "issued_in_future",
            Self::TooOld => "too_old",
            Self::NotYetValid => "not_yet_valid",
            Self::TimeMalformed => "time_malformed",
            Self::SubjectMissing => "subject_missing",
            Self::NonceMissing => "nonce_missing",
            Self::NonceWrong => "nonce_wrong",
            Self::NonceUnexpected => "nonce_unexpected",
            Self::AccessHashWrong => "access_hash_wrong",
            Self::CodeHashWrong => "code_hash_wrong",
            Self::EventsUnexpected => "events_unexpected",
            Self::EventsMissing => "events_missing",
            Self::EventWrong => "event_wrong",
            Self::IdentifierMissing => "identifier_missing",
            Self::Replayed => "replayed",
            Self::ReplaysFull => "replays_full",
            Self::NobodyNamed => "nobody_named",
            Self::ClientMissing => "client_missing",
            Self::ClaimMalformed => "claim_malformed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_has_its_own_label_and_text() {
        let labels: BTreeSet<_> = TokenRefusal::ALL.iter().map(|refusal| refusal.label()).collect();
        let texts: BTreeSet<_> = TokenRefusal::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(labels.len(), TokenRefusal::ALL.len());
        assert_eq!(texts.len(), TokenRefusal::ALL.len());
    }
}
