//! A receiver whose core writes down what it is told.

use crate::identity::SecretHash;
use crate::identity::jose::forge::{self, Signer};
use crate::identity::jose::{Algorithms, Fetched, KeySet, Pace, Source, Store};
use crate::identity::ssf::{
    Answer, Apply, Intake, Liveness, MEDIA_TYPE, Naming, NotApplied, Order, Profile, Published, Pushed, Rhythm, Taken,
    Window, admit,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use time::OffsetDateTime;

pub(super) const NOW: OffsetDateTime = forge::NOW;
pub(super) const AUDIENCE: &str = forge::CLIENT;
pub(super) const AUTHORIZATION: &str = "Bearer push-s3cret";

/// A core that writes down what it is told, or says that it cannot.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorder(Arc<Recorded>);

#[derive(Debug, Default)]
struct Recorded {
    orders: Mutex<Vec<Order>>,
    broken: AtomicBool,
}

impl Recorder {
    pub(super) fn orders(&self) -> Vec<Order> {
        self.0.orders.lock().unwrap().clone()
    }

    pub(super) fn set_broken(&self, broken: bool) {
        self.0.broken.store(broken, Ordering::Relaxed);
    }
}

impl Apply for Recorder {
    async fn apply(&self, order: Order) -> Result<(), NotApplied> {
        if self.0.broken.load(Ordering::Relaxed) {
            return Err(NotApplied);
        }
        self.0.orders.lock().unwrap().push(order);
        Ok(())
    }
}

/// Keys that are simply there, or are not.
#[derive(Debug)]
pub(super) struct Keys(Mutex<Option<String>>);

impl Source for Keys {
    type Item = Published;

    async fn fetch(&self, _: OffsetDateTime) -> Option<Fetched<Published>> {
        let text = self.0.lock().unwrap().clone()?;
        let keys = KeySet::parse(text.as_bytes()).ok()?;
        Some(Fetched { item: Published { keys, critical: BTreeSet::new() }, max_age: None })
    }
}

pub(super) fn profile(issuer: &str, window: Window) -> Profile {
    let naming = Naming { issuers: [issuer.to_owned()].into(), email_is_username: true };
    Profile { issuer: issuer.into(), audience: AUDIENCE.into(), algorithms: Algorithms::default(), window, naming }
}

/// A receiver of pushed events and its honest transmitter's keys.
pub(super) struct Receiver {
    pub(super) intake: Intake<Keys, Recorder>,
    pub(super) core: Recorder,
    pub(super) es256: Signer,
    pub(super) rs256: Signer,
}

impl Receiver {
    pub(super) fn new() -> Self {
        let (es256, rs256) = (Signer::es256("e1"), Signer::rsa("r1"));
        let keys = json!({ "keys": [es256.jwk(), rs256.jwk()] }).to_string();
        Self::with(es256, rs256, Some(keys))
    }

    /// One that cannot get its transmitter's keys.
    pub(super) fn without_keys() -> Self {
        Self::with(Signer::es256("e1"), Signer::rsa("r1"), None)
    }

    fn with(es256: Signer, rs256: Signer, keys: Option<String>) -> Self {
        let core = Recorder::default();
        let store = Store::new(Keys(Mutex::new(keys)), Pace::default());
        let liveness = Liveness::new(Rhythm::default(), NOW);
        let intake = Intake::new(profile(forge::ISSUER, Window::PUSH), store, core.clone(), liveness);
        Self { intake, core, es256, rs256 }
    }

    /// What a push of a token is answered, and what became of it.
    pub(super) async fn push(&self, token: &str) -> (Answer, Result<Taken, &'static str>) {
        let body = token.as_bytes();
        let pushed = Pushed { content_type: Some(MEDIA_TYPE), authorization: Some(AUTHORIZATION), body };
        let token = match admit(pushed, Some(&SecretHash::of(AUTHORIZATION))) {
            Ok(token) => token,
            Err(refusal) => return (refusal.into(), Err(refusal.label())),
        };
        match self.intake.take(token, None, NOW).await {
            Ok(taken) => (Answer::Accepted, Ok(taken)),
            Err(error) => (error.into(), Err(error.label())),
        }
    }

    /// An event of today about Ada.
    pub(super) fn set(&self, claims: &Value) -> String {
        sign(&self.es256, claims)
    }
}

pub(super) fn header(signer: &Signer) -> Value {
    let mut header = signer.header();
    header["typ"] = json!("secevent+jwt");
    header
}

pub(super) fn sign(signer: &Signer, claims: &Value) -> String {
    signer.sign_as(&header(signer), claims)
}

/// The claims of an event about Ada.
pub(super) fn claims(issuer: &str, jti: &str, uri: &str, body: &Value) -> Value {
    json!({
        "iss": issuer,
        "aud": AUDIENCE,
        "jti": jti,
        "iat": NOW.unix_timestamp(),
        "txn": "t1",
        "sub_id": {"format": "iss_sub", "iss": issuer, "sub": "ada"},
        "events": {uri: body},
    })
}
