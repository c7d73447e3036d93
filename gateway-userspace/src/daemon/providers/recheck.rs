//! Asking providers again and again whether the sessions that began there may go on: each for itself, so that one that is
//! silent keeps no other waiting.
//!
//! Asking, what an answer means, and when it is time are apart. A token to ask with that a provider has given out is kept
//! whatever else the answer says: the one before it may be worth nothing any more.

use crate::api::{ProviderEntry, Providers};
use crate::core::{Actor, Core, CoreError, Renewed, Request, State};
use crate::identity::ProviderSession;
use crate::identity::oidc::{RefreshError, Refreshed, Refusal};
use crate::policy::{EndCause, Input, ProviderName, Selector, SessionToken};
use crate::record::Metrics;
use futures_util::future::{join_all, ready};
use futures_util::stream::{self, StreamExt as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// How often is looked whether somebody is to be asked about, and about how many a provider is asked at the same time.
const LOOK: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 16;
/// How many sessions a look goes through, which takes the core's thread 0.3 ms. All of 100,000 would take it 4 ms.
const PART: usize = 4_096;
/// How often a provider is asked again that could not be asked, or was not believed.
const RETRY: Duration = Duration::from_secs(30);

/// Asks providers, each as often as the configuration says, whether sessions that began there may go on.
pub(in crate::daemon) async fn renew(providers: Providers, core: Core, metrics: Metrics) {
    let attend = |(name, entry)| Asker { name, entry, core: &core, metrics: &metrics }.attend();
    join_all(providers.iter().map(attend)).await;
}

/// Asks one provider.
#[derive(Clone, Copy)]
struct Asker<'a> {
    name: &'a ProviderName,
    entry: &'a ProviderEntry,
    core: &'a Core,
    metrics: &'a Metrics,
}

/// What came of a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    /// The session goes on, or has ended.
    Known,
    /// The answer says nothing about this person.
    Unclear,
    /// There was no answer, which says something about the provider.
    Away,
}

/// What an answer asks for.
#[derive(Debug)]
enum Deed {
    End,
    GoOn(Box<Renewed>),
}

impl Asker<'_> {
    async fn attend(self) {
        let Self { name, entry, .. } = self;
        // A provider that cannot be reached now can be when somebody comes; whoever reads the log knows already.
        match entry.oidc.prepare(OffsetDateTime::now_utc()).await {
            Ok(()) => tracing::info!(provider = %name, "the identity provider answers"),
            Err(refusal) => {
                tracing::warn!(provider = %name, reason = refusal.label(), %refusal, "the identity provider does not answer");
            }
        }
        if let Some(every) = entry.settings.recheck {
            self.keep_asking(every).await;
        }
    }

    /// Looks again and again whom to ask about.
    async fn keep_asking(self, every: Duration) {
        let mut due = Due::default();
        loop {
            let (from, provider) = (due.from, self.name.clone());
            // Fails while the daemon stops, or is busy: then it is looked again.
            if let Ok(part) = self.core.read(move |state| part(state, &provider, from)).await {
                // One of which nothing is known yet has just begun, or the daemon has.
                due.take_up(part, Instant::now() + every);
            }
            let answers = pass(due.by(Instant::now()), |token| self.ask(token)).await;
            let is_away = answers.iter().any(|(_, outcome)| *outcome == Outcome::Away);
            due.again(answers, Instant::now(), every);
            tokio::time::sleep(if is_away { RETRY } else { LOOK }).await;
        }
    }

    /// Asks about one session, and has done what the answer says.
    async fn ask(self, token: SessionToken) -> Outcome {
        let Self { name, entry, core, metrics } = self;
        let kept = core.read(move |state| state.accounts.provider_sessions.get(&token).cloned()).await;
        // It may have ended meanwhile, or the core is busy.
        let Ok(kept) = kept else { return Outcome::Unclear };
        let Some((kept, refresh_token)) = kept.and_then(|kept| Some((kept.clone(), kept.refresh_token?))) else {
            return Outcome::Known;
        };
        let answer = entry.oidc.refresh(&refresh_token, &kept.subject, OffsetDateTime::now_utc()).await;
        let reason = label(&answer);
        metrics.renewed(reason);
        let (outcome, deed) = meaning(entry, token, kept, answer);
        if outcome != Outcome::Known {
            tracing::warn!(provider = %name, session = %token, reason, "a provider could not be asked whether a session may go on");
        } else if matches!(deed, Some(Deed::End)) {
            tracing::info!(provider = %name, session = %token, reason, "a provider does not let a session go on");
        }
        match deed {
            Some(deed) if !self.has_done(token, &deed).await && outcome == Outcome::Known => Outcome::Unclear,
            _ => outcome,
        }
    }

    /// Has the core do what an answer asks for, and waits for one that is busy: the provider does not say it twice.
    async fn has_done(self, token: SessionToken, deed: &Deed) -> bool {
        let actor = Actor::provider(self.name, None);
        loop {
            match self.core.change(actor.clone(), deed.request(token)).await {
                Ok(_) => return true,
                Err(CoreError::Busy) => tokio::time::sleep(LOOK).await,
                Err(error) => {
                    tracing::error!(provider = %self.name, session = %token, %error, "what a provider said of a session could not be done");
                    return false;
                }
            }
        }
    }
}

