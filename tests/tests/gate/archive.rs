//! What happened is found again: by the command line, after restarts, and after the daemon was killed.

use anyhow::{Result, ensure};
use gateway_tests::{Cli, Gate, http_get, wait_until};
use serde_json::{Value, json};

use crate::cli::admin;
use crate::scene::{Apps, SOON, V4, is_kept_out, reaches, stream};

const SIZE: u64 = 100_000;

#[test]
fn who_reached_what_and_what_was_denied_is_answered_after_a_restart() -> Result<()> {
    let mut gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    let admin = admin(&gate)?;
    let login = V4.alice(&gate)?;
    V4.bob(&gate)?;
    let (_, body) = http_get(&gate.world.client, V4.crm(), &format!("/bytes/{SIZE}"), SOON)?;
    assert_eq!(body.len() as u64, SIZE);
    is_kept_out(&gate.world.client2, V4.crm());
    is_kept_out(&gate.world.client, V4.vault());
    // The ends of the session's flows are recorded at once.
    gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
    assert_eq!(gate.daemon.stop()?, 0);
    gate.daemon.restart()?;

    let crm = admin.json(&["--json", "reached", "--app", "crm", "--since", "1h"])?;
    let of = |user: &str| items(&crm).iter().find(|item| item["user"] == user).cloned().unwrap_or_default();
    let (alice, bob) = (of("alice"), of("bob"));
    assert_eq!((&alice["connections"], &alice["denied"]), (&json!(1), &json!(0)), "{crm}");
    assert!(alice["to_client_bytes"].as_u64() > Some(SIZE) && alice["to_app_bytes"].as_u64() > Some(100), "{crm}");
    assert_eq!((&bob["connections"], &bob["first"]), (&json!(0), &Value::Null), "{crm}");
    assert!(bob["denied"].as_u64() >= Some(1), "{crm}");
    let by_alice = admin.json(&["--json", "reached", "--user", "alice"])?;
    let apps: Vec<_> = items(&by_alice).iter().map(|item| item["app"].clone()).collect();
    assert_eq!(apps, ["crm", "vault"], "{by_alice}");

    let denied = admin.json(&["--json", "denied", "--user", "bob", "--since", "1h"])?;
    let [bob] = items(&denied) else { panic!("{denied}") };
    assert_eq!((&bob["reason"], &bob["app"]), (&json!("no_grant"), &json!("crm")));
    assert_eq!((&bob["source"], &bob["port"]), (&json!(V4.client2()), &json!(8080)));
    let token = login.token.as_str();
    let of_session = admin.json(&["--json", "record", "list", "--session", token, "--type", "flow_end"])?;
    let [end] = items(&of_session) else { panic!("{of_session}") };
    assert_eq!((&end["tcp"], &end["policies"]), (&json!("fin"), &json!(["finance-crm"])), "{end}");
    assert_eq!((&end["interface"], &end["client"]), (&json!("guard0"), &json!(V4.client)), "{end}");
    let line = gate.records()?.into_iter().find(|line| line["type"] == "flow_end").unwrap_or_default();
    for (name, value) in line.as_object().into_iter().flatten().filter(|(_, value)| !is_time(value)) {
        assert_eq!(&end[name], value, "{name} of {line}");
    }
    let table = admin.run(&["record", "list", "--type", "login"])?;
    assert!(table.code == 0 && table.stdout.contains("alice") && table.stdout.contains("bob"), "{table:?}");
    let wrong = admin.run(&["record", "list", "--type", "logins"])?;
    assert!(wrong.code == 1 && wrong.stderr.contains("`logins` is not a type"), "{wrong:?}");
    assert_eq!(admin.run(&["reached"])?.code, 2);
    Ok(())
}

#[test]
fn a_daemon_that_is_killed_loses_nothing_that_a_search_has_shown() -> Result<()> {
    let mut gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    let admin = admin(&gate)?;
    V4.alice(&gate)?;
    let _going = stream(&gate.world.client, V4.crm())?;
    reaches(&gate.world.client, V4.crm());
    let before = wait_until("two connections in the archive", SOON, || {
        let found = starts(&admin).ok()?;
        (found.len() == 2).then_some(found)
    })?;
    let last = newest(&admin)?;
    gate.daemon.kill9()?;
    gate.daemon.restart()?;
    assert_eq!(starts(&admin)?, before);
    reaches(&gate.world.client, V4.crm());
    let after = wait_until("a connection after the restart", SOON, || {
        let found = starts(&admin).ok()?;
        (found.len() > before.len()).then_some(found)
    })?;
    ensure!(after.ends_with(&before), "{after:?}");
    let next = after.first().and_then(|record| record["sequence"].as_u64());
    ensure!(next > last, "{next:?} follows {last:?}");
    Ok(())
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

/// Times are kept to the microsecond.
fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.ends_with('Z') && text.contains('T'))
}

fn starts(admin: &Cli) -> Result<Vec<Value>> {
    let found = admin.json(&["--json", "record", "list", "--user", "alice", "--type", "flow_start"])?;
    Ok(items(&found).to_vec())
}

fn newest(admin: &Cli) -> Result<Option<u64>> {
    let found = admin.json(&["--json", "record", "list", "--limit", "1"])?;
    Ok(items(&found).first().and_then(|record| record["sequence"].as_u64()))
}
