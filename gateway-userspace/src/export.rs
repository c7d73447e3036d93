//! Passing records on to others: logs, SIEMs and collectors.
//!
//! The archive is the queue. An export reads it from its cursor on and moves the cursor when the receiver has taken what it
//! was sent: a receiver that is down, slow or restarted loses nothing as long as the archive keeps it, and a crash repeats
//! what was sent last (at least once). Nobody who records waits for an export, and exports don't wait for each other.

mod cursor;
mod form;
mod metrics;
mod queue;
mod settings;
mod tls;
mod to;

pub(crate) use form::ipfix::{EXAMPLE_ENTERPRISE, KINDS as FLOWS, LEAST as SHORTEST_MESSAGE};
pub use queue::{Export, ExportStatus, Exports, Origin, check, start};
pub use settings::{
    Begin, Destination, ElasticSettings, Endpoint, ExportSettings, Form, Framing, HttpSettings, IpfixSettings,
    LinesSettings, OtlpSettings, SplunkSettings, SyslogSettings, SyslogWay, TlsSettings, Transport,
};

use std::path::PathBuf;
use std::time::Duration;

/// Why an export cannot be set up: what has to be changed is in the configuration, or in a file that it names.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file cannot be read.
    #[error("`{path}`: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("`{path}` {problem}")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why not.
        problem: &'static str,
    },
    /// The system trusts nobody.
    #[error("the system has no certificate authorities: install `ca-certificates`, or name a file with `ca`")]
    NoAuthorities,
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The library for HTTP cannot be set up.
    #[error("HTTP: {0}")]
    Http(#[from] reqwest::Error),
    /// Two metrics have the same name, which is a mistake in the program.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// An export that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("export `{name}`: {source}")]
pub struct Unusable {
    /// Its name.
    pub name: String,
    /// Why not.
    pub source: SetupError,
}

impl Unusable {
    fn new(name: &str, source: impl Into<SetupError>) -> Self {
        Self { name: name.to_owned(), source: source.into() }
    }
}

/// Why a receiver has not taken what it was sent. It is sent again, all of it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// There is no connection, or it broke.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// It takes too long.
    #[error("did not take it in time")]
    TimedOut,
    /// It does not let us in.
    #[error("does not let the gateway in: {0}")]
    Unauthorized(String),
    /// It wants to be left alone for a while.
    #[error("is busy: {what}")]
    Busy {
        /// What it said.
        what: String,
        /// For how long, if it says so.
        retry_after: Option<Duration>,
    },
    /// It refuses what it was sent.
    #[error("refuses it: {0}")]
    Refused(String),
    /// It says yes, and what it says does not fit what it was sent.
    #[error("says something else than it should: {0}")]
    Contradictory(String),
}

impl Failure {
    /// Every label.
    const LABELS: [&'static str; 6] = ["unreachable", "timed_out", "unauthorized", "busy", "refused", "contradictory"];

    /// Its word in metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Unauthorized(_) => "unauthorized",
            Self::Busy { .. } => "busy",
            Self::Refused(_) => "refused",
            Self::Contradictory(_) => "contradictory",
        }
    }

    /// How long the receiver wants to be left alone, if it says so.
    const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
