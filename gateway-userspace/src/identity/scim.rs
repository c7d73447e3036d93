//! Users and groups as identity providers manage them: SCIM 2.0 (RFC 7643 and 7644).
//!
//! [`decide`] turns an operation into a [`Change`], or refuses it, without changing anything; the core stores the change,
//! brings it into force and has the [`Directory`] adopt it. A provider sees only what is its own. No HTTP, no clock and
//! no randomness: identifiers and times are given.

mod bulk;
mod change;
mod decide;
mod directory;
mod discovery;
mod document;
mod error;
mod etag;
mod facts;
mod filter;
mod index;
mod patch;
mod path;
mod projection;
mod query;
mod read;
mod render;
mod resource;
mod schema;

pub use bulk::Bulk;
pub use change::{Change, Member};
pub use decide::{Action, Decided, Operation, Taken, decide};
pub use directory::Directory;
pub use discovery::{list, resource_types, schemas, service_provider_config};
pub use error::{ScimError, ScimType};
pub use etag::{Precondition, entity_tag, is_known};
pub(crate) use facts::TOLD;
pub use filter::{Filter, Hint};
pub use index::Term;
pub use patch::PatchOperation;
pub use projection::Projection;
pub use query::{Candidate, LARGEST_PAGE, Page, Parameters, Query};
pub use read::object;
pub use render::{Shown, location};
pub use resource::{Facts, Identity, InvalidResourceId, Resource, ResourceId, ResourceKind};

/// Largest document, without members, in bytes.
pub const LARGEST_DOCUMENT: usize = 64 * 1024;
/// Most values of an attribute, other than members.
pub const MOST_VALUES: usize = 200;
/// Most members of a group.
pub const MOST_MEMBERS: usize = 100_000;
/// Longest text, in bytes.
pub const LONGEST_TEXT: usize = 1024;
/// Longest certificate, in bytes of Base64.
pub const LONGEST_BINARY: usize = 16 * 1024;
/// Longest filter, in bytes.
pub const LONGEST_FILTER: usize = 16 * 1024;
/// Largest body of a request, in bytes.
pub const LARGEST_BODY: usize = 1024 * 1024;
/// Most operations of a bulk request.
pub const MOST_BULK_OPERATIONS: usize = 1000;

#[cfg(test)]
mod tests;
