//! The path of a packet between interfaces, beside other filters: packets are made in the kernel, arrive on a guarded
//! interface, and are counted where they come out, or where they were taken up if they are to be dropped.
//!
//! Everything happens on one CPU, one packet after the other, so nanoseconds for a packet are those of the whole path,
//! the making of the packet included.

mod contender;
mod filters;
mod forwarder;
mod place;
mod traffic;

use crate::measure::busy::BusyClock;
use crate::measure::driver::{Driver, Keys};
use crate::measure::keys::Pattern;
use crate::measure::options::Options;
use crate::measure::progress::Progress;
use crate::measure::row::Row;
use anyhow::{Context as _, Result, ensure};
use contender::{Contender, DROP_AT_ONCE, KERNEL, REDIRECT, Task};
use place::Outside;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use traffic::{BATCH, Stream};

/// Packets in one measurement.
const PACKETS: u32 = 150_000;
/// Of a thousand packets, so many may be lost on the way: rings are short, and this is no test of them.
const MOST_LOST: u64 = 20;

/// A contender's turn: with these packets, in this order.
struct Turn {
    contender: usize,
    stream: Stream,
    pattern: Pattern,
    driver: Driver,
    nanoseconds: Vec<f64>,
}

/// All contenders in turn, again and again.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let progress = Progress::new();
    let outside = Outside::new()?;
    let mut contenders = contender::all(&outside, |name| progress.say(&format!("veth: setting up {name}")))?;
    progress.say("veth: packets");
    let mut keys = BTreeMap::new();
    let mut turns = turns(&contenders, &mut keys)?;
    for round in 1..=options.rounds {
        progress.say(&format!("veth: round {round} of {}", options.rounds));
        outside.0.enter(|| -> Result<()> {
            let clock = BusyClock::here()?;
            for turn in &mut turns {
                let contender = contenders.get_mut(turn.contender).context("no such contender")?;
                turn.take(contender, &clock).with_context(|| format!("{}, {:?}", contender.name, turn.stream))?;
            }
            Ok(())
        })??;
    }
    progress.say("veth: taking down");
    Ok(turns.iter().map(|turn| turn.row(&turns, &contenders)).collect())
}

/// By session count, stream and pattern.
type AllKeys = BTreeMap<(usize, Stream, &'static str), Keys>;

fn turns(contenders: &[Contender], keys: &mut AllKeys) -> Result<Vec<Turn>> {
    let mut turns = Vec::new();
    for task in [Task::Drop, Task::Forward] {
        let streams: &[Stream] =
            if task == Task::Drop { &[Stream::Strange, Stream::Denied] } else { &[Stream::Granted] };
        for (stream, pattern) in streams.iter().flat_map(|stream| [Pattern::Hot, Pattern::All].map(|p| (*stream, p))) {
            for (number, contender) in contenders.iter().enumerate().filter(|(_, contender)| contender.task == task) {
                let key = (contender.entries, stream, pattern.name());
                let keys = match keys.entry(key) {
                    Entry::Vacant(place) => place.insert(stream.keys(pattern, contender.entries)?),
                    Entry::Occupied(found) => found.into_mut(),
                };
                let driver = stream.driver(keys, contender.place.generator, None)?;
                turns.push(Turn { contender: number, stream, pattern, driver, nanoseconds: Vec::new() });
            }
        }
    }
    Ok(turns)
}

impl Turn {
    fn take(&mut self, contender: &mut Contender, clock: &BusyClock) -> Result<()> {
        let before = contender.place.passed()?;
        let frame = self.stream.frame();
        let mut nanoseconds = 0.0;
        let mut send = || -> Result<()> {
            let began = clock.now()?;
            self.driver.send(&frame, PACKETS, BATCH)?;
            nanoseconds = clock.since(&began)?;
            Ok(())
        };
        let counted = match &mut contender.plane {
            Some(plane) => Some(plane.counted(|_| send())?),
            None => send().map(|()| None)?,
        };
        let after = contender.place.passed()?;
        let (taken, delivered) = (after.taken - before.taken, after.delivered - before.delivered);
        let enough = u64::from(PACKETS) * (1_000 - MOST_LOST) / 1_000;
        let done = match contender.task {
            Task::Drop => {
                ensure!(delivered == 0, "{delivered} packets came through");
                taken
            }
            Task::Forward => delivered,
        };
        ensure!(done >= enough, "of {PACKETS} packets {taken} were taken up and {delivered} delivered");
        if let Some(counted) = counted {
            let right = match self.stream {
                Stream::Strange => counted.dropped("no_session"),
                Stream::Denied => counted.dropped("no_grant"),
                _ => counted.forwarded(),
            };
            ensure!(right >= enough, "the gateway judged otherwise: {counted}");
        }
        self.nanoseconds.push(nanoseconds / done as f64);
        Ok(())
    }

    fn row(&self, all: &[Self], contenders: &[Contender]) -> Row {
        let name = |turn: &Self| contenders.get(turn.contender).map_or("", |contender| &contender.name);
        let case = match self.stream {
            Stream::Strange => "drop: no session",
            Stream::Denied => "drop: no grant",
            _ => "forward: established",
        };
        let mut row = Row::new(case, "cost of a packet", "ns", self.nanoseconds.clone()).of(name(self));
        let entries = contenders.get(self.contender).map_or(0, |contender| contender.entries);
        row = row.size(entries).pattern(self.pattern.name());
        // What does the least is compared with nothing, and the others with it.
        for reference in [DROP_AT_ONCE, REDIRECT, KERNEL] {
            let is_it = |other: &&Self| {
                name(other) == reference && other.stream == self.stream && other.pattern == self.pattern
            };
            if let Some(other) = all.iter().find(is_it).filter(|_| name(self) != reference && name(self) != REDIRECT) {
                row = row.against(reference, &other.nanoseconds);
            }
        }
        row
    }
}
