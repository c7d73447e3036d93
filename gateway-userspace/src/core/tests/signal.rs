//! What the events of a provider do to people here.

use super::provision::{arrival, arrives, corp, name, person, scim, user_of};
use super::*;
use crate::identity::scim::{Action, ResourceKind};
use crate::identity::ssf::{Effect, Kind, Order, Person, SecurityEvent, Signal, Subject, Target};
use crate::identity::{Arrival, KnownAs};
use crate::policy::Risk;
use serde_json::json;
use time::{Duration, OffsetDateTime};

fn order(effect: Effect, kind: Kind, target: Target, as_of: OffsetDateTime) -> Request {
    let event = SecurityEvent {
        jti: "e1".into(),
        iat: as_of,
        txn: None,
        subject: Subject::default(),
        signal: Signal::read(&kind.uri(), json!({}).as_object().unwrap()),
        event_timestamp: None,
        initiating_entity: None,
        reason: None,
    };
    Request::Signal(corp(), Box::new(Order { effect, target, as_of, event }))
}

fn subject(subject: &str) -> Target {
    Target { person: Some(Person::Sub(subject.into())), ..Target::default() }
}

async fn with_ada() -> Core {
    // Events are dated on the wall clock, which goes with the kernel's.
    let mut plane = MemoryDataPlane::new(Capacities::default());
    plane.clock = crate::dataplane::clock::boot();
    let core = core_on(&Disk::default(), plane);
    ask(&core, arrives(1, arrival("1", "ada", &[]))).await.unwrap();
    core
}

#[tokio::test]
async fn a_revoked_session_ends_and_one_that_began_later_does_not() {
    let core = with_ada().await;
    let later = OffsetDateTime::now_utc() + Duration::HOUR;
    let early = later - Duration::hours(2);
    let revoke = |as_of| order(Effect::EndSessions, Kind::SessionRevoked, subject("1"), as_of);
    assert!(ask(&core, revoke(early)).await.unwrap().receipts.is_empty(), "a late event ends no newer session");
    let done = ask(&core, revoke(later)).await.unwrap();
    assert_eq!(done.receipts[0].cause, EndCause::ProviderLogout);
    assert!(ask(&core, revoke(later)).await.unwrap().receipts.is_empty());
}

#[tokio::test]
async fn the_cause_is_that_of_the_event() {
    for (kind, cause) in [
        (Kind::CredentialChange, EndCause::CredentialChanged),
        (Kind::AssuranceLevelChange, EndCause::AssuranceLowered),
        (Kind::RiskLevelChange, EndCause::RiskRaised),
    ] {
        let core = with_ada().await;
        let later = OffsetDateTime::now_utc() + Duration::HOUR;
        let done = ask(&core, order(Effect::EndSessions, kind, subject("1"), later)).await.unwrap();
        assert_eq!(done.receipts[0].cause, cause, "{kind:?}");
    }
}

#[tokio::test]
async fn the_risk_of_a_person_is_what_the_latest_event_says_and_of_two_at_once_the_higher() {
    let core = with_ada().await;
    let now = OffsetDateTime::now_utc() - Duration::MINUTE;
    let at = |second| now + Duration::seconds(second);
    let risk = |risk, second| order(Effect::Risk(risk), Kind::RiskLevelChange, subject("1"), at(second));
    for (event, expected) in [
        (risk(Risk::Low, 10), Risk::Low),
        (risk(Risk::Medium, 20), Risk::Medium),
        (risk(Risk::Low, 15), Risk::Medium),
        (risk(Risk::Low, 20), Risk::Medium),
        (order(Effect::EndSessions, Kind::RiskLevelChange, subject("1"), at(30)), Risk::High),
        (risk(Risk::Medium, 30), Risk::High),
        (order(Effect::EndSessions, Kind::SessionRevoked, subject("1"), at(40)), Risk::High),
        (risk(Risk::Low, 50), Risk::Low),
    ] {
        ask(&core, event).await.unwrap();
        assert_eq!(user_of(&core, "ada").await.unwrap().risk, expected);
    }
}

#[tokio::test]
async fn a_session_of_another_name_at_the_provider_goes_on() {
    let core = with_ada().await;
    let later = OffsetDateTime::now_utc() + Duration::HOUR;
    let of = |sid: &str| Target { session: Some(sid.into()), ..Target::default() };
    let end = |target| order(Effect::EndSessions, Kind::SessionRevoked, target, later);
    assert!(ask(&core, end(of("other"))).await.unwrap().receipts.is_empty());
    assert!(ask(&core, end(Target { person: subject("1").person, ..of("other") })).await.unwrap().receipts.is_empty());
    assert_eq!(ask(&core, end(of("s"))).await.unwrap().receipts.len(), 1);
}

