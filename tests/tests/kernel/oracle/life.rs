//! A life in a random world: every frame is judged by the law on the in-memory twin and by the oracle.

use super::link::Tag;
use super::memory::{differences, key, twin_of};
use super::scripts::Shot;
use super::sessions::Ruling;
use super::stage::Stage;
use super::tables::{Oracle, SECOND};
use super::world::{Clock, World};
use crate::ground::Way;
use gateway_common::{DropReason, Frame, Judgement, KernelNanos, Packet, Verdict, law, packet};
use gateway_userspace::dataplane::{DataPlane as _, MemoryDataPlane};
use gateway_userspace::policy::{Plan, Step};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What verdicts came up, by code, and how many flows were opened.
pub type Tally = BTreeMap<u32, u64>;
/// In [`Tally`], the flows that clients opened, and those that apps opened.
pub const OPENED: [u32; 2] = [1000, 1001];

/// How far the clock goes between two packets, if it does.
const PACES: [&[u64]; 3] = [
    &[0, 1_000, 50_000, 1_000_000],
    &[100_000, 1_000_000, 10_000_000, 40_000_000, 150_000_000],
    &[1_000_000, 10_000_000, 150_000_000, SECOND / 4, SECOND, 2 * SECOND],
];

/// What should never be.
pub enum Trouble {
    Disagreement(String),
    /// The law panicked.
    Abort(String),
}

impl fmt::Debug for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Disagreement(what) | Self::Abort(what)) = self;
        f.write_str(what)
    }
}

/// A frame as a driver hands it over.
struct Wire<'a>(&'a Shot);

impl Frame for Wire<'_> {
    fn length(&self) -> usize {
        self.0.frame.len()
    }

    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0.frame[..].bytes(offset)
    }

    fn removed_tag(&self) -> Option<packet::Tag> {
        self.0.beside.map(|Tag(ethertype, control)| packet::Tag { ethertype, control })
    }

    fn mark(&self) -> u32 {
        self.0.mark
    }
}

/// A world, the twin and the oracle in it, and what is being said.
pub struct Life {
    seed: u64,
    turn: u64,
    world: World,
    twin: MemoryDataPlane,
    oracle: Oracle,
    now: KernelNanos,
    pace: &'static [u64],
    stage: Stage,
    pub tally: Tally,
}

impl Life {
    pub fn new(seed: u64) -> Self {
        let mut world = World::new(seed, &[1, 2, 3, 4], Clock::Set);
        let oracle = world.oracle();
        let twin = twin_of(&oracle);
        let now = KernelNanos(50_000 * SECOND);
        let stage = Stage::new(&mut world);
        let pace = world.dice.pick(&PACES);
        let mut life = Self { seed, turn: 0, world, twin, oracle, now, pace, stage, tally: Tally::new() };
        let steps = life.world.begin(now);
        life.apply(steps);
        life
    }

    fn apply(&mut self, steps: Vec<Step>) {
        steps.iter().for_each(|step| self.oracle.follow(step, self.now.0));
        self.twin.clock = self.now;
        self.twin.apply(&Plan { steps }).expect("a plan that fits");
    }

    /// Lets time pass and tables change.
    fn pass_time(&mut self) {
        let dice = &mut self.world.dice;
        if !dice.one_in(3) {
            let rare = [5, 10, 60, 240, 300, 7_439, 7_440].map(|seconds| seconds * SECOND);
            self.now = self.now.after(if dice.one_in(2000) { dice.pick(&rare) } else { dice.pick(self.pace) });
        }
        if self.world.dice.one_in(100) {
            self.pass_to_an_instant();
        }
        self.twin.clock = self.now;
        if self.world.dice.one_in(20) {
            let steps = self.world.change(self.now);
            self.apply(steps);
        }
        if self.world.dice.one_in(400) {
            let lease = self.world.dice.pick(&[0, SECOND, 60 * SECOND, u64::MAX, u64::MAX]);
            self.twin.lease = lease;
            self.twin.renew_lease();
            self.oracle.lease_until = self.now.after(lease).0;
        }
        if self.world.dice.one_in(500) {
            let dice = &mut self.world.dice;
            let keys: Vec<_> =
                self.oracle.flows.extract_if(.., |_, _| dice.one_in(2)).map(|(name, _)| key(&name)).collect();
            self.twin.forget_flows(&keys);
        }
    }

