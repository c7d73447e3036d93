//! Cases are tried: what is decided, and whether that is what was expected.

use super::Loaded;
use super::case::{Case, Target};
use crate::config::written_duration;
use crate::policy::cedar::Faults;
use crate::policy::{AppName, Decision};
use crate::wire;
use std::fmt;
use std::time::Duration;

/// What came out of a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trial<'l> {
    /// The case.
    pub case: &'l Case,
    /// The app that was asked for; `None` if there is none at the address.
    pub app: Option<AppName>,
    /// Whether the packet would pass.
    pub permit: bool,
    /// What policy decided.
    pub decision: Decision,
    /// Policies that could not be evaluated, and why.
    pub faults: Faults,
    /// What was expected otherwise; empty if the case passed.
    pub mismatches: Vec<Mismatch>,
}

/// Something that was expected otherwise.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Mismatch {
    /// The other way round.
    #[error("expected {}", if *permit { "a permit" } else { "a denial" })]
    Decided {
        /// What was expected.
        permit: bool,
    },
    /// Others determined it.
    #[error("expected because of policy `{0}`")]
    Because(String),
    /// Another age of the login.
    #[error("expected a login that is not older than {}", written_duration(*.0))]
    Age(Duration),
}

impl Loaded {
    /// Tries all cases, in their order.
    #[must_use]
    pub fn trials(&self) -> Vec<Trial<'_>> {
        self.cases.iter().map(|case| self.trial(case)).collect()
    }

    fn trial<'l>(&'l self, case: &'l Case) -> Trial<'l> {
        let name = match &case.to {
            Target::App(name) => Some(name),
            Target::Address(address) => self.reach.app_at(address),
        };
        let app = name.and_then(|name| self.bundle.apps.get(name));
        let (decision, faults) = app.map_or_else(
            || (Decision::deny(Vec::new()), Faults::new()),
            |app| {
                let judged = self.bundle.policy.decide(&case.subject, app);
                (judged.decision, judged.faults)
            },
        );
        let permit = decision.permit && !is_too_old(case, &decision);
        let mismatches = mismatches(case, permit, &decision);
        Trial { case, app: name.cloned(), permit, decision, faults, mismatches }
    }
}

fn allowed(decision: &Decision) -> Option<Duration> {
    decision.max_authentication_age.map(Duration::from_nanos)
}

fn is_too_old(case: &Case, decision: &Decision) -> bool {
    allowed(decision).is_some_and(|allowed| case.login_age > allowed)
}

fn mismatches(case: &Case, permit: bool, decision: &Decision) -> Vec<Mismatch> {
    let decided = (permit != case.permit).then_some(Mismatch::Decided { permit: case.permit });
    let because = case.because.clone().filter(|name| !decision.policies.contains(name)).map(Mismatch::Because);
    let age = case.reauthenticate.filter(|age| allowed(decision) != Some(*age)).map(Mismatch::Age);
    decided.into_iter().chain(because).chain(age).collect()
}

impl Trial<'_> {
    /// Whether everything was as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.mismatches.is_empty()
    }
}

impl From<&Trial<'_>> for wire::CaseResult {
    fn from(trial: &Trial<'_>) -> Self {
        let Trial { case, app, permit, decision, faults: _, mismatches } = trial;
        Self {
            name: case.name.clone(),
            file: case.file.clone(),
            line: case.place.line,
            passed: trial.passed(),
            to: case.to.to_string(),
            app: app.as_ref().map(ToString::to_string),
            expected: case.permit,
            permitted: *permit,
            policies: decision.policies.clone(),
            why: trial.to_string(),
            mismatches: mismatches.iter().map(ToString::to_string).collect(),
        }
    }
}

/// What was decided and why, in a sentence.
impl fmt::Display for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, app, permit, decision, faults, mismatches: _ } = self;
        let policies: Vec<String> = decision.policies.iter().map(|name| format!("`{name}`")).collect();
        let policies = policies.join(", ");
        if app.is_none() {
            return write!(f, "denied: there is no app at {}", case.to);
        }
        if let Some((name, fault)) = faults.first_key_value() {
            return write!(f, "denied: policy `{name}` could not be evaluated: {fault}");
        }
        match (*permit, allowed(decision)) {
            (true, Some(age)) => {
                write!(f, "permitted by {policies}, with a login of the last {}", written_duration(age))
            }
            (true, None) => write!(f, "permitted by {policies}"),
            (false, Some(age)) if decision.permit => {
                write!(f, "denied: {policies} asks for a login of the last {}", written_duration(age))
            }
            (false, _) if policies.is_empty() => write!(f, "denied: no policy permits it"),
            (false, _) => write!(f, "denied by {policies}"),
        }
    }
}
