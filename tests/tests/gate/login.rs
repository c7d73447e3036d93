//! Who gets in, and to what.

use anyhow::Result;
use gateway_tests::{Gate, Outcome, TcpEcho, UdpEcho, ping, tcp_connect, udp_exchange};
use serde_json::json;
use std::net::SocketAddr;

use crate::scene::{Apps, BRIEFLY, FAMILIES, SOON, V4, V6, is_kept_out, reaches};

const UDP: u16 = 5353;
const NOT_GRANTED: u16 = 9090;

#[test]
fn before_login_everything_is_dropped_and_after_it_only_what_is_granted_passes() -> Result<()> {
    let gate = Gate::open()?;
    let udp = json!({ "prefixes": [V4.crm, V6.crm], "services": ["5353/udp"] });
    gate.api.put("/v1/apps/names", &udp)?.ok()?;
    let policy = r#"permit (principal in Group::"finance", action, resource == App::"crm");
                    permit (principal in Group::"finance", action, resource == App::"names");"#;
    gate.put_policy(policy)?.ok()?;
    for family in FAMILIES {
        let (client, app) = (&gate.world.client, &gate.world.app);
        let _apps = Apps::start(&gate.world, family)?;
        let _udp = UdpEcho::start(app, SocketAddr::new(family.crm, UDP))?;
        let _other = TcpEcho::start(app, SocketAddr::new(family.crm, NOT_GRANTED))?;

        let before = gate.drops()?;
        is_kept_out(client, family.crm());
        assert_eq!(ping(client, family.crm, BRIEFLY)?, Outcome::TimedOut);
        assert_eq!(udp_exchange(client, SocketAddr::new(family.crm, UDP), b"?", BRIEFLY)?, Outcome::TimedOut);
        assert_eq!(gate.reasons_since(&before)?, ["guard0/no_session"]);
        assert_eq!(gate.portal(client, family.guard0).get("/healthz")?.status, 200);

        let login = family.alice(&gate)?;
        assert_eq!(login.session["address"], family.client.to_string());
        let before = gate.drops()?;
        reaches(client, family.crm());
        assert_eq!(ping(client, family.crm, SOON)?, Outcome::Answered);
        assert_eq!(udp_exchange(client, SocketAddr::new(family.crm, UDP), b"?", SOON)?, Outcome::Answered);
        assert_eq!(gate.reasons_since(&before)?, [""; 0]);

        is_kept_out(client, family.vault());
        assert_eq!(gate.reasons_since(&before)?, ["guard0/no_grant"]);
        let before = gate.drops()?;
        is_kept_out(client, SocketAddr::new(family.crm, NOT_GRANTED));
        assert_eq!(ping(client, family.vault, BRIEFLY)?, Outcome::TimedOut);
        assert_eq!(gate.reasons_since(&before)?, ["guard0/app_unknown"]);
    }
    Ok(())
}

#[test]
fn servers_cannot_open_connections_to_clients_with_or_without_a_session() -> Result<()> {
    let gate = Gate::open()?;
    let (client, app) = (&gate.world.client, &gate.world.app);
    for family in FAMILIES {
        let at = SocketAddr::new(family.client, 9000);
        let (_tcp, _udp) = (TcpEcho::start(client, at)?, UdpEcho::start(client, at)?);
        for logged_in in [false, true] {
            if logged_in {
                family.alice(&gate)?;
            }
            let before = gate.drops()?;
            assert_eq!(tcp_connect(app, at, BRIEFLY)?, Outcome::TimedOut);
            assert_eq!(udp_exchange(app, at, b"?", BRIEFLY)?, Outcome::TimedOut);
            assert_eq!(ping(app, family.client, BRIEFLY)?, Outcome::TimedOut);
            let reason = if logged_in { "guard0/no_flow" } else { "guard0/no_session" };
            assert_eq!(gate.reasons_since(&before)?, [reason]);
        }
    }
    Ok(())
}

#[test]
fn an_address_belongs_to_one_user_and_the_same_user_replaces_the_session() -> Result<()> {
    let gate = Gate::open()?;
    let client = &gate.world.client;
    for family in FAMILIES {
        let _apps = Apps::start(&gate.world, family)?;
        let first = family.alice(&gate)?;
        let problem = gate.try_login(client, family.guard0, "bob")?.problem(409)?;
        assert_eq!(problem["type"], "urn:portcullis:problem:source-taken");
        assert!(
            problem["detail"].as_str().is_some_and(|detail| detail.contains(&family.client.to_string())),
            "{problem}"
        );
        reaches(client, family.crm());

        let second = family.alice(&gate)?;
        assert_ne!(first.token, second.token);
        assert_eq!(gate.api.get(&format!("/v1/sessions/{}", first.token))?.status, 404);
        assert_eq!(first.api.get("/v1/session")?.status, 401);
        assert_eq!(second.api.get("/v1/session")?.ok()?["token"], second.session["token"]);
        reaches(client, family.crm());
        second.api.post("/v1/logout")?.ok()?;
    }
    Ok(())
}

#[test]
fn headers_do_not_say_where_a_login_comes_from() -> Result<()> {
    let gate = Gate::open()?;
    let (client, client2) = (&gate.world.client, &gate.world.client2);
    let _apps = Apps::start(&gate.world, V4)?;
    let portal = gate.portal(client, V4.guard0);
    let portal =
        portal.header("X-Forwarded-For: 10.78.0.2").header("Forwarded: for=10.78.0.2").header("X-Real-IP: 10.78.0.2");
    let login = json!({ "username": "alice", "password": gateway_tests::gate::PASSWORD });
    let session = portal.post_json("/v1/login", &login)?.ok()?;
    assert_eq!(session["session"]["address"], V4.client.to_string());
    assert_eq!(session["session"]["interface"], "guard0");
    reaches(client, V4.crm());
    is_kept_out(client2, V4.crm());
    Ok(())
}

#[test]
fn wrong_passwords_and_disabled_users_stay_out() -> Result<()> {
    let gate = Gate::open()?;
    let client = &gate.world.client;
    let portal = gate.portal(client, V4.guard0);
    for (user, password) in [("alice", "wrong horse battery staple"), ("nobody", "wrong horse battery staple")] {
        let problem =
            portal.post_json("/v1/login", &json!({ "username": user, "password": password }))?.problem(401)?;
        assert_eq!(problem["detail"], "the user name or the password is wrong");
    }
    gate.api.post("/v1/users/alice/disable")?.ok()?;
    gate.try_login(client, V4.guard0, "alice")?.problem(403)?;
    assert_eq!(gate.api.get("/v1/sessions")?.ok()?["items"], json!([]));
    gate.api.post("/v1/users/alice/enable")?.ok()?;
    V4.alice(&gate)?;
    Ok(())
}
