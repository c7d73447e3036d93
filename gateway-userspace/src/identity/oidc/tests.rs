//! The relying party against a provider of our own, which is honest until it is told to lie.

mod browser;
mod device;
mod faults;
mod flow;
pub(crate) mod liar;
mod refresh;
mod tokens;
