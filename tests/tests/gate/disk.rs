//! The disk of the state folder is full, read-only, frozen or cut off, for real: what was taken away stays away, what is
//! refused leaves nothing behind, and packets know nothing of it.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use gateway_tests::{Answer, Disk, Gate, Medium, World, wait_until};
use gateway_userspace::store::{FileStore, Store as _};
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use crate::lease::{LEASE, until_it_is_over};
use crate::record::sum;
use crate::scene::{Apps, SOON, V4, V6, falls_silent, goes_on, is_kept_out, reaches, stream};

/// How a disk becomes bad, and good again.
struct Fault {
    medium: Medium,
    begin: fn(&Disk) -> Result<()>,
    end: fn(&Disk) -> Result<()>,
    /// What the daemon's log says of it.
    told: &'static str,
}

/// Nothing can be written, not even over what is there.
const FULL: Fault =
    Fault { medium: Medium::Btrfs, begin: Disk::fill, end: Disk::free, told: "no space is left for state file" };

/// What is written is lost on its way to the disk, after the kernel has taken it.
const PROMISED_TOO_MUCH: Fault = Fault { medium: Medium::Thin, ..FULL };

const READ_ONLY: Fault =
    Fault { medium: Medium::Ext4, begin: Disk::fail, end: Disk::repair, told: "Read-only file system" };

#[test]
fn a_full_disk_delays_no_revocation_and_what_it_refuses_leaves_nothing() -> Result<()> {
    waits_for_the_disk(&FULL)
}

#[test]
fn nor_does_one_that_loses_what_it_has_taken() -> Result<()> {
    waits_for_the_disk(&PROMISED_TOO_MUCH)
}

#[test]
fn nor_does_one_that_has_become_read_only() -> Result<()> {
    waits_for_the_disk(&READ_ONLY)
}

#[test]
fn what_was_revoked_stays_so_when_the_daemon_dies_while_its_disk_is_full() -> Result<()> {
    outlives_the_daemon(&FULL)
}

#[test]
fn and_while_its_disk_loses_what_it_has_taken() -> Result<()> {
    outlives_the_daemon(&PROMISED_TOO_MUCH)
}

#[test]
fn and_while_its_disk_is_read_only() -> Result<()> {
    outlives_the_daemon(&READ_ONLY)
}

#[test]
fn records_leave_room_for_the_state_and_go_on_when_there_is_more() -> Result<()> {
    let (mut gate, disk) = on_a_disk(Medium::Ext4, |config| config)?;
    let _apps = Apps::start(&gate.world, V4)?;
    let alice = V4.alice(&gate)?;
    disk.leave(2 << 20)?;
    reaches(&gate.world.client, V4.crm());
    gate.says("are left to the state")?;
    V4.bob(&gate)?;
    gate.api.post("/v1/users/bob/disable")?.ok()?;

    gate.daemon.restart()?;
    assert_eq!(sessions(&gate)?, [alice.token]);
    reaches(&gate.world.client, V4.crm());
    gate.says_times("are left to the state", 2)?;
    disk.free()?;
    gate.says("the archive of records is written again")
}

/// A gateway on a disk of its own, which goes last.
fn on_a_disk(medium: Medium, tweak: impl FnOnce(String) -> String) -> Result<(Gate, Disk)> {
    let world = World::new()?;
    let disk = Disk::new(&world, medium)?;
    Ok((Gate::inside(world, tweak)?, disk))
}

