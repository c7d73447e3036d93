//! What a signal does here. Every doubt denies: what might mean less trust ends sessions, and only what means more
//! trust beyond doubt gives anything back.

use super::signal::{CredentialChange, Direction, RiskLevel, Signal};
use crate::policy::Risk;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Sessions end that were authenticated at or before the time of the event. A late or repeated event must not end
    /// a session in which the person has proven themselves since.
    EndSessions,
    /// The person is suspended: sessions end, and none begins.
    Suspend,
    /// A suspension ends.
    Resume,
    /// The person is removed, with all that they had.
    Remove,
    /// What is known of a device changes.
    Device {
        /// Whether it is compliant.
        compliant: bool,
    },
    /// What is known of the person's risk changes.
    Risk(Risk),
    /// Nothing.
    Nothing,
}

impl Effect {
    /// Whether somebody may come to reach more by it.
    #[must_use]
    pub const fn gives(self) -> bool {
        matches!(self, Self::Resume | Self::Device { compliant: true } | Self::Risk(_))
    }

    /// Its word in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::EndSessions => "end_sessions",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Remove => "remove",
            Self::Device { compliant: true } => "device_compliant",
            Self::Device { compliant: false } => "device_not_compliant",
            Self::Risk(_) => "risk",
            Self::Nothing => "nothing",
        }
    }
}

/// What a signal does.
#[must_use]
pub const fn effect(signal: &Signal) -> Effect {
    match signal {
        Signal::SessionRevoked
        | Signal::SessionsRevoked
        | Signal::TokenClaimsChanged
        | Signal::CredentialChangeRequired
        | Signal::CredentialCompromised
        | Signal::IdentifierChanged
        | Signal::IdentifierRecycled
        | Signal::RecoveryActivated => Effect::EndSessions,
        Signal::CredentialChanged { change } => match change {
            CredentialChange::Created => Effect::Nothing,
            CredentialChange::Revoked
            | CredentialChange::Updated
            | CredentialChange::Deleted
            | CredentialChange::Unclear => Effect::EndSessions,
        },
        Signal::AssuranceChanged { direction } => match direction {
            Direction::Increase => Effect::Nothing,
            Direction::Decrease | Direction::Unclear => Effect::EndSessions,
        },
        Signal::RiskChanged { level, .. } => match level {
            RiskLevel::Low => Effect::Risk(Risk::Low),
            RiskLevel::Medium => Effect::Risk(Risk::Medium),
            // And is a high risk from then on.
            RiskLevel::High | RiskLevel::Unclear => Effect::EndSessions,
        },
        Signal::DeviceCompliance { compliant } => Effect::Device { compliant: *compliant },
        Signal::AccountDisabled => Effect::Suspend,
        Signal::AccountEnabled => Effect::Resume,
        Signal::AccountPurged => Effect::Remove,
        Signal::SessionEstablished
        | Signal::SessionPresented
        | Signal::RecoveryInformationChanged
        | Signal::Participation(_)
        | Signal::Verification { .. }
        | Signal::StreamUpdated { .. }
        | Signal::Unknown => Effect::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ssf::Kind;
    use serde_json::{Map, Value, json};

    fn of(kind: Kind, body: &Value) -> Effect {
        effect(&Signal::read(&kind.uri(), body.as_object().unwrap()))
    }

    #[test]
    fn every_kind_does_what_the_table_says() {
        let ends = [
            Kind::SessionRevoked,
            Kind::SessionsRevoked,
            Kind::TokenClaimsChange,
            Kind::AccountCredentialChangeRequired,
            Kind::CredentialCompromise,
            Kind::IdentifierChanged,
            Kind::IdentifierRecycled,
            Kind::RecoveryActivated,
            // These for want of details, which is a doubt.
            Kind::CredentialChange,
            Kind::AssuranceLevelChange,
            Kind::RiskLevelChange,
        ];
        for kind in Kind::ALL {
            let expected = match kind {
                Kind::AccountDisabled => Effect::Suspend,
                Kind::AccountEnabled => Effect::Resume,
                Kind::AccountPurged => Effect::Remove,
                Kind::DeviceComplianceChange => Effect::Device { compliant: false },
                kind if ends.contains(&kind) => Effect::EndSessions,
                _ => Effect::Nothing,
            };
            assert_eq!(of(kind, &json!({})), expected, "{kind:?}");
        }
    }

    #[test]
    fn only_what_means_more_trust_beyond_doubt_is_spared() {
        let body = json!({"change_type": "create", "change_direction": "increase", "current_level": "MEDIUM"});
        for kind in [Kind::CredentialChange, Kind::AssuranceLevelChange] {
            assert_eq!(of(kind, &body), Effect::Nothing);
        }
        assert_eq!(of(Kind::RiskLevelChange, &body), Effect::Risk(Risk::Medium));
        for change in ["revoke", "update", "delete", "CREATE"] {
            assert_eq!(of(Kind::CredentialChange, &json!({"change_type": change})), Effect::EndSessions);
        }
        assert_eq!(of(Kind::AssuranceLevelChange, &json!({"change_direction": "decrease"})), Effect::EndSessions);
        assert_eq!(of(Kind::RiskLevelChange, &json!({"current_level": "HIGH"})), Effect::EndSessions);
    }

    #[test]
    fn what_is_wanted_of_a_stream_is_what_can_do_something_and_the_stream_itself() {
        for kind in Kind::ALL {
            let of_the_stream = Signal::read(&kind.uri(), &Map::new()).is_of_the_stream();
            let acts = of(kind, &json!({})) != Effect::Nothing;
            assert_eq!(kind.is_wanted(), of_the_stream || acts, "{kind:?}");
        }
    }
}
