//! What the state knows about a question: whose sessions it is about, where the destination is, what policies say.
//!
//! Looked up on the core's thread, so what can be many is bounded.

use super::asked::{Asked, Assumption, Who};
use crate::api::SourceResolver;
use crate::bundle::Target;
use crate::dataplane::explain::{Connection, Question};
use crate::explain::Footing;
use crate::policy::{
    App, AppName, Assumed, Assurance, Country, Destination, Factor, Factors, Gateway, HealthCheck, Opinion, Refusal,
    Service, Session, SessionToken, Source, Stance, Timestamp, User, UserName,
};
use crate::wire::Moment;
use gateway_common::KernelNanos;
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use time::OffsetDateTime;

/// Most sessions of a user that are looked at.
const MOST_SESSIONS: usize = 8;
/// Most answers.
const MOST: usize = 32;
/// Most hosts of a prefix that are tried for one at which the app is, and not another one within it.
const MOST_HOSTS: usize = 16;
/// The port that stands for any port.
const ANY_PORT: u16 = 443;
/// The port that the client's packet comes from. A new connection is judged alike from all of them.
const CLIENT_PORT: u16 = 40_000;

/// One thing to be answered.
#[derive(Clone, Debug)]
pub(super) struct Looked {
    /// What people call them.
    pub who: String,
    pub user: UserName,
    pub token: Option<SessionToken>,
    /// The client's address, if one is known or assumed.
    pub address: Option<IpAddr>,
    pub to: Destination,
    pub app: Option<AppName>,
    pub footing: Footing,
    pub opinion: Option<Opinion>,
    /// The health check of the app, if it has one, and who answers for it.
    pub health: Option<(HealthCheck, String)>,
    /// Where a packet would come from.
    source: Option<Source>,
}

/// Somebody, before it is known where to.
struct Somebody {
    stance: Stance,
    footing: Footing,
    token: Option<SessionToken>,
    address: Option<IpAddr>,
    source: Option<Source>,
}

/// What people call somebody.
pub(super) fn called(user: &User) -> String {
    if user.display_name.is_empty() { user.name.to_string() } else { user.display_name.clone() }
}

pub(super) fn look(
    gateway: &Gateway,
    asked: &Asked,
    place: Option<&Source>,
    now: Moment,
) -> Result<Vec<Looked>, Refusal> {
    let people = match &asked.who {
        Who::Session(token, user) => {
            let theirs =
                gateway.session(*token).filter(|session| user.as_ref().is_none_or(|user| session.user == *user));
            let session = theirs.ok_or(Refusal::UnknownSession(*token))?;
            vec![of_session(session, asked, now)]
        }
        Who::User(name) => {
            let user = gateway.user(name).ok_or_else(|| Refusal::UnknownUser(name.clone()))?;
            of_user(gateway, user, asked, place, now)
        }
    };
    let mut found = Vec::new();
    for somebody in people {
        let (is_left, mut known) = (MOST.saturating_sub(found.len()), HashMap::new());
        let places = destinations(gateway, &asked.to, somebody.address)?;
        for to in places.into_iter().filter(|to| somebody.can_send(to)).take(is_left) {
            found.push(somebody.to(gateway, to, &mut known)?);
        }
    }
    Ok(found)
}

fn of_session(session: &Session, asked: &Asked, now: Moment) -> Somebody {
    let at = asked.at.map_or(now.boot, |at| boot_of(at, now));
    let footing = match asked.is_hypothetical() {
        true if session.deadline.has_passed(at) => Footing::Over,
        true => Footing::Assumed,
        false => Footing::Live,
    };
    let stance = assume(Stance { at: asked.at.and_then(timestamp), ..Stance::of(session, at) }, &asked.assumption);
    let source = Some(session.source.clone()).filter(|_| footing == Footing::Live);
    Somebody { stance, footing, token: Some(session.token), address: Some(session.source.address), source }
}

fn of_user(gateway: &Gateway, user: &User, asked: &Asked, place: Option<&Source>, now: Moment) -> Vec<Somebody> {
    let held = place.and_then(|place| gateway.session_at(place.zone, place.address));
    if !asked.is_hypothetical() {
        // Where the address is now may be unknown, because it has been silent for a while.
        let is_there = |session: &&Session| asked.from.is_none_or(|from| session.source.address == from);
        let mut sessions: Vec<_> = gateway.sessions_of(&user.name).filter(is_there).collect();
        sessions.sort_by_key(|session| session.token);
        if !sessions.is_empty() {
            return sessions.into_iter().take(MOST_SESSIONS).map(|session| of_session(session, asked, now)).collect();
        }
    }
    let footing = match held {
        _ if asked.is_hypothetical() => Footing::Assumed,
        Some(session) => Footing::Taken(session.user.clone()),
        None => Footing::Absent,
    };
    let source = asked.from.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let zone = place.map(|place| place.zone_name.clone()).unwrap_or_default();
    let country = place.map_or(Country::UNKNOWN, |place| place.country);
    let stance = Stance::assumed(user.name.clone(), user.provider.clone(), &Assumed { source, zone });
    let stance = Stance { country, at: asked.at.and_then(timestamp), ..stance };
    let stance = assume(stance, &asked.assumption);
    vec![Somebody { stance, footing, token: None, address: asked.from, source: place.cloned() }]
}