fn waits_for_the_disk(fault: &Fault) -> Result<()> {
    let (mut gate, disk) = on_a_disk(fault.medium, |config| config)?;
    let (client, client2) = (gate.world.client.clone(), gate.world.client2.clone());
    let _apps = Apps::start(&gate.world, V4)?;
    let alice = V4.alice(&gate)?;
    V4.bob(&gate)?;
    let (going, cut) = (stream(&client, V4.crm())?, stream(&client2, V4.vault())?);
    (fault.begin)(&disk)?;

    refuses_what_gives_access(&gate)?;
    gate.api.post("/v1/users/bob/disable")?.problem(503)?;
    falls_silent(&cut)?;
    is_kept_out(&client2, V4.vault());
    gate.try_login(&client2, V4.guard1, "bob")?.problem(403)?;
    goes_on(&going)?;
    reaches(&client, V4.crm());
    assert_eq!(sessions(&gate)?, [alice.token.as_str()]);
    let log = gate.daemon.log();
    assert!(log.contains("the store failed") && log.contains(fault.told), "{log}");
    let metrics = gate.api.get("/metrics")?.text;
    assert!(sum(&metrics, "portcullis_store_failures_total ") >= 3.0, "{metrics}");
    assert!(sum(&metrics, "portcullis_store_unsaved ") >= 1.0, "{metrics}");

    (fault.end)(&disk)?;
    is_saved(&gate)?;
    // Nothing else is written from here on: what the disk has is what the daemon has put right by itself.
    if fault.medium == Medium::Thin {
        let cut = disk.cut(0)?;
        let stored = FileStore::open(&cut.join("state.redb"))?.load()?;
        let tokens: Vec<String> = stored.sessions.iter().map(|stored| stored.session.token.to_string()).collect();
        assert_eq!(tokens, [alice.token.as_str()]);
        assert!(stored.users.iter().all(|user| user.enabled == (user.name.as_str() != "bob")), "{:?}", stored.users);
    }
    gate.daemon.kill9()?;
    gate.daemon.restart()?;
    assert_eq!(sessions(&gate)?, [alice.token]);
    assert_eq!(gate.api.get("/v1/users/bob")?.ok()?["enabled"], false);
    gate.api.get("/v1/groups/refused")?.problem(404)?;
    is_kept_out(&client2, V4.vault());
    goes_on(&going)?;
    V6.alice(&gate).map(drop)
}

fn outlives_the_daemon(fault: &Fault) -> Result<()> {
    let (mut gate, disk) = on_a_disk(fault.medium, |config| config)?;
    let (client, client2) = (gate.world.client.clone(), gate.world.client2.clone());
    let _apps = Apps::start(&gate.world, V4)?;
    let alice = V4.alice(&gate)?;
    V4.bob(&gate)?;
    let going = stream(&client, V4.crm())?;
    (fault.begin)(&disk)?;
    refuses_what_gives_access(&gate)?;
    gate.api.post_json("/v1/revocations", &json!({ "user": "bob" }))?.problem(503)?;
    gate.daemon.kill9()?;
    is_kept_out(&client2, V4.vault());
    goes_on(&going)?;
    (fault.end)(&disk)?;
    gate.daemon.restart()?;
    assert_eq!(sessions(&gate)?, [alice.token]);
    is_kept_out(&client2, V4.vault());
    goes_on(&going)?;
    assert_eq!(gate.api.get("/v1/status")?.ok()?["drift_entries"], 0);
    V4.bob(&gate)?;
    reaches(&client2, V4.vault());
    Ok(())
}

#[test]
fn a_state_folder_whose_disk_is_not_mounted_is_not_begun_anew() -> Result<()> {
    let (mut gate, disk) = on_a_disk(Medium::Ext4, |config| config)?;
    disk.fail()?;
    gate.api.post("/v1/users/bob/disable")?.problem(503)?;
    // Within a second or two the daemon holds no file of it open.
    wait_until("the disk to be left alone", SOON, || disk.unmount().ok())?;
    let failures = |gate: &Gate| gate.daemon.log().matches("the store failed").count();
    let before = failures(&gate);
    wait_until("the daemon to look for its disk", SOON, || (failures(&gate) > before + 1).then_some(()))?;
    disk.mount()?;
    is_saved(&gate)?;
    gate.daemon.restart()?;
    assert_eq!(gate.api.get("/v1/users/bob")?.ok()?["enabled"], false);
    Ok(())
}

#[test]
fn a_disk_that_answers_nothing_delays_no_revocation_and_ends_access_with_the_lease() -> Result<()> {
    let (gate, disk) = on_a_disk(Medium::Ext4, |config| config + LEASE)?;
    let (client, client2) = (gate.world.client.clone(), gate.world.client2.clone());
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    V4.bob(&gate)?;
    let (going, cut) = (stream(&client, V4.crm())?, stream(&client2, V4.vault())?);
    let before = gate.drops()?;
    let frozen = disk.freeze()?;
    let revoking = revoke_bob(&gate);
    falls_silent(&cut)?;
    until_it_is_over(&gate)?;
    falls_silent(&going)?;
    is_kept_out(&client, V4.crm());
    gate.says("the core stands still")?;
    drop(frozen);
    let revoked = revoking.join().ok().context("the revocation")??.ok()?;
    assert_eq!(revoked["receipts"][0]["user"], "bob", "{revoked}");
    gate.says("the core gets on again")?;
    goes_on(&going)?;
    reaches(&client, V4.crm());
    is_kept_out(&client2, V4.vault());
    let reasons = gate.reasons_since(&before)?;
    assert!(reasons.contains(&"guard0/lease_expired".to_owned()), "{reasons:?}");
    Ok(())
}

