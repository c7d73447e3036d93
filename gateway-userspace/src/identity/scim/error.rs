//! What a SCIM request can be refused for, and how the protocol says it (RFC 7644, 3.12).

use serde_json::{Value, json};

/// The protocol's own word for a refusal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ScimType {
    /// The filter cannot be read, or compares what cannot be compared.
    InvalidFilter,
    /// More was asked for than is done at once.
    TooMany,
    /// Somebody else has the name.
    Uniqueness,
    /// The attribute cannot be changed so.
    Mutability,
    /// The body cannot be read.
    InvalidSyntax,
    /// The path of a PATCH operation cannot be read, or names nothing that there is.
    InvalidPath,
    /// The path of a PATCH operation selects nothing.
    NoTarget,
    /// A value is missing, of another type, too large, or not permitted.
    InvalidValue,
}

impl ScimType {
    /// Every one of them.
    pub const ALL: [Self; 8] = [
        Self::InvalidFilter,
        Self::TooMany,
        Self::Uniqueness,
        Self::Mutability,
        Self::InvalidSyntax,
        Self::InvalidPath,
        Self::NoTarget,
        Self::InvalidValue,
    ];

    /// As the protocol writes it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::TooMany => "tooMany",
            Self::Uniqueness => "uniqueness",
            Self::Mutability => "mutability",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::InvalidValue => "invalidValue",
        }
    }

    const fn status(self) -> u16 {
        match self {
            Self::Uniqueness => 409,
            _ => 400,
        }
    }
}

/// Why a request was not done.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct ScimError {
    /// The status of the answer.
    pub status: u16,
    /// The protocol's word for it, where there is one.
    pub scim_type: Option<ScimType>,
    /// What is wrong and what to do, for people.
    pub detail: String,
}

impl ScimError {
    /// A refusal that the protocol has a word for.
    #[must_use]
    pub fn of(scim_type: ScimType, detail: impl Into<String>) -> Self {
        Self { status: scim_type.status(), scim_type: Some(scim_type), detail: detail.into() }
    }

    /// A refusal that only has a status.
    #[must_use]
    pub fn status(status: u16, detail: impl Into<String>) -> Self {
        Self { status, scim_type: None, detail: detail.into() }
    }

    /// There is no such resource, or it belongs to another provider.
    #[must_use]
    pub fn not_found(id: &str) -> Self {
        Self::status(404, format!("resource `{id}` does not exist"))
    }

    /// It has changed since the client has read it.
    #[must_use]
    pub fn stale() -> Self {
        Self::status(412, "the resource has another version than `If-Match` says; read it again")
    }

    pub(super) fn value(detail: impl Into<String>) -> Self {
        Self::of(ScimType::InvalidValue, detail)
    }

    pub(super) fn syntax(detail: impl Into<String>) -> Self {
        Self::of(ScimType::InvalidSyntax, detail)
    }

    /// The document that is answered.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut document = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": self.status.to_string(),
            "detail": self.detail,
        });
        if let (Some(scim_type), Some(members)) = (self.scim_type, document.as_object_mut()) {
            members.insert("scimType".to_owned(), scim_type.label().into());
        }
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_written_with_its_status_as_a_text() {
        let document = ScimError::of(ScimType::Uniqueness, "user `ada` exists").document();
        assert_eq!(document["status"], "409");
        assert_eq!((&document["scimType"], &document["detail"]), (&"uniqueness".into(), &"user `ada` exists".into()));
        assert_eq!(ScimError::not_found("x").document().get("scimType"), None);
    }
}
