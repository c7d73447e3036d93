//! The tables' keys and values, byte for byte as kernel and daemon exchange them.
//!
//! Keys are compared as bytes, so every byte is named and padding is zero. No `bool`, `enum` or `Option` lives here:
//! whatever the other side wrote must be a valid value. Sizes are asserted at the end.

mod app;
mod capture;
mod denial;
mod event;
mod explained;
mod flow;
mod fragments;
mod interface;
mod port;
mod service;
mod session;

pub use app::{AppEntry, AppKey, AppPrefix, AppTraffic, Budget, BudgetKey, Grant, GrantKey, GrantSlot};
pub use capture::{CaptureCount, CaptureGate, CaptureHead, CaptureOrder, CaptureRecord};
pub use denial::{Denial, DenialKey};
pub use event::{EVENT_WINDOW, EventGate, FlowEvent, Opening, Unrecorded};
pub use explained::Explained;
pub use flow::{Carried, Flow, FlowCopy, FlowKey};
pub use fragments::{FragmentKey, Fragments};
pub use interface::{Interface, InterfaceRow, Vlan, VlanKey};
pub use port::Port;
pub use service::{ServiceKey, SourceKey};
pub use session::{Limits, Session, SessionKey, allow_list, app_set, place, policy_word};

/// Changes with every change of layout or meaning in this module. Compared before anything is attached or adopted.
pub const ABI_VERSION: u32 = if cfg!(feature = "next-abi") { 9 } else { 8 };

/// Changes with what only flows are made of: [`FlowKey`], [`Flow`], [`crate::table::flows`] and
/// [`crate::table::Secrets`]. Where it is the same, flows are carried over to tables of another [`ABI_VERSION`].
pub const FLOW_VERSION: u32 = 1;

/// Names of the maps, in the order of the packet path.
pub mod map {
    /// Guarded interfaces, near the place that their index gives; memory-mapped by the daemon.
    pub const INTERFACES: &str = "INTERFACES";
    /// VLANs that guarded interfaces carry.
    pub const VLANS: &str = "VLANS";
    /// Not a map: the variable in which the programs are told the [`crate::table::Layout`].
    pub const LAYOUT: &str = "LAYOUT";
    /// Not a map either: 1, or 0 where what is judged is neither counted nor told.
    pub const RECORDS: &str = "RECORDS";
    /// One entry: the [`crate::table::Secrets`] with which the other maps were filled, for the next daemon.
    pub const SECRETS: &str = "SECRETS";
    /// One entry: [`super::Epoch`]; memory-mapped by the daemon.
    pub const EPOCH: &str = "EPOCH";
    /// (zone, address) → slot in [`SESSIONS`]: see [`crate::table::index`]; memory-mapped by the daemon.
    pub const SESSION_INDEX: &str = "SESSION_INDEX";
    /// Which sources may have a session: see [`crate::table::filter`]; memory-mapped by the daemon.
    pub const SESSION_FILTER: &str = "SESSION_FILTER";
    /// Session slots; memory-mapped by the daemon.
    pub const SESSIONS: &str = "SESSIONS";
    /// Flows by 5-tuple and zone: see [`crate::table::flows`]; memory-mapped by the daemon. Where there is no room, the
    /// one that was silent longest gives way.
    pub const FLOWS: &str = "FLOWS";
    /// First fragments that were forwarded. Least recently used ones give way.
    pub const FRAGMENTS: &str = "FRAGMENTS";
    /// Sources that speak to the gateway itself, and how fast. Least recently used ones give way.
    pub const SOURCES: &str = "SOURCES";
    /// The gateway's own addresses and services.
    pub const SERVICES: &str = "SERVICES";
    /// Which addresses may be the gateway's own: see [`crate::table::filter`]; memory-mapped by the daemon.
    pub const OWN_FILTER: &str = "OWN_FILTER";
    /// Prefixes from which the management services may be reached.
    pub const MANAGEMENT: &str = "MANAGEMENT";
    /// (app set, prefix) → block.
    pub const APP_PREFIXES: &str = "APP_PREFIXES";
    /// (block, protocol, port) → app.
    pub const APPS: &str = "APPS";
    /// (allow-list, app) → slot in [`GRANTS`]: see [`crate::table::index`]; memory-mapped by the daemon.
    pub const GRANT_INDEX: &str = "GRANT_INDEX";
    /// Slots of grants; memory-mapped by the daemon.
    pub const GRANTS: &str = "GRANTS";
    /// Bytes of sessions with apps that have a budget.
    pub const BUDGETS: &str = "BUDGETS";
    /// One entry per CPU: [`super::Cpu`].
    pub const CPU: &str = "CPU";
    /// Packets by interface slot and verdict code, but for those that were forwarded: [`super::Cpu::forwarded`].
    pub const VERDICTS: &str = "VERDICTS";
    /// Packets and bytes by app and direction.
    pub const APP_TRAFFIC: &str = "APP_TRAFFIC";
    /// Denials, added up: see [`crate::table::denials`]; memory-mapped by the daemon, which takes them.
    pub const DENIALS: &str = "DENIALS";
    /// Flows that have begun, and flows that had to give way.
    pub const EVENTS: &str = "EVENTS";
    /// Per CPU: how many events this window has seen, and how many were lost since load.
    pub const EVENT_GATE: &str = "EVENT_GATE";
    /// One entry per CPU: [`super::Unrecorded`].
    pub const UNRECORDED: &str = "UNRECORDED";
    /// One entry: [`super::CaptureOrder`]; memory-mapped by the daemon.
    pub const CAPTURE: &str = "CAPTURE";
    /// One entry per CPU: [`super::CaptureGate`].
    pub const CAPTURE_GATE: &str = "CAPTURE_GATE";
    /// [`super::CaptureCount`] per CPU, by interface slot.
    pub const CAPTURE_COUNTS: &str = "CAPTURE_COUNTS";
    /// Denied packets on their way to whoever captures them: each a [`super::CaptureHead`] and bytes.
    pub const CAPTURED: &str = "CAPTURED";
    /// One entry: [`super::Settings`].
    pub const SETTINGS: &str = "SETTINGS";
    /// Interfaces between which packets are forwarded in XDP, by index.
    pub const PORTS: &str = "PORTS";
    /// Those to which packets may be redirected.
    pub const TARGETS: &str = "TARGETS";
}

