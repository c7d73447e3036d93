//! A provider behind TLS on a port of its own. What it answers is honest; then the lie, if there is one, is applied.

use super::super::{Preset, Provider, Settings};
use crate::identity::jose::forge::{NOW, Signer};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum_server::tls_rustls::RustlsConfig;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tempfile::NamedTempFile;
use url::form_urlencoded;

pub(super) const CLIENT: &str = "portcullis";
pub(super) const SECRET: &str = "s3cret:with/odd characters";
pub(super) const AUDIENCE: &str = "https://gate.example/api";

/// Where it lies.
#[derive(Clone, Copy)]
pub(crate) enum Lie {
    Metadata(fn(&mut Value)),
    Keys(fn(&mut Value)),
    /// The header of an ID token.
    Header(fn(&mut Value)),
    /// The claims of an ID token.
    Claims(fn(&mut Value)),
    /// An ID token, from the honest header and claims.
    Token(fn(&Liar, Value, Value) -> String),
    /// The answer of the token endpoint, or of its neighbours.
    Answer(fn(&mut Value)),
    /// What the browser brings back.
    Callback(fn(&mut Vec<(String, String)>)),
    /// A whole answer at a path.
    Raw(&'static str, Raw),
}

/// An answer that is not what was asked for.
#[derive(Clone, Copy)]
pub(crate) enum Raw {
    Text(&'static str),
    Status(u16, &'static str),
    Redirect(&'static str),
    /// A megabyte and more, which says how long it is.
    Huge,
    /// The same, and does not say so.
    Endless,
    /// Nothing, ever.
    Silence,
    /// JSON that says that it is something else.
    /// The honest answer, with the first member once more.
    Twice,
}

/// What was granted for a code.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) nonce: Option<String>,
    pub(super) challenge: Option<String>,
    pub(super) redirect: Option<String>,
}

/// The state of the provider.
pub(crate) struct Liar {
    pub(super) issuer: String,
    ca: NamedTempFile,
    pub(super) signers: Mutex<Vec<Signer>>,
    pub(super) lie: Mutex<Option<Lie>>,
    pub(super) grants: Mutex<HashMap<String, Grant>>,
    /// What the token endpoint says of a device code: an error, or nothing if somebody confirmed.
    pub(super) device: Mutex<Option<&'static str>>,
    /// How often each path was asked.
    asked: Mutex<HashMap<String, usize>>,
    issued: AtomicUsize,
}

impl Liar {
    pub(crate) fn start() -> Arc<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let mut ca = NamedTempFile::new().unwrap();
        ca.write_all(certificate.cert.pem().as_bytes()).unwrap();
        let liar = Arc::new(Self {
            issuer: format!("https://{address}"),
            ca,
            signers: Mutex::new(vec![Signer::es256("k1")]),
            lie: Mutex::new(None),
            grants: Mutex::default(),
            device: Mutex::new(Some("authorization_pending")),
            asked: Mutex::default(),
            issued: AtomicUsize::new(0),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&liar));
        tokio::spawn(async move {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            let (chain, key) = (vec![certificate.cert.der().to_vec()], certificate.signing_key.serialize_der());
            let tls = RustlsConfig::from_der(chain, key).await.unwrap();
            axum_server::from_tcp_rustls(listener, tls).unwrap().serve(router.into_make_service()).await.unwrap();
        });
        liar
    }

    pub(crate) fn settings(&self) -> Settings {
        let redirect = "https://gate.example/login/corp".parse().unwrap();
        let mut settings = Settings::new("corp", Preset::Generic, &self.issuer, CLIENT, redirect);
        settings.client_secret = Some(SECRET.to_owned().into());
        settings.ca = Some(self.ca.path().to_owned());
        settings
    }

    pub(super) fn provider(&self) -> Provider {
        Provider::new(self.settings()).unwrap()
    }

    pub(crate) fn lie(&self, lie: Option<Lie>) {
        *lock(&self.lie) = lie;
    }

    pub(super) fn signer(&self) -> Signer {
        lock(&self.signers).last().unwrap().clone()
    }

    pub(crate) fn asked(&self, path: &str) -> usize {
        lock(&self.asked).get(path).copied().unwrap_or_default()
    }

    /// Something that was not there before.
    pub(super) fn fresh(&self, what: &str) -> String {
        format!("{what}-{}", self.issued.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn claims(&self) -> Value {
        let now = NOW.unix_timestamp();
        json!({
            "iss": self.issuer, "aud": CLIENT, "sub": "u-1", "iat": now, "exp": now + 300, "sid": "s-1",
            "preferred_username": "ada", "name": "Ada L.", "groups": ["staff", "ops", "staff"],
            "acr": "gold", "amr": ["pwd", "mfa"], "auth_time": now - 30,
            "hd": "corp.example", "email": "ada@corp.example",
        })
    }

    pub(super) fn id_token(&self, nonce: Option<&str>, access_token: &str) -> String {
        let (mut header, mut claims) = (self.signer().header(), self.claims());
        let digest = Sha256::digest(access_token);
        claims["at_hash"] = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(&digest[..16]).into();
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        let lie = *lock(&self.lie);
        match lie {
            Some(Lie::Header(lie)) => lie(&mut header),
            Some(Lie::Claims(lie)) => lie(&mut claims),
            Some(Lie::Token(lie)) => return lie(self, header, claims),
            _ => {}
        }
        self.signer().sign_as(&header, &claims)
    }

    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
            "jwks_uri": at("/keys"), "end_session_endpoint": at("/end?x=1"),
            "device_authorization_endpoint": at("/device"), "code_challenge_methods_supported": ["plain", "S256"],
            "authorization_response_iss_parameter_supported": true,
            // Some do. It is not believed.
            "id_token_signing_alg_values_supported": ["none", "HS256", "ES256"],
        })
    }

