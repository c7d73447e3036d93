//! The row of what a provider has pushed.

use super::words;
use crate::identity::scim::{Identity, Resource, ResourceKind};
use crate::policy::ProviderName;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use time::OffsetDateTime;

/// Its document is a text in it: what was sent is kept as it was sent.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct ResourceShape<'r> {
    provider: Cow<'r, str>,
    kind: Cow<'r, str>,
    id: String,
    document: Cow<'r, str>,
    version: u64,
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    last_modified: OffsetDateTime,
}

impl<'r> From<&'r Resource> for ResourceShape<'r> {
    fn from(resource: &'r Resource) -> Self {
        Self {
            provider: resource.provider.as_str().into(),
            kind: resource.kind().label().into(),
            id: resource.id.to_string(),
            document: resource.document().into(),
            version: resource.version,
            created: resource.created,
            last_modified: resource.last_modified,
        }
    }
}

impl TryFrom<ResourceShape<'_>> for Resource {
    type Error = String;

    fn try_from(shape: ResourceShape<'_>) -> Result<Self, String> {
        let ResourceShape { provider, kind, id, document, version, created, last_modified } = shape;
        let kind = ResourceKind::ALL.into_iter().find(|known| known.label() == kind);
        let kind = kind.ok_or("it is neither a user nor a group")?;
        let provider = ProviderName::new(&provider).map_err(words)?;
        let identity = Identity { id: id.parse().map_err(words)?, provider, version, created, last_modified };
        Self::restore(kind, identity, &document).map_err(|error| error.detail)
    }
}
