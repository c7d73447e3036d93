//! scapy on one of the hosts: sends frames that no kernel sends, and tells what arrives there. What is sent is written
//! as scapy writes it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{netns::Namespace, process::wait_until};

const SCRIPT: &str = include_str!("../scripts/peer.py");
/// Debian's own, which is the one that finds Debian's scapy.
const PYTHON: &str = "/usr/bin/python3";
const MODULE: &str = "/usr/lib/python3/dist-packages/scapy/__init__.py";
/// For what is on its way.
const SOON: Duration = Duration::from_secs(10);

/// scapy at work. Dropping ends it.
#[derive(Debug)]
pub struct Scapy {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Scapy {
    /// Starts it on an interface of a host.
    pub fn start(host: &Namespace, link: &str) -> Result<Self> {
        ensure!(Path::new(MODULE).is_file(), "scapy is not installed: run `cargo xtask setup`");
        let mut command = host.command(PYTHON)?;
        command.args(["-c", SCRIPT, link]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start python3")?;
        let requests = child.stdin.take().context("python3 has no input")?;
        let answers = BufReader::new(child.stdout.take().context("python3 has no output")?);
        let mut scapy = Self { child, requests, answers };
        scapy.answer().context("scapy does not start")?;
        Ok(scapy)
    }

    /// Runs a statement, such as one that names a frame.
    pub fn define(&mut self, statement: &str) -> Result<()> {
        self.ask(&format!("do {statement}")).map(drop)
    }

    /// Sends a frame, or a list of them; how many.
    pub fn send(&mut self, frames: &str) -> Result<u64> {
        Ok(self.ask(&format!("send {frames}"))?.parse()?)
    }

    /// How many frames have arrived for which this holds; `p` is the frame.
    pub fn heard(&mut self, condition: &str) -> Result<u64> {
        Ok(self.ask(&format!("heard {condition}"))?.parse()?)
    }

    /// These frames, for people.
    pub fn show(&mut self, condition: &str) -> Result<String> {
        self.ask(&format!("show {condition}"))
    }

    /// Waits until so many such frames have arrived.
    pub fn hears(&mut self, condition: &str, count: u64) -> Result<()> {
        let what = format!("{count} of {condition}");
        let heard = wait_until(&what, SOON, || match self.heard(condition) {
            Ok(heard) if heard < count => None,
            enough => Some(enough),
        });
        heard.with_context(|| format!("arrived: {}", self.show("True").unwrap_or_default()))?.map(drop)
    }

    /// Forgets what has arrived.
    pub fn forget(&mut self) -> Result<()> {
        self.ask("forget").map(drop)
    }

    fn ask(&mut self, request: &str) -> Result<String> {
        ensure!(!request.contains('\n'), "a request is one line: {request}");
        writeln!(self.requests, "{request}").context("scapy is gone")?;
        self.answer().with_context(|| request.to_owned())
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.answers.read_line(&mut line)? > 0, "scapy has ended");
        match line.trim_end().strip_prefix('!') {
            Some(complaint) => bail!("scapy: {complaint}"),
            None => Ok(line.trim_end().to_owned()),
        }
    }
}

impl Drop for Scapy {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
