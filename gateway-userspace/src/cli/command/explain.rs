//! `portcullis explain`: why somebody reaches an app or does not, and who reaches what.

use crate::cli::CliError;
use crate::cli::client::{Answer, Call};
use crate::cli::context::Context;
use crate::cli::output::plain;
use crate::cli::table::{Listed, list};
use crate::wire::{ExplainRequest, Explained, Ways};
use clap::{ArgGroup, Args};
use reqwest::Method;
use serde_json::Value;
use std::net::IpAddr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// As many entries in a page as the API gives.
const PAGE: &str = "1000";

/// What is to be explained.
#[derive(Args, Debug)]
#[command(
    group(ArgGroup::new("whom").args(["user", "session", "app"]).required(true).multiple(true)),
    after_help = "Examples:\n  \
        portcullis explain --user alice --to 10.20.0.10:443/tcp\n  \
        portcullis explain --user alice --to crm\n  \
        portcullis explain --user alice --to crm --from 10.9.0.2\n  \
        portcullis explain --session 00c0ffee00c0ffee --to 10.20.0.10/icmp\n  \
        portcullis explain --user alice --to crm --factor password --login-age 9h\n  \
        portcullis explain --user alice --to crm --at 2027-01-04T07:00:00+01:00\n  \
        portcullis explain --app crm\n  \
        portcullis explain --user alice\n\n\
        A live session is asked about at the gate itself, and nothing is changed by it. What is assumed (--zone, --country, --factor, \
        --provider, --compliant, --login-age, --at) is answered by the policies alone. Exit status: 0, permitted or not."
)]
pub(in crate::cli) struct Explain {
    /// This user; without --to: what they reach
    #[arg(long)]
    user: Option<String>,
    /// The session with this token
    #[arg(long, value_name = "TOKEN", requires = "to")]
    session: Option<String>,
    /// Who reaches this app
    #[arg(long, conflicts_with_all = ["user", "session", "to"])]
    app: Option<String>,
    /// Where to: an app, or a place like 10.20.0.10:443/tcp, 10.20.0.10/icmp, 10.20.0.10:47/ip
    #[arg(long)]
    to: Option<String>,
    /// From this address of a client; without --to: where people without a session are
    #[arg(long, value_name = "ADDRESS", conflicts_with = "session")]
    from: Option<IpAddr>,
    /// In this zone
    #[arg(long)]
    zone: Option<String>,
    #[command(flatten)]
    login: Login,
}

/// What is assumed of a login.
#[derive(Args, Debug)]
struct Login {
    /// In this country, by its two letters
    #[arg(long, value_name = "CODE", requires = "to")]
    country: Option<String>,
    /// Logged in by this: password, totp, passkey, provider, certificate, binding; may be repeated
    #[arg(long = "factor", value_name = "FACTOR", requires = "to")]
    factors: Vec<String>,
    /// An identity provider vouches for them
    #[arg(long, requires = "to")]
    provider: Option<String>,
    /// Whether their devices are compliant
    #[arg(long, value_name = "true|false", requires = "to")]
    compliant: Option<bool>,
    /// The login is so old: 9h
    #[arg(long, value_name = "AGE", requires = "to")]
    login_age: Option<String>,
    /// At this time, as of RFC 3339
    #[arg(long, value_name = "TIME", requires = "to", value_parser = moment)]
    at: Option<OffsetDateTime>,
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    let wrong = |error| format!("{error}; write one like `2027-01-04T07:00:00+01:00`");
    OffsetDateTime::parse(text, &Rfc3339).map_err(wrong)
}

impl Explain {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        let Self { user, session, app, to, from, zone, login } = self;
        let Some(to) = to else {
            let path = match (&app, &user) {
                (Some(app), _) => ["v1", "explain", "apps", app],
                (None, user) => ["v1", "explain", "users", user.as_deref().unwrap_or_default()],
            };
            let from = from.map(|from| from.to_string());
            let call = || {
                let call = context.administer(Method::GET, &path)?;
                Ok(call.query("from", from.as_deref()).query("zone", zone.as_deref()))
            };
            let ways = all(call).await?;
            return context.output.either(&ways.json, || {
                let Ways { sentence, next_step, items, next_cursor: _ } = &ways.shape;
                words(sentence, next_step, items, context.output.color)
            });
        };
        let Login { country, factors, provider, compliant, login_age, at } = login;
        let request =
            ExplainRequest { session, user, to, from, zone, country, factors, provider, compliant, login_age, at };
        let call = context.administer(Method::POST, &["v1", "explain"])?.body(&request);
        let explained: Answer<Explained> = call.answer().await?;
        context.output.either(&explained.json, || {
            let Explained { permitted: _, sentence, next_step, answers } = &explained.shape;
            words(sentence, next_step, answers, context.output.color)
        })
    }
}

/// The sentence first, then what to do, then the rest.
fn words<T: Listed>(sentence: &str, next_step: &str, items: &[T], color: bool) -> String {
    let first = format!("{}\n{}", plain(sentence), plain(next_step));
    if items.is_empty() {
        return first;
    }
    format!("{first}\n\n{}", list(items, OffsetDateTime::now_utc(), color))
}

/// All pages in one.
async fn all<'c>(call: impl Fn() -> Result<Call<'c>, CliError>) -> Result<Answer<Ways>, CliError> {
    let mut found: Answer<Ways> = call()?.query("limit", Some(PAGE)).answer().await?;
    while let Some(cursor) = found.shape.next_cursor.take() {
        let next: Answer<Ways> = call()?.query("limit", Some(PAGE)).query("cursor", Some(&cursor)).answer().await?;
        found.shape.items.extend(next.shape.items);
        found.shape.next_cursor = next.shape.next_cursor;
        if let (Some(Value::Array(items)), Value::Object(mut more)) = (found.json.get_mut("items"), next.json)
            && let Some(Value::Array(later)) = more.remove("items")
        {
            items.extend(later);
        }
    }
    if let Value::Object(members) = &mut found.json {
        members.remove("next_cursor");
    }
    Ok(found)
}
