//! Services: who puts them, how they prove themselves, and what they may do then.

use super::World;
use super::world::{CLIENT, PASSWORD};
use crate::api::client_certificate::tests::{authority, client};
use crate::identity::Scope;
use rcgen::KeyPair;
use serde_json::json;

const PUT: &str = r#"{"certificate":"uri:spiffe://example.org/ci","scopes":["read"],"groups":["staff"]}"#;

/// A certificate that is ci's by its URI.
fn ci() -> Vec<u8> {
    named("spiffe://example.org/ci")
}

fn named(uri: &str) -> Vec<u8> {
    let params = client(uri, "host.example.org", "host");
    params.signed_by(&KeyPair::generate().unwrap(), &authority()).unwrap().der().to_vec()
}

async fn with_ci() -> World {
    let world = World::new();
    let put = world.admin("PUT", "/v1/services/ci").json(PUT).send().await;
    assert_eq!(put.status, 200, "{}", put.text);
    world
}

#[tokio::test]
async fn a_service_is_put_shown_listed_and_removed_with_its_user() {
    let world = with_ci().await;
    let shown = world.admin("GET", "/v1/services/ci").send().await.json();
    assert_eq!((&shown["scopes"], &shown["groups"]), (&json!(["read"]), &json!(["staff"])));
    assert_eq!((&shown["enabled"], &shown["last_used_at"]), (&json!(true), &json!(null)));
    let again = world.admin("PUT", "/v1/services/ci").json(&shown.to_string()).send().await;
    assert_eq!(again.json(), shown, "what was got can be put");
    assert_eq!(world.admin("GET", "/v1/services").send().await.json()["items"][0]["name"], "ci");
    assert_eq!(world.admin("GET", "/v1/users/ci").send().await.json()["has_password"], false);
    assert_eq!(world.admin("DELETE", "/v1/services/ci").send().await.status, 200);
    for path in ["/v1/services/ci", "/v1/users/ci"] {
        world.admin("GET", path).send().await.problem(404);
    }
    assert_eq!(world.admin("GET", "/v1/services/ada").send().await.problem(404), "not-found");
    assert_eq!(world.admin("DELETE", "/v1/services/ada").send().await.problem(404), "not-found");
}

