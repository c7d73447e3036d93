//! What the audience sees, and what the report says: acts, commands, their output, and whether it was as expected.

use std::{
    io::IsTerminal as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

/// Longest output of a command that is shown, in lines.
const SHOWN: usize = 24;

/// The transcript and the report.
pub struct Stage {
    colour: bool,
    interrupted: Arc<AtomicBool>,
    act: usize,
    steps: Vec<Value>,
    failed: usize,
    figures: Map<String, Value>,
}

impl Stage {
    /// Opens the curtain; Ctrl-C from now on ends the play after the step that is under way.
    pub fn new(no_color: bool) -> Result<Self> {
        let colour = !no_color && std::env::var_os("NO_COLOR").is_none() && std::io::stdout().is_terminal();
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&interrupted);
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("Ctrl-C cannot be caught")?;
        Ok(Self { colour, interrupted, act: 0, steps: Vec::new(), failed: 0, figures: Map::new() })
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A picture, or a remark.
    pub fn say(&self, text: &str) {
        println!("{text}");
    }

    /// The title.
    pub fn title(&self, text: &str) {
        println!("\n{}", self.paint("1;36", text));
    }

    /// The next act.
    pub fn act(&mut self, text: &str) -> Result<()> {
        self.check()?;
        self.act += 1;
        println!("\n{}", self.paint("1", &format!("{}. {text}", self.act)));
        Ok(())
    }

    /// A command, as one would type it at a host.
    pub fn command(&self, host: &str, line: &str) {
        println!("   {} {line}", self.paint("35", &format!("{host:>7} $")));
    }

    /// What a command printed.
    pub fn output(&self, text: &str) {
        let lines: Vec<&str> = text.trim_end().lines().collect();
        for line in lines.iter().take(SHOWN) {
            println!("           {}", self.paint("2", line));
        }
        if lines.len() > SHOWN {
            println!("           {}", self.paint("2", &format!("… and {} lines more", lines.len() - SHOWN)));
        }
    }

    /// Records a step: what was expected, what was observed, and whether that is the same.
    pub fn step(&mut self, name: &str, expected: &str, observed: &str, ok: bool) -> Result<()> {
        let mark = if ok { self.paint("1;32", "✓") } else { self.paint("1;31", "✗") };
        let contrast = if ok { String::new() } else { format!("  (expected: {expected})") };
        println!("         {mark} {observed}{contrast}");
        self.failed += usize::from(!ok);
        self.steps.push(json!({ "name": name, "expected": expected, "observed": observed, "ok": ok }));
        self.check()
    }

    /// Records a figure.
    pub fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    /// How many steps were not as expected.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// Whether Ctrl-C was pressed.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Ends the play if Ctrl-C was pressed.
    pub fn check(&self) -> Result<()> {
        if self.is_interrupted() {
            bail!("interrupted; everything was removed");
        }
        Ok(())
    }

    /// The report.
    pub fn report(&self) -> Value {
        json!({ "steps": self.steps, "figures": self.figures })
    }

    /// The curtain.
    pub fn close(&self) {
        let steps = self.steps.len();
        let verdict = if self.failed == 0 {
            self.paint("1;32", &format!("All {steps} steps went as expected. The namespaces are gone."))
        } else {
            self.paint("1;31", &format!("{} of {steps} steps went otherwise than expected.", self.failed))
        };
        println!("\n{verdict}");
    }
}
