//! What every operation can be refused with, for the OpenAPI document.

use super::super::refusals::add;
use super::ROOT;
use super::answer::MEDIA_TYPE;
use crate::wire::ScimProblem;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;

/// Refusals, and what they mean.
const ALWAYS: [(u16, &str); 7] = [
    (400, "Not valid"),
    (401, "Not a provider"),
    (404, "No such resource"),
    (405, "Not a method of this resource"),
    (408, "It took too long"),
    (500, "A defect of the gateway"),
    (503, "Not possible now"),
];
const WITH_A_BODY: [(u16, &str); 4] =
    [(409, "Somebody else has the name"), (412, "It has another version"), (413, "Too large"), (415, "Not SCIM")];

/// Writes the refusals into the OpenAPI document.
pub fn describe(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        if !path.starts_with(ROOT) {
            continue;
        }
        let is_filtered = path.ends_with("/Schemas") || path.ends_with("/ResourceTypes");
        let PathItem { get, put, post, delete, patch, .. } = item;
        for operation in [get, put, post, delete, patch].into_iter().flatten() {
            add::<ScimProblem>(operation, MEDIA_TYPE, &ALWAYS);
            if operation.request_body.is_some() {
                add::<ScimProblem>(operation, MEDIA_TYPE, &WITH_A_BODY);
            }
            if is_filtered {
                add::<ScimProblem>(operation, MEDIA_TYPE, &[(403, "It cannot be filtered")]);
            }
        }
        delete.iter_mut().for_each(|operation| add::<ScimProblem>(operation, MEDIA_TYPE, &WITH_A_BODY[1..2]));
    }
}
