//! API tokens.

use super::Secret;
use crate::identity::{self, Scope};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// What a program proves itself with; without its secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApiToken {
    /// Its public name.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<String>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// From when on it is worth nothing, if ever.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// When it was last used.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub last_used_at: Option<OffsetDateTime>,
}

/// A token to be made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiTokenRequest {
    /// What it is for: 1 to 128 characters.
    pub name: String,
    /// What it may do: `read`, `users:write`, `apps:write`, `policy:write`, `sessions:write`, `audit:read`, `metrics:read`,
    /// `packets:read`, `admin`.
    pub scopes: BTreeSet<String>,
    /// From when on it is to be worth nothing; never, if left out.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<OffsetDateTime>,
}

/// A token that was made, with its secret, for this once.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApiTokenCreated {
    /// The token.
    pub token: ApiToken,
    /// `pct_…`. Shown once.
    #[schema(value_type = String)]
    pub secret: Secret,
}

impl From<&identity::ApiToken> for ApiToken {
    fn from(token: &identity::ApiToken) -> Self {
        let identity::ApiToken { id, name, scopes, secret_hash: _, created_at, expires_at, last_used } = token;
        Self {
            id: id.to_string(),
            name: name.clone(),
            scopes: scopes.iter().map(Scope::to_string).collect(),
            created_at: *created_at,
            expires_at: *expires_at,
            last_used_at: last_used.at(),
        }
    }
}
