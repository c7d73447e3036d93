//! `portcullis graph`: a picture of who reaches what.

use crate::cli::CliError;
use crate::cli::client::Answer;
use crate::cli::context::Context;
use crate::cli::graph::{Picture, dot, svg};
use crate::wire::ReachMap;
use clap::{Args, ValueEnum};
use reqwest::Method;
use std::path::PathBuf;

/// What is to be drawn, and how.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  portcullis graph --output reach.svg\n  portcullis graph --group finance --output finance.svg\n  \
    portcullis graph --app crm --format dot --output crm.dot\n\n\
    People of equal reach are drawn as one, and what has no room is said in the picture."
)]
pub(in crate::cli) struct Graph {
    /// As what
    #[arg(long, value_enum, default_value = "svg")]
    format: Format,
    /// Only this user
    #[arg(long)]
    user: Option<String>,
    /// Only this app
    #[arg(long)]
    app: Option<String>,
    /// Only the members of this group
    #[arg(long)]
    group: Option<String>,
    /// Write the picture to this file, instead of the standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The form of a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    /// A picture that browsers show
    Svg,
    /// For Graphviz
    Dot,
}

impl Graph {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        let Self { format, user, app, group, output } = self;
        let call = context.administer(Method::GET, &["v1", "reach"])?;
        let call = call.query("user", user.as_deref()).query("app", app.as_deref()).query("group", group.as_deref());
        let map: Answer<ReachMap> = call.answer().await?;
        let text = match (context.output.json, format) {
            (true, _) => format!("{:#}\n", map.json),
            (false, Format::Svg) => svg(&Picture::of(&map.shape)),
            (false, Format::Dot) => dot(&Picture::of(&map.shape)),
        };
        context.output.deliver(&text, output.as_deref())
    }
}
