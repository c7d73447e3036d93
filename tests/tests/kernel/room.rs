//! Room for what a start finds and for what it writes, whatever an earlier one has left.

use gateway_common::KernelNanos;
use gateway_common::abi::{AppEntry, AppKey, Grant, GrantKey, Session, SessionKey};
use gateway_userspace::dataplane::{DataPlane as _, KernelDataPlane, reconcile};
use gateway_userspace::policy::table::SessionEntry;
use gateway_userspace::policy::{
    AllowListId, AppSetId, BlockId, Capacities, Plan, SessionLimits, SessionToken, Step, TableSet,
};

use crate::ground::Bpffs;
use crate::usual::SETTINGS;

const CAPACITIES: Capacities = Capacities {
    sessions: 16,
    flows: 16,
    app_prefixes: 16,
    app_ports: 16,
    grants: 256,
    apps: 16,
    budgets: 16,
    fragments: 16,
    sources: 16,
};

/// Full tables, with numbers of their own; the sessions are the same in all generations.
fn generation(number: u32) -> TableSet {
    let blocks = || (0..16_u32).map(|at| (at, BlockId(number * 16 + at)));
    let prefix = |at| format!("10.30.{at}.0/24").parse().unwrap();
    let port =
        |block: BlockId| AppKey { block: block.0, port: 443_u16.to_be_bytes(), protocol: 6, side: AppKey::SERVICE };
    let grants = (1..=256).map(|app| (GrantKey { allow_list: number, app }, Grant::UNLIMITED));
    TableSet {
        app_prefixes: blocks().map(|(at, block)| ((AppSetId(number), prefix(at)), block)).collect(),
        apps: blocks().map(|(at, block)| (port(block), AppEntry::new(at + 1, false))).collect(),
        grants: grants.collect(),
        sessions: (1..=4).map(|token| (SessionToken(token), entry(token, number))).collect(),
    }
}

fn entry(token: u64, number: u32) -> SessionEntry {
    SessionEntry {
        address: address(token),
        zone: 1,
        interface: 1,
        mac: None,
        deadline: KernelNanos::NEVER,
        authenticated_at: KernelNanos(1),
        app_set: AppSetId(number),
        allow_list: AllowListId(number),
        limits: SessionLimits::default(),
    }
}

fn address(token: u64) -> std::net::IpAddr {
    [10, 77, 0, token as u8].into()
}

#[test]
fn start_after_one_that_was_broken_off_finds_room_and_every_session_keeps_its_slot() {
    let bpffs = Bpffs::mount();
    let (mut kernel, _programs) =
        KernelDataPlane::open(&bpffs.path().join("portcullis"), CAPACITIES, SETTINGS).unwrap();
    reconcile(&mut kernel, &generation(1)).unwrap();
    let mut broken_off = Plan::between(&generation(1), &generation(2));
    let moved = broken_off.steps.iter().position(|step| matches!(step, Step::UpdateSession(..))).unwrap();
    broken_off.steps.truncate(moved + 2);
    kernel.apply(&broken_off).unwrap();

    let slots = |kernel: &KernelDataPlane| {
        let slot = |token| kernel.session_slot(&SessionKey::new(1, address(token).into())).unwrap() as *const Session;
        (1..=4).map(slot).collect::<Vec<_>>()
    };
    let before = slots(&kernel);
    reconcile(&mut kernel, &generation(3)).unwrap();
    assert_eq!(kernel.actual().unwrap(), generation(3));
    assert_eq!(slots(&kernel), before);
}
