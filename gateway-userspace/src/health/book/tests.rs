use super::*;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn name(app: &str) -> AppName {
    AppName::new(app).unwrap()
}

fn check(failures: u8) -> HealthCheck {
    HealthCheck { failures, ..HealthCheck::of("443/tcp".parse().unwrap()) }
}

fn wanted(apps: &[(&str, u8, &[&str])]) -> BTreeMap<AppName, Wanted> {
    let one = |(app, failures, addresses): &(&str, u8, &[&str])| {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        (name(app), Wanted { check: check(*failures), addresses })
    };
    apps.iter().map(one).collect()
}

fn refused() -> Result<Duration, Failure> {
    Err(Failure::new(FailureKind::Refused, "connection refused"))
}

fn answered() -> Result<Duration, Failure> {
    Ok(Duration::from_millis(3))
}

/// A book that tries these, and a clock.
struct World(Book, KernelNanos);

impl World {
    fn of(apps: &[(&str, u8, &[&str])]) -> Self {
        let mut world = Self(Book::default(), KernelNanos(SECOND));
        world.0.follow(wanted(apps), world.1, || 0.5);
        world
    }

    /// Waits for the next attempt, and lets it come to this.
    fn next(&mut self, result: impl FnOnce(&Attempt) -> Result<Duration, Failure>) -> Option<Turn> {
        self.1 = self.0.next_due().expect("somebody is next");
        let attempt = self.0.take(self.1, 0.5).expect("it is due");
        let result = result(&attempt);
        self.0.note(&attempt, result)
    }

    fn state(&self, app: &str) -> State {
        let app = self.0.apps.get(&name(app)).expect("it is tried");
        assert_eq!(app.state, app.judged());
        app.state
    }
}

#[test]
fn an_app_is_down_after_so_many_failures_in_a_row_and_up_after_one_answer() {
    let mut world = World::of(&[("crm", 3, &["192.0.2.1"])]);
    assert_eq!((world.state("crm"), world.next(|_| answered())), (State::Unknown, None));
    assert_eq!(world.state("crm"), State::Up);
    assert_eq!((world.next(|_| refused()), world.next(|_| refused()), world.next(|_| answered())), (None, None, None));
    let first = world.0.next_due().unwrap();
    assert_eq!((world.next(|_| refused()), world.next(|_| refused()), world.state("crm")), (None, None, State::Up));
    let turn = world.next(|_| refused()).expect("it has gone down");
    assert_eq!((turn.was, turn.state, turn.since), (State::Up, State::Down, first), "since the first failure");
    assert_eq!(turn.failure.map(|failure| failure.kind), Some(FailureKind::Refused));
    assert_eq!((world.next(|_| refused()), world.0.down()), (None, 1), "that it stays so is told once");
    let back = world.next(|_| answered()).expect("it has come back");
    assert_eq!((back.was, back.state, back.since, back.failure), (State::Down, State::Up, world.1, None));
    assert_eq!(world.0.down(), 0);
    assert_eq!(*world.0.results(), [(None, 3), (Some(FailureKind::Refused), 6)].into());
}

#[test]
fn an_app_whose_addresses_differ_answers_in_part() {
    let mut world = World::of(&[("crm", 1, &["192.0.2.1", "192.0.2.2"])]);
    let only = |good: &'static str| {
        move |attempt: &Attempt| if attempt.address.to_string() == good { answered() } else { refused() }
    };
    let turns: Vec<_> = (0..4).filter_map(|_| world.next(only("192.0.2.1"))).collect();
    assert_eq!(turns.last().map(|turn| turn.state), Some(State::Partly));
    let found = world.0.found(&name("crm"), &check(1));
    let down = found.outage("192.0.2.2".parse().unwrap()).expect("that one is down");
    assert_eq!(down.failure.as_ref().map(|failure| failure.kind), Some(FailureKind::Refused));
    assert_eq!(found.outage("192.0.2.1".parse().unwrap()), None);
    assert_eq!(found.outage("192.0.2.3".parse().unwrap()), None, "nothing is known of it");
    for _ in 0..4 {
        world.next(|_| refused());
    }
    assert_eq!(world.state("crm"), State::Down);
    let found = world.0.found(&name("crm"), &check(1));
    assert!(found.outage("192.0.2.3".parse().unwrap()).is_some(), "the app as a whole is down");
}

#[test]
fn what_is_gone_is_not_tried_and_a_changed_check_begins_anew() {
    let mut world = World::of(&[("crm", 1, &["192.0.2.1", "192.0.2.2"]), ("wiki", 1, &["192.0.2.9"])]);
    for _ in 0..3 {
        world.next(|_| refused());
    }
    assert_eq!(world.0.down(), 2);
    world.1 = world.0.next_due().unwrap();
    let under_way = world.0.take(world.1, 0.5).unwrap();
    // One address less, and one app less.
    world.0.follow(wanted(&[("crm", 1, &["192.0.2.1"])]), world.1, || 0.5);
    assert_eq!((world.state("crm"), world.0.queue.len(), world.0.down()), (State::Down, 1, 1));
    world.0.follow(wanted(&[("crm", 2, &["192.0.2.1"])]), world.1, || 0.5);
    assert_eq!((world.state("crm"), world.0.queue.len()), (State::Unknown, 1));
    assert_eq!(world.0.note(&under_way, answered()), None, "an answer to the check before");
    assert_eq!(world.state("crm"), State::Unknown);
    assert_eq!(world.0.found(&name("crm"), &check(1)), Found::NOTHING, "nothing was found by another check");
    world.0.follow(BTreeMap::new(), world.1, || 0.5);
    assert_eq!((world.0.next_due(), world.0.down(), world.0.all().count()), (None, 0, 0));
}

