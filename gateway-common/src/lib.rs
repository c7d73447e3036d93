//! What the kernel and the host must agree on: the layout of the tables, the drop reasons, and the packet law.
//!
//! The same source is compiled into the XDP and TC programs, into the daemon, into the in-memory data plane and into
//! the tests. Nothing here allocates, panics, reads a clock or touches a map: packets and tables come in through the
//! traits [`Frame`] and [`Tables`], time comes in as a parameter.
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch, core_intrinsics), allow(internal_features))]
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

pub mod abi;
pub mod address;
pub mod answer;
pub mod forward;
pub mod fragments;
pub mod frame;
pub mod law;
pub mod limits;
pub mod mutant;
pub mod packet;
pub mod reason;
pub mod rehearsal;
pub mod table;
pub mod tables;
pub mod time;
pub mod verdict;
pub mod word;

pub use address::Address;
pub use frame::{Frame, FrameMut};
pub use packet::Packet;
pub use reason::DropReason;
pub use tables::Tables;
pub use time::KernelNanos;
pub use verdict::{Answering, Direction, Judgement, Verdict};
pub use word::Word;
