//! The event types that are known, with their URIs: the one list that requests, reading and labels are made from.

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const SSF: &str = "https://schemas.openid.net/secevent/ssf/event-type/";

macro_rules! kinds {
    ($($variant:ident, $base:ident, $name:literal, $label:literal, $wanted:literal;)*) => {
        /// An event type that is known.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The URI that names it in a security event token.
            #[must_use]
            pub fn uri(self) -> String {
                match self { $(Self::$variant => format!("{}{}", $base, $name),)* }
            }

            /// Its word in logs and metrics.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }

            /// Whether a stream is asked to deliver it: it changes something here.
            #[must_use]
            pub const fn is_wanted(self) -> bool {
                match self { $(Self::$variant => $wanted,)* }
            }
        }
    };
}

kinds! {
    SessionRevoked, CAEP, "session-revoked", "session_revoked", true;
    CredentialChange, CAEP, "credential-change", "credential_change", true;
    DeviceComplianceChange, CAEP, "device-compliance-change", "device_compliance_change", true;
    AssuranceLevelChange, CAEP, "assurance-level-change", "assurance_level_change", true;
    TokenClaimsChange, CAEP, "token-claims-change", "token_claims_change", true;
    SessionEstablished, CAEP, "session-established", "session_established", false;
    SessionPresented, CAEP, "session-presented", "session_presented", false;
    RiskLevelChange, CAEP, "risk-level-change", "risk_level_change", true;
    AccountDisabled, RISC, "account-disabled", "account_disabled", true;
    AccountEnabled, RISC, "account-enabled", "account_enabled", true;
    AccountPurged, RISC, "account-purged", "account_purged", true;
    AccountCredentialChangeRequired, RISC, "account-credential-change-required", "credential_change_required", true;
    CredentialCompromise, RISC, "credential-compromise", "credential_compromise", true;
    IdentifierChanged, RISC, "identifier-changed", "identifier_changed", true;
    IdentifierRecycled, RISC, "identifier-recycled", "identifier_recycled", true;
    SessionsRevoked, RISC, "sessions-revoked", "sessions_revoked", true;
    RecoveryActivated, RISC, "recovery-activated", "recovery_activated", true;
    RecoveryInformationChanged, RISC, "recovery-information-changed", "recovery_information_changed", false;
    OptIn, RISC, "opt-in", "opt_in", false;
    OptOutInitiated, RISC, "opt-out-initiated", "opt_out_initiated", false;
    OptOutCancelled, RISC, "opt-out-cancelled", "opt_out_cancelled", false;
    OptOutEffective, RISC, "opt-out-effective", "opt_out_effective", false;
    Verification, SSF, "verification", "verification", true;
    StreamUpdated, SSF, "stream-updated", "stream_updated", true;
}

impl Kind {
    /// The kind that a URI names. URIs are compared byte by byte.
    #[must_use]
    pub fn of(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.uri() == uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_uri_names_its_kind_and_labels_are_distinct() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of(&kind.uri()), Some(kind));
        }
        let labels: BTreeSet<&str> = Kind::ALL.into_iter().map(Kind::label).collect();
        assert_eq!(labels.len(), Kind::ALL.len());
    }

    #[test]
    fn a_uri_that_is_nearly_right_is_unknown() {
        for uri in [
            "https://schemas.openid.net/secevent/caep/event-type/session-revoked/",
            "http://schemas.openid.net/secevent/caep/event-type/session-revoked",
            "https://schemas.openid.net/secevent/risc/event-type/session-revoked",
            "https://schemas.openid.net/secevent/caep/event-type/Session-Revoked",
            "",
        ] {
            assert_eq!(Kind::of(uri), None);
        }
    }
}
