//! The receiver of the OpenID Shared Signals Framework 1.0, with CAEP 1.0 and RISC 1.0: what a provider knows of its
//! people and devices arrives as events, pushed (RFC 8935) or polled (RFC 8936).
//!
//! [`Intake`] takes a token all the way: verified, read, ruled upon, in force, and only then remembered. What each event
//! does is in [`effect()`], and as a table in `docs/reference/signals.md`. Who follows an [`Order`] is behind
//! [`Apply`]; listening, and what users and sessions are, is none of this module's business.

mod backoff;
mod credential;
mod effect;
mod event;
mod http;
mod intake;
mod latest;
mod liveness;
mod naming;
mod order;
mod poll;
mod push;
mod refusal;
mod seen;
mod signal;
mod stream;
mod subject;

pub use backoff::Backoff;
pub use credential::Credential;
pub use effect::{Effect, effect};
pub use event::{Initiator, SecurityEvent, Window};
pub use http::{Failure, client};
pub use intake::{Intake, IntakeError, Profile, Taken};
pub use liveness::{Condition, Liveness, Rhythm};
pub use naming::{Naming, Nobody, Person, Target};
pub use order::{Apply, NotApplied, Note, Order, Ruling, rule};
pub use poll::{Delivery, Poll, PollMessage, PollPace, PollRequest, Poller, Verdict};
pub use push::{Answer, LARGEST, MEDIA_TYPE, Push, PushRefusal, Pushed, admit};
pub use refusal::{ErrorCode, Refusal, SetError};
pub use seen::Seen;
pub use signal::{CredentialChange, Direction, Kind, RiskLevel, Signal, StreamStatus};
pub use stream::{Manager, Published, StreamDocument, TransmitterDocument, TransmitterKeys, Wanted, configuration_url};
pub use subject::{Complex, Identifier, Malformed, Role, Subject, SubjectId};

#[cfg(test)]
mod tests;
