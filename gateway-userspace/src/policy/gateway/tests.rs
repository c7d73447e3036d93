mod limits;
mod moments;
mod names;
mod opinions;

use super::*;
use crate::policy::bundle::Bundle;
use crate::policy::cedar::{PolicyFile, Subject};
use crate::policy::change::{EndCause, Selector};
use crate::policy::model::{
    AllowListId, Assurance, Decision, Factor, Factors, Logging, Proof, Protocol, Service, SessionToken, Settings,
    Source, Timezone,
};
use crate::policy::plan::{Plan, Step};
use gateway_common::abi::{Grant, GrantKey};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const HOUR: u64 = 3_600_000_000_000;
pub(crate) const NOW: KernelNanos = KernelNanos(1_000);

fn user_name(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

fn app_name(name: &str) -> AppName {
    AppName::new(name).unwrap()
}

fn group_name(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

fn user(name: &str, groups: &[&str]) -> User {
    let groups = groups.iter().map(|group| group_name(group)).collect();
    User { display_name: name.to_owned(), groups, ..User::new(user_name(name)) }
}

pub(crate) fn app(name: &str, prefix: &str) -> App {
    App {
        name: app_name(name),
        description: String::new(),
        prefixes: [prefix.parse().unwrap()].into(),
        names: Default::default(),
        within: Default::default(),
        services: [Service { protocol: Protocol::Tcp, ports: Some((443, 443)) }].into(),
        opens: BTreeSet::new(),
        trip_wire: false,
        outlasts_daemon: false,
        owner: String::new(),
        sensitivity: String::new(),
        budget: None,
        labels: BTreeSet::new(),
        health: None,
        enabled: true,
    }
}

pub(crate) fn source(host: u32) -> Source {
    Source {
        address: std::net::Ipv4Addr::from(0x0A09_0000 | host).into(),
        zone: 1,
        zone_name: "branch".into(),
        interface: 2,
        interface_name: "lan0".into(),
        country: Default::default(),
        mac: None,
    }
}

pub(crate) fn login(token: u64, user: &str, host: u32) -> Input {
    let proof = [Factor::Password].into();
    let deadline = NOW.after(HOUR);
    Input::Login { token: SessionToken(token), user: user_name(user), source: source(host), proof, deadline }
}

pub(crate) fn policy(text: &str) -> Input {
    Input::put_policy(text, None).unwrap()
}

const BY_GROUP: &str = r#"permit (principal in Group::"finance", action, resource == App::"payroll");
permit (principal in Group::"staff", action, resource == App::"wiki");
permit (principal, action, resource == App::"mail");"#;

/// Three people, three apps and who may reach them.
pub(crate) fn beginning() -> [Input; 9] {
    [
        Input::PutGroup(group_name("finance")),
        Input::PutGroup(group_name("staff")),
        Input::PutUser(user("ada", &["finance", "staff"])),
        Input::PutUser(user("bob", &["staff"])),
        Input::PutUser(user("eve", &[])),
        Input::PutApp(app("payroll", "10.1.0.0/16")),
        Input::PutApp(app("wiki", "10.2.0.0/16")),
        Input::PutApp(app("mail", "10.3.0.0/16")),
        policy(BY_GROUP),
    ]
}

impl Gateway {
    /// What would be decided if this user came from there.
    fn decide_for(&self, user: &UserName, proof: &Proof, source: &Source, app: &AppName) -> Result<Decision, Refusal> {
        let user = self.users.get(user).ok_or_else(|| Refusal::UnknownUser(user.clone()))?;
        let app = self.apps.get(app).ok_or_else(|| Refusal::UnknownApp(app.clone()))?;
        if !user.is_active() {
            return Ok(Decision::deny(vec!["user-disabled".to_owned()]));
        }
        let standing = user.standing();
        let subject = Subject {
            user: user.name.clone(),
            groups: user.groups.clone(),
            factors: proof.factors,
            assurance: Arc::clone(&proof.assurance),
            dated: proof.authenticated_at != Some(Proof::UNDATED),
            compliant: standing.compliant,
            kind: standing.kind,
            attributes: standing.attributes.clone(),
            risk: standing.risk,
            source: source.address.to_canonical(),
            zone: source.zone_name.clone(),
            country: source.country,
            moment: Arc::clone(&self.clock.now),
        };
        Ok(self.policy.decide(&subject, app).decision)
    }
}

/// A gateway that follows its own plans, as a kernel would.
struct World {
    gateway: Gateway,
    kernel: TableSet,
}

impl World {
    fn new() -> Self {
        let mut world = Self { gateway: Gateway::new(Capacities::default()), kernel: TableSet::default() };
        for input in beginning() {
            world.take(input);
        }
        world
    }

    fn with_sessions() -> Self {
        let mut world = Self::new();
        for (token, name) in [(1, "ada"), (2, "bob"), (3, "eve")] {
            world.take(login(token, name, token as u32));
        }
        world
    }

    fn take(&mut self, input: Input) -> Changed {
        self.take_at(input, NOW).expect("accepted")
    }

    /// Whatever happens, the kernel is where the gateway thinks it is, and the books balance.
    fn take_at(&mut self, input: Input, now: KernelNanos) -> Result<Changed, Refusal> {
        let before = format!("{:?}", self.gateway);
        let result = self.gateway.handle(input, now);
        match &result {
            Ok(changed) => self.kernel.apply_all(&changed.plan),
            Err(_) => assert_eq!(format!("{:?}", self.gateway), before, "a refused input changed something"),
        }
        assert_eq!(self.kernel, self.gateway.tables());
        self.balance();
        result
    }

    fn balance(&self) {
        let gateway = &self.gateway;
        assert_eq!(gateway.sessions.len(), self.kernel.sessions.len());
        assert_eq!(gateway.sessions.counts(), [gateway.sessions.len(); 5]);
        for session in gateway.sessions() {
            assert_eq!(gateway.session(session.token), Some(session));
            assert_eq!(gateway.session_at(session.source.zone, session.source.address), Some(session));
            assert!(gateway.sessions_of(&session.user).any(|found| found == session));
        }
        let mut named: BTreeSet<u32> = BTreeSet::new();
        for session in gateway.sessions.iter() {
            let entry = &self.kernel.sessions[&session.token];
            assert_eq!((entry.app_set, entry.allow_list), (gateway.app_set, session.allow_list));
            let entries = || self.kernel.grants_of(entry.allow_list);
            let grants = entries().filter(|(_, grant)| !grant.is_refusal());
            let granted: BTreeSet<_> = grants.map(|(key, grant)| (key.app, grant.budget)).collect();
            let refused = entries().filter(|(_, grant)| grant.is_refusal()).map(|(key, _)| key.app);
            let id = |name| gateway.app_ids[name].0;
            assert_eq!(refused.collect::<BTreeSet<_>>(), session.permitted.rejected().map(id).collect());
            let grant = |name| (gateway.app_ids[name].0, gateway.apps[name].budget.unwrap_or(u64::MAX));
            assert_eq!(granted, session.permitted.keys().map(grant).collect());
            assert_eq!(entry.limits, gateway.limits);
            named.insert(session.allow_list.0);
        }
        assert!(self.kernel.grants.keys().all(|key| named.contains(&key.allow_list)), "a list that nobody names");
        assert!(self.kernel.app_prefixes.keys().all(|(set, _)| *set == gateway.app_set), "an app set nobody names");
    }

    fn reach(&self, token: u64) -> Vec<&str> {
        let session = self.gateway.session(SessionToken(token));
        session.map_or_else(Vec::new, |session| session.permitted.keys().map(AppName::as_str).collect())
    }
}

fn causes(changed: &Changed) -> Vec<(u64, EndCause)> {
    changed.ended.iter().map(|ended| (ended.session.token.0, ended.cause)).collect()
}

#[test]
fn sessions_reach_what_policy_permits() {
    let world = World::with_sessions();
    assert_eq!(world.reach(1), ["mail", "payroll", "wiki"]);
    assert_eq!(world.reach(2), ["mail", "wiki"]);
    assert_eq!(world.reach(3), ["mail"]);
}

#[test]
fn a_login_without_any_app_names_the_list_that_grants_nothing() {
    let mut world = World::new();
    world.take(policy(""));
    let opened = world.take(login(1, "ada", 1)).opened.unwrap();
    assert_eq!((opened.allow_list, opened.permitted.len()), (AllowListId(0), 0));
}

#[test]
fn equal_entitlements_share_a_list_and_its_decisions() {
    let mut world = World::new();
    world.take(Input::PutUser(user("ben", &["staff"])));
    let one = world.take(login(1, "bob", 1)).opened.unwrap();
    let changed = world.take(login(2, "ben", 2));
    let two = changed.opened.unwrap();
    assert_eq!(one.allow_list, two.allow_list);
    assert!(std::sync::Arc::ptr_eq(&one.permitted, &two.permitted));
    assert!(matches!(changed.plan.steps[..], [Step::OpenSession(..)]));
}

#[test]
fn a_source_belongs_to_one_user_until_their_session_is_over() {
    let mut world = World::new();
    world.take(login(1, "ada", 7));
    let address = source(7).address;
    assert_eq!(world.take_at(login(2, "bob", 7), NOW).unwrap_err(), Refusal::SourceTaken { address });
    let again = world.take(login(3, "ada", 7));
    assert_eq!(causes(&again), [(1, EndCause::Replaced)]);
    let late = NOW.after(HOUR);
    let mut input = login(4, "bob", 7);
    if let Input::Login { deadline, source, .. } = &mut input {
        *deadline = late.after(1);
        source.address = "::ffff:10.9.0.7".parse().unwrap();
    }
    let changed = world.take_at(input, late).unwrap();
    assert_eq!(causes(&changed), [(3, EndCause::Expired)]);
    assert_eq!(changed.opened.unwrap().source.address, address);
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut world = World::with_sessions();
    let mut over = login(9, "ada", 9);
    if let Input::Login { deadline, .. } = &mut over {
        *deadline = NOW;
    }
    let clash = Input::PutApp(App { name: app_name("copy"), ..app("copy", "10.1.0.0/16") });
    let unlawful = Input::PutApp(App { prefixes: BTreeSet::new(), ..app("wiki", "10.2.0.0/16") });
    let stale = Input::put_policy("", Some(Generation(0))).unwrap();
    let gone = |which| Input::End { which, cause: EndCause::Revoked };
    for (input, expected) in [
        (login(9, "mallory", 9), "user `mallory` is not defined"),
        (login(1, "ada", 9), "session `0000000000000001` exists already"),
        (login(0, "ada", 9), "session `0000000000000000` exists already"),
        (over, "the deadline of the session has already passed"),
        (clash, "app `copy`: it claims 10.1.0.0/16 443/tcp which app `payroll` claims too"),
        (unlawful, "app `wiki`: it has neither a prefix nor a name"),
        (stale, "generation 0 was expected but 6 is in force"),
        (gone(Selector::Session(SessionToken(9))), "session `0000000000000009` does not exist"),
        (gone(Selector::User(user_name("mallory"))), "user `mallory` is not defined"),
        (gone(Selector::App(app_name("crm"))), "app `crm` is not defined"),
        (Input::PutUser(user("ada", &["hr"])), "group `hr` is not defined"),
        (Input::RemoveUser(user_name("mallory")), "user `mallory` is not defined"),
        (Input::RemoveGroup(group_name("hr")), "group `hr` is not defined"),
        (Input::RemoveApp(app_name("crm")), "app `crm` is not defined"),
    ] {
        let refusal = world.take_at(input, NOW).expect_err(expected).to_string();
        assert!(refusal.starts_with(expected), "{refusal}");
    }
}

#[test]
fn full_tables_refuse_and_change_nothing() {
    let small = Capacities { sessions: 3, app_prefixes: 6, app_ports: 6, grants: 6, apps: 5, ..Capacities::default() };
    let mut world = World::with_sessions();
    world.gateway.capacities = small;
    for (input, table) in [
        (login(4, "ada", 4), "sessions"),
        (Input::PutApp(app("crm", "10.4.0.0/16")), "app_prefixes"),
        (policy("permit (principal, action, resource == App::\"wiki\");"), "grants"),
    ] {
        match world.take_at(input, NOW) {
            Err(Refusal::TableFull { table: found, .. }) => assert_eq!(found, table),
            other => panic!("{table}: {other:?}"),
        }
    }
    world.gateway.capacities = Capacities { apps: 4, ..Capacities::default() };
    let refused = world.take_at(Input::PutApp(app("crm", "10.4.0.0/16")), NOW);
    assert_eq!(refused.unwrap_err(), Refusal::TableFull { table: "apps", needed: 5, capacity: 4 });
}

#[test]
fn sessions_end_for_their_cause() {
    let off = User { enabled: false, ..user("ada", &["finance", "staff"]) };
    let end = |which| Input::End { which, cause: EndCause::Revoked };
    for (input, expected) in [
        (Input::PutUser(off), &[(1, EndCause::UserDisabled)][..]),
        (Input::RemoveUser(user_name("bob")), &[(2, EndCause::UserRemoved)]),
        (end(Selector::Session(SessionToken(3))), &[(3, EndCause::Revoked)]),
        (end(Selector::User(user_name("ada"))), &[(1, EndCause::Revoked)]),
        (end(Selector::App(app_name("wiki"))), &[(1, EndCause::Revoked), (2, EndCause::Revoked)]),
        (end(Selector::Interface(3)), &[]),
        (end(Selector::Interface(2)), &[(1, EndCause::Revoked), (2, EndCause::Revoked), (3, EndCause::Revoked)]),
        (end(Selector::All), &[(1, EndCause::Revoked), (2, EndCause::Revoked), (3, EndCause::Revoked)]),
        (Input::Tick, &[]),
    ] {
        assert_eq!(causes(&World::with_sessions().take(input.clone())), expected, "{input:?}");
    }
}

#[test]
fn a_revocation_is_the_first_step_of_a_short_plan() {
    let end = Input::End { which: Selector::Session(SessionToken(2)), cause: EndCause::Revoked };
    let steps = World::with_sessions().take(end).plan.steps;
    assert_eq!(steps[0], Step::EndSession(SessionToken(2)));
    assert!(steps[1..].iter().all(|step| matches!(step, Step::RemoveGrant(_))) && steps.len() == 3, "{steps:?}");
}

#[test]
fn a_refusal_is_an_entry_of_the_list_and_no_access() {
    let mut world = World::with_sessions();
    let payroll = world.gateway.app_ids[&app_name("payroll")].0;
    let said = |world: &World| {
        let list = world.gateway.session(SessionToken(1)).unwrap().allow_list;
        world.kernel.grants.get(&GrantKey { allow_list: list.0, app: payroll }).copied()
    };
    assert_eq!(said(&world), Some(Grant::UNLIMITED));
    let shut = format!("@id(\"shut\") @reject forbid (principal, action, resource == App::\"payroll\");\n{BY_GROUP}");
    let changed = world.take(policy(&shut));
    // Who reached it loses it, and nobody else does; all are told.
    let [ada] = &changed.regranted[..] else { panic!("{:?}", changed.regranted) };
    assert_eq!((ada.token, &*ada.lost, &*ada.gained), (SessionToken(1), &[app_name("payroll")][..], &[][..]));
    let tokens = [1, 2, 3].map(SessionToken);
    assert_eq!((changed.redecided, said(&world)), (tokens.to_vec(), Some(Grant::REFUSAL)));
    assert_eq!((world.reach(1), world.reach(3)), (vec!["mail", "wiki"], vec!["mail"]));
    let denial = &world.gateway.session(SessionToken(3)).unwrap().permitted.denied()[&app_name("payroll")];
    assert_eq!((&denial.policies[..], denial.reject), (&["shut".to_owned()][..], true));
    // It is no loss to be told nothing any more, but the list is another one.
    let changed = world.take(policy(&BY_GROUP.replace("finance", "staff").replacen("permit", "forbid", 1)));
    assert!(changed.regranted.is_empty(), "{:?}", changed.regranted);
    assert_eq!((changed.redecided, said(&world)), (tokens.to_vec(), None));
    // Refusals need room like grants.
    world.gateway.capacities = Capacities { grants: 4, ..Capacities::default() };
    let refused = world.take_at(policy("@reject forbid (principal, action, resource);"), NOW).unwrap_err();
    assert!(matches!(refused, Refusal::TableFull { table: "grants", .. }), "{refused}");
}

#[test]
fn sessions_end_at_their_deadline() {
    let mut world = World::with_sessions();
    let deadline = world.gateway.next_deadline().unwrap();
    assert!(world.take_at(Input::Tick, KernelNanos(deadline.0 - 1)).unwrap().ended.is_empty());
    assert_eq!(world.take_at(Input::Tick, deadline).unwrap().ended.len(), 3);
    assert_eq!(world.gateway.next_deadline(), None);
}

#[test]
fn very_many_sessions_past_their_deadline_end_some_at_a_time_and_hold_no_source() {
    let mut world = World::new();
    let later = NOW.after(HOUR);
    for token in 1..=20 {
        world.take(login(token, "bob", token as u32));
    }
    let deadline = later.after(HOUR);
    let (token, proof) = (SessionToken(99), Factors::default().into());
    let (user, source) = (user_name("ada"), source(20));
    let changed = world.take_at(Input::Login { token, user, source, proof, deadline }, later).unwrap();
    assert_eq!(changed.ended.len(), 17, "sixteen, and the one that had the source");
    assert!(changed.ended.iter().all(|ended| ended.cause == EndCause::Expired));
    assert_eq!(world.take_at(Input::Tick, later).unwrap().ended.len(), 3);
}

#[test]
fn a_change_of_groups_decides_the_users_sessions_anew() {
    let mut world = World::with_sessions();
    let changed = world.take(Input::PutUser(user("ada", &["staff"])));
    assert_eq!(changed.regranted.len(), 1);
    assert_eq!(*changed.regranted[0].lost, [app_name("payroll")]);
    assert_eq!(changed.generation, None);
    let changed = world.take(Input::PutUser(user("ada", &["finance"])));
    assert_eq!((changed.regranted[0].gained.len(), changed.regranted[0].lost.len()), (1, 1));
}

#[test]
fn a_group_that_is_removed_or_made_again_grants_nothing() {
    let mut world = World::with_sessions();
    world.take(Input::RemoveGroup(group_name("staff")));
    assert_eq!((world.reach(1), world.reach(2)), (vec!["mail", "payroll"], vec!["mail"]));
    world.take(Input::PutGroup(group_name("staff")));
    assert_eq!((world.reach(1), world.reach(2)), (vec!["mail", "payroll"], vec!["mail"]));
    assert!(world.gateway.groups()[&group_name("staff")].is_empty());
}

#[test]
fn a_new_policy_moves_those_who_lose_first() {
    let mut world = World::with_sessions();
    let changed = world.take(policy(
        r#"permit (principal in Group::"finance", action, resource);
           permit (principal == User::"eve", action, resource == App::"wiki");
           permit (principal == User::"eve", action, resource == App::"mail");"#,
    ));
    let updated: Vec<u64> = changed
        .plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::UpdateSession(token, _) => Some(token.0),
            _ => None,
        })
        .collect();
    // Ada's reach is the same; Bob loses; Eve gains.
    assert_eq!(updated, [2, 3]);
    assert_eq!(changed.generation, Some(Generation(7)));
    assert_eq!(
        world
            .gateway
            .decide_for(&user_name("ada"), &Factors::default().into(), &source(1), &app_name("wiki"))
            .unwrap()
            .policies,
        ["policy0"]
    );
}

