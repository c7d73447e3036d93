//! Problem documents, RFC 9457.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Why a request was not done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem, for programs: `urn:portcullis:problem:…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence, for people: what was wrong and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The path that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Each single thing that was wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One thing that was wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// The member of the request: `services[1]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The line of the text, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column of the text, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What may have been meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A request, or a file, whose shape is right and whose content is not. All errors together.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", .0.iter().map(FieldError::line_of_text).collect::<Vec<_>>().join("; "))]
pub struct Invalid(pub Vec<FieldError>);

impl FieldError {
    /// An error at a member.
    pub(crate) fn at(field: impl Into<String>, error: impl std::fmt::Display) -> Self {
        Self { field: Some(field.into()), message: error.to_string(), ..Self::default() }
    }

    /// The same, where its member is one of another.
    pub(super) fn within(self, outer: &str) -> Self {
        let field = self.field.map_or_else(|| outer.to_owned(), |field| format!("{outer}.{field}"));
        Self { field: Some(field), ..self }
    }

    fn line_of_text(&self) -> String {
        match &self.field {
            Some(field) => format!("{field}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

/// Takes the value, or notes the error at a field.
pub(super) fn noted<T, E: std::fmt::Display>(
    errors: &mut Vec<FieldError>,
    field: impl Into<String>,
    result: Result<T, E>,
) -> Option<T> {
    result.map_err(|error| errors.push(FieldError::at(field, error))).ok()
}

/// Takes those of several values that can be read, and notes the others, each at its place in a field.
pub(super) fn each<'t, T: Ord, E: std::fmt::Display>(
    errors: &mut Vec<FieldError>,
    field: &str,
    texts: impl IntoIterator<Item = &'t String>,
    read: impl Fn(&str) -> Result<T, E>,
) -> BTreeSet<T> {
    let read = texts.into_iter().enumerate().map(|(index, text)| (index, read(text)));
    read.filter_map(|(index, read)| noted(errors, format!("{field}[{index}]"), read)).collect()
}
