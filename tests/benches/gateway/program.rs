//! What a packet costs in the programs themselves, by `BPF_PROG_TEST_RUN`, with another key each time, beside a program
//! that does nothing and some that do the least that is possible.

pub mod cases;
mod probe;

use crate::measure::driver::{Driver, Flow, Keys, Then, constant};
use crate::measure::keys::Pattern;
use crate::measure::options::Options;
use crate::measure::plane::{Counted, Family, Plane};
use crate::measure::progress::Progress;
use crate::measure::row::{Row, grouped};
use anyhow::{Context as _, Result, ensure};
use cases::{Case, Expected};
use gateway_tests::bpf::{Kind, Program};
use probe::Probe;
use std::os::fd::AsFd;

/// Packets in one measurement.
const PACKETS: u32 = 100_000;
/// How many sessions there are, and as many flows and grants.
const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];
/// Codes of XDP and of TC for a packet that is dropped.
const DROP: [i32; 2] = [1, 2];
/// For four flows, so many entries of the table: in one that is as full as it may be, one of thousands gives way.
const ROOM: usize = 5;
const NULL: &str = "null program";
const BARE: &str = "bare probe";
const COUNTING: &str = "counting probe";
const WORKING: &str = "working probe";

/// A program that takes part, and what it has to do with its packets.
struct Entrant {
    name: &'static str,
    contender: &'static str,
    pattern: Pattern,
    kind: Kind,
    driver: Driver,
    frame: Vec<u8>,
    expected: Option<Expected>,
    /// What each round took.
    nanoseconds: Vec<f64>,
}

/// All sizes, of both families.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let (progress, mut rows) = (Progress::new(), Vec::new());
    for sessions in SIZES {
        for family in [Family::V4, Family::V6] {
            progress.say(&format!("program: {} sessions, {family:?}", grouped(sessions)));
            rows.extend(measure_with(sessions, family, options.rounds)?);
        }
    }
    Ok(rows)
}

fn measure_with(sessions: usize, family: Family, rounds: usize) -> Result<Vec<Row>> {
    let mut plane = Plane::empty(sessions, ROOM * sessions / 4)?.furnish(family, sessions)?;
    let probes =
        [(BARE, Probe::bare(sessions)?), (COUNTING, Probe::counting(sessions)?), (WORKING, Probe::working(sessions)?)];
    open_flows(&mut plane, sessions, family)?;
    let mut rows = Vec::new();
    // New flows push the others out of the table, so they come last.
    for is_last in [false, true] {
        let mut entrants = Vec::new();
        for pattern in Pattern::of(sessions) {
            entrants.extend(entrants_of(&mut plane, &probes, sessions, family, pattern, is_last)?);
        }
        for _ in 0..rounds {
            for entrant in &mut entrants {
                let name = entrant.name;
                entrant.run(&mut plane).with_context(|| format!("{name}, {}", entrant.pattern.name()))?;
            }
        }
        rows.extend(entrants.iter().map(|entrant| entrant.row(&entrants, sessions)));
    }
    for (name, probe) in &probes {
        ensure!(probe.hits()? == probe.packets()?, "the {name} has not found what it looked for");
    }
    Ok(rows)
}

/// Opens a flow of each session, as its client does.
fn open_flows(plane: &mut Plane, sessions: usize, family: Family) -> Result<()> {
    let established = *cases::of(family).first().context("no case")?;
    let opening = Case { flags: cases::OPENING, ..established };
    let driver = opening.driver(plane, sessions, Pattern::All)?;
    let packets = u32::try_from(sessions.next_power_of_two())?;
    let counted = plane.counted(|_| driver.nanoseconds(&opening.frame(), packets).map(drop))?;
    // A few are opened twice, because they had to give way to others.
    let (sessions, opened) = (sessions as u64, counted.events);
    ensure!(
        (sessions..=sessions + sessions / 1_000).contains(&opened),
        "{opened} flows of {sessions} sessions were opened"
    );
    Ok(())
}

