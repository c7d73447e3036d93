use super::*;
use crate::dataplane::explain::Basis;
use crate::health::FailureKind;
use crate::policy::{Missing, Protocol, Ruling};
use gateway_common::{DropReason, Verdict};
use std::time::Duration;

fn opinion(ruling: Ruling) -> Opinion {
    Opinion {
        ruling,
        policies: vec!["finance-payroll".to_owned()],
        rejects: false,
        age: Some(Duration::from_secs(9 * 3600)),
        most: Some(Duration::from_secs(8 * 3600)),
        faults: [("finance-payroll".to_owned(), "overflow".to_owned())].into(),
        missing: Vec::new(),
        groups: Vec::new(),
    }
}

fn gate(verdict: Verdict) -> Explanation {
    Explanation {
        verdict,
        basis: Basis::Policy,
        token: None,
        app: None,
        zone: 1,
        flow: false,
        opens: verdict == Verdict::Forward,
        observed: false,
        answered: false,
    }
}

const ALL: [Ruling; 10] = [
    Ruling::Permitted,
    Ruling::NoPolicy,
    Ruling::Forbidden,
    Ruling::LoginTooOld,
    Ruling::LoginUndated,
    Ruling::Fault,
    Ruling::AppDisabled,
    Ruling::TripWire,
    Ruling::UserDisabled,
    Ruling::UserSuspended,
];

/// The answer about Alice and payroll.
fn told(footing: Footing, opinion: Option<&Opinion>, gate: Option<&Explanation>) -> Told {
    let (user, app) = (UserName::new("alice").unwrap(), AppName::new("payroll").unwrap());
    let to = Destination { address: "10.20.0.10".parse().unwrap(), protocol: Protocol::Tcp, port: 443 };
    let app = opinion.map(|_| &app);
    let case = Case { who: "Alice", user: &user, to, app, footing, opinion, gate, trouble: None, outage: None };
    case.told()
}

#[test]
fn that_the_app_does_not_answer_is_told_where_the_gate_lets_through_and_nowhere_else() {
    let (user, app) = (UserName::new("alice").unwrap(), AppName::new("payroll").unwrap());
    let to = Destination { address: "10.20.0.10".parse().unwrap(), protocol: Protocol::Tcp, port: 443 };
    let since = time::macros::datetime!(2026-11-26 11:02:07 +1);
    let told = |footing, ruling, verdict, kind, owner: &str| {
        let failure = Failure::new(kind, "503 Service Unavailable");
        let outage = Outage { since, failure, owner: owner.to_owned() };
        let (opinion, gate) = (opinion(ruling), gate(verdict));
        let (opinion, gate) = (Some(&opinion), Some(&gate));
        let case = Case {
            who: "Alice",
            user: &user,
            to,
            app: Some(&app),
            footing,
            opinion,
            gate,
            trouble: None,
            outage: Some(&outage),
        };
        case.told()
    };
    let permitted = (Ruling::Permitted, Verdict::Forward);
    let Told { permitted: is, sentence, next_step, .. } =
        told(Footing::Live, permitted.0, permitted.1, FailureKind::Status, "finance");
    let expected = "The gate lets it through, but the app itself has not answered since 2026-11-26 10:02 UTC: the status says \
         that it fails (503 Service Unavailable).";
    assert!(is && sentence.starts_with("Alice reaches payroll at ") && sentence.ends_with(expected), "{sentence}");
    assert_eq!(next_step, "Ask whoever owns the app: finance.");
    let nobody = told(Footing::Live, permitted.0, permitted.1, FailureKind::Refused, "");
    assert!(nobody.sentence.ends_with("10:02 UTC: the connection is refused."), "{nobody:?}");
    assert_eq!(nobody.next_step, "Ask whoever runs the app; its definition names no `owner`.");
    for (footing, ruling, verdict) in [
        (Footing::Live, Ruling::NoPolicy, Verdict::Drop(DropReason::NoGrant)),
        (Footing::Live, Ruling::NoPolicy, Verdict::Forward),
        (Footing::Assumed, Ruling::Permitted, Verdict::Forward),
        (Footing::Absent, Ruling::Permitted, Verdict::Drop(DropReason::NoSession)),
        (Footing::Over, Ruling::Permitted, Verdict::Forward),
    ] {
        let other = told(footing, ruling, verdict, FailureKind::Refused, "finance");
        assert!(!other.sentence.contains("answered") && !other.next_step.contains("owns"), "{other:?}");
    }
}

#[test]
fn an_old_login_is_explained_as_a_help_desk_would() {
    let old = Opinion { missing: vec![Missing::FreshLogin], ..opinion(Ruling::LoginTooOld) };
    let dropped = gate(Verdict::Drop(DropReason::ReauthRequired));
    let Told { permitted, decider, disagree, sentence, next_step } = told(Footing::Live, Some(&old), Some(&dropped));
    assert_eq!((permitted, decider, disagree), (false, Decider::Gate, false));
    let expected = "Alice cannot reach payroll at 10.20.0.10:443/tcp: the last login is 9 hours old, and policy \
         `finance-payroll` accepts 8 hours.";
    assert_eq!((&sentence[..], &next_step[..]), (expected, "Log in again."));
}

