//! What everything that takes bytes from outside must hold, whatever the bytes are.
//!
//! Each [`Target`] is one function of bytes that panics when something does not hold. `cargo xtask cover` searches for
//! such bytes by libFuzzer, guided by coverage; the ordinary tests replay what it has found so far, from
//! `corpus/<target>/`. Nothing here needs root, a kernel or a network.

mod api;
mod apps;
mod bundle;
mod bytes;
mod config;
mod event;
mod law;
mod place;
mod policy;
mod state;
mod store;
mod text;
mod wire;

/// Something that takes bytes from outside.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Takes the bytes; panics if anything does not hold.
    pub run: fn(&[u8]),
    /// Honest bytes to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: [Target; 11] = [
    Target { name: "api", run: api::run, seeds: api::seeds },
    Target { name: "apps", run: apps::run, seeds: apps::seeds },
    Target { name: "bundle", run: bundle::run, seeds: bundle::seeds },
    Target { name: "config", run: config::run, seeds: config::seeds },
    Target { name: "event", run: event::run, seeds: event::seeds },
    Target { name: "law", run: law::run, seeds: law::seeds },
    Target { name: "policy", run: policy::run, seeds: policy::seeds },
    Target { name: "state", run: state::run, seeds: state::seeds },
    Target { name: "store", run: store::run, seeds: store::seeds },
    Target { name: "text", run: text::run, seeds: text::seeds },
    Target { name: "wire", run: wire::run, seeds: wire::seeds },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