/// What the daemon tells the programs as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Settings {
    /// [`ABI_VERSION`] of whoever filled the maps.
    pub abi_version: u32,
    /// Events of each kind that one CPU may emit in one [`EVENT_WINDOW`].
    pub events_per_window: u32,
    /// Denials that one CPU may answer in one [`EVENT_WINDOW`].
    pub answers_per_window: u32,
    /// The mark of the resets by which the daemon ends connections; random, never 0.
    pub reset_mark: u32,
    /// Nanoseconds between two packets of one source to the gateway itself, in the long run; 0 for no limit.
    pub service_interval: u64,
    /// How long a session that scans is held, in nanoseconds.
    pub quarantine: u64,
}

/// What holds for all packets: what is remembered of them counts in one epoch only, and the daemon lives. Alone in its cache
/// line, because every packet reads it.
#[derive(Default, Debug)]
#[repr(C, align(64))]
pub struct Epoch {
    /// A number that grows by [`Epoch::ACCESS`] whenever access that was given may have been taken away: then packets are
    /// judged again. It grows by one whenever a way may have become another one: then it is asked for again. When there
    /// were [`Epoch::ACCESS`] of these the carry has everything judged again, so that no number comes twice.
    pub number: crate::Word,
    /// Until when somebody sees to that whenever a way becomes another one, on the boot clock: after that no way is
    /// remembered.
    pub watched_until: crate::Word,
    /// Until when the daemon's word counts, on the boot clock. Apps that do not [outlast](AppEntry::OUTLASTS) it can be
    /// reached until then, and for as long as the daemon renews it.
    pub lease_until: crate::Word,
}

impl Epoch {
    /// How far from each other the numbers are between which access may have been taken away.
    pub const ACCESS: u64 = 1 << 16;

