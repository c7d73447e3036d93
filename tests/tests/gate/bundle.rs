//! Bundles put in force by the command line: what is planned is what happens to open connections, and what nobody
//! confirms is undone, also for an administrator who has cut himself off.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Cli, Gate, wait_until};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::cli::admin;
use crate::scene::{Apps, SOON, V4, falls_silent, goes_on, is_kept_out, reaches, stream};

/// The shortest time for confirming.
const WITHIN: &str = "10s";

/// What is in force, as files that can be changed.
fn exported(gate: &Gate, admin: &Cli) -> Result<PathBuf> {
    let folder = gate.world.scratch().join("office");
    let ran = admin.run(&["policy", "export", &folder.display().to_string()])?;
    ensure!(ran.code == 0, "{ran:?}");
    Ok(folder)
}

/// Without the policies; its path.
fn without_policies(folder: &Path) -> Result<String> {
    let path = folder.display().to_string();
    fs::write(folder.join("policy.cedar"), "// nobody").with_context(|| path.clone())?;
    Ok(path)
}

#[test]
fn what_is_planned_is_what_is_cut_and_a_roll_back_opens_it_again() -> Result<()> {
    let gate = Gate::open()?;
    let admin = admin(&gate)?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    V4.bob(&gate)?;
    let (alices, bobs) = (stream(&gate.world.client, V4.crm())?, stream(&gate.world.client2, V4.vault())?);
    let folder = exported(&gate, &admin)?;
    let path = folder.display().to_string();
    let nothing = admin.run(&["policy", "plan", &path])?;
    ensure!(nothing.stdout.starts_with("nothing would change: generation"), "{nothing:?}");

    let policies = fs::read_to_string(folder.join("policy.cedar"))?;
    fs::write(folder.join("policy.cedar"), policies.replace("finance", "accounting"))?;
    let misspelt = admin.run(&["policy", "plan", &path])?;
    ensure!(misspelt.code == 1 && misspelt.stdout.contains("group `accounting` is not defined"), "{misspelt:?}");
    fs::write(folder.join("groups.toml"), "[[group]]\nname = \"accounting\"\n[[group]]\nname = \"ops\"\n")?;
    let planned = wait_until("the open connection to be known", SOON, || {
        let plan = admin.json(&["policy", "plan", &path, "--json"]).ok()?;
        (plan["flows_cut"] == 1).then_some(plan)
    })?;
    assert_eq!(
        planned["people"],
        json!([{ "user": "alice", "sessions": 1, "gained": [], "lost": ["crm"], "flows_cut": 1 }])
    );
    goes_on(&alices)?;
    let diff = admin.run(&["policy", "diff", &path])?;
    ensure!(diff.stdout.contains("-") && diff.stdout.contains("Group::\"accounting\""), "{diff:?}");

    let generation = planned["generation"].to_string();
    let stale = admin.run(&["policy", "apply", &path, "--if-match", "1"])?;
    ensure!(stale.code == 1 && stale.stderr.contains("generation 1 was expected"), "{stale:?}");
    let applied = admin.run(&["policy", "apply", &path, "--if-match", &generation, "--message", "a new name"])?;
    ensure!(applied.code == 0 && applied.stdout.contains("0 sessions gained, 1 session lost"), "{applied:?}");
    falls_silent(&alices)?;
    is_kept_out(&gate.world.client, V4.crm());
    goes_on(&bobs)?;

    let history = admin.run(&["policy", "history"])?;
    ensure!(history.stdout.contains("bundle applied") && history.stdout.contains("a new name"), "{history:?}");
    let back = admin.run(&["policy", "rollback", "--message", "wrong"])?;
    ensure!(back.code == 0 && back.stdout.contains(&format!("back to generation {generation}")), "{back:?}");
    reaches(&gate.world.client, V4.crm());
    goes_on(&bobs)?;
    let shown = admin.run(&["policy", "show"])?;
    ensure!(shown.stdout.contains("Group::\"finance\""), "{shown:?}");
    Ok(())
}

