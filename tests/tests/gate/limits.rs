//! What a session may use, and what becomes of whoever uses more: budgets, rates, scans, trip-wires.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use gateway_tests::{Gate, HttpServer, Outcome, http_get, tcp_connect, wait_until, world::at};
use serde_json::{Value, json};

use crate::record::wait_for;
use crate::restart::reconfigure;
use crate::scene::{
    Apps, BRIEFLY, FAMILIES, Family, PORT, SOON, V4, falls_silent, goes_on, is_kept_out, reaches, stream,
};

/// The demonstration with more in it at the end of a table that is there.
fn with(table: &'static str, more: &'static str) -> impl FnOnce(String) -> String {
    move |config| format!("{config}\n[{table}]\n{more}\n")
}

/// Changes something of an app.
pub fn change(gate: &Gate, app: &str, key: &str, value: Value) -> Result<()> {
    let path = format!("/v1/apps/{app}");
    let mut shape = gate.api.get(&path)?.ok()?;
    shape[key] = value;
    gate.api.put(&path, &shape)?.ok().map(drop)
}

#[test]
fn a_budget_ends_a_download_and_a_larger_one_lets_it_go_on() -> Result<()> {
    let gate = Gate::open()?;
    let client = &gate.world.client;
    for family in FAMILIES {
        let _apps = Apps::start(&gate.world, family)?;
        change(&gate, "crm", "budget", json!("500 kB"))?;
        family.alice(&gate)?;
        let before = gate.drops()?;
        let download = stream(client, family.crm())?;
        falls_silent(&download)?;
        assert!(download.bytes() < 500_000, "{}", download.bytes());
        assert_eq!(gate.reasons_since(&before)?, ["guard0/budget_exceeded"]);
        change(&gate, "crm", "budget", json!("5 GB"))?;
        goes_on(&download)?;
        let denied = wait_for(&gate, "denied", |record| record["reason"] == "budget_exceeded")?;
        assert_eq!((&denied["user"], &denied["app"]), (&json!("alice"), &json!("crm")));
    }
    Ok(())
}

#[test]
fn a_new_session_begins_a_new_budget() -> Result<()> {
    let gate = Gate::open()?;
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    change(&gate, "crm", "budget", json!("100 kB"))?;
    for _ in 0..2 {
        V4.alice(&gate)?;
        reaches(client, V4.crm());
        falls_silent(&stream(client, V4.crm())?)?;
        is_kept_out(client, V4.crm());
    }
    Ok(())
}

#[test]
fn whoever_touches_a_trip_wire_loses_the_session_and_nobody_else_does() -> Result<()> {
    for family in FAMILIES {
        let gate = Gate::open()?;
        let (client, client2) = (&gate.world.client, &gate.world.client2);
        let _apps = Apps::start(&gate.world, family)?;
        change(&gate, "vault", "trip_wire", json!(true))?;
        let (alice, bob) = (family.alice(&gate)?, family.bob(&gate)?);
        assert_eq!(bob.session["apps"], json!([]), "nobody is shown the trap");
        let cut = stream(client, family.crm())?;
        let before = gate.drops()?;
        is_kept_out(client, family.vault());
        falls_silent(&cut)?;
        let ended = wait_for(&gate, "session_end", |record| record["session"] == json!(alice.token))?;
        assert_eq!((&ended["cause"], &ended["by"]), (&json!("trip_wire"), &json!("local")), "{ended}");
        assert!(ended["flows_cut"].as_u64() >= Some(1), "{ended}");
        assert!(ended["last_packet_at"].is_string(), "{ended}");
        let denied = wait_for(&gate, "denied", |record| record["reason"] == "trip_wire")?;
        assert_eq!((&denied["user"], &denied["app"]), (&json!("alice"), &json!("vault")));
        // The cut connection may have said its last word before.
        is_kept_out(client, family.crm());
        assert_eq!(gate.reasons_since(&before)?, ["guard0/session_revoked", "guard0/trip_wire"]);
        bob.api.get("/v1/session")?.ok()?;

        // Disabled, it catches nobody.
        gate.api.post("/v1/apps/vault/disable")?.ok()?;
        is_kept_out(client2, family.vault());
        bob.api.get("/v1/session")?.ok()?;
    }
    Ok(())
}

#[test]
fn a_session_that_scans_is_held_for_a_while() -> Result<()> {
    let gate = Gate::with(with("limits", "destinations_per_second = 5\nquarantine = \"3s\""))?;
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(client, V4.crm())?;
    scan(&gate, V4)?;
    falls_silent(&going)?;
    is_kept_out(client, V4.crm());
    goes_on(&going)?;
    reaches(client, V4.crm());
    let denied = wait_for(&gate, "denied", |record| record["reason"] == "scan_detected")?;
    assert_eq!(denied["user"], json!("alice"), "{denied}");
    Ok(())
}

/// Knocks at many ports at once.
fn scan(gate: &Gate, family: Family) -> Result<()> {
    gate.world.client.enter(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        (1..40).try_for_each(|port| socket.send_to(b"?", SocketAddr::new(family.crm, port)).map(drop))
    })??;
    Ok(())
}

