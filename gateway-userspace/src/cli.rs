//! The command line: a client of the API, without a privilege that the API lacks.
//!
//! It knows the shapes of `wire`, how files write apps and durations, how others are asked (`outward`), what `bundle` makes
//! of a directory, how a trail is verified (`record/audit`), and nothing else of the gateway. Answers go to the standard output, as tables or as the API's own JSON;
//! complaints go to the standard error.

mod arguments;
mod client;
mod command;
mod context;
mod credential;
mod error;
mod field;
mod graph;
mod junit;
mod markup;
mod output;
mod password;
mod report;
mod samples;
mod sentence;
mod table;
mod tls;
mod top;

use arguments::Arguments;
use clap::Parser as _;
use command::Command;
use context::Context;
use output::Output;
use std::process::ExitCode;

pub use error::CliError;

/// Does what the arguments of this process say.
#[must_use]
pub fn run() -> ExitCode {
    match perform(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has seen enough.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn perform(arguments: Arguments) -> Result<(), CliError> {
    let Arguments { global, command } = arguments;
    let command = match command {
        Command::Completions { shell } => return command::generate::completions(shell),
        Command::Man { words } => return command::generate::man(&words),
        // These need no gateway, and nothing that is said about one.
        Command::Policy(policy) => match policy.offline(Output::of(&global)) {
            Ok(done) => return done,
            Err(policy) => Command::Policy(policy),
        },
        Command::Audit(audit) => match audit.offline(Output::of(&global)) {
            Ok(done) => return done,
            Err(audit) => Command::Audit(audit),
        },
        other => other,
    };
    let context = Context::new(global)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    runtime.block_on(command.run(&context))
}

#[cfg(test)]
mod tests;
