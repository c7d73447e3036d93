use super::*;
use crate::wire::{
    ApiToken, App, Drops, Export, Flow, Group, Receipt, ServiceIdentity, Session, Status, TableUse, User,
};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_795_255_200).unwrap()
}

/// The API's JSON, as people see it.
fn check<T: Listed + DeserializeOwned>(items: Json, expected: &str) {
    let items: Vec<T> = serde_json::from_value(items).unwrap();
    assert_eq!(list(&items, now(), false), expected.trim_start_matches('\n'));
}

fn session() -> Json {
    json!({
        "token": "00000000000000aa", "user": "alice", "address": "10.77.0.2", "zone": "guard0", "interface": "guard0",
        "factors": ["password"], "authenticated_at": "2026-11-21T09:00:00Z", "deadline": "2026-11-21T17:00:00Z",
        "apps": [{ "app": "crm", "policies": ["finance-crm"] }, { "app": "wiki", "policies": ["a", "b"] }],
    })
}

#[test]
fn an_empty_list_says_so() {
    check::<User>(json!([]), "none");
}

#[test]
fn users_are_listed_without_what_a_terminal_would_obey() {
    let user = |name: &str, shown: &str, groups: Json, enabled: bool| json!({ "name": name, "display_name": shown, "groups": groups, "enabled": enabled, "has_password": enabled });
    check::<User>(
        json!([
            user("alice", "Alice A.", json!(["finance", "staff"]), true),
            user("eve", "\u{1b}[2JEve", json!([]), false),
            json!({ "name": "bob", "display_name": "", "groups": [], "enabled": true, "suspended": true,
                "provider": "corp", "has_password": false }),
        ]),
        "
USER   NAME      GROUPS          STATE      PASSWORD  PROVIDER
alice  Alice A.  finance, staff  enabled    set       -
eve    \u{fffd}[2JEve   -               disabled   none      -
bob              -               suspended  none      corp",
    );
}

#[test]
fn groups_sessions_and_drops_are_listed() {
    check::<Group>(json!([{ "name": "ops", "members": ["alice", "bob"] }]), "GROUP  MEMBERS\nops    alice, bob");
    check::<Session>(
        json!([session()]),
        "
SESSION           USER   ADDRESS    INTERFACE  ENDS                           APPS
00000000000000aa  alice  10.77.0.2  guard0     2026-11-21 17:00:00Z (in 7 h)  crm, wiki",
    );
    check::<Drops>(
        json!([{ "interface": "guard0", "reason": "no_session", "help": "log in", "packets": 7 }]),
        "INTERFACE  REASON      PACKETS  OBSERVED  MEANING\nguard0     no_session  7        -         log in",
    );
}

#[test]
fn an_export_is_listed_with_what_waits_and_why() {
    let export = |more: serde_json::Value| {
        let mut export = json!({
            "name": "siem", "to": "splunk", "address": "https://192.0.2.9/", "after": 7, "behind": 0, "lag_seconds": 0.0,
            "sent": 7, "missed": 0,
        });
        export.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        export
    };
    let failing = json!({
        "behind": 12, "lag_seconds": 1e300, "problem": "did not take it\nin time", "since": "2026-11-21T09:58:00Z",
    });
    let new = json!({ "after": null, "behind": 3, "lag_seconds": 63.5, "missed": 2 });
    check::<Export>(
        json!([export(json!({})), export(failing), export(new)]),
        "
EXPORT  TO      ADDRESS             TAKEN UP TO  WAITING  FOR                     PROBLEM
siem    splunk  https://192.0.2.9/  7            0        -                       -
siem    splunk  https://192.0.2.9/  7            12       106751991167300 d 15 h  2 min ago did not take it\u{fffd}in time
siem    splunk  https://192.0.2.9/  -            3        1 min 3 s               2 given up before they were taken",
    );
}

#[test]
fn an_app_is_shown_with_what_it_opens_its_budget_and_whether_it_is_a_trip_wire() {
    let app = |trip_wire: bool, enabled: bool| {
        json!({
            "name": "crm", "prefixes": ["192.0.2.1"], "services": ["443/tcp"], "opens": ["514/udp", "icmp"],
            "trip_wire": trip_wire, "budget": "2 GiB", "enabled": enabled,
        })
    };
    let crm: App = serde_json::from_value(app(false, true)).unwrap();
    let shown = show(&crm, now(), false);
    assert!(shown.contains("opens        514/udp, icmp\nbudget       2 GiB\n"), "{shown}");
    check::<App>(
        json!([app(false, true), app(true, true), app(true, false)]),
        "
APP  WHERE      SERVICES  LABELS  STATE      HEALTH
crm  192.0.2.1  443/tcp   -       enabled    -
crm  192.0.2.1  443/tcp   -       trip-wire  -
crm  192.0.2.1  443/tcp   -       disabled   -",
    );
}

#[test]
fn an_app_with_a_health_check_shows_what_it_has_found() {
    let app = |state: &str, addresses: serde_json::Value| {
        json!({
            "name": "crm", "prefixes": ["192.0.2.1"], "services": ["443/tcp"],
            "health": { "check": "443/tcp", "every": "5 s" },
            "health_state": { "state": state, "since": "2026-11-21T09:55:00Z", "addresses": addresses },
        })
    };
    let up = json!({ "address": "192.0.2.1", "state": "up", "since": "2026-11-21T09:55:00Z", "answered_ms": 3 });
    let down = json!({ "address": "192.0.2.2", "state": "down", "since": "2026-11-21T09:58:00Z", "error": "status",
        "detail": "503 Service Unavailable" });
    check::<App>(
        json!([
            app("up", json!([up])),
            app("partly", json!([up, down])),
            app("down", json!([down])),
            app("unknown", json!([]))
        ]),
        "
APP  WHERE      SERVICES  LABELS  STATE    HEALTH
crm  192.0.2.1  443/tcp   -       enabled  up
crm  192.0.2.1  443/tcp   -       enabled  1 of 2 up
crm  192.0.2.1  443/tcp   -       enabled  down for 5 min
crm  192.0.2.1  443/tcp   -       enabled  unknown",
    );
    let partly: App = serde_json::from_value(app("partly", json!([up, down]))).unwrap();
    let shown = show(&partly, now(), false);
    for expected in [
        "443/tcp (every 5 s)",
        "192.0.2.1 up for 5 min, in 3 ms",
        "192.0.2.2 down for 2 min: status (503 Service Unavailable)",
    ] {
        assert!(shown.contains(expected), "{shown}");
    }
}

#[test]
fn flows_name_what_is_known() {
    check::<Flow>(
        json!([{
            "token": "aa", "user": "alice", "client": "fd77::2", "client_port": 40000, "destination": "fd20::10",
            "port": 443, "protocol": "tcp", "opened_by": "client", "packets_from_client": 3, "bytes_from_client": 1500,
            "packets_to_client": 2, "bytes_to_client": 80, "opened_at": "2026-11-21T09:59:00Z",
            "last_seen": "2026-11-21T09:59:58Z", "state": "open",
        }]),
        "
USER   APP  PROTOCOL  CLIENT           DESTINATION     STATE  SENT    RECEIVED  LAST SEEN
alice  -    tcp       [fd77::2]:40000  [fd20::10]:443  open   1.5 kB  80 B      2 s ago",
    );
}

#[test]
fn an_expired_token_says_so() {
    check::<ApiToken>(
        json!([{
            "id": "t1", "name": "ci", "scopes": ["read"], "created_at": "2026-11-01T00:00:00Z",
            "expires_at": "2026-11-21T09:00:00Z", "last_used_at": null,
        }]),
        "
TOKEN  FOR  SCOPES  CREATED               EXPIRES          LAST USED
t1     ci   read    2026-11-01 00:00:00Z  expired 1 h ago  -",
    );
}

#[test]
fn a_service_says_what_it_proves_itself_with_and_when_it_last_did() {
    let service = |name: &str, held: bool| {
        json!({
            "name": name, "display_name": "Printer", "groups": ["hosts"], "enabled": true, "scopes": [], "held": held,
            "certificate": "cn:printer", "binding": { "address": "192.0.2.9", "mac": "02:00:00:00:00:09" },
            "created_at": "2026-11-01T00:00:00Z", "last_used_at": "2026-11-21T09:57:00Z",
        })
    };
    check::<ServiceIdentity>(
        json!([service("a", false), service("b", true)]),
        "
SERVICE  PROVES ITSELF WITH                          GROUPS  SCOPES  STATE    LAST USED
a        cn:printer, 192.0.2.9 at 02:00:00:00:00:09  hosts   -       enabled  3 min ago
b        cn:printer, 192.0.2.9 at 02:00:00:00:00:09  hosts   -       held     3 min ago",
    );
}

#[test]
fn a_session_is_shown_with_the_policies_that_permit() {
    let session: Session = serde_json::from_value(session()).unwrap();
    let shown = show(&session, now(), false);
    assert!(shown.contains("interface  guard0 (zone guard0)"), "{shown}");
    assert!(shown.contains("ends       2026-11-21 17:00:00Z (in 7 h)"), "{shown}");
    assert!(shown.contains("apps       crm by finance-crm, wiki by a, b"), "{shown}");
}

#[test]
fn what_is_worth_a_look_is_coloured_where_colour_is_wanted() {
    let tables: Vec<TableUse> =
        serde_json::from_value(json!([{ "table": "sessions", "entries": 81, "capacity": 100 }])).unwrap();
    assert!(matches!(tables[0].row(now())[3], Value::Odd(_)));
    assert!(!list(&tables, now(), false).contains('\u{1b}'));
    let status: Status = serde_json::from_value(json!({
        "version": "0.1.0", "started_at": "2026-11-21T09:00:00Z", "policy_generation": 3, "users": 1, "apps": 2,
        "sessions": 0, "interfaces": [], "tables": [], "drift_entries": 1, "events_lost": 0,
    }))
    .unwrap();
    let odd: Vec<_> = status.fields(now()).into_iter().filter(|(_, value)| matches!(value, Value::Odd(_))).collect();
    assert!(matches!(odd.as_slice(), [("drift between tables and intent", _)]));
}

#[test]
fn a_receipt_from_the_api_becomes_its_sentence() {
    let receipt: Receipt = serde_json::from_value(json!({
        "token": "aa", "user": "alice", "address": "10.77.0.2", "cause": "revoked", "by": "ops",
        "requested_at": "2026-11-21T10:00:00Z", "enforced_at": "2026-11-21T10:00:00Z", "enforced_after_us": 84.0,
        "flows_cut": 3, "last_packet_at": "2026-11-21T09:59:59Z", "last_packet_after_request_us": -1200.0,
    }))
    .unwrap();
    let expected = "alice@10.77.0.2 cut in 84 µs; last packet 1.2 ms before the request; 3 flows";
    assert_eq!(crate::cli::sentence::receipt(&receipt), expected);
}
