use super::*;
use proptest::prelude::*;

const KEEP: Duration = Duration::from_secs(3_600);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn name(text: &str) -> DnsName {
    DnsName::new(text).unwrap()
}

fn wiki() -> DnsName {
    name("wiki.example.net")
}

fn set(addresses: &[&str]) -> BTreeSet<IpAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

fn answer(addresses: &[&str], ttl: u64) -> Outcome {
    Outcome::Answer { addresses: set(addresses), ttl: secs(ttl) }
}

/// One name, whose IPv6 has been looked up and is nothing for an hour; IPv4 is open.
struct World(Schedule);

impl World {
    fn new(known: &[&str]) -> Self {
        let mut schedule = Schedule::new(KEEP);
        schedule.follow(&[wiki()].into(), &[(wiki(), set(known))].into(), secs(0));
        assert_eq!(schedule.due(secs(0)).len(), 2);
        let nothing = Outcome::Nothing { ttl: Some(secs(3_600)) };
        schedule.learn(&(wiki(), Family::V6), nothing, secs(0));
        Self(schedule)
    }

    fn learn(&mut self, outcome: Outcome, now: u64) {
        self.0.learn(&(wiki(), Family::V4), outcome, secs(now));
    }

    #[track_caller]
    fn leads_to(&mut self, addresses: &[&str], now: u64) {
        assert_eq!(self.0.in_force(secs(now)), [(wiki(), set(addresses))].into(), "after {now} s");
    }

    #[track_caller]
    fn is(&self, standing: Standing, next: u64) {
        let state = &self.0.states()[&wiki()];
        assert_eq!((state.standing, state.next), (standing, secs(next)), "{state:?}");
    }
}

#[test]
fn an_answer_holds_for_its_time_to_live_within_bounds() {
    for (ttl, next) in [(0, 5), (5, 5), (300, 300), (3_600, 3_600), (86_400, 3_600)] {
        let mut world = World::new(&[]);
        world.learn(answer(&["192.0.2.1"], ttl), 0);
        world.leads_to(&["192.0.2.1"], 0);
        world.is(Standing::Resolved, next);
    }
}

#[test]
fn an_address_that_is_gone_from_the_answer_counts_until_twice_its_time_after_it_was_seen() {
    let mut world = World::new(&[]);
    world.learn(answer(&["192.0.2.1", "192.0.2.2"], 60), 0);
    world.learn(answer(&["192.0.2.2", "192.0.2.3"], 10), 60);
    world.leads_to(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], 119);
    world.leads_to(&["192.0.2.2", "192.0.2.3"], 120);
}

#[test]
fn an_address_that_comes_back_does_not_leave() {
    let mut world = World::new(&[]);
    world.learn(answer(&["192.0.2.1"], 60), 0);
    world.learn(answer(&["192.0.2.2"], 60), 60);
    world.learn(answer(&["192.0.2.1"], 60), 100);
    world.leads_to(&["192.0.2.1", "192.0.2.2"], 150);
    world.leads_to(&["192.0.2.1"], 180);
}

#[test]
fn while_nobody_answers_the_last_answer_counts_and_the_question_is_repeated_ever_more_seldom() {
    let mut world = World::new(&[]);
    world.learn(answer(&["192.0.2.1"], 60), 0);
    let mut now = 60;
    for pause in [5, 10, 20, 40, 60, 60] {
        world.learn(Outcome::Failure(Failure::Timeout), now);
        now += pause;
        world.is(Standing::Stale, now);
    }
    world.leads_to(&["192.0.2.1"], 60 + 3_600 - 1);
    world.leads_to(&[], 60 + 3_600);
    world.is(Standing::Unresolved, now);
    world.learn(answer(&["192.0.2.1"], 60), 5_000);
    world.leads_to(&["192.0.2.1"], 5_000);
    world.is(Standing::Resolved, 3_600);
}

#[test]
fn that_a_name_is_no_more_is_an_answer() {
    let mut world = World::new(&[]);
    world.learn(answer(&["192.0.2.1"], 10), 0);
    world.learn(Outcome::Nothing { ttl: None }, 10);
    world.leads_to(&["192.0.2.1"], 19);
    world.is(Standing::Resolved, 70);
    world.leads_to(&[], 20);
    world.is(Standing::Unresolved, 70);
}

