//! What policies see of the time: the part of the clock that some policy looks at, and which of them have expired.

use super::{PolicyFile, PolicySet, PolicyWarning, Rule, place, spot};
use crate::policy::model::{Grain, Moment, Span};
use jiff::civil::{Date, DateTime, Weekday};
use jiff::{SignedDuration, Timestamp};

/// The last day, or the moment, until which a policy is in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expiry {
    /// All of this day, in the time zone of the policies.
    LastDay(Date),
    /// Until before this moment.
    At(Timestamp),
}

/// A moment, as far as policies can tell it from others.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::policy) struct SeenTime {
    /// What the clock shows, without what nobody looks at.
    local: Option<DateTime>,
    /// How many policies have expired: they do so in one order.
    expired: usize,
}

/// When policies expire, in order.
#[derive(Clone, Default)]
pub(super) struct Expiries {
    last_days: Vec<Date>,
    moments: Vec<Timestamp>,
}

impl Expiry {
    /// `2026-12-31`, or a moment like `2026-12-31T18:00:00+01:00`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_date = text.len() == 10;
        let day = is_date.then(|| text.parse().ok().map(Self::LastDay)).flatten();
        // A moment has an offset, or it is none.
        day.or_else(|| (!is_date).then(|| text.parse().ok().map(Self::At)).flatten())
    }

    pub(super) fn is_over(self, moment: &Moment) -> bool {
        match self {
            Self::LastDay(day) => day < moment.date(),
            Self::At(at) => at <= moment.at(),
        }
    }
}

impl Expiries {
    pub(super) fn of<'r>(rules: impl Iterator<Item = &'r Rule>) -> Self {
        let mut found = Self::default();
        for expiry in rules.filter_map(|rule| rule.expires) {
            match expiry {
                Expiry::LastDay(day) => found.last_days.push(day),
                Expiry::At(at) => found.moments.push(at),
            }
        }
        found.last_days.sort_unstable();
        found.moments.sort_unstable();
        found
    }

    fn expired(&self, moment: &Moment) -> usize {
        let days = self.last_days.partition_point(|day| *day < moment.date());
        days.saturating_add(self.moments.partition_point(|at| *at <= moment.at()))
    }

    /// Since when, and until when, the same policies have expired; or for less.
    fn span(&self, moment: &Moment) -> Span {
        let gone = self.moments.partition_point(|at| *at <= moment.at());
        let before = gone.checked_sub(1).and_then(|last| self.moments.get(last));
        let Span { since, until } = Span::ALWAYS;
        let span =
            Span { since: before.copied().unwrap_or(since), until: self.moments.get(gone).copied().unwrap_or(until) };
        // At midnight it is looked again.
        if self.last_days.is_empty() { span } else { span.within(moment.span(Grain::Day)) }
    }
}

impl PolicySet {
    /// What the policies can see of a moment.
    pub(in crate::policy) fn seen_time(&self, moment: &Moment) -> Option<SeenTime> {
        let Expiries { last_days, moments } = &self.expiries;
        if self.sight.time.is_none() && last_days.is_empty() && moments.is_empty() {
            return None;
        }
        let local = self.sight.time.map(|grain| shown(moment, grain));
        Some(SeenTime { local, expired: self.expiries.expired(moment) })
    }

    /// Since when, and until when, policies see the same time; or for less.
    pub(in crate::policy) fn span(&self, moment: &Moment) -> Span {
        let looked_at = self.sight.time.map_or(Span::ALWAYS, |grain| moment.span(grain));
        looked_at.within(self.expiries.span(moment))
    }

    /// Policies that have expired, or are about to.
    #[must_use]
    pub fn expiring(&self, moment: &Moment) -> Vec<PolicyWarning> {
        self.rules.iter().filter_map(|rule| self.expiring_rule(rule, moment)).collect()
    }

    fn expiring_rule(&self, rule: &Rule, moment: &Moment) -> Option<PolicyWarning> {
        let expiry = rule.expires?;
        let soon = Moment::new(moment.at().saturating_add(Self::SOON).ok()?, moment.zone());
        let message = match (expiry.is_over(moment), expiry.is_over(&soon)) {
            (true, _) => "the policy has expired and is not in force",
            (false, true) => "the policy expires within 14 days",
            (false, false) => return None,
        };
        let file: &PolicyFile = self.files.get(rule.file)?;
        let hint = Some(String::from("give it a later `@expires`, or remove it"));
        let at = spot(&file.text, &rule.span, "expires");
        Some(place::at(file, at, Some(rule.name.clone()), String::from(message), hint))
    }

    /// How long before a policy expires there is a warning.
    const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
}

