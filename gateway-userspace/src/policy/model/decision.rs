//! What policies say to a subject about apps.

use super::AppName;
use std::collections::BTreeMap;
use std::ops::Deref;

/// What policy said about an app, and which policies determined it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Decision {
    /// Permit, or deny.
    pub permit: bool,
    /// The policies that determined it, by name. Empty for a denial by default.
    pub policies: Vec<String>,
    /// For a permit: how old the full authentication may be, in nanoseconds. `None` if that does not matter.
    pub max_authentication_age: Option<u64>,
    /// For a denial: whether a policy that determined it wants the client to be told at once, wherever it is.
    pub reject: bool,
    /// What the access log says of what follows from it.
    pub log: Logging,
}

/// Whether lines are written about connections that a permit has determined, or about denials that a forbid has. Where
/// several policies have, the greatest counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Logging {
    /// None.
    Off,
    /// Lines like others.
    #[default]
    On,
    /// Lines that say that somebody should look at them.
    Alert,
}

/// What policies say to a subject. As a map it holds the apps that the subject may reach, with the decisions, and no
/// others: nobody takes a denial for a permit. Shared by sessions with equal facts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Permitted {
    apps: BTreeMap<AppName, Decision>,
    /// INVARIANT: no permits.
    denied: BTreeMap<AppName, Decision>,
}

impl Decision {
    /// Whether it holds for an authentication of this age, in nanoseconds.
    #[must_use]
    pub fn admits(&self, age: u64) -> bool {
        self.max_authentication_age.is_none_or(|most| age <= most)
    }
}

impl Logging {
    /// Each of them, as policies write them.
    pub const ALL: [Self; 3] = [Self::On, Self::Off, Self::Alert];

    /// The word in policies.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Alert => "alert",
        }
    }
}

impl Permitted {
    /// The denials that policies determined, of apps that a permit could have been about or whose denial is to be told or
    /// recorded otherwise than others. About an app of which nothing is known here the subject is denied by default.
    #[must_use]
    pub fn denied(&self) -> &BTreeMap<AppName, Decision> {
        &self.denied
    }

    /// The apps of which whoever is denied is told so at once.
    pub fn rejected(&self) -> impl Iterator<Item = &AppName> {
        self.denied.iter().filter(|(_, decision)| decision.reject).map(|(app, _)| app)
    }

    /// What was decided about an app, if it was a policy that did.
    #[must_use]
    pub fn decision(&self, app: &AppName) -> Option<&Decision> {
        self.apps.get(app).or_else(|| self.denied.get(app))
    }
}

impl Deref for Permitted {
    type Target = BTreeMap<AppName, Decision>;

    fn deref(&self) -> &Self::Target {
        &self.apps
    }
}

impl FromIterator<(AppName, Decision)> for Permitted {
    fn from_iter<I: IntoIterator<Item = (AppName, Decision)>>(decisions: I) -> Self {
        let (apps, denied) = decisions.into_iter().partition(|(_, decision)| decision.permit);
        Self { apps, denied }
    }
}
