//! The audit trail of a real gateway: what happened is in it, a daemon that is killed loses nothing that was kept, and one
//! byte that is changed on the disk is found, by the command line and by the next start.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Disk, Gate, Medium, World, wait_until};
use serde_json::{Value, json};

use crate::cli::admin;
use crate::record::sum;
use crate::scene::{Apps, SOON, V4, falls_silent, stream};

fn folder(gate: &Gate) -> PathBuf {
    gate.world.scratch().join("state/audit")
}

/// The entries that the API shows, the newest first.
fn entries(gate: &Gate, query: &str) -> Result<Vec<Value>> {
    let answer = gate.api.get(&format!("/v1/audit?limit=1000{query}"))?.ok()?;
    Ok(answer["items"].as_array().context("no items")?.clone())
}

/// The newest entry of a type that meets the condition, as soon as it is kept.
fn entry(gate: &Gate, kind: &str, condition: impl Fn(&Value) -> bool) -> Result<Value> {
    let find = || entries(gate, &format!("&type={kind}")).ok()?.into_iter().find(&condition);
    wait_until(&format!("an entry `{kind}`"), SOON, find).with_context(|| format!("{:#?}", entries(gate, "")))
}

fn head(gate: &Gate) -> Result<Value> {
    gate.api.get("/v1/audit/head")?.ok()
}

