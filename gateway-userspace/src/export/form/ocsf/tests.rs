//! What an event says of a record, where that is more than a field in another place.

use super::*;
use crate::export::form::samples::{origin, record};

fn of(fields: Value) -> Value {
    event(&origin(), &record(7, fields))
}

#[test]
fn two_factors_are_two_of_the_gateways_own_or_a_passkey() {
    for (factors, is_mfa) in [
        (json!(["password"]), Some(false)),
        (json!(["password", "totp"]), Some(true)),
        (json!(["passkey"]), Some(true)),
        (json!(["passkey", "provider"]), Some(true)),
        (json!(["password", "provider"]), None),
        (json!(["provider"]), None),
        (json!(["certificate", "binding"]), Some(false)),
    ] {
        let event = of(json!({ "type": "login", "factors": factors }));
        assert_eq!(event.get("is_mfa").and_then(Value::as_bool), is_mfa, "{factors}");
    }
}

#[test]
fn a_factor_is_named_as_the_schema_names_it() {
    let event = of(json!({ "type": "login", "factors": ["password", "totp", "passkey", "provider"] }));
    let named = |id, name: &str| json!({ "factor_type_id": id, "factor_type": name });
    let expected = [named(11, "Password"), named(7, "OTP"), named(10, "WebAuthn"), named(99, "provider")];
    assert_eq!(event["auth_factors"], json!(expected));
}
