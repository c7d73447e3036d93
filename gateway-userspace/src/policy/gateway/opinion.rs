//! What policy says about somebody and an app, why, and what would have to be different.
//!
//! Asking changes nothing. What is missing is found by trying: the same person with a fresh login, a second factor, a
//! compliant device, or in a group that policies name.

use super::Gateway;
use super::rehearse::Assumed;
use crate::policy::cedar::{Faults, Judged, Subject};
use crate::policy::change::Refusal;
use crate::policy::model::{
    App, AppName, Assurance, Country, Factor, Factors, GroupName, Moment, Proof, ProviderName, Session, Standing,
    Timestamp, User, UserName,
};
use arcstr::ArcStr;
use gateway_common::KernelNanos;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Somebody, as policies would know them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stance {
    /// Who.
    pub user: UserName,
    /// How they proved who they are.
    pub factors: Factors,
    /// What their provider vouches for.
    pub assurance: Arc<Assurance>,
    /// How long ago; `None` if nobody knows.
    pub age: Option<Duration>,
    /// Whether their devices are compliant; `None` for what is known of them.
    pub compliant: Option<bool>,
    /// Where they come from.
    pub source: IpAddr,
    /// Name of the zone they are in.
    pub zone: ArcStr,
    /// The country they are in.
    pub country: Country,
    /// When they want in; `None` for now.
    pub at: Option<Timestamp>,
}

/// Why somebody may, or may not, reach an app.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Ruling {
    /// Policies permit it.
    Permitted,
    /// No policy permits it.
    NoPolicy,
    /// A policy forbids it.
    Forbidden,
    /// Policies permit it to a more recent login.
    LoginTooOld,
    /// Policies permit it to a recent login, and nobody knows when this one was.
    LoginUndated,
    /// A policy could not be evaluated.
    Fault,
    /// The app is switched off.
    AppDisabled,
    /// Nobody should touch the app.
    TripWire,
    /// The user is disabled.
    UserDisabled,
    /// The user's provider says that they have no access.
    UserSuspended,
}

/// What policies would have to see as well.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Missing {
    /// A login right now.
    FreshLogin,
    /// A login right now, with a second factor.
    SecondFactor,
    /// Devices that are compliant.
    CompliantDevice,
}

/// What policy says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opinion {
    /// The outcome.
    pub ruling: Ruling,
    /// The policies that determined it, by name.
    pub policies: Vec<String>,
    /// Whether one of those that forbid it wants the client to be told at once.
    pub rejects: bool,
    /// How old the login is; `None` if nobody knows.
    pub age: Option<Duration>,
    /// How old it may be, where policies permit it to recent logins.
    pub most: Option<Duration>,
    /// Policies that could not be evaluated, and why.
    pub faults: Faults,
    /// What is enough for being permitted, as little of it as possible; nothing, if nothing of that kind is.
    pub missing: Vec<Missing>,
    /// Groups of which each member is permitted, if nothing else is known to help. Some of them.
    pub groups: Vec<GroupName>,
}

impl Ruling {
    /// The word in answers.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::NoPolicy => "no_policy",
            Self::Forbidden => "forbidden",
            Self::LoginTooOld => "login_too_old",
            Self::LoginUndated => "login_undated",
            Self::Fault => "policy_fault",
            Self::AppDisabled => "app_disabled",
            Self::TripWire => "trip_wire",
            Self::UserDisabled => "user_disabled",
            Self::UserSuspended => "user_suspended",
        }
    }
}

impl Missing {
    /// What is tried, little before much. A second factor comes with a login.
    const TRIED: [&'static [Self]; 5] = [
        &[Self::FreshLogin],
        &[Self::SecondFactor],
        &[Self::CompliantDevice],
        &[Self::FreshLogin, Self::CompliantDevice],
        &[Self::SecondFactor, Self::CompliantDevice],
    ];

    /// The word in answers.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::FreshLogin => "fresh_login",
            Self::SecondFactor => "second_factor",
            Self::CompliantDevice => "compliant_device",
        }
    }
}

impl Stance {
    /// Somebody as they are logged in, at a time.
    #[must_use]
    pub fn of(session: &Session, at: KernelNanos) -> Self {
        let is_dated = session.authenticated_at != Proof::UNDATED;
        Self {
            user: session.user.clone(),
            factors: session.factors,
            assurance: Arc::clone(&session.assurance),
            age: is_dated.then(|| Duration::from_nanos(at.since(session.authenticated_at))),
            compliant: None,
            source: session.source.address,
            zone: session.source.zone_name.clone(),
            country: session.source.country,
            at: None,
        }
    }

    /// Somebody who logs in right now, by two factors.
    #[must_use]
    pub fn assumed(user: UserName, provider: Option<ProviderName>, assumed: &Assumed) -> Self {
        Self {
            user,
            factors: Factors::from([Factor::Password, Factor::Totp]),
            assurance: Arc::new(Assurance { provider, mfa: true, ..Assurance::default() }),
            age: Some(Duration::ZERO),
            compliant: None,
            source: assumed.source.to_canonical(),
            zone: assumed.zone.clone(),
            country: Country::UNKNOWN,
            at: None,
        }
    }

