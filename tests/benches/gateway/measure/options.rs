//! What is measured, and how often.

use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;

/// Fewer rounds give no median to speak of.
const USUAL_ROUNDS: usize = 9;

/// A subject of measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suite {
    /// The programs by themselves.
    Program,
    /// The path of a packet between interfaces, beside other filters.
    Veth,
    /// Connections of real stacks.
    Tcp,
    /// What the daemon does to the tables, and the daemon itself.
    Control,
    /// From the end of access to the last packet.
    Revocation,
    /// What each session costs the daemon. Takes some minutes, and is measured when it is asked for.
    Core,
}

impl Suite {
    const USUAL: [Self; 5] = [Self::Program, Self::Veth, Self::Tcp, Self::Control, Self::Revocation];
    const ALL: [Self; 6] = [Self::Program, Self::Veth, Self::Tcp, Self::Control, Self::Revocation, Self::Core];

    /// As the command line and the rows name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Veth => "veth",
            Self::Tcp => "tcp",
            Self::Control => "control",
            Self::Revocation => "revocation",
            Self::Core => "core",
        }
    }
}

/// What the command line says.
pub struct Options {
    /// In this order.
    pub suites: Vec<Suite>,
    /// How often each contender's turn comes.
    pub rounds: usize,
    /// Samples of each latency, if not as many as usual.
    pub samples: Option<u32>,
    /// Where the rows go.
    pub json: Option<PathBuf>,
}

impl Options {
    /// Reads the command line.
    pub fn read() -> Result<Self> {
        let mut options = Self { suites: Vec::new(), rounds: USUAL_ROUNDS, samples: None, json: None };
        let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
        while let Some(argument) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{argument} needs a value"))?;
            match &*argument {
                "--suite" => {
                    let suite = Suite::ALL.into_iter().find(|suite| suite.name() == value);
                    options.suites.push(suite.with_context(|| format!("no suite is called `{value}`"))?);
                }
                "--rounds" => options.rounds = value.parse::<usize>()?.max(1),
                "--samples" => options.samples = Some(value.parse::<u32>()?.max(1)),
                "--json" => options.json = Some(value.into()),
                _ => bail!("unknown option {argument}"),
            }
        }
        if options.suites.is_empty() {
            options.suites = Suite::USUAL.into();
        }
        Ok(options)
    }
}