#[test]
fn the_same_again_changes_nothing() {
    let mut world = World::with_sessions();
    for input in [
        policy(BY_GROUP),
        Input::PutApp(app("wiki", "10.2.0.0/16")),
        Input::PutGroup(group_name("staff")),
        Input::PutUser(user("bob", &["staff"])),
    ] {
        let changed = world.take(input);
        assert!(changed.plan.is_empty() && changed.generation.is_none() && changed.regranted.is_empty());
    }
}

#[test]
fn a_moved_app_gets_a_new_app_set_and_keeps_its_number() {
    let mut world = World::with_sessions();
    let (number, set) = (world.gateway.app_ids[&app_name("wiki")], world.gateway.app_set);
    let changed = world.take(Input::PutApp(app("wiki", "10.7.0.0/16")));
    assert!(changed.regranted.is_empty());
    assert_ne!(world.gateway.app_set, set);
    world.take(Input::RemoveApp(app_name("wiki")));
    assert_eq!(world.reach(2), ["mail"]);
    world.take(Input::PutApp(app("wiki", "10.8.0.0/16")));
    assert_eq!(world.gateway.app(&app_name("wiki")).unwrap().0, number);
    assert_eq!(world.reach(2), ["mail", "wiki"]);
}

#[test]
fn labels_and_the_switch_of_an_app_leave_the_app_set_alone() {
    let mut world = World::with_sessions();
    let set = world.gateway.app_set;
    let changed = world.take(Input::PutApp(App { enabled: false, ..app("mail", "10.3.0.0/16") }));
    assert_eq!(changed.regranted.len(), 3);
    assert_eq!((world.reach(3), world.gateway.app_set), (vec![], set));
    assert!(world.kernel.app_prefixes.keys().any(|(_, net)| net.to_string() == "10.3.0.0/16"));
    let decision =
        world.gateway.decide_for(&user_name("eve"), &Factors::default().into(), &source(3), &app_name("mail"));
    assert_eq!(decision.unwrap().policies, ["app-disabled"]);
}

