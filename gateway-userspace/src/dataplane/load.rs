//! Loading the object and opening its maps, pinned, so that they outlive the daemon.
//!
//! Pins lie under `<folder>/abi<version>-flows<version>-<capacities>/`. A daemon whose layout or capacities differ finds no pins of
//! its own, fills new maps, and only then lets the links point at programs that use them.

use super::capture::{self, Tap};
use super::constants::{Constant, Constants};
use super::flows::FlowTable;
use super::grants::{self, GrantTable};
use super::index::Index;
use super::mapped::{MadeOfWords, Mapped};
use super::ports::Ports;
use super::programs::Programs;
use super::rows::Rows;
use super::slots::{self, SessionPlaces, SessionSlots, SessionTables};
use super::ways::Ways;
use super::{DataPlaneError, clock, table};
use crate::policy::{Capacities, SessionToken};
use aya::maps::{Array, DevMap, HashMap, LpmTrie, Map, MapData};
use aya::programs::{Program, ProgramError};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use gateway_common::abi::{
    ABI_VERSION, AppEntry, AppKey, AppPrefix, BudgetKey, FLOW_VERSION, InterfaceRow, Settings, map,
};
use gateway_common::table::{Layout, Secrets, filter, flows, index};
use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;

/// The programs and maps, compiled from `gateway-ebpf` by the build script.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/portcullis-ebpf"));

/// Name of the ingress program.
pub const INGRESS: &str = "pc_ingress";
/// Name of the egress program.
pub const EGRESS: &str = "pc_egress";
/// Name of the program that judges what apps send before the network stack sees it.
pub const REPLIES: &str = "pc_replies";
/// Name of the program that drops what came with a tag that was stripped.
pub const STRIPPED: &str = "pc_stripped";

/// Name of the program that says what the ingress program would do. It is loaded by itself, where somebody asks.
pub const EXPLAIN: &str = "pc_explain";

/// All that enforce.
pub(super) const PROGRAMS: [&str; 4] = [INGRESS, EGRESS, REPLIES, STRIPPED];

/// The shortest ring buffer, where nothing is captured.
const NO_CAPTURE: u32 = 4096;

/// How often a program is given to the kernel that was interrupted while it looked at it.
const ATTEMPTS: u32 = 5;

/// Magic number of a BPF file system (`statfs`).
const BPFFS_MAGIC: i64 = 0xcafe_4a11;

/// The maps that hold what policy decides.
pub struct Loaded {
    /// See [`map::SESSIONS`] and [`map::SESSION_INDEX`].
    pub sessions: SessionSlots,
    /// See [`map::FLOWS`].
    pub flows: FlowTable,
    /// See [`map::APP_PREFIXES`].
    pub app_prefixes: LpmTrie<MapData, AppPrefix, u32>,
    /// See [`map::APPS`].
    pub apps: HashMap<MapData, AppKey, AppEntry>,
    /// See [`map::GRANTS`] and [`map::GRANT_INDEX`].
    pub grants: GrantTable,
    /// See [`map::BUDGETS`]: bytes used and permitted.
    pub budgets: HashMap<MapData, BudgetKey, [u64; 2]>,
    /// Where denied packets can be captured, until somebody takes it.
    pub tap: Option<Tap>,
    /// Where the maps are pinned.
    pub pins: PathBuf,
    /// The mark of the daemon's resets.
    pub reset_mark: u32,
}

/// Names of the maps that are pinned: everything whose content must outlive the daemon.
pub(super) const PINNED: &[&str] = &[
    map::SECRETS,
    map::EPOCH,
    map::INTERFACES,
    map::VLANS,
    map::SESSION_INDEX,
    map::SESSION_FILTER,
    map::SESSIONS,
    map::FLOWS,
    map::FRAGMENTS,
    map::SOURCES,
    map::SERVICES,
    map::OWN_FILTER,
    map::MANAGEMENT,
    map::APP_PREFIXES,
    map::APPS,
    map::GRANT_INDEX,
    map::GRANTS,
    map::BUDGETS,
    map::CPU,
    map::VERDICTS,
    map::APP_TRAFFIC,
    map::DENIALS,
    map::EVENTS,
    map::EVENT_GATE,
    map::UNRECORDED,
    map::SETTINGS,
];

