//! Records: what they cost a packet; how many flows a second are in the archive, end to end; and the archive by itself: how many
//! are written in a second, with their texts and durably, how many bytes one takes, and how long searches take.

mod flows;
mod kernel;
#[path = "policy/large.rs"]
#[expect(clippy::duplicate_mod, reason = "the apps of a large company, as the other suite has them")]
mod large;

use crate::measure::options::Options;
use crate::measure::progress::Progress;
use crate::measure::row::Row;
use anyhow::{Result, ensure};
use gateway_common::abi::{FlowCopy, FlowKey};
use gateway_common::{Address, KernelNanos};
use gateway_userspace::bundle;
use gateway_userspace::policy::{Capacities, Factors, Gateway, Input, SessionToken, Source, User, UserName};
use gateway_userspace::record::{
    AccessLog, Archive, ArchiveSettings, AuditTrail, Filter, Keepers, Metrics, PageFrom, Recorder, Sink, TrackedFlow,
};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

const RECORDS: usize = 1_000_000;
const PEOPLE: u32 = 1_000;
/// Records that are handed over at once: fewer than the queue takes of this kind.
const BURST: usize = 25_000;

/// All of it.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let progress = Progress::new();
    progress.say("records: what they cost a packet");
    let mut rows = kernel::measure(options)?;
    progress.say("records: flows, end to end");
    rows.extend(flows::measure(options.rounds.min(3))?);
    rows.extend(archive(options, &progress)?);
    Ok(rows)
}

fn archive(options: &Options, progress: &Progress) -> Result<Vec<Row>> {
    let (mut rates, mut bytes, mut searches) = (Vec::new(), Vec::new(), Vec::<(&str, Vec<f64>)>::new());
    let gateway = gateway()?;
    for round in 0..options.rounds.min(3) {
        progress.say(&format!("records: a million are written and searched, round {}", round + 1));
        let folder = Folder::new();
        let settings = ArchiveSettings {
            folder: folder.0.clone(),
            keep: Duration::from_secs(86_400),
            keep_bytes: 1 << 40,
            segment: 2 * RECORDS as u64,
        };
        let metrics = Metrics::new()?;
        let archive = Archive::start(settings, metrics.clone())?;
        let (log, audit) = (AccessLog::start(Sink::Nowhere)?, AuditTrail::none());
        let recorder = Recorder::keeping(metrics, Keepers { log, archive: archive.clone(), audit }, None);
        recorder.knows(&gateway);
        let apps: Vec<u32> = gateway.app_ids().values().map(|id| id.0).collect();
        let began = Instant::now();
        for number in 0..RECORDS {
            let (key, flow) = flow(number, &apps);
            recorder.flow_goes_on(&key, &flow);
            if number % BURST == BURST - 1 {
                archive.flush();
            }
        }
        rates.push(RECORDS as f64 / began.elapsed().as_secs_f64() / 1e3);
        ensure!(archive.after(RECORDS as u64 - 1, 2)?.len() == 1, "records were lost");
        bytes.push(size(&folder.0)? as f64 / RECORDS as f64);
        for (at, (name, took)) in searched(&archive)?.into_iter().enumerate() {
            match searches.get_mut(at) {
                Some((_, all)) => all.push(took),
                None => searches.push((name, vec![took])),
            }
        }
    }
    let row = |metric, unit, values| Row::new("archive", metric, unit, values).size(RECORDS);
    let mut rows =
        vec![row("made and written, thousands in a second", "k/s", rates), row("on the disk, for each", "B", bytes)];
    rows.extend(searches.into_iter().map(|(name, took)| row(name, "ms", took)));
    Ok(rows)
}

/// In the open segment, which has no index.
fn searched(archive: &Archive) -> Result<Vec<(&'static str, f64)>> {
    let ada = Filter { user: Some("user-7".into()), ..Filter::default() };
    let nobody = Filter { port: Some(1), ..Filter::default() };
    let app = Filter { app: Some("app-7".into()), ..Filter::default() };
    let mut found = Vec::new();
    let mut took = |name, search: &dyn Fn() -> Result<usize>| -> Result<()> {
        let began = Instant::now();
        let number = search()?;
        found.push((name, began.elapsed().as_secs_f64() * 1e3));
        ensure!(name == NOTHING || number > 0, "{name}: nothing was found");
        Ok(())
    };
    let page = |filter: &Filter| Ok(archive.ask()?.records(filter, PageFrom::Before(u64::MAX), 100)?.items.len());
    took("last 100 records of a user", &|| page(&ada))?;
    took(NOTHING, &|| page(&nobody))?;
    took("who reached an app", &|| Ok(archive.ask()?.reached(&app)?.len()))?;
    took("what a user reached", &|| Ok(archive.ask()?.reached(&ada)?.len()))?;
    Ok(found)
}

const NOTHING: &str = "nothing found, by port";

fn gateway() -> Result<Gateway> {
    let capacities = Capacities { sessions: 2 * PEOPLE as usize, ..Capacities::default() };
    let mut gateway = Gateway::new(capacities);
    for app in bundle::load(&large::bundle(1_000))?.bundle.apps.into_values() {
        gateway.handle(Input::PutApp(app), KernelNanos(1))?;
    }
    for number in 0..PEOPLE {
        let user = UserName::new(&format!("user-{number}"))?;
        let source = Source {
            address: client(number),
            zone: 1,
            zone_name: "lan".into(),
            interface: 1,
            interface_name: "lo".into(),
            country: Default::default(),
            mac: None,
        };
        let token = SessionToken(u64::from(number) + 1);
        let (proof, deadline) = (Factors::default().into(), KernelNanos::NEVER);
        gateway.handle(Input::PutUser(User::new(user.clone())), KernelNanos(1))?;
        gateway.handle(Input::Login { token, user, source, proof, deadline }, KernelNanos(1))?;
    }
    Ok(gateway)
}

fn client(number: u32) -> IpAddr {
    IpAddr::from([10, 200, (number / 250) as u8, (number % 250) as u8 + 1])
}

fn flow(number: usize, apps: &[u32]) -> (FlowKey, TrackedFlow) {
    // Neighbours are of other people and other apps.
    let person = (number * 7_919 % PEOPLE as usize) as u32;
    let app = apps[number * 104_729 % apps.len()];
    let key = FlowKey {
        client: Address::from(client(person)),
        app: Address::from(IpAddr::from([10, 64, (app >> 8) as u8, app as u8])),
        client_port: (32_768 + (number % 28_000) as u16).to_be_bytes(),
        app_port: 443_u16.to_be_bytes(),
        zone: 1,
        protocol: 6,
        reserved: [0; 7],
    };
    let copy = FlowCopy {
        token: u64::from(person) + 1,
        app: app.into(),
        opened_at: 1_000_000_000 + number as u64,
        last_seen: 60_000_000_000 + number as u64,
        to_app_packets: number as u64 % 3_000,
        to_app_bytes: number as u64 * 31 % 300_000,
        to_client_packets: number as u64 % 9_000,
        to_client_bytes: number as u64 * 97 % 9_000_000,
        ..FlowCopy::default()
    };
    (key, TrackedFlow { copy, interface: 1, told: 0 })
}

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(env::temp_dir().join(format!("portcullis-records-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Without the log of the open segment, which is as large whatever there is.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in fs::read_dir(folder)? {
        let file = file?;
        if file.path().extension().is_some_and(|extension| extension == "sqlite") {
            bytes += file.metadata()?.len();
        }
    }
    Ok(bytes)
}
