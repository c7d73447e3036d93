//! What is measured, and how often.

use clap::Parser as _;
use std::path::PathBuf;

/// Fewer rounds give no median to speak of.
const USUAL_ROUNDS: usize = 9;
/// As many give a 99th percentile.
const SAMPLES: u32 = 1_000;

/// A subject of measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Suite {
    /// The programs by themselves
    Program,
    /// The path of a packet between interfaces, beside other filters
    Veth,
    /// Connections of real stacks
    Tcp,
    /// What the daemon does to the tables, and the daemon itself
    Control,
    /// From the end of access to the last packet
    Revocation,
    /// People of an identity provider: logins, and from the provider's word to the last packet
    Identity,
    /// Bundles of policies: checked
    Policy,
    /// The archive of records: written, searched, bytes
    Records,
    /// What each session costs the daemon: takes some minutes, and is measured only when it is asked for
    Core,
}

impl Suite {
    const USUAL: [Self; 8] = [
        Self::Program,
        Self::Veth,
        Self::Tcp,
        Self::Control,
        Self::Revocation,
        Self::Identity,
        Self::Policy,
        Self::Records,
    ];
    /// As the command line and the rows name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Veth => "veth",
            Self::Tcp => "tcp",
            Self::Control => "control",
            Self::Revocation => "revocation",
            Self::Identity => "identity",
            Self::Policy => "policy",
            Self::Records => "records",
            Self::Core => "core",
        }
    }
}

/// Measures.
#[derive(clap::Parser)]
pub struct Options {
    /// Measure only this; may be given several times
    #[arg(long = "suite", value_name = "NAME")]
    pub suites: Vec<Suite>,
    /// How often each contender's turn comes
    #[arg(long, default_value_t = USUAL_ROUNDS)]
    pub rounds: usize,
    /// Samples of each latency
    #[arg(long, default_value_t = SAMPLES)]
    pub samples: u32,
    /// Where the rows go
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// As cargo says it
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// Reads the command line.
    pub fn read() -> Self {
        let mut options = Self::parse();
        (options.rounds, options.samples) = (options.rounds.max(1), options.samples.max(1));
        if options.suites.is_empty() {
            options.suites = Suite::USUAL.into();
        }
        options
    }
}