/// What a store would keep.
fn stored(gateway: &Gateway) -> Restored {
    Restored {
        users: gateway.users().cloned().collect(),
        groups: gateway.groups.clone(),
        apps: gateway.apps().map(|(_, app)| app.clone()).collect(),
        app_ids: gateway.app_ids().clone(),
        settings: gateway.settings.clone(),
        answers: gateway.answers.clone(),
        policy: gateway.policy().files().to_vec(),
        generation: gateway.generation(),
        sessions: gateway.sessions().cloned().collect(),
        next_ids: gateway.next_ids(),
        now: gateway.now().at(),
    }
}

#[test]
fn a_gateway_comes_back_as_it_was() {
    let mut world = World::with_sessions();
    world.take(Input::RemoveApp(app_name("wiki")));
    let old = &world.gateway;
    let stored = stored(old);
    let (new, problems) =
        Gateway::restore(stored.clone(), Capacities::default(), SessionLimits::default(), NOW).unwrap();
    assert_eq!(problems, []);
    for session in old.sessions() {
        let again = new.session(session.token).unwrap();
        assert_eq!((&again.permitted, again.authenticated_at), (&session.permitted, session.authenticated_at));
    }
    assert_eq!((new.generation(), new.app_ids()), (old.generation(), old.app_ids()));
    let carried = Plan::between(&old.tables(), &new.tables()).steps;
    assert!(!carried.iter().any(|step| matches!(step, Step::EndSession(_))), "ids are new, so all is carried over");

    let broken = Restored { policy: vec![PolicyFile::alone("permit")], groups: BTreeSet::new(), ..stored };
    let (new, problems) =
        Gateway::restore(broken, Capacities::default(), SessionLimits::default(), NOW.after(HOUR)).unwrap();
    assert_eq!((new.sessions().len(), new.policy_text()), (0, String::new()));
    assert_eq!(problems.len(), 1 + 3 + 3, "{problems:?}");
}

