//! Policies that look at the clock, and that expire.

use super::*;
use crate::policy::model::Timestamp;
use jiff::SignedDuration;

const WORKING_HOURS: &str = r#"
    permit (principal in Group::"staff", action, resource == App::"wiki")
    when { context.time.hour >= 8 && context.time.hour < 17 && context.time.weekday != "sunday" };
    permit (principal, action, resource == App::"mail");"#;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl World {
    /// Three sessions under these policies, at this time.
    fn at(text: &str, now: &str) -> Self {
        let mut world = Self::with_sessions();
        world.gateway.set_clock(time(now));
        world.take(policy(text));
        world
    }

    /// Time passes.
    fn passes(&mut self, now: &str) -> Changed {
        self.gateway.set_clock(time(now));
        self.tick()
    }

    fn tick(&mut self) -> Changed {
        let changed = self.take(Input::Tick);
        assert!(!self.gateway.is_behind_the_clock());
        changed
    }
}

#[test]
fn sessions_gain_and_lose_with_the_hour_though_nobody_asks() {
    let mut world = World::at(WORKING_HOURS, "2026-03-10T07:59:59Z");
    assert_eq!((world.reach(2), world.gateway.is_behind_the_clock()), (vec!["mail"], false));
    assert_eq!(world.gateway.next_look_at_the_clock(), Some(time("2026-03-10T08:00:00Z")));
    let generation = world.gateway.generation();
    let changed = world.passes("2026-03-10T08:00:00Z");
    assert_eq!((changed.regranted.len(), world.reach(2)), (2, vec!["mail", "wiki"]));
    // An hour later policies see another hour, and nobody's access is another one.
    assert!(world.passes("2026-03-10T09:00:00Z").plan.is_empty());
    assert!(world.passes("2026-03-10T16:59:59.999Z").plan.is_empty());
    assert_eq!(&*world.passes("2026-03-10T17:00:00Z").regranted[0].lost, [app_name("wiki")]);
    assert_eq!((world.reach(1), world.reach(3)), (vec!["mail"], vec!["mail"]));
    assert_eq!(world.gateway.generation(), generation);
}

#[test]
fn a_clock_that_is_set_is_followed_in_both_directions() {
    let mut world = World::at(WORKING_HOURS, "2026-03-10T10:00:00Z");
    world.passes("2026-03-10T20:00:00Z");
    assert_eq!(world.reach(2), ["mail"]);
    world.passes("2026-03-10T10:30:00Z");
    assert_eq!(world.reach(2), ["mail", "wiki"]);
    // It was another time for a moment, and somebody came just then.
    world.gateway.set_clock(time("2026-03-10T20:00:00Z"));
    world.take(login(4, "bob", 4));
    assert_eq!(world.reach(4), ["mail"]);
    world.gateway.set_clock(time("2026-03-10T10:30:01Z"));
    assert!(world.gateway.is_behind_the_clock());
    world.tick();
    assert_eq!(world.reach(4), ["mail", "wiki"]);
}

#[test]
fn policies_that_do_not_look_at_the_clock_never_wait_for_it() {
    let mut world = World::at(BY_GROUP, "2026-03-10T10:00:00Z");
    world.gateway.set_clock(time("2036-03-10T10:00:00Z"));
    assert_eq!((world.gateway.next_look_at_the_clock(), world.gateway.is_behind_the_clock()), (None, false));
}

#[test]
fn a_new_policy_and_a_new_time_zone_are_decided_at_the_time_that_it_is() {
    let mut world = World::at(BY_GROUP, "2026-03-10T10:00:00Z");
    world.gateway.set_clock(time("2026-03-10T16:30:00Z"));
    world.take(policy(WORKING_HOURS));
    assert_eq!(world.reach(2), ["mail", "wiki"]);
    let mut bundle = world.gateway.bundle();
    bundle.settings.timezone = Timezone::new("Europe/Berlin").unwrap();
    let changed = world.take(apply(bundle));
    assert_eq!((changed.regranted.len(), world.reach(2)), (2, vec!["mail"]));
    world.passes("2026-03-11T06:59:59Z");
    assert_eq!(world.reach(2), ["mail"]);
    world.passes("2026-03-11T07:00:00Z");
    assert_eq!(world.reach(2), ["mail", "wiki"]);
}

#[test]
fn a_policy_that_cannot_be_evaluated_is_named_until_policies_change() {
    let text =
        r#"@id("sum") permit (principal, action, resource) when { context.time.hour * 9223372036854775807 > 0 };"#;
    let mut world = World::at(text, "2026-03-10T01:00:00Z");
    assert_eq!((world.gateway.faults().len(), world.reach(1)), (0, vec!["mail", "payroll", "wiki"]));
    let changed = world.passes("2026-03-10T02:00:00Z");
    assert_eq!((changed.faults.len(), world.gateway.faults().len(), world.reach(1)), (1, 1, vec![]));
    let warnings = world.gateway.policy_warnings();
    assert!(warnings[0].to_string().starts_with("1:1: it could not be evaluated"), "{warnings:?}");
    let again = Gateway::restore(stored(&world.gateway), Capacities::default(), SessionLimits::default(), NOW);
    assert_eq!(again.unwrap().0.faults().len(), 1);
    world.take(policy(BY_GROUP));
    assert_eq!((world.gateway.faults().len(), world.gateway.policy_warnings().len()), (0, 0));
}

