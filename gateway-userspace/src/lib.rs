//! Portcullis in userspace: the daemon, and the command line that talks to it.
//!
//! Arrows point inward. `policy` is pure: no clock, socket, file, BPF map or HTTP. `bundle` reads what is declared
//! in a directory, without a gateway. `names` is pure, too: what is asked of the DNS when. `dataplane` applies its plans and
//! knows no users. `api`, `cli`, `export`, `identity`, `record` and `store` are the rim. `daemon` is the only file that knows
//! everyone.

pub mod api;
pub mod bundle;
pub mod cli;
pub mod config;
pub mod core;
pub mod daemon;
pub mod dataplane;
pub mod explain;
pub mod export;
pub mod health;
pub mod identity;
pub mod names;
mod outward;
pub mod policy;
pub mod record;
pub mod store;
pub mod urgency;
pub mod wire;