#[test]
fn what_was_known_at_the_start_counts_as_stale_until_somebody_answers() {
    let mut world = World::new(&["192.0.2.1"]);
    world.leads_to(&["192.0.2.1"], 0);
    world.learn(Outcome::Failure(Failure::Unreachable), 2);
    world.is(Standing::Stale, 7);
    world.leads_to(&["192.0.2.1"], 3_599);
    let mut another = World::new(&["192.0.2.1"]);
    another.learn(answer(&["192.0.2.2"], 30), 2);
    another.leads_to(&["192.0.2.1", "192.0.2.2"], 31);
    another.leads_to(&["192.0.2.2"], 32);
    world.leads_to(&[], 3_600);
}

#[test]
fn of_too_many_addresses_the_first_count_and_it_is_said_once() {
    let many = || {
        let addresses = (1..=70_u8).rev().map(|last| IpAddr::from([192, 0, 2, last])).collect();
        Outcome::Answer { addresses, ttl: secs(60) }
    };
    let (mut world, due) = (World::new(&[]), (wiki(), Family::V4));
    assert_eq!(world.0.learn(&due, many(), secs(0)), Some(6));
    assert_eq!(world.0.learn(&due, many(), secs(60)), None);
    let counted = &world.0.in_force(secs(60))[&wiki()];
    assert_eq!((counted.len(), counted.last().unwrap().to_string()), (64, "192.0.2.64".to_owned()));
}

#[test]
fn whoever_answers_with_other_addresses_each_time_has_no_more_than_is_allowed() {
    let mut world = World::new(&[]);
    for round in 0..20_u8 {
        let addresses = (0..40_u8).map(|last| IpAddr::from([192, 0, round, last])).collect();
        world.learn(Outcome::Answer { addresses, ttl: secs(3_600) }, u64::from(round));
        let counted = &world.0.in_force(secs(round.into()))[&wiki()];
        assert!(counted.len() <= Schedule::MOST_ADDRESSES, "{}", counted.len());
        assert!(counted.contains(&IpAddr::from([192, 0, round, 39])));
    }
}

#[test]
fn an_address_of_the_other_family_is_no_answer() {
    let mut world = World::new(&[]);
    world.learn(answer(&["2001:db8::1", "192.0.2.1"], 60), 0);
    world.leads_to(&["192.0.2.1"], 0);
}

#[test]
fn a_name_that_no_app_has_any_more_is_forgotten_and_its_late_answer_too() {
    let mut world = World::new(&["192.0.2.1"]);
    world.0.follow(&BTreeSet::new(), &Answers::new(), secs(1));
    world.learn(answer(&["192.0.2.1"], 60), 2);
    assert_eq!((world.0.in_force(secs(2)), world.0.next_deadline()), (Answers::new(), None));
}

const NAMES: [&str; 12] = ["a.x", "b.x", "c.x", "d.x", "e.x", "f.x", "g.x", "h.x", "i.x", "j.x", "k.x", "l.x"];

#[derive(Clone, Debug)]
struct Event {
    name: usize,
    v6: bool,
    outcome: Outcome,
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let address = |last: u8| [IpAddr::from([192, 0, 2, last]), format!("2001:db8::{last}").parse().unwrap()];
    let addresses = proptest::collection::btree_set(0..5_u8, 1..4)
        .prop_map(move |last| last.into_iter().flat_map(address).collect::<BTreeSet<_>>());
    prop_oneof![
        (addresses, 0..90_u64).prop_map(|(addresses, ttl)| Outcome::Answer { addresses, ttl: secs(ttl) }),
        proptest::option::of(0..90_u64).prop_map(|ttl| Outcome::Nothing { ttl: ttl.map(secs) }),
        Just(Outcome::Failure(Failure::Servfail)),
    ]
}

fn events(most: usize) -> impl Strategy<Value = Vec<Event>> {
    let event = (0..NAMES.len(), any::<bool>(), outcomes());
    proptest::collection::vec(event.prop_map(|(name, v6, outcome)| Event { name, v6, outcome }), 0..most)
}

