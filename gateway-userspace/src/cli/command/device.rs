//! `portcullis login --provider`: login by device code (RFC 8628). The person confirms it in a browser, on this machine or
//! on any other one; meanwhile the gateway is asked whether they have.

use crate::cli::client::Answer;
use crate::cli::context::Context;
use crate::cli::output::plain;
use crate::cli::{CliError, sentence};
use crate::wire::{DeviceLogin, DevicePending, LoginResponse};
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;
use time::OffsetDateTime;

/// The least time between two questions, and the most.
const LEAST: u64 = 1;
const MOST: u64 = 60;
/// How often in a row there may be no answer.
const PATIENCE: u32 = 10;

/// What is to be done after a question.
enum Next {
    /// Nothing: somebody has confirmed it.
    Done(Box<LoginResponse>),
    /// To ask again after this.
    Wait(Duration),
}

/// Logs in at a provider; the answer of a login.
pub(super) async fn login(context: &Context, provider: &str) -> Result<Answer<LoginResponse>, CliError> {
    let begin = context.client.call(Method::POST, &["v1", "login", "device", provider]);
    let begun: DeviceLogin = begin.answer().await?.shape;
    // On the standard error: the answer on the standard output is that of any login.
    eprintln!("{}", invitation(&begun, OffsetDateTime::now_utc()));
    let (mut wait, mut failures) = (pause(begun.interval_s), 0);
    // The gateway says when it is over: its clock counts, not that of this machine.
    loop {
        tokio::time::sleep(wait).await;
        let question = DevicePending { id: begun.id.clone(), retry_in_s: None };
        let asked = context.client.call(Method::POST, &["v1", "login", "device"]).body(&question);
        match asked.answer::<Value>().await {
            Ok(Answer { json, .. }) => match next(&json, begun.interval_s).map_err(|error| unread(context, &error))? {
                Next::Done(shape) => return Ok(Answer { shape: *shape, json }),
                Next::Wait(longer) => (wait, failures) = (longer, 0),
            },
            // The provider is away, or the gateway for a moment: the login goes on when they are back.
            Err(error) if failures < PATIENCE && is_passing(&error) => {
                failures += 1;
                eprintln!("{error}; trying again");
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_passing(error: &CliError) -> bool {
    error.has_status(503) || matches!(error, CliError::Unreachable { .. })
}

fn unread(context: &Context, error: &serde_json::Error) -> CliError {
    CliError::Answer { url: context.client.url.to_string(), problem: error.to_string() }
}

fn next(answer: &Value, interval: u64) -> Result<Next, serde_json::Error> {
    if answer.get("session").is_some() {
        return serde_json::from_value(answer.clone()).map(|login| Next::Done(Box::new(login)));
    }
    let pending: DevicePending = serde_json::from_value(answer.clone())?;
    Ok(Next::Wait(pause(pending.retry_in_s.unwrap_or(interval))))
}

fn pause(seconds: u64) -> Duration {
    Duration::from_secs(seconds.clamp(LEAST, MOST))
}

/// What the person does now.
fn invitation(login: &DeviceLogin, now: OffsetDateTime) -> String {
    let DeviceLogin { user_code, verification_uri, verification_uri_complete, expires_at, .. } = login;
    let (address, what) = match verification_uri_complete {
        Some(complete) => (complete, "see that it shows the code"),
        None => (verification_uri, "enter the code"),
    };
    let end = sentence::until(*expires_at, now);
    let (address, code) = (plain(address), plain(user_code));
    format!(
        "Open this address in a browser, on this machine or another one, and {what} {code}:\n\n    {address}\n\n\
         Waiting for that until {end}."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    fn login(complete: Option<&str>) -> DeviceLogin {
        DeviceLogin {
            id: "the id".into(),
            user_code: "ABCD-\u{1b}EFGH".into(),
            verification_uri: "https://id.example.org/device".into(),
            verification_uri_complete: complete.map(Into::into),
            interval_s: 5,
            expires_at: datetime!(2026-11-26 12:05 UTC),
        }
    }

    #[test]
    fn people_are_told_where_and_what_and_until_when_and_not_the_id() {
        let now = datetime!(2026-11-26 12:00 UTC);
        let text = invitation(&login(None), now);
        assert!(
            text.contains("enter the code ABCD-\u{fffd}EFGH") && text.contains("\n    https://id.example.org/device\n")
        );
        assert!(text.contains("in 5 min") && !text.contains("the id"), "{text}");
        let text = invitation(&login(Some("https://id.example.org/device?c=ABCD")), now);
        assert!(text.contains("shows the code") && text.contains("device?c=ABCD"), "{text}");
    }

    #[test]
    fn it_is_asked_again_when_the_gateway_says_but_neither_at_once_nor_next_year() {
        for (answer, expected) in [
            (json!({ "id": "x", "retry_in_s": 7 }), 7),
            (json!({ "id": "x" }), 5),
            (json!({ "id": "x", "retry_in_s": 0 }), LEAST),
            (json!({ "id": "x", "retry_in_s": 4_000_000_000_u64 }), MOST),
        ] {
            let Ok(Next::Wait(wait)) = next(&answer, 5) else { panic!("{answer}") };
            assert_eq!(wait.as_secs(), expected, "{answer}");
        }
        assert!(next(&json!({ "session": {} }), 5).is_err() && next(&json!([]), 5).is_err());
    }
}
