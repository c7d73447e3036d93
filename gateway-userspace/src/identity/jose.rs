//! Signed tokens of others: ID tokens, logout tokens, security event tokens and access tokens, and the keys they are
//! verified with.
//!
//! Which algorithms and which keys count is decided by our configuration and by the issuer's key set, never by what a
//! token says of itself. Every kind of token is verified as that kind only. Time comes in as a value, and a key set
//! that is too old verifies nothing.

mod algorithm;
mod base64url;
mod claims;
mod header;
mod key;
mod refusal;
mod store;
mod verify;

#[cfg(test)]
pub(in crate::identity) mod forge;
#[cfg(test)]
mod tests;

pub use algorithm::{Algorithm, Algorithms, UnknownAlgorithm};
pub use claims::Claims;
pub use key::{KeySet, KeySetError};
pub use refusal::TokenRefusal;
pub use store::{Fetched, Pace, Source, Store};
pub use verify::{Expect, Kind, verify};
