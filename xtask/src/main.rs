//! Everything a developer or a first-time user runs, as `cargo xtask <task>`. Each task starts by
//! making sure that what it needs is installed, so no other preparation is ever asked for.

mod bench;
mod chaos;
mod console;
mod cover;
mod demo;
mod fuzz;
mod kernel;
mod lint;
mod mutants;
mod repeat;
mod setup;
mod test;
mod toolchain;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set up, try, test and check Portcullis.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing to build, try and test; does nothing where all is there
    Setup,
    /// Show the gateway at work between network namespaces
    Demo(demo::Args),
    /// Run all tests, with real packets between network namespaces (needs root)
    Test(test::Args),
    /// Measure packets beside nftables and others, TCP, and the daemon, all of it optimized (needs root, 10 minutes)
    Bench(bench::Args),
    /// Compare the law with the oracle on many random packets, optimized (needs root)
    Fuzz(fuzz::Args),
    /// Let it storm: kill, replace and revoke under a flood, and see from outside that nothing gives way (needs root)
    Chaos(chaos::Args),
    /// Plant mistakes in the law and see whether its tests notice each of them
    Mutants(mutants::Args),
    /// Search for bytes that break a parser or the law, guided by coverage
    Cover(cover::Args),
    /// Check format and lints, of the host crates and of the eBPF programs
    Lint,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Setup => setup::run(),
        Task::Demo(args) => demo::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Chaos(args) => chaos::run(&args),
        Task::Mutants(args) => mutants::run(&args),
        Task::Cover(args) => cover::run(&args),
        Task::Lint => lint::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