/// What the programs are told as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlaneSettings {
    /// Events of each kind that one CPU may emit in one [`gateway_common::abi::EVENT_WINDOW`].
    pub events_per_window: u32,
    /// Denials that one CPU may answer in one window.
    pub answers_per_window: u32,
    /// Nanoseconds between two packets of one source to the gateway itself, in the long run; 0 for no limit.
    pub service_interval: u64,
    /// How long a session that scans is held, in nanoseconds.
    pub quarantine: u64,
    /// How long the daemon's word counts, in nanoseconds; `u64::MAX` for ever, 0 if it is not renewed by loading.
    pub lease: u64,
    /// Whether what is judged is counted and told. Only whoever measures what that costs does without.
    pub records: bool,
}

impl From<PlaneSettings> for Settings {
    fn from(settings: PlaneSettings) -> Self {
        let PlaneSettings { events_per_window, answers_per_window, service_interval, quarantine, .. } = settings;
        let abi_version = ABI_VERSION;
        Self { abi_version, events_per_window, answers_per_window, reset_mark: 0, service_interval, quarantine }
    }
}

/// Loads the programs, with the maps of an earlier daemon of the same layout if there are any.
///
/// # Errors
/// If the folder is not on a BPF file system, or the kernel refuses a map or program.
pub fn load(folder: &Path, capacities: &Capacities, told: PlaneSettings) -> Result<(Loaded, Programs), DataPlaneError> {
    let pins = folder.join(pins_name(capacities));
    prepare(folder, &pins)?;
    let layout = layout(&pins, capacities);
    let mut ebpf = object(&pins, capacities, &layout, capture::BYTES, told.records)?;
    let reset_mark = rand::random::<u32>() | 1;
    let settings = Settings { reset_mark, ..told.into() };
    let constants = Constants {
        settings: Constant::new(take(&mut ebpf, map::SETTINGS)?, map::SETTINGS, settings)?,
        secrets: Constant::new(take(&mut ebpf, map::SECRETS)?, map::SECRETS, layout.secrets)?,
    };
    programs(&mut ebpf)?;
    let now = clock::boot();
    let sessions = SessionTables {
        places: SessionPlaces::new(
            mapped(&pins, map::SESSIONS, slots::slots_for(capacities.sessions))?,
            Index(mapped(&pins, map::SESSION_INDEX, layout.session_buckets)?),
            layout.secrets,
        ),
        filter: mapped(&pins, map::SESSION_FILTER, layout.filter_words)?,
        epoch: mapped(&pins, map::EPOCH, 1)?,
    };
    let grant_index = Index(mapped(&pins, map::GRANT_INDEX, layout.grant_buckets)?);
    let grants = mapped(&pins, map::GRANTS, grants::slots_for(entries(capacities.grants)))?;
    let loaded = Loaded {
        sessions: SessionSlots::new(sessions, now),
        flows: FlowTable::new(mapped(&pins, map::FLOWS, layout.flow_slots)?, layout.secrets),
        app_prefixes: take(&mut ebpf, map::APP_PREFIXES)?,
        apps: take(&mut ebpf, map::APPS)?,
        grants: GrantTable::new(grants, grant_index, layout.secrets, now),
        budgets: take(&mut ebpf, map::BUDGETS)?,
        tap: Some(Tap::open(&mut ebpf, Rows(mapped(&pins, map::INTERFACES, InterfaceRow::ROWS)?))?),
        pins: pins.clone(),
        reset_mark,
    };
    let interfaces = Rows(mapped(&pins, map::INTERFACES, InterfaceRow::ROWS)?);
    let vlans = take(&mut ebpf, map::VLANS)?;
    let targets: DevMap<_> = take(&mut ebpf, map::TARGETS)?;
    let ports = Ports::new(Rows(own(&mut ebpf, map::PORTS, InterfaceRow::ROWS)?), targets, Ways::open(&pins)?);
    Ok((loaded, Programs::new(ebpf, interfaces, vlans, constants, ports, folder.to_owned(), pins)))
}

