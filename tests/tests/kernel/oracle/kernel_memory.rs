//! What packets leave behind in the kernel's tables, compared with the oracle's beside some nanoseconds.

use super::memory::{as_numbers, key, of_client, of_flow, of_session};
use super::tables::Oracle;
use aya::maps::{HashMap, Map, MapData};
use gateway_common::Address;
use gateway_common::abi::{BudgetKey, SessionKey, map};
use gateway_userspace::dataplane::{KernelDataPlane, Monitor};
use std::path::Path;

/// Where the last forwarded packet stands in [`of_client`].
const LAST_FORWARDED: usize = 7;

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
        let found =
            plane.session_slot(&key).map_or(vec![], |slot| of_session(slot, monitor.flows().map(|(_, flow)| flow)));
        let mut own = of_client(client);
        if let (false, Some(known), Some(last)) =
            (client.is_live(), found.get(LAST_FORWARDED), own.get_mut(LAST_FORWARDED))
        {
            // What its flows said went when they became another session's; the daemon has asked them before.
            *last = (*last).min(*known);
        }
        check(format!("{client:?}"), &found, &own, &[1, 2, 3, 4, 5, LAST_FORWARDED]);
    }
    wrong
}

fn pinned(pins: &Path, name: &str) -> MapData {
    MapData::from_pin(pins.join(name)).unwrap()
}
