//! Tries whether apps answer, as their health checks say, and tells when one goes down or comes back.
//!
//! The attempts are the gateway's own: they leave by the host's routes, and no session is asked about them. A name in a URL
//! is for the server only; where the connection goes is the app's address, whatever DNS says.

mod attempt;

use crate::core::Core;
use crate::dataplane::clock;
use crate::health::{Attempt, Failure, Health, State, Turn, Wanted};
use crate::policy::{AppName, AppSetId, Gateway, Generation};
use crate::record::Recorder;
use attempt::Trust;
use gateway_common::KernelNanos;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;

/// Attempts at one time. Five thousand apps of a network that is gone, tried every 30 s for 5 s each, keep 833 under way: with
/// fewer they are tried less often, and nothing else waits for them.
const AT_ONCE: usize = 256;
/// How often it is looked whether there are other apps.
const LOOK: Duration = Duration::from_secs(1);

/// Tries what is due, for ever.
pub(super) async fn keep(core: Core, health: Health, recorder: Recorder) {
    let (mut trust, mut under_way) = (Trust::default(), JoinSet::new());
    let (mut followed, mut looked) = (None, None);
    loop {
        let now = clock::boot();
        if looked.is_none_or(|last: KernelNanos| now.since(last) >= nanos(LOOK)) {
            followed = follow(&core, &health, followed).await;
            looked = Some(now);
        }
        while under_way.len() < AT_ONCE
            && let Some(attempt) = health.book(|book| book.take(clock::boot(), rand::random()))
        {
            let trust = trust.of(&attempt.check.probe).await;
            under_way.spawn(async move {
                let result = attempt::run(&attempt, trust).await;
                (attempt, result)
            });
        }
        let pause = pause(&health, under_way.len() < AT_ONCE);
        tokio::select! {
            Some(ended) = under_way.join_next() => match ended {
                Ok((attempt, result)) => note(&health, &recorder, &attempt, result),
                Err(error) => tracing::error!(%error, "a health check has ended early"),
            },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Until the next attempt, if there is room for one; but not longer than until it is looked again.
fn pause(health: &Health, has_room: bool) -> Duration {
    let due = health.book(|book| book.next_due()).filter(|_| has_room);
    due.map_or(LOOK, |due| Duration::from_nanos(due.since(clock::boot()))).clamp(Duration::from_millis(1), LOOK)
}

/// What apps there are, and where.
type Apps = (Generation, AppSetId);

/// Learns the apps, if there are others than those that are followed, or elsewhere. Returns which they are now.
async fn follow(core: &Core, health: &Health, followed: Option<Apps>) -> Option<Apps> {
    let read = core.read(move |state| {
        let now = (state.gateway.generation(), state.gateway.app_set());
        (followed != Some(now)).then(|| (now, wanted(&state.gateway)))
    });
    match read.await {
        Ok(Some((now, wanted))) => {
            health.book(|book| book.follow(wanted, clock::boot(), rand::random));
            Some(now)
        }
        Ok(None) => followed,
        // The daemon stops, or is busy: then it is looked again.
        Err(_) => followed,
    }
}

/// The apps that are to be tried. A disabled one is not.
fn wanted(gateway: &Gateway) -> BTreeMap<AppName, Wanted> {
    let located = gateway.located();
    let apps = located.apps.values().filter(|app| app.enabled);
    let wanted = apps.filter_map(|app| {
        let check = app.health.clone()?;
        let addresses = check.targets(app).into_iter().collect();
        Some((app.name.clone(), Wanted { check, addresses }))
    });
    wanted.collect()
}

fn note(health: &Health, recorder: &Recorder, attempt: &Attempt, result: Result<Duration, Failure>) {
    if let Some(turn) = health.book(|book| book.note(attempt, result)) {
        tell(&turn);
        recorder.app_turned(&turn);
    }
}

fn tell(turn: &Turn) {
    let Turn { app, was: _, state, since: _, address, failure } = turn;
    let (error, detail) = failure.as_ref().map_or(("none", ""), |failure| (failure.kind.label(), &failure.detail));
    match state {
        State::Down => tracing::warn!(%app, %address, error, detail, "an app does not answer"),
        State::Partly => tracing::warn!(%app, %address, error, detail, "an app answers only at some of its addresses"),
        State::Up | State::Unknown => tracing::info!(%app, %address, "an app answers again"),
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
