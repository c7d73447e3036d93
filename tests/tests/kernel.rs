//! The law in the kernel: the loaded programs run on single frames by `BPF_PROG_TEST_RUN`, beside the in-memory twin.
//!
//! After every frame the whole counter vector of the interface is compared, so a verdict that nobody predicted shows.

#[path = "kernel/answers.rs"]
mod answers;
#[path = "kernel/capture.rs"]
mod capture;
#[path = "kernel/events.rs"]
mod events;
#[path = "kernel/explain.rs"]
mod explain;
#[path = "kernel/fate.rs"]
mod fate;
#[path = "kernel/frames.rs"]
mod frames;
#[path = "kernel/ground.rs"]
mod ground;
#[path = "kernel/observe.rs"]
mod observe;
#[path = "kernel/oracle/mod.rs"]
mod oracle;
#[path = "kernel/oracle_agrees.rs"]
mod oracle_agrees;
#[path = "kernel/parity.rs"]
mod parity;
#[path = "kernel/pieces.rs"]
mod pieces;
#[path = "kernel/reasons.rs"]
mod reasons;
#[path = "kernel/room.rs"]
mod room;
#[path = "kernel/scene.rs"]
mod scene;
#[path = "kernel/tables.rs"]
mod tables;
#[path = "kernel/usual.rs"]
mod usual;
#[path = "kernel/verifier.rs"]
mod verifier;