#[test]
fn policies_expire_on_the_moment_permits_and_forbids_alike() {
    let text = r#"
        @expires("2026-03-10T12:00:00Z") permit (principal, action, resource == App::"wiki");
        @expires("2026-03-10") forbid (principal, action, resource == App::"mail");
        permit (principal, action, resource == App::"mail");"#;
    let mut world = World::at(text, "2026-03-10T11:59:59.999Z");
    assert_eq!(world.reach(3), ["wiki"]);
    world.passes("2026-03-10T12:00:00Z");
    assert_eq!(world.reach(3), [""; 0]);
    world.passes("2026-03-11T00:00:00Z");
    assert_eq!((world.reach(3), world.gateway.next_look_at_the_clock().is_some()), (vec!["mail"], true));
    let warnings = world.gateway.policy_warnings();
    assert_eq!(warnings.iter().filter(|warning| warning.message.contains("expired")).count(), 2, "{warnings:?}");
}

#[test]
fn a_gateway_that_comes_back_decides_at_the_time_that_it_is_then() {
    let world = World::at(WORKING_HOURS, "2026-03-10T10:00:00Z");
    let stored = Restored { now: time("2026-03-10T18:00:00Z"), ..stored(&world.gateway) };
    let (again, _) = Gateway::restore(stored, Capacities::default(), SessionLimits::default(), NOW).unwrap();
    let permitted = |gateway: &Gateway| gateway.session(SessionToken(2)).unwrap().permitted.len();
    assert_eq!((permitted(&world.gateway), permitted(&again), again.is_behind_the_clock()), (2, 1, false));
}

#[test]
fn where_the_tables_have_no_room_for_another_time_whoever_would_lose_something_loses_all() {
    let text = r#"
        permit (principal == User::"ada", action, resource) when { context.time.hour < 12 };
        permit (principal == User::"ada", action, resource == App::"mail");
        permit (principal == User::"bob", action, resource) when { context.time.hour >= 12 };
        permit (principal, action, resource == App::"wiki");"#;
    let mut world = World::at(text, "2026-03-10T11:59:59Z");
    assert_eq!((world.reach(1).len(), world.reach(2)), (3, vec!["wiki"]));
    world.gateway.capacities = Capacities { grants: 4, ..Capacities::default() };
    let changed = world.passes("2026-03-10T12:00:00Z");
    assert!(matches!(changed.cramped, Some(Refusal::TableFull { table: "grants", .. })), "{:?}", changed.cramped);
    assert_eq!((world.reach(1), world.reach(2), world.reach(3)), (vec![], vec!["wiki"], vec!["wiki"]));
    assert_eq!((changed.regranted.len(), changed.regranted[0].lost.len()), (1, 3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// However time passes, everybody has what a decision at that very moment gives, and it is enough to look where the
    /// gateway says.
    #[test]
    fn what_is_in_force_is_what_would_be_decided_now(
        conditions in proptest::collection::vec(0_usize..8, 1..4),
        zone in 0_usize..4,
        start in 1_760_000_000_i64..1_800_000_000,
        steps in proptest::collection::vec(1_i64..20_000, 1..8),
    ) {
        const CONDITIONS: [&str; 8] = [
            "context.time.hour == 2",
            "context.time.minute < 30",
            r#"context.time.weekday == "sunday""#,
            r#"context.time.date < datetime("2026-05-01")"#,
            r#"context.time.zone == "UTC" && context.time.hour > 12"#,
            "context.mfa",
            r#"["monday", "friday"].contains(context.time.weekday) && context.time.hour * 60 + context.time.minute > 90"#,
            "true",
        ];
        let zone = ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"][zone];
        let text: String = conditions.iter().enumerate().map(|(at, condition)| {
            let app = ["payroll", "wiki", "mail"][at];
            let condition = CONDITIONS[*condition];
            format!(r#"@expires("2026-06-0{}") permit (principal, action, resource == App::"{app}") when {{ {condition} }};"#, at + 1)
        }).collect();
        let mut now = Timestamp::from_second(start).unwrap();
        let mut world = World::with_sessions();
        let mut bundle = world.gateway.bundle();
        bundle.settings.timezone = Timezone::new(zone).unwrap();
        world.gateway.set_clock(now);
        world.take(apply(bundle));
        world.take(policy(&text));
        for step in steps {
            let target = now.checked_add(SignedDuration::from_secs(step)).unwrap();
            // As the core does: it wakes when the gateway says, and at no other time.
            while let Some(look) = world.gateway.next_look_at_the_clock().filter(|look| *look <= target) {
                prop_assert!(look > now);
                now = look;
                world.gateway.set_clock(now);
                world.gateway.handle(Input::Tick, NOW).unwrap();
                prop_assert!(!world.gateway.is_behind_the_clock());
            }
            now = target;
            world.gateway.set_clock(now);
            for app in ["payroll", "wiki", "mail"] {
                let decision = world.gateway.decide_for(&user_name("ada"), &[Factor::Password].into(), &source(1), &app_name(app));
                prop_assert_eq!(decision.unwrap().permit, world.reach(1).contains(&app), "{} {}", app, now);
            }
        }
    }
}