#[test]
fn whoever_cuts_himself_off_and_cannot_confirm_reaches_everything_again() -> Result<()> {
    let gate = Gate::open()?;
    let admin = admin(&gate)?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let open = stream(&gate.world.client, V4.crm())?;
    let path = without_policies(&exported(&gate, &admin)?)?;
    let applied = admin.run(&["policy", "apply", &path, "--confirm-within", WITHIN])?;
    ensure!(applied.code == 0 && applied.stdout.contains("unless you run `portcullis policy confirm`"), "{applied:?}");
    falls_silent(&open)?;
    is_kept_out(&gate.world.client, V4.crm());
    // Nobody does anything.
    wait_until("it to be undone", SOON * 2, || {
        let history = admin.json(&["policy", "history", "--json"]).ok()?;
        (history[0]["action"] == "rolled_back").then_some(())
    })?;
    reaches(&gate.world.client, V4.crm());
    gate.says("nobody has confirmed it in time, and it is undone")
}

#[test]
fn what_nobody_has_confirmed_is_undone_by_a_daemon_that_starts_anew() -> Result<()> {
    let mut gate = Gate::open()?;
    let admin = admin(&gate)?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let path = without_policies(&exported(&gate, &admin)?)?;
    let applied = admin.json(&["policy", "apply", &path, "--confirm-within", WITHIN, "--json"])?;
    ensure!(applied["confirm_until"].is_string(), "{applied}");
    gate.daemon.kill9()?;
    is_kept_out(&gate.world.client, V4.crm());
    gate.daemon.restart()?;
    wait_until("it to be undone", SOON * 2, || {
        let history = admin.json(&["policy", "history", "--json"]).ok()?;
        (history[0]["action"] == "rolled_back").then_some(())
    })?;
    reaches(&gate.world.client, V4.crm());
    Ok(())
}

#[test]
fn what_is_confirmed_stays() -> Result<()> {
    let gate = Gate::open()?;
    let admin = admin(&gate)?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let path = without_policies(&exported(&gate, &admin)?)?;
    let applied = admin.json(&["policy", "apply", &path, "--confirm-within", WITHIN, "--json"])?;
    let file = admin.run(&["policy", "apply", &format!("{path}/policy.cedar"), "--confirm-within", WITHIN])?;
    ensure!(file.code == 1 && file.stderr.contains("are for bundles"), "{file:?}");
    let confirmed = admin.run(&["policy", "confirm", &applied["generation"].to_string()])?;
    ensure!(confirmed.code == 0 && confirmed.stdout.contains("stays in force"), "{confirmed:?}");
    let again = admin.run(&["policy", "confirm"])?;
    ensure!(again.code == 1 && again.stderr.contains("no generation waits"), "{again:?}");
    is_kept_out(&gate.world.client, V4.crm());
    Ok(())
}

#[test]
fn a_directory_is_followed_and_one_that_is_not_valid_changes_nothing() -> Result<()> {
    let gate = Gate::with(|config| format!("{config}\n[policy]\nbundle = \"{{scratch}}/office\"\n"))?;
    let admin = admin(&gate)?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    gate.says("is not valid; what is in force stays")?;
    let going = stream(&gate.world.client, V4.crm())?;
    let folder = exported(&gate, &admin)?;
    let policies = fs::read_to_string(folder.join("policy.cedar"))?;
    let valid = |is_valid: &'static str| {
        let text = format!("portcullis_bundle_valid {is_valid}\n");
        wait_until("the bundle to be read", SOON, || gate.api.get("/metrics").ok()?.text.contains(&text).then_some(()))
    };
    valid("1")?;
    fs::write(folder.join("policy.cedar"), "permit (nobody")?;
    valid("0")?;
    goes_on(&going)?;
    gate.says("policy.cedar:1:")?;
    without_policies(&folder)?;
    falls_silent(&going)?;
    is_kept_out(&gate.world.client, V4.crm());
    valid("1")?;
    fs::write(folder.join("policy.cedar"), policies)?;
    gate.daemon.signal(Signal::SIGHUP)?;
    wait_until("it to be in force again", SOON, || {
        let history = admin.json(&["policy", "history", "--json"]).ok()?;
        (history[0]["author"] == "directory" && history[1]["author"] == "directory").then_some(())
    })?;
    reaches(&gate.world.client, V4.crm());
    Ok(())
}
