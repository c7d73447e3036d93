//! The search for bytes that break a parser or the law, guided by coverage: libFuzzer over the targets of `tests/fuzz`.
//!
//! It needs no nightly compiler: the flags that insert the counters are stable, the ones that `cargo fuzz` passes
//! without a sanitizer. Everything is built a second time with them, in a folder of its own.

mod outcome;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use gateway_tests::tools;

use crate::{
    console,
    setup::{self, Need},
    toolchain::{cargo, output},
};
use outcome::Outcome;

/// Inserts a counter at each edge, the table that names them, and a call before each comparison.
const FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg",
    "fuzzing",
];
/// The longest input that is tried.
const LONGEST: u32 = 2048;
/// The longest that is kept: longer honest ones are code.
const LONGEST_KEPT: u32 = 1024;
/// Longer than any honest input takes, in seconds.
const TIMEOUT: &str = "20";

/// What to search, and for how long.
#[derive(clap::Args)]
pub struct Args {
    /// Only this target; without it all, one after the other
    target: Option<String>,
    /// How long to search in each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Keep what was found: replace the committed corpus by the smallest that reaches as much
    #[arg(long)]
    merge: bool,
    /// Also write the results to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Builds the targets, searches, and says what was found.
pub fn run(args: &Args) -> Result<()> {
    setup::prepare(Need::BuildAndRun)?;
    setup::prepare_to_cover()?;
    let names = targets(args.target.as_deref())?;
    let program = build()?;
    let mut outcomes = Vec::new();
    for name in &names {
        let outcome = Target::new(&program, name)?.search(args)?;
        if outcome.crashes.is_empty() {
            console::done(name, &outcome.to_string());
        } else {
            console::failed(name, &outcome.to_string());
        }
        outcomes.push(outcome);
    }
    if let Some(path) = &args.json {
        fs::write(path, serde_json::to_string_pretty(&outcomes.iter().map(Outcome::json).collect::<Vec<_>>())? + "\n")?;
    }
    let crashes: Vec<_> = outcomes.iter().filter(|outcome| !outcome.crashes.is_empty()).collect();
    crashes.iter().for_each(|outcome| outcome.explain());
    ensure!(crashes.is_empty(), "{} of {} targets do not hold", crashes.len(), outcomes.len());
    Ok(())
}

/// The names of the targets: those of the folders in the corpus.
fn targets(wanted: Option<&str>) -> Result<Vec<String>> {
    let corpora = folder("corpus");
    let entries = fs::read_dir(&corpora).with_context(|| format!("cannot read {}", corpora.display()))?;
    let mut names: Vec<String> =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<_>>()?;
    names.sort();
    match wanted {
        None => Ok(names),
        Some(name) if names.iter().any(|known| known == name) => Ok(vec![name.to_owned()]),
        Some(name) => bail!("there is no target `{name}`; there are {}", names.join(", ")),
    }
}

/// A folder of the targets' package.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz").join(name)
}

/// Builds the program that is all targets, and returns where it is.
fn build() -> Result<PathBuf> {
    let host = output(Command::new("rustc").arg("-vV")).context("rustc does not say what it compiles for")?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?.to_owned();
    let folder = tools::target_dir().join("cover");
    let mut command = cargo();
    command.args(["build", "--package", "gateway-fuzz", "--features", "libfuzzer", "--bin", "cover"]);
    // With a target named, build scripts and macros are built without the flags: they would miss libFuzzer.
    command.args(["--profile", "cover", "--target", &host]).arg("--target-dir").arg(&folder);
    command.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    let status = command.status().with_context(|| format!("cannot start {}", console::shown(&command)))?;
    ensure!(status.success(), "the targets do not build");
    Ok(folder.join(host).join("cover/cover"))
}

/// A target, and the folders of its search.
struct Target<'t> {
    program: &'t Path,
    name: &'t str,
    /// What is committed.
    corpus: PathBuf,
    /// What this and earlier searches have found; not committed.
    found: PathBuf,
    /// Honest inputs, which are code.
    seeds: PathBuf,
    crashes: PathBuf,
}

impl<'t> Target<'t> {
    fn new(program: &'t Path, name: &'t str) -> Result<Self> {
        let made = |what: &str| -> Result<PathBuf> {
            let path = tools::target_dir().join("cover").join(what).join(name);
            fs::create_dir_all(&path)?;
            Ok(path)
        };
        let (found, seeds, crashes) = (made("found")?, made("seeds")?, made("crashes")?);
        Ok(Self { program, name, corpus: folder("corpus").join(name), found, seeds, crashes })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.env("PORTCULLIS_COVER_TARGET", self.name).env("RUST_BACKTRACE", "0").current_dir(&self.crashes);
        command.args([format!("-max_len={LONGEST}"), format!("-timeout={TIMEOUT}"), "-rss_limit_mb=2048".into()]);
        command.arg(format!("-artifact_prefix={}/", self.crashes.display()));
        let words = folder("words").join(self.name);
        if words.is_file() {
            command.arg(format!("-dict={}", words.display()));
        }
        command
    }

    fn search(&self, args: &Args) -> Result<Outcome> {
        let seeded = console::run_captured(self.command().env("PORTCULLIS_COVER_SEEDS", &self.seeds))?;
        ensure!(seeded.status.success(), "the seeds of {} cannot be written:\n    {}", self.name, seeded.tail());
        let mut command = self.command();
        command.arg(format!("-max_total_time={}", args.seconds)).args(["-print_final_stats=1", "-use_value_profile=1"]);
        command.args([&self.found, &self.corpus, &self.seeds]);
        let ran = console::run_captured(&mut command)?;
        if args.merge {
            self.merge()?;
        }
        let outcome = Outcome::new(self.name, &ran.lines, &files(&self.corpus)?)?;
        let is_told = ran.status.success() || !outcome.crashes.is_empty();
        ensure!(is_told, "the search in {} failed:\n    {}", self.name, ran.tail());
        Ok(outcome)
    }

    /// Replaces the committed corpus by the smallest that reaches as much as all that is known.
    fn merge(&self) -> Result<()> {
        let merged = tools::target_dir().join("cover/merged").join(self.name);
        if merged.is_dir() {
            fs::remove_dir_all(&merged)?;
        }
        fs::create_dir_all(&merged)?;
        let mut command = self.command();
        // The fewest inputs that reach every edge; how often one passes an edge does not matter here.
        command.args(["-use_counters=0", "-set_cover_merge=1"]).arg(format!("-max_len={LONGEST_KEPT}"));
        command.args([&merged, &self.corpus, &self.seeds, &self.found]);
        let ran = console::run_captured(&mut command)?;
        ensure!(ran.status.success(), "the corpus of {} cannot be merged:\n    {}", self.name, ran.tail());
        // What once broke the target stays, whatever it reaches.
        let is_spare = |path: &PathBuf| !name_of(path).starts_with("crash-");
        files(&self.corpus)?.iter().filter(|path| is_spare(path)).try_for_each(fs::remove_file)?;
        for path in files(&merged)? {
            // The hash is the name: eight digits tell a few thousand files apart.
            let short: String = name_of(&path).chars().take(8).collect();
            fs::copy(&path, self.corpus.join(short))?;
        }
        Ok(())
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_file()).collect())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
