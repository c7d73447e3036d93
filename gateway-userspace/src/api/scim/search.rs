//! Searches by POST, for what is not to stand in a URL (RFC 7644, 3.4.3).

use super::answer::{Answer, Failure};
use super::extract::{Body, Call};
use super::resources::{self, elsewhere, find, gather};
use crate::identity::scim::{Page, Parameters, Query, ResourceKind};
use crate::wire::ScimDocument;
use std::sync::Arc;

/// Search users.
#[utoipa::path(post, path = "/scim/v2/Users/.search", operation_id = "scim_users_search", tag = "scim",
    request_body(content = ScimDocument, content_type = "application/scim+json"),
    responses((status = 200, description = "A page", body = ScimDocument, content_type = "application/scim+json"))
)]
pub(super) async fn users(call: Call, Body(body): Body) -> Result<Answer, Failure> {
    resources::list(call, ResourceKind::User, Parameters::read(&body)?).await
}

/// Search groups.
#[utoipa::path(post, path = "/scim/v2/Groups/.search", operation_id = "scim_groups_search", tag = "scim",
    request_body(content = ScimDocument, content_type = "application/scim+json"),
    responses((status = 200, description = "A page", body = ScimDocument, content_type = "application/scim+json"))
)]
pub(super) async fn groups(call: Call, Body(body): Body) -> Result<Answer, Failure> {
    resources::list(call, ResourceKind::Group, Parameters::read(&body)?).await
}

/// Search users and groups: users come first, and each kind is in the order that is asked for.
#[utoipa::path(post, path = "/scim/v2/.search", operation_id = "scim_search", tag = "scim",
    request_body(content = ScimDocument, content_type = "application/scim+json"),
    responses((status = 200, description = "A page", body = ScimDocument, content_type = "application/scim+json"))
)]
pub(super) async fn all(call: Call, Body(body): Body) -> Result<Answer, Failure> {
    let parameters = Parameters::read(&body)?;
    let users = Arc::new(Query::of(ResourceKind::User, &parameters)?);
    let user_page = find(&call, &users).await?;
    let groups = Arc::new(Query::of(ResourceKind::Group, &parameters)?.after(&user_page));
    let group_page = find(&call, &groups).await?;
    let mut shown = gather(&call, &users, &user_page).await?;
    // A page that ended early must not be followed by something that belongs on a later one.
    if shown.len() == user_page.ids.len() {
        shown.extend(gather(&call, &groups, &group_page).await?);
    }
    let total = user_page.total.saturating_add(group_page.total);
    let page = Page { total, ..user_page };
    Ok(elsewhere(move || Answer::of(users.answer(&page, &shown, &call.base))).await?)
}
