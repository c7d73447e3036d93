//! The real daemon with many sessions, the first of which have an address of the client.

use anyhow::{Context as _, Result};
use gateway_tests::Gate;
use gateway_tests::gate;
use gateway_userspace::dataplane::{clock, interfaces::zone_number};
use gateway_userspace::identity::SecretHash;
use gateway_userspace::policy::{AllowListId, Factor, Session, SessionToken, Source, UserName};
use gateway_userspace::store::{FileStore, Store as _, StoredSession, Write};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How many there are.
pub const SESSIONS: u32 = 10_000;
/// Of those, so many are at addresses of the client.
pub const REACHABLE: u32 = 200;
/// Small enough to start at once, large enough for what is measured.
const CAPACITY: &str = "\n[capacity]\nsessions = 65_536\nflows = 262_144\n";

/// The gateway, and what its daemon needed before it had any sessions.
pub struct Filled {
    /// The gateway.
    pub gate: Gate,
    /// Memory of the idle daemon, in kB.
    pub idle: f64,
}

impl Filled {
    /// With the sessions in the store; the daemon has stopped.
    pub fn new() -> Result<Self> {
        let config = gate::config().split("\n[capacity]\n").next().unwrap_or_default().to_owned() + CAPACITY;
        let mut gate = Gate::with(|_| config.clone())?;
        // Making the users took memory for their passwords' hashes, which an idle daemon does not have.
        gate.daemon.restart()?;
        let idle = resident(gate.daemon.pid())?;
        let index = gate.world.gateway.enter(|| nix::net::if_::if_nametoindex("guard0"))??;
        gate.daemon.stop()?;
        fill(&gate.world.scratch().join("state/state.redb"), index)?;
        Ok(Self { gate, idle })
    }
}

/// The address of a session.
pub fn address(number: u32) -> Ipv4Addr {
    let first = if number < REACHABLE { Ipv4Addr::new(10, 77, 0, 10) } else { Ipv4Addr::new(10, 99, 0, 0) };
    Ipv4Addr::from(u32::from(first) + number)
}

/// The name of a session.
pub fn token(number: u32) -> SessionToken {
    SessionToken(0xbe7c_0000 + u64::from(number))
}

/// Memory of a process, in kB.
pub fn resident(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// Stores sessions of alice at many addresses, as a daemon would have.
fn fill(state: &Path, interface: u32) -> Result<()> {
    let mut store = FileStore::open(state)?;
    let (now, boot_id) = (clock::boot(), clock::boot_id()?);
    let user = UserName::new("alice")?;
    let permitted = Arc::new(BTreeMap::new());
    for batch in (0..SESSIONS).collect::<Vec<_>>().chunks(100) {
        let write = |number: &u32| {
            let source = Source {
                address: address(*number).into(),
                zone: zone_number("guard0"),
                zone_name: "guard0".into(),
                interface,
                interface_name: "guard0".into(),
                mac: Some([2, 0x77, 0, 0, 0, 2]),
            };
            let session = Session {
                token: token(*number),
                user: user.clone(),
                source,
                factors: [Factor::Password].into(),
                authenticated_at: now,
                deadline: now.after(3_600_000_000_000),
                permitted: Arc::clone(&permitted),
                allow_list: AllowListId::default(),
            };
            let wall_deadline = time::OffsetDateTime::now_utc() + Duration::from_secs(3_600);
            let secret = SecretHash::from_bytes([0; 32]);
            Write::PutSession(StoredSession { session, boot_id: boot_id.as_str().into(), secret, wall_deadline })
        };
        store.commit(&batch.iter().map(write).collect::<Vec<_>>())?;
    }
    Ok(())
}
