//! Polling, stream management and pushing with a transmitter that really listens.

use super::receiver::{AUDIENCE, NOW, Recorder, profile};
use super::transmitter::{TOKEN, Transmitter};
use crate::identity::SecretHash;
use crate::identity::jose::{Pace, Store};
use crate::identity::ssf::{
    Condition, Credential, Effect, Failure, Intake, Kind, Liveness, MEDIA_TYPE, Manager, Poll, PollPace, Poller, Push,
    Pushed, Rhythm, TransmitterKeys, Wanted, Window,
};
use secrecy::SecretString;
use serde_json::json;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A gateway that polls a transmitter.
struct World {
    transmitter: Transmitter,
    core: Recorder,
    poll: Poll<TransmitterKeys, Recorder>,
    poller: Poller,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let transmitter = Transmitter::start();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
        let core = Recorder::default();
        let poll = Self::poll(&transmitter, &core, &folder);
        Self { transmitter, core, poll, poller: Poller::default(), folder }
    }

    fn poll(transmitter: &Transmitter, core: &Recorder, folder: &TempDir) -> Poll<TransmitterKeys, Recorder> {
        let keys = TransmitterKeys { client: transmitter.client.clone(), issuer: transmitter.issuer.clone() };
        let liveness = Liveness::new(Rhythm::default(), NOW);
        let store = Store::new(keys, Pace::default());
        let intake = Intake::new(profile(&transmitter.issuer, Window::POLL), store, core.clone(), liveness);
        Poll {
            client: transmitter.client.clone(),
            endpoint: transmitter.issuer.replace("/tenant", "/poll").parse().unwrap(),
            credential: Credential(folder.path().join("token")),
            pace: PollPace { patience: Duration::from_secs(20) },
            intake: Arc::new(intake),
        }
    }

    /// How long it waits then, whether it goes on or not.
    async fn step(&mut self) -> Duration {
        match self.poll.step(&mut self.poller, || NOW).await {
            ControlFlow::Continue(wait) | ControlFlow::Break(wait) => wait,
        }
    }

    /// As after a restart: nothing is remembered.
    fn restart(&mut self) {
        self.poll = Self::poll(&self.transmitter, &self.core, &self.folder);
        self.poller = Poller::default();
    }

    async fn manager(&self) -> Manager {
        let credential = Credential(self.folder.path().join("token"));
        let Transmitter { client, issuer, .. } = &self.transmitter;
        Manager::discover(client.clone(), credential, issuer, AUDIENCE.into()).await.unwrap()
    }

    fn effects(&self) -> Vec<Effect> {
        self.core.orders().iter().map(|order| order.effect).collect()
    }
}

#[tokio::test]
async fn events_are_polled_put_into_force_and_then_acknowledged() {
    let mut world = World::new();
    world.transmitter.emit("1", &Kind::AccountDisabled.uri(), &json!({}));
    world.transmitter.emit("2", &Kind::SessionPresented.uri(), &json!({}));
    world.transmitter.emit("3", &Kind::SessionRevoked.uri(), &json!({"event_timestamp": 1}));
    assert_eq!(world.step().await, Duration::ZERO);
    assert_eq!(world.effects(), [Effect::Suspend]);
    assert_eq!(world.transmitter.shared().acknowledged, [""; 0]);
    world.step().await;
    let shared = world.transmitter.shared();
    assert_eq!(shared.acknowledged, ["1", "2"]);
    assert_eq!(shared.refused, [("3".to_owned(), json!("invalid_request"))].into());
    assert!(shared.waiting.is_empty());
}

#[tokio::test]
async fn an_event_that_is_not_in_force_is_not_acknowledged_and_neither_is_one_of_before_a_restart() {
    let mut world = World::new();
    world.transmitter.emit("1", &Kind::AccountDisabled.uri(), &json!({}));
    world.core.set_broken(true);
    assert!(world.step().await >= Duration::from_millis(500));
    world.step().await;
    assert!(world.transmitter.shared().acknowledged.is_empty());
    world.core.set_broken(false);
    world.step().await;
    // It is in force, and the gateway goes down before it could say so.
    world.restart();
    world.step().await;
    world.step().await;
    assert_eq!(world.transmitter.shared().acknowledged, ["1"]);
    assert_eq!(world.effects(), [Effect::Suspend, Effect::Suspend]);
}

