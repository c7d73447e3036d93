//! The tables in the kernel, as the cases need them: each begins with none of what packets left behind.

use super::cast::{self, Act, Cast, settings};
use super::read::World;
use anyhow::{Result, ensure};
use aya::Pod;
use aya::maps::{Array, HashMap, Map, MapData};
use gateway_common::abi::{BudgetKey, FragmentKey, Settings, SourceKey, map};
use gateway_userspace::dataplane::attach::{GuardedInterface, XdpChoice};
use gateway_userspace::dataplane::load;
use gateway_userspace::dataplane::monitor::InterfaceCounters;
use gateway_userspace::dataplane::services::Services;
use gateway_userspace::dataplane::{AppSide, DataPlane as _, KernelDataPlane, Monitor, Programs};
use gateway_userspace::policy::{Plan, Step};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A BPF file system of its own, gone when dropped.
struct Bpffs(PathBuf);

impl Bpffs {
    fn mount() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("portcullis-corpus-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        let status = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&path).status().unwrap();
        assert!(status.success(), "these tests need root, to mount a BPF file system");
        Self(path)
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Loaded programs and their tables, for one interface.
pub struct Plane {
    pub programs: Programs,
    kernel: KernelDataPlane,
    monitor: Monitor,
    name: String,
    index: u32,
    mode: XdpChoice,
    forward: bool,
    world: Option<World>,
    /// Who is there.
    pub cast: Cast,
    _bpffs: Bpffs,
}

/// What the programs counted: for the interface, and for interfaces that are not configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counted {
    pub interface: InterfaceCounters,
    pub unknown: InterfaceCounters,
}

impl Counted {
    /// Packets judged.
    pub fn sum(&self) -> u64 {
        [&self.interface, &self.unknown]
            .iter()
            .map(|counters| counters.forward + counters.to_host + counters.dropped())
            .sum()
    }
}

impl Plane {
    /// Loads the programs, for this interface.
    pub fn load(name: &str, index: u32, mode: XdpChoice) -> Self {
        let bpffs = Bpffs::mount();
        let settings = settings(0);
        let (mut kernel, programs) =
            KernelDataPlane::open(&bpffs.0.join("portcullis"), cast::CAPACITIES, settings).unwrap();
        let mut services = Services::open(kernel.pins()).unwrap();
        services.serve(&cast::services()).unwrap();
        services.manage_from(&cast::management()).unwrap();
        kernel.apply(&Plan { steps: cast::apps() }).unwrap();
        let monitor = Monitor::open(kernel.pins()).unwrap();
        let (name, cast) = (name.to_owned(), Cast::new(index));
        Self { programs, kernel, monitor, name, index, mode, forward: false, world: None, cast, _bpffs: bpffs }
    }

    /// Makes the beginning of a case. Returns the steps that were taken.
    pub fn begin(&mut self, world: World) -> Vec<Step> {
        self.configure(world);
        self.limit_services(0);
        forget_packets(self.kernel.pins());
        let steps = self.cast.enter();
        self.apply(&steps);
        steps
    }

    /// Configures the interface for a world.
    pub fn configure(&mut self, world: World) {
        if self.world != Some(world) {
            let guarded = self.guarded(world);
            self.programs.configure(&[guarded]).unwrap();
            self.world = Some(world);
        }
    }

    /// Puts the programs on the interface. To be called in the interface's namespace.
    pub fn guard(&mut self) -> Result<()> {
        let guarded = self.guarded(World::Default);
        let attached = self.programs.guard(&[guarded])?;
        let mode = if self.mode == XdpChoice::Native { "native" } else { "generic" };
        ensure!(attached.iter().all(|attached| attached.mode == mode), "attached as {attached:?}");
        self.world = Some(World::Default);
        Ok(())
    }

    /// From the next [`Plane::guard`] on, what is permitted is forwarded in XDP, to and from this interface.
    pub fn forward_to(&mut self, app_side: &str) {
        self.programs.face_apps(AppSide { names: vec![app_side.to_owned()], mode: self.mode });
        self.forward = true;
    }

    fn guarded(&self, world: World) -> GuardedInterface {
        let mut guarded = cast::guarded(world, &self.name, self.index, self.mode);
        guarded.settings.forward = self.forward;
        guarded
    }

    /// Takes steps.
    fn apply(&mut self, steps: &[Step]) {
        self.kernel.apply(&Plan { steps: steps.to_vec() }).unwrap();
    }

    /// Does something. Returns the steps that were taken.
    pub fn act(&mut self, act: Act) -> Vec<Step> {
        match act {
            Act::LimitServices(limit) => self.limit_services(limit),
            Act::ForgetInterface => {
                self.programs.configure(&[]).unwrap();
                self.world = None;
            }
            _ => {}
        }
        let steps = self.cast.act(act);
        self.apply(&steps);
        steps
    }

    /// What was counted so far.
    pub fn counted(&self) -> Counted {
        let interface = self.monitor.interface(self.index).unwrap();
        Counted { interface: interface.unwrap_or_default(), unknown: self.monitor.unknown_interfaces().unwrap() }
    }

    fn limit_services(&self, per_second: u64) {
        let map = MapData::from_pin(self.kernel.pins().join(map::SETTINGS)).unwrap();
        let mut table: Array<_, Settings> = Array::try_from(Map::Array(map)).unwrap();
        table.set(0, Settings::from(settings(per_second)), 0).unwrap();
    }
}

/// Removes from the tables pinned in this folder what packets have left there.
pub fn forget_packets(pins: &Path) {
    let flows = load::pinned_flows(pins).unwrap();
    for (key, _) in flows.iter().collect::<Vec<_>>() {
        flows.remove(&key);
    }
    clear::<FragmentKey, [u64; 6]>(pins, map::FRAGMENTS, Map::LruHashMap);
    clear::<SourceKey, u64>(pins, map::SOURCES, Map::LruHashMap);
    clear::<BudgetKey, [u64; 2]>(pins, map::BUDGETS, Map::HashMap);
}

fn clear<K: Pod + Copy, V: Pod>(pins: &Path, name: &str, kind: fn(MapData) -> Map) {
    let map = MapData::from_pin(pins.join(name)).unwrap();
    let mut table: HashMap<_, K, V> = HashMap::try_from(kind(map)).unwrap();
    for key in table.keys().collect::<Result<Vec<_>, _>>().unwrap() {
        table.remove(&key).unwrap();
    }
}