#[test]
fn a_bundle_for_another_generation_or_with_apps_that_contradict_each_other_changes_nothing() {
    let mut world = World::with_sessions();
    let mut bundle = world.gateway.bundle();
    let stale = Input::Apply { bundle: Box::new(bundle.clone()), if_match: Some(Generation(1)) };
    assert!(matches!(world.take_at(stale, NOW), Err(Refusal::GenerationMismatch { .. })));
    bundle.apps.insert(app_name("copy"), app("copy", "10.1.0.0/16"));
    let problem = world.take_at(apply(bundle), NOW).unwrap_err().to_string();
    assert!(
        problem.starts_with("app `payroll`: it claims 10.1.0.0/16 443/tcp which app `copy` claims too"),
        "{problem}"
    );
}

#[test]
fn a_bundle_moves_an_address_from_one_app_to_another_in_one_step() {
    let mut world = World::with_sessions();
    let mut bundle = world.gateway.bundle();
    bundle.apps.remove(&app_name("wiki"));
    bundle.apps.insert(app_name("notes"), app("notes", "10.2.0.0/16"));
    bundle.policy = PolicySet::parse(&BY_GROUP.replace("wiki", "notes")).unwrap();
    let changed = world.take(apply(bundle));
    assert_eq!(world.reach(2), ["mail", "notes"]);
    let shift = |token: u64| changed.regranted.iter().find(|it| it.token == SessionToken(token)).unwrap();
    assert_eq!((&*shift(2).gained, &*shift(2).lost), (&[app_name("notes")][..], &[app_name("wiki")][..]));
}

