//! A picture of who reaches what: people of equal reach on the left, the policies that permit it in the middle, apps on the
//! right. A way from left to right is one that the policies permit, and there is no other: a policy that permits different
//! apps to different people is in the picture as often as that.
//!
//! It stays readable: apps that are reached alike are drawn as one, and where there is too much for a picture, what most people
//! reach is drawn, and what was left out is said in it.

mod dot;
mod svg;

pub(super) use dot::dot;
pub(super) use svg::svg;

use crate::wire::{Alike, ReachMap};
use std::collections::{BTreeMap, BTreeSet};

/// Most nodes of people.
const MOST_PEOPLE: usize = 40;
/// Most nodes of apps.
const MOST_APPS: usize = 60;
/// From this many apps on those that are reached alike are one.
const MANY_APPS: usize = 30;
/// Names in a label.
const NAMES: usize = 3;
/// Names in what is shown when somebody points at a node.
const MORE_NAMES: usize = 40;

/// What is drawn.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Picture {
    pub(super) title: String,
    /// What the picture says, as a sentence.
    pub(super) desc: String,
    /// From left to right: people, policies, apps.
    pub(super) columns: [Vec<Node>; 3],
    /// From people to policies, then from policies to apps.
    pub(super) edges: [Vec<Edge>; 2],
    /// What is not drawn.
    pub(super) notes: Vec<String>,
}

/// People, policies or apps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Node {
    pub(super) label: String,
    /// A second, smaller line; may be empty.
    pub(super) below: String,
    /// Everything there is to say.
    pub(super) tip: String,
    /// Nobody reaches it, or it reaches nothing.
    pub(super) is_idle: bool,
}

/// From the node of one column to that of the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    /// How many people use this way now, by a session.
    pub(super) now: usize,
}

/// The policies that permit something, and which apps to the same people.
type Way<'m> = (&'m [String], Vec<&'m str>);

impl Picture {
    pub(super) fn of(map: &ReachMap) -> Self {
        let (reaching, idle): (Vec<_>, Vec<_>) = map.alike.iter().partition(|alike| !alike.grants.is_empty());
        let drawn = reaching.get(..MOST_PEOPLE).unwrap_or(&reaching);
        let mut picture = Self {
            title: format!("Who reaches what, by generation {} of the policies", map.policy_generation),
            ..Self::default()
        };
        let (mut ways, mut first) = taken(drawn);
        let mut apps = App::of(&ways);
        if apps.len() > MANY_APPS {
            apps = joined(apps);
        }
        apps.sort_by(|one, other| one.middle().total_cmp(&other.middle()).then_with(|| one.names.cmp(&other.names)));
        let (all_apps, undrawn) =
            (apps.len(), apps.get(MOST_APPS..).map_or(0, |rest| rest.iter().map(|app| app.names.len()).sum()));
        apps.truncate(MOST_APPS);
        drop_dead_ends(&mut ways, &mut first, &mut apps);
        let second = second(drawn, &ways, &first, &apps);
        picture.edges = [first, second];
        let mut people: Vec<_> = drawn.iter().map(|alike| person(alike)).collect();
        people.extend(nothing(&idle, map.inactive));
        let unreached = unreached(map);
        picture.columns =
            [people, ways.iter().map(way).collect(), apps.iter().map(App::node).chain(unreached.1).collect()];
        let count = |alike: &[&Alike]| alike.iter().map(|alike| alike.users.len()).sum::<usize>();
        picture.desc = format!(
            "{} of {} people reach {} of {} apps.",
            count(&reaching),
            count(&reaching) + count(&idle) + map.inactive,
            map.apps.len() - unreached.0,
            map.apps.len()
        );
        if reaching.len() > drawn.len() {
            let people = count(&reaching) - count(drawn);
            picture.notes.push(format!(
                "Left out: {people} more people, in {} more kinds of equal reach. Narrow it down with --group, --user or --app.",
                reaching.len() - drawn.len()
            ));
        }
        if undrawn != 0 {
            picture.notes.push(format!(
                "Left out: {undrawn} more apps, in {} more kinds. Narrow it down with --group, --user or --app.",
                all_apps - MOST_APPS
            ));
        }
        picture
    }
}

