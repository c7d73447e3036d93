//! The way of a security event token through the gateway, the same for push and poll: verify, read, decide, put into
//! force, and only then note that it was dealt with.

use super::effect::Effect;
use super::event::{Initiator, SecurityEvent, Window};
use super::latest::Latest;
use super::liveness::{Condition, Liveness, Rhythm};
use super::naming::Naming;
use super::order::{Apply, NotApplied, Note, Order, Ruling, rule};
use super::refusal::{Refusal, SetError};
use super::seen::Seen;
use super::signal::Signal;
use super::stream::Published;
use crate::identity::jose::{Algorithms, Expect, Kind, Source, Store, TokenRefusal};
use std::sync::{Mutex, MutexGuard, PoisonError};
use time::OffsetDateTime;

/// As many events as are remembered: at one a second, those of 18 hours.
const REMEMBERED: usize = 65_536;

/// What the tokens of a stream must be, and whom they may name.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The transmitter, letter by letter as in its configuration.
    pub issuer: String,
    /// For whom its tokens are.
    pub audience: String,
    /// How they may be signed.
    pub algorithms: Algorithms,
    /// When they may have been issued.
    pub window: Window,
    /// Whom they name.
    pub naming: Naming,
}

/// Why a token has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// It is not to be believed, or not an event as the framework has them.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is right, and not in force.
    #[error(transparent)]
    NotApplied(#[from] NotApplied),
}

impl IntakeError {
    /// Its word in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.label(),
            Self::NotApplied(_) => "not_applied",
        }
    }

    /// What the transmitter is told; `None` if the fault is not its own, and it shall send the token again.
    #[must_use]
    pub fn answer(self) -> Option<SetError> {
        match self {
            Self::NotApplied(_) | Self::Refused(Refusal::Token(TokenRefusal::KeysUnavailable)) => None,
            Self::Refused(refusal) => Some(refusal.into()),
        }
    }
}

/// What became of a token.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// The event.
    pub event: SecurityEvent,
    /// What is in force now, or why nothing was done.
    pub done: Result<Effect, Note>,
}

impl Taken {
    /// Without the subject: who it was about stands in the audit trail.
    fn log(&self, issuer: &str) {
        let Self { event: SecurityEvent { jti, txn, signal, initiating_entity, reason, .. }, done } = self;
        let (event, kind, initiator) = (jti.as_str(), signal.label(), initiating_entity.map(Initiator::label));
        match done {
            Ok(effect) => {
                let effect = effect.label();
                tracing::info!(issuer, event, kind, effect, txn, initiator, reason, "security event in force");
            }
            Err(note) => tracing::info!(issuer, event, kind, note = note.label(), txn, "security event noted"),
        }
    }
}

/// Takes the tokens of one stream.
#[derive(Debug)]
pub struct Intake<S: Source<Item = Published>, A> {
    profile: Profile,
    keys: Store<S>,
    apply: A,
    memory: Mutex<Memory>,
    /// Held while an order is followed.
    latest: tokio::sync::Mutex<Latest>,
}

#[derive(Debug)]
struct Memory {
    seen: Seen,
    liveness: Liveness,
}

impl<S: Source<Item = Published>, A: Apply> Intake<S, A> {
    /// One that has taken nothing yet.
    #[must_use]
    pub fn new(profile: Profile, keys: Store<S>, apply: A, liveness: Liveness) -> Self {
        let memory = Mutex::new(Memory { seen: Seen::new(REMEMBERED), liveness });
        let latest = tokio::sync::Mutex::new(Latest::new(REMEMBERED));
        Self { profile, keys, apply, memory, latest }
    }

    /// Takes a token. What it orders is in force when this returns. `delivered_as` is the `jti` that a poll named it by.
    ///
    /// The same token twice at the same moment is put into force twice, which does no harm.
    ///
    /// # Errors
    /// If it is refused, or right and not in force.
    pub async fn take(
        &self,
        token: &str,
        delivered_as: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Taken, IntakeError> {
        let taken = self.put_into_force(token, delivered_as, now).await;
        let issuer = self.profile.issuer.as_str();
        match &taken {
            Ok(taken) => taken.log(issuer),
            Err(error) => tracing::warn!(issuer, reason = error.label(), %error, "security event refused"),
        }
        taken
    }

    async fn put_into_force(
        &self,
        token: &str,
        delivered_as: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Taken, IntakeError> {
        let claims = self.keys.verify(token, &self.expect(), now).await.map_err(Refusal::from)?;
        let event = SecurityEvent::read(&claims, self.profile.window.leeway, now)?;
        if delivered_as.is_some_and(|jti| jti != event.jti) {
            return Err(Refusal::OtherJti.into());
        }
        if self.memory().seen.contains(&self.profile.issuer, &event.jti) {
            return Ok(Taken { event, done: Err(Note::Replayed) });
        }
        // They were there a moment ago, with the keys.
        let published = self.keys.current(now).await.ok_or(Refusal::Token(TokenRefusal::KeysUnavailable))?;
        let done = match rule(event.clone(), &self.profile.naming, &published.critical) {
            Ruling::Apply(order) => self.follow(*order).await?,
            Ruling::Noted(note) => Err(note),
        };
        self.settle(&event, now)?;
        Ok(Taken { event, done })
    }

    /// One at a time, so that two events about the same person cannot overtake each other.
    async fn follow(&self, mut order: Order) -> Result<Result<Effect, Note>, NotApplied> {
        let mut latest = self.latest.lock().await;
        match latest.effect(&order) {
            Err(note) => return Ok(Err(note)),
            Ok(effect) => order.effect = effect,
        }
        self.apply.apply(order.clone()).await?;
        latest.note(&order);
        Ok(Ok(order.effect))
    }

    /// The transmitter says how often it may be asked for a verification event.
    pub fn pace(&self, rhythm: Rhythm) {
        self.memory().liveness.pace(rhythm);
    }

    /// The transmitter has lost the stream.
    pub fn lost(&self) {
        self.memory().liveness.lost();
    }

    /// The `state` to ask the transmitter with for a verification event, if it is time to.
    pub fn verification_due(&self, now: OffsetDateTime) -> Option<String> {
        self.memory().liveness.due(now)
    }

    /// How the stream is.
    #[must_use]
    pub fn condition(&self, now: OffsetDateTime) -> Condition {
        self.memory().liveness.condition(now)
    }

    fn expect(&self) -> Expect<'_> {
        let Profile { issuer, audience, algorithms, window, .. } = &self.profile;
        let Window { leeway, oldest } = *window;
        Expect { issuer, audience, algorithms, leeway, oldest, kind: Kind::SecurityEvent }
    }

    fn settle(&self, event: &SecurityEvent, now: OffsetDateTime) -> Result<(), Refusal> {
        let mut memory = self.memory();
        match &event.signal {
            Signal::Verification { state } => memory.liveness.verified(state.as_deref(), now)?,
            Signal::StreamUpdated { status } => memory.liveness.updated(*status),
            _ => {}
        }
        memory.seen.note(&self.profile.issuer, &event.jti);
        Ok(())
    }

    /// Nothing panics while it is held.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