impl Deed {
    fn request(&self, token: SessionToken) -> Request {
        match self {
            Self::End => {
                let which = Selector::Sessions([token].into());
                Request::Policy(Input::End { which, cause: EndCause::ProviderRefused })
            }
            Self::GoOn(renewed) => Request::Renewed(Renewed::clone(renewed)),
        }
    }
}

/// Asks about sessions, several at a time. After the first question that finds nobody there, no other begins; those that
/// have begun come to their end, because a token that is on its way would be lost.
async fn pass<F: Future<Output = Outcome>>(
    tokens: Vec<SessionToken>,
    ask: impl Fn(SessionToken) -> F,
) -> Vec<(SessionToken, Outcome)> {
    let is_away = AtomicBool::new(false);
    let asked = |token| {
        let answer = ask(token);
        let is_away = &is_away;
        async move {
            let outcome = answer.await;
            is_away.fetch_or(outcome == Outcome::Away, Ordering::Relaxed);
            (token, outcome)
        }
    };
    let tokens = stream::iter(tokens).take_while(|_| ready(!is_away.load(Ordering::Relaxed)));
    tokens.map(asked).buffer_unordered(AT_ONCE).collect().await
}

/// The result of a question in metrics and logs.
fn label(answer: &Result<Refreshed, RefreshError>) -> &'static str {
    match answer {
        Ok(Refreshed { proven: Ok(_), .. }) => "goes_on",
        Ok(Refreshed { proven: Err(refusal), .. }) => refusal.label(),
        Err(error) => error.label(),
    }
}

/// What an answer means for a session, and what it asks for.
fn meaning(
    entry: &ProviderEntry,
    token: SessionToken,
    kept: ProviderSession,
    answer: Result<Refreshed, RefreshError>,
) -> (Outcome, Option<Deed>) {
    let go_on = |arrival, session| Some(Deed::GoOn(Box::new(Renewed { token, arrival, session })));
    let unclear = |refusal: Refusal| if refusal.is_outage() { Outcome::Away } else { Outcome::Unclear };
    match answer {
        Err(RefreshError::Ended) => (Outcome::Known, Some(Deed::End)),
        Err(RefreshError::Unreachable(_)) => (Outcome::Away, None),
        Err(RefreshError::Refused(_)) => (Outcome::Unclear, None),
        Ok(Refreshed { proven: Err(refusal), .. }) if refusal.ends_access() => (Outcome::Known, Some(Deed::End)),
        Ok(Refreshed { refresh_token: None, proven: Err(refusal) }) => (unclear(refusal), None),
        Ok(Refreshed { refresh_token, proven: Err(refusal) }) => {
            (unclear(refusal), go_on(None, ProviderSession { refresh_token, ..kept }))
        }
        Ok(Refreshed { refresh_token, proven: Ok(proven) }) => {
            let arrival = proven.as_ref().and_then(|proven| entry.arrival(&kept.provider, proven).ok());
            let refresh_token = refresh_token.or(kept.refresh_token);
            let id_token = proven.map(|proven| proven.id_token).or(kept.id_token);
            (Outcome::Known, go_on(arrival, ProviderSession { refresh_token, id_token, ..kept }))
        }
    }
}

/// A part of the sessions that there are: those that a provider can be asked about, and where the next part begins.
#[derive(Debug)]
struct Part {
    found: BTreeSet<SessionToken>,
    next: Option<SessionToken>,
}

fn part(state: &State, provider: &ProviderName, from: SessionToken) -> Part {
    let mut sessions = state.accounts.provider_sessions.range(from..);
    let looked_at = sessions.by_ref().take(PART);
    let found = looked_at.filter(|(_, kept)| kept.provider == *provider && kept.refresh_token.is_some());
    let found = found.map(|(token, _)| *token).collect();
    Part { found, next: sessions.next().map(|(token, _)| *token) }
}

/// When it is time to ask about which session, and from where on it is looked for others next.
#[derive(Debug)]
struct Due {
    at: BTreeMap<SessionToken, Instant>,
    from: SessionToken,
}

impl Default for Due {
    fn default() -> Self {
        Self { at: BTreeMap::new(), from: SessionToken(0) }
    }
}

impl Due {
    /// Forgets which sessions of a part have ended, and when to ask for the first time about those that are new.
    fn take_up(&mut self, part: Part, first: Instant) {
        let Part { found, next } = part;
        let is_elsewhere = |token: &SessionToken| *token < self.from || next.is_some_and(|next| *token >= next);
        self.at.retain(|token, _| is_elsewhere(token) || found.contains(token));
        for token in found {
            self.at.entry(token).or_insert(first);
        }
        self.from = next.unwrap_or(SessionToken(0));
    }

    /// About whom to ask now. Who has waited longest comes first, so that nobody is left out for ever because asking about
    /// somebody else fails.
    fn by(&self, now: Instant) -> Vec<SessionToken> {
        let due = self.at.iter().filter(|(_, at)| **at <= now);
        let mut due: Vec<_> = due.map(|(token, at)| (*at, *token)).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, token)| token).collect()
    }

    fn again(&mut self, answers: Vec<(SessionToken, Outcome)>, now: Instant, every: Duration) {
        self.at.extend(answers.into_iter().map(|(token, outcome)| match outcome {
            Outcome::Known => (token, now + every),
            Outcome::Unclear | Outcome::Away => (token, now + RETRY),
        }));
    }
}

#[cfg(test)]
mod tests;
