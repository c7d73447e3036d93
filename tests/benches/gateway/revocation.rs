//! From the end of access to the last packet: by the API, by disabling a user, and by a policy that removes an app from
//! everybody; with one session, a thousand and a hundred thousand, with nothing else to do and under a flood.

pub mod caller;
pub mod latencies;
pub mod markers;

use crate::crowd::{self, Crowd};
use crate::filled::Filled;
use crate::measure::options::Options;
use crate::measure::progress::Progress;
use crate::measure::row::{Row, grouped};
use anyhow::{Context as _, Result};
use caller::{Answered, Caller};
use gateway_tests::flood::{Flood, Target};
use gateway_tests::gate::{self, BEACON, BEACON_POLICY, Gate, PASSWORD, POLICIES};
use gateway_tests::{wait_until, world::at};
use latencies::{Latencies, last_packets};
use markers::Markers;
use reqwest::Method;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const SIZES: [u32; 2] = [1_000, 100_000];
/// Policies that take an app from everybody.
const GENERATIONS: u32 = 100;
/// Packets a second, none of which is permitted.
const FLOOD: u32 = 1_000_000;
/// Of whom nobody knows.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 66);
/// People who take turns where there is one session at a time: guessing is limited by user.
const PEOPLE: u32 = 200;
const SOON: Duration = Duration::from_secs(20);

/// All of it.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let progress = Progress::new();
    let mut rows = Vec::new();
    let samples = options.samples;
    for is_flooded in [false, true] {
        let load = if is_flooded { "flood" } else { "idle" };
        progress.say(&format!("revocation: 1 session, {load}"));
        rows.extend(one_at_a_time(samples, is_flooded)?);
        for size in SIZES {
            progress.say(&format!("revocation: {} sessions, {load}", grouped(size as usize)));
            rows.extend(of_many(size, samples, is_flooded)?);
        }
    }
    Ok(rows)
}

/// A gateway with people whose packets arrive.
pub struct Scene {
    /// Who asks the API.
    pub administrator: Caller,
    /// Their packets.
    pub markers: Markers,
    flood: Option<Flood>,
}

impl Scene {
    /// With an app that hears whoever is in the group, and nobody sends yet.
    pub fn new(gate: &Gate, is_flooded: bool) -> Result<Self> {
        let administrator = Caller::administrator(gate)?;
        let beacon = Some(("application/json", gate::beacon().to_string()));
        administrator.call(&Method::PUT, "/v1/apps/beacon", beacon)?;
        put_policy(&administrator, true)?;
        let world = &gate.world;
        // All of these addresses are the client's own, and the gateway finds them there.
        world.client.ip(&["route add local 100.64.0.0/10 dev lo"])?;
        world.gateway.ip(&[format!("route add 100.64.0.0/10 via {} dev guard0", at::CLIENT)])?;
        let markers = Markers::new(&world.client, &world.app, BEACON)?;
        let IpAddr::V4(destination) = at::OTHER_APP else { anyhow::bail!("an IPv4 address was wanted") };
        let target = Target { mac: at::GUARD1_MAC, source: STRANGER, destination };
        let flood = is_flooded.then(|| Flood::start(&world.client2, "eth0", target, FLOOD)).transpose()?;
        Ok(Self { administrator, markers, flood })
    }

    fn pattern(&self) -> &'static str {
        if self.flood.is_some() { "under a flood" } else { "idle" }
    }
}

