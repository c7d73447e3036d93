//! Many operations in one request. Each is a change of its own, carried out before the next begins.

use super::answer::{Answer, Failure};
use super::extract::{Body, Call};
use super::resources::draw;
use crate::identity::scim::Bulk;
use crate::wire::ScimDocument;

/// Do many things at once.
#[utoipa::path(post, path = "/scim/v2/Bulk", operation_id = "scim_bulk", tag = "scim",
    request_body(content = ScimDocument, content_type = "application/scim+json"),
    responses((status = 200, description = "What has become of each operation", body = ScimDocument,
        content_type = "application/scim+json"))
)]
pub(super) async fn run(call: Call, Body(body): Body) -> Result<Answer, Failure> {
    let mut bulk = Bulk::read(call.client.provider.clone(), &body, draw)?;
    while let Some((place, operation)) = bulk.next_operation() {
        let result = call.scim.0.operate(&call.client, operation.clone()).await;
        bulk.done(place, &operation, result);
    }
    Ok(Answer::of(bulk.answer(&call.base)))
}
