//! A gateway with as many sessions as wanted, each with an allow-list of its own: the hardest case, as if no two people
//! were entitled to the same.

use crate::frames::CLIENT_MAC;
use anyhow::{Context as _, Result};
use gateway_common::Packet;
use gateway_common::abi::{AppEntry, AppKey, Grant, GrantKey};
use gateway_tests::scratch::Scratch;
use gateway_userspace::dataplane::attach::{GuardedInterface, InterfaceSettings, XdpChoice};
use gateway_userspace::dataplane::monitor::InterfaceCounters;
use gateway_userspace::dataplane::{
    DataPlane as _, KernelDataPlane, Monitor, PlaneSettings, Programs, Ways, clock, ways,
};
use gateway_userspace::policy::table::SessionEntry;
use gateway_userspace::policy::{AllowListId, AppSetId, BlockId, Capacities, Plan, SessionLimits, SessionToken, Step};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// No event is emitted: at these rates nearly none is anyway, and each opening and denial is counted as lost.
pub const SETTINGS: PlaneSettings = PlaneSettings {
    events_per_window: 0,
    answers_per_window: 0,
    service_interval: 0,
    quarantine: 0,
    lease: u64::MAX,
    records: true,
};

/// The zone of the guarded interface.
pub const ZONE: u32 = 1;
/// The app's server.
pub const APP: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 10);
/// The same over IPv6.
pub const APP6: Ipv6Addr = Ipv6Addr::new(0xfd20, 0, 0, 0, 0, 0, 0, 0x10);
/// The port that everybody is granted.
pub const GRANTED: u16 = 443;
/// The port that nobody is granted.
pub const DENIED: u16 = 8443;
/// Where new flows go: all addresses of 172.17.0.0/16 are the app's, too.
pub const MANY: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 0);

/// Of what family the clients are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The gateway's tables and programs.
pub struct Plane {
    /// The tables.
    pub kernel: KernelDataPlane,
    /// The programs.
    pub programs: Programs,
    /// What they count.
    pub monitor: Monitor,
    interface: u32,
    watching: Option<Watching>,
    capacities: Capacities,
    scratch: Arc<Scratch>,
}

/// Somebody watches the routes, as the daemon does, until this is dropped.
struct Watching {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Whether it ended well is nobody's concern any more.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What was counted between two looks.
pub struct Counted {
    before: InterfaceCounters,
    after: InterfaceCounters,
    /// Openings and denials: no event is emitted, so each is counted as lost.
    pub events: u64,
}

impl Counted {
    /// Packets that were forwarded.
    pub fn forwarded(&self) -> u64 {
        self.after.forward - self.before.forward
    }

    /// Packets that were dropped for a reason, by its label.
    pub fn dropped(&self, label: &str) -> u64 {
        let of = |counters: &InterfaceCounters| -> u64 {
            counters.drops.iter().filter(|(reason, _)| reason.label() == label).map(|(_, packets)| packets).sum()
        };
        of(&self.after) - of(&self.before)
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} forwarded, {} events", self.forwarded(), self.events)?;
        let dropped = self.after.drops.keys().map(|reason| (reason.label(), self.dropped(reason.label())));
        dropped.filter(|(_, packets)| *packets > 0).try_for_each(|(label, packets)| write!(f, ", {packets} {label}"))
    }
}

impl Plane {
    /// Empty, with room for that many sessions, grants and flows.
    pub fn empty(sessions: usize, flows: usize) -> Result<Self> {
        Self::on(1, "lo", sessions, flows)
    }

    /// The same, where the programs are told something else.
    pub fn told(sessions: usize, flows: usize, settings: PlaneSettings) -> Result<Self> {
        Self::made((1, "lo"), capacities(sessions, flows), Arc::new(Scratch::new()?), settings)
    }

    /// Programs of their own over the same tables, as a daemon loads them that takes over from another one.
    pub fn beside(&self, settings: PlaneSettings) -> Result<Self> {
        Self::made((1, "lo"), self.capacities, Arc::clone(&self.scratch), settings)
    }

    /// The same, guarding an interface.
    pub fn on(interface: u32, name: &str, sessions: usize, flows: usize) -> Result<Self> {
        Self::made((interface, name), capacities(sessions, flows), Arc::new(Scratch::new()?), SETTINGS)
    }

