//! What is being done, on one line of standard error.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

/// Says what is being done, and how long it took once the next thing begins.
pub struct Progress {
    began: Instant,
    is_terminal: bool,
}

impl Progress {
    /// Nothing said yet.
    pub fn new() -> Self {
        Self { began: Instant::now(), is_terminal: std::io::stderr().is_terminal() }
    }

    /// Says it.
    pub fn say(&self, what: &str) {
        let mut out = std::io::stderr().lock();
        let seconds = self.began.elapsed().as_secs();
        // To lose a line of progress is no reason to fail.
        let _ = if self.is_terminal {
            write!(out, "\r\x1b[2K… {seconds:>3} s  {what}").and_then(|()| out.flush())
        } else {
            writeln!(out, "… {seconds:>3} s  {what}")
        };
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }
}
