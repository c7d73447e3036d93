//! What is signalled: the event types of CAEP 1.0, RISC 1.0 and the Shared Signals Framework 1.0, as one closed enum.
//!
//! Details that are missing or unknown are read as the worst that they could be. To refuse the event instead would
//! leave the access as it was, and that is the one thing that the transmitter did not mean.

mod kind;

pub use kind::Kind;

use super::subject::Role;
use serde_json::{Map, Value};

/// As much of a text as is kept.
const LONGEST: usize = 256;

/// What happened to a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialChange {
    /// A further one is there.
    Created,
    /// It was revoked.
    Revoked,
    /// It was replaced.
    Updated,
    /// It was deleted.
    Deleted,
    /// The transmitter does not say, or says a word that is not in CAEP.
    Unclear,
}

/// Where an assurance level went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Up.
    Increase,
    /// Down.
    Decrease,
    /// The transmitter does not say.
    Unclear,
}

/// How great a risk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RiskLevel {
    /// `LOW`.
    Low,
    /// `MEDIUM`.
    Medium,
    /// `HIGH`.
    High,
    /// A word that is not in CAEP, or none.
    Unclear,
}

/// What a transmitter says of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStatus {
    /// Events flow.
    Enabled,
    /// Events are held back for later.
    Paused,
    /// Events are lost.
    Disabled,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// CAEP `session-revoked`.
    SessionRevoked,
    /// RISC `sessions-revoked`: all of them.
    SessionsRevoked,
    /// CAEP `credential-change`.
    CredentialChanged {
        /// What happened.
        change: CredentialChange,
    },
    /// CAEP `device-compliance-change`.
    DeviceCompliance {
        /// Whether it is compliant now.
        compliant: bool,
    },
    /// CAEP `assurance-level-change`.
    AssuranceChanged {
        /// Where it went.
        direction: Direction,
    },
    /// CAEP `token-claims-change`: the new values come with the next token.
    TokenClaimsChanged,
    /// CAEP `risk-level-change`.
    RiskChanged {
        /// How great it is now.
        level: RiskLevel,
        /// Whose it is: `USER`, `DEVICE`, `SESSION` and others.
        principal: Option<String>,
    },
    /// CAEP `session-established`.
    SessionEstablished,
    /// CAEP `session-presented`.
    SessionPresented,
    /// RISC `account-disabled`.
    AccountDisabled,
    /// RISC `account-enabled`.
    AccountEnabled,
    /// RISC `account-purged`.
    AccountPurged,
    /// RISC `account-credential-change-required`.
    CredentialChangeRequired,
    /// RISC `credential-compromise`.
    CredentialCompromised,
    /// RISC `identifier-changed`.
    IdentifierChanged,
    /// RISC `identifier-recycled`: it is somebody else's now.
    IdentifierRecycled,
    /// RISC `recovery-activated`.
    RecoveryActivated,
    /// RISC `recovery-information-changed`.
    RecoveryInformationChanged,
    /// RISC `opt-in`, `opt-out-initiated`, `opt-out-cancelled`, `opt-out-effective`.
    Participation(Kind),
    /// SSF `verification`: the stream works.
    Verification {
        /// What the receiver asked with; `None` if the transmitter verifies of its own accord.
        state: Option<String>,
    },
    /// SSF `stream-updated`.
    StreamUpdated {
        /// What the stream does now.
        status: StreamStatus,
    },
    /// An event type that this gateway does not know.
    Unknown,
}

