//! The law against the oracle, for as many packets as one likes.
//!
//! Run by `cargo xtask fuzz`. A disagreement or a panic of the law is printed with the world's seed, and the run goes on
//! with the next world: `--seed` with that number begins with it.

#[path = "../tests/kernel/ground.rs"]
mod ground;
#[path = "../tests/kernel/oracle/mod.rs"]
mod oracle;

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use oracle::kernel::{KernelLife, Outcome};
use oracle::life::{Life, Tally, Trouble, lacks};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PACKETS_IN_A_WORLD: u64 = 20_000;
const PACKETS_IN_A_KERNEL_WORLD: u64 = 3_000;
/// How many troubles are printed; the others are only counted.
const MOST_PRINTED: u64 = 20;
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Compares the law with the oracle.
#[derive(clap::Parser)]
struct Options {
    /// Judge so many
    #[arg(long, default_value_t = 10_000_000)]
    packets: u64,
    /// Draw the same lots as the run that printed this
    #[arg(long, default_value_t = rand::random())]
    seed: u64,
    /// Also write the figures to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Of so many packets judge one in the kernel; 0 for none
    #[arg(long, default_value_t = 1_000)]
    kernel_share: u64,
    /// As cargo says it
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn read() -> Self {
        let mut options = Self::parse();
        if options.kernel_share > 0 && !nix::unistd::geteuid().is_root() {
            eprintln!("not root: nothing is judged in the kernel");
            options.kernel_share = 0;
        }
        options
    }

    fn packets_in_kernel(&self) -> u64 {
        self.packets.checked_div(self.kernel_share).unwrap_or(0)
    }
}

/// What all threads have done so far.
#[derive(Default)]
struct Sum {
    worlds: AtomicU64,
    packets: AtomicU64,
    in_kernel: AtomicU64,
    disagreements: AtomicU64,
    aborts: AtomicU64,
    tally: Mutex<Tally>,
}

impl Sum {
    fn note(&self, trouble: &Trouble) {
        let counter = match trouble {
            Trouble::Disagreement(_) => &self.disagreements,
            Trouble::Abort(_) => &self.aborts,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if self.troubles() <= MOST_PRINTED {
            eprintln!("{trouble:?}");
        }
    }

    fn troubles(&self) -> u64 {
        self.disagreements.load(Ordering::Relaxed) + self.aborts.load(Ordering::Relaxed)
    }

    /// Lives through worlds until there were enough packets.
    fn run(&self, options: &Options) {
        loop {
            let world = self.worlds.fetch_add(1, Ordering::Relaxed);
            let missing = options.packets.saturating_sub(world * PACKETS_IN_A_WORLD);
            if missing == 0 {
                return;
            }
            let mut life = Life::new(options.seed.wrapping_add(world));
            let wanted = missing.min(PACKETS_IN_A_WORLD);
            let mut judged = 0;
            let outcome = (0..wanted).try_for_each(|_| {
                judged += 1;
                life.step()
            });
            if let Err(trouble) = outcome.and_then(|()| life.compare()) {
                self.note(&trouble);
            }
            self.packets.fetch_add(judged, Ordering::Relaxed);
            let mut tally = self.tally.lock().unwrap();
            for (code, count) in life.tally {
                *tally.entry(code).or_default() += count;
            }
        }
    }
}

impl Sum {
    /// The same in the kernel, one world after the other.
    fn run_in_kernel(&self, options: &Options) -> Result<()> {
        let mut seed = options.seed;
        while self.in_kernel.load(Ordering::Relaxed) < options.packets_in_kernel() {
            let mut life = KernelLife::new(seed).context("the programs cannot be tried")?;
            if let Err(trouble) = self.live_in_kernel(&mut life, options) {
                self.note(&trouble);
            }
            seed = seed.wrapping_add(1);
        }
        Ok(())
    }

    fn live_in_kernel(&self, life: &mut KernelLife, options: &Options) -> Result<(), Trouble> {
        for _ in 0..PACKETS_IN_A_KERNEL_WORLD {
            if self.in_kernel.load(Ordering::Relaxed) >= options.packets_in_kernel() {
                break;
            }
            match life.step()? {
                Outcome::Judged(_) => drop(self.in_kernel.fetch_add(1, Ordering::Relaxed)),
                Outcome::Skipped => {}
                Outcome::Late => return Ok(()),
            }
        }
        life.compare()
    }
}

fn main() -> Result<()> {
    let options = Options::read();
    let (sum, started) = (Sum::default(), Instant::now());
    eprintln!("seed {}", options.seed);
    let threads = std::thread::available_parallelism()?.get();
    let (speed, kernel) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| sum.run(&options))).collect();
        let kernel = scope.spawn(|| sum.run_in_kernel(&options));
        let mut reported = Instant::now();
        let mut took = None;
        while !kernel.is_finished() || took.is_none() {
            if took.is_none() && workers.iter().all(|worker| worker.is_finished()) {
                took = Some(started.elapsed());
            }
            std::thread::park_timeout(Duration::from_millis(50));
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                let (packets, troubles) = (sum.packets.load(Ordering::Relaxed), sum.troubles());
                eprintln!("{packets} of {} packets, {troubles} disagreements or aborts", options.packets);
            }
        }
        let packets = sum.packets.load(Ordering::Relaxed);
        let speed = (packets as f64 / took.unwrap_or_default().as_secs_f64()) as u64;
        (speed, kernel.join().expect("the thread has not panicked"))
    });
    let [packets, disagreements, aborts] =
        [&sum.packets, &sum.disagreements, &sum.aborts].map(|counter| counter.load(Ordering::Relaxed));
    println!("{packets} packets, {disagreements} disagreements, {aborts} aborts, {speed} packets/s");
    println!("{} more in the kernel", sum.in_kernel.load(Ordering::Relaxed));
    lacks(&sum.tally.lock().unwrap()).iter().for_each(|lack| eprintln!("note: {lack}"));
    if let Some(path) = options.json {
        let report = json!({
            "packets": packets, "disagreements": disagreements, "aborts": aborts, "packets_per_second": speed,
        });
        std::fs::write(path, serde_json::to_string(&report)? + "\n")?;
    }
    if disagreements + aborts > 0 {
        bail!("the law and the oracle do not agree");
    }
    kernel
}
