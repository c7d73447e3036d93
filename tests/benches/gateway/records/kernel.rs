//! What a packet costs more because it is recorded: the programs as they are, beside the same programs without their counters
//! of interfaces and apps, without sums of denials, and without events of flows. The numbers of a flow itself are in both: the
//! law reads them.

use crate::measure::driver::Flow;
use crate::measure::keys::Pattern;
use crate::measure::options::Options;
use crate::measure::plane::{Counted, Family, Plane, SETTINGS};
use crate::measure::row::Row;
use crate::program::cases::{self, Case, Expected, OPENING};
use anyhow::{Context as _, Result, ensure};
use aya::maps::{MapData, RingBuf};
use gateway_userspace::dataplane::{PlaneSettings, monitor};

/// How many sessions there are, and as many grants.
const SESSIONS: usize = 100_000;
/// Flows beyond those: so many are opened without one giving way.
const ROOM: usize = 6 * SESSIONS;
/// Packets in one measurement.
const PACKETS: u32 = 100_000;
/// Of one flow it is taken in so many parts: the shorter, the likelier it is that nothing disturbs one.
const SLICES: u32 = 5;
/// Of new flows, so that none of all that are opened has to give way to another.
const OPENINGS: u32 = 1_000;
/// How often the programs are loaded: where the kernel puts them is worth some nanoseconds, and differs each time, so that of
/// nine differences the median is some two nanoseconds off.
const LOADS: usize = 25;
/// The programs that do less.
const BARE: &str = "without records";

/// The programs of both kinds, over the same tables.
struct Both {
    recording: Plane,
    bare: Plane,
}

/// Packets of a kind, in an order, and the least that they took at each load: differences are of a few nanoseconds, and what
/// disturbs a round only adds to it.
struct Compared {
    case: Case,
    pattern: Pattern,
    recorded: Vec<f64>,
    bare: Vec<f64>,
}

/// All cases of IPv4.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let telling = PlaneSettings { events_per_window: u32::MAX, ..SETTINGS };
    let mut tables = Plane::told(SESSIONS, SESSIONS + ROOM, telling)?.furnish(Family::V4, SESSIONS)?;
    let mut events = monitor::events(tables.kernel.pins())?;
    let all = cases::of(Family::V4);
    let opening = Case { flags: OPENING, ..*all.first().context("no case")? };
    let driver = opening.driver(&mut tables, SESSIONS, Pattern::All)?;
    for _ in 0..SESSIONS.next_power_of_two().div_ceil(OPENINGS as usize) {
        driver.nanoseconds(&opening.frame(), OPENINGS)?;
        drain(&mut events);
    }
    let mut compared: Vec<_> = [Pattern::One, Pattern::All]
        .into_iter()
        .flat_map(|pattern| all.iter().map(move |case| Compared::of(*case, pattern)))
        .collect();
    // New flows come last, because they fill the table.
    compared.sort_by_key(|compared| compared.case.flow == Flow::Fresh);
    for _ in 0..LOADS {
        let mut both = Both {
            recording: tables.beside(telling)?,
            bare: tables.beside(PlaneSettings { records: false, ..telling })?,
        };
        for compared in &mut compared {
            compared.measure(&mut both, &mut events, options.rounds)?;
        }
    }
    Ok(compared.into_iter().flat_map(Compared::rows).collect())
}

/// Reads all events: how many.
fn drain(events: &mut RingBuf<MapData>) -> u64 {
    std::iter::from_fn(|| events.next().map(drop)).count() as u64
}

impl Compared {
    fn of(case: Case, pattern: Pattern) -> Self {
        Self { case, pattern, recorded: Vec::new(), bare: Vec::new() }
    }

    /// Both in turn, so that what disturbs the machine for a while disturbs both.
    fn measure(&mut self, both: &mut Both, events: &mut RingBuf<MapData>, rounds: usize) -> Result<()> {
        let (case, frame) = (&self.case, self.case.frame());
        let (packets, rounds) = match (case.flow, self.pattern) {
            (Flow::Fresh, _) => (OPENINGS, rounds),
            (_, Pattern::One) => (PACKETS / SLICES, rounds * SLICES as usize),
            _ => (PACKETS, rounds),
        };
        let recording = case.driver(&mut both.recording, SESSIONS, self.pattern)?;
        let bare = case.driver(&mut both.bare, SESSIONS, self.pattern)?;
        // Of the first round something is cold.
        bare.nanoseconds(&frame, packets)?;
        recording.nanoseconds(&frame, packets)?;
        drain(events);
        let (mut least, mut least_bare, mut told) = (f64::INFINITY, f64::INFINITY, 0);
        // The counters are the same for both, so that they show of one that it counts, and of the other that it does not.
        let counted = both.recording.counted(|_| {
            for _ in 0..rounds {
                least = least.min(recording.nanoseconds(&frame, packets)?);
                told += drain(events);
                least_bare = least_bare.min(bare.nanoseconds(&frame, packets)?);
                let told = drain(events);
                ensure!(told == 0, "{}: {told} told, without records", case.name);
            }
            Ok(())
        })?;
        ensure_expected(case, &counted, told, u64::from(packets) * rounds as u64)?;
        self.recorded.push(least);
        self.bare.push(least_bare);
        Ok(())
    }

    fn rows(self) -> [Row; 3] {
        let Self { case, pattern, recorded, bare } = self;
        let more = recorded.iter().zip(&bare).map(|(recorded, bare)| recorded - bare).collect();
        let row = |metric, values| Row::new(case.name, metric, "ns", values).size(SESSIONS).pattern(pattern.name());
        [
            row("cost of a packet", bare.clone()).of(BARE),
            row("cost of a packet", recorded).against(BARE, &bare),
            row("of that, for records", more),
        ]
    }
}

/// All packets have to come to what their case is called, and to be told of if they open a flow.
fn ensure_expected(case: &Case, counted: &Counted, told: u64, all: u64) -> Result<()> {
    let is_as_expected = match case.expected {
        Expected::Known => counted.forwarded() == all && told <= all / 1_000,
        Expected::Opening => counted.forwarded() == all && told >= all && counted.events == 0,
        Expected::Dropped(label) => counted.dropped(label) == all,
    };
    ensure!(is_as_expected, "{}: {all} packets with records are {counted}, {told} told", case.name);
    Ok(())
}
