//! Versions of resources as entity tags, and what requests say about them (RFC 9110, 13.1; RFC 7644, 3.14).

use super::ScimError;

/// The entity tag of a version. Weak: a representation may have fewer attributes than the resource.
#[must_use]
pub fn entity_tag(version: u64) -> String {
    format!("W/\"{version}\"")
}

/// In which version a resource must be for a change.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Precondition {
    /// In any.
    #[default]
    None,
    /// In one of these.
    Match(Vec<u64>),
}

impl Precondition {
    /// Reads `If-Match`, or the `version` of a bulk operation. Tags that are not the gateway's match no version. The
    /// comparison is weak, because all tags are.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        Ok(versions(text)?.map_or(Self::None, Self::Match))
    }

    /// Whether a version is one of those.
    #[must_use]
    pub fn permits(&self, version: u64) -> bool {
        match self {
            Self::None => true,
            Self::Match(versions) => versions.contains(&version),
        }
    }
}

/// Whether `If-None-Match` says that the client has this version, so that 304 answers it.
///
/// # Errors
/// If it cannot be read.
pub fn is_known(if_none_match: &str, version: u64) -> Result<bool, ScimError> {
    Ok(versions(if_none_match)?.is_none_or(|versions| versions.contains(&version)))
}

/// The versions that a list of entity tags names; `None` for `*`.
fn versions(text: &str) -> Result<Option<Vec<u64>>, ScimError> {
    if text.trim() == "*" {
        return Ok(None);
    }
    let tags = text.split(',').map(str::trim).map(|tag| {
        let opaque = tag.strip_prefix("W/").unwrap_or(tag);
        let opaque = opaque.strip_prefix('"').and_then(|opaque| opaque.strip_suffix('"'));
        opaque.ok_or_else(|| {
            ScimError::value(format!("`{tag}` is no entity tag; send `meta.version` as it was answered"))
        })
    });
    let tags = tags.collect::<Result<Vec<_>, _>>()?;
    Ok(Some(tags.into_iter().filter_map(|tag| tag.parse().ok().filter(|n: &u64| n.to_string() == tag)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_made_in_the_versions_that_were_named_only() {
        for (text, permits) in [
            ("W/\"3\"", true),
            ("\"3\"", true),
            ("W/\"1\", W/\"3\"", true),
            ("*", true),
            ("W/\"4\"", false),
            ("\"x\"", false),
        ] {
            assert_eq!(Precondition::parse(text).unwrap().permits(3), permits, "{text}");
            assert_eq!(is_known(text, 3), Ok(permits), "{text}");
        }
        assert_eq!(Precondition::parse(&entity_tag(3)), Ok(Precondition::Match(vec![3])));
        assert!(Precondition::default().permits(3));
        for text in ["", "3", "W/3", "\"3", "\"3\" \"4"] {
            assert_eq!(Precondition::parse(text).unwrap_err().status, 400, "{text}");
        }
    }
}
