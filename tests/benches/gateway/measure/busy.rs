//! How long a thread and what it sets off were at work on its CPU.
//!
//! Others may want the CPU, too, and their time is not a packet's. What a thread waits for its turn is therefore taken
//! off, and what the kernel's own thread has done of its packets meanwhile is added.

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

/// A clock for the thread that made it, which stays on its CPU from then on.
pub struct BusyClock {
    /// Of the kernel's thread on this CPU that takes up packets when there are many.
    helper: Option<PathBuf>,
}

/// A moment on that clock.
pub struct Moment {
    at: Instant,
    waited: u64,
    helped: u64,
}

const OWN: &str = "/proc/thread-self/schedstat";

impl BusyClock {
    /// Binds the thread to the CPU that it is on.
    pub fn here() -> Result<Self> {
        let (mut cpus, cpu) = (CpuSet::new(), sched_getcpu()?);
        cpus.set(cpu)?;
        sched_setaffinity(Pid::from_raw(0), &cpus)?;
        let name = format!("ksoftirqd/{cpu}");
        let is_helper =
            |folder: &PathBuf| fs::read_to_string(folder.join("comm")).is_ok_and(|comm| comm.trim() == name);
        let processes = fs::read_dir("/proc")?.flatten().map(|entry| entry.path());
        Ok(Self { helper: processes.into_iter().find(is_helper).map(|folder| folder.join("schedstat")) })
    }

    /// Now.
    pub fn now(&self) -> Result<Moment> {
        let helper = self.helper.as_deref().map(|path| of(path.to_str().unwrap_or_default(), 0));
        Ok(Moment { waited: of(OWN, 1)?, helped: helper.transpose()?.unwrap_or(0), at: Instant::now() })
    }

    /// Nanoseconds at work since then.
    pub fn since(&self, then: &Moment) -> Result<f64> {
        // First of all, as it was the last thing then: to ask takes time, too.
        let passed = then.at.elapsed().as_nanos() as f64;
        let now = self.now()?;
        Ok(passed - now.waited.saturating_sub(then.waited) as f64 + now.helped.saturating_sub(then.helped) as f64)
    }
}

/// A column of what the scheduler says: time at work, time waited.
fn of(path: &str, column: usize) -> Result<u64> {
    let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
    text.split_whitespace().nth(column).and_then(|word| word.parse().ok()).with_context(|| format!("{path}: {text}"))
}