    /// Goes to an instant at which something ends, or a nanosecond before or after it.
    fn pass_to_an_instant(&mut self) {
        let now = self.now.0;
        let soon: Vec<u64> = self.oracle.instants().filter(|at| (now + 1..now + 30 * SECOND).contains(at)).collect();
        if !soon.is_empty() {
            let dice = &mut self.world.dice;
            self.now = KernelNanos(dice.pick(&soon) - 1 + dice.pick(&[0, 1, 1, 2]));
        }
    }

    /// Judges one more frame twice.
    pub fn step(&mut self) -> Result<(), Trouble> {
        self.turn += 1;
        self.pass_time();
        let (script, shot) = self.stage.next(&mut self.world);
        let Shot { way, interface, .. } = shot;
        let law = catch_unwind(AssertUnwindSafe(|| {
            let mut packet = Packet::default();
            match way {
                Way::In => law::ingress(&Wire(&shot), &mut packet, &self.twin, interface, self.now),
                Way::Out => law::egress(&Wire(&shot), &mut packet, &self.twin, interface, self.now),
            }
        }));
        let own = self.oracle.judge(&shot, self.now.0);
        let law = law.map_err(|_| Trouble::Abort(self.about(&shot, "the law panicked")))?;
        *self.tally.entry(own.verdict.code()).or_default() += 1;
        *self.tally.entry(OPENED[way as usize]).or_default() += u64::from(own.opened);
        if own.verdict == Verdict::Forward {
            self.stage.praise(script, &mut self.world.dice);
        }
        if law == judgement(own) {
            return Ok(());
        }
        Err(Trouble::Disagreement(self.about(&shot, &format!("law {law:?}, oracle {own:?}"))))
    }

    /// Compares what the packets have left behind.
    pub fn compare(&self) -> Result<(), Trouble> {
        let wrong = differences(&self.twin, &self.oracle);
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Trouble::Disagreement(format!("seed {}, after turn {}: {}", self.seed, self.turn, wrong.join("\n  "))))
    }

    fn about(&self, shot: &Shot, what: &str) -> String {
        let Shot { way, interface, beside, mark, frame } = shot;
        let mut hex = String::new();
        frame.iter().for_each(|byte| write!(hex, "{byte:02x}").expect("a string takes everything"));
        let Self { seed, turn, .. } = self;
        format!(
            "seed {seed}, turn {turn}, {way:?} on {interface}, tag beside {beside:?}, mark {mark}: {what}, frame {hex}"
        )
    }
}

fn judgement(Ruling { verdict, token, app, opened, answer, .. }: Ruling) -> Judgement {
    Judgement { verdict, token, app, opened, answer }
}

/// Whether every reason came up, and good packets often enough.
pub fn lacks(tally: &Tally) -> Vec<String> {
    let mut lacking = Vec::new();
    for reason in DropReason::ALL {
        if !tally.contains_key(&Verdict::Drop(*reason).code()) {
            lacking.push(format!("no frame was dropped as {reason:?}"));
        }
    }
    let total: u64 = tally.iter().filter(|(code, _)| **code < OPENED[0]).map(|(_, count)| count).sum();
    let of = |code: u32| tally.get(&code).copied().unwrap_or(0);
    for (what, code, least) in [
        ("forwarded", Verdict::Forward.code(), total / 20),
        ("let through to the gateway", Verdict::ToHost.code(), total / 100),
        ("opening a flow for a client", OPENED[0], total / 200),
        ("opening a flow for an app", OPENED[1], total / 1000),
    ] {
        if of(code) < least {
            lacking.push(format!("only {} of {total} were {what}", of(code)));
        }
    }
    lacking
}
