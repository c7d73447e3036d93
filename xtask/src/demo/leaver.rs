//! The second story: somebody whom a company vouches for, until its directory says that she has left.

use std::{net::SocketAddr, sync::atomic::Ordering};

use anyhow::{Context as _, Result};
use gateway_tests::{Outcome, peer::Page, wait_until, world::at};
use serde_json::{Value, json};

use super::{
    cast::{
        Cast,
        Person::{self, Carol},
        SOON, WATCH, answered, around, portcullis, refused, settle, watch,
    },
    corp::{PORTAL, SUB},
    page, records,
    stage::Stage,
    talk::Talk,
};

/// Words that a talk is to have had before anything else happens.
const WORDS: u64 = 200;
const VAULT: &str = "http://10.20.0.11:8080/";
const SECRETS: &str = "All our secrets";
const SIGN_IN: (&str, &str) = ("Sign in with Example Corp", "/sign-in/corp");

/// Plays it.
pub fn play(stage: &mut Stage, cast: &Cast) -> Result<()> {
    let id = push(stage, cast)?;
    sign_in(stage, cast)?;
    let talk = talk(stage, cast)?;
    leave(stage, cast, &id, &talk)?;
    drop(talk);
    stay_out(stage, cast)?;
    come_back(stage, cast, &id)
}

fn push(stage: &mut Stage, cast: &Cast) -> Result<String> {
    stage.act("Example Corp's directory tells the gateway who works there: carol, of ops")?;
    let user = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "carol",
        "externalId": SUB, "displayName": "Carol", "active": true });
    let carol = cast.corp.tell(stage, &cast.world, "POST", "/Users", &user)?.id()?;
    let group = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "ops",
        "members": [{ "value": carol }] });
    cast.corp.tell(stage, &cast.world, "POST", "/Groups", &group)?.id()?;
    portcullis(stage, "admin", &cast.admin(), &["user", "list"], "")?;
    let user = cast.admin().json(&["--json", "user", "show", "carol"])?;
    let ok = user["provider"] == "corp" && user["groups"] == json!(["ops"]);
    let observed =
        if ok { "carol is known as one of ops; nobody here has given her a password".into() } else { user.to_string() };
    stage.step("provisioned", "carol is known, of ops, by corp", &observed, ok)?;
    Ok(carol)
}

fn sign_in(stage: &mut Stage, cast: &Cast) -> Result<()> {
    stage.act("Carol opens the gateway's page in her browser, and signs in at her company")?;
    refused(stage, cast, Carol, "closed_before_sign_in", (VAULT, "no_session"))?;
    let first = cast.corp.open(stage, &format!("{PORTAL}/"))?;
    let form = cast.corp.follow(stage, &first, SIGN_IN.0, SIGN_IN.1)?;
    let page = cast.corp.log_in(stage, &form)?;
    let is_in = is_signed_in(&page) && page.body.contains("vault") && !page.body.contains("crm");
    let observed = if is_in { "she is in, and reads what she can reach: the vault".to_owned() } else { heading(&page) };
    stage.step("signed_in", "she is in, and can reach the vault", &observed, is_in)?;
    portcullis(stage, "admin", &cast.admin(), &["session", "list"], "").map(drop)
}

fn is_signed_in(page: &Page) -> bool {
    page.status == 200 && page.body.contains("<strong>carol</strong> by corp")
}

fn heading(page: &Page) -> String {
    format!("{}: {}", page.status, page::lines(&page.body).first().map_or("nothing", String::as_str))
}

fn talk(stage: &mut Stage, cast: &Cast) -> Result<Talk> {
    stage.act("She reaches the vault, and keeps a connection open to it")?;
    answered(stage, cast, Carol, "vault", (VAULT, SECRETS))?;
    refused(stage, cast, Carol, "not_the_crm", ("http://10.20.0.10:8080/", "no_grant"))?;
    let talk = begin_to_talk(stage, cast)?;
    let observed = format!("she talks: {} words there and back so far", talk.words());
    stage.step("talk", "words come back", &observed, talk.ended().is_none())?;
    Ok(talk)
}

fn begin_to_talk(stage: &Stage, cast: &Cast) -> Result<Talk> {
    stage.command(Carol.name(), "nc 10.20.0.11 22 &");
    let talk = Talk::begin(cast.laptop(Person::Carol), SocketAddr::new(at::OTHER_APP, 22))?;
    wait_until("words to come back", SOON, || (talk.words() >= WORDS || talk.ended().is_some()).then_some(()))?;
    Ok(talk)
}

