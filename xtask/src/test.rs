//! The tests: cargo's own runner and output, then all orders of what CPUs do, then the planted mistakes, each of which
//! counts as a test, then a minute of storm, then one line with the sum.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    chaos, mutants,
    setup::{self, Need},
    toolchain::cargo,
};

/// Which tests to run.
#[derive(clap::Args)]
pub struct Args {
    /// Only what needs neither root nor namespaces
    #[arg(long)]
    quick: bool,
    /// Only tests whose name contains this
    filter: Option<String>,
}

/// Runs the tests.
pub fn run(args: &Args) -> Result<()> {
    if args.quick {
        setup::prepare(Need::BuildAndRun)?;
    } else {
        setup::prepare_to_run()?;
    }
    let mut total = Counts::default();
    let mut all_passed = count(command(args), &mut total)?;
    ensure!(all_passed || total != Counts::default(), "the tests do not build");
    if args.filter.is_none() {
        all_passed &= count(races(), &mut total)?;
    }
    if !args.quick && args.filter.is_none() {
        all_passed &= count(mutants::command(), &mut total)?;
        all_passed &= count(chaos::command(), &mut total)?;
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    ensure!(all_passed, "tests failed");
    ensure!(total.passed > 0, "no test ran");
    Ok(())
}

/// Shows what a runner of tests prints, and adds its counts. Whether it has succeeded.
fn count(mut command: Command, total: &mut Counts) -> Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo test")?;
    let output = child.stdout.take().context("cargo test has no output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        if let Some(counts) = Counts::parse(&line) {
            total.add(counts);
        }
    }
    Ok(child.wait()?.success())
}

fn command(args: &Args) -> Command {
    let mut command = cargo();
    // Without --no-fail-fast the sum would leave out the binaries after the first failure.
    command.args(["test", "--workspace", "--exclude", "gateway-ebpf", "--no-fail-fast"]);
    if args.quick {
        command.args(["--exclude", "gateway-tests"]);
    }
    command.args(args.filter.as_deref());
    command
}

/// The tests that try all orders in which CPUs may come to the tables: built with words of another kind.
fn races() -> Command {
    let mut command = cargo();
    command.args(["test", "--package", "gateway-common", "--features", "loom", "--test", "races"]);
    command
}

/// The numbers of a `test result:` line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl Counts {
    fn parse(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |word: &str| {
            let found = counts.split("; ").find_map(|part| part.trim().strip_suffix(word));
            found.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
        };
        Some(Self { passed: count(" passed"), failed: count(" failed") })
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[track_caller]
    fn check(line: &str, expected: Option<(u64, u64)>) {
        assert_eq!(Counts::parse(line), expected.map(|(passed, failed)| Counts { passed, failed }));
    }

    #[test]
    fn result_lines_are_summed_and_others_ignored() {
        check(
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s",
            Some((12, 0)),
        );
        check("test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out", Some((7, 2)));
        check("test session::tests::seven_passed ... ok", None);
        check("running 4 tests", None);
    }
}
