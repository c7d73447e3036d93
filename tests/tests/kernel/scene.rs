//! A small gateway, twice: in the kernel and in memory, always with the same tables.

pub use crate::ground::Way;

use crate::fate::Fate;
use crate::ground::Bpffs;
use crate::usual::{ALICE, ALICE_V6, FILES, SETTINGS, WEB, apps, grant, open, services, session, small, vlans};
use gateway_common::abi::{FlowEvent, Grant, Interface, VlanKey};
use gateway_common::table::denials::Taken;
use gateway_common::{DropReason, Packet, Verdict, law};
use gateway_userspace::dataplane::attach::{GuardedInterface, InterfaceSettings, XdpChoice};
use gateway_userspace::dataplane::monitor::{InterfaceCounters, events};
use gateway_userspace::dataplane::services::Services;
use gateway_userspace::dataplane::{
    DataPlane, KernelDataPlane, MemoryDataPlane, Monitor, PlaneSettings, Program, Programs, Written, clock,
};
use gateway_userspace::policy::{AppSetId, Capacities, Plan, Step};

/// `BPF_PROG_TEST_RUN` makes frames arrive on, and leave through, the loopback device.
pub const INTERFACE: u32 = 1;
/// The zone of the interface.
pub const ZONE: u32 = 1;

/// Kernel and twin.
pub struct Scene {
    pub kernel: KernelDataPlane,
    pub programs: Programs,
    pub twin: MemoryDataPlane,
    pub monitor: Monitor,
    before: InterfaceCounters,
    _bpffs: Bpffs,
}

/// What a program has made of a frame.
pub struct Output {
    /// Its code.
    pub code: u32,
    /// The frame afterwards, with what was written in front of it.
    pub frame: Vec<u8>,
}

impl Scene {
    /// An empty gateway on one interface, with a portal at 10.77.0.1 and fd77::1, port 443, and SSH for management.
    pub fn new() -> Self {
        Self::with(Capacities { sessions: 64, flows: 256, ..small() }, true)
    }

    /// The same with other capacities, or without a link layer.
    pub fn with(capacities: Capacities, has_link_layer: bool) -> Self {
        Self::handling(capacities, has_link_layer, InterfaceSettings::default(), SETTINGS)
    }

