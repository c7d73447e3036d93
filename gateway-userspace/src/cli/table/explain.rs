//! How explanations are listed.

use super::rows::joined;
use super::{Listed, Value};
use crate::cli::sentence::span;
use crate::wire::{Explanation, Way};
use time::{Duration, OffsetDateTime};

impl Listed for Explanation {
    const HEADER: &'static [&'static str] =
        &["user", "from", "to", "app", "permitted", "reason", "ruling", "policies", "decided by"];

    fn row(&self, _: OffsetDateTime) -> Vec<Value> {
        let some = |text: &Option<String>| text.as_deref().unwrap_or("-").into();
        let permitted = match (self.permitted, self.assumed) {
            (true, false) => "yes".into(),
            (true, true) => "it would be".into(),
            (false, _) => Value::Odd("no".to_owned()),
        };
        let decided_by = if self.disagree {
            Value::Odd(format!("{}, against policy", self.decided_by))
        } else {
            (&self.decided_by).into()
        };
        vec![
            (&self.user).into(),
            some(&self.from),
            (&self.to).into(),
            some(&self.app),
            permitted,
            some(&self.reason),
            some(&self.ruling),
            joined(&self.policies).into(),
            decided_by,
        ]
    }
}

impl Listed for Way {
    const HEADER: &'static [&'static str] = &["user", "app", "now", "after login", "policies", "login"];

    fn row(&self, _: OffsetDateTime) -> Vec<Value> {
        let Self { user, app, sessions, after_login, policies, max_login_age_s } = self;
        let yes = |is: bool| if is { "yes" } else { "no" };
        let seconds = |age: u64| Duration::seconds(i64::try_from(age).unwrap_or(i64::MAX));
        let age = max_login_age_s.map_or_else(|| "any".to_owned(), |age| format!("at most {} old", span(seconds(age))));
        let policies = joined(policies).into();
        vec![user.into(), app.into(), yes(!sessions.is_empty()).into(), yes(*after_login).into(), policies, age.into()]
    }
}