#[tokio::test]
async fn of_two_events_in_one_answer_the_later_counts_in_whichever_order_they_stand() {
    for (disabled, enabled, expected) in
        [("1", "2", vec![Effect::Suspend]), ("2", "1", vec![Effect::Resume, Effect::Suspend])]
    {
        let mut world = World::new();
        let at = |second: i64| json!({"event_timestamp": NOW.unix_timestamp() - second});
        world.transmitter.emit(disabled, &Kind::AccountDisabled.uri(), &at(10));
        world.transmitter.emit(enabled, &Kind::AccountEnabled.uri(), &at(20));
        world.step().await;
        world.step().await;
        assert_eq!((world.effects(), world.transmitter.shared().acknowledged.len()), (expected, 2));
    }
}

#[tokio::test]
async fn a_member_that_the_transmitter_calls_critical_keeps_from_giving_and_not_from_taking_away() {
    for (critical, expected) in [(vec![], Effect::Resume), (vec!["tenant"], Effect::Suspend)] {
        let mut world = World::new();
        world.transmitter.shared().critical = critical;
        world.transmitter.emit_of_tenant("1", &Kind::AccountEnabled.uri(), &json!({}), Some("t1"));
        world.step().await;
        world.transmitter.emit_of_tenant("2", &Kind::AccountDisabled.uri(), &json!({}), Some("t1"));
        world.step().await;
        assert_eq!(world.effects()[0], expected);
    }
}

