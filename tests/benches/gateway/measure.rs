//! What all suites measure with: options, rows, rounds, keys, and a gateway with many sessions.

pub mod busy;
pub mod driver;
pub mod keys;
pub mod options;
pub mod plane;
pub mod progress;
pub mod row;
