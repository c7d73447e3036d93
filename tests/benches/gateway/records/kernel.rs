//! What a packet costs more because it is recorded: the programs as they are, beside the same programs without their counters
//! of interfaces and apps, without sums of denials, and without events of flows. The numbers of a flow itself are in both: the
//! law reads them.

use crate::measure::driver::{Driver, Flow};
use crate::measure::keys::Pattern;
use crate::measure::options::Options;
use crate::measure::plane::{Family, Plane, SETTINGS};
use crate::measure::row::Row;
use crate::program::cases::{self, Case, Expected, OPENING};
use anyhow::{Context as _, Result, ensure};
use aya::maps::{MapData, RingBuf};
use gateway_userspace::dataplane::{PlaneSettings, monitor};

/// How many sessions there are, and as many grants.
const SESSIONS: usize = 100_000;
/// Flows beyond those: so many are opened without one giving way.
const ROOM: usize = 4 * SESSIONS;
/// Packets in one measurement.
const PACKETS: u32 = 100_000;
/// As many as tell of themselves without filling the ring buffer.
const OPENINGS: u32 = 10_000;
/// The programs that do less.
const BARE: &str = "without records";

/// Programs with tables of their own.
struct Side {
    plane: Plane,
    events: RingBuf<MapData>,
}

impl Side {
    fn new(has_records: bool) -> Result<Self> {
        let settings = PlaneSettings { events_per_window: u32::MAX, records: has_records, ..SETTINGS };
        let plane = Plane::told(SESSIONS, SESSIONS + ROOM, settings)?.furnish(Family::V4, SESSIONS)?;
        let events = monitor::events(plane.kernel.pins())?;
        Ok(Self { plane, events })
    }

    /// Reads all events: how many.
    fn drain(&mut self) -> usize {
        std::iter::from_fn(|| self.events.next().map(drop)).count()
    }
}

/// All cases of IPv4.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let mut sides = [Side::new(true)?, Side::new(false)?];
    let all = cases::of(Family::V4);
    let established = all.first().context("no case")?;
    for side in &mut sides {
        let opening = Case { flags: OPENING, ..*established };
        let driver = opening.driver(&mut side.plane, SESSIONS, Pattern::All)?;
        for _ in 0..SESSIONS.next_power_of_two().div_ceil(OPENINGS as usize) {
            driver.nanoseconds(&opening.frame(), OPENINGS)?;
            side.drain();
        }
    }
    let mut rows = Vec::new();
    // New flows come last, because they fill the table.
    for is_fresh in [false, true] {
        for pattern in [Pattern::One, Pattern::All] {
            for case in all.iter().filter(|case| (case.flow == Flow::Fresh) == is_fresh) {
                rows.extend(compare(case, &mut sides, pattern, options.rounds)?);
            }
        }
    }
    Ok(rows)
}

fn compare(case: &Case, sides: &mut [Side; 2], pattern: Pattern, rounds: usize) -> Result<[Row; 3]> {
    let packets = if case.flow == Flow::Fresh { OPENINGS } else { PACKETS };
    let frame = case.frame();
    let [with, without] = sides;
    let drivers =
        [case.driver(&mut with.plane, SESSIONS, pattern)?, case.driver(&mut without.plane, SESSIONS, pattern)?];
    let (mut recorded, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let [one, other] = &drivers;
        recorded.push(run(one, with, &frame, packets, case.expected)?);
        bare.push(other.nanoseconds(&frame, packets)?);
        ensure!(without.drain() == 0, "{}: something was told of it", case.name);
    }
    let more = recorded.iter().zip(&bare).map(|(recorded, bare)| recorded - bare).collect();
    let row = |values| Row::new(case.name, "cost of a packet", "ns", values).size(SESSIONS).pattern(pattern.name());
    let of_it = Row::new(case.name, "of that, for records", "ns", more).size(SESSIONS).pattern(pattern.name());
    Ok([row(bare.clone()).of(BARE), row(recorded).against(BARE, &bare), of_it])
}

/// Nanoseconds for each packet, all of which have to come to what their case is called, and to be told of if they open a flow.
fn run(driver: &Driver, side: &mut Side, frame: &[u8], packets: u32, expected: Expected) -> Result<f64> {
    let mut took = 0.0;
    let counted = side.plane.counted(|_| {
        took = driver.nanoseconds(frame, packets)?;
        Ok(())
    })?;
    let (told, all) = (side.drain() as u64, u64::from(packets));
    let is_as_expected = match expected {
        Expected::Known => counted.forwarded() == all && told <= all / 1_000,
        Expected::Opening => counted.forwarded() == all && told >= all && counted.events == 0,
        Expected::Dropped(label) => counted.dropped(label) == all,
    };
    ensure!(is_as_expected, "not all packets are {expected:?}: {counted}, {told} told");
    Ok(took)
}
