//! A conversation with an echo: a word and its echo each millisecond, until something ends it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};
use gateway_tests::{
    Namespace, Outcome,
    client::{tcp_exchange, tcp_open},
};

const WORD: &[u8] = b"hello, vault\n";
const PAUSE: Duration = Duration::from_millis(1);
/// As long as curl waits for what must be answered.
const PATIENCE: Duration = Duration::from_secs(3);

/// A conversation that goes on. Dropping ends it.
pub struct Talk {
    state: Arc<State>,
    talking: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    words: AtomicU64,
    is_over: AtomicBool,
    end: Mutex<Option<Outcome>>,
}

impl Talk {
    /// Connects, and begins to talk.
    pub fn begin(host: &Namespace, to: SocketAddr) -> Result<Self> {
        let mut socket = tcp_open(host, to, PATIENCE)?.with_context(|| format!("cannot connect to {to}"))?;
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        let talk = move || {
            while !shared.is_over.load(Ordering::Relaxed) {
                match tcp_exchange(&mut socket, WORD) {
                    Outcome::Answered => shared.words.fetch_add(1, Ordering::Relaxed),
                    end => return *shared.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end),
                };
                thread::park_timeout(PAUSE);
            }
        };
        Ok(Self { state, talking: Some(thread::spawn(talk)) })
    }

    /// How many words have come back.
    pub fn words(&self) -> u64 {
        self.state.words.load(Ordering::Relaxed)
    }

    /// What ended it, if something has.
    pub fn ended(&self) -> Option<Outcome> {
        *self.state.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        let _ = self.talking.take().map(JoinHandle::join);
    }
}