fn entrants_of(
    plane: &mut Plane,
    probes: &[(&'static str, Probe)],
    sessions: usize,
    family: Family,
    pattern: Pattern,
    is_last: bool,
) -> Result<Vec<Entrant>> {
    let cases: Vec<Case> = cases::of(family).into_iter().filter(|case| (case.flow == Flow::Fresh) == is_last).collect();
    let mut entrants = Vec::new();
    let mut kinds = Vec::new();
    for case in &cases {
        let null = constant(case.kind, DROP[usize::from(matches!(case.kind, Kind::Tc))])?;
        if !kinds.contains(&(case.kind as u32)) {
            kinds.push(case.kind as u32);
            entrants.push(case.reference(NULL, &null, sessions, pattern)?);
            if family == Family::V4 && matches!(case.kind, Kind::Xdp) && !is_last {
                for (name, probe) in probes {
                    entrants.push(case.reference(name, probe.program(), sessions, pattern)?);
                }
            }
        }
        let driver = case.driver(plane, sessions, pattern)?;
        entrants.push(case.entrant(case.name, "Portcullis", pattern, driver, Some(case.expected)));
    }
    Ok(entrants)
}

impl Case {
    fn entrant(
        &self,
        name: &'static str,
        contender: &'static str,
        pattern: Pattern,
        driver: Driver,
        expected: Option<Expected>,
    ) -> Entrant {
        let (kind, frame) = (self.kind, self.frame());
        Entrant { name, contender, pattern, kind, driver, frame, expected, nanoseconds: Vec::new() }
    }

    /// Another program over the same packets.
    fn reference(&self, name: &'static str, program: &Program, sessions: usize, pattern: Pattern) -> Result<Entrant> {
        let driver = Driver::new(self.kind, &self.keys(sessions, pattern)?, self.flow, &Then::Run(program))?;
        Ok(self.entrant(self.name, name, pattern, driver, None))
    }

    /// The gateway's program over packets of this case.
    pub fn driver(&self, plane: &mut Plane, sessions: usize, pattern: Pattern) -> Result<Driver> {
        let name = match self.kind {
            Kind::Xdp => "pc_ingress",
            Kind::Tc => "pc_egress",
        };
        let program = plane.programs.ebpf().program(name).with_context(|| format!("no program `{name}`"))?;
        let fd = program.fd()?;
        Driver::new(self.kind, &self.keys(sessions, pattern)?, self.flow, &Then::Run(&fd.as_fd()))
    }

    fn keys(&self, sessions: usize, pattern: Pattern) -> Result<Keys> {
        let keys: Vec<Vec<u8>> = pattern.order(sessions).into_iter().map(|number| (self.key)(number)).collect();
        Keys::new(self.offset, &keys)
    }
}

impl Entrant {
    fn run(&mut self, plane: &mut Plane) -> Result<()> {
        let Some(expected) = self.expected else {
            self.nanoseconds.push(self.driver.nanoseconds(&self.frame, PACKETS)?);
            return Ok(());
        };
        let mut took = 0.0;
        let counted = plane.counted(|_| {
            took = self.driver.nanoseconds(&self.frame, PACKETS)?;
            Ok(())
        })?;
        self.nanoseconds.push(took);
        ensure!(is_as(expected, &counted), "not all packets are {expected:?}: {counted}");
        Ok(())
    }

    fn row(&self, all: &[Self], sessions: usize) -> Row {
        let mut row = Row::new(self.name, "cost of a packet", "ns", self.nanoseconds.clone());
        row = row.of(self.contender).size(sessions).pattern(self.pattern.name());
        let is_beside = |other: &&Self| {
            other.pattern == self.pattern && other.kind as u32 == self.kind as u32 && other.expected.is_none()
        };
        for reference in all.iter().filter(is_beside).filter(|other| other.contender != self.contender) {
            if self.contender != NULL {
                row = row.against(reference.contender, &reference.nanoseconds);
            }
        }
        row
    }
}

/// Whether all packets of a measurement came to what their case is called.
fn is_as(expected: Expected, counted: &Counted) -> bool {
    let all = u64::from(PACKETS);
    match expected {
        // One in thousands may have had to give way to another, and is opened anew.
        Expected::Known => counted.forwarded() == all && counted.events <= all / 1_000,
        Expected::Opening => counted.forwarded() == all && counted.events == all,
        Expected::Dropped(label) => counted.dropped(label) == all,
    }
}
