//! What every operation can be refused with, for the OpenAPI document: whatever the layers before its handler say. What an
//! operation says itself of a status stays. Those of SCIM are elsewhere, because they look otherwise.

use super::access::{Access, RULES};
use super::scim;
use crate::wire::Problem;
use utoipa::PartialSchema;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{ContentBuilder, OpenApi, RefOr, ResponseBuilder};

const MEDIA_TYPE: &str = "application/problem+json";
/// Refusals, and what they mean.
const ALWAYS: [(u16, &str); 4] = [
    (400, "It cannot be read"),
    (408, "It took too long"),
    (500, "A defect of the gateway"),
    (503, "Not possible now"),
];
const WITH_A_BODY: [(u16, &str); 2] = [(413, "Too large"), (415, "Not a media type of this resource")];
const OF_ADMINISTRATION: [(u16, &str); 3] = [
    (401, "Nobody who is known"),
    (403, "Lacks the scope"),
    (404, "Not from a management prefix, or no such resource"),
];

/// Writes the refusals into the OpenAPI document.
pub(super) fn describe(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        if path.starts_with(scim::ROOT) {
            continue;
        }
        let PathItem { get, put, post, delete, patch, .. } = item;
        let operations = [("GET", get), ("PUT", put), ("POST", post), ("DELETE", delete), ("PATCH", patch)];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            add::<Problem>(operation, MEDIA_TYPE, &ALWAYS);
            if operation.request_body.is_some() {
                add::<Problem>(operation, MEDIA_TYPE, &WITH_A_BODY);
            }
            if is_administration(method, path) {
                add::<Problem>(operation, MEDIA_TYPE, &OF_ADMINISTRATION);
            }
        }
    }
}

fn is_administration(method: &str, path: &str) -> bool {
    let mut rules = RULES.iter().filter(|(m, p, _)| *m == method && *p == path);
    rules.any(|(_, _, access)| matches!(access, Access::Token(_) | Access::Metrics))
}

/// Adds refusals of a shape to those that an operation has.
pub(super) fn add<P: PartialSchema>(operation: &mut Operation, media_type: &str, refusals: &[(u16, &str)]) {
    for (status, meaning) in refusals {
        let content = ContentBuilder::new().schema(Some(P::schema())).build();
        let response = ResponseBuilder::new().description(*meaning).content(media_type, content).build();
        operation.responses.responses.entry(status.to_string()).or_insert(RefOr::T(response));
    }
}

#[cfg(test)]
mod tests {
    use crate::api::document;

    #[test]
    fn every_operation_says_how_it_can_be_refused_and_keeps_what_it_says_itself() {
        let document = serde_json::to_value(document()).unwrap();
        let answers = |path: &str, method: &str| document["paths"][path][method]["responses"].clone();
        let put = answers("/v1/users/{name}", "put");
        for status in ["400", "401", "403", "404", "408", "413", "415", "500", "503"] {
            assert!(put[status]["content"]["application/problem+json"].is_object(), "{status}: {put}");
        }
        assert!(answers("/healthz", "get")["401"].is_null() && answers("/v1/users", "get")["415"].is_null());
        assert!(answers("/scim/v2/Users", "get")["400"]["content"]["application/scim+json"].is_object());
        let page = answers("/sign-in/{name}", "get");
        assert!(page["503"]["content"]["text/html"].is_object(), "{page}");
    }
}
