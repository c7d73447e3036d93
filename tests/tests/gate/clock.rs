//! The wall clock jumps, as one does whose battery is empty, or whose time server is wrong. Nobody's access depends on it.
//!
//! The daemon asks libfaketime for the wall clock; its other clocks are the real ones.

use anyhow::{Context as _, Result, ensure};
use gateway_common::KernelNanos;
use gateway_common::abi::{Session, map};
use gateway_tests::wall::{self, HONEST};
use gateway_tests::{Gate, Launch, World, gate};
use gateway_userspace::dataplane::clock;
use gateway_userspace::dataplane::mapped::Mapped;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::forward::mapped;
use crate::record::wait_for;
use crate::scene::{Apps, V4, falls_silent, goes_on, is_kept_out, reaches, stream};

/// As libfaketime writes them, and the year in which the daemon is then, after the present one.
const JUMPS: [(&str, i32); 4] = [("+30y", 30), ("-30y", -30), ("-60y", -60), ("-120y", -120)];

/// A gateway whose wall clock says what is written, from its first start on.
fn gate_at(first: &str) -> Result<Gate> {
    let world = World::new()?;
    let mut launch = Launch::new(gate::binary("portcullisd")?, gate::READY);
    launch.env.extend(wall::settings(&world)?);
    wall::jump(&world, first)?;
    let gate = Gate::launch_inside(world, launch, |config| config)?;
    gate.introduce("alice", "finance")?;
    gate.introduce("bob", "ops")?;
    Ok(gate)
}

/// When the sessions in the kernel end, on the boot clock.
fn deadlines(gate: &Gate) -> Result<Vec<u64>> {
    let slots: Mapped<Session> = mapped(gate, map::SESSIONS)?;
    let live = slots.iter().filter(|(_, slot)| slot.state.load() == Session::LIVE);
    Ok(live.map(|(_, slot)| slot.deadline.load()).collect())
}

fn year(text: &serde_json::Value) -> Result<i32> {
    let text = text.as_str().context("not a time")?;
    Ok(OffsetDateTime::parse(text, &Rfc3339).with_context(|| text.to_owned())?.year())
}

/// What anybody does with the gateway, done by bob.
fn is_of_use(gate: &Gate, off_by: i32) -> Result<()> {
    let this_year = OffsetDateTime::now_utc().year();
    let is_now = |year: i32| (year - off_by - this_year).abs() <= 1;
    let (before, bob) = (clock::boot(), V4.bob(gate)?);
    ensure!(is_now(year(&bob.session["authenticated_at"])?), "{}", bob.session);
    reaches(&gate.world.client2, V4.vault());
    let going = stream(&gate.world.client2, V4.vault())?;
    let ends = deadlines(gate)?.into_iter().max().context("no session")?;
    let lifetime = KernelNanos(ends).since(before);
    ensure!(lifetime.abs_diff(8 * 3600 * 1_000_000_000) < 60_000_000_000, "{lifetime}");
    bob.api.get("/v1/session")?.ok()?;
    let receipt = bob.api.post("/v1/logout")?.ok()?;
    ensure!(is_now(year(&receipt["requested_at"])?) && is_now(year(&receipt["last_packet_at"])?), "{receipt}");
    falls_silent(&going)?;
    is_kept_out(&gate.world.client2, V4.vault());
    let ended = wait_for(gate, "session_end", |record| record["session"] == json!(bob.token))?;
    ensure!(is_now(year(&ended["time"])?), "{ended}");
    let status = gate.api.get("/v1/status")?;
    status.ok()?;
    // Which one is not said: hyper keeps the one that it has written until the clock has passed it.
    status.header("date").context("no date")?;
    ensure!(gate.api.get("/metrics")?.status == 200, "no metrics");
    let log = gate.daemon.log();
    ensure!(!log.contains("panicked"), "{log}");
    Ok(())
}

#[test]
fn a_wall_clock_that_jumps_neither_extends_nor_cuts_anybody_s_access() -> Result<()> {
    let gate = gate_at(HONEST)?;
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    let alice = V4.alice(&gate)?;
    let (going, ends) = (stream(client, V4.crm())?, deadlines(&gate)?);
    for (to, off_by) in JUMPS.into_iter().chain([(HONEST, 0)]) {
        wall::jump(&gate.world, to)?;
        is_of_use(&gate, off_by).with_context(|| to.to_owned())?;
        assert_eq!(deadlines(&gate)?, ends, "{to}");
        goes_on(&going)?;
        alice.api.get("/v1/session")?.ok()?;
    }
    gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
    falls_silent(&going)
}

#[test]
fn a_daemon_that_is_started_in_another_year_takes_up_every_session_as_it_was() -> Result<()> {
    let mut gate = gate_at(HONEST)?;
    let client = gate.world.client.clone();
    let _apps = Apps::start(&gate.world, V4)?;
    let alice = V4.alice(&gate)?;
    let (going, ends) = (stream(&client, V4.crm())?, deadlines(&gate)?);
    for (to, off_by) in JUMPS.into_iter().chain([(HONEST, 0)]) {
        gate.daemon.stop()?;
        wall::jump(&gate.world, to)?;
        gate.daemon.restart().with_context(|| to.to_owned())?;
        assert_eq!(deadlines(&gate)?, ends, "{to}");
        goes_on(&going)?;
        alice.api.get("/v1/session")?.ok()?;
        is_of_use(&gate, off_by).with_context(|| to.to_owned())?;
    }
    Ok(())
}

#[test]
fn a_gateway_that_was_first_started_before_its_clock_was_set_has_a_certificate_that_is_valid_when_it_is() -> Result<()>
{
    for (to, off_by) in [("@1970-01-01 00:00:10", 1970 - OffsetDateTime::now_utc().year()), ("-60y", -60)] {
        // curl, with the right time, checks it.
        let gate = gate_at(to).with_context(|| to.to_owned())?;
        let _apps = Apps::start(&gate.world, V4)?;
        is_of_use(&gate, off_by).with_context(|| to.to_owned())?;
        wall::jump(&gate.world, HONEST)?;
        is_of_use(&gate, 0)?;
    }
    Ok(())
}

#[test]
fn an_api_token_that_expires_does_so_by_the_wall_clock_and_the_others_never() -> Result<()> {
    let gate = gate_at(HONEST)?;
    let expires = (OffsetDateTime::now_utc() + time::Duration::HOUR).format(&Rfc3339)?;
    let asked = json!({ "name": "ci", "scopes": ["read"], "expires_at": expires });
    let made = gate.api.post_json("/v1/tokens", &asked)?.ok()?;
    let ci = gate.api.bearer(made["secret"].as_str().with_context(|| made.to_string())?);
    ci.get("/v1/status")?.ok()?;
    wall::jump(&gate.world, "+30y")?;
    ci.get("/v1/status")?.problem(401)?;
    gate.api.get("/v1/status")?.ok()?;
    wall::jump(&gate.world, "-60y")?;
    ci.get("/v1/status")?.ok()?;
    gate.api.get("/v1/status")?.ok().map(drop)
}
