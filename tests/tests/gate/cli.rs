//! The command line against the real daemon: what people type, and what it says and returns.

use std::fs;

use anyhow::Result;
use gateway_tests::{Cli, Gate, gate::PASSWORD, gate::binary};
use serde_json::Value;

use crate::scene::{Apps, V4, is_kept_out, reaches};

/// The administrator's, on the gateway.
pub fn admin(gate: &Gate) -> Result<Cli> {
    let state = gate.world.scratch().join("state");
    Ok(Cli::new(binary("portcullis")?, &gate.world.gateway)
        .env("PORTCULLIS_URL", "https://127.0.0.1:8443")
        .env("PORTCULLIS_CA", &state.join("api.crt").display().to_string())
        .env("PORTCULLIS_TOKEN_FILE", &state.join("admin.token").display().to_string()))
}

/// A person's, on the client, with nothing but the gateway's certificate.
pub fn person(gate: &Gate) -> Result<Cli> {
    Ok(Cli::new(binary("portcullis")?, &gate.world.client)
        .env("PORTCULLIS_URL", "https://10.77.0.1")
        .env("PORTCULLIS_CA", &gate.world.scratch().join("state/api.crt").display().to_string())
        .env("XDG_RUNTIME_DIR", &gate.world.scratch().display().to_string()))
}

#[test]
fn a_person_logs_in_looks_and_logs_out_and_the_gate_follows() -> Result<()> {
    let gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    let alice = person(&gate)?;
    let wrong = alice.run_with(&["login", "--user", "alice", "--password-stdin"], "not the password\n")?;
    assert_eq!(wrong.code, 1, "{wrong:?}");
    is_kept_out(&gate.world.client, V4.crm());
    let login = alice.run_with(&["login", "--user", "alice", "--password-stdin"], &format!("{PASSWORD}\n"))?;
    assert_eq!(login.code, 0, "{login:?}");
    assert!(login.stdout.contains("finance-crm") && !login.stdout.contains("pcs_"), "{login:?}");
    reaches(&gate.world.client, V4.crm());
    let status = alice.json(&["--json", "status"])?;
    assert_eq!(status["session"]["user"], "alice", "{status}");
    assert_eq!(alice.run(&["logout"])?.code, 0);
    is_kept_out(&gate.world.client, V4.crm());
    assert_eq!(alice.run(&["logout"])?.code, 1, "twice");
    Ok(())
}

#[test]
fn leaving_a_group_and_joining_it_again_is_felt_at_once() -> Result<()> {
    let gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    let admin = admin(&gate)?;
    V4.alice(&gate)?;
    reaches(&gate.world.client, V4.crm());
    assert_eq!(admin.run(&["group", "leave", "finance", "alice"])?.code, 0);
    is_kept_out(&gate.world.client, V4.crm());
    assert_eq!(admin.run(&["group", "join", "finance", "alice"])?.code, 0);
    reaches(&gate.world.client, V4.crm());
    let revoked = admin.run(&["session", "revoke", "--user", "alice"])?;
    assert!(revoked.code == 0 && revoked.stdout.contains("alice@10.77.0.2 cut in "), "{revoked:?}");
    is_kept_out(&gate.world.client, V4.crm());
    Ok(())
}

#[test]
fn a_policy_with_a_mistake_is_refused_with_file_line_column_and_hint() -> Result<()> {
    let gate = Gate::open()?;
    let admin = admin(&gate)?;
    let file = gate.world.scratch().join("wrong.cedar");
    fs::write(&file, "permit (principal, action, resource)\nwhen { context.mfaa };\n")?;
    let path = file.display().to_string();
    for verb in ["check", "apply"] {
        let refused = admin.run(&["policy", verb, &path])?;
        let told = format!("{}{}", refused.stdout, refused.stderr);
        assert_eq!(refused.code, 1, "{told}");
        assert!(told.contains(&format!("{path}:2:")) && told.contains("mfa"), "{told}");
    }
    Ok(())
}

#[test]
fn a_token_does_what_its_scope_says_until_it_is_revoked() -> Result<()> {
    let gate = Gate::open()?;
    let admin = admin(&gate)?;
    let created = admin.json(&["--json", "token", "create", "--scope", "read", "ci"])?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (id, secret) = (text(&created["token"]["id"]), text(&created["secret"]));
    let ca = gate.world.scratch().join("state/api.crt").display().to_string();
    let ci =
        Cli::new(binary("portcullis")?, &gate.world.gateway).env("PORTCULLIS_CA", &ca).env("PORTCULLIS_TOKEN", &secret);
    assert_eq!(ci.run(&["user", "list"])?.code, 0, "{created}");
    assert_eq!(ci.run(&["user", "disable", "alice"])?.code, 1);
    assert_eq!(admin.run(&["token", "revoke", &id])?.code, 0);
    assert_eq!(ci.run(&["user", "list"])?.code, 1);
    Ok(())
}