/// An array map that is not pinned, because it is of these programs alone, in memory.
pub(super) fn own<T: MadeOfWords>(
    ebpf: &mut Ebpf,
    name: &'static str,
    count: u32,
) -> Result<Mapped<T>, DataPlaneError> {
    match ebpf.take_map(name) {
        Some(Map::Array(map)) => Mapped::open(map.fd(), count)
            .map_err(|errno| DataPlaneError::Pins { path: name.into(), source: errno.into() }),
        _ => Err(DataPlaneError::Incomplete(name)),
    }
}

/// A pinned array map, in memory.
pub(super) fn mapped<T: MadeOfWords>(pins: &Path, name: &'static str, count: u32) -> Result<Mapped<T>, DataPlaneError> {
    let map = MapData::from_pin(pins.join(name)).map_err(table(name))?;
    Mapped::open(map.fd(), count).map_err(|errno| DataPlaneError::Pins { path: pins.join(name), source: errno.into() })
}

/// The sessions pinned in a folder of tables, in memory.
///
/// # Errors
/// If they are not there.
pub fn pinned_sessions(pins: &Path) -> Result<SessionPlaces, DataPlaneError> {
    let secrets = drawn(pins).ok_or(DataPlaneError::Incomplete(map::SECRETS))?;
    let (slots, index) = (all(pins, map::SESSIONS)?, Index(all(pins, map::SESSION_INDEX)?));
    Ok(SessionPlaces::new(slots, index, secrets))
}

/// The flows pinned in a folder of tables, in memory.
///
/// # Errors
/// If they are not there.
pub fn pinned_flows(pins: &Path) -> Result<FlowTable, DataPlaneError> {
    let secrets = drawn(pins).ok_or(DataPlaneError::Incomplete(map::SECRETS))?;
    Ok(FlowTable::new(all(pins, map::FLOWS)?, secrets))
}

/// A pinned array map of whatever length, in memory.
fn all<T: MadeOfWords>(pins: &Path, name: &'static str) -> Result<Mapped<T>, DataPlaneError> {
    let map = MapData::from_pin(pins.join(name)).map_err(table(name))?;
    mapped(pins, name, map.info().map_err(table(name))?.max_entries())
}

/// The secrets with which the tables in this folder were filled, if there are any.
pub(super) fn drawn(pins: &Path) -> Option<Secrets> {
    let map = MapData::from_pin(pins.join(map::SECRETS)).ok()?;
    let secrets: Array<_, Secrets> = Array::try_from(Map::Array(map)).ok()?;
    secrets.get(&0, 0).ok().filter(|secrets| !secrets.are_missing())
}

/// How the tables in this folder are, or will be, laid out.
fn layout(pins: &Path, capacities: &Capacities) -> Layout {
    Layout {
        secrets: drawn(pins).unwrap_or_else(|| Secrets::new(rand::random())),
        session_buckets: index::buckets_for(slots::slots_for(capacities.sessions)),
        grant_buckets: index::buckets_for(grants::slots_for(entries(capacities.grants))),
        flow_slots: flows::slots_for(entries(capacities.flows)),
        filter_words: filter::words_for(slots::slots_for(capacities.sessions)),
        ..Layout::NONE
    }
}

