//! Lies in what the browser brings back.

use super::super::liar::Lie;
use super::{Fault, With, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault("another login's state", "state_wrong", Lie::Callback(|q| set(q, "state", "other")), With::Nothing),
    fault("no state", "state_missing", Lie::Callback(|q| drop_one(q, "state")), With::Nothing),
    fault("an empty state", "state_missing", Lie::Callback(|q| set(q, "state", "")), With::Nothing),
    fault("two states", "parameter_twice", Lie::Callback(|q| q.push(("state".into(), "other".into()))), With::Nothing),
    fault("two codes", "parameter_twice", Lie::Callback(|q| q.push(("code".into(), "other".into()))), With::Nothing),
    fault("no code", "code_missing", Lie::Callback(|q| drop_one(q, "code")), With::Nothing),
    fault("another code of the browser", "code_refused", Lie::Callback(|q| set(q, "code", "other")), With::Nothing),
    fault(
        "another provider's answer",
        "response_issuer_wrong",
        Lie::Callback(|q| set(q, "iss", "https://other.example")),
        With::Nothing,
    ),
    fault("nobody's answer", "response_issuer_missing", Lie::Callback(|q| drop_one(q, "iss")), With::Nothing),
    fault(
        "an answer that is too long",
        "parameter_too_long",
        Lie::Callback(|q| set(q, "code", &"x".repeat(9_000))),
        With::Nothing,
    ),
    fault(
        "another provider's error",
        "response_issuer_wrong",
        Lie::Callback(|q| {
            set(q, "iss", "https://other.example");
            fail(q, "access_denied")
        }),
        With::Nothing,
    ),
    fault("the error access_denied", "access_denied", Lie::Callback(|q| fail(q, "access_denied")), With::Nothing),
    fault(
        "the error login_required",
        "interaction_required",
        Lie::Callback(|q| fail(q, "login_required")),
        With::Nothing,
    ),
    fault(
        "the error interaction_required",
        "interaction_required",
        Lie::Callback(|q| fail(q, "interaction_required")),
        With::Nothing,
    ),
    fault(
        "the error consent_required",
        "interaction_required",
        Lie::Callback(|q| fail(q, "consent_required")),
        With::Nothing,
    ),
    fault(
        "the error temporarily_unavailable",
        "provider_busy",
        Lie::Callback(|q| fail(q, "temporarily_unavailable")),
        With::Nothing,
    ),
    fault("the error server_error", "provider_fails", Lie::Callback(|q| fail(q, "server_error")), With::Nothing),
    fault(
        "the error unauthorized_client",
        "client_refused",
        Lie::Callback(|q| fail(q, "unauthorized_client")),
        With::Nothing,
    ),
    fault("the error invalid_scope", "request_refused", Lie::Callback(|q| fail(q, "invalid_scope")), With::Nothing),
    fault("the error <script>", "request_refused", Lie::Callback(|q| fail(q, "<script>")), With::Nothing),
];

fn set(query: &mut [(String, String)], name: &str, value: &str) {
    query.iter_mut().find(|(known, _)| known == name).unwrap().1 = value.into();
}

fn drop_one(query: &mut Vec<(String, String)>, name: &str) {
    query.retain(|(known, _)| known != name);
}

fn fail(query: &mut Vec<(String, String)>, code: &str) {
    drop_one(query, "code");
    query.push(("error".into(), code.into()));
    query.push(("error_description".into(), "canary".into()));
}
