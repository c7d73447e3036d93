//! From an event to what is done about it: an order to the core, or a note that there is nothing to do.

use super::effect::{Effect, effect};
use super::event::SecurityEvent;
use super::naming::{Naming, Nobody, Person, Target};
use super::signal::Signal;
use super::subject::Role;
use std::collections::BTreeSet;
use std::future::Future;
use time::OffsetDateTime;

/// What the core is told to do.
///
/// Events arrive late and twice. Whoever follows an order compares [`Self::as_of`]: `EndSessions` ends only sessions that
/// were authenticated at or before it. Orders that come in another order than their events are told apart before.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// What is done.
    pub effect: Effect,
    /// To whom.
    pub target: Target,
    /// The time of the event.
    pub as_of: OffsetDateTime,
    /// What it is done for: the origin, for the audit trail.
    pub event: SecurityEvent,
}

/// Why nothing is done about an event. It is acknowledged all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Note {
    /// It was dealt with before.
    Replayed,
    /// Its type is not known.
    UnknownEvent,
    /// It changes nothing here.
    Informational,
    /// It is about the stream.
    Stream,
    /// It names nobody here.
    Nobody(Nobody),
    /// A later event was dealt with before.
    Outdated,
}

impl Note {
    /// Its word in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::UnknownEvent => "unknown_event",
            Self::Informational => "informational",
            Self::Stream => "stream",
            Self::Nobody(nobody) => nobody.label(),
            Self::Outdated => "outdated",
        }
    }
}

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Ruling {
    /// Something is done.
    Apply(Box<Order>),
    /// Nothing is.
    Noted(Note),
}

/// An order was not put into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event is not in force yet; send it again")]
pub struct NotApplied;

/// Whoever follows orders.
pub trait Apply: Send + Sync {
    /// Puts an order into force. It is in force, and stored, when this returns.
    fn apply(&self, order: Order) -> impl Future<Output = Result<(), NotApplied>> + Send;
}

/// Decides what becomes of an event. `critical` are the members of a complex subject without which, as the transmitter
/// says, it is not understood.
#[must_use]
pub fn rule(event: SecurityEvent, naming: &Naming, critical: &BTreeSet<String>) -> Ruling {
    let effect = match (&event.signal, effect(&event.signal)) {
        (Signal::Unknown, _) => return Ruling::Noted(Note::UnknownEvent),
        (signal, _) if signal.is_of_the_stream() => return Ruling::Noted(Note::Stream),
        (_, Effect::Nothing) => return Ruling::Noted(Note::Informational),
        // That of a device or a session is not the person's.
        (signal, Effect::Risk(_)) if signal.role() != Role::User => return Ruling::Noted(Note::Informational),
        (_, effect) => effect,
    };
    match naming.target(&event.subject, critical, effect.gives()) {
        Err(nobody) => Ruling::Noted(Note::Nobody(nobody)),
        Ok(target) => match fitting(effect, &target) {
            Ok(effect) => Ruling::Apply(Box::new(Order { effect, target, as_of: event.as_of(), event })),
            Err(nobody) => Ruling::Noted(Note::Nobody(nobody)),
        },
    }
}

/// An effect on a target that it can have. What is meant for a person needs a person, what is meant for a device a
/// device; and who is named only by an address is suspended instead of removed, because the address may be another's.
fn fitting(effect: Effect, target: &Target) -> Result<Effect, Nobody> {
    match (effect, &target.person) {
        (Effect::Device { .. }, _) if target.device.is_none() => Err(Nobody::NoName),
        (Effect::Suspend | Effect::Resume | Effect::Remove | Effect::Risk(_), None) => Err(Nobody::NoName),
        (Effect::Remove, Some(Person::UserName(_))) => Ok(Effect::Suspend),
        (effect, _) => Ok(effect),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ssf::{Identifier, Kind, Subject};
    use serde_json::{Value, json};

    const ISSUER: &str = "https://idp.example";

    fn event(kind: Kind, body: &Value, subject: Subject) -> SecurityEvent {
        SecurityEvent {
            jti: "e1".into(),
            iat: OffsetDateTime::UNIX_EPOCH,
            txn: None,
            subject,
            signal: Signal::read(&kind.uri(), body.as_object().unwrap()),
            event_timestamp: None,
            initiating_entity: None,
            reason: None,
        }
    }

    fn user(identifier: Identifier) -> Subject {
        Subject { user: Some(identifier), ..Subject::default() }
    }

    fn ada() -> Subject {
        user(Identifier::IssSub { iss: ISSUER.into(), sub: "u1".into() })
    }

    fn ruled(kind: Kind, subject: Subject) -> Result<(Effect, Target), Note> {
        let naming = Naming { issuers: [ISSUER.into()].into(), email_is_username: true };
        match rule(event(kind, &json!({}), subject), &naming, &BTreeSet::new()) {
            Ruling::Apply(order) => Ok((order.effect, order.target)),
            Ruling::Noted(note) => Err(note),
        }
    }

    #[test]
    fn what_an_event_does_is_done_to_whom_it_names() {
        let ada_here = Target { person: Some(Person::Sub("u1".into())), ..Target::default() };
        assert_eq!(ruled(Kind::AccountDisabled, ada()), Ok((Effect::Suspend, ada_here)));
        assert_eq!(ruled(Kind::SessionPresented, ada()), Err(Note::Informational));
        assert_eq!(ruled(Kind::Verification, Subject::default()), Err(Note::Stream));
    }

    #[test]
    fn who_is_named_by_an_address_only_is_suspended_instead_of_removed_and_never_resumed() {
        let email = || user(Identifier::Email("ada@example.com".into()));
        let (effect, target) = ruled(Kind::AccountPurged, email()).unwrap();
        assert_eq!((effect, target.person), (Effect::Suspend, Some(Person::UserName("ada@example.com".into()))));
        assert_eq!(ruled(Kind::AccountEnabled, email()), Err(Note::Nobody(Nobody::NotToGive)));
        assert_eq!(ruled(Kind::AccountPurged, ada()).unwrap().0, Effect::Remove);
    }

    #[test]
    fn an_effect_on_a_person_needs_a_person_and_one_on_a_device_a_device() {
        let device = Subject { device: Some(Identifier::Opaque("d1".into())), ..Subject::default() };
        assert_eq!(ruled(Kind::AccountDisabled, device.clone()), Err(Note::Nobody(Nobody::NoName)));
        assert_eq!(ruled(Kind::DeviceComplianceChange, ada()), Err(Note::Nobody(Nobody::NoName)));
        let (effect, target) = ruled(Kind::DeviceComplianceChange, device).unwrap();
        assert_eq!((effect, target.device.as_deref()), (Effect::Device { compliant: false }, Some("d1")));
    }
}