#[tokio::test]
async fn an_outage_of_the_transmitter_loses_nothing() {
    let mut world = World::new();
    world.transmitter.emit("1", &Kind::AccountPurged.uri(), &json!({}));
    let twice = r#"{"sets": {"1": "a", "1": "b"}}"#;
    for (status, body) in [(500, ""), (503, ""), (200, "<html>"), (200, twice), (200, "{}"), (302, ""), (401, "")] {
        world.transmitter.shared().faults.push_back((status, body.to_owned()));
    }
    let huge = format!(r#"{{"sets": {{"1": "{}"}}}}"#, "x".repeat(3 * 1024 * 1024));
    world.transmitter.shared().faults.push_back((200, huge));
    assert!(world.step().await < Duration::from_secs(8));
    // `Retry-After` is 7 seconds.
    assert_eq!(world.step().await, Duration::from_secs(7));
    for _ in 0..6 {
        assert!(world.step().await >= Duration::from_secs(2));
        assert_eq!(world.effects(), []);
    }
    assert_eq!(world.step().await, Duration::ZERO);
    assert_eq!((world.effects(), world.poller.failures()), (vec![Effect::Remove], 0));
}

#[tokio::test]
async fn only_a_transmitter_that_says_that_there_is_no_such_stream_has_lost_it() {
    let mut world = World::new();
    for (status, is_lost) in [(404, true), (410, true), (400, false), (401, false), (503, false), (200, false)] {
        world.transmitter.shared().faults.push_back((status, String::new()));
        let next = world.poll.step(&mut world.poller, || NOW).await;
        assert_eq!(next.is_break(), is_lost, "{status}");
    }
}

#[tokio::test]
async fn an_event_under_another_name_than_its_own_is_refused() {
    let mut world = World::new();
    world.transmitter.emit("1", &Kind::AccountEnabled.uri(), &json!({}));
    let token = world.transmitter.shared().waiting.remove("1").unwrap();
    world.transmitter.shared().waiting.insert("2".into(), token);
    world.step().await;
    world.step().await;
    assert_eq!(world.effects(), []);
    assert_eq!(world.transmitter.shared().refused.keys().collect::<Vec<_>>(), ["2"]);
}

#[tokio::test]
async fn a_wrong_token_is_told_from_other_failures_and_a_new_one_in_the_file_counts_at_once() {
    let mut world = World::new();
    world.transmitter.emit("1", &Kind::AccountDisabled.uri(), &json!({}));
    let file = world.folder.path().join("token");
    std::fs::write(&file, "old").unwrap();
    world.step().await;
    assert_eq!((world.effects(), world.poller.failures()), (vec![], 1));
    std::fs::write(&file, TOKEN).unwrap();
    world.step().await;
    assert_eq!(world.effects(), [Effect::Suspend]);
}

#[tokio::test]
async fn a_stream_is_made_once_and_brought_up_to_date() {
    let world = World::new();
    let manager = world.manager().await;
    assert_eq!(manager.find(&Wanted::Poll).await, Ok(None));
    let made = manager.ensure(&Wanted::Poll).await.unwrap();
    let again = manager.ensure(&Wanted::Poll).await.unwrap();
    assert_eq!((&made.stream_id, world.transmitter.shared().streams.len()), (&again.stream_id, 1));
    assert_eq!(world.transmitter.shared().streams["s1"]["updated"], json!(true));
    assert_eq!(made.min_verification_interval(), Duration::from_secs(60));
    let endpoint = "https://gate.example/ssf/corp".parse().unwrap();
    let push = Wanted::Push { endpoint, authorization: Some(SecretString::from("Bearer push")) };
    assert_eq!(manager.ensure(&push).await.unwrap().stream_id, "s2");
    assert_eq!(world.transmitter.shared().streams["s2"]["delivery"]["authorization_header"], json!("Bearer push"));
}

#[tokio::test]
async fn a_verification_goes_to_the_transmitter_and_back_by_the_stream() {
    let mut world = World::new();
    let manager = world.manager().await;
    let id = manager.ensure(&Wanted::Poll).await.unwrap().stream_id;
    let state = world.poll.intake.verification_due(NOW).unwrap();
    assert_eq!(manager.verify(&id, &state).await, Ok(()));
    world.step().await;
    assert_eq!(world.poll.intake.condition(NOW), Condition::Alive);
    world.step().await;
    assert_eq!(world.transmitter.shared().acknowledged, ["verification"]);
}

#[tokio::test]
async fn a_transmitter_that_is_somebody_else_or_not_trusted_is_not_talked_to() {
    let (one, other) = (Transmitter::start(), Transmitter::start());
    let credential = || Credential("/nonexistent".into());
    let untrusted = Manager::discover(one.client.clone(), credential(), &other.issuer, AUDIENCE.into()).await;
    assert!(matches!(untrusted, Err(Failure::Unreachable(_))), "{untrusted:?}");
    let slash = format!("{}/", one.issuer);
    let another = Manager::discover(one.client.clone(), credential(), &slash, AUDIENCE.into()).await;
    assert!(matches!(another, Err(Failure::Malformed(_))), "{another:?}");
    let plain = Manager::discover(one.client.clone(), credential(), "http://127.0.0.1/tenant", AUDIENCE.into()).await;
    assert!(matches!(plain, Err(Failure::Malformed(_))), "{plain:?}");
}

#[tokio::test]
async fn a_pushed_event_is_answered_after_it_is_in_force() {
    let world = World::new();
    let authorization = Some(SecretHash::of("Bearer push"));
    let push = Push { intake: Arc::clone(&world.poll.intake), authorization };
    world.transmitter.emit("1", &Kind::AccountDisabled.uri(), &json!({}));
    let token = world.transmitter.shared().waiting["1"].clone();
    let pushed = |authorization| Pushed { content_type: Some(MEDIA_TYPE), authorization, body: token.as_bytes() };
    assert_eq!(push.answer(pushed(Some("Bearer guess")), NOW).await.status(), 400);
    assert_eq!(world.effects(), []);
    world.core.set_broken(true);
    assert_eq!(push.answer(pushed(Some("Bearer push")), NOW).await.status(), 503);
    world.core.set_broken(false);
    assert_eq!(push.answer(pushed(Some("Bearer push")), NOW).await.status(), 202);
    assert_eq!(world.effects(), [Effect::Suspend]);
}
