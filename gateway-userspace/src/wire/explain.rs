//! Why somebody reaches an app or does not, and who reaches what.

use super::health::AppHealth;
use crate::dataplane::explain::Explanation as Seen;
use crate::explain::{Footing, Told};
use crate::policy::{self, Missing, Opinion};
use gateway_common::Verdict;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// What is asked: a session, or a user, and where to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// The name of a session; of the user, if one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// A user: their live sessions, or, if there is none, what would be after a login with two factors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where to: `10.20.0.10:443/tcp`, `10.20.0.10/icmp`, `10.20.0.10:47/ip`, or the name of an app.
    pub to: String,
    /// The address of the client. If the user is logged in there, it is about that session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub from: Option<IpAddr>,
    /// Assume this zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Assume this country, by its two letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Assume these factors: `password`, `totp`, `passkey`, `provider`, `certificate`, `binding`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub factors: Vec<String>,
    /// Assume that this identity provider vouches for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Assume that their devices are compliant, or are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compliant: Option<bool>,
    /// Assume that the login is so old: `9h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_age: Option<String>,
    /// At this time, by policies alone: they may look at the clock, and a session may be over.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<OffsetDateTime>,
}

/// Why somebody reaches an app, or does not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Explained {
    /// Whether all that was asked about is permitted.
    pub permitted: bool,
    /// For people: what is denied first, or else what is permitted first.
    pub sentence: String,
    /// What to do about it.
    pub next_step: String,
    /// For each session and each destination that was meant. At most 32.
    pub answers: Vec<Explanation>,
}

/// What becomes of a connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// Who.
    pub user: String,
    /// The session that was looked at; left out if there is none, or another login was assumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The address of the client; left out if none was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Where to.
    pub to: String,
    /// The app there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Whether it is permitted: now, or under what was assumed.
    pub permitted: bool,
    /// Whether that is about a login that was assumed.
    pub assumed: bool,
    /// Who has decided: `kernel`, or `policy` alone.
    pub decided_by: String,
    /// What the kernel does with the first packet: `forward`, `to_host` or `drop`; left out if it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Why it drops it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it was decided by: `policy`, `flow`, `short_way`, or `before` them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
    /// What policies say: `permitted`, `no_policy`, `forbidden`, `login_too_old`, `login_undated`, `policy_fault`,
    /// `app_disabled`, `trip_wire`, `user_disabled`, `user_suspended`; left out if there is no app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruling: Option<String>,
    /// The policies that determined it.
    pub policies: Vec<String>,
    /// How old the login is, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_age_s: Option<u64>,
    /// How old it may be, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_login_age_s: Option<u64>,
    /// What would be enough for being permitted: `login`, `fresh_login`, `second_factor`, `compliant_device`.
    pub missing: Vec<String>,
    /// Groups whose members are permitted, if nothing else helps.
    pub groups: Vec<String>,
    /// What the health check of the app has found; left out if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_state: Option<AppHealth>,
    /// Whether kernel and policies contradict each other.
    pub disagree: bool,
    /// For people.
    pub sentence: String,
    /// What to do about it.
    pub next_step: String,
}

/// Who reaches an app, or what somebody reaches.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Ways {
    /// How many there are, for people.
    pub sentence: String,
    /// What to do about it.
    pub next_step: String,
    /// A part of them, in the order of their names.
    pub items: Vec<Way>,
    /// Where the next page begins: pass it as `cursor`. Absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Somebody who reaches an app, or would after a login.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Way {
    /// Who.
    pub user: String,
    /// What.
    pub app: String,
    /// Their sessions that reach it now.
    pub sessions: Vec<String>,
    /// Whether they would after a login with two factors.
    pub after_login: bool,
    /// The policies that permit it.
    pub policies: Vec<String>,
    /// How old the login may be, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_login_age_s: Option<u64>,
}

impl From<&policy::Way> for Way {
    fn from(way: &policy::Way) -> Self {
        let policy::Way { user, app, sessions, after_login, policies, most } = way;
        Self {
            user: user.to_string(),
            app: app.to_string(),
            sessions: sessions.iter().map(ToString::to_string).collect(),
            after_login: *after_login,
            policies: policies.clone(),
            max_login_age_s: most.map(|most| most.as_secs()),
        }
    }
}

impl Explained {
    /// All answers; the first that denies speaks for them.
    #[must_use]
    pub fn of(answers: Vec<Explanation>) -> Self {
        let first = answers.iter().find(|answer| !answer.permitted).or_else(|| answers.first());
        let (sentence, next_step) =
            first.map_or_else(Default::default, |it| (it.sentence.clone(), it.next_step.clone()));
        Self { permitted: answers.iter().all(|answer| answer.permitted), sentence, next_step, answers }
    }
}

impl Explanation {
    /// The shape of an answer: what was said, by whom, and what the gate and the policies say.
    #[must_use]
    pub fn of(told: Told, footing: &Footing, gate: Option<&Seen>, opinion: Option<&Opinion>) -> Self {
        let Told { permitted, decider, disagree, sentence, next_step } = told;
        let mut shape = Self {
            user: String::new(),
            session: None,
            from: None,
            to: String::new(),
            app: None,
            permitted,
            assumed: matches!(footing, Footing::Assumed | Footing::Over),
            decided_by: decider.label().to_owned(),
            verdict: None,
            reason: None,
            basis: None,
            ruling: None,
            policies: Vec::new(),
            login_age_s: None,
            max_login_age_s: None,
            missing: Vec::new(),
            groups: Vec::new(),
            health_state: None,
            disagree,
            sentence,
            next_step,
        };
        gate.into_iter().for_each(|gate| shape.see(gate));
        opinion.into_iter().for_each(|opinion| shape.hear(opinion, footing));
        shape
    }

    fn see(&mut self, gate: &Seen) {
        let (verdict, reason) = match gate.verdict {
            Verdict::Forward => ("forward", None),
            Verdict::ToHost => ("to_host", None),
            Verdict::Drop(reason) => ("drop", Some(reason.label().to_owned())),
        };
        (self.verdict, self.reason) = (Some(verdict.to_owned()), reason);
        self.basis = Some(gate.basis.label().to_owned());
    }

    fn hear(&mut self, opinion: &Opinion, footing: &Footing) {
        let Opinion { ruling, policies, age, most, faults: _, missing, groups, rejects: _ } = opinion;
        let is_enough = opinion.permits() || !missing.is_empty();
        let is_absent = matches!(footing, Footing::Absent | Footing::Taken(_) | Footing::Over);
        let login = (is_absent && is_enough).then(|| String::from("login"));
        self.ruling = Some(ruling.label().to_owned());
        self.policies.clone_from(policies);
        self.login_age_s = age.filter(|_| !is_absent).map(|age| age.as_secs());
        self.max_login_age_s = most.map(|most| most.as_secs());
        self.missing = login.into_iter().chain(missing.iter().map(|it: &Missing| it.label().to_owned())).collect();
        self.groups = groups.iter().map(ToString::to_string).collect();
    }
}
