//! That the app itself does not answer, after the sentence that the gate lets the connection through.

use super::{Outage, Told};
use crate::health::FailureKind;
use time::macros::format_description;

impl Outage {
    /// What is said of a connection that is permitted, and what to do then.
    pub(super) fn added_to(&self, told: Told) -> Told {
        let (since, why) = (self.since(), self.why());
        let sentence = format!(
            "{} The gate lets it through, but the app itself has not answered since {since}: {why}.",
            told.sentence
        );
        let next_step = match &self.owner[..] {
            "" => String::from("Ask whoever runs the app; its definition names no `owner`."),
            owner => format!("Ask whoever owns the app: {owner}."),
        };
        Told { sentence, next_step, ..told }
    }

    fn since(&self) -> String {
        let form = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
        let since = self.since.to_offset(time::UtcOffset::UTC);
        since.format(form).unwrap_or_else(|_| since.to_string())
    }

    /// Where the kind says all, what the system said of it is left out.
    fn why(&self) -> String {
        use FailureKind as F;
        let words = self.failure.kind.words();
        match self.failure.kind {
            F::Refused | F::Timeout | F::Unreachable | F::Closed => words.to_owned(),
            F::Certificate | F::Tls | F::Status | F::Answer | F::Other => {
                format!("{words} ({})", self.failure.detail.trim_end_matches('.'))
            }
        }
    }
}
