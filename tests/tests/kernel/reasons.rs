//! One named test per drop reason, and the ways through that are next to it.

#[path = "reasons/app.rs"]
mod app;
#[path = "reasons/direction.rs"]
mod direction;
#[path = "reasons/fragments.rs"]
mod fragments;
#[path = "reasons/gateway.rs"]
mod gateway;
#[path = "reasons/icmp.rs"]
mod icmp;
#[path = "reasons/lease.rs"]
mod lease;
#[path = "reasons/limits.rs"]
mod limits;
#[path = "reasons/link.rs"]
mod link;
#[path = "reasons/neighbours.rs"]
mod neighbours;
#[path = "reasons/network.rs"]
mod network;
#[path = "reasons/permitted.rs"]
mod permitted;
#[path = "reasons/resets.rs"]
mod resets;
#[path = "reasons/session.rs"]
mod session;
#[path = "reasons/transport.rs"]
mod transport;

use gateway_common::DropReason;
use std::path::Path;

#[test]
fn every_reason_is_named_by_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernel/reasons");
    let read = |file: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(file.unwrap().path()).unwrap();
    let tests: String = std::fs::read_dir(folder).unwrap().map(read).collect();
    for reason in DropReason::ALL {
        assert!(tests.contains(&format!("DropReason::{reason:?}")), "{reason:?} has no test");
    }
}
