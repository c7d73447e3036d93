//! When: how long ago, or a time.

use crate::cli::CliError;
use crate::cli::client::Call;
use crate::cli::sentence::moment;
use crate::config::parse_duration;
use clap::Args;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment, as it was typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) enum Since {
    /// So long ago.
    Ago(Duration),
    /// Then.
    At(OffsetDateTime),
}

/// Reads `30d`, `2h`, `15m` or `2026-03-02T08:00:00Z`.
pub(in crate::cli) fn since(text: &str) -> Result<Since, String> {
    if let Some(ago) = parse_duration(text) {
        return Ok(Since::Ago(ago));
    }
    let at = OffsetDateTime::parse(text, &Rfc3339);
    at.map(Since::At).map_err(|_| {
        "write how long ago, like `30d`, `2h` or `15m`, or a time in RFC 3339, like `2026-03-02T08:00:00Z`".to_owned()
    })
}

/// From when to when.
#[derive(Args, Debug)]
pub(in crate::cli) struct Span {
    /// Not before: how long ago, like `30d` or `2h`, or a time in RFC 3339
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Since>,
    /// Before that, written alike
    #[arg(long, value_name = "WHEN", value_parser = since)]
    until: Option<Since>,
}

impl Span {
    /// Asks for that.
    pub(super) fn of<'c>(&self, call: Call<'c>) -> Call<'c> {
        let now = OffsetDateTime::now_utc();
        let text = |when: &Option<Since>| when.as_ref().map(|when| when.text(now));
        call.query("since", text(&self.since).as_deref()).query("until", text(&self.until).as_deref())
    }
}

impl Span {
    /// From when to when, where nothing was said for so long until now.
    pub(super) fn resolved(&self, usual: time::Duration, now: OffsetDateTime) -> Result<Period, CliError> {
        let until = self.until.as_ref().map_or(now, |until| until.at(now));
        let usual = || until.checked_sub(usual).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let since = self.since.as_ref().map_or_else(usual, |since| since.at(now));
        if since >= until {
            let [since, until] = [since, until].map(moment);
            return Err(CliError::EmptyPeriod { since, until });
        }
        Ok(Period { since, until })
    }
}

/// From one moment to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) struct Period {
    /// From then.
    pub(in crate::cli) since: OffsetDateTime,
    /// Until before then.
    pub(in crate::cli) until: OffsetDateTime,
}

impl Period {
    /// Asks for that.
    pub(super) fn of<'c>(&self, call: Call<'c>) -> Call<'c> {
        call.query("since", Some(&rfc3339(self.since))).query("until", Some(&rfc3339(self.until)))
    }
}

/// As the API takes it.
pub(super) fn rfc3339(at: OffsetDateTime) -> String {
    let text = at.to_offset(time::UtcOffset::UTC).format(&Rfc3339);
    text.unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}

impl Since {
    /// As the API takes it.
    pub(in crate::cli) fn text(&self, now: OffsetDateTime) -> String {
        rfc3339(self.at(now))
    }

    fn at(&self, now: OffsetDateTime) -> OffsetDateTime {
        match self {
            // Longer ago than there is a date for is from the beginning.
            Self::Ago(ago) => time::Duration::try_from(*ago)
                .ok()
                .and_then(|ago| now.checked_sub(ago))
                .filter(|at| *at >= OffsetDateTime::UNIX_EPOCH)
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
            Self::At(at) => *at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago_and_times_are_read_and_nothing_else_is() {
        let now = OffsetDateTime::from_unix_timestamp(1_795_255_200).unwrap();
        let cases = [
            ("30d", "2026-10-22T10:00:00Z"),
            ("2h", "2026-11-21T08:00:00Z"),
            ("2026-03-02T09:00:00+01:00", "2026-03-02T08:00:00Z"),
            ("99999999d", "1970-01-01T00:00:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(since(text).unwrap().text(now), expected, "{text}");
        }
        for wrong in ["", "yesterday", "2026-03-02", "-1h", "1.5h", "30"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
