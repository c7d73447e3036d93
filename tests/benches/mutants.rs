//! Planted mistakes: whether the tests of the law notice each of them.
//!
//! Run by `cargo xtask mutants`. One mistake after the other is planted in the law as it is compiled into this program.
//! Three suites then look for it, each until it has found something or is through: directed checks, the corpus, and the
//! comparison with the oracle. A mistake that none of them notices is a hole in the tests. First they all run without
//! one.

#[macro_use]
#[path = "../tests/law/checks.rs"]
mod checks;
#[path = "../tests/law/answers.rs"]
mod answers;
#[path = "../tests/corpus/cast.rs"]
mod cast;
#[path = "../tests/law/client.rs"]
mod client;
#[path = "../tests/kernel/ground.rs"]
mod ground;
#[path = "../tests/kernel/oracle/mod.rs"]
#[expect(dead_code, reason = "nothing is judged in the kernel here")]
mod oracle;
#[path = "../tests/corpus/read.rs"]
#[expect(dead_code, reason = "cases say more than is asked here")]
mod read;
#[path = "../tests/law/tables.rs"]
mod tables;
#[path = "../tests/corpus/twin.rs"]
mod twin;
#[path = "../tests/law/ways.rs"]
mod ways;

use anyhow::{Result, bail, ensure};
use cast::Cast;
use clap::Parser as _;
use gateway_common::mutant::{Mutant, plant};
use oracle::life::Life;
use read::{Case, Turn, corpus};
use serde_json::json;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use twin::Twin;

/// The index of the interface in the corpus.
const INTERFACE: u32 = 1;
const FRAMES_IN_A_WORLD: u64 = 4_000;
/// How often the memories of law and oracle are compared.
const FRAMES_TO_A_COMPARISON: u64 = 500;
const SUITES: [&str; 3] = ["checks", "corpus", "oracle"];

/// Plants mistakes in the law.
#[derive(clap::Parser)]
struct Options {
    /// Plant this one alone
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Draw the same lots as the run that printed this
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many worlds the oracle looks at before it gives up
    #[arg(long, default_value_t = 50)]
    worlds: u64,
    /// Also write the figures to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// As cargo says it
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn mutants(&self) -> Result<Vec<Mutant>> {
        let is_meant = |mutant: &&Mutant| self.only.as_ref().is_none_or(|only| mutant.name() == only);
        let mutants: Vec<Mutant> = Mutant::ALL.iter().filter(is_meant).copied().collect();
        ensure!(!mutants.is_empty(), "there is no mutant of that name");
        Ok(mutants)
    }
}

/// What a suite has noticed, and after how many frames or checks.
struct Notice {
    after: u64,
    what: String,
}

/// How far a suite has come.
struct Judged {
    count: u64,
    /// Whether a suite before has noticed something: then nothing depends on this one, and it need not look for long.
    is_noticed: bool,
}

/// The suites, with what they judge.
struct Suites {
    cases: Vec<Case>,
    seed: u64,
    worlds: u64,
}

impl Suites {
    /// What each suite notices of what is planted in this thread's law.
    fn look(&self) -> [Option<Notice>; 3] {
        let mut is_noticed = false;
        [Self::check, Self::replay, Self::compare].map(|suite| {
            let mut judged = Judged { count: 0, is_noticed };
            // A mistake may well end in a panic, of the law or of what is built on it.
            let outcome = catch_unwind(AssertUnwindSafe(|| suite(self, &mut judged)));
            let what = outcome.unwrap_or_else(|panic| Err(words(&*panic))).err()?;
            is_noticed = true;
            Some(Notice { after: judged.count, what })
        })
    }

    fn check(&self, judged: &mut Judged) -> Result<(), String> {
        for (_, check) in answers::CHECKS.iter().chain(tables::CHECKS).chain(ways::CHECKS) {
            judged.count += 1;
            check();
        }
        Ok(())
    }