/// All ways, and who goes which. The ways are in the order of those who go them: lines cross less.
fn taken<'m>(drawn: &[&'m Alike]) -> (Vec<Way<'m>>, Vec<Edge>) {
    let (mut ways, mut first, mut known) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (from, alike) in drawn.iter().enumerate() {
        for (way, now) in ways_of(alike) {
            let to = *known.entry(way.clone()).or_insert(ways.len());
            if to == ways.len() {
                ways.push(way);
            }
            first.push(Edge { from, to, now });
        }
    }
    (ways, first)
}

/// Without the ways that lead to no app that is drawn.
fn drop_dead_ends(ways: &mut Vec<Way<'_>>, first: &mut Vec<Edge>, apps: &mut [App<'_>]) {
    let kept: BTreeSet<usize> = apps.iter().flat_map(|app| app.ways.iter().copied()).collect();
    let places: BTreeMap<usize, usize> = kept.into_iter().enumerate().map(|(place, before)| (before, place)).collect();
    let all = std::mem::take(ways).into_iter().enumerate();
    ways.extend(all.filter(|(before, _)| places.contains_key(before)).map(|(_, way)| way));
    let all = std::mem::take(first).into_iter();
    first.extend(all.filter_map(|edge| Some(Edge { to: *places.get(&edge.to)?, ..edge })));
    for app in apps {
        app.ways = app.ways.iter().filter_map(|before| places.get(before).copied()).collect();
    }
}

/// The ways of some people, and how many of them use each now.
fn ways_of(alike: &Alike) -> Vec<(Way<'_>, usize)> {
    let mut ways = BTreeMap::<&[String], (Vec<&str>, usize)>::new();
    for grant in &alike.grants {
        let (apps, now) = ways.entry(&grant.policies).or_default();
        apps.push(&grant.app);
        *now = (*now).max(grant.now);
    }
    ways.into_iter().map(|(policies, (apps, now))| ((policies, apps), now)).collect()
}

/// From the ways to the apps. Of people who reach several of the apps of a node by a way, as many use it as reach the one that
/// most of them reach: who they are is not told.
fn second(drawn: &[&Alike], ways: &[Way<'_>], first: &[Edge], apps: &[App<'_>]) -> Vec<Edge> {
    let now: Vec<_> = drawn.iter().map(|alike| now_of(alike)).collect();
    let mut users = vec![Vec::new(); ways.len()];
    for edge in first {
        users[edge.to].extend(now.get(edge.from));
    }
    let mut edges = Vec::new();
    for (to, app) in apps.iter().enumerate() {
        for from in app.ways.iter().copied() {
            let policies = ways[from].0;
            let most = |now: &&Now<'_>| app.names.iter().filter_map(|name| now.get(&(*name, policies))).copied().max();
            edges.push(Edge { from, to, now: users[from].iter().filter_map(most).sum() });
        }
    }
    edges
}

/// How many people reach an app by these policies now.
type Now<'m> = BTreeMap<(&'m str, &'m [String]), usize>;

fn now_of(alike: &Alike) -> Now<'_> {
    alike.grants.iter().map(|grant| ((grant.app.as_str(), &grant.policies[..]), grant.now)).collect()
}

/// Apps that are reached by the same ways.
struct App<'m> {
    names: Vec<&'m str>,
    ways: BTreeSet<usize>,
}

