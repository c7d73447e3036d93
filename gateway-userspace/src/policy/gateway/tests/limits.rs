//! Budgets, trip-wires, what apps open, and the limits of sessions, on their way to the kernel.

use super::*;
use gateway_common::abi::AppKey;

#[test]
fn a_changed_budget_reaches_the_kernel_and_those_who_lose_come_first() {
    let mut world = World::with_sessions();
    let set = world.gateway.app_set;
    let wiki = |budget| Input::PutApp(App { budget, ..app("wiki", "10.2.0.0/16") });
    for budget in [Some(2_000), Some(1_000), None] {
        let changed = world.take(wiki(budget));
        assert!(changed.regranted.is_empty() && changed.generation.is_some());
        let updated = changed.plan.steps.iter().filter(|step| matches!(step, Step::UpdateSession(..)));
        // Eve has no grant for it.
        assert_eq!(updated.count(), 2, "{budget:?}");
    }
    assert_eq!(world.gateway.app_set, set);
}

#[test]
fn an_app_that_becomes_a_trip_wire_is_granted_to_nobody_and_marked_until_it_is_disabled() {
    let mut world = World::with_sessions();
    let trap = App { trip_wire: true, ..app("mail", "10.3.0.0/16") };
    let changed = world.take(Input::PutApp(trap.clone()));
    assert_eq!((changed.regranted.len(), world.reach(3)), (3, vec![]));
    let armed = |world: &World| world.kernel.apps.values().filter(|entry| entry.is_trip_wire()).count();
    assert_eq!(armed(&world), 1);
    world.take(Input::PutApp(App { enabled: false, ..trap }));
    assert_eq!(armed(&world), 0);
}

#[test]
fn what_an_app_opens_gets_a_new_app_set() {
    let mut world = World::with_sessions();
    let set = world.gateway.app_set;
    let opens = [Service { protocol: Protocol::Udp, ports: Some((514, 514)) }].into();
    world.take(Input::PutApp(App { opens, ..app("mail", "10.3.0.0/16") }));
    assert_ne!(world.gateway.app_set, set);
    assert!(world.kernel.apps.keys().any(|key| key.side == AppKey::OPENS && key.port == 514_u16.to_be_bytes()));
}

#[test]
fn other_limits_are_an_update_of_every_session() {
    let mut world = World::with_sessions();
    let limits = SessionLimits { destinations_per_second: 48, ..SessionLimits::default() };
    let stored = stored(&world.gateway);
    let (new, problems) = Gateway::restore(stored, Capacities::default(), limits, NOW).unwrap();
    assert_eq!(problems, []);
    world.gateway = new;
    let plan = Plan::between(&world.kernel, &world.gateway.tables());
    assert_eq!(plan.steps.iter().filter(|step| matches!(step, Step::UpdateSession(..))).count(), 3);
    assert!(world.gateway.tables().sessions.values().all(|entry| entry.limits == limits));
    world.kernel.apply_all(&plan);
    let opened = world.take(login(9, "ada", 9)).opened.unwrap();
    assert_eq!(world.kernel.sessions[&opened.token].limits, limits);
}
