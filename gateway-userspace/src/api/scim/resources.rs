//! What is done to users as to groups.

use super::answer::{Answer, Failure};
use super::extract::Call;
use crate::identity::scim::{
    Action, Decided, Operation, Page, Parameters, PatchOperation, Projection, Query, Resource, ResourceId,
    ResourceKind, ScimError, Shown,
};
use axum::http::StatusCode;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Candidates that are taken from the directory at once: some hundred microseconds' worth.
const SLICE: usize = 2048;

pub(super) async fn list(call: Call, kind: ResourceKind, parameters: Parameters) -> Result<Answer, Failure> {
    let query = Arc::new(Query::of(kind, &parameters)?);
    let page = find(&call, &query).await?;
    let shown = gather(&call, &query, &page).await?;
    Ok(elsewhere(move || Answer::of(query.answer(&page, &shown, &call.base))).await?)
}

/// The page that a query finds.
pub(super) async fn find(call: &Call, query: &Arc<Query>) -> Result<Page, ScimError> {
    let (wanted, provider) = (Arc::clone(query), call.client.provider.clone());
    if query.is_plain() {
        return call.scim.look(move |directory| wanted.list(directory, &provider)).await;
    }
    let hinted = call.scim.look(move |directory| wanted.hinted(directory, &provider)).await?;
    let candidates = match hinted {
        Some(candidates) => candidates,
        None => everything(call, query).await?,
    };
    let query = Arc::clone(query);
    elsewhere(move || query.select(&candidates)).await
}

async fn everything(call: &Call, query: &Arc<Query>) -> Result<Vec<crate::identity::scim::Candidate>, ScimError> {
    let mut candidates = Vec::new();
    let mut after = None;
    loop {
        let (wanted, provider) = (Arc::clone(query), call.client.provider.clone());
        let slice = call.scim.look(move |directory| wanted.slice(directory, &provider, after, SLICE)).await?;
        let is_last = slice.len() < SLICE;
        after = slice.last().map(|candidate| candidate.id());
        candidates.extend(slice);
        if is_last {
            return Ok(candidates);
        }
    }
}

/// What is to be answered of a page.
pub(super) async fn gather(call: &Call, query: &Arc<Query>, page: &Page) -> Result<Vec<Shown>, ScimError> {
    let (query, page, provider) = (Arc::clone(query), page.clone(), call.client.provider.clone());
    call.scim.look(move |directory| query.gather(directory, &provider, &page)).await
}

/// What takes long and needs nobody.
pub(super) async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ScimError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a SCIM request failed");
        ScimError::status(500, "this is a defect of the gateway; its log says more")
    })
}

pub(super) async fn read(
    call: Call,
    kind: ResourceKind,
    id: ResourceId,
    projection: Projection,
) -> Result<Answer, Failure> {
    let (provider, wanted) = (call.client.provider.clone(), projection.clone());
    let found = call.scim.look(move |directory| {
        directory.resource(&provider, kind, id).map(|resource| directory.show(resource, &wanted))
    });
    let shown = found.await?.ok_or_else(|| ScimError::not_found(&id.to_string()))?;
    if call.knows(shown.resource().version)? {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED).tagged(shown.resource()));
    }
    Ok(elsewhere(move || Answer::resource(&shown, &projection, &call.base)).await?)
}

pub(super) async fn create(
    call: Call,
    kind: ResourceKind,
    body: Map<String, Value>,
    projection: Projection,
) -> Result<Answer, Failure> {
    let decided = operate(&call, kind, draw(), Action::Create(body)).await?;
    let shown = show(&call, decided.resource, &projection).await?;
    Ok(elsewhere(move || Answer::created(&shown, &projection, &call.base)).await?)
}

/// An identifier for a resource.
pub(super) fn draw() -> ResourceId {
    ResourceId::from_random(rand::random())
}

pub(super) async fn replace(
    call: Call,
    kind: ResourceKind,
    id: ResourceId,
    body: Map<String, Value>,
    projection: Projection,
) -> Result<Answer, Failure> {
    let decided = operate(&call, kind, id, Action::Replace(body)).await?;
    let shown = show(&call, decided.resource, &projection).await?;
    Ok(elsewhere(move || Answer::resource(&shown, &projection, &call.base)).await?)
}

pub(super) async fn patch(
    call: Call,
    kind: ResourceKind,
    id: ResourceId,
    body: Map<String, Value>,
    projection: Projection,
) -> Result<Answer, Failure> {
    let decided = operate(&call, kind, id, Action::Patch(PatchOperation::read_all(&body)?)).await?;
    if kind == ResourceKind::Group && projection == Projection::Whole {
        // Nobody wants a hundred thousand members for one that was added (RFC 7644, 3.5.2).
        return Ok(Answer::empty(StatusCode::NO_CONTENT).tagged(&decided.resource));
    }
    let shown = show(&call, decided.resource, &projection).await?;
    Ok(elsewhere(move || Answer::resource(&shown, &projection, &call.base)).await?)
}

pub(super) async fn remove(call: Call, kind: ResourceKind, id: ResourceId) -> Result<Answer, Failure> {
    operate(&call, kind, id, Action::Remove).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn operate(call: &Call, kind: ResourceKind, id: ResourceId, action: Action) -> Result<Decided, ScimError> {
    let provider = call.client.provider.clone();
    let operation = Operation { provider, kind, id, action, precondition: call.precondition.clone() };
    call.scim.0.operate(&call.client, operation).await
}

async fn show(call: &Call, resource: Arc<Resource>, projection: &Projection) -> Result<Shown, ScimError> {
    let wanted = projection.clone();
    call.scim.look(move |directory| directory.show(&resource, &wanted)).await
}
