//! The interface as providers see it, with a directory in memory.

use super::*;
use crate::api::context::Later;
use crate::identity::scim::{Decided, Directory, Operation, ScimError, Taken, decide};
use crate::policy::{GroupName, ProviderName, UserName};
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use axum::middleware;
use axum::{Extension, Router};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use tower::ServiceExt as _;

/// Carries operations out in memory.
#[derive(Default)]
struct Memory(Mutex<Directory>);

/// Everybody is managed by the provider that asks.
struct Nobody;

impl Taken for Nobody {
    fn user(&self, _: &UserName) -> bool {
        false
    }

    fn group(&self, _: &GroupName) -> bool {
        false
    }
}

impl ScimService for Memory {
    fn operate<'a>(&'a self, _: &'a ScimClient, operation: Operation) -> Later<'a, Result<Decided, ScimError>> {
        Box::pin(async move {
            let mut directory = self.0.lock().unwrap();
            let now = time::OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
            let decided = decide(&directory, &Nobody, &operation, now)?;
            decided.change.iter().for_each(|change| directory.adopt(change));
            Ok(decided)
        })
    }

    fn look(&self, look: Look) -> Later<'_, Result<(), ScimError>> {
        look(&self.0.lock().unwrap());
        Box::pin(async { Ok(()) })
    }
}

struct World {
    service: Arc<Memory>,
    provider: &'static str,
}

struct Answered {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Value,
}

impl World {
    fn new() -> Self {
        Self { service: Arc::default(), provider: "entra" }
    }

    fn router(&self) -> Router {
        let provider = ProviderName::new(self.provider).unwrap();
        let client = ScimClient { provider, address: IpAddr::from([192, 0, 2, 1]) };
        let (routes, _) = routes::<Scim>().split_for_parts();
        let service: Arc<dyn ScimService> = Arc::<Memory>::clone(&self.service);
        let routes = routes.with_state(Scim(service)).layer(Extension(client));
        routes.fallback(|| async { StatusCode::NOT_FOUND }).layer(middleware::from_fn(errors))
    }

    async fn send(&self, request: Request<Body>) -> Answered {
        read(self.router().oneshot(request).await.unwrap()).await
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answered {
        self.send(request(method, path, body)).await
    }

    async fn user(&self, name: &str) -> String {
        let created = self.ask("POST", "/Users", Some(json!({"userName": name}))).await;
        assert_eq!(created.status, StatusCode::CREATED);
        created.body["id"].as_str().unwrap().to_owned()
    }
}

fn request(method: &str, path: &str, body: Option<Value>) -> Request<Body> {
    let request = Request::builder().method(method).uri(format!("{ROOT}{path}")).header("host", "gw.example.org");
    match body {
        Some(body) => {
            request.header("content-type", "application/scim+json; charset=utf-8").body(body.to_string().into())
        }
        None => request.body(Body::empty()),
    }
    .unwrap()
}

async fn read(response: Response<Body>) -> Answered {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let has_document = !body.is_empty();
    if has_document {
        assert_eq!(parts.headers["content-type"], "application/scim+json");
    }
    let body = if has_document { serde_json::from_slice(&body).unwrap() } else { Value::Null };
    if parts.status.is_client_error() || parts.status.is_server_error() {
        assert_eq!(body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]), "{body}");
        assert_eq!(body["status"], parts.status.as_str());
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
    Answered { status: parts.status, headers: parts.headers, body }
}