#[test]
fn ids_go_on_above_what_was_found() {
    let world = World::with_sessions();
    assert_eq!(NextIds::default().above(&world.kernel), world.gateway.next_ids());
    assert_eq!(NextIds::default().above(&TableSet::default()), NextIds::default());
}

/// Policies of which some subset is in force.
const POLICIES: [&str; 6] = [
    r#"permit (principal in Group::"finance", action, resource == App::"payroll");"#,
    r#"permit (principal in Group::"staff", action, resource) unless { context.mfa };"#,
    r#"@reauthenticate("1h") permit (principal, action, resource == App::"mail");"#,
    r#"permit (principal == User::"eve", action, resource) when { context.source.isInRange(ip("10.9.0.0/30")) };"#,
    r#"@reject forbid (principal in Group::"finance", action, resource == App::"wiki");"#,
    r#"@log("alert") forbid (principal, action, resource == App::"mail") when { context.zone == "branch" && principal in Group::"staff" };"#,
];

/// Some lie within others.
const PREFIXES: [&str; 6] = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16", "10.0.0.0/8", "10.1.1.0/24"];

fn text(chosen: &[bool]) -> String {
    POLICIES.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(policy, _)| *policy).collect()
}

/// Any settings, groups, apps and policies, also such as contradict each other.
pub(crate) fn bundles() -> impl Strategy<Value = Bundle> {
    let group = prop::sample::select(vec!["finance", "staff", "hr"]);
    let placed = (prop::sample::select(vec!["payroll", "wiki", "mail", "books"]), prop::sample::select(&PREFIXES[..]));
    let timezone = prop::sample::select(vec!["UTC", "Europe/Berlin"]);
    let (groups, apps) = (prop::collection::vec(group, 0..3), prop::collection::vec(placed, 0..4));
    let chosen = prop::collection::vec(any::<bool>(), 6);
    (timezone, groups, apps, chosen).prop_map(|(timezone, groups, apps, chosen)| Bundle {
        settings: Settings { timezone: Timezone::new(timezone).unwrap() },
        groups: groups.into_iter().map(group_name).collect(),
        apps: apps.into_iter().map(|(name, net)| (app_name(name), app(name, net))).collect(),
        policy: PolicySet::parse(&text(&chosen)).unwrap(),
    })
}

