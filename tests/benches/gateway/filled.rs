//! The real daemon, and a crowd that is in its store.

use crate::crowd::Crowd;
use anyhow::{Result, ensure};
use gateway_tests::daemon::Launch;
use gateway_tests::gate::{self, Gate};
use gateway_tests::process::memory;
use gateway_tests::world::World;
use std::time::{Duration, Instant};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Beyond the sessions that are there.
const ROOM: u32 = 1_000;
/// Small enough to be made at once, large enough for what is measured.
const FLOWS: u32 = 262_144;

/// The gateway, and what its daemon needed before it had any sessions.
pub struct Filled {
    /// The gateway.
    pub gate: Gate,
    /// Memory of the idle daemon, in kB.
    pub idle: f64,
    sessions: u32,
}

impl Filled {
    /// With the sessions in the store; the daemon has stopped.
    pub fn new(crowd: Crowd) -> Result<Self> {
        Self::inside(World::new()?, crowd, |config| config)
    }

    /// The same in a world that is there already, and with another configuration.
    pub fn inside(world: World, crowd: Crowd, tweak: impl FnOnce(String) -> String) -> Result<Self> {
        let capacity = format!("\n[capacity]\nsessions = {}\nflows = {FLOWS}\n", crowd.sessions + ROOM);
        let config = gate::config().split("\n[capacity]\n").next().unwrap_or_default().to_owned() + &capacity;
        let launch = Launch { patience: PATIENCE, ..gate::urgent()? };
        let mut gate = Gate::launch_inside(world, launch, |_| tweak(config))?;
        // The first start makes users and certificates, and takes memory for it that an idle daemon does not have.
        gate.daemon.restart()?;
        let idle = memory(gate.daemon.pid(), "VmRSS")? as f64;
        let index = gate.world.gateway.enter(|| nix::net::if_::if_nametoindex("guard0"))??;
        gate.daemon.stop()?;
        crowd.store(&gate.world.scratch().join("state/state.redb"), index)?;
        Ok(Self { gate, idle, sessions: crowd.sessions })
    }

    /// Starts the daemon: milliseconds until it is ready, and has taken up all sessions.
    pub fn start(&mut self) -> Result<f64> {
        let began = Instant::now();
        self.gate.daemon.restart()?;
        let took = began.elapsed().as_secs_f64() * 1e3;
        let sessions = self.gate.api.get("/v1/status")?.ok()?["sessions"].clone();
        ensure!(sessions == self.sessions, "only {sessions} of {} sessions were taken up", self.sessions);
        Ok(took)
    }
}
