//! A transmitter of shared signals: what it publishes, tokens of events, and events that wait to be polled.

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use gateway_tests::{
    Namespace,
    peer::{Authority, Certificate},
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{serving::Serving, signer::Signer};

/// For whom its events are.
pub const AUDIENCE: &str = "https://gate.example";
const EVENTS: &str = "https://schemas.openid.net/secevent";
const STREAM: &str = "s-1";

/// At work. Dropping ends it.
pub struct Transmitter {
    known: Arc<Known>,
    host: Namespace,
    address: SocketAddr,
    certificate: Certificate,
    serving: Option<Serving>,
}

struct Known {
    issuer: String,
    signer: Signer,
    stream: Mutex<Stream>,
}

/// What the receiver has made of its stream.
#[derive(Default)]
struct Stream {
    wanted: Option<Value>,
    /// Tokens that nobody has acknowledged, by `jti`.
    waiting: BTreeMap<String, String>,
    acknowledged: Vec<String>,
}

impl Transmitter {
    /// Starts it on a host, at an address that the authority certifies.
    pub fn start(host: &Namespace, address: SocketAddr, authority: &Authority) -> Result<Self> {
        let certificate = authority.certify("transmitter", &[address.ip()])?;
        let (issuer, signer) = (format!("https://{address}"), Signer::new()?);
        let known = Arc::new(Known { issuer, signer, stream: Mutex::default() });
        let mut transmitter = Self { known, host: host.clone(), address, certificate, serving: None };
        transmitter.resume()?;
        Ok(transmitter)
    }

    /// Ends it, as far as anybody can tell who asks it; what it knows is kept.
    pub fn stop(&mut self) {
        self.serving = None;
    }

    /// Starts it again with what it knew.
    pub fn resume(&mut self) -> Result<()> {
        let routes = Router::new()
            .route("/.well-known/ssf-configuration", get(configuration))
            .route("/keys", get(keys))
            .route("/streams", get(streams).post(create))
            .route("/verify", post(verify))
            .route("/poll", post(poll))
            .with_state(Arc::clone(&self.known));
        let listener = self.host.enter(|| TcpListener::bind(self.address))??;
        let pem = (fs::read(&self.certificate.certificate)?, fs::read(&self.certificate.key)?);
        self.serving = Some(Serving::start(listener, pem, routes)?.0);
        Ok(())
    }

    /// The token of an event of a kind, like `caep/event-type/session-revoked`, about somebody.
    pub fn event(&self, jti: &str, kind: &str, about: &Value, says: Value) -> Result<String> {
        self.token(jti, AUDIENCE, kind, about, says)
    }

    /// The same for another audience.
    pub fn token(&self, jti: &str, audience: &str, kind: &str, about: &Value, mut says: Value) -> Result<String> {
        says["event_timestamp"] = json!(OffsetDateTime::now_utc().unix_timestamp());
        self.known.token(jti, audience, kind, about, &says)
    }

    /// Lets an event wait until it is polled.
    pub fn let_wait(&self, jti: &str, token: String) {
        self.known.stream().waiting.insert(jti.to_owned(), token);
    }

    /// Whether an event has been acknowledged.
    pub fn is_acknowledged(&self, jti: &str) -> bool {
        self.known.stream().acknowledged.iter().any(|known| known == jti)
    }

    /// Loses the stream, with all that waits: from now on there is none.
    pub fn lose(&self) {
        *self.known.stream() = Stream::default();
    }

    /// How the receiver wants its stream.
    pub fn wanted(&self) -> Option<Value> {
        self.known.stream().wanted.clone()
    }
}

impl Known {
    fn stream(&self) -> std::sync::MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn token(&self, jti: &str, audience: &str, kind: &str, about: &Value, says: &Value) -> Result<String> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let claims = json!({ "iss": self.issuer, "aud": audience, "iat": now, "jti": jti, "sub_id": about,
            "events": { format!("{EVENTS}/{kind}"): says } });
        self.signer.sign("secevent+jwt", &claims)
    }

    fn document(&self, wanted: &Value) -> Value {
        let mut delivery = wanted["delivery"].clone();
        if delivery["endpoint_url"].is_null() {
            delivery["endpoint_url"] = json!(format!("{}/poll", self.issuer));
        }
        json!({ "stream_id": STREAM, "iss": self.issuer, "aud": AUDIENCE, "delivery": delivery,
            "events_delivered": wanted["events_requested"], "description": wanted["description"] })
    }
}

async fn configuration(State(known): State<Arc<Known>>) -> Json<Value> {
    let issuer = &known.issuer;
    Json(json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys"),
        "configuration_endpoint": format!("{issuer}/streams"), "verification_endpoint": format!("{issuer}/verify"),
        "delivery_methods_supported": ["urn:ietf:rfc:8935", "urn:ietf:rfc:8936"] }))
}

async fn keys(State(known): State<Arc<Known>>) -> Result<Json<Value>, StatusCode> {
    known.signer.keys().map(Json).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn streams(State(known): State<Arc<Known>>) -> Json<Value> {
    let streams: Vec<_> = known.stream().wanted.iter().map(|wanted| known.document(wanted)).collect();
    Json(json!(streams))
}

async fn create(State(known): State<Arc<Known>>, Json(wanted): Json<Value>) -> (StatusCode, Json<Value>) {
    let document = known.document(&wanted);
    known.stream().wanted = Some(wanted);
    (StatusCode::CREATED, Json(document))
}

/// The event that was asked for waits with the others.
async fn verify(State(known): State<Arc<Known>>, Json(asked): Json<Value>) -> StatusCode {
    let whom = json!({ "format": "opaque", "id": STREAM });
    let says = json!({ "state": asked["state"] });
    let token = known.token("verification", AUDIENCE, "ssf/event-type/verification", &whom, &says);
    let Ok(token) = token else { return StatusCode::INTERNAL_SERVER_ERROR };
    known.stream().waiting.insert("verification".into(), token);
    StatusCode::NO_CONTENT
}

async fn poll(State(known): State<Arc<Known>>, Json(asked): Json<Value>) -> Result<Json<Value>, StatusCode> {
    let mut stream = known.stream();
    if stream.wanted.is_none() {
        return Err(StatusCode::NOT_FOUND);
    }
    for jti in asked["ack"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        stream.waiting.remove(jti);
        stream.acknowledged.push(jti.to_owned());
    }
    Ok(Json(json!({ "sets": stream.waiting })))
}