    fn made(
        (interface, name): (u32, &str),
        capacities: Capacities,
        scratch: Arc<Scratch>,
        settings: PlaneSettings,
    ) -> Result<Self> {
        let folder = scratch.bpffs().join("portcullis");
        let (kernel, mut programs) = KernelDataPlane::open(&folder, capacities, settings)?;
        programs.configure(&[guarded(interface, name, InterfaceSettings::default())])?;
        let monitor = Monitor::open(kernel.pins())?;
        Ok(Self { kernel, programs, monitor, interface, watching: None, capacities, scratch })
    }

    /// With the apps, and that many sessions that are granted one of them.
    pub fn furnish(mut self, family: Family, sessions: usize) -> Result<Self> {
        self.kernel.apply(&Plan { steps: apps(AppSetId(1)) })?;
        self.kernel.apply(&Plan { steps: (0..sessions).map(|number| grant(number, WEB)).collect() })?;
        let interface = self.interface;
        self.kernel.apply(&Plan { steps: (0..sessions).map(|number| open(family, number, interface)).collect() })?;
        Ok(self)
    }

    /// Lets flows remember their ways, by the routes of the network namespace that this is called in.
    pub fn watch_ways(&mut self) -> Result<()> {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = ways::watch(Ways::open(self.kernel.pins())?, Arc::clone(&stop))?;
        self.watching = Some(Watching { stop, thread: Some(thread) });
        Ok(())
    }

    /// What is counted while something is done.
    pub fn counted(&mut self, mut work: impl FnMut(&mut Self) -> Result<()>) -> Result<Counted> {
        let look = |plane: &Self| plane.monitor.interface(plane.interface)?.context("the interface is not guarded");
        let (before, events) = (look(self)?, self.monitor.openings_lost()?);
        work(self)?;
        Ok(Counted { before, after: look(self)?, events: self.monitor.openings_lost()? - events })
    }
}

fn capacities(sessions: usize, flows: usize) -> Capacities {
    Capacities { sessions, flows, grants: sessions.max(1_024), ..Capacities::default() }
}

/// The interface that the gateway guards.
pub fn guarded(interface: u32, name: &str, settings: InterfaceSettings) -> GuardedInterface {
    GuardedInterface {
        name: name.to_owned(),
        index: interface,
        zone: ZONE,
        zone_name: "clients".to_owned(),
        has_link_layer: true,
        mode: XdpChoice::Native,
        settings,
        vlans: Vec::new(),
    }
}

/// The address of a client.
pub fn client(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 1, 0)) + number as u32)
}

/// The address of somebody without a session.
pub fn stranger(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 128, 1, 0)) + number as u32)
}

/// The address of a client over IPv6.
pub fn client6(number: usize) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x100)) + number as u128)
}

const WEB: u32 = 1;
const VAULT: u32 = 2;

/// The apps, under an app set.
pub fn apps(app_set: AppSetId) -> Vec<Step> {
    let block = |number| BlockId(app_set.0 * 10 + number);
    let port = |BlockId(block), port: u16, app| {
        let key = AppKey { block, port: port.to_be_bytes(), protocol: Packet::TCP, side: AppKey::SERVICE };
        Step::PutApp(key, AppEntry::new(app, false))
    };
    let prefix = |address: IpAddr, length, number| {
        let prefix = ipnet::IpNet::new_assert(address, length);
        Step::PutAppPrefix(app_set, prefix, block(number))
    };
    vec![
        port(block(1), GRANTED, WEB),
        port(block(1), DENIED, VAULT),
        port(block(2), GRANTED, WEB),
        prefix(APP.into(), 32, 1),
        prefix(APP6.into(), 128, 1),
        prefix(MANY.into(), 16, 2),
    ]
}

/// The grant of a session's own list.
pub fn grant(number: usize, app: u32) -> Step {
    Step::PutGrant(GrantKey { allow_list: number as u32 + 1, app }, Grant::UNLIMITED)
}

/// The beginning of a session.
pub fn open(family: Family, number: usize, interface: u32) -> Step {
    Step::OpenSession(token(number), session(family, number, interface, AppSetId(1)))
}

/// The name of a session.
pub fn token(number: usize) -> SessionToken {
    SessionToken(0xbe7c_0000_0000 + number as u64)
}

/// A session of an app set, for hours, by the list of its own.
pub fn session(family: Family, number: usize, interface: u32, app_set: AppSetId) -> SessionEntry {
    let now = clock::boot();
    SessionEntry {
        address: match family {
            Family::V4 => client(number).into(),
            Family::V6 => client6(number).into(),
        },
        zone: ZONE,
        interface,
        mac: Some(CLIENT_MAC),
        deadline: now.after(36_000_000_000_000),
        authenticated_at: now,
        app_set,
        allow_list: AllowListId(number as u32 + 1),
        limits: SessionLimits::default(),
    }
}