#[test]
fn what_was_revoked_stays_so_when_the_daemon_dies_while_its_disk_answers_nothing() -> Result<()> {
    let (mut gate, disk) = on_a_disk(Medium::Ext4, |config| config)?;
    let (client, client2) = (gate.world.client.clone(), gate.world.client2.clone());
    let _apps = Apps::start(&gate.world, V4)?;
    let alice = V4.alice(&gate)?;
    V4.bob(&gate)?;
    let (going, cut) = (stream(&client, V4.crm())?, stream(&client2, V4.vault())?);
    let frozen = disk.freeze()?;
    let revoking = revoke_bob(&gate);
    falls_silent(&cut)?;
    gate.daemon.signal(Signal::SIGKILL)?;
    assert!(revoking.join().ok().context("the revocation")?.is_err(), "it was answered by a daemon that was killed");
    goes_on(&going)?;
    drop(frozen);
    // Whoever waits for a frozen disk dies when it is thawed.
    wait_until("the daemon to die", SOON, || gate.daemon.is_running().is_ok_and(|runs| !runs).then_some(()))?;
    gate.daemon.restart()?;
    assert_eq!(sessions(&gate)?, [alice.token]);
    goes_on(&going)?;
    is_kept_out(&client2, V4.vault());
    Ok(())
}

fn revoke_bob(gate: &Gate) -> thread::JoinHandle<Result<Answer>> {
    let api = gate.api.clone();
    thread::spawn(move || api.post_json("/v1/revocations", &json!({ "user": "bob" })))
}

/// How far a user's life has come. It only goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Life {
    Unborn,
    Enabled,
    Disabled,
    Removed,
}

/// Lives that have been asked for, and those that were answered.
#[derive(Clone, Debug)]
struct Lives {
    asked: Vec<Life>,
    answered: Vec<Life>,
}