impl Signal {
    /// Reads the event of a type.
    #[must_use]
    pub fn read(uri: &str, body: &Map<String, Value>) -> Self {
        let Some(kind) = Kind::of(uri) else { return Self::Unknown };
        match kind {
            Kind::SessionRevoked => Self::SessionRevoked,
            Kind::SessionsRevoked => Self::SessionsRevoked,
            Kind::CredentialChange => Self::CredentialChanged { change: credential_change(body) },
            Kind::DeviceComplianceChange => Self::DeviceCompliance { compliant: compliant(body) },
            Kind::AssuranceLevelChange => Self::AssuranceChanged { direction: direction(body) },
            Kind::TokenClaimsChange => Self::TokenClaimsChanged,
            Kind::RiskLevelChange => Self::RiskChanged { level: risk_level(body), principal: principal(body) },
            Kind::SessionEstablished => Self::SessionEstablished,
            Kind::SessionPresented => Self::SessionPresented,
            Kind::AccountDisabled => Self::AccountDisabled,
            Kind::AccountEnabled => Self::AccountEnabled,
            Kind::AccountPurged => Self::AccountPurged,
            Kind::AccountCredentialChangeRequired => Self::CredentialChangeRequired,
            Kind::CredentialCompromise => Self::CredentialCompromised,
            Kind::IdentifierChanged => Self::IdentifierChanged,
            Kind::IdentifierRecycled => Self::IdentifierRecycled,
            Kind::RecoveryActivated => Self::RecoveryActivated,
            Kind::RecoveryInformationChanged => Self::RecoveryInformationChanged,
            Kind::OptIn | Kind::OptOutInitiated | Kind::OptOutCancelled | Kind::OptOutEffective => {
                Self::Participation(kind)
            }
            // A state that is cut would be another one.
            Kind::Verification => Self::Verification {
                state: body.get("state").map(|state| state.as_str().unwrap_or_default().to_owned()),
            },
            Kind::StreamUpdated => Self::StreamUpdated { status: stream_status(body) },
        }
    }

    /// What a simple subject of such an event identifies.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::SessionRevoked | Self::SessionEstablished | Self::SessionPresented => Role::Session,
            Self::DeviceCompliance { .. } => Role::Device,
            Self::RiskChanged { principal, .. } => match principal.as_deref() {
                Some("DEVICE") => Role::Device,
                Some("SESSION") => Role::Session,
                Some("USER") | None => Role::User,
                Some(_) => Role::Other,
            },
            Self::Verification { .. } | Self::StreamUpdated { .. } | Self::Unknown => Role::Other,
            _ => Role::User,
        }
    }

    /// Whether it is about the stream, and so about nobody.
    #[must_use]
    pub const fn is_of_the_stream(&self) -> bool {
        matches!(self, Self::Verification { .. } | Self::StreamUpdated { .. })
    }

    /// Its word in logs and metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::SessionRevoked => Kind::SessionRevoked.label(),
            Self::SessionsRevoked => Kind::SessionsRevoked.label(),
            Self::CredentialChanged { .. } => Kind::CredentialChange.label(),
            Self::DeviceCompliance { .. } => Kind::DeviceComplianceChange.label(),
            Self::AssuranceChanged { .. } => Kind::AssuranceLevelChange.label(),
            Self::TokenClaimsChanged => Kind::TokenClaimsChange.label(),
            Self::RiskChanged { .. } => Kind::RiskLevelChange.label(),
            Self::SessionEstablished => Kind::SessionEstablished.label(),
            Self::SessionPresented => Kind::SessionPresented.label(),
            Self::AccountDisabled => Kind::AccountDisabled.label(),
            Self::AccountEnabled => Kind::AccountEnabled.label(),
            Self::AccountPurged => Kind::AccountPurged.label(),
            Self::CredentialChangeRequired => Kind::AccountCredentialChangeRequired.label(),
            Self::CredentialCompromised => Kind::CredentialCompromise.label(),
            Self::IdentifierChanged => Kind::IdentifierChanged.label(),
            Self::IdentifierRecycled => Kind::IdentifierRecycled.label(),
            Self::RecoveryActivated => Kind::RecoveryActivated.label(),
            Self::RecoveryInformationChanged => Kind::RecoveryInformationChanged.label(),
            Self::Participation(kind) => kind.label(),
            Self::Verification { .. } => Kind::Verification.label(),
            Self::StreamUpdated { .. } => Kind::StreamUpdated.label(),
            Self::Unknown => "unknown",
        }
    }
}