    fn replay(&self, judged: &mut Judged) -> Result<(), String> {
        let (mut twin, mut cast) = (Twin::new(INTERFACE), Cast::new(INTERFACE));
        for case in &self.cases {
            twin.begin(case.world, cast.enter());
            for turn in &case.turns {
                match turn {
                    Turn::Act(act) => twin.act(*act, cast.act(*act)),
                    Turn::Packet(sent) => {
                        judged.count += 1;
                        let found = twin.judge(sent.way, &sent.frame);
                        if found != sent.expected {
                            let (place, name) = (&case.place, &case.name);
                            return Err(format!("{place}: {name}: {found:?} instead of {:?}", sent.expected));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn compare(&self, judged: &mut Judged) -> Result<(), String> {
        let worlds = if judged.is_noticed { self.worlds / 5 } else { self.worlds };
        for world in 0..worlds {
            let mut life = Life::new(self.seed.wrapping_add(world));
            for frame in 1..=FRAMES_IN_A_WORLD {
                judged.count += 1;
                life.step().map_err(|trouble| format!("{trouble:?}"))?;
                if frame.is_multiple_of(FRAMES_TO_A_COMPARISON) {
                    life.compare().map_err(|trouble| format!("{trouble:?}"))?;
                }
            }
        }
        Ok(())
    }
}

fn words(panic: &dyn std::any::Any) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    format!("panic: {}", text.unwrap_or("without words"))
}

/// Plants one mutant after the other, several at once; in the order of the mutants.
fn try_all(suites: &Suites, mutants: &[Mutant]) -> Result<Vec<[Option<Notice>; 3]>> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, mutant)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, mutants.get(at)?)))
                {
                    plant(Some(*mutant));
                    let notices = suites.look();
                    found.lock().unwrap().push((at, notices));
                }
            });
        }
    });
    let mut found = found.into_inner().expect("no thread has panicked");
    found.sort_by_key(|(at, _)| *at);
    Ok(found.into_iter().map(|(_, notices)| notices).collect())
}

fn print(mutant: Mutant, notices: &[Option<Notice>; 3], is_detailed: bool) {
    let [checks, corpus, oracle] =
        notices.each_ref().map(|notice| notice.as_ref().map_or("-".to_owned(), |notice| notice.after.to_string()));
    let name = mutant.name();
    let mark = if notices.iter().all(Option::is_none) { "SURVIVES" } else { "" };
    println!("{name:<26} {checks:>6} {corpus:>6} {oracle:>7}  {} {mark}", mutant.wrong());
    if is_detailed {
        for (suite, notice) in SUITES.iter().zip(notices) {
            println!("  {suite}: {}", notice.as_ref().map_or("notices nothing", |notice| &notice.what));
        }
    }
}

fn main() -> Result<()> {
    let (options, started) = (Options::parse(), Instant::now());
    let mutants = options.mutants()?;
    let suites = Suites { cases: corpus(), seed: options.seed, worlds: options.worlds };
    for (suite, notice) in SUITES.iter().zip(suites.look()) {
        if let Some(Notice { what, .. }) = notice {
            bail!("{suite}: without a mutant, too, the law is not as expected: {what}");
        }
    }
    std::panic::set_hook(Box::new(|_| {}));
    let found = try_all(&suites, &mutants)?;
    println!(
        "{:<26} {:>6} {:>6} {:>7}  what is wrong; noticed by the check, or after the frames",
        "mutant", SUITES[0], SUITES[1], SUITES[2]
    );
    mutants.iter().zip(&found).for_each(|(mutant, notices)| print(*mutant, notices, options.only.is_some()));
    let is_survivor = |(_, notices): &(&Mutant, &[Option<Notice>; 3])| notices.iter().all(Option::is_none);
    let survivors: Vec<&str> =
        mutants.iter().zip(&found).filter(is_survivor).map(|(mutant, _)| mutant.name()).collect();
    let (total, caught) = (mutants.len(), mutants.len() - survivors.len());
    let seconds = started.elapsed().as_secs_f64();
    let outcome = if survivors.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {outcome}. {caught} passed; {} failed; finished in {seconds:.2}s", survivors.len());
    if let Some(path) = options.json {
        let report = json!({ "total": total, "caught": caught, "survivors": survivors });
        std::fs::write(path, serde_json::to_string(&report)? + "\n")?;
    }
    ensure!(survivors.is_empty(), "nothing notices {}", survivors.join(", "));
    Ok(())
}