impl<'m> App<'m> {
    fn of(ways: &[Way<'m>]) -> Vec<Self> {
        let mut apps = BTreeMap::<&str, BTreeSet<usize>>::new();
        for (at, (_, reached)) in ways.iter().enumerate() {
            for app in reached {
                apps.entry(app).or_default().insert(at);
            }
        }
        apps.into_iter().map(|(name, ways)| Self { names: vec![name], ways }).collect()
    }

    /// Where its ways come from, in the middle.
    fn middle(&self) -> f64 {
        self.ways.iter().sum::<usize>() as f64 / self.ways.len().max(1) as f64
    }

    fn node(&self) -> Node {
        match &self.names[..] {
            [name] => Node { label: (*name).to_owned(), tip: format!("app {name}"), ..Node::default() },
            names => Node {
                label: format!("{} apps", names.len()),
                below: some(names, NAMES),
                tip: format!("apps that are reached alike: {}", some(names, MORE_NAMES)),
                is_idle: false,
            },
        }
    }
}

fn joined(apps: Vec<App<'_>>) -> Vec<App<'_>> {
    let mut alike = BTreeMap::<BTreeSet<usize>, Vec<&str>>::new();
    for App { names, ways } in apps {
        alike.entry(ways).or_default().extend(names);
    }
    alike.into_iter().map(|(ways, names)| App { names, ways }).collect()
}

fn person(alike: &Alike) -> Node {
    let names: Vec<&str> = alike.users.iter().map(String::as_str).collect();
    let now = alike.grants.iter().map(|grant| grant.now).max().unwrap_or_default();
    let open = if now == 0 { String::new() } else { format!(", {now} with a session") };
    match (&names[..], &alike.groups[..]) {
        ([name], groups) => Node {
            label: (*name).to_owned(),
            below: groups.join(", "),
            tip: format!("{name}{open}{}", in_groups(groups)),
            is_idle: false,
        },
        (names, groups) => Node {
            label: if groups.is_empty() { format!("{} people", names.len()) } else { groups.join(", ") },
            below: if groups.is_empty() { some(names, NAMES) } else { format!("{} people", names.len()) },
            tip: format!(
                "{} people of equal reach{open}{}: {}",
                names.len(),
                in_groups(groups),
                some(names, MORE_NAMES)
            ),
            is_idle: false,
        },
    }
}

fn in_groups(groups: &[String]) -> String {
    if groups.is_empty() { String::new() } else { format!(", in {}", groups.join(", ")) }
}

/// Those who reach nothing.
fn nothing(idle: &[&Alike], inactive: usize) -> Vec<Node> {
    let names: Vec<&str> = idle.iter().flat_map(|alike| &alike.users).map(String::as_str).collect();
    let mut nodes = Vec::new();
    if !names.is_empty() {
        nodes.push(Node {
            label: format!("{} {} nothing", people(names.len()), if names.len() == 1 { "reaches" } else { "reach" }),
            below: some(&names, NAMES),
            tip: format!("no policy permits them anything: {}", some(&names, MORE_NAMES)),
            is_idle: true,
        });
    }
    if inactive != 0 {
        let label = format!("{} switched off", people(inactive));
        nodes.push(Node { tip: format!("{label}: they reach nothing"), label, below: String::new(), is_idle: true });
    }
    nodes
}

/// The apps that nobody reaches: how many, and nodes for them.
fn unreached(map: &ReachMap) -> (usize, Vec<Node>) {
    let reached: BTreeSet<&str> =
        map.alike.iter().flat_map(|alike| &alike.grants).map(|grant| grant.app.as_str()).collect();
    let all: Vec<_> = map.apps.iter().filter(|app| !reached.contains(app.name.as_str())).collect();
    let of = |label: &str, is_meant: &dyn Fn(bool, bool) -> bool| {
        let names: Vec<&str> =
            all.iter().filter(|app| is_meant(app.enabled, app.trip_wire)).map(|app| app.name.as_str()).collect();
        (!names.is_empty()).then(|| Node {
            label: format!(
                "{} {label}",
                if names.len() == 1 { "1 app".to_owned() } else { format!("{} apps", names.len()) }
            ),
            below: some(&names, NAMES),
            tip: format!("{label}: {}", some(&names, MORE_NAMES)),
            is_idle: true,
        })
    };
    let nodes = [
        of("nobody reaches", &|enabled, trip_wire| enabled && !trip_wire),
        of("switched off", &|enabled, trip_wire| !enabled && !trip_wire),
        of("kept as trip-wire", &|_, trip_wire| trip_wire),
    ];
    (all.len(), nodes.into_iter().flatten().collect())
}

fn way((policies, apps): &Way<'_>) -> Node {
    let label = policies.join(" + ");
    let plural = if policies.len() == 1 { "policy" } else { "policies" };
    Node { tip: format!("{plural} {label}: {}", some(apps, MORE_NAMES)), label, below: String::new(), is_idle: false }
}

fn people(count: usize) -> String {
    if count == 1 { "1 person".to_owned() } else { format!("{count} people") }
}

/// The first names, and how many more there are.
fn some(names: &[&str], most: usize) -> String {
    let shown = names.get(..most).unwrap_or(names).join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ReachApp, ReachGrant};

    pub(super) fn alike(users: &[&str], groups: &[&str], grants: &[(&str, &str, usize)]) -> Alike {
        let text = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let grant = |(app, policy, now): &(&str, &str, usize)| ReachGrant {
            app: (*app).into(),
            policies: vec![(*policy).into()],
            max_login_age_s: None,
            after_login: true,
            recorded: true,
            now: *now,
        };
        Alike { users: text(users), groups: text(groups), grants: grants.iter().map(grant).collect() }
    }

    pub(super) fn map(alike: Vec<Alike>, apps: &[&str]) -> ReachMap {
        let app = |name: &&str| ReachApp { name: (*name).into(), enabled: *name != "off", trip_wire: false };
        ReachMap { policy_generation: 7, alike, inactive: 1, apps: apps.iter().map(app).collect() }
    }

    /// Names that would be markup, commands or the end of a text.
    pub(super) const HOSTILE: &str = "<b>\"&\\\u{1b}[2J\u{202e}]]>";

    pub(super) fn hostile() -> Picture {
        let people = alike(&[HOSTILE, "x"], &[HOSTILE], &[(HOSTILE, HOSTILE, 1)]);
        Picture::of(&map(vec![people, alike(&["eve"], &[], &[])], &[HOSTILE, "vault", "off"]))
    }

    /// Everything that leads from people to apps in the picture.
    fn ways(picture: &Picture) -> BTreeSet<String> {
        let [people, _, apps] = &picture.columns;
        let [first, second] = &picture.edges;
        let pairs =
            first.iter().flat_map(|one| second.iter().filter(|two| two.from == one.to).map(move |two| (one, two)));
        pairs.map(|(one, two)| format!("{} > {}", people[one.from].label, apps[two.to].label)).collect()
    }

    /// From which policies to which apps, and how many use that now.
    fn used(picture: &Picture) -> Vec<String> {
        let [_, ways, apps] = &picture.columns;
        let told = |edge: &Edge| format!("{} > {} {}", ways[edge.from].label, apps[edge.to].label, edge.now);
        let mut told: Vec<_> = picture.edges[1].iter().map(told).collect();
        told.sort();
        told
    }

    #[test]
    fn a_way_through_the_picture_is_one_that_is_permitted_and_no_other_is() {
        // One policy permits different apps to different people: it must not lead ada to the vault.
        let picture = Picture::of(&map(
            vec![
                alike(&["ada"], &[], &[("crm", "one", 1), ("wiki", "two", 0)]),
                alike(&["bob", "eve"], &["ops"], &[("vault", "one", 0), ("wiki", "two", 0)]),
                alike(&["joe"], &[], &[]),
            ],
            &["crm", "lost", "off", "vault", "wiki"],
        ));
        let expected = ["ada > crm", "ada > wiki", "ops > vault", "ops > wiki"].map(str::to_owned);
        assert_eq!(ways(&picture), expected.into_iter().collect());
        assert_eq!(picture.desc, "3 of 5 people reach 3 of 5 apps.");
        let labels = |at: usize| picture.columns[at].iter().map(|node| node.label.as_str()).collect::<Vec<_>>();
        assert_eq!(labels(0), ["ada", "ops", "1 person reaches nothing", "1 person switched off"]);
        assert_eq!(labels(1), ["one", "two", "one"]);
        assert_eq!(labels(2)[3..], ["1 app nobody reaches", "1 app switched off"]);
        let now: Vec<_> = picture.edges[0].iter().map(|edge| edge.now).collect();
        assert_eq!(now, [1, 0, 0, 0]);
    }

    #[test]
    fn a_way_to_an_app_is_used_by_those_who_reach_that_app_by_it() {
        let picture = Picture::of(&map(
            vec![
                alike(&["a", "b", "c"], &[], &[("crm", "one", 3), ("wiki", "one", 1)]),
                alike(&["d", "e"], &[], &[("crm", "two", 2)]),
                alike(&["f"], &[], &[("crm", "three", 0)]),
            ],
            &["crm", "wiki"],
        ));
        assert_eq!(used(&picture), ["one > crm 3", "one > wiki 1", "three > crm 0", "two > crm 2"]);
    }

    #[test]
    fn of_apps_that_are_one_a_way_is_used_by_as_many_as_reach_one_of_them() {
        let names: Vec<_> = (0..40).map(|number| format!("app{number:02}")).collect();
        let grants = |policy, now| names.iter().map(|app| (app.as_str(), policy, now)).collect::<Vec<_>>();
        let (most, few) = (grants("one", 3), grants("two", 1));
        let picture = Picture::of(&map(vec![alike(&["a", "b", "c"], &[], &most), alike(&["d"], &[], &few)], &[]));
        assert_eq!(used(&picture), ["one > 40 apps 3", "two > 40 apps 1"]);
    }

    #[test]
    fn what_is_too_much_for_a_picture_is_joined_or_left_out_and_said() {
        let names: Vec<_> = (0..500).map(|number| format!("app{number:03}")).collect();
        let apps: Vec<_> = names.iter().map(String::as_str).collect();
        let all: Vec<_> = apps.iter().map(|app| (*app, "all", 0)).collect();
        let one = Picture::of(&map(vec![alike(&["ada", "bob"], &[], &all)], &apps));
        assert_eq!((one.columns[2].len(), one.columns[2][0].label.as_str()), (1, "500 apps"));
        assert!(one.notes.is_empty(), "{:?}", one.notes);
        let each = |number: usize| alike(&[apps[number]], &[], &[(apps[number], "p", 0)]);
        let many = Picture::of(&map((0..500).map(each).collect(), &apps));
        assert!(many.columns.iter().all(|column| column.len() <= MOST_APPS + 3), "{many:?}");
        assert_eq!(many.notes.len(), 1);
        let policies: Vec<_> = (0..500).map(|number| format!("p{number}")).collect();
        let each: Vec<_> = apps.iter().zip(&policies).map(|(app, policy)| (*app, policy.as_str(), 0)).collect();
        let wide = Picture::of(&map(vec![alike(&["ada"], &[], &each)], &apps));
        assert!(wide.columns.iter().all(|column| column.len() <= MOST_APPS + 3), "{wide:?}");
        for way in 0..wide.columns[1].len() {
            let [first, second] = &wide.edges;
            assert!(first.iter().any(|edge| edge.to == way) && second.iter().any(|edge| edge.from == way), "{way}");
        }
        assert!(wide.notes[0].contains("440 more apps"), "{:?}", wide.notes);
        assert!(many.notes[0].contains("460 more people, in 460 more kinds"), "{:?}", many.notes);
    }

    #[test]
    fn the_picture_of_the_documentation_is_what_is_drawn() {
        let names = |prefix: &str, count: usize| (1..=count).map(|at| format!("{prefix}{at}")).collect::<Vec<_>>();
        let people = |names: &[String], groups: &[&str], grants: &[(&str, &str, usize)]| {
            alike(&names.iter().map(String::as_str).collect::<Vec<_>>(), groups, grants)
        };
        let staff = [("intranet", "staff", 61), ("wiki", "staff", 12)];
        let [intranet, wiki] = staff;
        let map = map(
            vec![
                people(&names("s", 214), &["staff"], &staff),
                people(
                    &names("f", 23),
                    &["finance", "staff"],
                    &[intranet, wiki, ("payroll", "finance-payroll", 4), ("ledger-db", "finance-books", 0)],
                ),
                people(
                    &names("o", 9),
                    &["ops", "staff"],
                    &[
                        intranet,
                        wiki,
                        ("vault", "ops-vault", 2),
                        ("ledger-db", "ops-databases", 1),
                        ("crm-db", "ops-databases", 1),
                    ],
                ),
                alike(&["ada"], &["auditors"], &[("ledger-db", "auditors-read", 0)]),
                people(&names("x", 5), &[], &[]),
            ],
            &["crm-db", "intranet", "ledger-db", "off", "payroll", "printers", "vault", "wiki"],
        );
        let drawn = svg(&Picture::of(&map));
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/img/reach.svg");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &drawn).unwrap();
        }
        assert!(drawn == std::fs::read_to_string(path).unwrap(), "UPDATE=1 draws {path} anew");
    }
}
