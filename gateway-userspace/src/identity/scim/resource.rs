//! Resources: what a provider has said about a user or a group, and what of it the gateway goes by.
//!
//! The document is kept as text, a fifth of what it takes as a tree: there are a hundred thousand of them, and most
//! requests look at one. Members of groups are not in it, because a group may have as many.

use super::document::{Document, Members};
use super::{ScimError, facts};
use crate::policy::{Attributes, GroupName, ProviderName, UserName};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use time::OffsetDateTime;

/// What a resource is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ResourceKind {
    /// A user.
    User,
    /// A group.
    Group,
}

impl ResourceKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::User, Self::Group];

    /// As `meta.resourceType` has it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }

    /// The attribute that names others.
    pub(super) const fn others(self) -> &'static str {
        match self {
            Self::User => "groups",
            Self::Group => "members",
        }
    }

    /// Where resources of the kind are.
    #[must_use]
    pub const fn endpoint(self) -> &'static str {
        match self {
            Self::User => "/Users",
            Self::Group => "/Groups",
        }
    }
}

/// The identifier of a resource: a random UUID, never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId([u8; 16]);

impl ResourceId {
    /// The identifier that random bits make (RFC 9562, version 4).
    #[must_use]
    pub const fn from_random(bits: u128) -> Self {
        let mut bytes = bits.to_be_bytes();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    pub(super) const LEAST: Self = Self([0; 16]);
    pub(super) const GREATEST: Self = Self([0xff; 16]);
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            let dash = if matches!(place, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that no resource has as its identifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the identifier is not a UUID in lower case")]
pub struct InvalidResourceId;

impl FromStr for ResourceId {
    type Err = InvalidResourceId;

    /// Only as it was handed out: identifiers have a case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        let mut digits = text.bytes().filter(|byte| *byte != b'-');
        for byte in &mut bytes {
            let mut digit = || digits.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(InvalidResourceId);
            *byte = u8::try_from(digit()? * 16 + digit()?).map_err(|_| InvalidResourceId)?;
        }
        let id = Self(bytes);
        if id.to_string() == text { Ok(id) } else { Err(InvalidResourceId) }
    }
}

/// What the gateway goes by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Facts {
    /// Of a user.
    User {
        /// The name they log in with.
        name: UserName,
        /// What people call them.
        display_name: String,
        /// Whether the provider lets them in.
        active: bool,
        /// What else policies may ask for.
        attributes: Attributes,
    },
    /// Of a group.
    Group {
        /// The name that policies know it by.
        name: GroupName,
    },
}

/// A user or a group of a provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// Its identifier.
    pub id: ResourceId,
    /// Whose it is.
    pub provider: ProviderName,
    /// What the gateway goes by.
    pub facts: Facts,
    /// What the provider has sent, in the attributes that are known and without what is the server's, as JSON.
    document: Box<str>,
    /// Grows by one with each change; from 1.
    pub version: u64,
    /// When it was created.
    pub created: OffsetDateTime,
    /// When it was changed last.
    pub last_modified: OffsetDateTime,
}

/// When something happens, and in which place: what a resource has besides its document.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its identifier.
    pub id: ResourceId,
    /// Whose it is.
    pub provider: ProviderName,
    /// From 1.
    pub version: u64,
    /// When it was created.
    pub created: OffsetDateTime,
    /// When it was changed last.
    pub last_modified: OffsetDateTime,
}

impl Resource {
    /// A resource that was stored: its document is what [`Self::document`] gave.
    ///
    /// # Errors
    /// If the document is not one of the kind.
    pub fn restore(kind: ResourceKind, identity: Identity, document: &str) -> Result<Self, ScimError> {
        let attributes = super::read::object(document.as_bytes())?;
        Self::new(kind, identity, Document { attributes, members: Members::default() })
    }

    pub(super) fn new(kind: ResourceKind, identity: Identity, document: Document) -> Result<Self, ScimError> {
        let Identity { id, provider, version, created, last_modified } = identity;
        let facts = facts::of(kind, &document.attributes)?;
        let document = Value::Object(document.attributes).to_string().into_boxed_str();
        if document.len() > super::LARGEST_DOCUMENT {
            let most = super::LARGEST_DOCUMENT;
            return Err(ScimError::value(format!("the resource is larger than {most} bytes; send fewer attributes")));
        }
        Ok(Self { id, provider, facts, document, version, created, last_modified })
    }

    pub(super) fn id_of(resource: &Arc<Self>) -> ResourceId {
        resource.id
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> ResourceKind {
        match self.facts {
            Facts::User { .. } => ResourceKind::User,
            Facts::Group { .. } => ResourceKind::Group,
        }
    }

    /// Its document, without what is the server's and without members.
    #[must_use]
    pub fn document(&self) -> &str {
        &self.document
    }

    /// The document as a tree.
    pub(super) fn attributes(&self) -> serde_json::Map<String, Value> {
        // It was written from such a tree.
        serde_json::from_str(&self.document).unwrap_or_default()
    }

    /// The same after a change of something else that its representation shows.
    pub(super) fn touched(&self, now: OffsetDateTime) -> Self {
        Self { version: self.version.saturating_add(1), last_modified: now, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_a_uuid_and_only_its_own_text_leads_back() {
        let id = ResourceId::from_random(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let text = id.to_string();
        assert_eq!(text, "01234567-89ab-4def-8123-456789abcdef");
        assert_eq!(text.parse(), Ok(id));
        let others =
            [text.to_uppercase(), text.replace('-', ""), format!("{text}0"), format!("{text}-"), "é".repeat(16)];
        for other in others.iter().map(String::as_str).chain(["", "me"]) {
            assert_eq!(other.parse::<ResourceId>(), Err(InvalidResourceId), "{other}");
        }
    }
}
