//! Asks the DNS for the names that apps have, and tells the core what has changed.
//!
//! When what is asked, and what counts for how long, is for `names::Schedule` to say. Names are asked for as they are: no
//! search domain, no hosts file, no cache but the schedule itself.

mod ask;
mod shared;

pub(super) use shared::NameStates;

use crate::config::DnsConfig;
use crate::core::{Actor, Core, CoreError, Request, State};
use crate::names::{Due, Outcome, Schedule};
use crate::policy::compile::AddressRefusal;
use crate::policy::{Answers, AppName, DnsName, Generation, Input};
use crate::record::Metrics;
use ask::Servers;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// How often the names are looked at when nothing has changed.
const SLOWLY: Duration = Duration::from_secs(3);
/// How long a look waits for the next change: a flood of them is not one of looks.
const PAUSE: Duration = Duration::from_millis(100);
/// How long changed answers wait for others that come at the same time.
const TOGETHER: Duration = Duration::from_secs(1);
/// After which time answers that were refused are tried again, even if nothing has changed.
const AGAIN: Duration = Duration::from_secs(30);

/// Keeps the answers up to date.
pub(super) async fn resolve(config: DnsConfig, core: Core, metrics: Metrics, states: NameStates) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return tracing::error!(%error, "signals cannot be received, so no names are looked up"),
    };
    let mut changes = core.changes();
    let mut servers = Servers::new(config.servers);
    let mut names = Names::new(config.keep, core, metrics, states);
    let mut asking: JoinSet<(Due, Outcome)> = JoinSet::new();
    loop {
        names.follow().await;
        for due in names.schedule.due(names.now()) {
            servers.renew_if_missing();
            asking.spawn(ask::ask(servers.resolver(), due));
        }
        names.tell().await;
        let wait = names.wait();
        tokio::select! {
            Some(done) = asking.join_next(), if !asking.is_empty() => names.learn(done),
            () = tokio::time::sleep(wait) => {}
            _ = changes.changed() => tokio::time::sleep(PAUSE).await,
            _ = hangup.recv() => servers.renew(),
        }
        while let Some(done) = asking.try_join_next() {
            names.learn(done);
        }
    }
}

/// Addresses that names of apps lead to, and why they are not the apps'.
type NotTheirs = BTreeMap<(AppName, DnsName, IpAddr), AddressRefusal>;

struct Names {
    schedule: Schedule,
    began: Instant,
    core: Core,
    metrics: Metrics,
    states: NameStates,
    /// The generation that was looked at last, and the answers that were in force then.
    generation: Option<Generation>,
    known: Answers,
    /// Since when answers wait to be told.
    waiting: Option<Duration>,
    /// The addresses that are not their apps', as far as that was told.
    not_theirs: NotTheirs,
    /// What was refused, and when: it is not told again at once.
    refused: Option<(Answers, Duration)>,
}

