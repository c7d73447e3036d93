//! Who may call what, for every operation of the OpenAPI document.

use super::{Answer, World};
use crate::api::{Access, RULES, document};
use crate::identity::Scope;
use serde_json::Value;
use std::collections::BTreeSet;

fn operations() -> BTreeSet<(String, String)> {
    let document = serde_json::to_value(document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let methods = |path: &str, item: &Value| -> Vec<_> {
        item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.to_owned())).collect()
    };
    paths.iter().flat_map(|(path, item)| methods(path, item)).collect()
}

/// The path with something in the place of each parameter.
fn example(path: &str) -> String {
    let path = path.replace("{name}", "ada").replace("{user}", "ada").replace("{app}", "crm");
    path.replace("{token}", "00000000000000ab").replace("{id}", "0123456789ab")
}

#[test]
fn every_operation_has_exactly_one_rule_and_every_rule_an_operation() {
    let rules: Vec<_> = RULES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(rules.len(), rules.iter().collect::<BTreeSet<_>>().len());
    assert_eq!(operations(), rules.into_iter().collect());
}

#[test]
fn the_document_says_what_each_operation_asks_for() {
    let document = serde_json::to_value(document()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let security = |path: &str, method: &str| document["paths"][path][method]["security"][0].clone();
    assert_eq!(security("/v1/policy", "put"), serde_json::json!({"api_token": ["policy:write"]}));
    assert_eq!(security("/v1/logout", "post"), serde_json::json!({"session": []}));
    assert!(security("/v1/login", "post").is_null());
    assert_eq!(security("/v1/login/certificate", "post"), serde_json::json!({"certificate": []}));
    assert_eq!(security("/v1/bundle", "put"), serde_json::json!({"api_token": ["policy:write", "apps:write"]}));
    let ways = &document["paths"]["/v1/policy"]["get"]["security"];
    assert_eq!(ways[1], serde_json::json!({"certificate": ["read"]}));
}

#[tokio::test]
async fn without_a_token_every_administrative_operation_is_401() {
    let world = World::new();
    for (method, path, access) in RULES {
        if matches!(access, Access::Token(_) | Access::Metrics) {
            let answer = world.ask(method, &example(path)).send().await;
            assert_eq!(answer.problem(401), "unauthorized", "{method} {path}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
            let wrong = format!("pct_0123456789ab_{}", "A".repeat(43));
            world.ask(method, &example(path)).bearer(&wrong).send().await.problem(401);
        }
    }
}

#[tokio::test]
async fn without_the_token_of_a_provider_every_scim_operation_is_401_in_scim_even_for_administrators() {
    let world = World::new();
    for (method, path, access) in RULES {
        if *access == Access::Scim {
            for asked in [world.ask(method, &example(path)), world.admin(method, &example(path))] {
                let answer = asked.json("{}").send().await;
                assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (401, &"401".into()), "{method} {path}");
                assert_eq!(answer.headers["content-type"], "application/scim+json");
                assert_eq!(answer.headers["www-authenticate"], "Bearer");
            }
        }
    }
}

#[tokio::test]
async fn with_a_token_of_another_scope_it_is_403() {
    let world = World::new();
    for (method, path, access) in RULES {
        let needed = match access {
            Access::Token(scopes) => *scopes,
            Access::Metrics => &[Scope::MetricsRead],
            Access::Open | Access::Client | Access::Provider | Access::Scim => continue,
        };
        // One of two is not enough.
        let others = Scope::ALL.into_iter().filter(|scope| *needed != [*scope] && *scope != Scope::Admin);
        for scope in others {
            let answer = world.ask(method, &example(path)).bearer(world.token(scope)).send().await;
            assert_eq!(answer.problem(403), "scope", "{method} {path} with {scope}");
        }
    }
}

#[tokio::test]
async fn from_outside_the_management_prefixes_administration_does_not_exist() {
    let world = World::new();
    for (method, path, access) in RULES {
        if matches!(access, Access::Token(_) | Access::Metrics) {
            let asked = world.admin(method, &example(path)).from("198.51.100.7");
            let forged = asked.header("x-forwarded-for", "192.0.2.10").header("forwarded", "for=192.0.2.10");
            assert_eq!(forged.send().await.problem(404), "not-found", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn where_people_log_in_nothing_else_answers_whoever_asks() {
    let (elsewhere, world) = (World::new(), World::new().where_people_log_in());
    for (method, path, access) in RULES {
        let answer = world.admin(method, &example(path)).send().await;
        match access {
            Access::Open | Access::Client => {
                let usual = elsewhere.admin(method, &example(path)).send().await;
                assert_eq!(answer.status, usual.status, "{method} {path}: {}", answer.text);
            }
            _ => assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text),
        }
    }
}

#[tokio::test]
async fn unknown_paths_methods_and_tricks_are_problems() {
    let world = World::new();
    assert_eq!(world.admin("GET", "/v1/nothing").send().await.problem(404), "not-found");
    for trick in ["/v1/users/", "/v1//users", "/v1/x/../users", "/v1/users/%2e%2e", "/V1/users", "/v1/users/a%2Fb"] {
        let status = world.ask("GET", trick).send().await.status.as_u16();
        assert!([400, 401, 404].contains(&status), "{trick}: {status}");
    }
    let answer = world.admin("PATCH", "/v1/policy").send().await;
    assert_eq!(answer.problem(405), "method-not-allowed");
    assert_eq!(answer.headers["allow"], "GET, PUT");
}

#[tokio::test]
async fn whoever_is_answered_before_their_body_was_read_is_told_that_the_connection_is_closed() {
    let world = World::new();
    let closed = |answer: &Answer| answer.headers.get("connection").is_some_and(|value| value == "close");
    for path in ["/v1/groups/staff", "/v1/nothing"] {
        let answer = world.ask("PUT", path).json("{}").send().await;
        assert!(answer.status.is_client_error() && closed(&answer), "{path}: {:?}", answer.headers);
    }
    for asked in [world.admin("PUT", "/v1/apps/crm").json("{}"), world.ask("GET", "/v1/users")] {
        let answer = asked.send().await;
        assert!(answer.status.is_client_error() && !closed(&answer), "{:?}", answer.headers);
    }
}

#[tokio::test]
async fn every_answer_forbids_storing_and_sniffing() {
    let world = World::new();
    for path in ["/healthz", "/v1/users", "/v1/nothing"] {
        let answer = world.ask("GET", path).send().await;
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
    }
}
