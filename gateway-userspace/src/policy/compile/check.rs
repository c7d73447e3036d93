//! Whether an app, by itself, can be compiled.

use crate::policy::change::AppProblem;
use crate::policy::model::{App, Protocol, Service};
use ipnet::IpNet;

/// Prefixes that no routed destination lies in: loopback, link-local, multicast and beyond, v4-mapped.
const NOT_ROUTED: [&str; 9] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/3",
    "::/127",
    "::ffff:0:0/96",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

/// Checks an app by itself.
///
/// # Errors
/// Names the first thing that is wrong with it.
pub fn check(app: &App) -> Result<(), AppProblem> {
    if app.prefixes.is_empty() && app.names.is_empty() {
        return Err(AppProblem::NoPrefix);
    }
    if app.names.len() > AppProblem::MOST_NAMES {
        return Err(AppProblem::TooManyNames(app.names.len()));
    }
    if app.names.is_empty() && !app.within.is_empty() {
        return Err(AppProblem::WithinWithoutNames);
    }
    if app.services.is_empty() {
        return Err(AppProblem::NoService);
    }
    app.prefixes.iter().try_for_each(check_prefix)?;
    app.within.iter().try_for_each(check_host_bits)?;
    app.services.iter().chain(&app.opens).try_for_each(check_service)
}

fn check_prefix(prefix: &IpNet) -> Result<(), AppProblem> {
    check_host_bits(prefix)?;
    if is_routed(prefix) { Ok(()) } else { Err(AppProblem::NotRoutable(*prefix)) }
}

fn check_host_bits(prefix: &IpNet) -> Result<(), AppProblem> {
    let suggestion = prefix.trunc();
    if *prefix == suggestion { Ok(()) } else { Err(AppProblem::HostBits { prefix: *prefix, suggestion }) }
}

/// Whether an app can be anywhere in a prefix.
pub(super) fn is_routed(prefix: &IpNet) -> bool {
    let is_inside = |range: &&str| range.parse::<IpNet>().is_ok_and(|range| range.contains(prefix));
    !NOT_ROUTED.iter().any(is_inside)
}

fn check_service(service: &Service) -> Result<(), AppProblem> {
    match (service.protocol, service.ports) {
        (Protocol::Ip(number), _) if !Protocol::is_grantable(number) => Err(AppProblem::NotGrantable(number)),
        (_, None) => Ok(()),
        (protocol, Some(_)) if !protocol.has_ports() => Err(AppProblem::InvalidService(service.to_string())),
        (_, Some((first, last))) if first == 0 || first > last => Err(AppProblem::InvalidService(service.to_string())),
        (_, Some((first, last))) => {
            let ports = usize::from(last.saturating_sub(first)).saturating_add(1);
            match ports > AppProblem::LONGEST_RANGE {
                true => Err(AppProblem::RangeTooLong { service: service.to_string(), ports }),
                false => Ok(()),
            }
        }
    }
}
