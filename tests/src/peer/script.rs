//! One of our own scripts around a peer: it prints a line of JSON when it is ready, then answers each line with a line.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

/// For the slowest answer, which is that it is ready on a machine with much to do.
const DEADLINE: Duration = Duration::from_secs(60);
/// Lines of the log that an error shows.
const TAIL_LINES: usize = 20;

/// A running script. Dropping ends it.
#[derive(Debug)]
pub struct Script {
    name: String,
    log: PathBuf,
    child: Child,
    pipes: Mutex<Pipes>,
}

#[derive(Debug)]
struct Pipes {
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Script {
    /// Starts it and waits until it is ready; what it complains about is appended to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let complaints = OpenOptions::new().create(true).append(true).open(log)?;
        // A process group of its own, so that Ctrl-C reaches only its owner, who ends it in order.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(complaints).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let requests = child.stdin.take().context("a script has no input")?;
        let answers = BufReader::new(child.stdout.take().context("a script has no output")?);
        let pipes = Mutex::new(Pipes { requests, answers });
        let script = Self { name: name.to_owned(), log: log.to_owned(), child, pipes };
        let ready = script.answer(None).with_context(|| format!("{name} does not start"))?;
        ensure!(ready["ready"] == true, "{name} says `{ready}` instead of being ready");
        Ok(script)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks for something: an object with a member `command` and what that needs.
    pub fn ask(&self, request: &Value) -> Result<Value> {
        let answer = self.answer(Some(request)).with_context(|| format!("{}: {request}", self.name))?;
        match answer.get("error") {
            Some(error) => bail!("{}: {request}: {error}", self.name),
            None => Ok(answer),
        }
    }

    /// What it has complained about so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn answer(&self, request: Option<&Value>) -> Result<Value> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(request) = request {
            writeln!(pipes.requests, "{request}").with_context(|| self.end())?;
        }
        let mut line = String::new();
        pipes.await_line()?;
        ensure!(pipes.answers.read_line(&mut line)? > 0, "{}", self.end());
        serde_json::from_str(&line).with_context(|| format!("not JSON: `{}`", line.trim_end()))
    }

    fn end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
        format!("it has ended; its last lines:\n    {}", tail.join("\n    "))
    }
}

impl Pipes {
    fn await_line(&self) -> Result<()> {
        if !self.answers.buffer().is_empty() {
            return Ok(());
        }
        let mut waits = [PollFd::new(self.answers.get_ref().as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut waits, PollTimeout::try_from(DEADLINE)?)?;
        ensure!(ready > 0, "no answer within {DEADLINE:?}");
        Ok(())
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
