//! What belongs to a permitted connection passes with it: refusals, errors, discovery of the path's MTU.

use std::{fs, net::SocketAddr};

use anyhow::Result;
use gateway_tests::{Gate, HttpServer, Outcome, link, tcp_connect, udp_exchange};
use serde_json::json;

use crate::scene::{Apps, FAMILIES, SOON, V4, V6, is_kept_out, reaches};

/// Granted, and nobody is there.
const CLOSED: u16 = 443;
const UPLOAD: usize = 25_000;

#[test]
fn a_server_that_refuses_is_heard() -> Result<()> {
    let gate = Gate::open()?;
    for family in FAMILIES {
        family.alice(&gate)?;
        assert_eq!(tcp_connect(&gate.world.client, SocketAddr::new(family.crm, CLOSED), SOON)?, Outcome::Refused);
    }
    Ok(())
}

#[test]
fn a_datagram_that_nobody_takes_is_refused_by_icmp() -> Result<()> {
    let gate = Gate::open()?;
    let udp = json!({ "prefixes": [V4.crm, V6.crm], "services": ["5353/udp"] });
    gate.api.put("/v1/apps/names", &udp)?.ok()?;
    gate.put_policy(r#"permit (principal in Group::"finance", action, resource == App::"names");"#)?.ok()?;
    for family in FAMILIES {
        family.alice(&gate)?;
        let outcome = udp_exchange(&gate.world.client, SocketAddr::new(family.crm, 5353), b"?", SOON)?;
        assert_eq!(outcome, Outcome::Refused, "{}", family.crm);
    }
    Ok(())
}

/// Only what the client sends is large: the gateway's end of the narrow link would drop large segments from the app
/// without a word, as a switch does.
#[test]
fn an_upload_finds_its_way_through_a_narrow_link_behind_the_gate() -> Result<()> {
    let gate = Gate::open()?;
    link::mtu(&gate.world.gateway, "apps0", 1300)?;
    let body = gate.world.scratch().join("upload");
    fs::write(&body, vec![b'.'; UPLOAD])?;
    for family in FAMILIES {
        let server = HttpServer::start(&gate.world.app, family.crm(), "thanks")?;
        family.alice(&gate)?;
        let (data, url) = (format!("@{}", body.display()), format!("http://{}/", family.crm()));
        let upload = ["curl", "--silent", "--show-error", "--max-time", "8", "--data-binary", &data, &url];
        assert_eq!(gate.world.client.run(&upload)?, "thanks");
        drop(server);
    }
    Ok(())
}

#[test]
fn a_login_from_behind_an_unguarded_interface_is_refused() -> Result<()> {
    let gate = Gate::open()?;
    for family in FAMILIES {
        let problem = gate.try_login(&gate.world.app, family.guard0, "alice")?.problem(403)?;
        assert_eq!(problem["type"], "urn:portcullis:problem:not-guarded");
    }
    Ok(())
}

#[test]
fn an_interface_that_is_made_anew_is_guarded_again_and_its_sessions_are_over() -> Result<()> {
    let gate = Gate::open()?;
    let (gateway, host) = (&gate.world.gateway, &gate.world.client);
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    reaches(host, V4.crm());
    is_kept_out(host, V4.vault());
    gateway.ip(&["link del guard0"])?;
    gate.world.remake_guard0()?;
    gate.says_times("guarding interface=\"guard0\"", 2)?;
    is_kept_out(host, V4.vault());
    is_kept_out(host, V4.crm());
    Ok(())
}
