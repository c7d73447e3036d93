//! What is explained is what then happens to real packets, and asking changes nothing.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Gate, Namespace, Outcome, tcp_connect, wait_until};
use serde_json::{Value, json};

use crate::cli::admin;
use crate::scene::{Apps, BRIEFLY, FAMILIES, SOON, V4};

/// How often it is asked while counters have to stand still.
const QUESTIONS: usize = 50;

fn explain(gate: &Gate, question: &Value) -> Result<Value> {
    gate.api.post_json("/v1/explain", question)?.ok().with_context(|| question.to_string())
}

fn place(to: SocketAddr) -> String {
    format!("{to}/tcp")
}

/// Asks about somebody at an address, then connects from there: both have to say the same, and why. The answer.
#[track_caller]
fn comes_true(gate: &Gate, user: &str, host: (&Namespace, &str), from: SocketAddr, to: SocketAddr) -> Result<Value> {
    let (host, interface) = host;
    let told = explain(gate, &json!({ "user": user, "from": from.ip(), "to": place(to) }))?;
    let one = &told["answers"][0];
    let before = gate.drops()?;
    let is_permitted = told["permitted"].as_bool().context("no verdict")?;
    let outcome = tcp_connect(host, to, if is_permitted { SOON } else { BRIEFLY })?;
    let expected = if is_permitted { Outcome::Connected } else { Outcome::TimedOut };
    ensure!(outcome == expected, "{outcome:?}, and yet: {told}");
    let reasons = gate.reasons_since(&before)?;
    let reason = one["reason"].as_str().map(|reason| format!("{interface}/{reason}"));
    ensure!(reasons == Vec::from_iter(reason), "{reasons:?}, and yet: {told}");
    ensure!(one["disagree"] == false, "{told}");
    for text in ["sentence", "next_step"] {
        ensure!(told[text].as_str().is_some_and(|text| text.ends_with('.')), "{told}");
    }
    Ok(one.clone())
}

#[test]
fn what_is_explained_is_what_packets_experience_before_in_and_after_a_session() -> Result<()> {
    let gate = Gate::open()?;
    for family in FAMILIES {
        let _apps = Apps::start(&gate.world, family)?;
        let (alice, bob) = ((&gate.world.client, "guard0"), (&gate.world.client2, "guard1"));
        let (at_alice, at_bob) = (SocketAddr::new(family.client, 0), SocketAddr::new(family.client2(), 0));
        // From then on the gateway knows where she is.
        ensure!(tcp_connect(alice.0, family.crm(), BRIEFLY)? == Outcome::TimedOut);
        let nobody = comes_true(&gate, "alice", alice, at_alice, family.crm())?;
        ensure!((&nobody["reason"], &nobody["missing"]) == (&"no_session".into(), &json!(["login"])), "{nobody}");

        family.alice(&gate)?;
        family.bob(&gate)?;
        let ok = comes_true(&gate, "alice", alice, at_alice, family.crm())?;
        let policies = json!(["finance-crm"]);
        ensure!((&ok["decided_by"], &ok["policies"]) == (&"kernel".into(), &policies), "{ok}");
        let no = comes_true(&gate, "alice", alice, at_alice, family.vault())?;
        ensure!((&no["ruling"], &no["groups"]) == (&"no_policy".into(), &json!(["ops"])), "{no}");
        let unknown = comes_true(&gate, "alice", alice, at_alice, SocketAddr::new(family.crm, 81))?;
        ensure!(unknown["reason"] == "app_unknown", "{unknown}");
        comes_true(&gate, "bob", bob, at_bob, family.vault())?;
        comes_true(&gate, "bob", bob, at_bob, family.crm())?;

        gate.api.post("/v1/apps/vault/disable")?.ok()?;
        let off = comes_true(&gate, "bob", bob, at_bob, family.vault())?;
        ensure!(off["ruling"] == "app_disabled", "{off}");
        gate.api.post("/v1/apps/vault/enable")?.ok()?;
        gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
        let revoked = comes_true(&gate, "alice", alice, at_alice, family.crm())?;
        ensure!(
            (&revoked["reason"], &revoked["ruling"]) == (&"session_revoked".into(), &"permitted".into()),
            "{revoked}"
        );
        gate.api.post("/v1/users/bob/disable")?.ok()?;
        let disabled = comes_true(&gate, "bob", bob, at_bob, family.vault())?;
        ensure!(
            (&disabled["reason"], &disabled["ruling"]) == (&"session_revoked".into(), &"user_disabled".into()),
            "{disabled}"
        );
        gate.api.post("/v1/users/bob/enable")?.ok()?;
    }
    Ok(())
}