#[tokio::test]
async fn what_makes_no_sense_or_is_somebody_else_s_is_refused_with_its_field() {
    let world = with_ci().await;
    let put = |name: &str, body: &str| world.admin("PUT", &format!("/v1/services/{name}")).json(body);
    assert_eq!(put("ada", PUT).send().await.problem(409), "service");
    assert_eq!(put("other", PUT).send().await.problem(409), "credential-taken");
    for (body, field) in [
        ("{}", "certificate"),
        (r#"{"certificate":"ci"}"#, "certificate"),
        (r#"{"certificate":"cn:a","scopes":["root"]}"#, "scopes[0]"),
        (r#"{"certificate":"cn:a","groups":["nobody"]}"#, "groups"),
        (r#"{"binding":{"address":"127.0.0.1"}}"#, "binding.address"),
        (r#"{"binding":{"address":"192.0.2.9","mac":"01:00:00:00:00:00"}}"#, "binding.mac"),
        (r#"{"client":{"provider":"corp","id":""}}"#, "client.id"),
    ] {
        let refused = put("x", body).send().await;
        assert_eq!(refused.problem(422), "invalid", "{body}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.text);
    }
    put("x", r#"{"certificate":"cn:a","root":true}"#).send().await.problem(400);
    let password = json!({ "password": PASSWORD }).to_string();
    assert_eq!(world.admin("PUT", "/v1/users/ci/password").json(&password).send().await.problem(409), "service");
}

#[tokio::test]
async fn only_an_admin_gives_scopes_or_hands_over_a_service_that_has_some() {
    let world = with_ci().await;
    let put = |name: &str, body: &str| {
        world.ask("PUT", &format!("/v1/services/{name}")).bearer(world.token(Scope::UsersWrite)).json(body)
    };
    for (name, body) in [
        ("other", r#"{"certificate":"cn:other","scopes":["users:write"]}"#),
        ("ci", r#"{"certificate":"uri:spiffe://example.org/ci","scopes":["read","users:write"]}"#),
        ("ci", r#"{"certificate":"cn:mine","scopes":["read"]}"#),
        ("ci", r#"{"certificate":"uri:spiffe://example.org/ci","client":{"provider":"a","id":"b"},"scopes":["read"]}"#),
    ] {
        assert_eq!(put(name, body).send().await.problem(403), "scope", "{name} {body}");
    }
    assert_eq!(put("other", r#"{"certificate":"cn:other"}"#).send().await.status, 200);
    assert_eq!(put("ci", PUT).send().await.status, 200, "nothing is given");
    let less = r#"{"certificate":"cn:mine","scopes":[]}"#;
    assert_eq!(put("ci", less).send().await.status, 200, "what has no scopes may be anybody's");
}

#[tokio::test]
async fn a_call_by_client_certificate_obeys_the_scopes_of_its_service() {
    let world = with_ci().await;
    let ask = |method: &str, path: &str| world.ask(method, path).certificate(&ci());
    assert_eq!(ask("GET", "/v1/users").send().await.status, 200);
    assert_eq!(ask("PUT", "/v1/groups/x").send().await.problem(403), "scope");
    assert_eq!(ask("GET", "/v1/tokens").send().await.problem(403), "scope");
    let used = world.admin("GET", "/v1/services/ci").send().await.json();
    assert!(used["last_used_at"].is_string(), "{used}");
    ask("GET", "/v1/users").from(CLIENT).send().await.problem(404);
    // Whoever shows a secret is asked for that alone.
    ask("GET", "/v1/users").bearer("pct_x").send().await.problem(401);
    ask("GET", "/v1/users").header("authorization", "Basic eDp5").send().await.problem(401);
    world.ask("GET", "/v1/users").certificate(&named("spiffe://example.org/other")).send().await.problem(401);
    world.ask("GET", "/v1/users").certificate(b"nothing").send().await.problem(401);
    world.admin("POST", "/v1/users/ci/disable").send().await;
    ask("GET", "/v1/users").send().await.problem(401);
}

#[tokio::test]
async fn a_call_by_access_token_is_that_of_the_client_s_service() {
    let world = World::new();
    let ask = |token: &str| world.ask("GET", "/v1/users").bearer(token);
    ask("aa.bb.cc").send().await.problem(401);
    let put = r#"{"client":{"provider":"corp","id":"ci"},"scopes":["read"]}"#;
    assert_eq!(world.admin("PUT", "/v1/services/ci").json(put).send().await.status, 200);
    assert_eq!(ask("aa.bb.cc").send().await.status, 200);
    ask("aa.bb.cd").send().await.problem(401);
    ask("aa.bb.").send().await.problem(401);
}

#[tokio::test]
async fn a_service_logs_in_by_certificate_at_its_own_address() {
    let world = with_ci().await;
    let login = |der: Vec<u8>| world.ask("POST", "/v1/login/certificate").from(CLIENT).certificate(&der).send();
    let begun = login(ci()).await;
    assert_eq!(begun.status, 200, "{}", begun.text);
    let session = begun.json()["session"].clone();
    assert_eq!((&session["user"], &session["factors"]), (&json!("ci"), &json!(["certificate"])));
    assert_eq!(session["address"], CLIENT);
    login(named("spiffe://example.org/other")).await.problem(401);
    let world = with_ci().await;
    world.ask("POST", "/v1/login/certificate").from(CLIENT).send().await.problem(401);
    let elsewhere = world.ask("POST", "/v1/login/certificate").from("203.0.113.9").certificate(&ci()).send().await;
    assert_eq!(elsewhere.problem(403), "not-guarded");
    world.admin("POST", "/v1/users/ci/disable").send().await;
    let disabled = world.ask("POST", "/v1/login/certificate").from(CLIENT).certificate(&ci()).send().await;
    assert_eq!(disabled.problem(403), "user-disabled");
}

#[tokio::test]
async fn a_service_logs_in_by_access_token_and_its_provider_vouches() {
    let world = World::new();
    let put = r#"{"client":{"provider":"corp","id":"ci"}}"#;
    assert_eq!(world.admin("PUT", "/v1/services/ci").json(put).send().await.status, 200);
    let login = |token: &str| world.ask("POST", "/v1/login/token").from(CLIENT).bearer(token);
    let session = login("aa.bb.cc").send().await.json()["session"].clone();
    assert_eq!((&session["provider"], &session["factors"]), (&json!("corp"), &json!(["provider"])));
    login("aa.bb.cd").send().await.problem(401);
    login("pct_0123456789ab_x").send().await.problem(401);
    let moved = r#"{"client":{"provider":"corp","id":"other"}}"#;
    assert_eq!(world.admin("PUT", "/v1/services/ci").json(moved).send().await.status, 200);
    let sessions = world.admin("GET", "/v1/sessions").send().await.json();
    assert_eq!(sessions["items"], json!([]), "its sessions ended with what it proved itself with");
}

#[tokio::test]
async fn logins_of_services_are_throttled_as_those_of_people() {
    let world = with_ci().await;
    for _ in 0..5 {
        world.ask("POST", "/v1/login/certificate").from(CLIENT).send().await.problem(401);
    }
    let refused = world.ask("POST", "/v1/login/certificate").from(CLIENT).certificate(&ci()).send().await;
    assert_eq!(refused.problem(429), "too-many-attempts");
    assert_eq!(world.log_in("ada", PASSWORD, CLIENT).await.problem(429), "too-many-attempts");
}

#[tokio::test]
async fn a_person_is_told_that_an_address_is_bound() {
    let world = World::new();
    let put = format!(r#"{{"binding":{{"address":"{CLIENT}"}}}}"#);
    assert_eq!(world.admin("PUT", "/v1/services/printer").json(&put).send().await.status, 200);
    let refused = world.log_in("ada", PASSWORD, CLIENT).await;
    assert_eq!(refused.problem(409), "source-taken");
    assert!(refused.json()["detail"].as_str().unwrap().contains("bound to service `printer`"), "{}", refused.text);
}
