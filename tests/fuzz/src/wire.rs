//! The shapes of the API, which the daemon reads from clients and the command line from the daemon.

use gateway_userspace::policy::{User, UserName};
use gateway_userspace::wire::{self, FieldError, Invalid};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first byte says which.
type Reader = (u8, fn(&str), &'static str);

const READERS: [Reader; 16] = [
    (
        b'a',
        app,
        r#"{"name":"crm","prefixes":["192.0.2.0/24"],"services":["443/tcp"],"opens":["514/udp"],"budget":"2 GiB"}"#,
    ),
    (b'u', user, r#"{"name":"ada","groups":["staff"],"enabled":true,"password":"correct horse battery"}"#),
    (b'p', again::<wire::PasswordChange>, r#"{"password":"correct horse battery"}"#),
    (b'l', again::<wire::LoginRequest>, r#"{"username":"ada","password":"x"}"#),
    (b'r', again::<wire::Revocation>, r#"{"session":"00000000000000ab","all":true}"#),
    (b'y', again::<wire::PolicyPut>, r#"{"text":"permit(principal,action,resource);"}"#),
    (b't', again::<wire::ApiTokenRequest>, r#"{"name":"ci","scopes":["read"],"expires_at":"2030-01-01T00:00:00Z"}"#),
    (
        b'c',
        again::<wire::PolicyCheck>,
        r#"{"valid":false,"errors":[{"line":1,"column":2,"message":"x","hint":"y"}],"warnings":[]}"#,
    ),
    (b's', again::<wire::Session>, SESSION),
    (b'g', again::<wire::Group>, r#"{"name":"staff","members":["ada"]}"#),
    (b'f', again::<wire::Page<wire::Flow>>, FLOWS),
    (
        b'd',
        again::<wire::Page<wire::Drops>>,
        r#"{"items":[{"interface":"a","reason":"b","help":"c","packets":1}],"next_cursor":"x"}"#,
    ),
    (b'i', again::<wire::Receipts>, RECEIPTS),
    (
        b'k',
        again::<wire::ApiToken>,
        r#"{"id":"0123456789ab","name":"ci","scopes":[],"created_at":"2030-01-01T00:00:00.5+01:00"}"#,
    ),
    (b'm', again::<wire::Problem>, r#"{"type":"a","title":"b","status":422,"errors":[{"field":"x","message":"y"}]}"#),
    (b'x', again::<wire::Status>, STATUS),
];

const SESSION: &str = r#"{"token":"00000000000000ab","user":"ada","address":"192.0.2.7","zone":"office","interface":"eth1",
"mac":"02:00:00:00:00:07","factors":["password"],"authenticated_at":"2030-01-01T00:00:00Z","deadline":"2030-01-01T08:00:00Z",
"apps":[{"app":"crm","policies":["staff"],"max_authentication_age_s":60}]}"#;
const FLOWS: &str = r#"{"items":[{"token":"1","client":"192.0.2.7","client_port":1,"destination":"192.0.2.8","port":2,
"protocol":"tcp","opened_by":"app","packets_from_client":1,"bytes_from_client":2,"packets_to_client":3,"bytes_to_client":4,
"opened_at":"2030-01-01T00:00:00Z","last_seen":"2030-01-01T00:00:00Z","state":"closing"}]}"#;
const RECEIPTS: &str = r#"{"receipts":[{"token":"1","user":"ada","address":"192.0.2.7","cause":"revoked","by":"admin",
"requested_at":"2030-01-01T00:00:00Z","enforced_at":"2030-01-01T00:00:00.000001Z","enforced_after_us":1.5,
"last_packet_after_request_us":-2.5e3,"flows_cut":1}]}"#;
const STATUS: &str = r#"{"version":"1","started_at":"2030-01-01T00:00:00Z","policy_generation":1,"users":1,"apps":1,
"sessions":1,"interfaces":[{"name":"eth1","zone":"a","mode":"enforce","xdp":"native","attached":true,
"vlans":[{"id":"100.20","zone":"b"}]}],"tables":[{"table":"flows","entries":1,"capacity":2}],"drift_entries":0,"events_lost":0}"#;

pub fn run(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    if let Some((_, read, _)) = READERS.iter().find(|(byte, ..)| byte == kind) {
        read(text);
    }
}

/// What is read is written, and what is written is read as the same.
fn again<T: DeserializeOwned + Serialize>(text: &str) {
    let Ok(read) = serde_json::from_str::<T>(text) else { return };
    let written = serde_json::to_string(&read).expect("what was read can be written");
    let again = serde_json::from_str::<T>(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
    assert_eq!(serde_json::to_string(&again).unwrap(), written);
}

fn app(text: &str) {
    again::<wire::App>(text);
    let Ok(shape) = serde_json::from_str::<wire::App>(text) else { return };
    match shape.into_model(true) {
        Ok(model) => assert_eq!(wire::App::from(&model).into_model(false), Ok(model)),
        Err(invalid) => named(&invalid),
    }
}

fn user(text: &str) {
    again::<wire::UserPut>(text);
    let Ok(shape) = serde_json::from_str::<wire::UserPut>(text) else { return };
    match shape.into_model(User::new(UserName::new("ada").unwrap())) {
        Ok(model) => assert_eq!(wire::User::of(&model, true).groups.len(), model.groups.len()),
        Err(invalid) => named(&invalid),
    }
}

fn named(invalid: &Invalid) {
    assert!(!invalid.0.is_empty(), "refused for no reason");
    let is_named = |error: &FieldError| error.field.is_some() && !error.message.is_empty();
    assert!(invalid.0.iter().all(is_named), "{invalid}");
}

pub fn seeds() -> Vec<Vec<u8>> {
    READERS.iter().map(|(kind, _, text)| [&[*kind][..], text.as_bytes()].concat()).collect()
}
