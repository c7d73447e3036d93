//! What operators are told has every word that the receiver says.

use crate::identity::ssf::{Condition, Kind, Nobody, PushRefusal, Refusal};

const PAGE: &str = include_str!("../../../../../docs/reference/signals.md");

fn has(word: &str) -> bool {
    PAGE.contains(&format!("`{word}`"))
}

#[test]
fn the_page_says_what_every_event_does() {
    for kind in Kind::ALL {
        let uri = kind.uri();
        let name = uri.rsplit('/').next().unwrap();
        assert!(has(name), "{name}");
    }
}

#[test]
fn the_page_has_every_reason_and_condition() {
    let refusals = [
        Refusal::OtherJti,
        Refusal::HasSub,
        Refusal::SeveralEvents,
        Refusal::NoSubject,
        Refusal::SubjectMalformed,
        Refusal::SubjectsDisagree,
        Refusal::EventInFuture,
        Refusal::EventTimeAbsurd,
        Refusal::UnexpectedState,
    ];
    let pushes = [PushRefusal::Unauthorized, PushRefusal::MediaType, PushRefusal::TooLarge, PushRefusal::NoToken];
    let conditions = [Condition::Alive, Condition::New, Condition::Silent, Condition::Paused, Condition::Disabled];
    let nobodies = [Nobody::ForeignIssuer, Nobody::NoName, Nobody::NotToGive];
    let words = refusals.map(Refusal::label).into_iter().chain(pushes.map(PushRefusal::label));
    let words = words.chain(conditions.map(Condition::label)).chain(nobodies.map(Nobody::label));
    let missing: Vec<_> = words.filter(|word| !has(word)).collect();
    assert_eq!(missing, [""; 0]);
}
