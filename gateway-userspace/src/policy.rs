//! Who may reach what: users, groups, apps, sessions, Cedar policies, and the tables that follow from them.
//!
//! Pure: no clock, socket, file, BPF map or HTTP lives here. [`Gateway::handle`] takes an input and the time, and
//! returns what changed, with the plan that brings the kernel's tables there. All or nothing: a refused input changes
//! nothing.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod model;

pub mod bundle;
pub mod cedar;
pub mod change;
pub mod compile;
pub mod gateway;
pub mod history;
pub mod plan;
pub mod table;

pub use bundle::{Bundle, Declared, Difference, Names};
pub use cedar::{PolicyError, PolicyFile, PolicySet, PolicyWarning};
pub use change::{AppProblem, Capacities, Changed, EndCause, Ended, Input, Refusal, Regranted, Selector};
pub use gateway::{
    Alike, Assumed, Destination, Drafted, Fact, Gateway, Missing, NextIds, Opinion, Permit, Problem, Reach, ReachError,
    ReachMap, ReachOf, Rehearsal, Restored, Ruling, Stance, Way,
};
pub use history::{History, HistoryEntry, Undo};
pub use model::*;
pub use plan::{Plan, Step};
pub use table::TableSet;
