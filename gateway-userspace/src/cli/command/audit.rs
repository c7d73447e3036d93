//! `portcullis audit`: what the gateway has written down, and whether that is still there.

use super::since::Span;
use crate::cli::CliError;
use crate::cli::client::Answer;
use crate::cli::context::Context;
use crate::cli::output::{Output, plain};
use crate::cli::sentence::{bytes, counted};
use crate::record::audit::{Beginning, Compared, Edge, Found, Head, Report, verify};
use crate::wire::{AuditEntry, AuditHead, AuditReport};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

/// What is to be done with the audit trail.
#[derive(Subcommand, Debug)]
#[command(after_help = "Examples:\n  \
        portcullis audit verify\n  \
        portcullis audit verify --dir /mnt/backup/audit --head 4711:8e9c3b0f4f6f2f0c9f0f8b7a6d5e4c3b2a190817263544536271809fa0b1c2d3\n  \
        portcullis audit list --user alice --since 24h\n  \
        portcullis audit list --type generation_began --json\n  \
        portcullis audit head")]
pub(in crate::cli) enum Audit {
    /// Verify the files of a trail, here: no gateway is asked, and no token is needed
    ///
    /// Reads every line, and says how many there are and the head to write down; or which line of which file is not what was
    /// written, and what that means. That the end was cut off is only noticed with `--head`.
    #[command(after_help = "Examples:\n  \
        portcullis audit verify\n  \
        portcullis audit verify --dir /mnt/backup/audit --json\n\n\
        Exit status: 0 it is what was written, 1 it is not, or cannot be read, 2 usage.")]
    Verify {
        /// The folder, or a copy of it
        #[arg(long, value_name = "DIR", default_value = "/var/lib/portcullis/audit")]
        dir: PathBuf,
        /// A head that was written down: whatever led to it must be the same
        #[arg(long, value_name = "SEQ:HASH")]
        head: Option<Head>,
    },
    /// List entries, the newest first
    List(Box<List>),
    /// Show the head to write down, and whether the gateway has found the trail broken
    Head,
}

/// Which entries.
#[derive(Args, Debug)]
pub(in crate::cli) struct List {
    /// Of this type, like `login`, `session_ended`, `generation_began`, `admin`
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// About this user
    #[arg(long)]
    user: Option<String>,
    /// Done by this user, service, provider or API token, or by `local`: the daemon
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    #[command(flatten)]
    span: Span,
    /// At most so many
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
}

impl Audit {
    /// Does what needs no gateway; everything else comes back.
    pub(in crate::cli) fn offline(self, output: Output) -> Result<Result<(), CliError>, Self> {
        match self {
            Self::Verify { dir, head } => Ok(verified(output, &dir, head)),
            other => Err(other),
        }
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Verify { dir, head } => verified(context.output, &dir, head),
            Self::List(list) => list.run(context).await,
            Self::Head => {
                let head: Answer<AuditHead> =
                    context.administer(Method::GET, &["v1", "audit", "head"])?.answer().await?;
                context.output.show(&head)
            }
        }
    }
}

impl List {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let Self { kind, user, by, span, limit } = self;
        let call = context.administer(Method::GET, &["v1", "audit"])?;
        let call = call.query("type", kind.as_deref()).query("user", user.as_deref()).query("by", by.as_deref());
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        context.output.list(&span.of(call).pages_up_to::<AuditEntry>(most).await?)
    }
}

fn verified(output: Output, folder: &Path, head: Option<Head>) -> Result<(), CliError> {
    let mut progress = Progress::new(output);
    let report = verify(folder, head, &mut |read, all| progress.told(read, all));
    progress.over();
    let report = report.map_err(|source| CliError::Input { path: folder.into(), source })?;
    let shape = AuditReport::from(&report);
    output.either(&json!(shape), || in_words(folder, &report, head))?;
    if report.is_whole() { Ok(()) } else { Err(CliError::NotVerified(folder.into())) }
}

/// How far it is, on a terminal.
struct Progress {
    is_shown: bool,
    percent: u64,
}

impl Progress {
    fn new(output: Output) -> Self {
        Self { is_shown: !output.json && std::io::stderr().is_terminal(), percent: 0 }
    }

    fn told(&mut self, read: u64, all: u64) {
        let percent = read.saturating_mul(100).checked_div(all).unwrap_or(100);
        if self.is_shown && percent > self.percent {
            self.percent = percent;
            // Whoever does not see it misses nothing.
            let _ = write!(std::io::stderr(), "\rverifying: {percent} % of {}   ", bytes(all));
        }
    }

    fn over(&self) {
        if self.percent > 0 {
            let _ = write!(std::io::stderr(), "\r{:40}\r", "");
        }
    }
}

fn in_words(folder: &Path, report: &Report, expected: Option<Head>) -> String {
    let Report { files, entries, begins, first, last, head, flaws, more_flaws, compared } = report;
    let mut lines: Vec<String> = flaws.iter().map(|found| flaw(folder, found)).collect();
    if *more_flaws > 0 {
        lines.push(format!("and {} more", counted(usize::try_from(*more_flaws).unwrap_or(usize::MAX), "flaw")));
    }
    let (Some(first), Some(last), Some(head)) = (first, last, head) else {
        lines.push(format!("{}: there is no entry", folder.display()));
        return plain_all(lines);
    };
    lines.extend(compared.as_ref().zip(expected).map(|(compared, expected)| comparison(compared, expected)));
    let entries = counted(usize::try_from(*entries).unwrap_or(usize::MAX), "entry").replace("entrys", "entries");
    let verdict = if report.is_whole() { "verified" } else { "hold together" };
    lines.push(format!("{entries} in {} {verdict}: {} to {}", counted(*files, "file"), edge(first), edge(last)));
    match begins {
        Some(Beginning::Later) => lines.push(format!("entries before {} are not here", first.seq)),
        Some(Beginning::Break) => {
            lines.push(
                "the chain begins where the daemon had found the one before broken; its first entry tells of it".into(),
            );
        }
        Some(Beginning::Trail) | None => {}
    }
    let name = if report.is_whole() { "head" } else { "last entry" };
    lines.push(format!("{name} {head}"));
    if report.is_whole() && expected.is_none() {
        lines.push("write the head down elsewhere: without `--head` nobody notices that the end was cut off".into());
    }
    plain_all(lines)
}

fn plain_all(lines: Vec<String>) -> String {
    lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n")
}

fn edge(Edge { seq, time }: &Edge) -> String {
    format!("{seq} ({time})")
}

fn flaw(folder: &Path, Found { file, line, flaw }: &Found) -> String {
    format!("{}:{line}: {}: {flaw}", folder.join(file).display(), flaw.label().replace('_', " "))
}

fn comparison(compared: &Compared, expected: Head) -> String {
    let Head { seq, hash } = expected;
    match compared {
        Compared::Same => format!("entry {seq} is what was written down"),
        Compared::Other(found) => {
            format!("entry {seq} is not what was written down ({hash}) but {}: the trail was made anew", found.hash)
        }
        Compared::CutOff(last) => {
            format!("entry {seq} was written down, and the trail ends with {last}: it was cut off")
        }
        Compared::Before(first) => {
            format!(
                "entry {seq} was written down, and the files here begin with {first}: verify those before along with them"
            )
        }
        Compared::Absent => format!("entry {seq} was written down, and there is none of that number: it was removed"),
    }
}