#[tokio::test]
async fn a_user_lives_and_every_answer_says_where_and_in_which_version() {
    let world = World::new();
    let created = world.ask("POST", "/Users", Some(json!({"userName": "Ada"}))).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let place = created.headers["location"].to_str().unwrap();
    assert_eq!(created.body["meta"]["location"], place);
    assert!(place.starts_with("https://gw.example.org/scim/v2/Users/"));
    assert_eq!(created.headers["etag"], "W/\"1\"");
    let path = &place["https://gw.example.org/scim/v2".len()..];

    let replaced = world.ask("PUT", path, Some(json!({"userName": "ada", "title": "Countess"}))).await;
    assert_eq!((replaced.status, &replaced.body["title"]), (StatusCode::OK, &"Countess".into()));
    let body = json!({"Operations": [{"op": "replace", "path": "active", "value": "False"}]});
    let patched = world.ask("PATCH", path, Some(body)).await;
    assert_eq!((patched.status, &patched.body["active"]), (StatusCode::OK, &false.into()));
    assert_eq!(patched.headers["etag"], "W/\"3\"");

    let mut known = request("GET", path, None);
    known.headers_mut().insert("if-none-match", "W/\"3\"".parse().unwrap());
    let unchanged = world.send(known).await;
    assert_eq!((unchanged.status, unchanged.body), (StatusCode::NOT_MODIFIED, Value::Null));
    let mut stale = request("DELETE", path, None);
    stale.headers_mut().insert("if-match", "W/\"2\"".parse().unwrap());
    assert_eq!(world.send(stale).await.status, StatusCode::PRECONDITION_FAILED);

    assert_eq!(world.ask("GET", &format!("{path}?attributes=active"), None).await.body.get("userName"), None);
    assert_eq!(world.ask("DELETE", path, None).await.status, StatusCode::NO_CONTENT);
    for (method, body) in [("GET", None), ("DELETE", None), ("PUT", Some(json!({"userName": "ada"})))] {
        assert_eq!(world.ask(method, path, body).await.status, StatusCode::NOT_FOUND, "{method}");
    }
}

#[tokio::test]
async fn a_group_is_patched_without_a_word_unless_attributes_are_asked_for() {
    let world = World::new();
    let ada = world.user("ada").await;
    let created = world.ask("POST", "/Groups", Some(json!({"displayName": "Ops"}))).await;
    let path = format!("/Groups/{}", created.body["id"].as_str().unwrap());
    let body = json!({"Operations": [{"op": "add", "path": "members", "value": [{"value": ada}]}]});
    let patched = world.ask("PATCH", &path, Some(body.clone())).await;
    assert_eq!((patched.status, patched.body), (StatusCode::NO_CONTENT, Value::Null));
    let patched = world.ask("PATCH", &format!("{path}?attributes=members.value"), Some(body)).await;
    assert_eq!((patched.status, &patched.body["members"]), (StatusCode::OK, &json!([{"value": ada}])));
    let read = world.ask("GET", &format!("{path}?excludedAttributes=members"), None).await;
    assert_eq!((read.status, read.body.get("members")), (StatusCode::OK, None));
}

#[tokio::test]
async fn lists_and_searches_find_the_same() {
    let world = World::new();
    for name in ["ada", "bob", "eve"] {
        world.user(name).await;
    }
    world.ask("POST", "/Groups", Some(json!({"displayName": "Ops"}))).await;
    let found = |answered: &Answered| -> Vec<String> {
        let resources = answered.body["Resources"].as_array().unwrap().iter();
        resources.map(|found| found["userName"].as_str().unwrap_or("a group").to_owned()).collect()
    };
    let listed = world.ask("GET", "/Users?sortBy=userName&sortOrder=descending&count=2&startIndex=2", None).await;
    assert_eq!((found(&listed), &listed.body["totalResults"]), (vec!["bob".to_owned(), "ada".to_owned()], &3.into()));
    let listed = world.ask("GET", "/Users?filter=userName%20eq%20%22EVE%22", None).await;
    assert_eq!(found(&listed), ["eve"]);
    let body = json!({"filter": "userName sw \"a\" or title pr"});
    assert_eq!(found(&world.ask("POST", "/Users/.search", Some(body)).await), ["ada"]);
    let all =
        |start: i64, count: i64| world.ask("POST", "/.search", Some(json!({"startIndex": start, "count": count})));
    let everything = all(1, 10).await;
    assert_eq!((found(&everything).len(), &everything.body["totalResults"]), (4, &4.into()));
    assert_eq!(found(&all(4, 10).await), ["a group"]);
    let middle = all(3, 2).await;
    assert_eq!((found(&middle).len(), &middle.body["itemsPerPage"]), (2, &2.into()));
    assert_eq!(found(&all(1, 2).await).len(), 2);
    assert_eq!(
        world.ask("GET", "/Users?startIndex=-99999999999999999999999&count=0", None).await.body["startIndex"],
        1
    );
}

