//! What is fetched from an issuer and kept: key sets, and the documents that say where they are.
//!
//! The hot path reads what is kept. One fetch at a time runs as a task of its own, so that nobody who goes away can
//! stop it; only those who need what it brings wait for it. What is older than the hard limit is not used (fail
//! closed), whatever the reason.

mod cache;

use super::{Claims, Expect, KeySet, TokenRefusal, verify};
pub use cache::Pace;
use cache::{Cache, Need};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;

/// Where something is fetched.
pub trait Source: Send + Sync + 'static {
    /// What it brings.
    type Item: Send + Sync + 'static;

    /// Fetches it, within bounded time and memory. Whoever implements it logs why it failed.
    fn fetch(&self, now: OffsetDateTime) -> impl Future<Output = Option<Fetched<Self::Item>>> + Send;
}

/// What a fetch brought.
#[derive(Clone, Debug)]
pub struct Fetched<T> {
    /// The thing.
    pub item: T,
    /// How long the other side says that it may be kept.
    pub max_age: Option<Duration>,
}

/// A thing of a [`Source`], kept. Copies share it.
pub struct Store<S: Source>(Arc<Inner<S>>);

struct Inner<S: Source> {
    source: S,
    cache: Mutex<Cache<S::Item>>,
    /// Held by the one fetch that is under way.
    fetching: tokio::sync::Mutex<()>,
}

impl<S: Source> Clone for Store<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Source> fmt::Debug for Store<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl<S: Source> Store<S> {
    /// One that has nothing yet.
    #[must_use]
    pub fn new(source: S, pace: Pace) -> Self {
        let cache = Mutex::new(Cache::new(pace));
        Self(Arc::new(Inner { source, cache, fetching: tokio::sync::Mutex::new(()) }))
    }

    /// Where it is fetched.
    #[must_use]
    pub fn source(&self) -> &S {
        &self.0.source
    }

    /// What is kept, if it is young enough; fetched if need be. Whoever is served is not kept waiting for a renewal.
    pub async fn current(&self, now: OffsetDateTime) -> Option<Arc<S::Item>> {
        let need = self.0.cache().need(now);
        match need {
            Need::Nothing => {}
            // If one is under way it does for everybody.
            Need::Soon if self.0.fetching.try_lock().is_err() => {}
            Need::Soon => drop(self.fetch(now, false)),
            Need::Now => self.wait(now, false).await,
        }
        self.0.cache().current(now)
    }

    /// What is kept after having looked again, because what is kept does not know something. `None` if it was looked
    /// at too recently for that, or nothing newer came.
    pub async fn newer(&self, than: &Arc<S::Item>, now: OffsetDateTime) -> Option<Arc<S::Item>> {
        self.wait(now, true).await;
        self.0.cache().current(now).filter(|newer| !Arc::ptr_eq(newer, than))
    }

    async fn wait(&self, now: OffsetDateTime, again: bool) {
        // An error is a panic of the source, which has brought nothing.
        self.fetch(now, again).await.ok();
    }

    fn fetch(&self, now: OffsetDateTime, again: bool) -> tokio::task::JoinHandle<()> {
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move { inner.fetch(now, again).await })
    }
}

impl<S: Source> Inner<S> {
    fn cache(&self) -> MutexGuard<'_, Cache<S::Item>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, now: OffsetDateTime, again: bool) {
        let _one = self.fetching.lock().await;
        // Whoever waited for the fetch of another finds that there is nothing left to do.
        if !self.cache().begin(now, again) {
            return;
        }
        let fetched = self.source.fetch(now).await;
        if let Some(Fetched { item, max_age }) = fetched {
            self.cache().keep(item, max_age, now);
        }
    }
}

impl<S: Source<Item: AsRef<KeySet>>> Store<S> {
    /// Verifies a token with the keys that are kept. A key that is not among them is looked for once.
    ///
    /// # Errors
    /// The first reason against it.
    pub async fn verify(&self, token: &str, expect: &Expect<'_>, now: OffsetDateTime) -> Result<Claims, TokenRefusal> {
        let keys = self.current(now).await.ok_or(TokenRefusal::KeysUnavailable)?;
        match verify(token, (*keys).as_ref(), expect, now) {
            Err(TokenRefusal::KeyUnknown) => {
                let newer = self.newer(&keys, now).await.ok_or(TokenRefusal::KeyUnknown)?;
                verify(token, (*newer).as_ref(), expect, now)
            }
            decided => decided,
        }
    }
}

#[cfg(test)]
mod tests;
