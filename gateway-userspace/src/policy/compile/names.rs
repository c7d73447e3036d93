//! Where apps are that have names: what the DNS says, as far as it may say that.
//!
//! Whoever answers for a name may not take traffic from another app thereby. An address of a name is refused where no app
//! can be, outside of what the app says that its names are within, where a narrower prefix of another app is declared for
//! the same service, and where a name of another app leads, too. What is refused follows from all answers together, not
//! from their order.

use super::check::is_routed;
use super::flatten::protocol_number;
use crate::policy::model::{Answers, App, AppName, DnsName, Service};
use ipnet::IpNet;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Why an address of a name is no app's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum AddressRefusal {
    /// No app can be there.
    #[error("no app can be there: it does not lie in routed unicast space")]
    NotRoutable,
    /// The app says where its names lead.
    #[error("it is not `within` what the app declares")]
    Outside,
    /// Another app is declared there.
    #[error(
        "app `{0}` is declared there by its prefix, for the same service; say `within` which prefix the names lead to, \
         if this one is meant"
    )]
    Declared(AppName),
    /// A name of another app leads there, too.
    #[error(
        "a name of app `{0}` leads there for the same service, and packets do not tell the two apart; make them one app, \
         or give them different addresses"
    )]
    Contested(AppName),
}

impl AddressRefusal {
    /// All labels.
    pub const LABELS: [&'static str; 4] = ["not_routable", "outside", "declared", "contested"];

    /// The name used in metrics and the API.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::NotRoutable => "not_routable",
            Self::Outside => "outside",
            Self::Declared(_) => "declared",
            Self::Contested(_) => "contested",
        }
    }
}

/// Apps with where their names lead, and what is refused of that.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Located<'a> {
    /// The apps. The addresses of their names are among their prefixes.
    pub apps: BTreeMap<AppName, Cow<'a, App>>,
    /// Addresses that are not.
    pub refused: BTreeMap<(AppName, DnsName, IpAddr), AddressRefusal>,
}

/// That a name of an app leads to an address.
struct Claim<'a> {
    app: &'a App,
    name: &'a DnsName,
}

/// Locates apps.
pub fn locate<'a>(apps: impl IntoIterator<Item = &'a App>, answers: &Answers) -> Located<'a> {
    let apps: Vec<&App> = apps.into_iter().collect();
    let mut located = Located::default();
    let mut claims: BTreeMap<IpAddr, Vec<Claim<'a>>> = BTreeMap::new();
    for app in &apps {
        for name in &app.names {
            for address in answers.get(name).into_iter().flatten() {
                claims.entry(*address).or_default().push(Claim { app, name });
            }
        }
    }
    let mut places: BTreeMap<&AppName, BTreeSet<IpNet>> = BTreeMap::new();
    let declared = declared_at(&apps, &claims);
    for (address, claims) in &claims {
        let others: &[(IpNet, &App)] = declared.get(address).map_or(&[], Vec::as_slice);
        let (possible, refused): (Vec<_>, Vec<_>) = claims
            .iter()
            .map(|claim| (claim, refusal(claim.app, address, others)))
            .partition(|(_, refusal)| refusal.is_none());
        located.refused.extend(refused.into_iter().filter_map(|(claim, refusal)| Some((claim.to(address), refusal?))));
        for (claim, _) in &possible {
            let other = possible.iter().map(|(other, _)| other.app).find(|other| compete(claim.app, other, address));
            match other {
                Some(other) => {
                    located.refused.insert(claim.to(address), AddressRefusal::Contested(other.name.clone()));
                }
                None => drop(places.entry(&claim.app.name).or_default().insert(IpNet::from(*address))),
            }
        }
    }
    for app in apps {
        let there = match places.remove(&app.name) {
            Some(more) => Cow::Owned(App { prefixes: app.prefixes.union(&more).copied().collect(), ..app.clone() }),
            None => Cow::Borrowed(app),
        };
        located.apps.insert(app.name.clone(), there);
    }
    located
}

impl Claim<'_> {
    fn to(&self, address: &IpAddr) -> (AppName, DnsName, IpAddr) {
        (self.app.name.clone(), self.name.clone(), *address)
    }
}

/// The declared prefixes that cover the addresses that are claimed.
fn declared_at<'a>(
    apps: &[&'a App],
    claims: &BTreeMap<IpAddr, Vec<Claim<'_>>>,
) -> BTreeMap<IpAddr, Vec<(IpNet, &'a App)>> {
    let mut found: BTreeMap<IpAddr, Vec<(IpNet, &App)>> = BTreeMap::new();
    if claims.is_empty() {
        return found;
    }
    for app in apps {
        for prefix in &app.prefixes {
            for address in claims.range(prefix.network()..=prefix.broadcast()).map(|(address, _)| *address) {
                found.entry(address).or_default().push((*prefix, app));
            }
        }
    }
    found
}

/// Why an address cannot be that of the app, whatever other names say.
fn refusal(app: &App, address: &IpAddr, declared: &[(IpNet, &App)]) -> Option<AddressRefusal> {
    if !is_routed(&IpNet::from(*address)) {
        return Some(AddressRefusal::NotRoutable);
    }
    let within = app.within.iter().filter(|prefix| prefix.contains(address)).map(IpNet::prefix_len).max();
    if within.is_none() && !app.within.is_empty() {
        return Some(AddressRefusal::Outside);
    }
    // What is declared for an app counts more than what is said of another one more vaguely.
    let within = within.unwrap_or(0);
    let takes = |(prefix, other): &&(IpNet, &App)| {
        (prefix.prefix_len() > within || prefix.prefix_len() == prefix.max_prefix_len()) && compete(app, other, address)
    };
    declared.iter().find(takes).map(|(_, other)| AddressRefusal::Declared(other.name.clone()))
}

/// Whether two apps would have a port in common at an address.
fn compete(one: &App, other: &App, address: &IpAddr) -> bool {
    let at = IpNet::from(*address);
    let overlap = |one: &Service, other: &Service| {
        protocol_number(one.protocol, &at) == protocol_number(other.protocol, &at)
            && match (one.ports, other.ports) {
                (Some((first, last)), Some((from, to))) => first <= to && from <= last,
                _ => true,
            }
    };
    let any = |these: &BTreeSet<Service>, those: &BTreeSet<Service>| {
        these.iter().any(|one| those.iter().any(|other| overlap(one, other)))
    };
    one.name != other.name && (any(&one.services, &other.services) || any(&one.opens, &other.opens))
}
