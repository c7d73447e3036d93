//! What the comparison with the oracle does not reach: answers to denied packets, tables that refuse or lag behind, and
//! what flows remember of their ways.
//!
//! Each check is a test here, and one more way to notice a planted mistake in `cargo xtask mutants`.

#[macro_use]
#[path = "law/checks.rs"]
mod checks;
#[path = "law/answers.rs"]
mod answers;
#[path = "law/client.rs"]
mod client;
#[path = "law/tables.rs"]
mod tables;
#[path = "law/ways.rs"]
mod ways;