#[test]
fn what_happened_is_in_the_trail_and_a_byte_that_is_changed_is_found() -> Result<()> {
    let mut gate = Gate::open()?;
    let (admin, dir) = (admin(&gate)?, folder(&gate));
    let dir = dir.display().to_string();
    let _apps = Apps::start(&gate.world, V4)?;
    let login = V4.alice(&gate)?;
    let cut = stream(&gate.world.client, V4.crm())?;
    gate.portal(&gate.world.client2, V4.guard1)
        .post_json("/v1/login", &json!({ "username": "bob", "password": "Canary-of-bob" }))?
        .problem(401)?;
    // A bundle without policies takes from alice what she has.
    let office = gate.world.scratch().join("office");
    let ran = admin.run(&["policy", "export", &office.display().to_string()])?;
    ensure!(ran.code == 0, "{ran:?}");
    fs::write(office.join("policy.cedar"), "// nobody")?;
    let ran = admin.run(&["policy", "apply", &office.display().to_string(), "--message", "NET-417"])?;
    ensure!(ran.code == 0, "{ran:?}");
    falls_silent(&cut)?;
    gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
    let made = gate.api.post_json("/v1/tokens", &json!({ "name": "auditor", "scopes": ["audit:read"] }))?.ok()?;
    let secret = made["secret"].as_str().context("no secret")?.to_owned();
    let auditor = gate.api.bearer(&secret);
    auditor.get("/v1/users")?.problem(403)?;
    gate.api.bearer("pct_wrong").get("/v1/users")?.problem(401)?;

    let of_alice = |entry: &Value| entry["session"] == json!(login.token);
    let begun = entry(&gate, "login", of_alice)?;
    assert_eq!((&begun["user"], &begun["factors"]), (&json!("alice"), &json!(["password"])));
    assert_eq!(begun["granted"], json!([{ "app": "crm", "policies": ["finance-crm"] }]));
    let lost = entry(&gate, "regranted", of_alice)?;
    assert_eq!((&lost["lost"], &lost["because"]), (&json!([{ "app": "crm" }]), &json!("bundle_applied")));
    let generation = entry(&gate, "generation_began", |entry| entry["message"] == "NET-417")?;
    assert_eq!((&generation["by"], &generation["generation"]), (&json!("admin"), &lost["generation"]));
    assert!(generation["policies"]["removed"].as_array().is_some_and(|it| it.contains(&json!("finance-crm"))));
    assert_eq!((&generation["apps"], &generation["from"]), (&json!({}), &json!("127.0.0.1")));
    let ended = entry(&gate, "session_ended", of_alice)?;
    assert_eq!(
        (&ended["cause"], &ended["by"], &ended["from"]),
        (&json!("revoked"), &json!("admin"), &json!("127.0.0.1"))
    );
    assert!(ended["enforced_after_us"].as_f64() > Some(0.0) && ended["last_packet_at"].is_string(), "{ended}");
    entry(&gate, "login_failed", |entry| entry["user"] == "bob" && entry["why"] == "refused")?;
    let token = entry(&gate, "admin", |entry| entry["action"] == "api_token_created" && entry["name"] == "auditor")?;
    assert_eq!((&token["scopes"], &token["object"]), (&json!(["audit:read"]), &made["token"]["id"]));
    entry(&gate, "admin_refused", |entry| entry["by"] == "auditor" && entry["operation"] == "GET /v1/users")?;
    entry(&gate, "admin_refused", |entry| entry["by"] == "" && entry["why"] == "unknown")?;
    entry(&gate, "daemon_started", |_| true)?;
    assert!(auditor.get("/v1/audit?by=auditor")?.ok()?["items"].as_array().is_some_and(|items| items.len() == 1));
    gate.api.get("/v1/audit?since=yesterday")?.problem(422)?;
    for secret in [secret.as_str(), "Canary", gateway_tests::gate::PASSWORD] {
        let files = fs::read_dir(folder(&gate))?.map(|file| Ok(fs::read_to_string(file?.path())?));
        ensure!(!files.collect::<Result<String>>()?.contains(secret), "{secret} is in the trail");
    }

    let before = head(&gate)?;
    assert_eq!((&before["intact"], &before["lost"]), (&json!(true), &json!(0)));
    let written_down = before["head"].as_str().context("no head")?.to_owned();
    gate.daemon.kill9()?;
    let verified = admin.json(&["audit", "verify", "--dir", &dir, "--head", &written_down, "--json"])?;
    assert_eq!((&verified["verified"], &verified["written_down"]), (&json!(true), &json!("same")));
    gate.daemon.restart()?;
    entry(&gate, "daemon_started", |entry| entry["process"] == gate.daemon.pid())?;
    let ran = admin.run(&["audit", "verify", "--dir", &dir, "--head", &written_down])?;
    ensure!(
        ran.code == 0 && ran.stdout.contains("is what was written down") && ran.stdout.contains("head "),
        "{ran:?}"
    );
    let listed = admin.run(&["audit", "list", "--user", "alice", "--since", "1h"])?;
    ensure!(
        listed.code == 0 && listed.stdout.contains("session_ended") && listed.stdout.contains("revoked"),
        "{listed:?}"
    );
    let shown = admin.run(&["audit", "head"])?;
    ensure!(shown.stdout.contains("nothing was found broken"), "{shown:?}");
    let metrics = gate.api.get("/metrics")?.text;
    assert_eq!(sum(&metrics, "portcullis_audit_intact "), 1.0);
    assert_eq!(sum(&metrics, "portcullis_audit_lost_total "), 0.0);
    assert!(sum(&metrics, "portcullis_audit_entries_total{type=\"daemon_started\"}") == 1.0, "{metrics}");
    assert_eq!(gate.daemon.stop()?, 0);

    let file = folder(&gate).join("00000001.jsonl");
    let text = fs::read_to_string(&file)?;
    ensure!(text.lines().last().is_some_and(|line| line.contains("daemon_stopped")), "{text}");
    let line = 1 + text.lines().position(|line| line.contains("\"login\"")).context("no login")?;
    let changed: String = text.lines().enumerate().fold(String::new(), |all, (at, kept)| {
        all + &if at + 1 == line { kept.replace("alice", "alicf") } else { kept.to_owned() } + "\n"
    });
    fs::write(&file, &changed)?;
    let found = admin.run(&["audit", "verify", "--dir", &dir])?;
    ensure!(found.code == 1 && found.stdout.contains(&format!("00000001.jsonl:{line}: changed")), "{found:?}");
    gate.daemon.restart()?;
    gate.says("the audit trail is broken")?;
    let broken = entry(&gate, "chain_broken", |_| true)?;
    assert_eq!((&broken["line"], &broken["flaw"]), (&json!(line), &json!("changed")));
    assert_eq!(fs::read_to_string(&file)?, changed, "it is left as it is");
    assert_eq!(head(&gate)?["intact"], false);
    assert_eq!(sum(&gate.api.get("/metrics")?.text, "portcullis_audit_intact "), 0.0);
    // As the runbook says: what is broken is moved away, and the rest verifies.
    fs::rename(&file, gate.world.scratch().join("evidence.jsonl"))?;
    gate.daemon.restart()?;
    let ran = admin.run(&["audit", "verify", "--dir", &dir])?;
    ensure!(ran.code == 0 && ran.stdout.contains("had found the one before broken"), "{ran:?}");
    assert_eq!(head(&gate)?["intact"], true);
    Ok(())
}

#[test]
fn on_a_full_disk_entries_wait_and_none_is_lost() -> Result<()> {
    let world = World::new()?;
    let disk = Disk::new(&world, Medium::Btrfs)?;
    let gate = Gate::inside(world, |config| config)?;
    V4.alice(&gate)?;
    entry(&gate, "login", |_| true)?;
    disk.fill()?;
    gate.api.post("/v1/users/bob/disable")?.problem(503)?;
    gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.problem(503)?;
    gate.says("the audit trail cannot be written")?;
    assert!(head(&gate)?["waiting"].as_u64() > Some(0));
    disk.free()?;
    entry(&gate, "session_ended", |entry| entry["user"] == "alice" && entry["cause"] == "revoked")?;
    entry(&gate, "admin", |entry| entry["object"] == "bob" && entry["action"] == "user_disabled")?;
    wait_until("nothing to wait", Duration::from_secs(10), || (head(&gate).ok()?["waiting"] == 0).then_some(()))?;
    assert_eq!(head(&gate)?["lost"], 0);
    let ran = admin(&gate)?.run(&["audit", "verify", "--dir", &folder(&gate).display().to_string()])?;
    ensure!(ran.code == 0, "{ran:?}");
    Ok(())
}
