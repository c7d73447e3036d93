//! `portcullis report`: what an auditor asks for, as a page that stands for itself.

use super::since::{Period, Span};
use crate::cli::CliError;
use crate::cli::client::{Answer, Call};
use crate::cli::context::Context;
use crate::cli::report::{Figures, Gathered, page};
use crate::cli::samples::Samples;
use crate::wire::{AuditHead, Digest, ReachMap, Reached, Record, Status};
use clap::Args;
use reqwest::Method;
use serde_json::json;
use std::path::PathBuf;
use time::{Duration, OffsetDateTime};

/// What a report is about, if nothing is said.
const USUAL: Duration = Duration::days(30);
/// As many sums as the gateway keeps apart.
const MOST_SUMS: usize = 100_000;
/// The token lacks a scope.
const FORBIDDEN: u16 = 403;
/// There is more to add up than the gateway takes the time for.
const TOO_MUCH: u16 = 422;
const RECENT_ENDS: usize = 30;
const RECENT_CHANGES: usize = 100;

/// A report on a period.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  portcullis report --output october.html --since 2026-10-01T00:00:00Z --until 2026-11-01T00:00:00Z\n  \
    portcullis report --since 90d --output report.html\n  portcullis report --json\n\n\
    Without --since it begins 30 days before its end. The API token needs the scopes `read`, `audit:read` and `metrics:read`; what the \
    last two are needed for is left out without them, and the report says so."
)]
pub(in crate::cli) struct Report {
    #[command(flatten)]
    span: Span,
    /// Write the page to this file, instead of the standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Report {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        let made_at = OffsetDateTime::now_utc();
        let period = self.span.resolved(USUAL, made_at)?;
        let figures = Figures::of(gathered(context, period, made_at).await?);
        let text = if context.output.json { format!("{:#}\n", json!(figures)) } else { page(&figures)? };
        context.output.deliver(&text, self.output.as_deref())
    }
}

/// One question after the other: others search, too.
async fn gathered(context: &Context, period: Period, made_at: OffsetDateTime) -> Result<Gathered, CliError> {
    let get = |path: &[&str]| context.administer(Method::GET, path);
    let status: Answer<Status> = get(&["v1", "status"])?.answer().await?;
    let digest: Answer<Digest> = period.of(get(&["v1", "digest"])?).answer().await?;
    let reached = sums(period.of(get(&["v1", "reached"])?)).await?;
    let before = Period { since: OffsetDateTime::UNIX_EPOCH, until: period.since };
    // All that there ever was: it may be too much to add up, of whatever period the report is.
    let before = known(sums(before.of(get(&["v1", "reached"])?)).await, TOO_MUCH)?;
    let reach: Answer<ReachMap> = get(&["v1", "reach"])?.answer().await?;
    let latest = async |kind, most| {
        let call = period.of(get(&["v1", "records"])?).query("type", Some(kind));
        Ok::<Vec<Record>, CliError>(call.pages_up_to(most).await?.shape)
    };
    let head = known(get(&["v1", "audit", "head"])?.answer::<AuditHead>().await, FORBIDDEN)?;
    let samples = known(get(&["metrics"])?.text().await, FORBIDDEN)?;
    Ok(Gathered {
        period,
        made_at,
        status: status.shape,
        digest: digest.shape,
        reached,
        before,
        reach: reach.shape,
        ends: latest("session_end", RECENT_ENDS).await?,
        changes: latest("admin", RECENT_CHANGES).await?,
        head: head.map(|head| head.shape),
        samples: samples.map(|text| Samples::parse(&text)),
    })
}

async fn sums(call: Call<'_>) -> Result<Vec<Reached>, CliError> {
    Ok(call.query("limit", Some(&MOST_SUMS.to_string())).items().await?.shape)
}

/// What is refused with this status is not known, and why is said; everything else that fails, fails.
fn known<T>(answer: Result<T, CliError>, refusal: u16) -> Result<Result<T, String>, CliError> {
    match answer {
        Ok(known) => Ok(Ok(known)),
        Err(error) if error.has_status(refusal) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Problem;

    #[test]
    fn what_is_too_much_to_add_up_is_not_known_and_nothing_else_is_tolerated_there() {
        let refused = |status| -> Result<(), CliError> {
            let problem = Problem {
                kind: "urn:portcullis:problem:too-much".into(),
                title: "too much to answer".into(),
                status,
                detail: Some("adding up took longer than 5 s".into()),
                instance: None,
                errors: Vec::new(),
            };
            Err(CliError::Refused { problem: Box::new(problem), file: None })
        };
        assert_eq!(
            known(refused(422), TOO_MUCH).unwrap(),
            Err("too much to answer: adding up took longer than 5 s".to_owned())
        );
        assert_eq!(known(Ok(7), TOO_MUCH).unwrap(), Ok(7));
        for (status, tolerated) in [(403, TOO_MUCH), (503, TOO_MUCH), (422, FORBIDDEN)] {
            assert!(known(refused(status), tolerated).is_err(), "{status}");
        }
    }
}