fn credential_change(body: &Map<String, Value>) -> CredentialChange {
    match body.get("change_type").and_then(Value::as_str) {
        Some("create") => CredentialChange::Created,
        Some("revoke") => CredentialChange::Revoked,
        Some("update") => CredentialChange::Updated,
        Some("delete") => CredentialChange::Deleted,
        _ => CredentialChange::Unclear,
    }
}

fn compliant(body: &Map<String, Value>) -> bool {
    body.get("current_status").is_some_and(|status| status == "compliant")
}

fn direction(body: &Map<String, Value>) -> Direction {
    match body.get("change_direction").and_then(Value::as_str) {
        Some("increase") => Direction::Increase,
        Some("decrease") => Direction::Decrease,
        _ => Direction::Unclear,
    }
}

fn risk_level(body: &Map<String, Value>) -> RiskLevel {
    match body.get("current_level").and_then(Value::as_str) {
        Some("LOW") => RiskLevel::Low,
        Some("MEDIUM") => RiskLevel::Medium,
        Some("HIGH") => RiskLevel::High,
        _ => RiskLevel::Unclear,
    }
}

fn stream_status(body: &Map<String, Value>) -> StreamStatus {
    match body.get("status").and_then(Value::as_str) {
        Some("enabled") => StreamStatus::Enabled,
        Some("paused") => StreamStatus::Paused,
        _ => StreamStatus::Disabled,
    }
}

fn principal(body: &Map<String, Value>) -> Option<String> {
    body.get("principal").and_then(Value::as_str).map(cut)
}

/// The beginning of a text that only people read.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(kind: Kind, body: Value) -> Signal {
        Signal::read(&kind.uri(), body.as_object().unwrap())
    }

    #[test]
    fn every_kind_is_read_and_keeps_its_label() {
        for kind in Kind::ALL {
            assert_eq!(read(kind, json!({})).label(), kind.label());
        }
    }

    #[test]
    fn details_that_are_missing_or_unknown_are_the_worst_that_they_could_be() {
        for body in [json!({}), json!({"change_type": "rotate", "current_status": "fine", "current_level": "NONE"})] {
            let change = read(Kind::CredentialChange, body.clone());
            assert_eq!(change, Signal::CredentialChanged { change: CredentialChange::Unclear });
            let device = read(Kind::DeviceComplianceChange, body.clone());
            assert_eq!(device, Signal::DeviceCompliance { compliant: false });
            let risk = read(Kind::RiskLevelChange, body.clone());
            assert!(matches!(risk, Signal::RiskChanged { level: RiskLevel::Unclear, .. }));
            let stream = read(Kind::StreamUpdated, body);
            assert_eq!(stream, Signal::StreamUpdated { status: StreamStatus::Disabled });
        }
    }

    #[test]
    fn a_state_that_is_no_text_is_not_taken_for_no_state() {
        assert_eq!(read(Kind::Verification, json!({"state": 7})), Signal::Verification { state: Some(String::new()) });
        assert_eq!(read(Kind::Verification, json!({})), Signal::Verification { state: None });
    }

    #[test]
    fn texts_are_bounded() {
        let long = "ü".repeat(1000);
        assert_eq!(cut(&long).chars().count(), LONGEST);
        let Signal::RiskChanged { principal, .. } = read(Kind::RiskLevelChange, json!({"principal": long})) else {
            panic!("another event")
        };
        assert_eq!(principal, Some(cut(&long)));
    }

    #[test]
    fn the_risk_of_a_tenant_is_nobodys() {
        assert_eq!(read(Kind::RiskLevelChange, json!({"principal": "TENANT"})).role(), Role::Other);
        assert_eq!(read(Kind::RiskLevelChange, json!({"principal": "DEVICE"})).role(), Role::Device);
        assert_eq!(read(Kind::RiskLevelChange, json!({})).role(), Role::User);
    }
}