fn apply(bundle: Bundle) -> Input {
    Input::Apply { bundle: Box::new(bundle), if_match: None }
}

/// What may happen to the gateway of [`beginning`].
pub(crate) fn inputs() -> impl Strategy<Value = Input> {
    let name = prop::sample::select(vec!["ada", "bob", "eve"]);
    let apps = prop::sample::select(vec!["payroll", "wiki", "mail"]);
    let group = prop::sample::select(vec!["finance", "staff"]);
    let groups = prop::collection::vec(group.clone(), 0..2);
    prop_oneof![
        4 => (1..9_u64, name.clone(), 1..4_u32).prop_map(|(token, name, host)| login(token, name, host)),
        2 => (name.clone(), groups, prop::bool::weighted(0.8))
            .prop_map(|(name, groups, enabled)| Input::PutUser(User { enabled, ..user(name, &groups) })),
        1 => name.prop_map(|name| Input::RemoveUser(user_name(name))),
        2 => (apps.clone(), prop::sample::select(&PREFIXES[..]), any::<bool>(), 0..6_u64).prop_map(|(name, net, enabled, other)| Input::PutApp(App {
            enabled,
            trip_wire: other == 0,
            outlasts_daemon: false,
            owner: String::new(),
            sensitivity: String::new(),
            budget: (1..3).contains(&other).then_some(other),
            ..app(name, net)
        })),
        1 => (apps.clone(), prop::sample::select(&PREFIXES[..]), prop::sample::select(&names::NAMES[..]), any::<bool>())
            .prop_map(|(name, net, host, within)| Input::PutApp(names::named(name, net, host, within))),
        2 => names::answers().prop_map(Input::Resolved),
        1 => apps.clone().prop_map(|name| Input::RemoveApp(app_name(name))),
        1 => group.clone().prop_map(|name| Input::RemoveGroup(group_name(name))),
        1 => group.prop_map(|name| Input::PutGroup(group_name(name))),
        3 => prop::collection::vec(any::<bool>(), 6).prop_map(|chosen| policy(&text(&chosen))),
        1 => (1..9_u64).prop_map(|token| Input::End {
            which: Selector::Session(SessionToken(token)),
            cause: EndCause::Logout,
        }),
        2 => bundles().prop_map(apply),
        1 => apps.prop_map(|name| Input::End { which: Selector::App(app_name(name)), cause: EndCause::Revoked }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// `take_at` asserts that refusals change nothing, that plan and tables agree, and that the books balance.
    #[test]
    fn every_history_keeps_the_books_and_ends_where_a_restart_would(history in prop::collection::vec(inputs(), 1..40)) {
        let (mut world, mut twin) = (World::with_sessions(), World::with_sessions());
        for input in history {
            let before = world.kernel.clone();
            let changed = world.take_at(input.clone(), NOW);
            // Equal input gives an equal plan.
            let again = twin.take_at(input, NOW);
            prop_assert_eq!(changed.as_ref().ok().map(|c| &c.plan), again.as_ref().ok().map(|c| &c.plan));
            // The plan written by hand is no worse than the general one: same steps, whatever their order.
            if let Ok(changed) = changed {
                let general = Plan::between(&before, &world.kernel);
                prop_assert_eq!(general.steps.len(), changed.plan.steps.len(), "{:?} {:?}", general, changed.plan);
            }
        }
        // What is permitted follows from the state alone, not from how it came about.
        for session in world.gateway.sessions() {
            let groups = &world.gateway.users[&session.user].groups;
            for (_, app) in world.gateway.apps() {
                let decision = world.gateway.decide_for(&session.user, &session.factors.into(), &session.source, &app.name).unwrap();
                prop_assert_eq!(decision.permit.then_some(&decision), session.permitted.get(&app.name), "{:?}", groups);
                let is_marked = decision.reject || decision.log != Logging::On;
                let is_told = (is_marked && !decision.permit).then_some(&decision);
                let denial = session.permitted.denied().get(&app.name).filter(|denial| denial.reject || denial.log != Logging::On);
                prop_assert_eq!(is_told, denial, "{:?}", groups);
            }
        }
    }

    /// A bundle leads to what its parts lead to one by one, in one generation; and a second time to nothing.
    #[test]
    fn a_bundle_is_the_sum_of_its_parts(bundle in bundles()) {
        let (mut world, mut twin) = (World::with_sessions(), World::with_sessions());
        let generation = world.gateway.generation();
        if let Ok(changed) = world.take_at(apply(bundle.clone()), NOW) {
            prop_assert_eq!(changed.generation, Some(Generation(generation.0 + 1)));
            let Bundle { groups, apps, policy, .. } = bundle.clone();
            for name in world.gateway.apps.keys().chain(twin.gateway.apps.keys()).cloned().collect::<BTreeSet<_>>() {
                // All go first: new ones may be where old ones were.
                let _ = twin.take_at(Input::RemoveApp(name), NOW);
            }
            groups.into_iter().for_each(|name| drop(twin.take(Input::PutGroup(name))));
            apps.into_values().for_each(|app| drop(twin.take(Input::PutApp(app))));
            twin.take(Input::PutPolicy { policy: Box::new(policy), if_match: None });
            for session in world.gateway.sessions() {
                prop_assert_eq!(&session.permitted, &twin.gateway.session(session.token).unwrap().permitted);
            }
            prop_assert_eq!(&world.gateway.bundle().apps, &twin.gateway.bundle().apps);
            prop_assert_eq!(&world.gateway.bundle().groups, &twin.gateway.bundle().groups);
            prop_assert_eq!(&world.gateway.bundle().policy, &bundle.policy);
            let again = world.take(apply(bundle));
            prop_assert_eq!((again.plan.steps.len(), again.generation), (0, None));
        }
    }

    /// What a rehearsal says is what happens then, and it has changed nothing.
    #[test]
    fn a_rehearsal_tells_what_will_happen(bundle in bundles()) {
        let mut world = World::with_sessions();
        world.take(Input::PutUser(user("kim", &["staff", "finance"])));
        let before = format!("{:?}", world.gateway);
        let assumed = Assumed { source: [10, 9, 0, 77].into(), zone: "branch".into() };
        let rehearsal = world.gateway.clone().rehearse(bundle.clone(), &assumed, NOW);
        prop_assert_eq!(format!("{:?}", world.gateway), before);
        let login = |world: &World, app: &AppName| {
            let proof = Factors::from([Factor::Password, Factor::Totp]);
            let proof = Proof { assurance: Assurance { mfa: true, ..Assurance::default() }.into(), ..proof.into() };
            world.gateway.decide_for(&user_name("kim"), &proof, &source(77), app).is_ok_and(|decision| decision.permit)
        };
        let names = world.gateway.apps.keys().chain(bundle.apps.keys()).cloned().collect::<BTreeSet<_>>();
        let reached: Vec<bool> = names.iter().map(|name| login(&world, name)).collect();
        match (rehearsal, world.take_at(apply(bundle), NOW)) {
            (Ok(rehearsal), Ok(changed)) => {
                prop_assert_eq!(rehearsal.sessions, changed.regranted);
                let kim = rehearsal.people.get(&user_name("kim")).cloned().unwrap_or_default();
                for (name, before) in names.iter().zip(reached) {
                    let after = login(&world, name);
                    prop_assert_eq!(kim.gained.contains(name), after && !before);
                    prop_assert_eq!(kim.lost.contains(name), before && !after);
                }
            }
            (Err(told), Err(refused)) => prop_assert_eq!(told, refused),
            (told, happened) => prop_assert!(false, "{:?} {:?}", told.is_ok(), happened.is_ok()),
        }
    }

    /// Without any one permit, nobody reaches more; without any one forbid, nobody reaches less.
    #[test]
    fn removing_a_permit_never_widens_access(mut chosen in prop::collection::vec(any::<bool>(), 6), at in 0..6_usize) {
        let mut world = World::with_sessions();
        chosen[at] = true;
        world.take(policy(&text(&chosen)));
        let with: Vec<BTreeSet<String>> = (1..4).map(|token| world.reach(token).into_iter().map(str::to_owned).collect()).collect();
        chosen[at] = false;
        world.take(policy(&text(&chosen)));
        for (token, with) in (1..4).zip(with) {
            let without = world.reach(token).into_iter().map(str::to_owned).collect();
            let (less, more) = if at < 4 { (&without, &with) } else { (&with, &without) };
            prop_assert!(less.is_subset(more), "{} {:?} {:?}", at, with, without);
        }
    }
}
