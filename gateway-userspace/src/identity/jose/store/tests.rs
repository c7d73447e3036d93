use super::*;
use crate::identity::jose::forge::{NOW, Signer, expect, id_claims};
use futures_util::FutureExt as _;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Publishes what it is told to, or fails.
#[derive(Default)]
struct Issuer {
    published: Mutex<Option<String>>,
    fetches: AtomicUsize,
}

impl Issuer {
    fn publish(&self, signers: &[&Signer]) {
        let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
        *self.published.lock().unwrap() = Some(json!({ "keys": keys }).to_string());
    }

    fn fail(&self) {
        *self.published.lock().unwrap() = None;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }
}

impl Source for Issuer {
    type Item = KeySet;

    async fn fetch(&self, _: OffsetDateTime) -> Option<Fetched<KeySet>> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        let text = self.published.lock().unwrap().clone()?;
        KeySet::parse(text.as_bytes()).ok().map(|item| Fetched { item, max_age: None })
    }
}

fn store(signers: &[&Signer]) -> Store<Issuer> {
    let store = Store::new(Issuer::default(), Pace::default());
    store.source().publish(signers);
    store
}

async fn ask(store: &Store<Issuer>, signer: &Signer, now: OffsetDateTime) -> Result<(), TokenRefusal> {
    let token = signer.sign(&id_claims(now));
    store.verify(&token, &expect(), now).await.map(|_| ())
}

#[tokio::test]
async fn many_at_once_cost_one_fetch() {
    let signer = Signer::es256("a");
    let store = store(&[&signer]);
    let asks = (0..20).map(|_| ask(&store, &signer, NOW));
    assert!(futures_util::future::join_all(asks).await.iter().all(Result::is_ok));
    assert_eq!(store.source().fetches(), 1);
}

#[tokio::test]
async fn whoever_goes_away_does_not_stop_the_fetch_that_others_wait_for() {
    let signer = Signer::es256("a");
    let store = store(&[&signer]);
    assert_eq!(ask(&store, &signer, NOW).now_or_never(), None, "it has to wait, and goes away");
    assert_eq!(ask(&store, &signer, NOW).await, Ok(()));
    assert_eq!(store.source().fetches(), 1);
}

#[tokio::test]
async fn whoever_can_be_served_does_not_wait_for_a_renewal() {
    let signer = Signer::es256("a");
    let store = store(&[&signer]);
    assert_eq!(ask(&store, &signer, NOW).await, Ok(()));
    let old = NOW + Duration::from_secs(25 * 3600);
    assert_eq!(ask(&store, &signer, old).now_or_never(), Some(Ok(())));
    while store.source().fetches() < 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_new_key_counts_at_once_and_a_removed_one_no_more() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let store = store(&[&old]);
    assert_eq!(ask(&store, &old, NOW).await, Ok(()));
    store.source().publish(&[&new]);
    assert_eq!(ask(&store, &new, NOW).await, Ok(()));
    assert_eq!(ask(&store, &old, NOW).await, Err(TokenRefusal::KeyUnknown));
    assert_eq!(store.source().fetches(), 2);
}

#[tokio::test]
async fn tokens_of_unknown_keys_do_not_flood_the_issuer() {
    let (known, foreign) = (Signer::es256("a"), Signer::es256("b"));
    let store = store(&[&known]);
    for second in 0..60 {
        let now = NOW + Duration::from_secs(second);
        assert_eq!(ask(&store, &foreign, now).await, Err(TokenRefusal::KeyUnknown));
        assert_eq!(ask(&store, &known, now).await, Ok(()));
    }
    assert_eq!(store.source().fetches(), 3, "the first, and one in half a minute");
}

#[tokio::test]
async fn an_issuer_that_fails_is_believed_for_two_days_and_then_no_more() {
    let signer = Signer::es256("a");
    let store = store(&[&signer]);
    assert_eq!(ask(&store, &signer, NOW).await, Ok(()));
    store.source().fail();
    let hours = |hours: u64| NOW + Duration::from_secs(hours * 3600);
    assert_eq!(ask(&store, &signer, hours(47)).await, Ok(()));
    assert_eq!(ask(&store, &signer, hours(48)).await, Err(TokenRefusal::KeysUnavailable));
    store.source().publish(&[&signer]);
    assert_eq!(ask(&store, &signer, hours(49)).await, Ok(()));
}

#[tokio::test]
async fn an_issuer_that_is_down_is_not_asked_by_everybody() {
    let signer = Signer::es256("a");
    let store = Store::new(Issuer::default(), Pace::default());
    for _ in 0..20 {
        assert_eq!(ask(&store, &signer, NOW).await, Err(TokenRefusal::KeysUnavailable));
    }
    assert_eq!(store.source().fetches(), 1);
}