    /// The one place where policies are told what is asked about.
    pub(super) fn subject(&self, user: &User, now: &Arc<Moment>) -> Subject {
        let Standing { groups, compliant, kind, attributes, risk } = user.standing();
        Subject {
            user: user.name.clone(),
            groups: groups.clone(),
            factors: self.factors,
            assurance: Arc::clone(&self.assurance),
            dated: self.age.is_some(),
            compliant: self.compliant.unwrap_or(compliant),
            kind,
            attributes: attributes.clone(),
            risk,
            source: self.source,
            zone: self.zone.clone(),
            country: self.country,
            moment: Arc::clone(now),
        }
    }

    fn with(&self, more: &[Missing]) -> Self {
        more.iter().fold(self.clone(), |stance, more| match more {
            Missing::FreshLogin => Self { age: Some(Duration::ZERO), ..stance },
            Missing::SecondFactor => {
                let assurance = Arc::new(Assurance { mfa: true, ..(*stance.assurance).clone() });
                let local = assurance.provider.is_none().then_some(Factor::Totp);
                let factors = stance.factors.iter().chain(local).collect();
                Self { age: Some(Duration::ZERO), assurance, factors, ..stance }
            }
            Missing::CompliantDevice => Self { compliant: Some(true), ..stance },
        })
    }
}

impl Opinion {
    /// Whether policies permit it.
    #[must_use]
    pub fn permits(&self) -> bool {
        self.ruling == Ruling::Permitted
    }

    /// Whether they would permit it after a login.
    #[must_use]
    pub fn permits_after_login(&self) -> bool {
        let is_login = |missing: &Missing| *missing != Missing::CompliantDevice;
        self.permits() || (!self.missing.is_empty() && self.missing.iter().all(is_login))
    }

    fn of(ruling: Ruling) -> Self {
        Self {
            ruling,
            policies: Vec::new(),
            rejects: false,
            age: None,
            most: None,
            faults: Faults::new(),
            missing: Vec::new(),
            groups: Vec::new(),
        }
    }
}

impl Gateway {
    /// Most groups that are tried for somebody whom no policy permits.
    const MOST_TRIED: usize = 16;

    /// What policy says of somebody and an app.
    ///
    /// # Errors
    /// If the user or the app is not defined.
    pub fn opinion(&self, stance: &Stance, app: &AppName) -> Result<Opinion, Refusal> {
        let user = self.users.get(&stance.user).ok_or_else(|| Refusal::UnknownUser(stance.user.clone()))?;
        let app = self.apps.get(app).ok_or_else(|| Refusal::UnknownApp(app.clone()))?;
        Ok(self.opinion_of(stance, user, app))
    }

    pub(super) fn opinion_of(&self, stance: &Stance, user: &User, app: &App) -> Opinion {
        let opinion = self.first_opinion(stance, user, app);
        let is_open =
            matches!(opinion.ruling, Ruling::NoPolicy | Ruling::Forbidden | Ruling::LoginTooOld | Ruling::LoginUndated);
        if !is_open {
            return opinion;
        }
        let helps = |more: &&[Missing]| {
            let stronger = stance.with(more);
            stronger != *stance && self.first_opinion(&stronger, user, app).permits()
        };
        let missing = Missing::TRIED.into_iter().find(helps).unwrap_or_default().to_vec();
        let groups = match opinion.ruling {
            Ruling::NoPolicy if missing.is_empty() => self.groups_that_help(stance, user, app),
            _ => Vec::new(),
        };
        Opinion { missing, groups, ..opinion }
    }

    fn groups_that_help(&self, stance: &Stance, user: &User, app: &App) -> Vec<GroupName> {
        let others = self.groups.iter().filter(|group| !user.groups.contains(*group) && self.policies_name(group));
        let helps = |group: &&GroupName| {
            let groups = user.groups.iter().chain([*group]).cloned().collect();
            self.first_opinion(stance, &User { groups, ..user.clone() }, app).permits()
        };
        others.take(Self::MOST_TRIED).filter(helps).cloned().collect()
    }

    /// Without a look at what is missing.
    fn first_opinion(&self, stance: &Stance, user: &User, app: &App) -> Opinion {
        if !user.enabled {
            return Opinion::of(Ruling::UserDisabled);
        }
        if user.suspended {
            return Opinion::of(Ruling::UserSuspended);
        }
        if !app.enabled {
            return Opinion::of(Ruling::AppDisabled);
        }
        if app.trip_wire {
            return Opinion::of(Ruling::TripWire);
        }
        let now = stance
            .at
            .map_or_else(|| Arc::clone(&self.clock.now), |at| Arc::new(Moment::new(at, &self.settings.timezone)));
        let subject = stance.subject(user, &now);
        let Judged { decision, faults } = self.policy.decide(&subject, app);
        let most = decision.max_authentication_age.map(Duration::from_nanos);
        let is_old = stance.age.zip(most).is_some_and(|(age, most)| age > most);
        let is_undated =
            || !subject.dated && self.policy.decide(&Subject { dated: true, ..subject }, app).decision.permit;
        let ruling = match decision.permit {
            true if is_old => Ruling::LoginTooOld,
            true => Ruling::Permitted,
            false if !faults.is_empty() => Ruling::Fault,
            false if decision.policies.is_empty() => Ruling::NoPolicy,
            false if is_undated() => Ruling::LoginUndated,
            false => Ruling::Forbidden,
        };
        Opinion {
            policies: decision.policies,
            rejects: decision.reject,
            age: stance.age,
            most,
            faults,
            ..Opinion::of(ruling)
        }
    }
}