/// What a clock shows to somebody who looks no more closely.
fn shown(moment: &Moment, grain: Grain) -> DateTime {
    let (date, time) = (moment.date(), moment.local().time());
    match grain {
        Grain::Day => date.at(0, 0, 0, 0),
        Grain::Hour => date.at(time.hour(), 0, 0, 0),
        Grain::Minute => date.at(time.hour(), time.minute(), 0, 0),
    }
}

/// The name by which policies know a day of the week.
pub(super) const fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "monday",
        Weekday::Tuesday => "tuesday",
        Weekday::Wednesday => "wednesday",
        Weekday::Thursday => "thursday",
        Weekday::Friday => "friday",
        Weekday::Saturday => "saturday",
        Weekday::Sunday => "sunday",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::model::Timezone;

    const PERMIT: &str = "permit (principal, action, resource)";

    fn berlin(at: &str) -> Moment {
        Moment::new(at.parse().unwrap(), &Timezone::new("Europe/Berlin").unwrap())
    }

    #[test]
    fn a_policy_that_does_not_look_at_the_clock_sees_one_time_for_ever() {
        let set = PolicySet::parse(&format!("{PERMIT} when {{ context.mfa }};")).unwrap();
        assert_eq!(
            (set.seen_time(&berlin("2026-03-10T10:37:00Z")), set.span(&Moment::default())),
            (None, Span::ALWAYS)
        );
    }

    #[test]
    fn what_is_seen_changes_at_the_end_of_the_span_and_not_before() {
        for (condition, until) in [
            (r#"context.time.weekday == "monday""#, "2026-03-10T23:00:00Z"),
            ("context.time.hour < 18 && context.time.hour >= 8", "2026-03-10T11:00:00Z"),
            ("context.time.minute == 0", "2026-03-10T10:38:00Z"),
        ] {
            let set = PolicySet::parse(&format!("{PERMIT} when {{ {condition} }};")).unwrap();
            let now = berlin("2026-03-10T10:37:12Z");
            let span = set.span(&now);
            assert_eq!(span.until.to_string(), until, "{condition}");
            let seen = |at: Timestamp| set.seen_time(&Moment::new(at, now.zone()));
            let last = span.until.checked_sub(SignedDuration::from_nanos(1)).unwrap();
            assert_eq!((seen(span.since), seen(last)), (seen(now.at()), seen(now.at())), "{condition}");
            assert_ne!(seen(span.until), seen(now.at()), "{condition}");
        }
    }

    #[test]
    fn the_end_of_a_policy_is_the_end_of_a_day_there_or_a_moment() {
        let day = Expiry::parse("2026-12-31").unwrap();
        assert!(!day.is_over(&berlin("2026-12-31T22:59:59.9Z")) && day.is_over(&berlin("2026-12-31T23:00:00Z")));
        let moment = Expiry::parse("2026-12-31T18:00:00+01:00").unwrap();
        assert!(!moment.is_over(&berlin("2026-12-31T16:59:59.9Z")) && moment.is_over(&berlin("2026-12-31T17:00:00Z")));
        for wrong in
            ["", "tomorrow", "2026-13-01", "2026-02-30", "2026-12-31T18:00:00", "31.12.2026", "2026-12-31 ", "2026"]
        {
            assert_eq!(Expiry::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn policies_that_expire_end_a_span() {
        let text = format!(r#"@expires("2026-03-11") {PERMIT}; @expires("2026-03-11T12:00:00Z") {PERMIT};"#);
        let set = PolicySet::parse(&text).unwrap();
        let mut at: Timestamp = "2026-03-10T22:00:00Z".parse().unwrap();
        let mut ends = Vec::new();
        for _ in 0..3 {
            at = set.span(&Moment::new(at, berlin("2026-03-10T22:00:00Z").zone())).until;
            ends.push(at.to_string());
        }
        assert_eq!(ends, ["2026-03-10T23:00:00Z", "2026-03-11T12:00:00Z", "2026-03-11T23:00:00Z"]);
    }

    #[test]
    fn what_expires_soon_is_told() {
        let text = format!("@expires(\"2026-03-11\")\n{PERMIT};\n@id(\"b\") @expires(\"2026-03-25\") {PERMIT};");
        let set = PolicySet::parse(&text).unwrap();
        let told = |at: &str| set.expiring(&berlin(at)).iter().map(ToString::to_string).collect::<Vec<_>>();
        let (over, soon) = ("the policy has expired and is not in force", "the policy expires within 14 days");
        assert_eq!(told("2026-02-01T00:00:00Z"), [""; 0]);
        assert_eq!(told("2026-03-11T00:00:00Z"), [format!("1:1: {soon}")]);
        assert_eq!(told("2026-03-12T00:00:00Z"), [format!("1:1: {over}"), format!("3:10: {soon}")]);
    }
}
