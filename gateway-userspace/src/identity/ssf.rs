//! The receiver of the OpenID Shared Signals Framework 1.0, with CAEP 1.0 and RISC 1.0: what a provider knows of its
//! people and devices arrives as events, pushed (RFC 8935) or polled (RFC 8936).

mod effect;
mod event;
mod naming;
mod refusal;
mod seen;
mod signal;
mod subject;

pub use effect::{Effect, effect};
pub use event::{Initiator, SecurityEvent, Window};
pub use naming::{Naming, Nobody, Person, Target};
pub use refusal::{ErrorCode, Refusal, SetError};
pub use seen::Seen;
pub use signal::{CredentialChange, Direction, Kind, RiskLevel, Signal, StreamStatus};
pub use subject::{Complex, Identifier, Malformed, Role, Subject, SubjectId};