fn entries(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Copies the flows of other maps, which the links still use: replies to clients must find them when the links are moved. They
/// hold no authority; the first packet of each is judged anew.
/// A flow that cannot be copied is opened again by its next packet from the client.
pub fn carry_flows(loaded: &Loaded) {
    for other in others(&loaded.pins, &format!("-flows{FLOW_VERSION}-")) {
        let Ok(old) = pinned_flows(&other) else { continue };
        let carried = old.iter().filter(|(key, flow)| loaded.flows.put(key, flow)).count();
        tracing::info!(from = %other.display(), carried, "took over the flows of other tables");
    }
}

/// Sessions that were ended according to maps of other capacities, which the links still use: what ended them may not have
/// been stored.
pub fn ended_elsewhere(pins: &Path) -> Vec<SessionToken> {
    let of_this_abi = others(pins, &format!("abi{ABI_VERSION}-"));
    of_this_abi.iter().filter_map(|other| pinned_sessions(other).ok()).flat_map(|old| old.ended_tokens()).collect()
}

/// The folders beside ours that have this in their names.
fn others(pins: &Path, version: &str) -> Vec<PathBuf> {
    let is_other =
        |path: &PathBuf| path != pins && path.file_name().is_some_and(|name| name.to_string_lossy().contains(version));
    let folders = pins
        .parent()
        .and_then(|folder| std::fs::read_dir(folder).ok())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    folders.filter(is_other).collect()
}

/// Name of the folder for maps of this layout.
fn pins_name(capacities: &Capacities) -> String {
    let Capacities { sessions, flows, app_prefixes, app_ports, grants, apps, budgets, fragments, sources } = capacities;
    format!(
        "abi{ABI_VERSION}-flows{FLOW_VERSION}-{sessions}-{flows}-{app_prefixes}-{app_ports}-{grants}-{apps}-{budgets}-{fragments}-{sources}"
    )
}

fn prepare(folder: &Path, pins: &Path) -> Result<(), DataPlaneError> {
    use std::os::unix::fs::DirBuilderExt;
    let mount = folder.parent().unwrap_or(folder);
    let is_bpffs = nix::sys::statfs::statfs(mount).is_ok_and(|found| found.filesystem_type().0 == BPFFS_MAGIC);
    if !is_bpffs {
        return Err(DataPlaneError::NotBpffs { path: folder.into(), mount: mount.into() });
    }
    for path in [folder, &folder.join("links"), pins] {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| DataPlaneError::Pins { path: path.into(), source })?;
    }
    Ok(())
}

fn object(
    pins: &Path,
    capacities: &Capacities,
    layout: &Layout,
    captured: u32,
    has_records: bool,
) -> Result<Ebpf, DataPlaneError> {
    let has_records = u8::from(has_records);
    let mut loader = EbpfLoader::new();
    loader
        .verifier_log_level(VerifierLogLevel::STATS)
        .override_global(map::LAYOUT, layout, true)
        .override_global(map::RECORDS, &has_records, true)
        .map_max_entries(map::SESSION_INDEX, layout.session_buckets)
        .map_max_entries(map::SESSION_FILTER, layout.filter_words)
        .map_max_entries(map::SESSIONS, slots::slots_for(capacities.sessions))
        .map_max_entries(map::FLOWS, layout.flow_slots)
        // Twice, as of grants: a new daemon gives out new ids, and what it finds is there until all is written.
        .map_max_entries(map::APP_PREFIXES, entries(capacities.app_prefixes).saturating_mul(2))
        .map_max_entries(map::APPS, entries(capacities.app_ports).saturating_mul(2))
        .map_max_entries(map::GRANT_INDEX, layout.grant_buckets)
        .map_max_entries(map::GRANTS, grants::slots_for(entries(capacities.grants)))
        .map_max_entries(map::BUDGETS, entries(capacities.budgets))
        .map_max_entries(map::FRAGMENTS, entries(capacities.fragments))
        .map_max_entries(map::SOURCES, entries(capacities.sources))
        .map_max_entries(map::APP_TRAFFIC, entries(capacities.apps))
        .map_max_entries(map::CAPTURED, captured);
    for name in PINNED {
        loader.map_pin_path(name, pins.join(name));
    }
    loader.load(OBJECT).map_err(|error| DataPlaneError::Load(Box::new(error)))
}