#[test]
fn every_ruling_on_every_footing_has_a_sentence_and_a_next_step() {
    let bob = UserName::new("bob").unwrap();
    let footings = [Footing::Live, Footing::Absent, Footing::Taken(bob), Footing::Assumed, Footing::Over];
    for footing in footings {
        for ruling in ALL {
            let Told { permitted, sentence, next_step, .. } = told(footing.clone(), Some(&opinion(ruling)), None);
            assert!(sentence.starts_with("Alice ") && sentence.ends_with('.'), "{sentence}");
            assert!(next_step.ends_with('.') && !sentence.contains(".."), "{sentence} {next_step}");
            let speaks_of_now = matches!(footing, Footing::Live | Footing::Assumed);
            assert_eq!(permitted, speaks_of_now && ruling == Ruling::Permitted, "{footing:?} {ruling:?}");
        }
    }
}

#[test]
fn every_reason_of_the_gate_has_a_sentence_and_a_next_step_whatever_policies_say() {
    for reason in DropReason::ALL {
        for ruling in ALL {
            let dropped = gate(Verdict::Drop(*reason));
            let Told { permitted, sentence, next_step, .. } =
                told(Footing::Live, Some(&opinion(ruling)), Some(&dropped));
            assert!(!permitted && sentence.ends_with('.') && next_step.ends_with('.'), "{sentence} {next_step}");
        }
    }
}

#[test]
fn gate_and_policies_that_contradict_each_other_are_reported_and_the_gate_has_the_last_word() {
    let (yes, no) = (opinion(Ruling::Permitted), opinion(Ruling::NoPolicy));
    let drop = |reason| gate(Verdict::Drop(reason));
    for (gate, opinion, permitted) in [
        (gate(Verdict::Forward), Some(&no), true),
        (gate(Verdict::Forward), None, true),
        (drop(DropReason::NoGrant), Some(&yes), false),
        (drop(DropReason::NoGrant), None, false),
        (drop(DropReason::AppUnknown), Some(&yes), false),
        (drop(DropReason::NoSession), Some(&yes), false),
    ] {
        let told = told(Footing::Live, opinion, Some(&gate));
        assert!(told.disagree && told.sentence.contains("contradict each other"), "{told:?}");
        assert_eq!((told.permitted, told.decider), (permitted, Decider::Gate));
    }
    for (reason, opinion) in [
        (DropReason::NoGrant, Some(&no)),
        (DropReason::AppUnknown, None),
        (DropReason::FlowRate, Some(&yes)),
        (DropReason::SessionExpired, Some(&yes)),
    ] {
        assert!(!told(Footing::Live, opinion, Some(&drop(reason))).disagree, "{reason:?}");
    }
}

#[test]
fn what_is_only_observed_passes_and_is_said_to() {
    let dropped = Explanation { observed: true, ..gate(Verdict::Drop(DropReason::NoGrant)) };
    let told = told(Footing::Live, Some(&opinion(Ruling::NoPolicy)), Some(&dropped));
    assert!(told.permitted && told.sentence.ends_with("because the interface only observes."), "{}", told.sentence);
}

#[test]
fn whom_a_policy_wants_to_be_told_at_once_is_said_to_be_unless_the_interface_only_observes() {
    let no = Opinion { rejects: true, ..opinion(Ruling::Forbidden) };
    let dropped = gate(Verdict::Drop(DropReason::NoGrant));
    for footing in [Footing::Live, Footing::Assumed] {
        let Told { sentence, .. } = told(footing, Some(&no), Some(&dropped));
        assert!(
            sentence.ends_with("policy `finance-payroll` forbids it, and the client is told at once."),
            "{sentence}"
        );
    }
    let Told { sentence, .. } = told(Footing::Live, Some(&no), Some(&Explanation { observed: true, ..dropped }));
    assert!(sentence.contains("forbids it. It passes") && !sentence.contains("told"), "{sentence}");
}

#[test]
fn somebody_who_is_not_logged_in_is_told_to_log_in_if_that_helps() {
    let yes = told(Footing::Absent, Some(&opinion(Ruling::Permitted)), None);
    assert!(
        yes.sentence.starts_with("Alice is not logged in. After a login with two factors they would reach payroll")
    );
    assert_eq!((yes.permitted, &yes.next_step[..]), (false, "Log in."));
    let no = told(Footing::Absent, Some(&opinion(Ruling::UserDisabled)), None);
    assert!(
        no.sentence.contains("Even after a login with two factors they could not reach payroll"),
        "{}",
        no.sentence
    );
}

#[test]
fn a_denial_by_default_names_a_group_that_would_help() {
    let no = Opinion { groups: vec![crate::policy::GroupName::new("finance").unwrap()], ..opinion(Ruling::NoPolicy) };
    let told = told(Footing::Assumed, Some(&no), None);
    assert!(told.next_step.contains("`portcullis group join finance alice`"), "{}", told.next_step);
}
