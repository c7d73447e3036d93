//! The oracle: the law written a second time, from `docs/law.md` and the RFCs that it names, over plain lists that it
//! keeps itself, together with random worlds on which the two are compared.
//!
//! It shares the names of reasons and verdicts and the layout of table keys with the law, and nothing else: a mistake
//! in the law's parser, in its order of steps or in its handling of flows shows as a disagreement. The comments name
//! the steps and sections of the document.

pub mod bend;
pub mod build;
pub mod dice;
pub mod egress;
pub mod fragment_scripts;
pub mod fragments;
pub mod ingress;
pub mod instants;
pub mod kernel;
pub mod kernel_memory;
pub mod life;
pub mod link;
pub mod memory;
pub mod meters;
pub mod neighbour_scripts;
pub mod neighbours;
pub mod network;
pub mod scripts;
pub mod sessions;
pub mod stage;
pub mod tables;
pub mod transport;
pub mod world;
