//! Lies of the token endpoint.

use super::super::liar::{Lie, Raw};
use super::{Fault, With, fault, remove};
use serde_json::json;

pub(super) const FAULTS: &[Fault] = &[
    fault("no ID token", "id_token_missing", Lie::Answer(|a| remove(a, "id_token")), With::Nothing),
    fault("an ID token that is a number", "answer_malformed", Lie::Answer(|a| a["id_token"] = json!(7)), With::Nothing),
    fault("no access token", "answer_malformed", Lie::Answer(|a| remove(a, "access_token")), With::Nothing),
    fault(
        "a token that is bound to a key",
        "token_type_wrong",
        Lie::Answer(|a| a["token_type"] = json!("DPoP")),
        With::Nothing,
    ),
    fault("a token of no type", "answer_malformed", Lie::Answer(|a| remove(a, "token_type")), With::Nothing),
    fault("tokens with a member twice", "answer_malformed", Lie::Raw("/token", Raw::Twice), With::Nothing),
    fault("tokens that are a page", "answer_malformed", Lie::Raw("/token", Raw::Text("<html>")), With::Nothing),
    fault("tokens that are an empty object", "answer_malformed", Lie::Raw("/token", Raw::Text("{}")), With::Nothing),
    fault(
        "a code that is not accepted",
        "code_refused",
        Lie::Answer(|a| *a = json!({ "error": "invalid_grant" })),
        With::Nothing,
    ),
    fault(
        "a gateway that is not accepted",
        "client_refused",
        Lie::Answer(|a| *a = json!({ "error": "invalid_client" })),
        With::Nothing,
    ),
    fault(
        "a request that is not accepted",
        "request_refused",
        Lie::Answer(|a| *a = json!({ "error": "invalid_request" })),
        With::Nothing,
    ),
    fault("too many requests", "provider_fails", Lie::Raw("/token", Raw::Status(429, "{}")), With::Nothing),
];
