//! Groups.

use super::answer::{Answer, Failure};
use super::extract::{Body, Call, Id, Listing, Wanted};
use super::resources;
use crate::identity::scim::ResourceKind;
use crate::wire::ScimDocument;

const KIND: ResourceKind = ResourceKind::Group;

/// List the groups of the provider.
#[utoipa::path(get, path = "/scim/v2/Groups", operation_id = "scim_groups_list", tag = "scim",
    params(
        ("filter" = Option<String>, Query), ("sortBy" = Option<String>, Query), ("sortOrder" = Option<String>, Query),
        ("startIndex" = Option<i64>, Query), ("count" = Option<i64>, Query),
        ("attributes" = Option<String>, Query), ("excludedAttributes" = Option<String>, Query),
    ),
    responses((status = 200, description = "A page", body = ScimDocument, content_type = "application/scim+json"))
)]
pub(super) async fn list(call: Call, Listing(parameters): Listing) -> Result<Answer, Failure> {
    resources::list(call, KIND, parameters).await
}

/// Create a group.
#[utoipa::path(post, path = "/scim/v2/Groups", operation_id = "scim_groups_create", tag = "scim",
    params(("attributes" = Option<String>, Query), ("excludedAttributes" = Option<String>, Query)),
    request_body(content = ScimDocument, content_type = "application/scim+json"),
    responses((status = 201, description = "Created", body = ScimDocument, content_type = "application/scim+json"))
)]
pub(super) async fn create(call: Call, Wanted(wanted): Wanted, Body(body): Body) -> Result<Answer, Failure> {
    resources::create(call, KIND, body, wanted).await
}

/// Read a group.
#[utoipa::path(get, path = "/scim/v2/Groups/{id}", operation_id = "scim_groups_read", tag = "scim",
    params(
        ("id" = String, Path),
        ("attributes" = Option<String>, Query), ("excludedAttributes" = Option<String>, Query),
    ),
    responses(
        (status = 200, description = "The group", body = ScimDocument, content_type = "application/scim+json"),
        (status = 304, description = "The client has this version"),
    )
)]
pub(super) async fn read(call: Call, Id(id): Id, Wanted(wanted): Wanted) -> Result<Answer, Failure> {
    resources::read(call, KIND, id, wanted).await
}

/// Replace all of a group that the provider can write.
#[utoipa::path(put, path = "/scim/v2/Groups/{id}", operation_id = "scim_groups_replace", tag = "scim",
    params(
        ("id" = String, Path),
        ("attributes" = Option<String>, Query), ("excludedAttributes" = Option<String>, Query),
    ),
    request_body(content = ScimDocument, content_type = "application/scim+json"),
    responses((status = 200, description = "The group as it is now", body = ScimDocument,
        content_type = "application/scim+json"))
)]
pub(super) async fn replace(
    call: Call,
    Id(id): Id,
    Wanted(wanted): Wanted,
    Body(body): Body,
) -> Result<Answer, Failure> {
    resources::replace(call, KIND, id, body, wanted).await
}

/// Change parts of a group.
#[utoipa::path(patch, path = "/scim/v2/Groups/{id}", operation_id = "scim_groups_patch", tag = "scim",
    params(
        ("id" = String, Path),
        ("attributes" = Option<String>, Query), ("excludedAttributes" = Option<String>, Query),
    ),
    request_body(content = ScimDocument, content_type = "application/scim+json"),
    responses(
        (status = 200, description = "The group as it is now, if attributes were asked for", body = ScimDocument,
            content_type = "application/scim+json"),
        (status = 204, description = "Done"),
    )
)]
pub(super) async fn patch(call: Call, Id(id): Id, Wanted(wanted): Wanted, Body(body): Body) -> Result<Answer, Failure> {
    resources::patch(call, KIND, id, body, wanted).await
}

/// Remove a group.
#[utoipa::path(delete, path = "/scim/v2/Groups/{id}", operation_id = "scim_groups_remove", tag = "scim",
    params(("id" = String, Path)),
    responses((status = 204, description = "Removed"))
)]
pub(super) async fn remove(call: Call, Id(id): Id) -> Result<Answer, Failure> {
    resources::remove(call, KIND, id).await
}