fn of_many(size: u32, samples: u32, is_flooded: bool) -> Result<Vec<Row>> {
    let crowd = Crowd { sessions: size + 2 * samples, leavers: samples, pushed: false };
    let mut filled = Filled::new(crowd)?;
    filled.start()?;
    let mut scene = Scene::new(&filled.gate, is_flooded)?;
    let (mut disabled, mut revoked, mut removed) = <(Latencies, Latencies, Latencies)>::default();
    for number in 0..samples {
        let path = format!("/v1/users/{}/disable", crowd::leaver(number));
        end(&mut scene, crowd::address(number), &Method::POST, &path, &mut disabled)?;
        // Those after the leavers.
        let number = number + samples;
        let path = format!("/v1/sessions/{}", crowd::token(number));
        end(&mut scene, crowd::address(number), &Method::DELETE, &path, &mut revoked)?;
    }
    let two = [crowd::address(2 * samples), crowd::address(2 * samples + 1)];
    for _ in 0..GENERATIONS.min(samples) {
        let numbers = scene.markers.of(&two)?;
        let answered = put_policy(&scene.administrator, false)?;
        removed.add(&scene.administrator, &answered, &last_packets(&scene.markers, &numbers))?;
        put_policy(&scene.administrator, true)?;
    }
    let mut rows = revoked.rows("one session revoked", size, scene.pattern());
    rows.extend(disabled.rows("a user disabled", size, scene.pattern()));
    rows.extend(removed.rows("an app removed from all", size, scene.pattern()));
    rows.extend(flooded(&filled.gate, scene, size)?);
    Ok(rows)
}

/// Access ends, of somebody in the middle of sending.
fn end(scene: &mut Scene, source: Ipv4Addr, method: &Method, path: &str, latencies: &mut Latencies) -> Result<()> {
    let numbers = scene.markers.of(&[source])?;
    let answered = scene.administrator.call(method, path, None)?;
    latencies.add(&scene.administrator, &answered, &last_packets(&scene.markers, &numbers))
}

/// The only session there is, each time of somebody else.
fn one_at_a_time(samples: u32, is_flooded: bool) -> Result<Vec<Row>> {
    let gate = Gate::open()?;
    for number in 0..PEOPLE.min(samples) {
        gate.introduce(&crowd::leaver(number), "finance")?;
    }
    let mut scene = Scene::new(&gate, is_flooded)?;
    let (mut disabled, mut revoked) = <(Latencies, Latencies)>::default();
    for number in 0..2 * samples {
        let (user, source) = (crowd::leaver(number % PEOPLE.min(samples)), crowd::address(number));
        let client = Caller::client(&gate, at::GUARD0, source.into())?;
        let body = json!({ "username": user, "password": PASSWORD }).to_string();
        let login = client.call(&Method::POST, "/v1/login", Some(("application/json", body)))?;
        if number % 2 == 0 {
            let token = login.body["session"]["token"].as_str().context("no token")?.to_owned();
            end(&mut scene, source, &Method::DELETE, &format!("/v1/sessions/{token}"), &mut revoked)?;
        } else {
            end(&mut scene, source, &Method::POST, &format!("/v1/users/{user}/disable"), &mut disabled)?;
            scene.administrator.call(&Method::POST, &format!("/v1/users/{user}/enable"), None)?;
        }
    }
    let mut rows = revoked.rows("one session revoked", 1, scene.pattern());
    rows.extend(disabled.rows("a user disabled", 1, scene.pattern()));
    rows.extend(flooded(&gate, scene, 1)?);
    Ok(rows)
}

/// How many packets a second the gateway had to deny meanwhile.
fn flooded(gate: &Gate, scene: Scene, size: u32) -> Result<Option<Row>> {
    let Some(flood) = scene.flood else { return Ok(None) };
    let denied = || -> Result<u64> { Ok(gate.drops()?.values().sum()) };
    let (before, began) = (denied()?, std::time::Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    let rate = (denied()? - before) as f64 / began.elapsed().as_secs_f64();
    flood.end()?;
    wait_until("the gateway to rest", SOON, || gate.api.get("/healthz").ok())?;
    let row = Row::new("denied meanwhile", "packets", "/s", vec![rate]);
    Ok(Some(row.size(size as usize).pattern("under a flood")))
}

/// With the beacon for everybody, or without.
fn put_policy(administrator: &Caller, with_beacon: bool) -> Result<Answered> {
    let text = format!("{POLICIES}\n{}", if with_beacon { BEACON_POLICY } else { "" });
    administrator.call(&Method::PUT, "/v1/policy", Some(("text/plain", text)))
}