/// The same with what is to be taken for true.
fn assume(stance: Stance, assumption: &Assumption) -> Stance {
    let Assumption { zone, country, factors, provider, compliant, login_age } = assumption;
    let usual = provider.as_ref().map(|_| Factors::from([Factor::Provider]));
    let chosen = (*factors).or(usual);
    // Who says how they log in says also whether that is more than one factor.
    let assurance = match (factors, provider) {
        (None, None) => stance.assurance,
        _ => {
            let provider = provider.clone().or_else(|| stance.assurance.provider.clone());
            let mfa = factors.is_none() && stance.assurance.mfa;
            Arc::new(Assurance { provider, mfa, ..(*stance.assurance).clone() })
        }
    };
    Stance {
        factors: chosen.unwrap_or(stance.factors),
        assurance,
        compliant: compliant.or(stance.compliant),
        age: login_age.or(stance.age),
        zone: zone.as_ref().map_or(stance.zone, |zone| zone.as_str().into()),
        country: country.unwrap_or(stance.country),
        ..stance
    }
}

/// When that is on the boot clock; before the boot, at its beginning.
fn boot_of(at: OffsetDateTime, now: Moment) -> KernelNanos {
    let shift = (at - now.wall).whole_nanoseconds();
    KernelNanos(u64::try_from(i128::from(now.boot.0).saturating_add(shift).max(0)).unwrap_or(u64::MAX))
}

/// The same moment for policies; none beyond what calendars hold, which nobody asks about.
fn timestamp(at: OffsetDateTime) -> Option<Timestamp> {
    Timestamp::from_nanosecond(at.unix_timestamp_nanos()).ok()
}

/// Where a target is: for an app each of its services, at its first address of each family that the client can use.
fn destinations(gateway: &Gateway, to: &Target, client: Option<IpAddr>) -> Result<Vec<Destination>, Refusal> {
    let name = match to {
        Target::Address(address) => {
            let (address, protocol, port) = (address.ip.to_canonical(), address.protocol, address.port);
            return Ok(vec![Destination { address, protocol, port }]);
        }
        Target::App(name) => name,
    };
    let located = gateway.located();
    let app = located.apps.get(name).ok_or_else(|| Refusal::UnknownApp(name.clone()))?;
    let of_family = |is_ipv4: bool| -> Vec<Destination> {
        let prefixes = || app.prefixes.iter().filter(|prefix| prefix.addr().is_ipv4() == is_ipv4);
        app.services.iter().filter_map(|service| first(gateway, app, prefixes(), service)).collect()
    };
    let (mut four, six) = (of_family(true), of_family(false));
    match client {
        Some(IpAddr::V4(_)) if !four.is_empty() => Ok(four),
        Some(IpAddr::V6(_)) if !six.is_empty() => Ok(six),
        _ => {
            four.extend(six);
            Ok(four)
        }
    }
}

/// The first place at which the app is found, rather than another one within its prefix.
fn first<'p>(
    gateway: &Gateway,
    app: &App,
    prefixes: impl Iterator<Item = &'p IpNet>,
    service: &Service,
) -> Option<Destination> {
    let port = match service.ports {
        Some((first, _)) => first,
        None if service.protocol.has_ports() => ANY_PORT,
        None => 0,
    };
    let hosts = prefixes.flat_map(|prefix| prefix.hosts().take(MOST_HOSTS)).take(MOST_HOSTS);
    let mut places = hosts.map(|address| Destination { address, protocol: service.protocol, port }).peekable();
    let fallback = places.peek().copied();
    places.find(|place| gateway.app_at(place) == Some(&app.name)).or(fallback)
}

impl Somebody {
    /// Whether there is a packet from where they are to there.
    fn can_send(&self, to: &Destination) -> bool {
        self.source.as_ref().is_none_or(|source| source.address.is_ipv4() == to.address.is_ipv4())
    }

    /// What policies say of an app is the same at all its places.
    fn to(&self, gateway: &Gateway, to: Destination, known: &mut HashMap<AppName, Opinion>) -> Result<Looked, Refusal> {
        let app = gateway.app_at(&to).cloned();
        let opinion = match &app {
            None => None,
            Some(app) if known.contains_key(app) => known.get(app).cloned(),
            Some(app) => {
                let opinion = gateway.opinion(&self.stance, app)?;
                known.insert(app.clone(), opinion.clone());
                Some(opinion)
            }
        };
        let health = app.as_ref().and_then(|app| health(gateway.app(app)?.1));
        let who = gateway.user(&self.stance.user).map(called).unwrap_or_default();
        let Self { stance, footing, token, address, source } = self;
        Ok(Looked {
            who,
            user: stance.user.clone(),
            token: *token,
            address: *address,
            to,
            app,
            footing: footing.clone(),
            opinion,
            health,
            source: source.clone(),
        })
    }
}

/// Of a disabled app nothing is tried.
fn health(app: &App) -> Option<(HealthCheck, String)> {
    Some((app.health.clone().filter(|_| app.enabled)?, app.owner.clone()))
}

impl Looked {
    /// What the gate is asked, if it is asked.
    pub(super) fn question(&self, resolver: &dyn SourceResolver) -> Option<Question> {
        let source = self.source.as_ref()?;
        Some(Question {
            interface: source.interface,
            vlan: resolver.tags(source),
            mac: source.mac,
            source: source.address,
            destination: self.to.address,
            protocol: self.to.protocol_number(),
            source_port: CLIENT_PORT,
            destination_port: self.to.port,
            connection: Connection::New,
        })
    }
}
