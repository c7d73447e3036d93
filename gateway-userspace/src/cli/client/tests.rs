use super::*;
use crate::api::certificate::Certificate;
use crate::api::limits::ConnectionLimits;
use crate::api::server::{ListenerConfig, Server};
use crate::cli::tls;
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A server with a certificate of its own.
struct Peer {
    url: String,
    pin: String,
    ca: PathBuf,
    _folder: tempfile::TempDir,
}

fn peer() -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let (ca, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    let certificate = Certificate::load_or_make(&ca, &key, &["127.0.0.1".to_owned()]).unwrap();
    let pin = certificate.fingerprint();
    let tls = certificate.into_config(None).unwrap();
    let addresses = vec!["127.0.0.1:0".parse().unwrap()];
    let server = Server::bind(ListenerConfig { addresses, tls, limits: ConnectionLimits::default() }).unwrap();
    let url = format!("https://{}", server.addresses()[0]);
    let handle = server.handle();
    tokio::spawn(async move { server.run(|_| router(), &handle).await });
    Peer { url, pin, ca, _folder: folder }
}

fn router() -> Router {
    let pages = |Query(query): Query<BTreeMap<String, String>>| async move {
        Json(match query.get("cursor").map(String::as_str) {
            None => json!({ "items": ["a", "b"], "next_cursor": "b" }),
            Some("b") => json!({ "items": ["c"], "next_cursor": "c", "limit": query["limit"] }),
            Some(_) => json!({ "items": [] }),
        })
    };
    let who = |headers: HeaderMap| async move { Json(headers[AUTHORIZATION].to_str().unwrap().to_owned()) };
    let refuse = || async {
        let problem =
            json!({ "type": "urn:portcullis:problem:x", "title": "not possible now", "status": 409, "detail": "why" });
        (StatusCode::CONFLICT, Json(problem))
    };
    let elsewhere = || async { (StatusCode::FOUND, [("location", "/who")]) };
    let here = |axum::extract::Path(name): axum::extract::Path<String>| async move { Json(name) };
    Router::new()
        .route("/pages", get(pages))
        .route("/who", get(who))
        .route("/refuse", get(refuse))
        .route("/elsewhere", get(elsewhere))
        .route("/name/{name}", get(here))
}

fn client(peer: &Peer) -> Client {
    Client::new(&peer.url, tls::config(None, Some(&peer.pin), None).unwrap()).unwrap()
}

#[tokio::test]
async fn a_certificate_is_trusted_by_its_file_or_its_fingerprint_and_not_otherwise() {
    let peer = peer();
    let ask = async |tls| {
        let client = Client::new(&peer.url, tls).unwrap();
        client.call(Method::GET, &["name", "x"]).answer::<String>().await.map(|answer| answer.shape)
    };
    assert_eq!(ask(tls::config(Some(&peer.ca), None, None).unwrap()).await.unwrap(), "x");
    assert_eq!(ask(tls::config(None, Some(&peer.pin), None).unwrap()).await.unwrap(), "x");
    let other = ask(tls::config(None, Some(&"00".repeat(32)), None).unwrap()).await.unwrap_err().to_string();
    assert!(other.contains("is not the one of `--pin`"), "{other}");
    let other_peer = self::peer();
    let unknown = ask(tls::config(Some(&other_peer.ca), None, None).unwrap()).await.unwrap_err();
    assert!(unknown.to_string().contains("`--ca` or `--pin`") && unknown.exit_code() == 1, "{unknown}");
}

#[tokio::test]
async fn all_pages_are_read_as_one_list() {
    let peer = peer();
    let list = client(&peer).call(Method::GET, &["pages"]).pages::<String>().await.unwrap();
    assert_eq!(list.shape, ["a", "b", "c"]);
    assert_eq!(list.json, json!({ "items": ["a", "b", "c"] }));
}

#[tokio::test]
async fn a_problem_is_told_and_what_is_none_is_named() {
    let peer = peer();
    let client = client(&peer);
    let error = client.call(Method::GET, &["refuse"]).done().await.unwrap_err();
    assert!(error.has_status(409) && error.to_string() == "not possible now: why", "{error}");
    let error = client.call(Method::GET, &["nowhere"]).done().await.unwrap_err();
    assert!(matches!(&error, CliError::Answer { problem, .. } if problem.contains("404")), "{error}");
    let error = client.call(Method::GET, &["name", "x"]).answer::<u64>().await.err().unwrap();
    assert!(matches!(error, CliError::Answer { .. }), "{error}");
}

#[tokio::test]
async fn a_secret_is_presented_and_does_not_follow_to_another_place() {
    let peer = peer();
    let client = client(&peer);
    let who = client.call(Method::GET, &["who"]).bearer(&"pct_x".into()).unwrap().answer::<String>().await.unwrap();
    assert_eq!(who.shape, "Bearer pct_x");
    let moved = client.call(Method::GET, &["elsewhere"]).bearer(&"pct_x".into()).unwrap().done().await.unwrap_err();
    assert!(matches!(moved, CliError::Answer { .. }), "{moved}");
}

#[tokio::test]
async fn a_name_stays_one_segment_of_the_path() {
    let peer = peer();
    for name in ["a b", "a/../b", "a?b#c", "ü"] {
        let answer = client(&peer).call(Method::GET, &["name", name]).answer::<String>().await.unwrap();
        assert_eq!(answer.shape, name);
    }
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client =
        Client::new(&format!("https://{free}"), tls::config(None, Some(&"00".repeat(32)), None).unwrap()).unwrap();
    let error = client.call(Method::GET, &["x"]).done().await.unwrap_err().to_string();
    assert!(error.contains(&free.to_string()) && error.to_lowercase().contains("refused"), "{error}");
}