    fn keys(&self) -> Value {
        json!({ "keys": lock(&self.signers).iter().map(Signer::jwk).collect::<Vec<_>>() })
    }

    fn device_codes(&self) -> Value {
        json!({
            "device_code": self.fresh("device"), "user_code": "WDJB-MJHT", "expires_in": 600, "interval": 5,
            "verification_uri": format!("{}/go", self.issuer),
            "verification_uri_complete": format!("{}/go?c=WDJB-MJHT", self.issuer),
        })
    }

    /// Like a provider that minds every rule.
    fn token(&self, headers: &HeaderMap, form: &HashMap<String, String>) -> (StatusCode, Value) {
        let error = |code: &str| (StatusCode::BAD_REQUEST, json!({ "error": code, "error_description": "canary" }));
        if !is_client(headers) {
            return (StatusCode::UNAUTHORIZED, json!({ "error": "invalid_client" }));
        }
        let of = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let nonce = match of("grant_type") {
            "authorization_code" => match lock(&self.grants).remove(of("code")) {
                Some(grant) if grant.redeemed_by(form) => grant.nonce,
                _ => return error("invalid_grant"),
            },
            "urn:ietf:params:oauth:grant-type:device_code" => match *lock(&self.device) {
                Some(code) => return error(code),
                None => None,
            },
            "refresh_token" if of("refresh_token").starts_with("refresh-") => None,
            "refresh_token" => return error("invalid_grant"),
            _ => return error("unsupported_grant_type"),
        };
        let access_token = self.fresh("access");
        let id_token = self.id_token(nonce.as_deref(), &access_token);
        let answer = json!({
            "access_token": access_token, "token_type": "Bearer", "expires_in": 300, "id_token": id_token,
            "refresh_token": self.fresh("refresh"), "scope": "openid",
        });
        (StatusCode::OK, answer)
    }
}

impl Grant {
    fn redeemed_by(&self, form: &HashMap<String, String>) -> bool {
        let proof = form
            .get("code_verifier")
            .map(|verifier| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)));
        proof.is_some() && proof == self.challenge && form.get("redirect_uri") == self.redirect.as_ref()
    }
}

fn is_client(headers: &HeaderMap) -> bool {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = BASE64_STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(SECRET)));
    let presented = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes().to_vec());
    presented == Some(format!("Basic {basic}").into_bytes())
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

async fn answer(State(liar): State<Arc<Liar>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    *lock(&liar.asked).entry(path.clone()).or_default() += 1;
    let body = axum::body::to_bytes(body, 1 << 16).await.unwrap();
    let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let (mut status, mut value) = match path.as_str() {
        "/.well-known/openid-configuration" => (StatusCode::OK, liar.metadata()),
        "/keys" => (StatusCode::OK, liar.keys()),
        "/device" if is_client(&parts.headers) => (StatusCode::OK, liar.device_codes()),
        "/token" => liar.token(&parts.headers, &form),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let lie = *lock(&liar.lie);
    match (lie, path.as_str()) {
        (Some(Lie::Metadata(lie)), "/.well-known/openid-configuration") => lie(&mut value),
        (Some(Lie::Keys(lie)), "/keys") => lie(&mut value),
        (Some(Lie::Answer(lie)), "/token" | "/device") => {
            lie(&mut value);
            if value.get("error").is_some() {
                status = StatusCode::BAD_REQUEST;
            }
        }
        (Some(Lie::Raw(at, raw)), path) if path.ends_with(at) => return raw.answer(&value).await,
        _ => {}
    }
    json_answer(status, value.to_string())
}

fn json_answer(status: StatusCode, body: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

impl Raw {
    async fn answer(self, honest: &Value) -> Response {
        match self {
            Self::Text(text) => json_answer(StatusCode::OK, text),
            Self::Status(status, text) => json_answer(StatusCode::from_u16(status).unwrap(), text),
            Self::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
            Self::Huge => json_answer(StatusCode::OK, vec![b' '; (1 << 20) + 1]),
            Self::Endless => {
                let chunks = (0..64).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1 << 16])));
                json_answer(StatusCode::OK, Body::from_stream(futures_util::stream::iter(chunks)))
            }
            Self::Silence => std::future::pending().await,
            Self::Twice => {
                let text = honest.to_string();
                let (name, value) = honest.as_object().unwrap().iter().next().unwrap();
                json_answer(StatusCode::OK, format!("{{\"{name}\":{value},{}", &text[1..]))
            }
        }
    }
}