#[test]
fn whenever_the_power_fails_the_disk_has_every_change_that_was_answered_and_none_that_was_not_asked_for() -> Result<()>
{
    const SEED: u64 = 7;
    const CUTS: usize = 24;
    const USERS: usize = 1000;
    let (gate, disk) = on_a_disk(Medium::Copied, |config| config)?;
    let lives = Mutex::new(Lives { asked: vec![Life::Unborn; USERS], answered: vec![Life::Unborn; USERS] });
    let lives = &lives;
    let seen = || lives.lock().map(|lives| lives.clone()).map_err(|_| anyhow!("the other thread has panicked"));
    let is_over = AtomicBool::new(false);
    let mut random = StdRng::seed_from_u64(SEED);
    thread::scope(|scope| {
        let living = scope.spawn(|| live(&gate, lives, &is_over));
        let cuts = || -> Result<()> {
            for number in 0..CUTS {
                let from = seen()?.steps() + random.random_range(0..6);
                wait_until("a few changes", SOON, || seen().is_ok_and(|lives| lives.steps() >= from).then_some(()))?;
                // So much of the way to the next one.
                (0..random.random_range(0..200_000_u32)).for_each(|_| std::hint::spin_loop());
                let answered = seen()?.answered;
                let cut = disk.cut(number)?;
                let asked = seen()?.asked;
                let stored = FileStore::open(&cut.join("state.redb")).and_then(|store| store.load());
                let stored = stored.with_context(|| format!("cut {number} of seed {SEED}"))?;
                for user in 0..USERS {
                    let name = format!("u{user}");
                    let found = stored.users.iter().find(|stored| stored.name.as_str() == name);
                    let life = match found {
                        Some(user) if user.enabled => Life::Enabled,
                        Some(_) => Life::Disabled,
                        None if answered[user] == Life::Unborn => Life::Unborn,
                        None => Life::Removed,
                    };
                    let possible = answered[user]..=asked[user];
                    ensure!(
                        possible.contains(&life),
                        "{name} is {life:?}, not {possible:?}: cut {number} of seed {SEED}"
                    );
                }
                disk.forget(&cut)?;
            }
            Ok(())
        };
        let cut = std::panic::catch_unwind(std::panic::AssertUnwindSafe(cuts));
        is_over.store(true, Ordering::Relaxed);
        let lived = living.join();
        cut.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        lived.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Lives {
    fn steps(&self) -> usize {
        self.answered.iter().map(|life| *life as usize).sum()
    }
}

/// Makes users, disables them and removes them, one step after the other.
fn live(gate: &Gate, lives: &Mutex<Lives>, is_over: &AtomicBool) -> Result<()> {
    let step = |user: usize, life: Life, ask: &dyn Fn(&str) -> Result<Answer>| -> Result<()> {
        let note = |field: fn(&mut Lives) -> &mut Vec<Life>| {
            lives
                .lock()
                .map(|mut lives| field(&mut lives)[user] = life)
                .map_err(|_| anyhow!("the other thread has panicked"))
        };
        note(|lives| &mut lives.asked)?;
        ask(&format!("/v1/users/u{user}"))?.ok()?;
        note(|lives| &mut lives.answered)
    };
    for user in 0.. {
        step(user, Life::Enabled, &|path| gate.api.put(path, &json!({ "groups": ["ops"] })))?;
        if let Some(earlier) = user.checked_sub(1) {
            step(earlier, Life::Disabled, &|path| gate.api.post(&format!("{path}/disable")))?;
        }
        if let Some(earlier) = user.checked_sub(2) {
            step(earlier, Life::Removed, &|path| gate.api.delete(path))?;
        }
        if is_over.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

#[test]
fn a_state_file_that_is_cut_short_or_overwritten_keeps_the_daemon_from_starting_and_packets_know_nothing() -> Result<()>
{
    let mut gate = Gate::with(|config| config + "\n[limits]\nlease = \"10m\"\n")?;
    let client = gate.world.client.clone();
    let _apps = Apps::start(&gate.world, V4)?;
    let alice = V4.alice(&gate)?;
    let going = stream(&client, V4.crm())?;
    gate.daemon.stop()?;
    let path = gate.world.scratch().join("state/state.redb");
    let honest = fs::read(&path)?;
    let half = honest.len() / 2;
    let damaged: [(&str, Vec<u8>); 4] = [
        ("empty", Vec::new()),
        ("of one page", honest[..4096].to_vec()),
        ("of which half is lost", honest[..half].to_vec()),
        ("of which the first page is overwritten", [&[0x5a; 4096], &honest[4096..]].concat()),
    ];
    for (how, bytes) in damaged {
        fs::write(&path, bytes)?;
        let log = gate.daemon.log().len();
        let refused = gate.daemon.restart();
        let said = gate.daemon.log()[log..].to_owned();
        assert!(refused.is_err(), "a state file {how} was taken: {said}");
        let last = said.lines().last().unwrap_or_default();
        assert!(last.contains("is damaged") && last.contains("restore a backup"), "{how}: {said}");
        assert!(last.contains(&path.display().to_string()), "{how}: {said}");
        goes_on(&going)?;
        reaches(&client, V4.crm());
    }
    fs::write(&path, honest)?;
    gate.daemon.restart()?;
    assert_eq!(sessions(&gate)?, [alice.token]);
    goes_on(&going)
}

fn is_saved(gate: &Gate) -> Result<()> {
    let saved = || {
        let answer = gate.api.get("/metrics").ok()?;
        (answer.status == 200 && sum(&answer.text, "portcullis_store_unsaved ") == 0.0).then_some(())
    };
    wait_until("everything to be saved", SOON, saved)?;
    let log = gate.daemon.log();
    ensure!(log.contains("the store works again; everything is saved"), "{log}");
    Ok(())
}

fn refuses_what_gives_access(gate: &Gate) -> Result<()> {
    let refused = gate.try_login(&gate.world.client, V6.guard0, "alice")?;
    let problem = refused.problem(503)?;
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("could not write its state")), "{problem}");
    ensure!(refused.header("retry-after").is_some(), "{}", refused.head);
    is_kept_out(&gate.world.client, V6.crm());
    gate.api.put("/v1/groups/refused", &json!({}))?.problem(503).map(drop)
}

/// The names of all sessions.
fn sessions(gate: &Gate) -> Result<Vec<String>> {
    let sessions = gate.api.get("/v1/sessions")?.ok()?;
    let items = sessions["items"].as_array().context("no items")?;
    Ok(items.iter().filter_map(|session| session["token"].as_str().map(str::to_owned)).collect())
}