    /// Whether what was judged in epoch `stamp` counts in epoch `now`. 0 is no epoch.
    #[inline(always)]
    #[must_use]
    pub const fn counts(stamp: u64, now: u64) -> bool {
        stamp != 0 && (stamp ^ now) < Self::ACCESS
    }
}

/// What a CPU keeps from packet to packet: the boot clock as it last read it, which packets of one tick share; and because that
/// is at hand for every packet, the counter that most of them add to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Cpu {
    /// The kernel's count of ticks when it last read the clock.
    pub jiffies: u64,
    /// What the clock said.
    pub boot: u64,
    /// Packets that were forwarded, by interface slot.
    pub forwarded: [u64; Interface::LIMIT as usize],
}

const _: () = {
    use core::mem::{align_of, offset_of, size_of};
    assert!(size_of::<Settings>() == 32);
    assert!(size_of::<Cpu>() == 16 + 8 * Interface::LIMIT as usize);
    assert!(size_of::<VlanKey>() == 8);
    assert!(size_of::<Port>() == 8);
    assert!(size_of::<Interface>() == 16);
    assert!(size_of::<SessionKey>() == 24);
    assert!(size_of::<Session>() == 192 && align_of::<Session>() == 64);
    assert!(offset_of!(Session, authenticated_at) == 64 && offset_of!(Session, limits) == 128);
    assert!(size_of::<FlowKey>() == 48);
    assert!(size_of::<Flow>() == 192 && align_of::<Flow>() == 64);
    assert!(offset_of!(Flow, good_until) == 64 && offset_of!(Flow, to_client) == 128);
    assert!(size_of::<GrantSlot>() == 32 && align_of::<GrantSlot>() == 32);
    assert!(size_of::<crate::table::index::Bucket>() == 64 && size_of::<crate::table::Secrets>() == 128);
    assert!(size_of::<InterfaceRow>() == 16 && size_of::<Epoch>() == 64);
    assert!(size_of::<FragmentKey>() == 48 && size_of::<Fragments>() == 48);
    assert!(size_of::<SourceKey>() == 24);
    assert!(size_of::<BudgetKey>() == 16 && size_of::<Budget>() == 16);
    assert!(size_of::<ServiceKey>() == 24);
    assert!(size_of::<AppPrefix>() == 20);
    assert!(size_of::<AppKey>() == 8);
    assert!(size_of::<GrantKey>() == 8);
    assert!(size_of::<Grant>() == 24);
    assert!(size_of::<AppTraffic>() == 32);
    assert!(size_of::<EventGate>() == 24);
    assert!(size_of::<FlowEvent>() == 120);
    assert!(size_of::<Unrecorded>() == 48);
    assert!(size_of::<DenialKey>() == 64);
    assert!(size_of::<Denial>() == 128 && align_of::<Denial>() == 64 && offset_of!(Denial, state) == 64);
    assert!(size_of::<[u64; 4]>() == Explained::LENGTH);
    assert!(size_of::<CaptureOrder>() == 128 && align_of::<CaptureOrder>() == 64);
    assert!(size_of::<CaptureGate>() == 24 && size_of::<CaptureCount>() == 40);
    assert!(size_of::<CaptureHead>() == 96 && offset_of!(CaptureRecord, bytes) == 96);
    // Each reason has a bit in a word.
    assert!(crate::DropReason::LIMIT <= 64);
};

#[cfg(all(feature = "user", not(target_arch = "bpf")))]
mod pod {
    use super::*;

    macro_rules! pod {
        ($($type:ty),+) => {
            $(
                // SAFETY: `repr(C)`, made of integers and integer arrays only, every byte named (the size is asserted
                // above), and any bit pattern is a valid value.
                unsafe impl aya::Pod for $type {}
            )+
        };
    }
    pod!(Settings, Interface, SessionKey, FlowKey, ServiceKey, AppPrefix, AppKey, GrantKey, Grant);
    pod!(
        crate::table::Layout,
        crate::table::Secrets,
        Cpu,
        AppTraffic,
        EventGate,
        Unrecorded,
        CaptureCount,
        VlanKey,
        Vlan,
        FragmentKey,
        SourceKey,
        BudgetKey,
        AppEntry,
        Port
    );
}
