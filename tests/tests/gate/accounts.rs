//! What records say, and what is counted as unrecorded, is what the kernel has counted: packet by packet and byte by byte.

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Gate, flood::Volley, wait_until};
use serde_json::{Value, json};

use crate::record::sum;
use crate::scene::SOON;

/// Connections at once: between two ports of the client and all of the app.
const CONNECTIONS: u32 = 1 << 17;
/// Packets of each, in each direction.
const TURNS: u32 = 40;

/// What was forwarded to the app and to clients (packets and bytes each) and denied, as somebody says.
type Sums = [u64; 5];

fn counted(metrics: &str) -> Sums {
    let of = |what: &str, direction: &str| {
        sum(metrics, &format!("portcullis_app_{what}_total{{app=\"bulk\",direction=\"{direction}\"}}")) as u64
    };
    let denied = sum(metrics, "portcullis_drops_total{") as u64;
    [of("packets", "to_app"), of("bytes", "to_app"), of("packets", "to_client"), of("bytes", "to_client"), denied]
}

fn unrecorded(metrics: &str) -> Sums {
    let of = |unit: &str, what: &str| {
        let of = |why| sum(metrics, &format!("portcullis_unrecorded_{unit}_total{{what=\"{what}\",why=\"{why}\"}}"));
        // What is missing in the archive alone is in the access log.
        (of("lost") + of("access_log")) as u64
    };
    let [packets, bytes] = ["packets", "bytes"];
    [
        of(packets, "to_app"),
        of(bytes, "to_app"),
        of(packets, "to_client"),
        of(bytes, "to_client"),
        of(packets, "denied"),
    ]
}

/// And how many flows have ended.
fn recorded(records: &[Value]) -> (Sums, usize) {
    let number = |record: &Value, key: &str| record[key].as_u64().unwrap_or_default();
    let is_end = |record: &&Value| record["type"] == "flow_end" && record["incomplete"] != true;
    let ends = records.iter().filter(is_end).filter(|record| record["app"] == "bulk");
    let mut sums = ends.clone().fold(Sums::default(), |[a, b, c, d, e], end| {
        let of = |key| number(end, key);
        let to_client = [of("to_client_packets"), of("to_client_bytes")];
        [a + of("to_app_packets"), b + of("to_app_bytes"), c + to_client[0], d + to_client[1], e]
    });
    let denied = records.iter().filter(|record| record["type"] == "denied");
    sums[4] = denied.map(|record| number(record, "packets")).sum();
    (sums, ends.count())
}

/// After alice's session has ended nothing is open, and everything has to be accounted for.
fn is_all_accounted_for(gate: &Gate) -> Result<(Sums, Sums, usize)> {
    gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
    let look = || -> Option<(Sums, Sums, (Sums, usize))> {
        let metrics = gate.api.get("/metrics").ok()?.text;
        Some((counted(&metrics), unrecorded(&metrics), recorded(&gate.records().ok()?)))
    };
    let all = wait_until("all packets to be accounted for", 6 * SOON, || {
        look().filter(|(counted, lost, (told, _))| (0..5).all(|at| counted[at] == lost[at] + told[at]))
    });
    let (counted, lost, (_, ends)) = all.with_context(|| format!("counted, unrecorded, recorded: {:?}", look()))?;
    println!("{:?}", gate.drops()?.iter().filter(|(_, packets)| **packets != 0).collect::<Vec<_>>());
    println!("{counted:?} packets and bytes were counted, {lost:?} of them are in no record; {ends} ends of flows");
    Ok((counted, lost, ends))
}

#[test]
fn ten_million_packets_of_a_hundred_thousand_connections_are_in_records_or_counted() -> Result<()> {
    let gate = Gate::open_wide(2 * CONNECTIONS, |config| config)?;
    let [requests, replies] = Volley::of_both_sides(&gate.world, CONNECTIONS)?;
    for _ in 0..TURNS {
        requests.send_in_turns(CONNECTIONS)?;
        replies.send_in_turns(CONNECTIONS)?;
    }
    let (counted, _, ends) = is_all_accounted_for(&gate)?;
    // To and from port 0 there is nothing, and a card may lose something.
    ensure!(counted[0] + counted[2] > 10_000_000 && counted[2] > 2_000_000, "{counted:?}");
    // All of them end at once.
    ensure!(ends > 100_000, "{ends}");
    Ok(())
}

#[test]
fn connections_that_give_way_to_others_are_in_records_or_counted() -> Result<()> {
    let gate = Gate::open_wide(4_096, |config| config)?;
    let [requests, replies] = Volley::of_both_sides(&gate.world, CONNECTIONS)?;
    requests.send_in_turns(CONNECTIONS)?;
    // Of most of these the connection is not remembered any more.
    replies.send_in_turns(CONNECTIONS)?;
    let (counted, _, _) = is_all_accounted_for(&gate)?;
    ensure!(counted[0] > u64::from(CONNECTIONS) / 2 && counted[4] > u64::from(CONNECTIONS) / 2, "{counted:?}");
    Ok(())
}
