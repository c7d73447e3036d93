//! Bundles are put in force, confirmed and undone.

use super::super::Apply;
use super::*;
use crate::policy::gateway::tests::app;
use crate::policy::{App, AppName, Bundle, Generation, History, PolicySet};
use crate::store::{FileStore, Stored};
use std::time::{Duration, Instant};

const EVERYBODY: &str = "permit (principal, action, resource);";
const WITHIN: Option<Duration> = Some(Duration::from_secs(600));

/// A core whose clock is set.
fn clocked(disk: &Disk) -> (Core, Arc<AtomicU64>) {
    let plane = Narrow::new();
    let clock = Arc::clone(&plane.clock);
    (core_on(disk, plane), clock)
}

/// Until it has to be confirmed, and a little more, has passed.
fn pass(clock: &AtomicU64) {
    clock.fetch_add(601_000_000_000, Ordering::Relaxed);
}

fn bundle(apps: &[&str]) -> Bundle {
    let apps = apps.iter().enumerate().map(|(at, name)| app(name, &format!("10.{}.0.0/16", at + 1)));
    Bundle {
        apps: apps.map(|app| (app.name.clone(), app)).collect(),
        policy: PolicySet::parse(EVERYBODY).unwrap(),
        ..Bundle::default()
    }
}

fn apply(bundle: Bundle, confirm_within: Option<Duration>) -> Request {
    let (message, bundle) = ("because".to_owned(), Box::new(bundle));
    Request::Apply(Box::new(Apply { bundle, if_match: None, message, confirm_within, back_to: None }))
}

async fn apps(core: &Core) -> Vec<String> {
    core.read(|state| state.gateway.apps().map(|(_, app)| app.name.to_string()).collect()).await.unwrap()
}

