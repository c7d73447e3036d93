//! What takes long while the daemon starts, told as it goes on: whoever waits sees that something happens, and what.

use std::time::{Duration, Instant};

/// What is done sooner is not worth a line.
const LONG: Duration = Duration::from_millis(500);

/// The parts of a start, one after the other.
pub(super) struct Work {
    sessions: usize,
    began: Instant,
}

impl Work {
    /// For so many stored sessions: what takes long does so because of them.
    pub(super) fn begin(sessions: usize) -> Self {
        Self { sessions, began: Instant::now() }
    }

    /// A part is done.
    pub(super) fn done(&mut self, what: &'static str) {
        let took = self.began.elapsed();
        if took >= LONG {
            tracing::info!(sessions = self.sessions, took_ms = took.as_millis(), "{what}");
        }
        self.began = Instant::now();
    }
}
