//! The policy core alone, in this process: no table is written here, and nothing is stored.

use crate::crowd::{self, Crowd};
use crate::measure::row::Row;
use anyhow::{Context as _, Result, ensure};
use gateway_common::KernelNanos;
use gateway_userspace::policy::{
    App, AppName, Capacities, EndCause, Gateway, Input, Plan, PolicyFile, Protocol, Restored, Selector, Service,
    SessionLimits,
};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Revocations that are measured.
const REVOCATIONS: u32 = 2_000;
/// Generations that are put in force one after the other.
const GENERATIONS: u32 = 6;

pub fn measure(count: u32) -> Result<Vec<Row>> {
    let now = KernelNanos(1);
    let capacities = Capacities { sessions: count as usize, ..Capacities::default() };
    let stored = Restored {
        users: Crowd::of(count).users()?,
        groups: BTreeSet::from([crowd::group()?]),
        apps: vec![app("crm", "10.20.0.10/32")?, app("vault", "10.20.0.11/32")?],
        policy: vec![PolicyFile::alone(&crowd::policies(false))],
        sessions: Crowd::of(count).sessions(1, now)?,
        ..Restored::default()
    };
    let began = Instant::now();
    let (mut gateway, problems) = Gateway::restore(stored, capacities, SessionLimits::default(), now)?;
    let restored = began.elapsed();
    ensure!(problems.is_empty() && gateway.sessions().len() == count as usize, "not all were taken up: {problems:?}");

    let (mut decided, mut adopted) = (Vec::new(), Vec::new());
    for round in 1..=GENERATIONS {
        let input = Input::put_policy(&crowd::policies(round % 2 == 1), None)?;
        let began = Instant::now();
        let drafted = gateway.draft(&input, now)?;
        decided.push(millis(began.elapsed()));
        ensure!(drafted.regranted().len() == count as usize, "not everybody's grants change");
        let began = Instant::now();
        drop(gateway.adopt(drafted));
        adopted.push(millis(began.elapsed()));
    }
    let began = Instant::now();
    let (from, to) = (gateway.tables(), gateway.tables());
    let listed = millis(began.elapsed()) / 2.0;
    let began = Instant::now();
    ensure!(Plan::between(&from, &to).is_empty(), "equal tables differ");
    let compared = millis(began.elapsed());
    drop((from, to));

    let (mut planned, mut forgotten) = (Vec::new(), Vec::new());
    for number in 0..REVOCATIONS {
        let which = Selector::Session(crowd::token(number * (count / REVOCATIONS)));
        let input = Input::End { which, cause: EndCause::Revoked };
        let began = Instant::now();
        let drafted = gateway.draft(&input, now)?;
        planned.push(micros(began.elapsed()));
        ensure!(drafted.plan().steps.len() == 1, "more than one session ends");
        let began = Instant::now();
        drop(gateway.adopt(drafted));
        forgotten.push(micros(began.elapsed()));
    }
    let row = |metric, unit, values| Row::new("policy core", metric, unit, values).size(count as usize);
    Ok(vec![
        row("taken up from what was stored", "ms", vec![millis(restored)]),
        row("generation for all, decided and planned", "ms", decided),
        row("generation for all, adopted", "ms", adopted),
        row("tables listed", "ms", vec![listed]),
        row("equal tables compared", "ms", vec![compared]),
        row("revocation, decided and planned", "µs", planned),
        row("revocation, adopted", "µs", forgotten),
    ])
}

fn app(name: &str, prefix: &str) -> Result<App> {
    Ok(App {
        name: AppName::new(name)?,
        description: String::new(),
        prefixes: BTreeSet::from([prefix.parse().context("a prefix")?]),
        names: Default::default(),
        within: Default::default(),
        services: BTreeSet::from([Service { protocol: Protocol::Tcp, ports: Some((8080, 8080)) }]),
        opens: BTreeSet::new(),
        trip_wire: false,
        outlasts_daemon: false,
        owner: String::new(),
        sensitivity: String::new(),
        budget: None,
        labels: BTreeSet::new(),
        health: None,
        enabled: true,
    })
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn micros(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6
}
