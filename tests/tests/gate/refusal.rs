//! What is wrong is refused with its place and the remedy, and changes nothing.

use anyhow::{Context as _, Result};
use gateway_tests::{Gate, gate::PASSWORD, link};
use serde_json::json;

use crate::scene::{Apps, V4, goes_on, is_kept_out, reaches, stream};

#[test]
fn json_that_is_not_valid_is_refused_with_its_place() -> Result<()> {
    let gate = Gate::open()?;
    let answer =
        gate.api.send("PUT", "/v1/users/carol", Some(("application/json", "{\"groups\": [],\n \"admin\": true}")))?;
    let problem = answer.problem(400)?;
    assert_eq!(problem["errors"][0]["line"], 2, "{problem}");
    assert!(problem["errors"][0]["column"].as_u64() > Some(0), "{problem}");
    assert!(problem["errors"][0]["message"].as_str().is_some_and(|text| text.contains("`admin`")), "{problem}");
    gate.api.get("/v1/users/carol")?.problem(404)?;

    let app = json!({ "prefixes": ["10.20.0.10/24"], "services": ["443/dccp"] });
    let problem = gate.api.put("/v1/apps/wrong", &app)?.problem(422)?;
    assert_eq!(problem["errors"][0]["field"], "prefixes[0]", "{problem}");
    assert_eq!(problem["errors"][1]["field"], "services[0]", "{problem}");
    gate.api.get("/v1/apps/wrong")?.problem(404)?;
    Ok(())
}

#[test]
fn a_policy_that_is_not_valid_is_refused_with_its_place_and_the_one_in_force_stays() -> Result<()> {
    let gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(&gate.world.client, V4.crm())?;
    let before = gate.api.get("/v1/policy")?.ok()?;
    for (wrong, line) in [
        ("permit (\n  principal, action resource);", 2),
        ("permit (principal, action, resource)\nwhen { context.nonsense };", 2),
    ] {
        let problem = gate.put_policy(wrong)?.problem(422)?;
        assert_eq!(problem["errors"][0]["line"], line, "{problem}");
        assert!(problem["errors"][0]["column"].as_u64() > Some(0), "{problem}");
    }
    assert_eq!(gate.api.get("/v1/policy")?.ok()?, before);
    goes_on(&going)?;
    reaches(&gate.world.client, V4.crm());
    Ok(())
}

#[test]
fn a_policy_is_not_put_over_one_that_its_author_has_not_seen() -> Result<()> {
    let gate = Gate::open()?;
    let seen = gate.api.get("/v1/policy")?;
    let tag = seen.header("etag").context("no ETag")?.to_owned();
    assert_eq!(tag, format!("\"{}\"", seen.ok()?["generation"]));
    let put = |tag: &str, text: &str| {
        gate.api.header(&format!("If-Match: {tag}")).send("PUT", "/v1/policy", Some(("text/plain", text)))
    };
    let text = seen.ok()?["text"].as_str().context("no text")?.to_owned();
    let next = put(&tag, &format!("{text}// one\n"))?;
    next.ok()?;
    assert_ne!(next.header("etag"), Some(tag.as_str()));
    put(&tag, &format!("{text}// two\n"))?.problem(412)?;
    assert!(gate.api.get("/v1/policy")?.ok()?["text"].as_str().is_some_and(|text| text.ends_with("// one\n")));
    Ok(())
}

#[test]
fn a_full_sessions_table_refuses_the_next_login_by_name_and_harms_nobody() -> Result<()> {
    let gate = Gate::with(|config| config.replace("sessions = 64", "sessions = 16"))?;
    let (client, client2) = (&gate.world.client, &gate.world.client2);
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(client, V4.crm())?;
    // One person, from ever new addresses: of another user on each, so that nobody's guesses are throttled.
    let mut refused = None;
    for n in 0..20 {
        let (user, address) = (format!("user{n}"), format!("10.78.0.{}", 100 + n));
        gate.introduce(&user, "ops")?;
        link::address(client2, "eth0", &format!("{address}/24"))?;
        client2.ip(&[format!("route replace 10.78.0.1/32 dev eth0 src {address}")])?;
        let answer = gate
            .portal(client2, V4.guard1)
            .post_json("/v1/login", &json!({ "username": user, "password": PASSWORD }))?;
        if answer.status != 200 {
            refused = Some((n, answer));
            break;
        }
    }
    let (n, answer) = refused.context("every login was let in")?;
    assert_eq!(n, 15, "one session was there before");
    let problem = answer.problem(409)?;
    assert_eq!(problem["type"], "urn:portcullis:problem:table-full");
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("`sessions`") && detail.contains("`capacity.sessions`")),
        "{problem}"
    );
    goes_on(&going)?;
    reaches(client, V4.crm());
    is_kept_out(client, V4.vault());

    gate.api.delete("/v1/users/user0")?.ok()?;
    gate.portal(client2, V4.guard1)
        .post_json("/v1/login", &json!({ "username": format!("user{n}"), "password": PASSWORD }))?
        .ok()?;
    Ok(())
}
