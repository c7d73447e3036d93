//! What packets leave behind in the kernel's tables, compared with the oracle's beside some nanoseconds.

use super::memory::{as_numbers, key, of_client, of_session};
use super::tables::Oracle;
use aya::maps::{HashMap, Map, MapData};
use gateway_common::Address;
use gateway_common::abi::{BudgetKey, FlowCopy, SessionKey, map};
use gateway_userspace::dataplane::{KernelDataPlane, Monitor};
use std::path::Path;

/// How the kernel's tables, pinned in this folder, differ.
pub fn differences(plane: &KernelDataPlane, oracle: &Oracle, margin: u64) -> Vec<String> {
    let pins = plane.pins();
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
    for client in &oracle.clients {
        let key = SessionKey::new(client.entry.zone, Address::from(client.entry.address));
        let found = plane.session_slot(&key).map_or(vec![], of_session);
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
