//! What the tasks show while they work: one line per finding, and the latest line of a long
//! command's output while it runs. The whole output goes to a log file.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, IsTerminal as _, Write as _, pipe},
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use gateway_tests::tools;

/// Without a terminal to redraw, this often is enough to see that work goes on.
const NOTE_INTERVAL: Duration = Duration::from_secs(5);
/// Lines of output shown when a command fails.
const TAIL_LINES: usize = 20;

/// Shows a finding.
pub fn done(name: &str, detail: &str) {
    println!("{}", format!("✓ {name:<16} {detail}").trim_end());
}

/// Shows a finding that is not good.
pub fn failed(name: &str, detail: &str) {
    println!("✗ {name:<16} {detail}");
}

/// Shows what is about to take a while.
pub fn doing(name: &str, detail: &str) {
    println!("… {name:<16} {detail}");
}

/// Where the output of installers goes.
pub fn log_path() -> PathBuf {
    tools::target_dir().join("setup.log")
}

/// Runs a long command, showing its latest line; an error shows its last ones.
pub fn run_logged(command: &mut Command) -> Result<()> {
    let ran = run_captured(command)?;
    if !ran.status.success() {
        bail!("{} failed ({}); its last lines:\n    {}", shown(command), ran.status, ran.tail());
    }
    Ok(())
}

/// What a command has said, and how it ended.
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything that it wrote.
    pub lines: Vec<String>,
}

impl Ran {
    /// The last lines.
    pub fn tail(&self) -> String {
        self.lines[self.lines.len().saturating_sub(TAIL_LINES)..].join("\n    ")
    }
}

/// Runs a long command, showing its latest line.
pub fn run_captured(command: &mut Command) -> Result<Ran> {
    let (reader, writer) = pipe().context("cannot make a pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut log = open_log(command)?;
    let mut child = command.spawn().with_context(|| format!("cannot start {}", shown(command)))?;
    // The command holds the pipe's writing ends; as long as it does, reading never ends.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut progress = Progress::new();
    let mut lines = Vec::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        writeln!(log, "{line}")?;
        progress.show(&line);
        lines.push(line);
    }
    progress.clear();
    Ok(Ran { status: child.wait()?, lines })
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let name = program.rsplit('/').next().unwrap_or_default().to_owned();
    command.get_args().fold(name, |line, arg| line + " " + &arg.to_string_lossy())
}

fn open_log(command: &Command) -> Result<File> {
    let path = log_path();
    fs::create_dir_all(tools::target_dir())?;
    let mut log =
        OpenOptions::new().create(true).append(true).open(&path).with_context(|| path.display().to_string())?;
    writeln!(log, "\n$ {}", shown(command))?;
    Ok(log)
}

/// The one line that shows how far a command is.
struct Progress {
    terminal: bool,
    last: Instant,
}

impl Progress {
    fn new() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), last: Instant::now() }
    }

    fn show(&mut self, line: &str) {
        let line: String = line.trim().chars().filter(|c| !c.is_control()).take(100).collect();
        if self.terminal {
            print!("\r\x1b[2K  {line}");
            // Losing a progress line is no reason to fail.
            let _ = std::io::stdout().flush();
        } else if self.last.elapsed() >= NOTE_INTERVAL {
            println!("  {line}");
            self.last = Instant::now();
        }
    }

    fn clear(&self) {
        if self.terminal {
            print!("\r\x1b[2K");
            let _ = std::io::stdout().flush();
        }
    }
}
