//! What packets leave behind in the kernel's tables, compared with the oracle's beside some nanoseconds.

use super::memory::{as_numbers, key, of_client};
use super::tables::Oracle;
use aya::maps::{Array, HashMap, Map, MapData};
use gateway_common::Address;
use gateway_common::abi::{BudgetKey, FlowCopy, Session, SessionKey, map};
use gateway_userspace::dataplane::Monitor;
use std::path::Path;

const WORDS: usize = size_of::<Session>() / 8;

/// How the kernel's tables, pinned in this folder, differ.
pub fn differences(pins: &Path, oracle: &Oracle, margin: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |what: String, kernel: &[u64], own: &[u64], times: &[usize]| {
        let is_like = |place: usize| {
            let tolerance = if times.contains(&place) { margin } else { 0 };
            kernel[place].abs_diff(own[place]) <= tolerance
        };
        if kernel.len() != own.len() || !(0..own.len()).all(is_like) {
            wrong.push(format!("{what}: kernel {kernel:x?}, oracle {own:x?}"));
        }
    };
    let monitor = Monitor::open(pins).unwrap();
    check("number of flows".into(), &[monitor.flows().count() as u64], &[oracle.flows.len() as u64], &[]);
    for (name, flow) in &oracle.flows {
        let found = monitor.flow(&key(name)).map_or(vec![], of_flow);
        check(format!("{name:?}"), &found, &as_numbers(flow), &[5, 6]);
    }
    let budgets: HashMap<_, BudgetKey, [u64; 2]> = HashMap::try_from(Map::HashMap(pinned(pins, map::BUDGETS))).unwrap();
    check("number of budgets".into(), &[budgets.keys().count() as u64], &[oracle.accounts.len() as u64], &[]);
    for ((token, app), account) in &oracle.accounts {
        let found = budgets.get(&BudgetKey { token: *token, app: *app, reserved: 0 }, 0).map_or(vec![], Vec::from);
        check(format!("budget of {token:x} for {app}"), &found, &[account.used, account.limit], &[]);
    }
    let index: HashMap<_, SessionKey, u32> = HashMap::try_from(Map::HashMap(pinned(pins, map::SESSION_INDEX))).unwrap();
    let slots: Array<_, [u64; WORDS]> = Array::try_from(Map::Array(pinned(pins, map::SESSIONS))).unwrap();
    for client in &oracle.clients {
        let key = SessionKey::new(client.entry.zone, Address::from(client.entry.address));
        let found = index.get(&key, 0).ok().and_then(|slot| slots.get(&slot, 0).ok()).map_or(vec![], of_slot);
        check(format!("{client:?}"), &found, &of_client(client), &[1, 2, 3, 4, 5, 7]);
    }
    wrong
}

fn pinned(pins: &Path, name: &str) -> MapData {
    MapData::from_pin(pins.join(name)).unwrap()
}

fn of_flow(flow: FlowCopy) -> Vec<u64> {
    let FlowCopy { token, policy, deadline, app, ends, opened_at, last_seen, .. } = flow;
    let carried = [flow.to_app_packets, flow.to_app_bytes, flow.to_client_packets, flow.to_client_bytes];
    let progress = [flow.client_progress, flow.app_progress];
    [&[token, policy, deadline, app, ends, opened_at, last_seen][..], &carried, &progress].concat()
}

/// The words of a slot that packets write, in the order of [`of_client`].
fn of_slot(words: [u64; WORDS]) -> Vec<u64> {
    let at = |offset: usize| words[offset / 8];
    let limits = std::mem::offset_of!(Session, limits);
    let traffic = std::mem::offset_of!(Session, traffic);
    let mut all = vec![at(std::mem::offset_of!(Session, state)), at(std::mem::offset_of!(Session, quarantined_until))];
    // Behind the three limits: flows paid, bytes paid twice, window, tried.
    all.extend((3..8).map(|word| at(limits + 8 * word)));
    all.push(at(std::mem::offset_of!(Session, last_forwarded)));
    all.extend((0..4).map(|word| at(traffic + 8 * word)));
    all.push(at(std::mem::offset_of!(Session, dropped)));
    all
}
