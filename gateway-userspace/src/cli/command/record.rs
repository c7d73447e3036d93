//! `portcullis record`, `portcullis denied` and `portcullis reached`: what was recorded, searched and added up.

use super::since::Span;
use crate::cli::CliError;
use crate::cli::client::{Answer, Call};
use crate::cli::context::Context;
use crate::cli::output::Output;
use crate::cli::table;
use crate::wire::{self, Denied, Page, Reached};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;

/// How often it is asked whether there is more.
const PAUSE: Duration = Duration::from_secs(1);

/// What is to be done with records.
#[derive(Subcommand, Debug)]
#[command(after_help = "Examples:\n  portcullis record list --user alice --since 2h\n  \
    portcullis record list --type denied --client 10.9.0.0/24\n  \
    portcullis record list --type admin --since 2026-11-01T00:00:00Z --json\n  \
    portcullis record list --app crm --follow")]
pub(in crate::cli) enum Record {
    /// List records, the newest first
    List(Box<List>),
}

/// Which records.
#[derive(Args, Debug)]
pub(in crate::cli) struct List {
    /// Of this type, like `flow_end`, `denied`, `login`, `session_end` or `admin`
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Of this user; of administration, by whom
    #[arg(long)]
    user: Option<String>,
    /// About this app
    #[arg(long)]
    app: Option<String>,
    /// Of the session with this token
    #[arg(long, value_name = "TOKEN")]
    session: Option<String>,
    /// From this address or prefix
    #[arg(long, value_name = "PREFIX")]
    client: Option<String>,
    /// To this address or prefix
    #[arg(long, value_name = "PREFIX")]
    destination: Option<String>,
    /// To this port
    #[arg(long)]
    port: Option<u16>,
    /// For this reason
    #[arg(long)]
    reason: Option<String>,
    /// Of flows that ended like this, `closed` or `revoked` for example
    #[arg(long)]
    outcome: Option<String>,
    /// Determined by this policy
    #[arg(long, value_name = "ID")]
    policy: Option<String>,
    #[command(flatten)]
    span: Span,
    /// At most so many
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Then go on with what is added, until interrupted; as JSON, an object a line
    #[arg(long, conflicts_with = "until")]
    follow: bool,
}

/// Denials, added up.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  portcullis denied --since 1h\n  portcullis denied --user alice\n  \
    portcullis denied --app payroll --reason no_grant --since 7d")]
pub(in crate::cli) struct DeniedSums {
    /// Of this user
    #[arg(long)]
    user: Option<String>,
    /// To this app
    #[arg(long)]
    app: Option<String>,
    /// From this address or prefix
    #[arg(long, value_name = "PREFIX")]
    client: Option<String>,
    /// To this address or prefix
    #[arg(long, value_name = "PREFIX")]
    destination: Option<String>,
    /// For this reason; `portcullis drops` explains each of them
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    span: Span,
    /// At most so many
    #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
}

/// Who reached what, added up.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  portcullis reached --app crm --since 30d\n  portcullis reached --user alice")]
pub(in crate::cli) struct ReachedSums {
    /// Who reached this app
    #[arg(long, required_unless_present = "user")]
    app: Option<String>,
    /// What this user reached
    #[arg(long)]
    user: Option<String>,
    #[command(flatten)]
    span: Span,
    /// At most so many
    #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
}

impl Record {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        let Self::List(list) = self;
        let most = usize::try_from(list.limit).unwrap_or(usize::MAX);
        // Before the records are asked for: what is added meanwhile comes afterwards.
        let latest = if list.follow { newest(context).await? } else { 0 };
        let found: Answer<Vec<wire::Record>> = list.call(context)?.pages_up_to(most).await?;
        if !list.follow {
            return context.output.list(&found);
        }
        let mut seen = latest;
        let Answer { shape, json } = found;
        let json = json["items"].as_array().cloned().unwrap_or_default();
        for (record, json) in shape.iter().zip(&json).rev() {
            seen = seen.max(record.sequence);
            told(context.output, record, json)?;
        }
        loop {
            tokio::time::sleep(PAUSE).await;
            // Asked first: what is added while the others are looked through comes the next time.
            let latest = newest(context).await?;
            seen = list.told_after(context, seen).await?.max(latest);
        }
    }
}

impl List {
    fn call<'c>(&self, context: &'c Context) -> Result<Call<'c>, CliError> {
        let call = context.administer(Method::GET, &["v1", "records"])?;
        let call = call.query("type", self.kind.as_deref()).query("user", self.user.as_deref());
        let call = call.query("app", self.app.as_deref()).query("session", self.session.as_deref());
        let call = call.query("client", self.client.as_deref()).query("destination", self.destination.as_deref());
        let call = call.query("port", self.port.map(|port| port.to_string()).as_deref());
        let call = call.query("reason", self.reason.as_deref()).query("outcome", self.outcome.as_deref());
        Ok(self.span.of(call.query("policy", self.policy.as_deref())))
    }

    /// Tells what was added after a number. Returns the number of the last.
    async fn told_after(&self, context: &Context, seen: u64) -> Result<u64, CliError> {
        let mut seen = seen;
        loop {
            let call = self.call(context)?.query("limit", Some("1000")).query("after", Some(&seen.to_string()));
            let page: Answer<Page<wire::Record>> = call.answer().await?;
            let json = page.json["items"].as_array().cloned().unwrap_or_default();
            for (record, json) in page.shape.items.iter().zip(&json) {
                seen = seen.max(record.sequence);
                told(context.output, record, json)?;
            }
            if page.shape.items.is_empty() || page.shape.next_cursor.is_none() {
                return Ok(seen);
            }
        }
    }
}

/// The number of the newest record; 0 if there is none.
async fn newest(context: &Context) -> Result<u64, CliError> {
    let call = context.administer(Method::GET, &["v1", "records"])?.query("limit", Some("1"));
    let page: Answer<Page<wire::Record>> = call.answer().await?;
    Ok(page.shape.items.first().map_or(0, |record| record.sequence))
}

fn told(output: Output, record: &wire::Record, json: &Value) -> Result<(), CliError> {
    Output::print(&if output.json { json.to_string() } else { table::line(record) })
}

impl DeniedSums {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        let Self { user, app, client, destination, reason, span, limit } = self;
        let call = context.administer(Method::GET, &["v1", "denied"])?;
        let call = call.query("user", user.as_deref()).query("app", app.as_deref());
        let call = call.query("client", client.as_deref()).query("destination", destination.as_deref());
        let call = span.of(call.query("reason", reason.as_deref())).query("limit", Some(&limit.to_string()));
        context.output.list(&call.items::<Denied>().await?)
    }
}

impl ReachedSums {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        let Self { app, user, span, limit } = self;
        let call = context.administer(Method::GET, &["v1", "reached"])?;
        let call = span.of(call.query("app", app.as_deref()).query("user", user.as_deref()));
        context.output.list(&call.query("limit", Some(&limit.to_string())).items::<Reached>().await?)
    }
}