/// Waits until these are the apps.
async fn has(core: &Core, expected: &[&str]) {
    let start = Instant::now();
    while apps(core).await != expected {
        assert!(start.elapsed() < Duration::from_secs(10), "{:?} and not {expected:?}", apps(core).await);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn refused(core: &Core, request: Request) -> String {
    ask(core, request).await.unwrap_err().to_string()
}

#[tokio::test]
async fn what_nobody_confirms_is_undone_and_what_is_confirmed_stays() {
    let disk = Disk::default();
    let (core, clock) = clocked(&disk);
    ask(&core, apply(bundle(&["crm"]), None)).await.unwrap();
    assert_eq!(refused(&core, Request::Confirm(None)).await, "no generation waits for being confirmed");
    ask(&core, apply(bundle(&["crm", "wiki"]), WITHIN)).await.unwrap();
    pass(&clock);
    has(&core, &["crm"]).await;
    let told = core.read(|state| {
        let entry = state.history.entries().next().unwrap();
        (entry.author.clone(), entry.action.clone(), entry.object.clone(), entry.message.clone())
    });
    let message = "generation 2 was not confirmed in time".to_owned();
    assert_eq!(told.await.unwrap(), ("local".into(), "rolled_back".into(), "1".into(), message));

    let generation = ask(&core, apply(bundle(&["crm", "wiki"]), WITHIN)).await.unwrap().generation;
    assert!(refused(&core, Request::Confirm(Some(Generation(1)))).await.starts_with("generation 1 was expected but"));
    ask(&core, Request::Confirm(generation)).await.unwrap();
    pass(&clock);
    assert!(core.read(|state| state.history.undone_at().is_none()).await.unwrap());
    assert_eq!(apps(&core).await, ["crm", "wiki"]);
}

#[tokio::test]
async fn until_it_is_confirmed_nothing_else_is_put_in_force_but_apps_are_switched_off() {
    let core = core(&Disk::default());
    ask(&core, apply(bundle(&["crm"]), None)).await.unwrap();
    let waiting = ask(&core, apply(bundle(&["crm", "wiki"]), WITHIN)).await.unwrap().generation.unwrap().0;
    let denied = format!("generation {waiting} is not confirmed yet; confirm it, or roll it back, and try again");
    let crm = app("crm", "10.1.0.0/16");
    for request in [
        apply(bundle(&[]), None),
        Request::Policy(Input::put_policy("", None).unwrap()),
        Request::Policy(Input::RemoveApp(crm.name.clone())),
        Request::Policy(Input::PutApp(app("crm", "10.9.0.0/16"))),
        Request::Policy(Input::PutApp(App { enabled: false, ..app("crm", "10.9.0.0/16") })),
    ] {
        assert_eq!(refused(&core, request).await, denied);
    }
    ask(&core, Request::Policy(Input::PutApp(App { enabled: false, ..crm.clone() }))).await.unwrap();
    ask(&core, Request::Policy(Input::PutGroup(GroupName::new("new").unwrap()))).await.unwrap();
    let mut same = bundle(&["crm", "wiki"]);
    same.apps.get_mut(&crm.name).unwrap().enabled = false;
    assert_eq!(ask(&core, apply(same, None)).await.unwrap().generation, None, "the same is nothing else");

    // It is rolled back, and what was switched off stays so.
    let (bundle, back_to) = (Box::new(bundle(&["crm"])), Some(Generation(waiting - 1)));
    let off = Apply { bundle, if_match: None, message: String::new(), confirm_within: None, back_to };
    ask(&core, Request::Apply(Box::new(off))).await.unwrap();
    assert_eq!(refused(&core, Request::Confirm(None)).await, "no generation waits for being confirmed");
    ask(&core, Request::Policy(Input::RemoveApp(crm.name))).await.unwrap();
}

#[tokio::test]
async fn an_app_that_is_switched_off_meanwhile_stays_off_when_the_generation_is_undone() {
    let (core, clock) = clocked(&Disk::default());
    ask(&core, apply(bundle(&["crm"]), None)).await.unwrap();
    ask(&core, apply(bundle(&["crm", "wiki"]), WITHIN)).await.unwrap();
    ask(&core, Request::Policy(Input::PutApp(App { enabled: false, ..app("crm", "10.1.0.0/16") }))).await.unwrap();
    pass(&clock);
    has(&core, &["crm"]).await;
    let name = AppName::new("crm").unwrap();
    assert!(!core.read(move |state| state.gateway.app(&name).unwrap().1.enabled).await.unwrap());
}

#[tokio::test]
async fn an_app_that_a_bundle_switches_on_is_off_again_unless_that_is_confirmed() {
    let (core, clock) = clocked(&Disk::default());
    let name = AppName::new("crm").unwrap();
    let is_on = || {
        let name = name.clone();
        core.read(move |state| state.gateway.app(&name).unwrap().1.enabled)
    };
    let (on, mut off) = (bundle(&["crm"]), bundle(&["crm"]));
    off.apps.get_mut(&name).unwrap().enabled = false;
    ask(&core, apply(off, None)).await.unwrap();
    ask(&core, apply(on, WITHIN)).await.unwrap();
    assert!(is_on().await.unwrap());
    pass(&clock);
    let start = Instant::now();
    while is_on().await.unwrap() {
        assert!(start.elapsed() < Duration::from_secs(10), "it stays on");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn what_cannot_be_undone_is_tried_again_until_the_disk_has_room() {
    let disk = Disk::default();
    let (core, clock) = clocked(&disk);
    ask(&core, apply(bundle(&["crm"]), None)).await.unwrap();
    ask(&core, apply(bundle(&["wiki"]), WITHIN)).await.unwrap();
    let until = core.read(|state| state.history.undone_at()).await.unwrap();
    disk.fill(true);
    pass(&clock);
    let start = Instant::now();
    while core.read(|state| state.history.undone_at()).await.unwrap() == until {
        assert!(start.elapsed() < Duration::from_secs(10), "it was not tried");
    }
    assert_eq!(apps(&core).await, ["wiki"]);
    disk.fill(false);
    pass(&clock);
    has(&core, &["crm"]).await;
}

#[tokio::test]
async fn a_daemon_that_starts_anew_undoes_what_nobody_has_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let disk = Disk::default();
    let core = core(&disk);
    ask(&core, apply(bundle(&["crm"]), None)).await.unwrap();
    ask(&core, apply(bundle(&["wiki"]), WITHIN)).await.unwrap();
    // Through a file, as it would be.
    FileStore::open(&path).unwrap().commit(&disk.written.lock().unwrap()).unwrap();
    let Stored { apps: stored, app_ids, policy, generation, history, .. } =
        FileStore::open(&path).unwrap().load().unwrap();
    let entries: Vec<_> = core.read(|state| state.history.entries().rev().cloned().collect()).await.unwrap();
    assert_eq!(history, entries);
    drop(core);

    let stored = crate::policy::Restored {
        apps: stored,
        app_ids,
        generation,
        policy: policy.unwrap().files,
        ..Default::default()
    };
    let restored = Gateway::restore(stored, Capacities::default(), Default::default(), KernelNanos(0)).unwrap();
    let history = History::of(history, |_| KernelNanos(0));
    let state = State { gateway: restored.0, accounts: Accounts::default(), directory: Default::default(), history };
    let core = core_of(state, &Disk::default(), MemoryDataPlane::new(Capacities::default()));
    has(&core, &["crm"]).await;
}
