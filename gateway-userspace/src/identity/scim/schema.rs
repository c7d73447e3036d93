//! The attributes that are known: one table, which documents, filters, PATCH, projections and `/Schemas` all read.
//!
//! An attribute that is not here is ignored wherever it is sent, as RFC 7644 permits: `password` is one of them, so it
//! is neither stored nor answered.

mod enterprise;
mod group;
mod user;

use super::ResourceKind;
use serde_json::{Map, Value, json};

/// The schema of users.
pub(super) const USER: Schema = user::SCHEMA;
/// The schema of groups.
pub(super) const GROUP: Schema = group::SCHEMA;
/// What enterprises know about users in addition.
pub(super) const ENTERPRISE_USER: Schema = enterprise::SCHEMA;

/// Attributes under a name.
#[derive(Debug)]
pub(super) struct Schema {
    pub id: &'static str,
    pub name: &'static str,
    pub description: &'static str,
    pub attributes: &'static [Attribute],
}

/// What values an attribute has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    Text,
    Boolean,
    Complex,
    Reference,
    Binary,
    DateTime,
}

/// Who may change an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mutability {
    ReadOnly,
    ReadWrite,
    /// Set once: for what identifies a value among others.
    Immutable,
}

/// One attribute.
#[derive(Debug)]
pub(super) struct Attribute {
    pub name: &'static str,
    pub description: &'static str,
    pub kind: Type,
    pub is_multi: bool,
    pub is_required: bool,
    pub is_case_exact: bool,
    /// Whether it is answered whatever was asked for.
    pub is_always_returned: bool,
    pub is_unique: bool,
    pub mutability: Mutability,
    pub parts: &'static [Self],
    /// Values that are suggested.
    pub canonical: &'static [&'static str],
    /// What references lead to.
    pub references: &'static [&'static str],
}

impl Attribute {
    pub const fn text(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            description,
            kind: Type::Text,
            is_multi: false,
            is_required: false,
            is_case_exact: false,
            is_always_returned: false,
            is_unique: false,
            mutability: Mutability::ReadWrite,
            parts: &[],
            canonical: &[],
            references: &[],
        }
    }

    pub const fn of(kind: Type, name: &'static str, description: &'static str) -> Self {
        Self { kind, ..Self::text(name, description) }
    }

    pub const fn reference(name: &'static str, references: &'static [&'static str], help: &'static str) -> Self {
        Self { kind: Type::Reference, references, is_case_exact: true, ..Self::text(name, help) }
    }

    pub const fn complex(name: &'static str, parts: &'static [Self], description: &'static str) -> Self {
        Self { kind: Type::Complex, parts, ..Self::text(name, description) }
    }

    pub const fn many(name: &'static str, parts: &'static [Self], description: &'static str) -> Self {
        Self { is_multi: true, ..Self::complex(name, parts, description) }
    }

    pub const fn read_only(self) -> Self {
        Self { mutability: Mutability::ReadOnly, ..self }
    }

    pub const fn immutable(self) -> Self {
        Self { mutability: Mutability::Immutable, ..self }
    }

    pub const fn exact(self) -> Self {
        Self { is_case_exact: true, ..self }
    }

    pub const fn suggesting(self, canonical: &'static [&'static str]) -> Self {
        Self { canonical, ..self }
    }

    /// The part of that name. Names have no case (RFC 7643, 2.1).
    pub fn part(&self, name: &str) -> Option<&'static Self> {
        find(self.parts, name)
    }

    pub fn is_read_only(&self) -> bool {
        self.mutability == Mutability::ReadOnly
    }

    /// As `/Schemas` describes it.
    fn document(&self) -> Value {
        let mut document = Map::new();
        let mut put = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
        put("name", self.name.into());
        put("type", self.kind.label().into());
        put("multiValued", self.is_multi.into());
        put("description", self.description.into());
        put("required", self.is_required.into());
        put("mutability", self.mutability.label().into());
        put("returned", if self.is_always_returned { "always" } else { "default" }.into());
        if self.kind == Type::Complex {
            put("subAttributes", self.parts.iter().map(Self::document).collect());
        }
        if matches!(self.kind, Type::Text | Type::Reference | Type::Binary) {
            put("caseExact", self.is_case_exact.into());
            put("uniqueness", if self.is_unique { "server" } else { "none" }.into());
        }
        if !self.canonical.is_empty() {
            put("canonicalValues", self.canonical.into());
        }
        if self.kind == Type::Reference {
            put("referenceTypes", self.references.into());
        }
        document.into()
    }
}

impl Type {
    pub const fn label(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Boolean => "boolean",
            Self::Complex => "complex",
            Self::Reference => "reference",
            Self::Binary => "binary",
            Self::DateTime => "dateTime",
        }
    }
}

impl Mutability {
    const fn label(self) -> &'static str {
        match self {
            Self::ReadOnly => "readOnly",
            Self::ReadWrite => "readWrite",
            Self::Immutable => "immutable",
        }
    }
}

impl Schema {
    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        find(self.attributes, name)
    }

    /// As `/Schemas` describes it.
    pub fn document(&self) -> Value {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "attributes": self.attributes.iter().map(Attribute::document).collect::<Vec<_>>(),
        })
    }
}

/// What every resource has (RFC 7643, 3.1). Other than `externalId` it is the server's.
pub(super) const COMMON: &[Attribute] = &[
    Attribute {
        is_always_returned: true,
        is_unique: true,
        ..Attribute::text("id", "The resource's identifier.").exact().read_only()
    },
    Attribute::text("externalId", "The provider's own identifier.").exact(),
    Attribute {
        is_multi: true,
        is_always_returned: true,
        ..Attribute::text("schemas", "What the document consists of.").exact().read_only()
    },
    Attribute::complex("meta", META, "About the resource.").read_only(),
];

const META: &[Attribute] = &[
    Attribute::text("resourceType", "User or Group.").exact().read_only(),
    Attribute::of(Type::DateTime, "created", "When it was created.").read_only(),
    Attribute::of(Type::DateTime, "lastModified", "When it was changed last.").read_only(),
    Attribute::reference("location", &["uri"], "Where it is.").read_only(),
    Attribute::text("version", "Grows with each change.").exact().read_only(),
];

impl ResourceKind {
    /// The schema that every resource of the kind has.
    pub(super) const fn schema(self) -> &'static Schema {
        match self {
            Self::User => &USER,
            Self::Group => &GROUP,
        }
    }

    /// The schema that it may have in addition.
    pub(super) const fn extension(self) -> Option<&'static Schema> {
        match self {
            Self::User => Some(&ENTERPRISE_USER),
            Self::Group => None,
        }
    }

    /// The attribute of that name, among those without a prefix.
    pub(super) fn attribute(self, name: &str) -> Option<&'static Attribute> {
        find(COMMON, name).or_else(|| self.schema().attribute(name))
    }
}

fn find(attributes: &'static [Attribute], name: &str) -> Option<&'static Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}
