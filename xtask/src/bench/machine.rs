//! Where and when something was measured. Figures without that are rumours.

use std::{fmt, fs, process::Command, thread};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::toolchain::output;

/// The machine, the source, the day, and what else the machine had to do.
pub struct Machine {
    cpu: String,
    cpus: usize,
    kernel: String,
    commit: String,
    date: String,
    /// Processes that wanted a CPU, in the last minute before.
    load_before: f64,
    load_after: f64,
}

impl Machine {
    /// Before the measurement.
    pub fn look() -> Result<Self> {
        let cpus = fs::read_to_string("/proc/cpuinfo")?;
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let said =
            |program: &str, args: &[&str]| output(Command::new(program).args(args)).map(|text| text.trim().to_owned());
        let commit = said("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".into());
        let changed =
            said("git", &["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
        Ok(Self {
            cpu: model.map_or("unknown", |(_, model)| model.trim()).to_owned(),
            cpus: thread::available_parallelism()?.get(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            commit: if changed { format!("{commit} with changes") } else { commit },
            date: said("date", &["--utc", "+%Y-%m-%d"]).context("no date")?,
            load_before: load()?,
            load_after: f64::NAN,
        })
    }

    /// After the measurement.
    pub fn look_again(&mut self) -> Result<()> {
        self.load_after = load()?;
        Ok(())
    }

    /// The same as rows.
    pub fn rows(&self) -> Vec<Value> {
        let Self { cpu, cpus, kernel, commit, date, load_before, load_after } = self;
        let row = |metric: &str, value: f64| {
            json!({
                "suite": "machine", "case": "load", "metric": metric, "value": value, "unit": "processes",
                "ratio": value / *cpus as f64, "reference": "CPUs", "runs": 1, "p10": value, "p90": value,
                "cpu": cpu, "cpus": cpus, "kernel": kernel, "commit": commit, "date": date,
            })
        };
        vec![row("before", *load_before), row("after", *load_after)]
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cpus, kernel, commit, date, load_before, load_after } = self;
        write!(
            f,
            "{date}, commit {commit}; {cpu}, {cpus} CPUs; Linux {kernel}; load {load_before:.1} before and \
             {load_after:.1} after"
        )
    }
}

fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    text.split_whitespace().next().and_then(|word| word.parse().ok()).context("no load")
}
