//! A small gateway, twice: in the kernel and in memory, always with the same tables.

use gateway_common::abi::{AppKey, Grant, GrantKey, Interface, ServiceKey, SessionKey, map};
use gateway_common::{Address, DropReason, KernelNanos, Packet, Verdict, law};
use gateway_userspace::dataplane::attach::{GuardedInterface, XdpChoice};
use gateway_userspace::dataplane::monitor::InterfaceCounters;
use gateway_userspace::dataplane::services::Services;
use gateway_userspace::dataplane::{DataPlane, KernelDataPlane, MemoryDataPlane, Monitor, Programs, clock};
use gateway_userspace::policy::table::SessionEntry;
use gateway_userspace::policy::{AllowListId, AppId, AppSetId, BlockId, Capacities, Plan, SessionToken, Step};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// `BPF_PROG_TEST_RUN` makes frames arrive on, and leave through, the loopback device.
pub const INTERFACE: u32 = 1;
/// The zone of the interface.
pub const ZONE: u32 = 1;
/// A program's code for "go on": `XDP_PASS` for ingress, `TC_ACT_UNSPEC` for egress.
const PASS: [u32; 2] = [u32::MAX, 2];

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A BPF file system of its own, gone when dropped.
pub struct Bpffs(PathBuf);

impl Bpffs {
    fn mount() -> Self {
        let name = format!("portcullis-test-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
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

/// Kernel and twin.
pub struct Scene {
    pub kernel: KernelDataPlane,
    pub programs: Programs,
    pub twin: MemoryDataPlane,
    monitor: Monitor,
    before: InterfaceCounters,
    _bpffs: Bpffs,
}

/// Both directions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// From the client.
    In,
    /// To the client.
    Out,
}

impl Scene {
    /// An empty gateway on one interface, with a portal at 10.77.0.1 and fd77::1, port 443, and SSH for management.
    pub fn new() -> Self {
        Self::with(Capacities { sessions: 64, flows: 256, ..small() }, true)
    }

    /// The same with other capacities, or without a link layer.
    pub fn with(capacities: Capacities, has_link_layer: bool) -> Self {
        let bpffs = Bpffs::mount();
        let (kernel, mut programs) = KernelDataPlane::open(&bpffs.0.join("portcullis"), capacities, 1_000_000).unwrap();
        let mut twin = MemoryDataPlane::new(capacities);
        let flags = if has_link_layer { Interface::LINK_LAYER } else { 0 };
        twin.interfaces.insert(INTERFACE, Interface { zone: ZONE, slot: 0, flags, reserved: 0 });
        let guarded = GuardedInterface {
            name: "lo".into(),
            index: INTERFACE,
            zone: ZONE,
            zone_name: "lan".into(),
            has_link_layer,
            mode: XdpChoice::Generic,
        };
        programs.configure(&[guarded]).unwrap();
        twin.services = services();
        twin.management = vec!["10.77.9.0/24".parse().unwrap()];
        let mut services = Services::open(kernel.pins()).unwrap();
        services.serve(&twin.services).unwrap();
        services.manage_from(&twin.management).unwrap();
        let monitor = Monitor::open(kernel.pins()).unwrap();
        let before = monitor.interface(INTERFACE).unwrap().unwrap();
        Self { kernel, programs, twin, monitor, before, _bpffs: bpffs }
    }

    /// Applies steps to both.
    pub fn apply(&mut self, steps: impl IntoIterator<Item = Step>) {
        let plan = Plan { steps: steps.into_iter().collect() };
        self.twin.clock = clock::boot();
        self.kernel.apply(&plan).unwrap();
        self.twin.apply(&plan).unwrap();
    }

    /// The usual world: alice on 10.77.0.2 and fd77::2, with a list that grants `web` (10.20.0.10, fd20::10, port 443
    /// and echo) and `files` (any UDP port of 10.20.0.0/24), while `vault` (10.20.0.11, port 22) is granted to nobody.
    pub fn usual() -> Self {
        let mut scene = Self::new();
        scene.apply(apps(AppSetId(1)));
        scene.apply([grant(1, WEB, Grant::UNLIMITED), grant(1, FILES, Grant::UNLIMITED)]);
        scene.apply([open(ALICE, session("10.77.0.2")), open(ALICE_V6, session("fd77::2"))]);
        scene
    }

    /// Judges one frame in the kernel and in memory; both must agree, on the verdict and on every counter.
    #[track_caller]
    pub fn judge(&mut self, way: Way, frame: &[u8]) -> Verdict {
        self.twin.clock = clock::boot();
        let mut packet = Packet::default();
        let judgement = match way {
            Way::In => law::ingress(frame, &mut packet, &self.twin, INTERFACE, self.twin.clock),
            Way::Out => law::egress(frame, &mut packet, &self.twin, INTERFACE, self.twin.clock),
        };
        let code = self.programs.test_run(way == Way::In, frame).unwrap();
        let after = self.monitor.interface(INTERFACE).unwrap().unwrap();
        let expected = counted(&self.before, judgement.verdict);
        assert_eq!(after, expected, "counters after {:?} of {frame:02x?}", judgement.verdict);
        let passed = code == PASS[usize::from(way == Way::In)];
        assert_eq!(passed, !matches!(judgement.verdict, Verdict::Drop(_)), "code {code} for {:?}", judgement.verdict);
        self.before = after;
        judgement.verdict
    }

    /// Judges a frame from the client and expects a drop for this reason.
    #[track_caller]
    pub fn drops(&mut self, frame: &[u8], reason: DropReason) {
        assert_eq!(self.judge(Way::In, frame), Verdict::Drop(reason), "{frame:02x?}");
    }

    /// Judges a frame from the client and expects it to go on.
    #[track_caller]
    pub fn forwards(&mut self, frame: &[u8]) {
        assert_eq!(self.judge(Way::In, frame), Verdict::Forward, "{frame:02x?}");
    }

    /// How many entries the index of sessions has in the kernel.
    pub fn index_entries(&self) -> usize {
        let map = aya::maps::MapData::from_pin(self.kernel.pins().join(map::SESSION_INDEX)).unwrap();
        let index = aya::maps::HashMap::<_, SessionKey, u32>::try_from(aya::maps::Map::HashMap(map)).unwrap();
        index.keys().count()
    }

    /// Keys of the flows in the kernel, ordered.
    pub fn kernel_flows(&self) -> Vec<gateway_common::abi::FlowKey> {
        let mut keys: Vec<_> = self.monitor.flows().map(|(key, _)| key).collect();
        keys.sort();
        keys
    }
}

fn counted(before: &InterfaceCounters, verdict: Verdict) -> InterfaceCounters {
    let mut after = before.clone();
    match verdict {
        Verdict::Forward => after.forward += 1,
        Verdict::ToHost => after.to_host += 1,
        Verdict::Drop(reason) => *after.drops.entry(reason).or_default() += 1,
    }
    after
}

fn small() -> Capacities {
    Capacities { sessions: 64, flows: 256, app_prefixes: 256, app_ports: 1024, grants: 256, apps: 64 }
}

fn services() -> BTreeMap<ServiceKey, u32> {
    let mut services = BTreeMap::new();
    for own in ["10.77.0.1", "fd77::1"] {
        let own = Address::from(own.parse::<std::net::IpAddr>().unwrap());
        services.insert(ServiceKey::own(own), ServiceKey::OWN_ADDRESS);
        services.insert(ServiceKey::new(own, Packet::TCP, 443), ServiceKey::OPEN);
        services.insert(ServiceKey::new(own, Packet::TCP, 22), ServiceKey::MANAGEMENT);
    }
    services
}

/// Alice's session over IPv4.
pub const ALICE: SessionToken = SessionToken(0xa11ce);
/// Alice's session over IPv6.
pub const ALICE_V6: SessionToken = SessionToken(0xa11ce6);
/// App: 10.20.0.10 and fd20::10, TCP port 443, and echo.
pub const WEB: u32 = 1;
/// App: UDP to 10.20.0.0/24.
pub const FILES: u32 = 2;
/// App: 10.20.0.11, TCP port 22.
pub const VAULT: u32 = 3;

/// The tables of the usual apps under this app set.
pub fn apps(app_set: AppSetId) -> Vec<Step> {
    let base = app_set.0 * 10;
    let port = |block: u32, protocol: u8, port: u16, app: u32| {
        Step::PutApp(AppKey { block: base + block, port: port.to_be_bytes(), protocol, reserved: 0 }, AppId(app))
    };
    let prefix = |prefix: &str, block: u32| Step::PutAppPrefix(app_set, prefix.parse().unwrap(), BlockId(base + block));
    vec![
        port(1, Packet::TCP, 443, WEB),
        port(1, Packet::ICMP, 0, WEB),
        port(1, Packet::UDP, 0, FILES),
        port(2, Packet::TCP, 22, VAULT),
        port(2, Packet::UDP, 0, FILES),
        port(3, Packet::UDP, 0, FILES),
        port(4, Packet::TCP, 443, WEB),
        port(4, Packet::ICMPV6, 0, WEB),
        prefix("10.20.0.10/32", 1),
        prefix("10.20.0.11/32", 2),
        prefix("10.20.0.0/24", 3),
        prefix("fd20::10/128", 4),
    ]
}

/// A grant in an allow-list.
pub fn grant(allow_list: u32, app: u32, grant: Grant) -> Step {
    Step::PutGrant(GrantKey { allow_list, app }, grant)
}

/// The beginning of a session.
pub fn open(token: SessionToken, entry: SessionEntry) -> Step {
    Step::OpenSession(token, entry)
}

/// A session of a client at this address, by list 1 of app set 1, for an hour.
pub fn session(address: &str) -> SessionEntry {
    let now = clock::boot();
    SessionEntry {
        address: address.parse().unwrap(),
        zone: ZONE,
        interface: INTERFACE,
        mac: Some(super::frames::CLIENT_MAC),
        deadline: now.after(3_600_000_000_000),
        authenticated_at: now,
        app_set: AppSetId(1),
        allow_list: AllowListId(1),
    }
}

/// An instant that has passed.
pub const LONG_AGO: KernelNanos = KernelNanos(1);
