//! Access ends: for connections that are open, in both directions, at once.

use std::{
    io::Read as _,
    net::{IpAddr, SocketAddr},
    sync::atomic::Ordering,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use gateway_tests::{
    Gate, Launch, Login, Namespace, Outcome, World, gate, gate::Drops, stream::End, tcp_open, wait_until,
};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::forward;
use crate::scene::{Apps, FAMILIES, SOON, V4, V6, falls_silent, goes_on, is_kept_out, reaches, stream};

/// How late a thread of a busy machine may read what arrived in time.
const LATE: Duration = Duration::from_millis(50);

#[test]
fn disabling_a_user_cuts_their_open_stream_in_both_directions_and_nobody_elses() -> Result<()> {
    disabling_cuts(Gate::open)
}

#[test]
fn disabling_a_user_cuts_their_open_stream_where_packets_are_forwarded_in_xdp() -> Result<()> {
    disabling_cuts(|| Gate::inside(World::able_to_forward_in_xdp()?, forward::in_xdp))
}

fn disabling_cuts(open: fn() -> Result<Gate>) -> Result<()> {
    for family in FAMILIES {
        let gate = open()?;
        let (client, client2) = (&gate.world.client, &gate.world.client2);
        let apps = Apps::start(&gate.world, family)?;
        let (alice, _bob) = (family.alice(&gate)?, family.bob(&gate)?);
        let (mut cut, mut untouched) = (stream(client, family.crm())?, stream(client2, family.vault())?);
        assert_eq!(cut.poke(), Outcome::Answered);

        let answer = gate.api.post("/v1/users/alice/disable")?.ok()?;
        let arrived = packets(client)?;
        let sent = apps.crm.counters().received.load(Ordering::Relaxed);
        let receipt = only(&answer["receipts"])?;
        assert_eq!((&receipt["token"], &receipt["user"]), (&json!(alice.token), &json!("alice")));
        assert_eq!((&receipt["cause"], &receipt["by"]), (&json!("user_disabled"), &json!("admin")));
        assert!(receipt["flows_cut"].as_u64() >= Some(1), "{receipt}");
        let enforced_at = moment(&receipt["enforced_at"])?;
        assert!(moment(&receipt["last_packet_at"])? <= enforced_at, "{receipt}");

        // Nothing hangs: both ends are told, and accept it at once.
        let reset = wait_until("the end of the stream", SOON, || cut.ended().map(|(end, _)| end))?;
        assert_eq!(reset, End::Cut(Outcome::Reset));
        for host in [client, &gate.world.app] {
            let is_free = || connections(host, family.client, family.crm()).ok()?.is_empty().then_some(());
            wait_until("the end of the connection at both ends", SOON, is_free)?;
        }
        assert_eq!(packets(client)?, arrived, "packets came to the client after the answer");
        assert_eq!(
            apps.crm.counters().received.load(Ordering::Relaxed),
            sent,
            "bytes came to the app after the answer"
        );
        let last_byte = OffsetDateTime::from(SystemTime::now() - cut.silence());
        assert!(last_byte < enforced_at + LATE, "{last_byte} is after {enforced_at}");

        goes_on(&untouched)?;
        assert_eq!(untouched.poke(), Outcome::Answered);
        is_kept_out(client, family.crm());
        assert_eq!(gate.try_login(client, family.guard0, "alice")?.status, 403);

        gate.api.post("/v1/users/alice/enable")?.ok()?;
        family.alice(&gate)?;
        reaches(client, family.crm());
    }
    Ok(())
}

/// TCP connections of a host between these, as `ss` shows them.
fn connections(host: &Namespace, client: IpAddr, app: SocketAddr) -> Result<String> {
    let client = if client.is_ipv6() { format!("[{client}]") } else { client.to_string() };
    let between = format!("( src {client} and dst {app} ) or ( src {app} and dst {client} )");
    host.run(&["ss", "-Htn", "state", "connected", &between])
}

#[test]
fn a_connection_that_was_silent_for_a_while_is_reset_at_both_ends_too() -> Result<()> {
    for family in FAMILIES {
        let gate = Gate::open()?;
        let client = &gate.world.client;
        let _apps = Apps::start(&gate.world, family)?;
        family.alice(&gate)?;
        let mut idle = tcp_open(client, family.crm(), SOON)??;
        let is_known = || gate.records().ok()?.iter().any(|record| record["type"] == "flow_start").then_some(());
        wait_until("the flow to be known", SOON, is_known)?;
        gate.api.post("/v1/users/alice/disable")?.ok()?;
        let error = idle.read(&mut [0]).expect_err("it is reset");
        assert_eq!(Outcome::from(&error), Outcome::Reset);
        let is_free = || connections(&gate.world.app, family.client, family.crm()).ok()?.is_empty().then_some(());
        wait_until("the end of the connection at the app", SOON, is_free)?;
    }
    Ok(())
}

#[test]
fn every_way_to_end_a_session_cuts_its_stream() -> Result<()> {
    type End = fn(&Gate, &Login) -> Result<Value>;
    let ways: [(&str, &str, End); 7] = [
        ("logout", "logout", |_, login| login.api.post("/v1/logout")?.ok()),
        ("delete the session", "revoked", |gate, login| {
            gate.api.delete(&format!("/v1/sessions/{}", login.token))?.ok()
        }),
        ("revoke the session", "revoked", |gate, login| revoke(gate, json!({ "session": login.token }))),
        ("revoke the user", "revoked", |gate, _| revoke(gate, json!({ "user": "alice" }))),
        ("revoke the app", "revoked", |gate, _| revoke(gate, json!({ "app": "crm" }))),
        ("revoke all", "revoked", |gate, _| revoke(gate, json!({ "all": true }))),
        ("remove the user", "user_removed", |gate, _| gate.api.delete("/v1/users/alice")?.ok()),
    ];
    let gate = Gate::open()?;
    let _apps = (Apps::start(&gate.world, V4)?, Apps::start(&gate.world, V6)?);
    V4.bob(&gate)?;
    let bystander = stream(&gate.world.client2, V4.vault())?;
    for (index, (name, cause, end)) in ways.into_iter().enumerate() {
        let family = FAMILIES[index % 2];
        let login = family.alice(&gate)?;
        let cut = stream(&gate.world.client, family.crm())?;
        let answer = end(&gate, &login).context(name)?;
        let receipts = answer["receipts"].as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
        let receipt = receipts.iter().find(|receipt| receipt["token"] == json!(login.token)).context(name)?;
        assert_eq!(receipt["cause"], cause, "{name}");
        // A retransmission of the connection before may have come through in the new session.
        assert!(receipt["flows_cut"].as_u64() >= Some(1), "{name}: {receipt}");
        assert_eq!(receipts.len(), if name == "revoke all" { 2 } else { 1 }, "{name}");
        falls_silent(&cut).context(name)?;
        is_kept_out(&gate.world.client, family.crm());
        match name {
            "revoke all" => falls_silent(&bystander)?,
            "remove the user" => {}
            _ => goes_on(&bystander)?,
        }
    }
    Ok(())
}

#[test]
fn a_disabled_app_is_cut_off_and_enabled_again_it_opens_to_new_connections() -> Result<()> {
    let gate = Gate::open()?;
    let client = &gate.world.client;
    for family in FAMILIES {
        let _apps = Apps::start(&gate.world, family)?;
        let login = family.alice(&gate)?;
        let cut = stream(client, family.crm())?;
        gate.api.post("/v1/apps/crm/disable")?.ok()?;
        falls_silent(&cut)?;
        is_kept_out(client, family.crm());
        assert_eq!(login.api.get("/v1/session")?.ok()?["apps"], json!([]));
        gate.api.post("/v1/apps/crm/enable")?.ok()?;
        reaches(client, family.crm());
    }
    Ok(())
}

/// The daemon believes that it is 57 seconds earlier than it is, so the deadline of a session of one minute, which the
/// kernel compares with its own clock, comes after three; the daemon itself would notice it only a minute later.
#[test]
fn a_session_ends_in_the_kernel_at_its_deadline_whatever_the_daemon_does() -> Result<()> {
    let daemon = gate::binary("portcullisd")?;
    let mut launch = Launch::new("unshare", gate::READY);
    let wrapper = ["--time", "--boottime", "-57", "--fork", "--kill-child"].map(str::to_owned);
    launch.args = wrapper.into_iter().chain([daemon.display().to_string()]).chain(launch.args).collect();
    let gate = Gate::launch(launch, |config| config.replace("[login]", "[login]\nsession = \"1m\""))?;
    gate.introduce("alice", "finance")?;
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let cut = stream(client, V4.crm())?;
    gate.daemon.pause()?;
    falls_silent(&cut)?;
    is_kept_out(client, V4.crm());
    gate.daemon.resume()?;
    assert_eq!(gate.reasons_since(&Drops::new())?, ["guard0/session_expired"]);
    Ok(())
}

fn revoke(gate: &Gate, which: Value) -> Result<Value> {
    gate.api.post_json("/v1/revocations", &which)?.ok()
}

fn only(list: &Value) -> Result<&Value> {
    let list = list.as_array().context("not a list")?;
    assert_eq!(list.len(), 1, "{list:?}");
    list.first().context("empty")
}

fn moment(value: &Value) -> Result<OffsetDateTime> {
    Ok(OffsetDateTime::parse(value.as_str().with_context(|| format!("not a time: {value}"))?, &Rfc3339)?)
}

/// TCP segments that have come to the host.
fn packets(host: &Namespace) -> Result<u64> {
    let text = host.enter(|| std::fs::read_to_string("/proc/thread-self/net/snmp"))??;
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:")).map(str::split_whitespace);
    let (names, values) = (lines.next().context("no names")?, lines.next().context("no values")?);
    let found = names.zip(values).find(|(name, _)| *name == "InSegs").context("no InSegs")?;
    Ok(found.1.parse()?)
}
