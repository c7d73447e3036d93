//! A life in a random world in the kernel: the programs run on single frames, and the oracle says what they count.
//!
//! The clock runs. The oracle judges a moment before the program; so no frame is judged while any deadline of the world
//! is near, and a life in which the machine paused for longer than that ends there.

use super::kernel_memory::differences;
use super::life::Trouble;

use super::scripts::Shot;
use super::sessions::Ruling;
use super::stage::Stage;
use super::tables::{Oracle, SECOND};
use super::world::{Clock, World};
use crate::ground::{Bpffs, Way};
use gateway_common::abi::Vlan;
use gateway_common::{KernelNanos, Verdict};
use gateway_userspace::dataplane::attach::{GuardedInterface, GuardedVlan, InterfaceSettings, XdpChoice};
use gateway_userspace::dataplane::monitor::InterfaceCounters;
use gateway_userspace::dataplane::services::Services;
use gateway_userspace::dataplane::{
    DataPlane as _, DataPlaneError, KernelDataPlane, Monitor, PlaneSettings, Program, Programs, clock,
};
use gateway_userspace::policy::{Capacities, Plan, Step};

/// How far away every deadline must be.
const MARGIN: u64 = SECOND / 100;
/// `BPF_PROG_TEST_RUN` makes frames arrive on, and leave through, the loopback device.
const INTERFACE: u32 = 1;

/// How a step ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Judged(Verdict),
    /// No frame was judged: a deadline is near, or the kernel would not run a program on it.
    Skipped,
    /// The machine paused; what the kernel did is not known.
    Late,
}

/// A world, the kernel and the oracle in it, and what is being said.
pub struct KernelLife {
    seed: u64,
    turn: u64,
    world: World,
    oracle: Oracle,
    stage: Stage,
    pub kernel: KernelDataPlane,
    programs: Programs,
    monitor: Monitor,
    expected: InterfaceCounters,
    _bpffs: Bpffs,
}

impl KernelLife {
    /// The life of a seed, with programs and tables of its own.
    pub fn new(seed: u64) -> Result<Self, DataPlaneError> {
        let mut world = World::new(seed, &[INTERFACE], Clock::Running);
        let mut oracle = world.oracle();
        // Such tables throw out before they are full.
        oracle.most_flows = 16_384;
        oracle.quarantine = 3_600 * SECOND;
        let bpffs = Bpffs::mount();
        let folder = bpffs.path().join("portcullis");
        let (kernel, mut programs) = KernelDataPlane::open(&folder, capacities(&oracle), settings(&oracle))?;
        programs.configure(&[guarded(&oracle)])?;
        let mut services = Services::open(kernel.pins())?;
        services.serve(&super::memory::services_of(&oracle))?;
        services.manage_from(&oracle.management)?;
        let monitor = Monitor::open(kernel.pins())?;
        let expected = monitor.interface(INTERFACE)?.unwrap_or_default();
        let stage = Stage::new(&mut world);
        let mut life = Self { seed, turn: 0, world, oracle, stage, kernel, programs, monitor, expected, _bpffs: bpffs };
        let steps = life.world.begin(clock::boot());
        life.apply(steps);
        Ok(life)
    }

    fn apply(&mut self, steps: Vec<Step>) {
        steps.iter().for_each(|step| self.oracle.follow(step, clock::boot().0));
        self.kernel.apply(&Plan { steps }).unwrap();
    }

    /// Judges one more frame in the kernel, and compares every counter.
    pub fn step(&mut self) -> Result<Outcome, Trouble> {
        self.step_after(|_| |_: &Ruling| Ok(()))
    }

