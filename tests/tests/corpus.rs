//! The corpus: attacks, and the honest packets beside them, each with what becomes of it and why.
//!
//! The packets are in `tests/corpus`, in hexadecimal; its README says how they are written and who is in the world they
//! belong to. What is expected of them was derived from `docs/law.md`, not from the law. Each case runs in three places:
//! in the loaded programs beside the in-memory twin, on a wire behind native XDP, and on a wire behind generic XDP.

#[path = "corpus/bench.rs"]
mod bench;
#[path = "corpus/cast.rs"]
mod cast;
#[path = "corpus/daemon.rs"]
mod daemon;
#[path = "corpus/forward.rs"]
mod forward;
#[path = "corpus/hosts.rs"]
mod hosts;
#[path = "corpus/plane.rs"]
mod plane;
#[path = "corpus/read.rs"]
mod read;
#[path = "corpus/stripped.rs"]
mod stripped;
#[path = "corpus/twin.rs"]
mod twin;
#[path = "corpus/whole.rs"]
mod whole;
#[path = "corpus/wire.rs"]
mod wire;
