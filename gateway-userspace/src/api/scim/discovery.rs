//! What the interface says about itself (RFC 7644, 4).

use super::answer::{Answer, Failure};
use super::extract::{Call, Listing, Name};
use crate::identity::scim::{self, ScimError};
use crate::wire::ScimDocument;
use serde_json::Value;

/// What can be done here.
#[utoipa::path(get, path = "/scim/v2/ServiceProviderConfig", operation_id = "scim_configuration", tag = "scim",
    responses((status = 200, description = "What can be done", body = ScimDocument,
        content_type = "application/scim+json"))
)]
pub(super) async fn service_provider_config(call: Call) -> Answer {
    Answer::of(scim::service_provider_config(&call.base))
}

/// The kinds of resources.
#[utoipa::path(get, path = "/scim/v2/ResourceTypes", operation_id = "scim_resource_types", tag = "scim",
    params(("filter" = Option<String>, Query)),
    responses((status = 200, description = "The kinds", body = ScimDocument, content_type = "application/scim+json"))
)]
pub(super) async fn resource_types(call: Call, listing: Listing) -> Result<Answer, Failure> {
    list(listing, scim::resource_types(&call.base))
}

/// A kind of resources.
#[utoipa::path(get, path = "/scim/v2/ResourceTypes/{id}", operation_id = "scim_resource_type", tag = "scim",
    params(("id" = String, Path)),
    responses((status = 200, description = "The kind", body = ScimDocument, content_type = "application/scim+json"))
)]
pub(super) async fn resource_type(call: Call, Name(name): Name) -> Result<Answer, Failure> {
    one(&name, scim::resource_types(&call.base))
}

/// The schemas of resources.
#[utoipa::path(get, path = "/scim/v2/Schemas", operation_id = "scim_schemas", tag = "scim",
    params(("filter" = Option<String>, Query)),
    responses((status = 200, description = "The schemas", body = ScimDocument, content_type = "application/scim+json"))
)]
pub(super) async fn schemas(call: Call, listing: Listing) -> Result<Answer, Failure> {
    list(listing, scim::schemas(&call.base))
}

/// A schema.
#[utoipa::path(get, path = "/scim/v2/Schemas/{id}", operation_id = "scim_schema", tag = "scim",
    params(("id" = String, Path)),
    responses((status = 200, description = "The schema", body = ScimDocument, content_type = "application/scim+json"))
)]
pub(super) async fn schema(call: Call, Name(name): Name) -> Result<Answer, Failure> {
    one(&name, scim::schemas(&call.base))
}

/// All of them. Whoever filters gets 403, so that nobody takes all for what matches (RFC 7644, 4).
fn list(Listing(parameters): Listing, all: Vec<(&'static str, Value)>) -> Result<Answer, Failure> {
    if parameters.filter.is_some() {
        return Err(ScimError::status(403, "what the interface says about itself cannot be filtered").into());
    }
    Ok(Answer::of(scim::list(all.into_iter().map(|(_, document)| document).collect())))
}

fn one(name: &str, all: Vec<(&'static str, Value)>) -> Result<Answer, Failure> {
    let found = all.into_iter().find(|(id, _)| *id == name);
    found.map(|(_, document)| Answer::of(document)).ok_or_else(|| Failure(ScimError::not_found(name)))
}
