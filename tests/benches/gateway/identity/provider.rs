//! The provider: what it publishes, tokens for whoever brings a code, and what it sends by itself.
//!
//! A code names its person and the login that it belongs to, so that nothing is kept. People prove nothing here: that
//! happens at the provider, before the gateway hears of it.

use super::serving::Serving;
use super::signer::Signer;
use crate::crowd::pushed::subject;
use anyhow::{Context as _, Result};
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use gateway_tests::Namespace;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::Arc;
use time::OffsetDateTime;

/// How it knows the gateway, and what its events are for.
pub const CLIENT: &str = "gateway";
pub const AUDIENCE: &str = "https://gate.example";
/// Between a login and its person, in a code. Neither has it.
const SEPARATOR: char = '~';
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// At work. Dropping ends it.
pub struct Provider {
    known: Arc<Known>,
    certificate: String,
    /// The number of its thread.
    task: i32,
    _serving: Serving,
}

struct Known {
    issuer: String,
    signer: Signer,
}

impl Provider {
    /// Starts it on a host, with a certificate of its own.
    pub fn start(host: &Namespace) -> Result<Self> {
        let listener = host.enter(|| TcpListener::bind("127.0.0.1:0"))??;
        let issuer = format!("https://{}", listener.local_addr()?);
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let certificate = made.cert.pem();
        let known = Arc::new(Known { issuer, signer: Signer::new()? });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/.well-known/ssf-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(Arc::clone(&known));
        let pem = (certificate.clone().into_bytes(), made.signing_key.serialize_pem().into_bytes());
        let (_serving, task) = Serving::start(listener, pem, routes)?;
        Ok(Self { known, certificate, task, _serving })
    }

    /// Its issuer, which is also its base address.
    pub fn issuer(&self) -> &str {
        &self.known.issuer
    }

    /// Its certificate (PEM).
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The code of somebody who has signed in, for the login that was begun with `nonce`.
    pub fn code(nonce: &str, user: &str) -> String {
        format!("{nonce}{SEPARATOR}{user}")
    }

    /// That somebody has signed out, to be sent to the gateway.
    pub fn logout(&self, user: &str) -> Result<String> {
        let Known { issuer, signer } = &*self.known;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let claims = json!({ "iss": issuer, "aud": CLIENT, "sub": subject(user), "iat": now, "exp": now + 120,
            "jti": format!("logout-{user}"), "events": { LOGOUT: {} } });
        Ok(format!("logout_token={}", signer.sign("logout+jwt", &claims)?))
    }

    /// That somebody's sessions are revoked, to be pushed.
    pub fn revoked(&self, user: &str) -> Result<String> {
        let Known { issuer, signer } = &*self.known;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let whom = json!({ "format": "iss_sub", "iss": issuer, "sub": subject(user) });
        let claims = json!({ "iss": issuer, "aud": AUDIENCE, "iat": now, "jti": format!("revoked-{user}"),
            "sub_id": whom, "events": { REVOKED: { "event_timestamp": now } } });
        signer.sign("secevent+jwt", &claims)
    }

    /// Nanoseconds that its thread has been at work.
    pub fn busy(&self) -> Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/self/task/{}/schedstat", self.task))?;
        stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).with_context(|| format!("no time in `{stat}`"))
    }
}

/// For OpenID Connect and for shared signals.
async fn metadata(State(known): State<Arc<Known>>) -> Json<Value> {
    let issuer = &known.issuer;
    Json(json!({
        "issuer": issuer, "jwks_uri": format!("{issuer}/keys"), "token_endpoint": format!("{issuer}/token"),
        "authorization_endpoint": format!("{issuer}/authorize"), "code_challenge_methods_supported": ["S256"],
    }))
}

async fn keys(State(known): State<Arc<Known>>) -> Result<Json<Value>, StatusCode> {
    known.signer.keys().map(Json).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn token(
    State(known): State<Arc<Known>>,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Json<Value>, StatusCode> {
    let code = form.get("code").and_then(|code| code.split_once(SEPARATOR));
    let (nonce, user) = code.ok_or(StatusCode::BAD_REQUEST)?;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let claims = json!({ "iss": known.issuer, "aud": CLIENT, "sub": subject(user), "iat": now, "exp": now + 300,
        "nonce": nonce, "preferred_username": user, "name": user, "auth_time": now, "amr": ["pwd", "otp"] });
    let id_token = known.signer.sign("JWT", &claims).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Json(json!({ "access_token": nonce, "token_type": "Bearer", "expires_in": 300, "id_token": id_token })))
}
