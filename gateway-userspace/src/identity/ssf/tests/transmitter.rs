//! A transmitter that really listens, at an address of this machine, with a certificate of its own.

use super::receiver::{AUDIENCE, claims, sign};
use crate::identity::jose::forge::Signer;
use crate::identity::ssf::client;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};

/// What the management API and the polls want to see.
pub(super) const TOKEN: &str = "t0ken";

/// A transmitter.
#[derive(Clone)]
pub(super) struct Transmitter {
    pub(super) issuer: String,
    pub(super) client: reqwest::Client,
    signer: Arc<Signer>,
    state: Arc<Mutex<Shared>>,
}

/// What it has, and what it was told.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) waiting: BTreeMap<String, String>,
    pub(super) acknowledged: Vec<String>,
    pub(super) refused: BTreeMap<String, Value>,
    /// The next answers to polls, instead of what is waiting.
    pub(super) faults: VecDeque<(u16, String)>,
    pub(super) streams: BTreeMap<String, Value>,
    /// Members of subjects without which they are not understood.
    pub(super) critical: Vec<&'static str>,
    issuer: String,
}

impl Transmitter {
    pub(super) fn start() -> Self {
        // Whoever is first sets the provider for the process.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(pair.cert.der().clone()).unwrap();
        let trusting = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let key = pair.signing_key.serialize_der().try_into().unwrap();
        let serving = rustls::ServerConfig::builder().with_no_client_auth();
        let serving = serving.with_single_cert(vec![pair.cert.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let issuer = format!("https://{}/tenant", listener.local_addr().unwrap());
        let state = Shared { issuer: issuer.clone(), ..Shared::default() };
        let client = client(trusting).unwrap();
        let this = Self { issuer, client, signer: Arc::new(Signer::es256("k1")), state: Arc::new(Mutex::new(state)) };
        let tls = RustlsConfig::from_config(Arc::new(serving));
        let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
        tokio::spawn(server.serve(this.routes().into_make_service()));
        this
    }

    pub(super) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.state.lock().unwrap()
    }

    /// Makes an event about Ada wait to be polled.
    pub(super) fn emit(&self, jti: &str, uri: &str, body: &Value) {
        self.emit_of_tenant(jti, uri, body, None);
    }

    /// The same about Ada of a tenant.
    pub(super) fn emit_of_tenant(&self, jti: &str, uri: &str, body: &Value, tenant: Option<&str>) {
        let mut claims = claims(&self.issuer, jti, uri, body);
        if let Some(tenant) = tenant {
            let user = claims["sub_id"].take();
            claims["sub_id"] = json!({"format": "complex", "user": user, "tenant": {"format": "opaque", "id": tenant}});
        }
        let token = sign(&self.signer, &claims);
        self.shared().waiting.insert(jti.to_owned(), token);
    }

    fn routes(&self) -> Router {
        Router::new()
            .route("/.well-known/ssf-configuration/tenant", get(configuration))
            .route("/keys", get(keys))
            .route("/poll", post(poll))
            .route("/streams", get(read).post(create).patch(update))
            .route("/verify", post(verify))
            .with_state(self.clone())
    }
}

fn may(headers: &HeaderMap) -> Result<(), StatusCode> {
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok());
    if shown == Some(&format!("Bearer {TOKEN}")) { Ok(()) } else { Err(StatusCode::UNAUTHORIZED) }
}

async fn configuration(State(me): State<Transmitter>) -> Json<Value> {
    let base = me.issuer.trim_end_matches("/tenant");
    let mut document = json!({"spec_version": "1_0", "issuer": me.issuer, "jwks_uri": format!("{base}/keys")});
    for (name, path) in [("configuration_endpoint", "streams"), ("verification_endpoint", "verify")] {
        document[name] = json!(format!("{base}/{path}"));
    }
    document["critical_subject_members"] = json!(me.shared().critical);
    document["delivery_methods_supported"] = json!(["urn:ietf:rfc:8935", "urn:ietf:rfc:8936"]);
    Json(document)
}

async fn keys(State(me): State<Transmitter>) -> Json<Value> {
    Json(json!({"keys": [me.signer.jwk()]}))
}

async fn poll(State(me): State<Transmitter>, headers: HeaderMap, Json(asked): Json<Value>) -> Response {
    if let Err(refused) = may(&headers) {
        return refused.into_response();
    }
    let mut shared = me.shared();
    if let Some((status, body)) = shared.faults.pop_front() {
        return (StatusCode::from_u16(status).unwrap(), [("retry-after", "7")], body).into_response();
    }
    for jti in asked["ack"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        shared.waiting.remove(jti);
        shared.acknowledged.push(jti.to_owned());
    }
    for (jti, error) in asked["setErrs"].as_object().into_iter().flatten() {
        shared.waiting.remove(jti);
        shared.refused.insert(jti.clone(), error["err"].clone());
    }
    let sets: Map<String, Value> = shared.waiting.iter().map(|(jti, token)| (jti.clone(), json!(token))).collect();
    Json(json!({"sets": sets, "moreAvailable": false})).into_response()
}

async fn read(
    State(me): State<Transmitter>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    if let Err(refused) = may(&headers) {
        return refused.into_response();
    }
    let shared = me.shared();
    match query.get("stream_id") {
        None => Json(shared.streams.values().cloned().collect::<Vec<_>>()).into_response(),
        Some(id) => match shared.streams.get(id) {
            Some(stream) => Json(stream.clone()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
    }
}

async fn create(State(me): State<Transmitter>, headers: HeaderMap, Json(mut stream): Json<Value>) -> Response {
    if let Err(refused) = may(&headers) {
        return refused.into_response();
    }
    let mut shared = me.shared();
    let id = format!("s{}", shared.streams.len() + 1);
    if stream["delivery"]["method"] == json!("urn:ietf:rfc:8936") {
        stream["delivery"]["endpoint_url"] = json!(shared.issuer.replace("/tenant", "/poll"));
    }
    for (name, value) in [("stream_id", json!(id)), ("iss", json!(shared.issuer)), ("aud", json!([AUDIENCE]))] {
        stream[name] = value;
    }
    stream["min_verification_interval"] = json!(60);
    stream["events_delivered"] = stream["events_requested"].clone();
    shared.streams.insert(id, stream.clone());
    (StatusCode::CREATED, Json(stream)).into_response()
}

async fn update(State(me): State<Transmitter>, headers: HeaderMap, Json(changes): Json<Value>) -> Response {
    if let Err(refused) = may(&headers) {
        return refused.into_response();
    }
    let mut shared = me.shared();
    let Some(stream) = changes["stream_id"].as_str().and_then(|id| shared.streams.get_mut(id)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    stream["description"] = changes["description"].clone();
    stream["updated"] = json!(true);
    Json(stream.clone()).into_response()
}

async fn verify(State(me): State<Transmitter>, headers: HeaderMap, Json(asked): Json<Value>) -> Response {
    if let Err(refused) = may(&headers) {
        return refused.into_response();
    }
    let uri = "https://schemas.openid.net/secevent/ssf/event-type/verification";
    me.emit("verification", uri, &json!({"state": asked["state"]}));
    StatusCode::NO_CONTENT.into_response()
}
