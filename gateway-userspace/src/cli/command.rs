//! The nouns and verbs. Each file holds the arguments of one noun, and what is done with them.

mod app;
mod audit;
mod bundle;
mod device;
mod drops;
mod explain;
mod export;
mod flow;
pub(super) mod generate;
mod generation;
mod graph;
mod group;
mod own;
mod policy;
mod provider;
mod record;
mod report;
mod service;
mod session;
mod since;
mod token;
mod top;
mod user;

pub(super) use since::Period;

use super::CliError;
use super::context::Context;
use clap::Subcommand;
use clap_complete::Shell;
use std::io::Read as _;
use std::path::Path;

/// What is to be done.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Log in: begin a session at the address of this machine
    Login(own::Login),
    /// Log out: end the own session
    Logout,
    /// Show the own session and, with an API token, the gateway
    Status,
    /// People who can log in
    #[command(subcommand)]
    User(user::User),
    /// Groups of users
    #[command(subcommand)]
    Group(group::Group),
    /// Protected destinations
    #[command(subcommand)]
    App(app::App),
    /// Who may reach what
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Automation, and hosts without a person
    #[command(subcommand)]
    Service(service::Service),
    /// Users at their addresses, and the end of their access
    #[command(subcommand)]
    Session(session::Session),
    /// Open connections
    #[command(subcommand)]
    Flow(flow::Flow),
    /// Say why somebody reaches an app or does not, and who reaches what
    Explain(explain::Explain),
    /// Draw who reaches what, and by which policies
    Graph(graph::Graph),
    /// Watch the gateway at work: packets, apps, drops, and the latest denials
    Top(top::Top),
    /// Count what was dropped, by reason; or capture it
    Drops(drops::Drops),
    /// What was recorded: connections, denials, logins, administration
    #[command(subcommand)]
    Record(record::Record),
    /// Add up who reached an app, or what a user reached
    Reached(record::ReachedSums),
    /// Add up what was denied, by whose it was, from where to where, and why
    Denied(record::DeniedSums),
    /// Where records are passed on to
    #[command(subcommand)]
    Export(export::Export),
    /// Make a page for an auditor: who reached what, what was denied, and what nobody used
    Report(report::Report),
    /// Identity providers that people can log in with
    #[command(subcommand)]
    Provider(provider::Provider),
    /// Who got in, lost access, or changed something, and whether that is still what was written
    #[command(subcommand)]
    Audit(audit::Audit),
    /// API tokens, for programs
    #[command(subcommand)]
    Token(token::Token),
    /// Write a completion script to the standard output
    #[command(after_help = "Examples:\n  portcullis completions bash")]
    Completions {
        /// For this shell
        shell: Shell,
    },
    /// Write a page of the manual to the standard output
    #[command(hide = true, after_help = "Examples:\n  portcullis man\n  portcullis man user add")]
    Man {
        /// Of this command; of all of them together if left out
        words: Vec<String>,
    },
}

impl Command {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Login(login) => login.run(context).await,
            Self::Logout => own::logout(context).await,
            Self::Status => own::status(context).await,
            Self::User(command) => command.run(context).await,
            Self::Group(command) => command.run(context).await,
            Self::App(command) => command.run(context).await,
            Self::Policy(command) => command.run(context).await,
            Self::Service(command) => command.run(context).await,
            Self::Session(command) => command.run(context).await,
            Self::Flow(command) => command.run(context).await,
            Self::Explain(explain) => explain.run(context).await,
            Self::Graph(graph) => graph.run(context).await,
            Self::Top(top) => top.run(context).await,
            Self::Drops(drops) => drops.run(context).await,
            Self::Record(command) => command.run(context).await,
            Self::Reached(sums) => sums.run(context).await,
            Self::Denied(sums) => sums.run(context).await,
            Self::Export(command) => command.run(context).await,
            Self::Report(report) => report.run(context).await,
            Self::Provider(command) => command.run(context).await,
            Self::Audit(command) => command.run(context).await,
            Self::Token(command) => command.run(context).await,
            Self::Completions { shell } => generate::completions(shell),
            Self::Man { words } => generate::man(&words),
        }
    }
}

/// The text of a file, or of the standard input for `-`.
fn read_input(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    read.map_err(|source| CliError::Input { path: path.into(), source })
}
