//! Shared signals: what a provider knows of its people and devices arrives as events, and acts at once.

use std::{fs, net::SocketAddr};

use anyhow::{Context as _, Result};
use gateway_tests::{Outcome, stream::End, wait_until};
use serde_json::{Value, json};

use super::corp::{Corp, issuer, settings};
use super::transmitter::{AUDIENCE, Transmitter};
use crate::record::wait_for;
use crate::scene::{Apps, SOON, V4, goes_on, is_kept_out, reaches, stream};

const REVOKED: &str = "caep/event-type/session-revoked";
const DISABLED: &str = "risc/event-type/account-disabled";
const ENABLED: &str = "risc/event-type/account-enabled";
const COMPLIANCE: &str = "caep/event-type/device-compliance-change";
const AUTHORIZATION: &str = "Bearer of the transmitter";

fn address() -> Result<SocketAddr> {
    Ok("127.0.0.1:9470".parse()?)
}

fn lines(more: &str) -> Result<String> {
    Ok(format!("[provider.signals]\nissuer = \"https://{}\"\naudience = \"{AUDIENCE}\"\n{more}", address()?))
}

/// The company, and the transmitter of its events.
fn company(more: &str) -> Result<(Corp, Transmitter)> {
    Corp::prepared(&lines(more)?, &settings(), |world, authority| {
        fs::write(world.scratch().join("push"), format!("{AUTHORIZATION}\n"))?;
        fs::write(world.scratch().join("signals"), "the token of the gateway\n")?;
        Transmitter::start(&world.gateway, address()?, authority)
    })
}

fn pushed() -> Result<(Corp, Transmitter)> {
    company("authorization_file = \"{scratch}/push\"")
}

/// alice, as the provider that she signs in at knows her.
fn alice() -> Value {
    json!({ "format": "iss_sub", "iss": issuer(), "sub": "u-1" })
}

/// The status that a pushed token is answered with, and what is said.
fn push(corp: &Corp, authorization: &str, token: &str) -> Result<(u16, String)> {
    let api = corp.gate.api.anonymous().header(&format!("Authorization: {authorization}"));
    let answer = api.send("POST", "/ssf/corp", Some(("application/secevent+jwt", token)))?;
    Ok((answer.status, answer.text))
}

#[test]
fn a_revoked_session_is_cut_and_the_same_event_again_ends_no_later_one() -> Result<()> {
    let (corp, transmitter) = pushed()?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.sign_in(&corp.browser, "alice")?;
    let cut = stream(client, V4.crm())?;
    // Whole seconds tell an event from a login.
    let event = wait_until("a second to go by", SOON, || {
        let at = corp.session().ok()?["authenticated_at"].as_str()?.to_owned();
        let at = time::OffsetDateTime::parse(&at, &time::format_description::well_known::Rfc3339).ok()?;
        (time::OffsetDateTime::now_utc() - at > time::Duration::seconds(1))
            .then(|| transmitter.event("e-1", REVOKED, &alice(), json!({})))
    })??;
    assert_eq!(push(&corp, AUTHORIZATION, &event)?.0, 202);
    let reset = wait_until("the end of the stream", SOON, || cut.ended().map(|(end, _)| end))?;
    assert_eq!(reset, End::Cut(Outcome::Reset));
    is_kept_out(client, V4.crm());
    let ended = wait_for(&corp.gate, "session_end", |_| true)?;
    assert_eq!((&ended["cause"], &ended["by"]), (&json!("provider_logout"), &json!("provider corp")), "{ended}");

    corp.browser.forget();
    assert_eq!(corp.sign_in(&corp.browser, "alice")?.status, 200);
    assert_eq!(push(&corp, AUTHORIZATION, &event)?.0, 202, "it is accepted, and does nothing");
    reaches(client, V4.crm());
    Ok(())
}

#[test]
fn who_is_disabled_stays_out_until_a_later_event_says_otherwise() -> Result<()> {
    let (corp, transmitter) = pushed()?;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.sign_in(&corp.browser, "alice")?;
    let disabled = transmitter.event("e-1", DISABLED, &alice(), json!({}))?;
    assert_eq!(push(&corp, AUTHORIZATION, &disabled)?.0, 202);
    is_kept_out(&corp.gate.world.client, V4.crm());
    let page = corp.sign_in(&corp.browser, "alice")?;
    assert!(page.status == 403 && page.body.contains("<code>suspended</code>"), "{} {}", page.status, page.body);
    // In the same second nobody can say which was first, so that access stays taken.
    wait_until("access to be given back", SOON, || {
        let jti = format!("e-{}", time::OffsetDateTime::now_utc().unix_timestamp_nanos());
        let enabled = transmitter.event(&jti, ENABLED, &alice(), json!({})).ok()?;
        push(&corp, AUTHORIZATION, &enabled).ok()?;
        let user = corp.gate.api.get("/v1/users/alice").ok()?.ok().ok()?;
        (user["suspended"] != json!(true)).then_some(())
    })?;
    assert_eq!(corp.sign_in(&corp.browser, "alice")?.status, 200);
    reaches(&corp.gate.world.client, V4.crm());
    Ok(())
}