impl Event {
    fn due(&self) -> Due {
        (name(NAMES[self.name]), if self.v6 { Family::V6 } else { Family::V4 })
    }
}

fn following() -> Schedule {
    let mut schedule = Schedule::new(KEEP);
    schedule.follow(&NAMES.map(name).into(), &Answers::new(), secs(0));
    schedule
}

proptest! {
    #[test]
    fn in_which_order_different_names_are_answered_does_not_matter(events in events(40), seed in any::<u64>()) {
        let (mut one, mut other) = (following(), following());
        for event in &events {
            one.learn(&event.due(), event.outcome.clone(), secs(1));
        }
        // Those of one question stay in their order.
        let mut shuffled: Vec<_> = events.iter().collect();
        shuffled.sort_by_key(|event| (event.name as u64 * 2 + u64::from(event.v6)).wrapping_mul(seed | 1));
        for event in shuffled {
            other.learn(&event.due(), event.outcome.clone(), secs(1));
        }
        prop_assert_eq!(one.states(), other.states());
        prop_assert_eq!(one.in_force(secs(7)), other.in_force(secs(7)));
    }

    #[test]
    fn no_address_counts_longer_than_it_may(events in events(60), pauses in proptest::collection::vec(0..2_000_u64, 60)) {
        let mut schedule = following();
        // When an answer named it last, and how long that answer and what may follow hold at most.
        let mut bounds: BTreeMap<(Due, IpAddr), Duration> = BTreeMap::new();
        let mut now = 0;
        for (event, pause) in events.iter().zip(&pauses) {
            now += pause;
            if let Outcome::Answer { addresses, ttl } = &event.outcome {
                let most = secs(now) + clamped(*ttl) + KEEP.max(clamped(*ttl));
                bounds.extend(addresses.iter().map(|address| ((event.due(), *address), most)));
            }
            schedule.learn(&event.due(), event.outcome.clone(), secs(now));
            for (name, address) in schedule.in_force(secs(now)).iter().flat_map(|(name, all)| all.iter().map(move |one| (name, one))) {
                let family = Family::ALL.into_iter().find(|family| family.has(*address)).unwrap();
                prop_assert!(bounds[&((name.clone(), family), *address)] > secs(now), "{name} {address} after {now} s");
            }
        }
    }

    #[test]
    fn no_more_questions_are_open_than_allowed_and_none_is_asked_twice_at_once(events in events(200), names in 0..12_usize) {
        let mut schedule = following();
        let mut open: BTreeSet<Due> = BTreeSet::new();
        for (now, event) in (0..).zip(&events) {
            for due in schedule.due(secs(now * 3)) {
                prop_assert!(open.insert(due));
            }
            prop_assert!(open.len() <= Schedule::MOST_IN_FLIGHT);
            if now == 50 {
                let some = NAMES[names..].iter().copied().map(name).collect();
                schedule.follow(&some, &Answers::new(), secs(now * 3));
                schedule.follow(&NAMES.map(name).into(), &Answers::new(), secs(now * 3));
            }
            let done = open.iter().nth(event.name % open.len().max(1)).cloned();
            if let Some(due) = done {
                open.remove(&due);
                schedule.learn(&due, event.outcome.clone(), secs(now * 3));
            }
        }
    }

    #[test]
    fn everything_is_asked_for_in_the_end(events in events(30)) {
        let mut schedule = following();
        for event in &events {
            schedule.learn(&event.due(), event.outcome.clone(), secs(0));
        }
        let mut asked = BTreeSet::new();
        let later = Schedule::LONGEST;
        loop {
            let open = schedule.due(later);
            if open.is_empty() {
                break;
            }
            for due in open {
                schedule.learn(&due, answer(&["192.0.2.1", "2001:db8::1"], 60), later);
                prop_assert!(asked.insert(due));
            }
        }
        prop_assert_eq!(asked.len(), 2 * NAMES.len());
        prop_assert!(schedule.next_deadline().is_some_and(|next| next > later));
    }
}