impl Names {
    fn new(keep: Duration, core: Core, metrics: Metrics, states: NameStates) -> Self {
        let schedule = Schedule::new(keep);
        Self {
            schedule,
            began: Instant::now(),
            core,
            metrics,
            states,
            generation: None,
            known: Answers::new(),
            waiting: None,
            not_theirs: NotTheirs::new(),
            refused: None,
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The names that apps have now, and what is in force of what they lead to.
    async fn follow(&mut self) {
        let seen = (self.generation, self.known.clone());
        let read = move |state: &State| {
            let gateway = &state.gateway;
            let now = (Some(gateway.generation()), gateway.answers().clone());
            // That looks at all apps.
            let not_theirs = (now != seen).then(|| gateway.located().refused);
            (gateway.names(), now, not_theirs)
        };
        // Fails while the daemon stops, or is busy: then it is looked again.
        let Ok((names, now, not_theirs)) = self.core.read(read).await else { return };
        (self.generation, self.known) = now;
        self.schedule.follow(&names, &self.known, self.now());
        if let Some(not_theirs) = not_theirs {
            self.note(not_theirs);
        }
    }

    fn learn(&mut self, done: Result<(Due, Outcome), tokio::task::JoinError>) {
        // Whoever asks does not panic, and is aborted only when the daemon stops.
        let Ok((due, outcome)) = done else { return };
        self.metrics.looked_up(outcome.label());
        let before = self.schedule.failure(&due);
        if let Outcome::Failure(failure) = &outcome
            && before != Some(*failure)
        {
            tracing::warn!(name = %due.0, family = ?due.1, failure = failure.label(), "a name of an app could not be looked up");
        }
        if let Some(left_out) = self.schedule.learn(&due, outcome, self.now()) {
            let most = Schedule::MOST_ADDRESSES;
            tracing::warn!(name = %due.0, family = ?due.1, left_out, "a name of an app has more than {most} addresses");
        }
    }

    /// Tells the core what is other than it knows, and everybody else how the names stand.
    async fn tell(&mut self) {
        let now = self.now();
        let meant = self.schedule.in_force(now);
        self.states.publish(&self.schedule, self.began, &self.metrics);
        let nothing = BTreeSet::new();
        let changed: Answers = meant
            .into_iter()
            .filter(|(name, addresses)| self.known.get(name).unwrap_or(&nothing) != addresses)
            .collect();
        if changed.is_empty() {
            (self.waiting, self.refused) = (None, None);
            return;
        }
        let was_refused = |(what, at): &(Answers, Duration)| *what == changed && now < *at + AGAIN;
        if self.refused.as_ref().is_some_and(was_refused) {
            return;
        }
        let since = *self.waiting.get_or_insert(now);
        if self.schedule.is_asking() && now < since + TOGETHER {
            return;
        }
        self.waiting = None;
        self.put(changed, now).await;
    }

    /// Counts the addresses that are not their apps', and tells of those that are new.
    fn note(&mut self, not_theirs: NotTheirs) {
        for reason in AddressRefusal::LABELS {
            let count = not_theirs.values().filter(|why| why.label() == reason).count();
            self.metrics.addresses_refused(reason, count);
        }
        for ((app, name, address), reason) in &not_theirs {
            if self.not_theirs.get(&(app.clone(), name.clone(), *address)) != Some(reason) {
                tracing::warn!(%app, %name, %address, %reason, "an address that a name leads to is not its app's");
            }
        }
        self.not_theirs = not_theirs;
    }

    /// All together. If that is refused each by itself: what fits is not to wait for what does not.
    async fn put(&mut self, changed: Answers, now: Duration) {
        let together = self.resolved(changed.clone()).await;
        if !matches!(together, Err(CoreError::Refused(_))) {
            return;
        }
        let mut refused = Answers::new();
        for (name, addresses) in changed {
            let one = Answers::from([(name.clone(), addresses.clone())]);
            if let Err(CoreError::Refused(error)) = self.resolved(one).await {
                self.say_refused(&name, &addresses, &error.to_string());
                refused.insert(name, addresses);
            }
        }
        self.refused = (!refused.is_empty()).then_some((refused, now));
    }

    async fn resolved(&self, answers: Answers) -> Result<(), CoreError> {
        self.core.change(Actor::local(), Request::Policy(Input::Resolved(answers))).await.map(drop)
    }

    fn say_refused(&self, name: &DnsName, addresses: &BTreeSet<IpAddr>, error: &str) {
        self.metrics.answer_refused();
        let was_said = self.refused.as_ref().is_some_and(|(what, _)| what.get(name) == Some(addresses));
        if !was_said {
            tracing::error!(%name, error, "what a name of an app leads to now is not in force; what it led to before stays");
        }
    }

    /// How long nothing is to be done but to wait for outcomes and changes.
    fn wait(&self) -> Duration {
        let now = self.now();
        let told = self.waiting.map(|since| since + TOGETHER);
        let next = self.schedule.next_deadline().into_iter().chain(told).min();
        next.map_or(SLOWLY, |next| next.saturating_sub(now)).clamp(Duration::from_millis(10), SLOWLY)
    }
}