#[test]
fn five_thousand_apps_do_not_go_off_together() {
    let names: Vec<String> = (0..5_000).map(|app| format!("app{app}")).collect();
    let apps: Vec<(&str, u8, &[&str])> = names.iter().map(|app| (app.as_str(), 3, &["192.0.2.1"][..])).collect();
    let mut book = Book::default();
    let mut draws = (0_u32..).map(|draw| f64::from(draw.wrapping_mul(2_654_435_761)) / f64::from(u32::MAX));
    book.follow(wanted(&apps), KernelNanos(0), || draws.next().unwrap());
    let mut most = 0;
    for second in 0..120 {
        let until = KernelNanos(second * SECOND);
        let mut count = 0;
        while let Some(attempt) = book.take(until, draws.next().unwrap()) {
            book.note(&attempt, answered());
            count += 1;
        }
        most = most.max(count);
    }
    assert!(most < 500, "{most} in a second, and 208 are usual");
}

#[test]
fn one_new_app_is_tried_at_once() {
    let mut book = Book::default();
    book.follow(wanted(&[("crm", 1, &["192.0.2.1"])]), KernelNanos(0), || 1.0);
    assert!(book.next_due().unwrap().0 <= 10_000_000);
}

#[derive(Clone, Debug)]
enum Step {
    Follow(Vec<(u8, u8, u8)>),
    Try(bool, f64),
    Late(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let app = (0_u8..4, 1_u8..3, 0_u8..4);
    let step = prop_oneof![
        1 => prop::collection::vec(app, 0..5).prop_map(Step::Follow),
        6 => (any::<bool>(), 0.0..1.0).prop_map(|(up, chance)| Step::Try(up, chance)),
        1 => any::<bool>().prop_map(Step::Late),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    /// Whatever comes: every address is planned once and in the future of its attempt, states are what addresses say, turns
    /// go from one state to another as the book has it, and nothing is kept of what is gone.
    #[test]
    fn the_book_holds_what_it_promises(steps in steps()) {
        let (mut book, mut now, mut kept) = (Book::default(), KernelNanos(SECOND), None);
        for step in steps {
            match step {
                Step::Follow(apps) => {
                    let one = |(app, failures, count): (u8, u8, u8)| {
                        let addresses = (1..=count).map(|host| IpAddr::from([192, 0, 2, host])).collect();
                        (name(&format!("app{app}")), Wanted { check: check(failures), addresses })
                    };
                    let wanted: BTreeMap<_, _> = apps.into_iter().map(one).collect();
                    book.follow(wanted.clone(), now, || 0.3);
                    let tried = book.apps.iter().map(|(app, kept)| (app.clone(), kept.addresses.keys().copied().collect()));
                    let tried: BTreeMap<AppName, BTreeSet<IpAddr>> = tried.collect();
                    let meant = wanted.into_iter().map(|(app, wanted)| (app, wanted.addresses)).collect();
                    prop_assert_eq!(tried, meant);
                }
                Step::Try(up, chance) => {
                    now = book.next_due().map_or(now, |due| KernelNanos(due.0.max(now.0)));
                    let Some(attempt) = book.take(now, chance) else { continue };
                    let before = book.found(&attempt.app, &attempt.check).state;
                    let turn = book.note(&attempt, if up { answered() } else { refused() });
                    let after = book.found(&attempt.app, &attempt.check).state;
                    let told = turn.map(|turn| (turn.was, turn.state));
                    let is_news = before != after && after != State::Unknown && (before, after) != (State::Unknown, State::Up);
                    prop_assert_eq!(told, is_news.then_some((before, after)));
                    let due = book.apps[&attempt.app].addresses[&attempt.address].due;
                    prop_assert!(due.0 >= now.0 + u64::try_from(attempt.check.timeout.as_nanos()).unwrap());
                    kept = Some(attempt);
                }
                Step::Late(up) => {
                    // Of something that may be gone, or be another one now.
                    if let Some(attempt) = &kept {
                        book.note(attempt, if up { answered() } else { refused() });
                    }
                }
            }
            let planned: BTreeSet<_> = book.apps.iter().flat_map(|(app, kept)| {
                kept.addresses.iter().map(|(address, kept)| (kept.due, app.clone(), *address))
            }).collect();
            prop_assert_eq!(&planned, &book.queue);
            for app in book.apps.values() {
                prop_assert_eq!(app.state, app.judged());
                prop_assert_eq!(app.since.is_none(), app.state == State::Unknown);
            }
        }
    }
}
