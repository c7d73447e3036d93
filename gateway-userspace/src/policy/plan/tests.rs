use super::*;
use crate::policy::model::{AllowListId, SessionLimits};
use gateway_common::KernelNanos;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Few ids of each kind, so that they meet: two states may mean different things by the same id.
fn tables() -> impl Strategy<Value = TableSet> {
    let prefixes = prop::collection::btree_map((1..3_u32, 0..PREFIXES.len()), 1..4_u32, 0..9);
    let apps = prop::collection::btree_map((1..4_u32, 0..2_u16), 1..4_u32, 2..7);
    let grants = prop::collection::btree_map((1..4_u32, 1..4_u32), (0..4_u64, 0..3_u64), 2..9);
    let sessions = prop::collection::btree_map(1..4_u64, (1..3_u32, 0..4_u32, 0..8_u64), 1..4);
    (prefixes, apps, grants, sessions).prop_map(|(prefixes, apps, grants, sessions)| TableSet {
        app_prefixes: prefixes
            .into_iter()
            .map(|((set, at), block)| ((AppSetId(set), PREFIXES[at].parse().unwrap()), BlockId(block)))
            .collect(),
        apps: apps.into_iter().map(|((block, port), app)| (app_key(block, port), AppEntry::new(app, false))).collect(),
        grants: grants
            .into_iter()
            .map(|((allow_list, app), said)| (GrantKey { allow_list, app }, grant(said)))
            .collect(),
        sessions: sessions
            .into_iter()
            .map(|(token, (set, list, other))| (SessionToken(token), entry(token, set, list, other)))
            .collect(),
    })
}

/// Two states, of which the second takes over a good part of the first.
fn states() -> impl Strategy<Value = (TableSet, TableSet)> {
    let kept = prop::collection::vec(prop::bool::weighted(0.75), 32);
    (tables(), tables(), kept).prop_map(|(a, mut b, kept)| {
        let mut kept = kept.into_iter().cycle();
        let mut is_kept = || kept.next().unwrap_or(false);
        if is_kept() {
            b.app_prefixes.extend(a.app_prefixes.iter().filter(|_| is_kept()).map(|(k, v)| (*k, *v)));
            b.apps.extend(a.apps.iter().filter(|_| is_kept()).map(|(k, v)| (*k, *v)));
            b.grants.extend(a.grants.iter().filter(|_| is_kept()).map(|(k, v)| (*k, *v)));
            b.sessions.extend(a.sessions.iter().filter(|_| is_kept()).map(|(k, v)| (*k, v.clone())));
        }
        for (whole, keep) in [(true, is_kept()), (false, is_kept())] {
            if whole && keep {
                (b.app_prefixes, b.apps) = (a.app_prefixes.clone(), a.apps.clone());
            } else if keep {
                b.grants.clone_from(&a.grants);
            }
        }
        (a, b)
    })
}

const PREFIXES: [&str; 4] = ["10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.2.0.0/16"];
const DESTINATIONS: [&str; 4] = ["10.9.0.1", "10.1.9.1", "10.1.1.1", "10.2.0.1"];

fn app_key(block: u32, port: u16) -> AppKey {
    AppKey { block, port: port.to_be_bytes(), protocol: 6, side: AppKey::SERVICE }
}

fn grant((age, budget): (u64, u64)) -> Grant {
    if age == 3 {
        return Grant::REFUSAL;
    }
    let max_authentication_age = if age == 0 { u64::MAX } else { 5 + 5 * age };
    Grant { max_authentication_age, budget: if budget == 0 { u64::MAX } else { budget }, ..Grant::UNLIMITED }
}

fn entry(token: u64, set: u32, list: u32, other: u64) -> SessionEntry {
    SessionEntry {
        address: std::net::IpAddr::from([192, 0, 2, token as u8 + (other & 1) as u8 * 8]),
        zone: 1,
        interface: 2,
        mac: None,
        deadline: KernelNanos(20 + (other >> 1 & 1) * 10),
        authenticated_at: KernelNanos(5 + (other >> 2 & 1) * 10),
        app_set: AppSetId(set),
        allow_list: AllowListId(list),
        limits: SessionLimits { new_flows_per_second: (other >> 1 & 1) as u32, ..SessionLimits::default() },
    }
}

/// Everything that is permitted: who, from where, to which destination and port, at which of a few times, up to which
/// budget.
fn permitted(tables: &TableSet) -> BTreeSet<(SessionToken, std::net::IpAddr, usize, u16, u64, u64)> {
    let mut found = BTreeSet::new();
    for (token, session) in &tables.sessions {
        for (at, destination) in DESTINATIONS.iter().enumerate() {
            for port in [1, 2] {
                for now in [8, 14, 18, 22, 28] {
                    let most = budget(tables, session, destination, port, KernelNanos(now)).unwrap_or(0);
                    found.extend((1..=most.min(3)).map(|used| (*token, session.address, at, port, now, used)));
                }
            }
        }
    }
    found
}