    /// The same where other things are admitted, and with other settings.
    pub fn handling(
        capacities: Capacities,
        has_link_layer: bool,
        handling: InterfaceSettings,
        settings: PlaneSettings,
    ) -> Self {
        let bpffs = Bpffs::mount();
        let (kernel, mut programs) =
            KernelDataPlane::open(&bpffs.path().join("portcullis"), capacities, settings).unwrap();
        let mut twin = MemoryDataPlane::new(capacities);
        twin.settings = settings.into();
        let link_layer = if has_link_layer { Interface::LINK_LAYER } else { 0 };
        let flags = link_layer | handling.flags();
        let row = Interface { zone: ZONE, slot: 0, flags, reserved: 0 };
        twin.interfaces.insert(INTERFACE, row);
        for vlan in vlans() {
            let key = VlanKey { interface: INTERFACE, vlan: vlan.vlan };
            twin.vlans.insert(key, Interface { zone: vlan.zone, ..row });
        }
        let guarded = GuardedInterface {
            name: "lo".into(),
            index: INTERFACE,
            zone: ZONE,
            zone_name: "lan".into(),
            has_link_layer,
            mode: XdpChoice::Generic,
            settings: handling,
            vlans: vlans(),
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
        Self::new().furnished()
    }

    /// The usual world on an interface that handles things in another way.
    pub fn usual_where(handling: InterfaceSettings) -> Self {
        Self::handling(small(), true, handling, SETTINGS).furnished()
    }

    /// The usual world with other settings.
    pub fn usual_with(settings: PlaneSettings) -> Self {
        Self::handling(small(), true, InterfaceSettings::default(), settings).furnished()
    }

    /// With the tables of the usual world.
    pub fn furnished(mut self) -> Self {
        self.apply(apps(AppSetId(1)));
        self.apply([grant(1, WEB, Grant::UNLIMITED), grant(1, FILES, Grant::UNLIMITED)]);
        self.apply([open(ALICE, session("10.77.0.2")), open(ALICE_V6, session("fd77::2"))]);
        self
    }

    /// Judges one frame in the kernel and in memory; both must agree, on the verdict and on every counter.
    #[track_caller]
    pub fn judge(&mut self, way: Way, frame: &[u8]) -> Verdict {
        self.judge_and_show(way, frame).0
    }

    /// The same, with what the program made of the frame.
    #[track_caller]
    pub fn judge_and_show(&mut self, way: Way, frame: &[u8]) -> (Verdict, Output) {
        self.twin.clock = clock::boot();
        let mut packet = Packet::default();
        let judgement = match way {
            Way::In => law::ingress(frame, &mut packet, &self.twin, INTERFACE, self.twin.clock),
            Way::Out => law::egress(frame, &mut packet, &self.twin, INTERFACE, self.twin.clock),
        };
        let fate = Fate::of(frame, &packet, &judgement, &self.twin.settings);
        let output = self.show(way, frame);
        let after = self.monitor.interface(INTERFACE).unwrap().unwrap();
        let expected = fate.counted(&self.before, judgement.verdict);
        assert_eq!(after, expected, "counters after {:?} of {frame:02x?}", judgement.verdict);
        assert_eq!(output.code, fate.code(way), "code for {:?} of {frame:02x?}", judgement.verdict);
        self.before = after;
        (judgement.verdict, output)
    }

    /// Runs the program of a direction on a frame and returns its code.
    pub fn run(&mut self, way: Way, frame: &[u8]) -> u32 {
        self.show(way, frame).code
    }

    fn show(&mut self, way: Way, frame: &[u8]) -> Output {
        let program = if way == Way::In { Program::Ingress } else { Program::Egress };
        let mut out = vec![0; 16_384];
        let ran = self.programs.test_run(program, frame, &mut out).unwrap();
        out.truncate(ran.length);
        Output { code: ran.code, frame: out }
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

    /// Judges a frame toward the client and expects a drop for this reason.
    #[track_caller]
    pub fn drops_to_client(&mut self, frame: &[u8], reason: DropReason) {
        assert_eq!(self.judge(Way::Out, frame), Verdict::Drop(reason), "{frame:02x?}");
    }

    /// Judges a frame toward the client and expects it to go on.
    #[track_caller]
    pub fn forwards_to_client(&mut self, frame: &[u8]) {
        assert_eq!(self.judge(Way::Out, frame), Verdict::Forward, "{frame:02x?}");
    }

    /// Judges a frame from the client and expects it to reach the gateway itself.
    #[track_caller]
    pub fn hands_to_host(&mut self, frame: &[u8]) {
        assert_eq!(self.judge(Way::In, frame), Verdict::ToHost, "{frame:02x?}");
    }

    /// The events since this was last asked.
    pub fn events(&self) -> Vec<FlowEvent> {
        let mut ring = events(self.kernel.pins()).unwrap();
        let mut all = Vec::new();
        while let Some(item) = ring.next() {
            all.push(FlowEvent::from_bytes((*item).try_into().unwrap()).unwrap());
        }
        all
    }

    /// The denials since this was last asked, in their order.
    pub fn denials(&self) -> Vec<Taken> {
        let mut taken = self.monitor.take_denials(&mut Written::default());
        taken.sort_by_key(|taken| (taken.first, taken.key));
        taken
    }

    /// How many entries the index of sessions has in the kernel.
    pub fn index_entries(&self) -> usize {
        self.kernel.index_entries()
    }

    /// Keys of the flows in the kernel, ordered.
    pub fn kernel_flows(&self) -> Vec<gateway_common::abi::FlowKey> {
        let mut keys: Vec<_> = self.monitor.flows().map(|(key, _)| key).collect();
        keys.sort();
        keys
    }
}
