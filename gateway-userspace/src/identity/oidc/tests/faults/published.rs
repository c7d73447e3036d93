//! Lies in what a provider publishes about itself, and answers that are none.

use super::super::liar::{Lie, Raw};
use super::{Fault, With, fault, remove};
use serde_json::{Value, json};

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "metadata of another issuer",
        "metadata_issuer_wrong",
        Lie::Metadata(|m| m["issuer"] = json!("https://other.example")),
        With::Nothing,
    ),
    fault(
        "issuer with another spelling",
        "metadata_issuer_wrong",
        Lie::Metadata(|m| m["issuer"] = format!("{}/", text(m, "issuer")).into()),
        With::Nothing,
    ),
    fault("metadata without issuer", "metadata_issuer_wrong", Lie::Metadata(|m| remove(m, "issuer")), With::Nothing),
    fault(
        "issuer that is a list",
        "metadata_issuer_wrong",
        Lie::Metadata(|m| m["issuer"] = json!([m["issuer"]])),
        With::Nothing,
    ),
    fault(
        "keys of the cloud's metadata service",
        "endpoint_foreign",
        Lie::Metadata(|m| m["jwks_uri"] = json!("https://169.254.169.254/latest")),
        With::Nothing,
    ),
    fault(
        "keys of an internal name",
        "endpoint_foreign",
        Lie::Metadata(|m| m["jwks_uri"] = json!("https://localhost/keys")),
        With::Nothing,
    ),
    fault(
        "keys of another port",
        "endpoint_foreign",
        Lie::Metadata(|m| m["jwks_uri"] = json!("https://127.0.0.1:1/keys")),
        With::Nothing,
    ),
    fault(
        "keys without TLS",
        "endpoint_insecure",
        Lie::Metadata(|m| m["jwks_uri"] = text(m, "jwks_uri").replace("https", "http").into()),
        With::Nothing,
    ),
    fault(
        "keys in a file",
        "endpoint_insecure",
        Lie::Metadata(|m| m["jwks_uri"] = json!("file:///etc/passwd")),
        With::Nothing,
    ),
    fault(
        "keys that are no URL",
        "endpoint_insecure",
        Lie::Metadata(|m| m["jwks_uri"] = json!("/keys")),
        With::Nothing,
    ),
    fault("keys that are a number", "answer_malformed", Lie::Metadata(|m| m["jwks_uri"] = json!(7)), With::Nothing),
    fault(
        "keys of a host that only looks like it",
        "endpoint_insecure",
        Lie::Metadata(|m| m["jwks_uri"] = text(m, "jwks_uri").replace("/keys", "@evil.example/keys").into()),
        With::Nothing,
    ),
    fault(
        "token endpoint elsewhere",
        "endpoint_foreign",
        Lie::Metadata(|m| m["token_endpoint"] = json!("https://evil.example/token")),
        With::Nothing,
    ),
    fault(
        "token endpoint without TLS",
        "endpoint_insecure",
        Lie::Metadata(|m| m["token_endpoint"] = text(m, "token_endpoint").replace("https", "http").into()),
        With::Nothing,
    ),
    fault(
        "authorization endpoint elsewhere",
        "endpoint_foreign",
        Lie::Metadata(|m| m["authorization_endpoint"] = json!("https://evil.example/")),
        With::Nothing,
    ),
    fault(
        "authorization endpoint that is a script",
        "endpoint_insecure",
        Lie::Metadata(|m| m["authorization_endpoint"] = json!("javascript:alert(1)")),
        With::Nothing,
    ),
    fault(
        "device endpoint elsewhere",
        "endpoint_foreign",
        Lie::Metadata(|m| m["device_authorization_endpoint"] = json!("https://10.0.0.1/")),
        With::Nothing,
    ),
    fault(
        "end of sessions elsewhere",
        "endpoint_foreign",
        Lie::Metadata(|m| m["end_session_endpoint"] = json!("https://evil.example/")),
        With::Nothing,
    ),
    fault("no keys published", "endpoint_missing", Lie::Metadata(|m| remove(m, "jwks_uri")), With::Nothing),
    fault("no token endpoint", "endpoint_missing", Lie::Metadata(|m| remove(m, "token_endpoint")), With::Nothing),
    fault(
        "no authorization endpoint",
        "endpoint_missing",
        Lie::Metadata(|m| remove(m, "authorization_endpoint")),
        With::Nothing,
    ),
    fault(
        "PKCE downgraded to plain",
        "pkce_unsupported",
        Lie::Metadata(|m| m["code_challenge_methods_supported"] = json!(["plain"])),
        With::Nothing,
    ),
    fault(
        "PKCE with nothing",
        "pkce_unsupported",
        Lie::Metadata(|m| m["code_challenge_methods_supported"] = json!([])),
        With::Nothing,
    ),
    fault(
        "a promise that is a text",
        "answer_malformed",
        Lie::Metadata(|m| m["authorization_response_iss_parameter_supported"] = json!("false")),
        With::Nothing,
    ),
    fault(
        "metadata elsewhere",
        "redirected",
        Lie::Raw("/openid-configuration", Raw::Redirect("https://evil.example/")),
        With::Nothing,
    ),
    fault(
        "metadata of a megabyte and more",
        "answer_too_long",
        Lie::Raw("/openid-configuration", Raw::Huge),
        With::Nothing,
    ),
    fault("metadata without end", "answer_too_long", Lie::Raw("/openid-configuration", Raw::Endless), With::Nothing),
    fault(
        "metadata that never come",
        "provider_slow",
        Lie::Raw("/openid-configuration", Raw::Silence),
        With::Impatience,
    ),
    fault(
        "metadata that fail",
        "provider_fails",
        Lie::Raw("/openid-configuration", Raw::Status(500, "canary")),
        With::Nothing,
    ),
    fault("keys elsewhere", "redirected", Lie::Raw("/keys", Raw::Redirect("https://evil.example/")), With::Nothing),
    fault("keys of a megabyte and more", "answer_too_long", Lie::Raw("/keys", Raw::Huge), With::Nothing),
    fault("keys without end", "answer_too_long", Lie::Raw("/keys", Raw::Endless), With::Nothing),
    fault("keys that never come", "provider_slow", Lie::Raw("/keys", Raw::Silence), With::Impatience),
    fault("keys that fail", "provider_fails", Lie::Raw("/keys", Raw::Status(500, "canary")), With::Nothing),
    fault("tokens elsewhere", "redirected", Lie::Raw("/token", Raw::Redirect("https://evil.example/")), With::Nothing),
    fault("tokens of a megabyte and more", "answer_too_long", Lie::Raw("/token", Raw::Huge), With::Nothing),
    fault("tokens without end", "answer_too_long", Lie::Raw("/token", Raw::Endless), With::Nothing),
    fault("tokens that never come", "provider_slow", Lie::Raw("/token", Raw::Silence), With::Impatience),
    fault("tokens that fail", "provider_fails", Lie::Raw("/token", Raw::Status(500, "canary")), With::Nothing),
    fault(
        "metadata with a member twice",
        "answer_malformed",
        Lie::Raw("/openid-configuration", Raw::Twice),
        With::Nothing,
    ),
    fault(
        "metadata that are a page",
        "answer_malformed",
        Lie::Raw("/openid-configuration", Raw::Text("<html>")),
        With::Nothing,
    ),
    fault(
        "metadata that are not there",
        "provider_fails",
        Lie::Raw("/openid-configuration", Raw::Status(404, "{}")),
        With::Nothing,
    ),
];

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap()
}