#[test]
fn a_login_that_has_become_too_old_is_explained_as_packets_experience_it() -> Result<()> {
    let gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    let fresh = r#"@id("fresh") @reauthenticate("1s") permit (principal, action, resource);"#;
    gate.put_policy(fresh)?.ok()?;
    V4.alice(&gate)?;
    let question = json!({ "user": "alice", "to": place(V4.crm()) });
    let old = wait_until("the login to be too old", SOON, || {
        let told = explain(&gate, &question).ok()?;
        (told["answers"][0]["reason"] == "reauth_required").then_some(told)
    })?;
    let sentence = old["sentence"].as_str().context("no sentence")?;
    ensure!(sentence.contains("policy `fresh` accepts 1 second") && old["next_step"] == "Log in again.", "{old}");
    let alice = (&gate.world.client, "guard0");
    let again = comes_true(&gate, "alice", alice, SocketAddr::new(V4.client, 0), V4.crm())?;
    ensure!((&again["ruling"], &again["missing"]) == (&"login_too_old".into(), &json!(["fresh_login"])), "{again}");
    Ok(())
}

/// What packets move, as the metrics tell it.
fn counted(gate: &Gate) -> Result<Vec<String>> {
    let text = gate.api.get("/metrics")?.text;
    let moved = [
        "portcullis_drops_total",
        "portcullis_packets_total",
        "portcullis_app_",
        "portcullis_flows",
        "portcullis_events",
    ];
    let lines = text.lines().filter(|line| moved.iter().any(|name| line.starts_with(name)));
    Ok(lines.map(str::to_owned).collect())
}

/// Hosts say something by themselves now and then, so it is tried until they are silent for long enough.
#[test]
fn asking_moves_no_counter_and_opens_no_flow() -> Result<()> {
    let gate = Gate::open()?;
    let login = V4.alice(&gate)?;
    let questions = [V4.crm(), V4.vault(), SocketAddr::new(V4.crm, 81)];
    let ask = || -> Result<()> {
        for to in questions.iter().cycle().take(QUESTIONS) {
            explain(&gate, &json!({ "session": login.token, "to": place(*to) }))?;
        }
        Ok(())
    };
    wait_until("no counter to move while it is asked", Duration::from_secs(60), || {
        let before = counted(&gate).ok()?;
        ask().ok()?;
        (counted(&gate).ok()? == before).then_some(())
    })?;
    let flows = gate.api.get("/v1/flows")?.ok()?;
    ensure!(flows["items"] == json!([]), "{flows}");
    Ok(())
}

#[test]
fn where_an_interface_only_observes_what_would_be_dropped_is_said_to_pass() -> Result<()> {
    let gate = Gate::with(crate::scene::on("guard0", "mode = \"observe\""))?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let told = explain(&gate, &json!({ "user": "alice", "to": place(V4.vault()) }))?;
    ensure!((&told["permitted"], &told["answers"][0]["reason"]) == (&true.into(), &"no_grant".into()), "{told}");
    ensure!(tcp_connect(&gate.world.client, V4.vault(), SOON)? == Outcome::Connected);
    Ok(())
}

#[test]
fn the_command_line_says_the_sentence_first_and_exits_with_0_permitted_or_not() -> Result<()> {
    let gate = Gate::open()?;
    V4.alice(&gate)?;
    let admin = admin(&gate)?;
    let yes = admin.run(&["explain", "--user", "alice", "--to", "10.20.0.10:443/tcp"])?;
    let sentence = "alice reaches crm at 10.20.0.10:443/tcp: policy `finance-crm` permits it.\n";
    ensure!(yes.code == 0 && yes.stdout.starts_with(sentence), "{yes:?}");
    let no = admin.run(&["explain", "--user", "alice", "--to", "vault"])?;
    ensure!(
        no.code == 0 && no.stdout.starts_with("alice cannot reach vault at 10.20.0.11:22/tcp: no policy permits it."),
        "{no:?}"
    );
    ensure!(no.stdout.contains("no_grant") && no.stdout.contains("kernel"), "{no:?}");
    let later =
        admin.json(&["--json", "explain", "--user", "bob", "--to", "vault", "--at", "2027-01-04T07:00:00+01:00"])?;
    ensure!(later["answers"][0]["assumed"] == true, "{later}");
    let who = admin.run(&["explain", "--app", "crm"])?;
    ensure!(who.code == 0 && who.stdout.starts_with("1 person reaches crm now, and nobody else could."), "{who:?}");
    let what = admin.json(&["--json", "explain", "--user", "bob"])?;
    ensure!(what["items"][0]["app"] == "vault" && what.get("next_cursor").is_none(), "{what}");
    ensure!(admin.run(&["explain", "--user", "nobody", "--to", "crm"])?.code == 1);
    Ok(())
}