#[test]
fn more_new_connections_than_a_session_may_open_are_dropped_and_open_ones_go_on() -> Result<()> {
    let gate = Gate::with(with("limits", "new_flows_per_second = 5"))?;
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(client, V4.crm())?;
    let before = gate.drops()?;
    let outcomes = (0..20).map(|_| tcp_connect(client, V4.crm(), BRIEFLY)).collect::<Result<Vec<_>>>()?;
    let refused = outcomes.iter().filter(|outcome| **outcome == Outcome::TimedOut).count();
    assert!(outcomes.contains(&Outcome::Connected) && refused > 3, "{outcomes:?}");
    assert_eq!(gate.reasons_since(&before)?, ["guard0/flow_rate"]);
    goes_on(&going)?;
    Ok(())
}

#[test]
fn bandwidth_slows_a_download_down() -> Result<()> {
    let gate = Gate::with(with("limits", "bandwidth = \"800 kbit/s\""))?;
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let before = gate.drops()?;
    let began = std::time::Instant::now();
    let (_, body) = http_get(client, V4.crm(), "/bytes/300000", SOON)?;
    assert_eq!(body.len(), 300_000);
    // 300 kB at 100 kB a second, of which a quarter of a second is given in advance.
    assert!(began.elapsed().as_secs_f64() > 2.0, "{:?}", began.elapsed());
    assert_eq!(gate.reasons_since(&before)?, ["guard0/bandwidth_exceeded"]);
    Ok(())
}

#[test]
fn limits_survive_a_restart_without_drift_and_new_ones_reach_live_sessions() -> Result<()> {
    // Neither is a whole number of nanoseconds.
    let mut gate = Gate::with(with("limits", "new_flows_per_second = 60_000\nbandwidth = \"30 Gbit/s\""))?;
    let client = gate.world.client.clone();
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(&client, V4.crm())?;
    gate.daemon.restart()?;
    assert_eq!(gate.api.get("/v1/status")?.ok()?["drift_entries"], json!(0));
    goes_on(&going)?;
    reconfigure(&gate, |config| config.replace("60_000", "2"))?;
    gate.daemon.restart()?;
    assert_eq!(gate.api.get("/v1/status")?.ok()?["drift_entries"], json!(0));
    goes_on(&going)?;
    let outcomes = (0..10).map(|_| tcp_connect(&client, V4.crm(), BRIEFLY)).collect::<Result<Vec<_>>>()?;
    assert!(outcomes.contains(&Outcome::TimedOut), "{outcomes:?}");
    goes_on(&going)
}

#[test]
fn an_app_opens_connections_where_it_may_and_to_those_who_have_a_grant_for_it() -> Result<()> {
    let gate = Gate::open()?;
    let client = &gate.world.client;
    for (family, gateway) in FAMILIES.into_iter().zip([at::APPS0, at::APPS0_6]) {
        let _apps = Apps::start(&gate.world, family)?;
        let [open, other] = [PORT, PORT + 1].map(|port| SocketAddr::new(family.client, port));
        let _served = [HttpServer::start(client, open, "client")?, HttpServer::start(client, other, "client")?];
        let alice = family.alice(&gate)?;
        let app = &gate.world.app;
        app.ip(&[format!("route replace {} via {gateway} src {}", family.client, family.crm)])?;
        assert_eq!(tcp_connect(app, open, BRIEFLY)?, Outcome::TimedOut);
        change(&gate, "crm", "opens", json!([format!("{PORT}/tcp")]))?;
        let (status, _) = http_get(app, open, "/", SOON)?;
        assert_eq!(status, 200);
        assert_eq!(tcp_connect(app, other, BRIEFLY)?, Outcome::TimedOut);
        let start = wait_for(&gate, "flow_start", |record| {
            record["opened_by"] == "app" && record["session"] == json!(alice.token)
        })?;
        assert_eq!((&start["client"], &start["client_port"]), (&json!(family.client), &json!(PORT)));
        assert_eq!((&start["app"], &start["user"]), (&json!("crm"), &json!("alice")), "{start}");
        change(&gate, "crm", "opens", json!([]))?;
        assert_eq!(tcp_connect(app, open, BRIEFLY)?, Outcome::TimedOut);
        alice.api.post("/v1/logout")?.ok()?;
    }
    Ok(())
}

#[test]
fn the_gateway_answers_no_faster_than_its_limit() -> Result<()> {
    let gate = Gate::with(with("limits", "service_packets_per_second = 50"))?;
    let before = gate.drops()?;
    let portal = SocketAddr::new(V4.guard0, 443);
    wait_until("a packet beyond the rate", SOON, || {
        let _ = tcp_connect(&gate.world.client, portal, BRIEFLY);
        gate.reasons_since(&before).ok()?.contains(&"guard0/rate_limited".to_owned()).then_some(())
    })
    .context("no packet was dropped")
}