#[test]
fn a_device_that_is_not_compliant_costs_its_owner_what_asks_for_a_compliant_one() -> Result<()> {
    let (corp, transmitter) = pushed()?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    let policy = r#"permit (principal in Group::"finance", action, resource == App::"crm")
                    when { context.device.compliant };"#;
    corp.gate.put_policy(policy)?.ok()?;
    corp.sign_in(&corp.browser, "alice")?;
    is_kept_out(client, V4.crm());
    let about = json!({ "format": "complex", "user": alice(), "device": { "format": "opaque", "id": "laptop-7" } });
    let change = |jti: &str, status: &str| {
        let says = json!({ "current_status": status, "previous_status": "not-compliant" });
        push(&corp, AUTHORIZATION, &transmitter.event(jti, COMPLIANCE, &about, says)?)
    };
    assert_eq!(change("e-1", "compliant")?.0, 202);
    reaches(client, V4.crm());
    let cut = stream(client, V4.crm())?;
    goes_on(&cut)?;
    assert_eq!(change("e-2", "not-compliant")?.0, 202);
    is_kept_out(client, V4.crm());
    wait_until("the end of the stream", SOON, || cut.ended())?;
    Ok(())
}

#[test]
fn what_is_no_event_for_this_gateway_is_refused_and_changes_nothing() -> Result<()> {
    let (corp, transmitter) = pushed()?;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.sign_in(&corp.browser, "alice")?;
    let event = |jti: &str| transmitter.event(jti, DISABLED, &alice(), json!({}));
    let good = event("e-1")?;
    let unsigned = format!("{}.", good.rsplit_once('.').context("a token")?.0);
    let elsewhere = transmitter.token("e-2", "https://other.example", DISABLED, &alice(), json!({}))?;
    for (authorization, token, code) in [
        ("Bearer of somebody else", good.as_str(), "authentication_failed"),
        (AUTHORIZATION, elsewhere.as_str(), "invalid_audience"),
        (AUTHORIZATION, unsigned.as_str(), ""),
        (AUTHORIZATION, "no token", ""),
    ] {
        let (status, body) = push(&corp, authorization, token)?;
        let error: Value = serde_json::from_str(&body).context("an error of RFC 8935")?;
        let err = error["err"].as_str().context("no `err`")?;
        assert!(status == 400 && (code.is_empty() || err == code), "{status} {body}");
    }
    reaches(&corp.gate.world.client, V4.crm());
    Ok(())
}

#[test]
fn a_stream_that_is_polled_is_made_verified_and_acknowledged_when_in_force() -> Result<()> {
    let more = "delivery = \"poll\"\nmanage = true\ntoken_file = \"{scratch}/signals\"";
    let (corp, transmitter) = company(more)?;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.sign_in(&corp.browser, "alice")?;
    let wanted = wait_until("the stream", SOON, || transmitter.wanted())?;
    assert_eq!(wanted["delivery"]["method"], "urn:ietf:rfc:8936");
    let cut = stream(&corp.gate.world.client, V4.crm())?;
    transmitter.let_wait("e-1", transmitter.event("e-1", DISABLED, &alice(), json!({}))?);
    wait_until("the acknowledgement", SOON, || transmitter.is_acknowledged("e-1").then_some(()))?;
    assert!(corp.sessions()?.is_empty(), "acknowledged, and in force");
    wait_until("the end of the stream", SOON, || cut.ended())?;
    wait_until("the verification", SOON, || transmitter.is_acknowledged("verification").then_some(()))?;
    let metrics = corp.gate.api.get("/metrics")?;
    assert!(metrics.text.contains("portcullis_signal_stream_alive{provider=\"corp\"} 1"), "{}", metrics.text);
    Ok(())
}

#[test]
fn events_that_come_up_while_the_transmitter_restarts_are_polled_when_it_is_back() -> Result<()> {
    let more = "delivery = \"poll\"\nmanage = true\ntoken_file = \"{scratch}/signals\"";
    let (corp, mut transmitter) = company(more)?;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.sign_in(&corp.browser, "alice")?;
    wait_until("the verification", SOON, || transmitter.is_acknowledged("verification").then_some(()))?;
    let cut = stream(&corp.gate.world.client, V4.crm())?;

    transmitter.stop();
    transmitter.let_wait("e-1", transmitter.event("e-1", DISABLED, &alice(), json!({}))?);
    corp.gate.says("poll failed")?;
    // Nobody knows of it yet: an outage alone takes nothing away.
    goes_on(&cut)?;
    transmitter.resume()?;
    wait_until("the acknowledgement", SOON, || transmitter.is_acknowledged("e-1").then_some(()))?;
    assert!(corp.sessions()?.is_empty(), "acknowledged, and in force");
    wait_until("the end of the stream", SOON, || cut.ended())?;
    is_kept_out(&corp.gate.world.client, V4.crm());
    Ok(())
}

#[test]
fn a_stream_that_its_transmitter_has_lost_is_made_again_at_once_and_verified() -> Result<()> {
    let more = "delivery = \"poll\"\nmanage = true\ntoken_file = \"{scratch}/signals\"";
    let (corp, transmitter) = company(more)?;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.sign_in(&corp.browser, "alice")?;
    wait_until("the verification", SOON, || transmitter.is_acknowledged("verification").then_some(()))?;

    transmitter.lose();
    wait_until("the stream", SOON, || transmitter.wanted())?;
    wait_until("another verification", SOON, || transmitter.is_acknowledged("verification").then_some(()))?;
    transmitter.let_wait("e-1", transmitter.event("e-1", DISABLED, &alice(), json!({}))?);
    wait_until("the acknowledgement", SOON, || transmitter.is_acknowledged("e-1").then_some(()))?;
    assert!(corp.sessions()?.is_empty(), "acknowledged, and in force");
    is_kept_out(&corp.gate.world.client, V4.crm());
    Ok(())
}
