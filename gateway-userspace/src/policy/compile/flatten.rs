//! Prefixes that enclose each other, made independent of each other.

use super::Uncompilable;
use crate::policy::change::AppProblem;
use crate::policy::model::{App, AppId, Protocol, Service};
use gateway_common::Packet;
use gateway_common::abi::{AppEntry, AppKey};
use ipnet::{IpNet, Ipv4Net};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A port of a block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Place {
    /// [`AppKey::SERVICE`] or [`AppKey::OPENS`].
    pub side: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// 0 for any port, and for protocols without ports.
    pub port: u16,
}

type Ports = BTreeMap<Place, AppEntry>;

/// The apps at the ports of a block.
pub(super) type Content = Arc<Ports>;

/// What a content follows from: the enclosing content, the family (IPv4 or not), and who claims the prefix.
type Origin = (Option<*const Ports>, bool, Vec<AppId>);

/// How narrow a service is. Ordered: a later one wins over an earlier one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Width {
    AnyPort,
    Range,
    Single,
}

/// The content of each prefix.
pub(super) fn flatten<'a>(
    apps: impl IntoIterator<Item = (AppId, &'a App)>,
) -> Result<Vec<(IpNet, Content)>, Uncompilable> {
    let claims = by_prefix(apps);
    let mut known: HashMap<Origin, Content> = HashMap::new();
    let mut enclosing: Vec<(IpNet, Content)> = Vec::new();
    let mut flat = Vec::with_capacity(claims.len());
    for (prefix, claimants) in claims {
        // Ordered by address, then length: what encloses a prefix comes before it.
        while enclosing.last().is_some_and(|(outer, _)| !outer.contains(&prefix)) {
            enclosing.pop();
        }
        let outer = enclosing.last().map(|(_, content)| Arc::clone(content));
        let ids = claimants.iter().map(|(id, _)| *id).collect();
        // Most prefixes of an app differ in nothing but their address. Contents live until the end, so their addresses
        // are names.
        let name = (outer.as_ref().map(Arc::as_ptr), matches!(prefix, IpNet::V4(_)), ids);
        let content = match known.get(&name) {
            Some(content) => Arc::clone(content),
            None => Arc::new(content(&prefix, &claimants, outer.as_deref())?),
        };
        known.insert(name, Arc::clone(&content));
        enclosing.push((prefix, Arc::clone(&content)));
        flat.push((prefix, content));
    }
    Ok(flat)
}

type Claims<'a> = BTreeMap<IpNet, Vec<(AppId, &'a App)>>;

fn by_prefix<'a>(apps: impl IntoIterator<Item = (AppId, &'a App)>) -> Claims<'a> {
    let mut claims: Claims<'a> = BTreeMap::new();
    for (id, app) in apps {
        for prefix in &app.prefixes {
            claims.entry(*prefix).or_default().push((id, app));
        }
    }
    // IPv4 destinations are stored v4-mapped, inside `::/n`. An IPv6 app must not catch them by that accident.
    if claims.keys().any(encloses_mapped) {
        claims.entry(IpNet::V4(Ipv4Net::default())).or_default();
    }
    claims
}

fn encloses_mapped(prefix: &IpNet) -> bool {
    matches!(prefix, IpNet::V6(net) if net.contains(&std::net::Ipv4Addr::UNSPECIFIED.to_ipv6_mapped()))
}

fn content(prefix: &IpNet, claimants: &[(AppId, &App)], outer: Option<&Ports>) -> Result<Ports, Uncompilable> {
    let own = own(prefix, claimants)?;
    let mut content = outer.cloned().unwrap_or_default();
    let taken_whole = |place: &Place| own.contains_key(&(Width::AnyPort, Place { port: 0, ..*place }));
    content.retain(|place, _| !taken_whole(place));
    content.extend(own.into_iter().map(|((_, place), app)| (place, app)));
    Ok(content)
}

/// What apps claim at this very prefix, wider services first.
fn own(prefix: &IpNet, claimants: &[(AppId, &App)]) -> Result<BTreeMap<(Width, Place), AppEntry>, Uncompilable> {
    let mut own = BTreeMap::new();
    for (id, app) in claimants {
        let entry = AppEntry::new(id.0, app.is_armed()).outlasting(app.outlasts_daemon);
        for (side, service) in sides(app) {
            let (width, ports) = ports(service);
            let protocol = protocol_number(service.protocol, prefix);
            for port in ports {
                let before = own.insert((width, Place { side, protocol, port }), entry);
                if let Some(other) = before.filter(|other| *other != entry) {
                    return Err(ambiguous(prefix, (side, service), app, other, claimants));
                }
            }
        }
    }
    Ok(own)
}

/// What clients reach, and what the app opens.
fn sides(app: &App) -> impl Iterator<Item = (u8, &Service)> {
    let services = app.services.iter().map(|service| (AppKey::SERVICE, service));
    services.chain(app.opens.iter().map(|service| (AppKey::OPENS, service)))
}

fn ambiguous(
    prefix: &IpNet,
    (side, service): (u8, &Service),
    app: &App,
    other: AppEntry,
    all: &[(AppId, &App)],
) -> Uncompilable {
    let other = all.iter().find(|(id, _)| id.0 == other.app()).map_or(&app.name, |(_, other)| &other.name).clone();
    let service = if side == AppKey::OPENS { format!("{service} under `opens`") } else { service.to_string() };
    Uncompilable { app: app.name.clone(), problem: AppProblem::Ambiguous { prefix: *prefix, service, other } }
}

fn ports(service: &Service) -> (Width, std::ops::RangeInclusive<u16>) {
    match service.ports {
        None => (Width::AnyPort, 0..=0),
        Some((first, last)) if first == last => (Width::Single, first..=last),
        Some((first, last)) => (Width::Range, first..=last),
    }
}

/// How the kernel knows a protocol, in the family of a prefix.
pub(in crate::policy) fn protocol_number(protocol: Protocol, prefix: &IpNet) -> u8 {
    match (protocol, prefix) {
        (Protocol::Tcp, _) => Packet::TCP,
        (Protocol::Udp, _) => Packet::UDP,
        (Protocol::Sctp, _) => Packet::SCTP,
        (Protocol::Ip(number), _) => number,
        (Protocol::Icmp, IpNet::V4(_)) => Packet::ICMP,
        (Protocol::Icmp, IpNet::V6(_)) => Packet::ICMPV6,
    }
}
