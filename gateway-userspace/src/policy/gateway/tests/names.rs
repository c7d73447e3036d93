//! Apps by name: where they are follows from what the DNS says.

use super::*;
use crate::policy::compile::AddressRefusal;
use crate::policy::model::{Answers, DnsName};
use std::net::IpAddr;

pub(super) const NAMES: [&str; 3] = ["wiki.example.net", "books.example.net", "mail.example.net"];
/// Some lie in prefixes of apps, and one where no app can be.
const ADDRESSES: [&str; 5] = ["10.1.1.7", "10.2.0.7", "10.5.0.7", "2001:db8::7", "127.0.0.1"];

fn name(text: &str) -> DnsName {
    DnsName::new(text).unwrap()
}

/// An app with a prefix and a name, or with a name that leads into the prefix.
pub(super) fn named(app: &str, net: &str, host: &str, within: bool) -> App {
    let app = super::app(app, net);
    let (prefixes, net) = (app.prefixes.clone(), app.prefixes.clone());
    let (prefixes, within) = if within { (BTreeSet::new(), net) } else { (prefixes, BTreeSet::new()) };
    App { prefixes, within, names: [name(host)].into(), ..app }
}

pub(super) fn answers() -> impl Strategy<Value = Answers> {
    let addresses = prop::collection::btree_set(prop::sample::select(&ADDRESSES[..]), 0..3);
    let one = (prop::sample::select(&NAMES[..]), addresses);
    prop::collection::vec(one, 1..3).prop_map(|all| {
        all.into_iter().map(|(host, addresses)| (name(host), addresses.into_iter().map(ip).collect())).collect()
    })
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn answer(host: &str, addresses: &[&str]) -> Input {
    Input::Resolved([(name(host), addresses.iter().map(|text| ip(text)).collect())].into())
}

/// Where the tables have entries, as text.
fn places(world: &World) -> Vec<String> {
    world.kernel.app_prefixes.keys().map(|(_, net)| net.to_string()).collect()
}

fn wiki() -> App {
    App { prefixes: BTreeSet::new(), names: [name("wiki.example.net")].into(), ..app("wiki", "10.2.0.0/16") }
}

#[test]
fn an_app_is_where_its_names_lead_and_follows_them() {
    let mut world = World::with_sessions();
    world.take(Input::PutApp(wiki()));
    assert_eq!(places(&world), ["10.1.0.0/16", "10.3.0.0/16"], "nobody knows yet where the wiki is");
    let generation = world.gateway.generation();
    let changed = world.take(answer("wiki.example.net", &["10.2.0.7", "2001:db8::7"]));
    assert_eq!((changed.generation, changed.regranted.len()), (None, 0), "nobody may reach another app");
    assert_eq!(places(&world), ["10.1.0.0/16", "10.2.0.7/32", "10.3.0.0/16", "2001:db8::7/128"]);
    let moved = changed.plan.steps.iter().filter(|step| matches!(step, Step::UpdateSession(..)));
    assert_eq!(moved.count(), world.gateway.sessions().len());

    let again = world.take(answer("wiki.example.net", &["10.2.0.7", "2001:db8::7"]));
    assert!(again.plan.is_empty());
    world.take(answer("wiki.example.net", &["10.2.0.8"]));
    assert_eq!(places(&world), ["10.1.0.0/16", "10.2.0.8/32", "10.3.0.0/16"]);
    assert_eq!(world.gateway.generation(), generation);
    world.take(answer("wiki.example.net", &[]));
    assert_eq!(places(&world), ["10.1.0.0/16", "10.3.0.0/16"]);
}

#[test]
fn what_no_app_has_a_name_for_is_forgotten_and_never_in_force() {
    let mut world = World::with_sessions();
    world.take(Input::PutApp(wiki()));
    world.take(answer("elsewhere.example.net", &["10.5.0.7"]));
    assert!(world.gateway.answers().is_empty());
    world.take(answer("wiki.example.net", &["10.2.0.7"]));
    world.take(Input::RemoveApp(app_name("wiki")));
    assert_eq!(places(&world), ["10.1.0.0/16", "10.3.0.0/16"]);
    world.take(Input::Resolved(Answers::new()));
    assert!(world.gateway.answers().is_empty());
}

#[test]
fn answers_outlast_a_restart() {
    let mut world = World::with_sessions();
    world.take(Input::PutApp(wiki()));
    world.take(answer("wiki.example.net", &["10.2.0.7"]));
    let (new, problems) =
        Gateway::restore(stored(&world.gateway), Capacities::default(), SessionLimits::default(), NOW).unwrap();
    assert_eq!(problems, []);
    let nets = |gateway: &Gateway| -> Vec<ipnet::IpNet> {
        gateway.tables().app_prefixes.keys().map(|(_, net)| *net).collect()
    };
    assert_eq!(nets(&new), nets(&world.gateway));
}

#[test]
fn what_the_tables_have_no_room_for_changes_nothing() {
    let mut world = World::with_sessions();
    world.take(Input::PutApp(wiki()));
    let before = places(&world);
    world.gateway.capacities.app_prefixes = 8;
    let many: Vec<String> = (0..9).map(|host| format!("10.2.0.{host}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = world.take_at(answer("wiki.example.net", &many), NOW).unwrap_err();
    assert!(matches!(refused, Refusal::TableFull { .. }), "{refused}");
    assert_eq!((places(&world), world.gateway.answers().len()), (before, 0));
}

#[test]
fn a_name_takes_nothing_from_what_was_declared_and_its_refusal_says_how_it_could() {
    let mut world = World::with_sessions();
    let refusals = |world: &World| -> Vec<(String, AddressRefusal)> {
        let refused = world.gateway.located().refused;
        refused.into_iter().map(|((_, _, address), why)| (address.to_string(), why)).collect()
    };
    world.take(Input::PutApp(wiki()));
    world.take(answer("wiki.example.net", &["10.1.0.7", "127.0.0.1", "10.2.0.7"]));
    let declared = ("10.1.0.7".to_owned(), AddressRefusal::Declared(app_name("payroll")));
    let nowhere = ("127.0.0.1".to_owned(), AddressRefusal::NotRoutable);
    assert_eq!(refusals(&world), [declared.clone(), nowhere.clone()]);
    assert_eq!(places(&world), ["10.1.0.0/16", "10.2.0.7/32", "10.3.0.0/16"]);

    let within = |net: &str| App { within: [net.parse().unwrap()].into(), ..wiki() };
    world.take(Input::PutApp(within("10.1.0.0/24")));
    let outside = |address: &str| (address.to_owned(), AddressRefusal::Outside);
    assert_eq!(refusals(&world), [outside("10.2.0.7"), nowhere.clone()], "the narrower declaration counts");
    assert_eq!(places(&world), ["10.1.0.0/16", "10.1.0.7/32", "10.3.0.0/16"]);
    world.take(Input::PutApp(within("10.0.0.0/8")));
    assert_eq!(refusals(&world), [declared, nowhere]);
}

#[test]
fn where_names_of_two_apps_lead_is_neither_s() {
    let mut world = World::with_sessions();
    let books = App { names: [name("books.example.net")].into(), ..App { name: app_name("books"), ..wiki() } };
    world.take(Input::PutApp(wiki()));
    world.take(Input::PutApp(books.clone()));
    world.take(answer("wiki.example.net", &["10.5.0.7", "10.5.0.8"]));
    world.take(answer("books.example.net", &["10.5.0.7"]));
    assert_eq!(places(&world), ["10.1.0.0/16", "10.3.0.0/16", "10.5.0.8/32"]);
    let refused: Vec<AddressRefusal> = world.gateway.located().refused.into_values().collect();
    assert_eq!(refused, ["wiki", "books"].map(|other| AddressRefusal::Contested(app_name(other))));
    let at_another_port = [Service { protocol: Protocol::Udp, ports: Some((53, 53)) }].into();
    world.take(Input::PutApp(App { services: at_another_port, ..books }));
    assert_eq!(places(&world), ["10.1.0.0/16", "10.3.0.0/16", "10.5.0.7/32", "10.5.0.8/32"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// In whatever order they come: what is in force follows from the answers that came last for each name.
    #[test]
    fn the_order_of_answers_does_not_matter(all in prop::collection::vec(answers(), 1..8), within in any::<bool>()) {
        let apps = [named("wiki", "10.2.0.0/16", NAMES[0], within), named("books", "10.4.0.0/16", NAMES[1], !within)];
        let (mut one, mut other) = (World::with_sessions(), World::with_sessions());
        apps.iter().for_each(|app| drop(one.take(Input::PutApp(app.clone()))));
        let mut last = Answers::new();
        for answers in all {
            last.extend(answers.clone());
            one.take(Input::Resolved(answers));
        }
        for (name, addresses) in last.into_iter().rev() {
            other.take(Input::Resolved([(name, addresses)].into()));
        }
        // Here they were there before the apps were.
        prop_assert!(other.gateway.answers().is_empty());
        apps.iter().for_each(|app| drop(other.take(Input::PutApp(app.clone()))));
        other.take(Input::Resolved(one.gateway.answers().clone()));
        prop_assert_eq!(places(&one), places(&other));
        prop_assert_eq!(one.gateway.located().refused, other.gateway.located().refused);
        let refused: BTreeSet<String> =
            one.gateway.located().refused.into_keys().map(|(_, _, address)| ipnet::IpNet::from(address).to_string()).collect();
        let owned = one.gateway.answers().values().flatten().map(|address| ipnet::IpNet::from(*address).to_string());
        for place in owned.filter(|place| !refused.contains(place)) {
            prop_assert!(places(&one).contains(&place), "{} is neither refused nor in force", place);
        }
    }
}