/// Has the kernel look at all programs at the same time: it takes half a second over each, on one processor.
fn programs(ebpf: &mut Ebpf) -> Result<(), DataPlaneError> {
    for name in PROGRAMS {
        ebpf.program(name).ok_or(DataPlaneError::Incomplete(name))?;
    }
    let named = |found: &str| PROGRAMS.into_iter().find(|name| *name == found);
    std::thread::scope(|scope| {
        let mut looking = Vec::new();
        for (name, program) in ebpf.programs_mut().filter_map(|(name, program)| Some((named(name)?, program))) {
            looking.push(scope.spawn(move || patiently(name, || load_one(name, program))));
        }
        // A thread that panicked has loaded nothing.
        let outcome =
            |found: ScopedJoinHandle<'_, _>| found.join().unwrap_or(Err(DataPlaneError::Incomplete("a program")));
        looking.into_iter().try_for_each(outcome)
    })
}

/// The object once more, with the dry run alone of its programs, over the maps that are pinned.
pub(super) fn dry_run(pins: &Path, capacities: &Capacities) -> Result<Ebpf, DataPlaneError> {
    let mut ebpf = object(pins, capacities, &layout(pins, capacities), NO_CAPTURE, true)?;
    let program = ebpf.program_mut(EXPLAIN).ok_or(DataPlaneError::Incomplete(EXPLAIN))?;
    patiently(EXPLAIN, || load_one(EXPLAIN, program))?;
    Ok(ebpf)
}

fn load_one(name: &'static str, program: &mut Program) -> Result<(), DataPlaneError> {
    match program {
        Program::Xdp(program) => program.load().map_err(refused(name)),
        Program::SchedClassifier(program) => program.load().map_err(refused(name)),
        _ => Err(DataPlaneError::Incomplete(name)),
    }
}

pub(super) fn refused(program: &'static str) -> impl FnOnce(ProgramError) -> DataPlaneError {
    move |source| DataPlaneError::Program { program, source: Box::new(source) }
}

/// Loads a program. The verifier gives up with EAGAIN when a signal is waiting; the next time it is not.
fn patiently(program: &str, mut load: impl FnMut() -> Result<(), DataPlaneError>) -> Result<(), DataPlaneError> {
    for attempt in 1..ATTEMPTS {
        match load() {
            Err(DataPlaneError::Program { source, .. }) if is_interrupted(&source) => {
                tracing::debug!(program, attempt, "the kernel was interrupted while it looked at a program");
            }
            loaded => return loaded,
        }
    }
    load()
}

fn is_interrupted(error: &ProgramError) -> bool {
    let source = match error {
        ProgramError::LoadError { io_error, .. } => io_error,
        ProgramError::SyscallError(error) => &error.io_error,
        _ => return false,
    };
    source.raw_os_error() == Some(nix::libc::EAGAIN)
}

/// A program of the driver's layer.
///
/// # Errors
/// If the object lacks it.
pub fn xdp<'e>(ebpf: &'e mut Ebpf, name: &'static str) -> Result<&'e mut aya::programs::Xdp, DataPlaneError> {
    let program = ebpf.program_mut(name).ok_or(DataPlaneError::Incomplete(name))?;
    program.try_into().map_err(|_| DataPlaneError::Incomplete(name))
}

/// A program of the traffic control layer.
///
/// # Errors
/// If the object lacks it.
pub fn classifier<'e>(
    ebpf: &'e mut Ebpf,
    name: &'static str,
) -> Result<&'e mut aya::programs::SchedClassifier, DataPlaneError> {
    let program = ebpf.program_mut(name).ok_or(DataPlaneError::Incomplete(name))?;
    program.try_into().map_err(|_| DataPlaneError::Incomplete(name))
}

pub(super) fn take<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, DataPlaneError>
where
    M: TryFrom<aya::maps::Map, Error = aya::maps::MapError>,
{
    let map = ebpf.take_map(name).ok_or(DataPlaneError::Incomplete(name))?;
    M::try_from(map).map_err(table(name))
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
