//! Writes to the tables: sessions and grants inserted, moved to another policy, revoked and removed.
//!
//! The whole of a table is written once, in as many pieces as there are rounds; after each piece the same number of
//! values of a bare array is written by system calls, which is what a write costs at least where nothing is shared.

use crate::measure::busy::BusyClock;
use crate::measure::plane::{Family, Plane, apps, grant, open, session, token};
use crate::measure::progress::Progress;
use crate::measure::row::{Row, grouped};
use anyhow::Result;
use gateway_common::abi::{Grant, GrantKey};
use gateway_tests::bpf::Map;
use gateway_userspace::dataplane::DataPlane as _;
use gateway_userspace::policy::{AllowListId, AppSetId, Plan, Step};
use std::panic::resume_unwind;
use std::time::Instant;

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
/// Sessions that are revoked one by one.
const REVOKED: usize = 200;
/// Allow-lists of the policy that is swapped: so many different entitlements.
const LISTS: usize = 1_000;
/// The interface of the sessions.
const LOOPBACK: u32 = 1;
const FLOOR: &str = "a write to a bare array";
/// Writes that the floor is measured with.
const FLOOR_WRITES: u32 = 10_000;

/// All sizes.
pub fn measure(rounds: usize, progress: &Progress) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for size in SIZES {
        progress.say(&format!("control: tables of {}", grouped(size)));
        // A thread of its own, because it stays on its CPU, and the daemon shall not.
        let rows_of = std::thread::scope(|scope| scope.spawn(|| measure_with(size, rounds)).join());
        rows.extend(rows_of.unwrap_or_else(|panic| resume_unwind(panic))?);
    }
    Ok(rows)
}

fn measure_with(size: usize, rounds: usize) -> Result<Vec<Row>> {
    let (plane, floor, clock) = (Plane::empty(2 * size, 1_024)?, Map::array(8, 1)?, BusyClock::here()?);
    let mut bench = Bench { plane, floor, clock, size, rounds };
    bench.plane.kernel.apply(&Plan { steps: apps(AppSetId(1)) })?;
    let moved = |number| Step::UpdateSession(token(number), session(Family::V4, number, LOOPBACK, AppSetId(2)));
    let key = |number: usize, app| GrantKey { allow_list: number as u32 + 1, app };
    Ok(vec![
        bench.each("grant inserted", 0, |number| grant(number, 1))?,
        bench.each("session inserted", 0, |number| open(Family::V4, number, LOOPBACK))?,
        bench.each("session moved to another policy", 0, moved)?,
        bench.swap()?,
        bench.revoke()?,
        bench.each("session removed", REVOKED, |number| Step::EndSession(token(number)))?,
        bench.each("grant removed", 0, |number| Step::RemoveGrant(key(number, 1)))?,
    ])
}

struct Bench {
    plane: Plane,
    floor: Map,
    clock: BusyClock,
    size: usize,
    rounds: usize,
}

impl Bench {
    /// A step for each number from the first on, in as many pieces as there are rounds.
    fn each(&mut self, case: &str, first: usize, step: impl Fn(usize) -> Step) -> Result<Row> {
        let (mut values, mut floor) = (Vec::new(), Vec::new());
        let numbers: Vec<usize> = (first..self.size).collect();
        for piece in numbers.chunks(numbers.len().div_ceil(self.rounds)) {
            let plan = Plan { steps: piece.iter().map(|number| step(*number)).collect() };
            let began = self.clock.now()?;
            self.plane.kernel.apply(&plan)?;
            values.push(self.clock.since(&began)? / piece.len() as f64);
            floor.push(self.floor()?);
        }
        Ok(Row::new(case, "time for each", "ns", values).size(self.size).against(FLOOR, &floor))
    }

    /// Another policy for everybody: its apps, its lists, each session in one store, and what nobody names any more.
    fn swap(&mut self) -> Result<Row> {
        let (mut values, mut floor) = (Vec::new(), Vec::new());
        for round in 0..self.rounds + 1 {
            let plan = self.policy(round);
            let began = self.clock.now()?;
            self.plane.kernel.apply(&plan)?;
            let took = self.clock.since(&began)?;
            // The first one moves everybody away from the lists of their own, which stay.
            if round > 0 {
                values.push(took / 1e6);
                floor.push(self.floor()? * self.size as f64 / 1e6);
            }
        }
        let row = Row::new("policy swapped", "time for all sessions", "ms", values).size(self.size);
        Ok(row.against("as many writes to a bare array", &floor))
    }

    /// The plan that leads to the policy of a round from that of the round before.
    fn policy(&self, round: usize) -> Plan {
        let (app_set, before) = (AppSetId(round as u32 + 3), AppSetId(round as u32 + 2));
        let first = |round: usize| self.size + 1 + round * LISTS;
        let list = |round: usize, number: usize| (first(round) + number % LISTS) as u32;
        let key = |round: usize, number: usize| GrantKey { allow_list: list(round, number), app: 1 };
        let mut steps = apps(app_set);
        steps.extend((0..LISTS).map(|number| Step::PutGrant(key(round, number), Grant::UNLIMITED)));
        steps.extend((0..self.size).map(|number| {
            let allow_list = AllowListId(list(round, number));
            let entry = session(Family::V4, number, LOOPBACK, app_set);
            Step::UpdateSession(token(number), gateway_userspace::policy::table::SessionEntry { allow_list, ..entry })
        }));
        if let Some(last) = round.checked_sub(1) {
            steps.extend((0..LISTS).map(|number| Step::RemoveGrant(key(last, number))));
            steps.extend(apps(before).into_iter().filter_map(|step| match step {
                Step::PutApp(key, _) => Some(Step::RemoveApp(key)),
                Step::PutAppPrefix(app_set, prefix, _) => Some(Step::RemoveAppPrefix(app_set, prefix)),
                _ => None,
            }));
        }
        Plan { steps }
    }

    fn revoke(&mut self) -> Result<Row> {
        let (mut values, mut floor) = (Vec::new(), Vec::new());
        for number in 0..REVOKED {
            let plan = Plan { steps: vec![Step::EndSession(token(number))] };
            let began = Instant::now();
            self.plane.kernel.apply(&plan)?;
            values.push(began.elapsed().as_nanos() as f64);
            let began = Instant::now();
            self.floor.write(0, &[0; 8])?;
            floor.push(began.elapsed().as_nanos() as f64);
        }
        Ok(Row::new("one session revoked", "time", "ns", values).size(self.size).against(FLOOR, &floor))
    }

    /// Nanoseconds for a write that has nothing to find.
    fn floor(&self) -> Result<f64> {
        let began = self.clock.now()?;
        for write in 0..FLOOR_WRITES {
            self.floor.write(0, &u64::from(write).to_ne_bytes())?;
        }
        Ok(self.clock.since(&began)? / f64::from(FLOOR_WRITES))
    }
}