#[tokio::test]
async fn many_operations_are_answered_one_by_one() {
    let world = World::new();
    let answered = world
        .ask(
            "POST",
            "/Bulk",
            Some(json!({"Operations": [
                {"method": "POST", "path": "/Users", "bulkId": "a", "data": {"userName": "ada"}},
                {"method": "POST", "path": "/Users", "bulkId": "b", "data": {"userName": "ADA"}},
            ]})),
        )
        .await;
    assert_eq!(answered.status, StatusCode::OK);
    let statuses: Vec<_> = answered.body["Operations"].as_array().unwrap().iter().map(|done| &done["status"]).collect();
    assert_eq!(statuses, ["201", "409"]);
}

#[tokio::test]
async fn whatever_is_refused_is_refused_in_scim() {
    let world = World::new();
    let ada = world.user("ada").await;
    let user = Some(json!({"userName": "ada"}));
    let own = format!("/Users/{ada}");
    for (method, path, body, status) in [
        ("GET", "", None, 404),
        ("GET", "/Nothing", None, 404),
        ("GET", "/Users/me", None, 404),
        ("GET", "/Users/%ff", None, 400),
        ("GET", "/users", None, 404),
        ("DELETE", "/Users", None, 405),
        ("POST", own.as_str(), user.clone(), 405),
        ("GET", "/Users/.search", None, 405),
        ("POST", "/Users", None, 415),
        ("POST", "/Users", user, 409),
        ("POST", "/Users", Some(json!([])), 400),
        ("POST", "/Users", Some(json!({})), 400),
        ("POST", "/Bulk", Some(json!({})), 400),
        ("POST", "/Users", Some(json!({"title": "x".repeat(3 << 20)})), 413),
        ("GET", "/Users?count=x", None, 400),
        ("GET", "/Users?count=1&count=2", None, 400),
        ("GET", "/Users?filter=", None, 400),
        ("GET", "/Users?attributes=a&excludedAttributes=b", None, 400),
        ("GET", "/Schemas?filter=x", None, 403),
        ("GET", "/Schemas/x", None, 404),
    ] {
        assert_eq!(world.ask(method, path, body).await.status.as_u16(), status, "{method} {path}");
    }
    let mut twice = request("POST", "/Users", Some(json!({})));
    *twice.body_mut() = r#"{"userName": "a", "userName": "b"}"#.into();
    assert_eq!(world.send(twice).await.body["scimType"], "invalidSyntax");
}

#[tokio::test]
async fn who_is_not_known_to_be_a_provider_gets_nothing() {
    let (routes, document) = routes::<Scim>().split_for_parts();
    let router: Router = routes.with_state(Scim(Arc::new(Memory::default())));
    let document = serde_json::to_value(document).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let path = path.strip_prefix(ROOT).unwrap().replace("{id}", "01234567-89ab-4def-8123-456789abcdef");
            let asked = request(&method.to_uppercase(), &path, Some(json!({"userName": "eve"})));
            let answered = read(router.clone().oneshot(asked).await.unwrap()).await;
            assert_eq!(answered.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert_eq!(answered.headers["www-authenticate"], "Bearer");
        }
    }
}

#[tokio::test]
async fn providers_do_not_see_each_other() {
    let mut world = World::new();
    let ada = world.user("ada").await;
    world.provider = "okta";
    assert_eq!(world.ask("GET", &format!("/Users/{ada}"), None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.ask("GET", "/Users", None).await.body["totalResults"], 0);
}

#[test]
fn every_operation_says_what_it_can_be_refused_with() {
    let (_, mut document) = routes::<Scim>().split_for_parts();
    describe(&mut document);
    let document = serde_json::to_value(document).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 13);
    for item in paths.values() {
        for operation in item.as_object().unwrap().values() {
            for status in ["400", "401", "404", "405", "408", "500", "503"] {
                assert!(operation["responses"].get(status).is_some(), "{operation}");
            }
        }
    }
    let refusals = &paths["/scim/v2/Users"]["post"]["responses"];
    assert!(["201", "409", "413", "415"].iter().all(|status| refusals.get(status).is_some()));
}
