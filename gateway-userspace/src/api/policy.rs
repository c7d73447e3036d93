//! The policies in force. The generation is their entity tag.

use super::context::Shared;
use super::extract::Text;
use super::problem::ApiError;
use crate::core::{Actor, CoreError, Request, State as CoreState};
use crate::policy::{Generation, Input, PolicySet};
use crate::wire::{self, Policy, PolicyCheck, PolicyPut};
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::http::header::{ETAG, IF_MATCH};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;

/// Read the policies in force.
#[utoipa::path(get, path = "/v1/policy", tag = "policy", responses(
    (status = 200, body = Policy, headers(("ETag" = String, description = "The generation, quoted"))),
))]
pub(super) async fn read(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    current(&shared).await
}

/// Replace the policies, all of them at once. Sessions follow.
#[utoipa::path(put, path = "/v1/policy", tag = "policy",
    params(("If-Match" = Option<String>, Header, description = "Refuse unless this generation is in force")),
    request_body(content((PolicyPut = "application/json"), (String = "text/plain"))),
    responses(
        (status = 200, body = Policy, headers(("ETag" = String, description = "The generation, quoted"))),
        (status = 412, description = "Another generation is in force", body = wire::Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "Not valid", body = wire::Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    Text(text): Text,
) -> Result<Response, ApiError> {
    let if_match = if_match(&headers)?;
    let input = parsed(move || Input::put_policy(&text, if_match)).await?.map_err(CoreError::from)?;
    let _edit = shared.edit().await;
    shared.context.core.change(actor, Request::Policy(input)).await?;
    current(&shared).await
}

/// Check policies without putting them in force.
#[utoipa::path(post, path = "/v1/policy/check", tag = "policy",
    request_body(content((PolicyPut = "application/json"), (String = "text/plain"))),
    responses((status = 200, body = PolicyCheck))
)]
pub(super) async fn check(
    State(shared): State<Arc<Shared>>,
    Text(text): Text,
) -> Result<axum::Json<PolicyCheck>, ApiError> {
    let policy = match parsed(move || PolicySet::parse(&text)).await? {
        Ok(policy) => policy,
        Err(errors) => return Ok(axum::Json(PolicyCheck::of(&Err(errors)))),
    };
    let read = move |state: &CoreState| PolicyCheck::of(&Ok(state.gateway.warnings_of(&policy)));
    Ok(axum::Json(shared.context.core.read(read).await?))
}

/// Reads policies, which may be many, where nobody waits for it.
pub(super) async fn parsed<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(read).await.map_err(|_| CoreError::Stopped.into())
}

async fn current(shared: &Shared) -> Result<Response, ApiError> {
    let read = |state: &CoreState| {
        let gateway = &state.gateway;
        Policy::of(gateway.generation(), &gateway.policy_text(), &gateway.policy_warnings())
    };
    let policy = shared.context.core.read(read).await?;
    let tag = format!("\"{}\"", policy.generation);
    Ok(([(ETAG, tag)], axum::Json(policy)).into_response())
}

/// `"7"`, or `*` for whatever is in force.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<Generation>, ApiError> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if text == "*" {
        return Ok(None);
    }
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    let wrong =
        || ApiError::bad_request(format!("`If-Match: {text}` is not a generation; send the `ETag` you were given"));
    number.map(|number| Some(Generation(number))).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_takes_a_quoted_generation_or_a_star_and_nothing_else() {
        let read = |text: &str| if_match(&[(IF_MATCH, text.parse().unwrap())].into_iter().collect());
        assert_eq!(read("\"7\"").unwrap(), Some(Generation(7)));
        assert_eq!(read("*").unwrap(), None);
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), None);
        for wrong in ["7", "W/\"7\"", "\"x\"", "\"1\", \"2\"", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