fn leave(stage: &mut Stage, cast: &Cast, id: &str, talk: &Talk) -> Result<()> {
    stage.act("Carol leaves the company: its directory says so, in the middle of a word")?;
    let console = cast.console.counters();
    let passed = || talk.words() + console.received.load(Ordering::Relaxed);
    let resets = console.resets.load(Ordering::Relaxed);
    let told = cast.corp.tell(stage, &cast.world, "PATCH", &format!("/Users/{id}"), &active("False"))?;
    let settled = settle(passed);
    stage.figure("suspend_answered_ms", u64::try_from(told.took.as_millis()).unwrap_or(u64::MAX));
    let observed = format!("answered {}, which is said when the kernel has been told", told.answer.status);
    stage.step("suspended", "200", &observed, told.answer.status == 200)?;
    receipt(stage, cast)?;

    watch()?;
    let observed = match passed() - settled {
        0 => format!("the open connection is cut: not a byte either way in the {} ms after", WATCH.as_millis()),
        _ => "the open connection goes on".to_owned(),
    };
    stage.step("suspended_cut", "not a byte more", &observed, passed() == settled)?;
    let ends = (talk.ended(), console.resets.load(Ordering::Relaxed) - resets);
    let ok = ends == (Some(Outcome::Reset), 1);
    let observed = if ok { "both ends saw a reset".to_owned() } else { format!("her end and the vault's: {ends:?}") };
    stage.step("suspended_reset", "both ends saw a reset", &observed, ok)
}

/// The change of a user, as Entra writes it: with a capital, and the value as a text.
fn active(value: &str) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "Replace", "path": "active", "value": value }] })
}

/// What was written down about the end of her session.
fn receipt(stage: &mut Stage, cast: &Cast) -> Result<()> {
    stage.command("admin", "grep session_end access.jsonl | grep carol");
    let lines = records::of(cast, "carol", &["session_end"])?;
    let end = lines.iter().find(|line| line["type"] == "session_end").context("no record")?;
    for names in [["user", "cause", "by"], ["requested_at", "last_packet_at", "flows_cut"]] {
        let shown = names.map(|name| format!("{name}={}", end[name]));
        stage.output(&shown.join(" "));
    }
    let number = |name: &str| end[name].as_f64().unwrap_or(f64::NAN);
    let (enforced, last) = (number("enforced_after_us"), number("last_packet_after_request_us"));
    stage.figure("suspend_to_enforced_us", enforced);
    stage.figure("suspend_to_last_packet_us", last);
    let is_cut = end["cause"] == "user_suspended" && end["by"] == "provider corp" && end["flows_cut"] == 1;
    let observed = format!(
        "in force {enforced:.0} µs after the request was taken up; her last packet had passed {}",
        around(last)
    );
    let expected = "user_suspended by provider corp, one flow cut, no packet after it was in force";
    stage.step("suspended_receipt", expected, &observed, is_cut && last <= enforced + 1_000.0)
}

fn stay_out(stage: &mut Stage, cast: &Cast) -> Result<()> {
    stage.act("Her browser is still signed in at the company; here she stays out, and reads why")?;
    refused(stage, cast, Carol, "closed_when_suspended", (VAULT, "session_revoked"))?;
    let first = cast.corp.open(stage, &format!("{PORTAL}/"))?;
    let page = cast.corp.follow(stage, &first, SIGN_IN.0, SIGN_IN.1)?;
    let ok = page.status == 403 && page.body.contains("<code>suspended</code>");
    stage.step("sign_in_refused", "403, and a page that says why", &heading(&page), ok)
}

fn come_back(stage: &mut Stage, cast: &Cast, id: &str) -> Result<()> {
    stage.act("It was a mistake: the directory takes it back, and nobody here has to do anything")?;
    cast.corp.tell(stage, &cast.world, "PATCH", &format!("/Users/{id}"), &active("True"))?.answer.ok()?;
    let page = cast.corp.open(stage, &format!("{PORTAL}{}", SIGN_IN.1))?;
    let is_in = is_signed_in(&page);
    let observed = if is_in { "she is in again".to_owned() } else { heading(&page) };
    stage.step("signed_in_again", "she is in again", &observed, is_in)?;
    answered(stage, cast, Carol, "vault_again", (VAULT, SECRETS))?;
    let talk = begin_to_talk(stage, cast)?;
    let observed = format!("she talks again, on a connection of her new session: {} words", talk.words());
    stage.step("talk_again", "words come back", &observed, talk.ended().is_none())
}