fn budget(tables: &TableSet, session: &SessionEntry, to: &str, port: u16, now: KernelNanos) -> Option<u64> {
    let to: std::net::IpAddr = to.parse().unwrap();
    let own = tables.app_prefixes.iter().filter(|((set, net), _)| *set == session.app_set && net.contains(&to));
    let (_, block) = own.max_by_key(|((_, net), _)| net.prefix_len())?;
    let app = tables.apps.get(&app_key(block.0, port)).or_else(|| tables.apps.get(&app_key(block.0, 0)))?;
    let grant = tables.grants.get(&GrantKey { allow_list: session.allow_list.0, app: app.app() })?;
    if grant.is_refusal() {
        return None;
    }
    let fresh = !session.authenticated_at.after(grant.max_authentication_age).has_passed(now);
    (fresh && !session.deadline.has_passed(now)).then_some(grant.budget)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_plan_leads_from_one_state_to_the_other((a, b) in states()) {
        let mut state = a.clone();
        state.apply_all(&Plan::between(&a, &b));
        prop_assert_eq!(state, b);
    }

    #[test]
    fn a_plan_that_is_taken_twice_or_taken_up_anew_leads_to_the_same((a, b) in states(), part in 0.0..1.0) {
        let plan = Plan::between(&a, &b);
        let mut state = a.clone();
        state.apply_all(&plan);
        state.apply_all(&plan);
        prop_assert_eq!(&state, &b);
        let (mut state, taken) = (a.clone(), (plan.steps.len() as f64 * part) as usize);
        plan.steps.iter().take(taken).for_each(|step| state.apply(step));
        state.apply_all(&Plan::between(&state, &b));
        prop_assert_eq!(&state, &b);
    }

    #[test]
    fn sessions_without_rules_reach_nothing_and_lose_no_slot(a in tables()) {
        let emptied = a.without_rules();
        prop_assert!(permitted(&emptied).is_empty());
        prop_assert!(!Plan::between(&a, &emptied).steps.iter().any(|step| matches!(step, Step::EndSession(_))));
    }

    #[test]
    fn no_part_of_a_plan_permits_what_neither_state_permits((a, b) in states()) {
        let lawful: BTreeSet<_> = permitted(&a).union(&permitted(&b)).copied().collect();
        let mut state = a.clone();
        for step in Plan::between(&a, &b).steps {
            state.apply(&step);
            let beyond: Vec<_> = permitted(&state).difference(&lawful).copied().collect();
            prop_assert!(beyond.is_empty(), "after {:?}: {:?}", step, beyond);
        }
    }

    #[test]
    fn a_plan_needs_no_more_than_it_says((a, b) in states()) {
        let plan = Plan::between(&a, &b);
        let (needs, mut most, mut state) = (plan.needs(&a, a.sessions.len()), plan::measure(&a), a.clone());
        for step in &plan.steps {
            state.apply(step);
            most = plan::largest(most, plan::measure(&state));
        }
        prop_assert_eq!(needs, most);
    }

    #[test]
    fn equal_states_need_no_steps(a in tables()) {
        prop_assert!(Plan::between(&a, &a).is_empty());
    }
}

mod plan {
    use super::super::{Needs, TableSet};

    pub fn measure(tables: &TableSet) -> Needs {
        Needs {
            sessions: tables.sessions.len(),
            app_prefixes: tables.app_prefixes.len(),
            app_ports: tables.apps.len(),
            grants: tables.grants.len(),
        }
    }

    pub fn largest(one: Needs, two: Needs) -> Needs {
        Needs {
            sessions: one.sessions.max(two.sessions),
            app_prefixes: one.app_prefixes.max(two.app_prefixes),
            app_ports: one.app_ports.max(two.app_ports),
            grants: one.grants.max(two.grants),
        }
    }
}

#[test]
fn who_gets_a_refusal_in_the_place_of_a_grant_moves_before_others_and_one_that_is_gone_is_no_loss() {
    let entry = |list: u32| move |token: u64| (SessionToken(token), entry(token, 1, list, 0));
    let key = |allow_list| GrantKey { allow_list, app: 1 };
    let grants = || [(key(1), Grant::UNLIMITED), (key(2), Grant::REFUSAL)].into();
    let with = |lists: [u32; 2]| TableSet {
        sessions: [(entry(lists[0]))(1), (entry(lists[1]))(2)].into(),
        grants: grants(),
        ..TableSet::default()
    };
    let order = |from, to| -> Vec<u64> {
        let token = |step: &Step| if let Step::UpdateSession(token, _) = step { token.0 } else { panic!("{step:?}") };
        Plan::between(&with(from), &with(to)).steps.iter().map(token).collect()
    };
    assert_eq!(order([2, 1], [1, 2]), [2, 1], "the second loses, the first gains");
    assert_eq!(order([2, 2], [3, 1]), [1, 2], "neither loses");
}

#[test]
fn a_session_that_moves_keeps_its_slot_and_one_with_another_source_does_not() {
    let with = |set, list, other| TableSet {
        sessions: [(SessionToken(1), entry(1, set, list, other))].into(),
        ..TableSet::default()
    };
    let moved = Plan::between(&with(1, 1, 0), &with(2, 2, 2)).steps;
    assert!(matches!(moved[..], [Step::UpdateSession(..)]), "{moved:?}");
    let elsewhere = Plan::between(&with(1, 1, 0), &with(1, 1, 1)).steps;
    assert!(matches!(elsewhere[..], [Step::EndSession(_), Step::OpenSession(..)]), "{elsewhere:?}");
}