#[tokio::test]
async fn who_is_disabled_is_suspended_and_only_a_later_event_gives_access_back() {
    let core = with_ada().await;
    let now = OffsetDateTime::now_utc();
    let done = ask(&core, order(Effect::Suspend, Kind::AccountDisabled, subject("1"), now)).await.unwrap();
    assert_eq!(done.receipts[0].cause, EndCause::UserSuspended);
    let resume = |as_of| order(Effect::Resume, Kind::AccountEnabled, subject("1"), as_of);
    ask(&core, resume(now - Duration::HOUR)).await.unwrap();
    assert!(user_of(&core, "ada").await.unwrap().suspended, "an old event that is sent again gives nothing back");
    ask(&core, resume(now + Duration::SECOND)).await.unwrap();
    assert!(!user_of(&core, "ada").await.unwrap().suspended);
    ask(&core, order(Effect::Remove, Kind::AccountPurged, subject("1"), now)).await.unwrap();
    assert_eq!(user_of(&core, "ada").await, None);
}

#[tokio::test]
async fn a_name_means_a_user_of_that_provider_and_nobody_else() {
    let core = with_ada().await;
    ask(&core, Request::Policy(Input::PutUser(User::new(name("root"))))).await.unwrap();
    let now = OffsetDateTime::now_utc() + Duration::HOUR;
    let called = |name: &str| Target { person: Some(Person::UserName(name.into())), ..Target::default() };
    for target in [called("root"), subject("2"), called("no body")] {
        ask(&core, order(Effect::Suspend, Kind::AccountDisabled, target, now)).await.unwrap();
    }
    assert!(!user_of(&core, "root").await.unwrap().suspended && !user_of(&core, "ada").await.unwrap().suspended);
    ask(&core, order(Effect::Suspend, Kind::AccountDisabled, called("ADA"), now)).await.unwrap();
    assert!(user_of(&core, "ada").await.unwrap().suspended);
}

#[tokio::test]
async fn one_device_that_is_not_compliant_speaks_for_its_owner_until_it_is() {
    let core = with_ada().await;
    let now = OffsetDateTime::now_utc();
    let device = |compliant, id: &str, target: Target| {
        let target = Target { device: Some(id.into()), ..target };
        order(Effect::Device { compliant }, Kind::DeviceComplianceChange, target, now)
    };
    let is_compliant = async || user_of(&core, "ada").await.unwrap().standing().compliant;
    assert!(!is_compliant().await, "unknown is not compliant");
    ask(&core, device(true, "laptop", subject("1"))).await.unwrap();
    assert!(is_compliant().await);
    ask(&core, device(false, "phone", subject("1"))).await.unwrap();
    assert!(!is_compliant().await);
    ask(&core, device(true, "phone", Target::default())).await.unwrap();
    assert!(is_compliant().await, "whoever has the device is meant, if nobody is named");
    ask(&core, device(false, "nobody-s", Target::default())).await.unwrap();
    assert!(is_compliant().await);
}

#[tokio::test]
async fn a_directory_that_has_not_said_so_gives_back_nothing_that_an_event_has_taken() {
    let core = core(&Disk::default());
    ask(&core, pushed(1, Action::Create(person("ada", true)))).await.unwrap();
    ask(&core, arrives(1, Arrival { known_as: Some(KnownAs::Name), ..arrival("1", "ada", &[]) })).await.unwrap();
    let now = OffsetDateTime::now_utc();
    ask(&core, order(Effect::Suspend, Kind::AccountDisabled, subject("1"), now)).await.unwrap();
    let mut renamed = person("ada", true);
    renamed.insert("displayName".into(), json!("Countess"));
    ask(&core, pushed(1, Action::Replace(renamed))).await.unwrap();
    let ada = user_of(&core, "ada").await.unwrap();
    assert_eq!((ada.display_name.as_str(), ada.suspended), ("Countess", true), "a synchronization of names");
    for (active, suspended) in [(false, true), (true, false)] {
        ask(&core, pushed(1, Action::Replace(person("ada", active)))).await.unwrap();
        assert_eq!(user_of(&core, "ada").await.unwrap().suspended, suspended, "it says `active: {active}`");
    }
}

fn pushed(number: u128, action: Action) -> Request {
    scim(ResourceKind::User, number, action)
}
