//! Users and groups as identity providers manage them, below `/scim/v2` (RFC 7644).
//!
//! Everything that is answered here is SCIM, refusals by the layers around it included. What a request comes to is decided
//! by [`crate::identity::scim`]; who asks is in an extension that access control has set, and without one nothing is
//! answered. A change is answered after the kernel has been told.

mod answer;
mod bulk;
mod core;
mod describe;
mod discovery;
mod extract;
mod groups;
mod resources;
mod search;
mod service;
mod users;

pub use answer::errors;
pub use describe::describe;
pub use service::{Look, Scim, ScimClient, ScimService};

use axum::extract::{DefaultBodyLimit, FromRef};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Where the interface is.
pub(super) const ROOT: &str = "/scim/v2";
/// Largest body about a group, in bytes: it may list a hundred thousand members.
const LARGEST_GROUP: usize = 8 * 1024 * 1024;

/// The routes, for a router that knows the directory. [`errors`] belongs around all layers above them.
pub fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Scim: FromRef<S>,
{
    OpenApiRouter::new()
        .merge(group_routes())
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::read, users::replace, users::patch, users::remove))
        .routes(routes!(search::users))
        .routes(routes!(search::groups))
        .routes(routes!(search::all))
        .routes(routes!(bulk::run))
        .routes(routes!(discovery::service_provider_config))
        .routes(routes!(discovery::resource_types))
        .routes(routes!(discovery::resource_type))
        .routes(routes!(discovery::schemas))
        .routes(routes!(discovery::schema))
}

fn group_routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Scim: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(groups::list, groups::create))
        .routes(routes!(groups::read, groups::replace, groups::patch, groups::remove))
        .layer(DefaultBodyLimit::max(LARGEST_GROUP))
}

#[cfg(test)]
mod tests;