    /// The same, after a look at the frame, which then is told what the oracle says of it.
    pub fn step_after<C>(&mut self, look: impl FnOnce(&Shot) -> C) -> Result<Outcome, Trouble>
    where
        C: FnOnce(&Ruling) -> Result<(), String>,
    {
        let drawn = clock::boot().0;
        if self.oracle.instants().any(|instant| instant.abs_diff(drawn) <= MARGIN) {
            return Ok(Outcome::Skipped);
        }
        self.turn += 1;
        if self.world.dice.one_in(200) {
            // It was over long ago, or never will be.
            self.oracle.lease_until = self.world.dice.pick(&[1, u64::MAX, u64::MAX]);
            self.kernel.lease_until(KernelNanos(self.oracle.lease_until));
            return Ok(Outcome::Skipped);
        }
        if self.world.dice.one_in(60) {
            let steps = self.world.change(clock::boot());
            self.apply(steps);
            return Ok(Outcome::Skipped);
        }
        let (script, shot) = self.stage.next(&mut self.world);
        let shot = as_bare_frame(shot);
        let Shot { way, ref frame, .. } = shot;
        // The kernel runs no program on less than an Ethernet header, and no classifier on less than an IP header in it.
        if frame.len() <= if way == Way::In { 14 } else { 54 } {
            return Ok(Outcome::Skipped);
        }
        let check = look(&shot);
        let before = clock::boot().0;
        if before - drawn > MARGIN / 2 {
            return Ok(Outcome::Skipped);
        }
        let ruling = self.oracle.judge(&shot, before);
        let program = if way == Way::In { Program::Ingress } else { Program::Egress };
        self.programs.test_run(program, frame, &mut [0; 2048]).unwrap();
        if clock::boot().0 - before > MARGIN / 2 {
            return Ok(Outcome::Late);
        }
        let (seed, turn) = (self.seed, self.turn);
        check(&ruling)
            .map_err(|what| Trouble::Disagreement(format!("seed {seed}, turn {turn}: {what}, frame {frame:02x?}")))?;
        match ruling.verdict {
            Verdict::Forward => self.expected.forward += 1,
            Verdict::ToHost => self.expected.to_host += 1,
            Verdict::Drop(reason) if self.oracle.guards[0].observes => {
                *self.expected.observed.entry(reason).or_default() += 1;
            }
            Verdict::Drop(reason) => *self.expected.drops.entry(reason).or_default() += 1,
        }
        self.expected.rejected += u64::from(ruling.rejected);
        if ruling.verdict == Verdict::Forward {
            self.stage.praise(script, &mut self.world.dice);
        }
        let counted = self.monitor.interface(INTERFACE).unwrap().unwrap();
        if counted == self.expected {
            return Ok(Outcome::Judged(ruling.verdict));
        }
        let what = format!("kernel {counted:?}, oracle {ruling:?} and {:?}", self.expected);
        Err(Trouble::Disagreement(format!("seed {seed}, turn {turn}, {way:?}: {what}, frame {frame:02x?}")))
    }

    /// Compares what the packets have left behind.
    pub fn compare(&self) -> Result<(), Trouble> {
        let wrong = differences(&self.kernel, &self.oracle, MARGIN);
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Trouble::Disagreement(format!("seed {}, after turn {}: {}", self.seed, self.turn, wrong.join("\n  "))))
    }
}

/// A frame with the tag that was beside it, and without a mark: a test run cannot have them there.
fn as_bare_frame(mut shot: Shot) -> Shot {
    (shot.interface, shot.mark) = (INTERFACE, 0);
    if let Some(tag) = shot.beside.take()
        && shot.frame.len() >= 12
    {
        shot.frame.splice(12..12, [tag.0.to_be_bytes(), tag.1.to_be_bytes()].concat());
    }
    shot
}

fn capacities(oracle: &Oracle) -> Capacities {
    Capacities {
        sessions: 256,
        flows: oracle.most_flows,
        app_prefixes: 256,
        app_ports: 1024,
        grants: 256,
        apps: 64,
        budgets: oracle.most_accounts,
        fragments: 4096,
        sources: 4096,
    }
}

fn settings(oracle: &Oracle) -> PlaneSettings {
    PlaneSettings {
        events_per_window: 1_000_000,
        answers_per_window: 1_000_000,
        service_interval: oracle.service_interval,
        quarantine: oracle.quarantine,
        lease: u64::MAX,
        records: true,
    }
}

fn guarded(oracle: &Oracle) -> GuardedInterface {
    let guard = &oracle.guards[0];
    let vlans = guard.vlans.iter().map(|(&(outer, inner), zone)| GuardedVlan {
        vlan: Vlan { outer, inner },
        zone: *zone,
        zone_name: format!("zone{zone}"),
    });
    GuardedInterface {
        name: "lo".into(),
        index: INTERFACE,
        zone: guard.zone,
        zone_name: "lan".into(),
        has_link_layer: guard.has_link,
        mode: XdpChoice::Generic,
        settings: InterfaceSettings {
            reject: guard.rejects,
            observe: guard.observes,
            track_fragments: guard.tracks_fragments,
            admit_options: guard.admits_options,
            admit_extensions: guard.admits_extensions,
            forward: false,
        },
        vlans: vlans.collect(),
    }
}
