//! Shapes of the interface for identity providers, as the OpenAPI document describes them. What is in resources, the
//! interface itself says at `/scim/v2/Schemas`.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A document of SCIM: a resource, a list of them, or what is asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(value_type = Object)]
pub struct ScimDocument(pub Map<String, Value>);

/// Why a SCIM request was not done (RFC 7644, 3.12).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScimProblem {
    /// `urn:ietf:params:scim:api:messages:2.0:Error`.
    pub schemas: Vec<String>,
    /// The status, as a text.
    pub status: String,
    /// The protocol's word for it, where there is one.
    #[serde(rename = "scimType", skip_serializing_if = "Option::is_none")]
    pub scim_type: Option<String>,
    /// What is wrong and what to do.
    pub detail: String,
}
