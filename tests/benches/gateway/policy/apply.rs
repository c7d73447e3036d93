//! A large bundle is put in force where a hundred thousand people have sessions: the policy core alone, in this process.

use super::large;
use crate::crowd::{self, Crowd};
use crate::measure::row::Row;
use anyhow::{Context as _, Result, ensure};
use gateway_common::KernelNanos;
use gateway_userspace::bundle;
use gateway_userspace::policy::{
    Assumed, Bundle, Capacities, Gateway, GroupName, Input, PolicyFile, PolicySet, Restored, Risk, SessionLimits, User,
    UserName,
};
use std::time::{Duration, Instant};

const PEOPLE: u32 = 100_000;
/// People of whom something else becomes known.
const FACTS: u32 = 500;
/// Each with a session of their own.
const EVERYBODY: Crowd = Crowd { sessions: PEOPLE, leavers: PEOPLE, pushed: false };

pub fn measure(size: usize, rounds: usize) -> Result<Vec<Row>> {
    let loaded = bundle::load(&large::bundle(size))?;
    let (mut whole, mut one, mut adopted, mut rehearsed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut risk, mut group) = (Vec::new(), Vec::new());
    for _ in 0..rounds.min(3) {
        let mut gateway = gateway(&loaded.bundle)?;
        let (took, _) = put_in_force(&mut gateway, loaded.bundle.clone(), &mut adopted)?;
        whole.push(took);
        let changed = with_one_more(&loaded.bundle)?;
        let copy = gateway.clone();
        let began = Instant::now();
        let assumed = Assumed { source: [192, 0, 2, 1].into(), zone: "office".into() };
        ensure!(!copy.rehearse(changed.clone(), &assumed, NOW)?.sessions.is_empty(), "nobody gains anything");
        rehearsed.push(millis(began.elapsed()));
        let (took, gained) = put_in_force(&mut gateway, changed, &mut adopted)?;
        ensure!(gained > 0, "nobody gains anything");
        one.push(took);
        for number in 0..FACTS {
            let user = gateway.user(&UserName::new(&crowd::leaver(number))?).context("nobody of that name")?.clone();
            risk.push(learn(&mut gateway, User { risk: Risk::High, ..user.clone() })?);
            let other = loaded.bundle.groups.difference(&user.groups).nth(number as usize).cloned();
            group.push(learn(&mut gateway, User { groups: other.into_iter().collect(), ..user })?);
        }
    }
    let row = |metric, values| Row::new("bundle", metric, "ms", values).size(size);
    Ok(vec![
        row("all of it, decided and planned", whole),
        row("one more policy, decided and planned", one),
        row("one more policy, planned on a copy", rehearsed),
        row("adopted", adopted),
        row("one person's risk, decided, planned and adopted", risk),
        row("one person's group, decided, planned and adopted", group),
    ])
}

const NOW: KernelNanos = KernelNanos(1);

/// With everybody's session, and nothing to be reached.
fn gateway(bundle: &Bundle) -> Result<Gateway> {
    let capacities = Capacities {
        sessions: PEOPLE as usize,
        app_prefixes: 65_536,
        app_ports: 1 << 20,
        grants: 1 << 20,
        apps: 16_384,
        ..Capacities::default()
    };
    let groups: Vec<GroupName> = bundle.groups.iter().cloned().collect();
    let mut users = EVERYBODY.users()?;
    for (number, user) in users.iter_mut().enumerate() {
        user.groups = groups.get(number % groups.len()).cloned().into_iter().collect();
    }
    let sessions = EVERYBODY.sessions(1, NOW)?;
    let stored = Restored { users, groups: bundle.groups.clone(), sessions, ..Restored::default() };
    let (gateway, problems) = Gateway::restore(stored, capacities, SessionLimits::default(), NOW)?;
    ensure!(problems.is_empty(), "not everything was taken up: {problems:?}");
    Ok(gateway)
}

fn put_in_force(gateway: &mut Gateway, bundle: Bundle, adopted: &mut Vec<f64>) -> Result<(f64, usize)> {
    let input = Input::Apply { bundle: Box::new(bundle), if_match: None };
    let began = Instant::now();
    let drafted = gateway.draft(&input, NOW)?;
    let (took, gained) = (millis(began.elapsed()), drafted.regranted().len());
    let began = Instant::now();
    drop(gateway.adopt(drafted));
    adopted.push(millis(began.elapsed()));
    Ok((took, gained))
}

/// Another risk or group of one person.
fn learn(gateway: &mut Gateway, user: User) -> Result<f64> {
    let input = Input::PutUser(user);
    let began = Instant::now();
    let drafted = gateway.draft(&input, NOW)?;
    ensure!(drafted.plan().steps.len() < 100, "more than one person is concerned");
    drop(gateway.adopt(drafted));
    Ok(millis(began.elapsed()))
}

fn with_one_more(bundle: &Bundle) -> Result<Bundle> {
    let text = r#"permit (principal in Group::"group-7", action == Action::"connect", resource == App::"app-1");"#;
    let more = PolicyFile { name: "policies/more.cedar".into(), text: text.into() };
    let files = bundle.policy.files().iter().cloned().chain([more]).collect();
    let policy = PolicySet::parse_files(files).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    Ok(Bundle { policy, ..bundle.clone() })
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
