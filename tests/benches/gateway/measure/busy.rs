//! How long a thread and what it sets off were at work on its CPU.
//!
//! Others may want the CPU, too, and to make and unmake a generator the kernel sleeps for some 25 ms; neither is a
//! packet's cost. So the time at work counts and not the time that passes: the thread's own, in which packets are taken
//! up between two of its instructions, and that of the kernel's thread that helps when there are many. Where the kernel
//! keeps the time of interrupts apart from that of threads, it is added.

use anyhow::{Context as _, Result};
use gateway_tests::tools;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use std::fs;
use std::path::PathBuf;

/// A clock for the thread that made it, which stays on its CPU from then on.
pub struct BusyClock {
    cpu: usize,
    /// Of the kernel's thread on this CPU that takes up packets when there are many.
    helper: Option<PathBuf>,
    keeps_interrupts_apart: bool,
}

/// A moment on that clock, in nanoseconds.
pub struct Moment {
    helped: u64,
    interrupts: u64,
    own: u64,
}

/// Column of a CPU's line in `/proc/stat`, and its unit.
const SOFT_INTERRUPTS: usize = 7;
const TICK: u64 = 10_000_000;

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
        let helper = processes.into_iter().find(is_helper).map(|folder| folder.join("schedstat"));
        Ok(Self { cpu, helper, keeps_interrupts_apart: keeps_interrupts_apart() })
    }

    /// Now.
    pub fn now(&self) -> Result<Moment> {
        let (helped, interrupts) = (self.helped()?, self.interrupts()?);
        Ok(Moment { helped, interrupts, own: own()? })
    }

    /// Nanoseconds at work since then.
    pub fn since(&self, then: &Moment) -> Result<f64> {
        // First of all, as it was the last thing then: to ask takes time, too.
        let own = own()? - then.own;
        Ok((own + self.helped()? - then.helped + self.interrupts()? - then.interrupts) as f64)
    }

    fn helped(&self) -> Result<u64> {
        self.helper.as_deref().map_or(Ok(0), |path| word(path.to_str().unwrap_or_default(), "", 0))
    }

    fn interrupts(&self) -> Result<u64> {
        if !self.keeps_interrupts_apart {
            return Ok(0);
        }
        Ok(word("/proc/stat", &format!("cpu{} ", self.cpu), SOFT_INTERRUPTS)? * TICK)
    }
}

/// Nanoseconds that this thread was at work. What `schedstat` says of it is only brought up to date once a tick.
fn own() -> Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(u64::try_from(time.tv_sec())? * 1_000_000_000 + u64::try_from(time.tv_nsec())?)
}

/// Whether the kernel was built so. Where nobody can tell, it was not.
fn keeps_interrupts_apart() -> bool {
    let unpacked = || -> Option<String> {
        let output = tools::command("zcat").ok()?.arg("/proc/config.gz").output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let config = fs::read_to_string(format!("/boot/config-{}", release.trim())).ok().or_else(unpacked);
    config.is_some_and(|config| config.lines().any(|line| line == "CONFIG_IRQ_TIME_ACCOUNTING=y"))
}

/// A word of the first line that begins so.
fn word(path: &str, beginning: &str, column: usize) -> Result<u64> {
    let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
    let line = text.lines().find(|line| line.starts_with(beginning));
    let word = line.and_then(|line| line.split_whitespace().nth(column)?.parse().ok());
    word.with_context(|| format!("{path} has no column {column} after `{beginning}`"))
}
