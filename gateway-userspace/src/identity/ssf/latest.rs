//! Which switch was set last. Events come in any order, also within one answer to a poll, and the later event is the
//! one that counts: an account that was disabled after it was enabled is disabled, whichever is heard of first.

use super::effect::Effect;
use super::naming::Person;
use super::order::{Note, Order};
use std::collections::{HashMap, VecDeque};
use time::OffsetDateTime;

/// What has a switch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Switch {
    Sub(String),
    UserName(String),
    Device(String),
}

/// The times of the last events that set a switch. Bounded: the one that was first heard of gives way.
#[derive(Debug)]
pub(super) struct Latest {
    times: HashMap<Switch, OffsetDateTime>,
    order: VecDeque<Switch>,
    capacity: usize,
}

impl Latest {
    pub(super) fn new(capacity: usize) -> Self {
        Self { times: HashMap::new(), order: VecDeque::new(), capacity: capacity.max(1) }
    }

    /// What an order does, given those that were followed before. One that comes late gives nothing; if it takes, it
    /// still ends the sessions that there were at its time. Of two at the same time, the one that takes counts.
    pub(super) fn effect(&self, order: &Order) -> Result<Effect, Note> {
        let latest = switch(order).and_then(|switch| self.times.get(&switch));
        match (order.effect, latest) {
            (effect, Some(latest)) if effect.gives() && order.as_of <= *latest => Err(Note::Outdated),
            (Effect::Suspend, Some(latest)) if order.as_of < *latest => Ok(Effect::EndSessions),
            (Effect::Device { .. }, Some(latest)) if order.as_of < *latest => Err(Note::Outdated),
            (effect, _) => Ok(effect),
        }
    }

    /// An order was followed.
    pub(super) fn note(&mut self, order: &Order) {
        let Some(switch) = switch(order) else { return };
        if let Some(latest) = self.times.get_mut(&switch) {
            *latest = order.as_of.max(*latest);
            return;
        }
        self.order.push_back(switch.clone());
        self.times.insert(switch, order.as_of);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.times.remove(&oldest);
        }
    }
}

/// The switch that an order sets. Ending sessions sets none.
fn switch(order: &Order) -> Option<Switch> {
    match order.effect {
        Effect::Suspend | Effect::Resume | Effect::Remove => order.target.person.clone().map(|person| match person {
            Person::Sub(sub) => Switch::Sub(sub),
            Person::UserName(name) => Switch::UserName(name),
        }),
        Effect::Device { .. } => order.target.device.clone().map(Switch::Device),
        // A risk has its time with the person, who outlives this.
        Effect::EndSessions | Effect::Risk(_) | Effect::Nothing => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ssf::{SecurityEvent, Signal, Subject, Target};

    fn order(effect: Effect, name: &str, second: i64) -> Order {
        let as_of = OffsetDateTime::from_unix_timestamp(second).unwrap();
        let target = match effect {
            Effect::Device { .. } => Target { device: Some(name.into()), ..Target::default() },
            _ => Target { person: Some(Person::Sub(name.into())), ..Target::default() },
        };
        let event = SecurityEvent {
            jti: "e1".into(),
            iat: as_of,
            txn: None,
            subject: Subject::default(),
            signal: Signal::AccountEnabled,
            event_timestamp: None,
            initiating_entity: None,
            reason: None,
        };
        Order { effect, target, as_of, event }
    }

    fn after(followed: &Order, next: &Order) -> Result<Effect, Note> {
        let mut latest = Latest::new(8);
        latest.note(followed);
        latest.effect(next)
    }

    #[test]
    fn the_later_of_two_events_counts_whichever_is_heard_of_first() {
        let (suspend, resume) = (order(Effect::Suspend, "ada", 20), order(Effect::Resume, "ada", 10));
        assert_eq!(after(&suspend, &resume), Err(Note::Outdated));
        assert_eq!(after(&suspend, &order(Effect::Resume, "ada", 30)), Ok(Effect::Resume));
        // Enabled again since: only the sessions of that time end.
        let enabled = order(Effect::Resume, "ada", 30);
        assert_eq!(after(&enabled, &order(Effect::Suspend, "ada", 20)), Ok(Effect::EndSessions));
    }

    #[test]
    fn of_two_at_the_same_time_the_one_that_takes_counts() {
        let (suspend, resume) = (order(Effect::Suspend, "ada", 20), order(Effect::Resume, "ada", 20));
        assert_eq!(after(&suspend, &resume), Err(Note::Outdated));
        assert_eq!(after(&resume, &suspend), Ok(Effect::Suspend));
    }

    #[test]
    fn a_switch_is_of_one_person_or_device_and_ending_sessions_sets_none() {
        let suspend = order(Effect::Suspend, "ada", 20);
        assert_eq!(after(&suspend, &order(Effect::Resume, "bob", 10)), Ok(Effect::Resume));
        let ended = order(Effect::EndSessions, "ada", 20);
        assert_eq!(after(&ended, &order(Effect::Resume, "ada", 10)), Ok(Effect::Resume));
        let lost = order(Effect::Device { compliant: false }, "laptop", 20);
        let good = |second| order(Effect::Device { compliant: true }, "laptop", second);
        assert_eq!(after(&lost, &good(20)), Err(Note::Outdated));
        assert_eq!(after(&lost, &good(21)), Ok(Effect::Device { compliant: true }));
        assert_eq!(after(&good(30), &lost), Err(Note::Outdated));
    }

    #[test]
    fn memory_is_bounded() {
        let mut latest = Latest::new(4);
        for n in 0..100 {
            latest.note(&order(Effect::Suspend, &n.to_string(), 20));
        }
        assert_eq!((latest.times.len(), latest.order.len()), (4, 4));
        assert_eq!(latest.effect(&order(Effect::Resume, "99", 10)), Err(Note::Outdated));
    }
}
