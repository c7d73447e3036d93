//! The law in the kernel: the loaded programs run on single frames by `BPF_PROG_TEST_RUN`, beside the in-memory twin.
//!
//! After every frame the whole counter vector of the interface is compared, so a verdict that nobody predicted shows.

#[path = "kernel/frames.rs"]
mod frames;
#[path = "kernel/oracle.rs"]
mod oracle;
#[path = "kernel/oracle_agrees.rs"]
mod oracle_agrees;
#[path = "kernel/oracle_frames.rs"]
mod oracle_frames;
#[path = "kernel/oracle_reader.rs"]
mod oracle_reader;
#[path = "kernel/oracle_tables.rs"]
mod oracle_tables;
#[path = "kernel/oracle_world.rs"]
mod oracle_world;
#[path = "kernel/parity.rs"]
mod parity;
#[path = "kernel/reasons.rs"]
mod reasons;
#[path = "kernel/scene.rs"]
mod scene;
