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

#[test]
fn of_a_denied_packet_to_a_client_the_source_is_the_app_and_the_guarded_interface_the_clients() {
    let fields = json!({
        "type": "denied", "reason": "no_grant", "source": "198.51.100.34", "mac": "02:00:5e:10:00:17",
        "destination": "10.9.0.23", "port": 51_522, "protocol": "tcp", "interface": "eth1", "zone": "branch",
        "app": "payroll", "direction": "to_client",
    });
    let to_client = of(fields.clone());
    let app = json!({ "ip": "198.51.100.34", "mac": "02:00:5e:10:00:17", "svc_name": "payroll" });
    let client = json!({ "ip": "10.9.0.23", "port": 51_522, "interface_name": "eth1", "zone": "branch" });
    assert_eq!((&to_client["src_endpoint"], &to_client["dst_endpoint"]), (&app, &client));
    assert_eq!(
        (&to_client["app_name"], &to_client["connection_info"]["direction"]),
        (&json!("payroll"), &json!("Outbound"))
    );
    let mut fields = fields;
    fields["direction"] = json!("to_app");
    let to_app = of(fields);
    let client = json!({
        "ip": "198.51.100.34", "mac": "02:00:5e:10:00:17", "interface_name": "eth1", "zone": "branch",
    });
    let app = json!({ "ip": "10.9.0.23", "port": 51_522, "svc_name": "payroll" });
    assert_eq!((&to_app["src_endpoint"], &to_app["dst_endpoint"]), (&client, &app));
    assert_eq!(to_app["connection_info"]["direction"], "Inbound");
}

#[test]
fn icmp_has_the_number_of_its_family() {
    for (source, destination, number) in [
        ("10.9.0.23", "198.51.100.34", 1),
        ("fd00::7", "2001:db8::1", 58),
        ("fd00::7", "::", 58),
        ("::", "10.9.0.1", 1),
    ] {
        let fields = json!({ "type": "denied", "source": source, "destination": destination, "protocol": "icmp" });
        let info = of(fields)["connection_info"].clone();
        assert_eq!((&info["protocol_name"], &info["protocol_num"]), (&json!("icmp"), &json!(number)), "{source}");
    }
    let flow = json!({ "type": "flow_end", "client": "fd00::7", "destination": "2001:db8::1", "protocol": "icmp" });
    assert_eq!(of(flow)["connection_info"]["protocol_num"], 58);
}

#[test]
fn who_has_only_gained_is_assigned_privileges() {
    for (lost, activity) in
        [(json!([]), json!([1, "Assign Privileges"])), (json!(["crm"]), json!([99, "Change Privileges"]))]
    {
        let event = of(json!({ "type": "regranted", "user": "ada", "gained": ["payroll"], "lost": lost }));
        assert_eq!(json!([event["activity_id"], event["activity_name"]]), activity);
        assert_eq!((&event["privileges"], &event["unmapped"]["lost"]), (&json!(["payroll"]), &lost));
    }
}
