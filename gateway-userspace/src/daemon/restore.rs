//! From what was stored, and what is in the tables, to a state and tables that agree.

use super::DaemonError;
use super::work::Work;
use crate::core::{self, State};
use crate::dataplane::attach::GuardedInterface;
use crate::dataplane::{self, DataPlane as _, KernelDataPlane, clock};
use crate::identity::{Accounts, ApiToken, Service, Services, TokenId};
use crate::policy::{
    EndCause, Ended, Gateway, History, Kind, Plan, Problem, Session, SessionLimits, SessionToken, Source, UserName,
};
use crate::store::{Stored, Write};
use std::collections::HashSet;

/// Of how many sessions that cannot be taken up each is named in the daemon's log.
const TOLD: usize = 1_000;

/// Takes up what was stored, as far as it still makes sense on this boot and with these interfaces. Returns what has to
/// be removed from the store.
pub(super) fn restore(
    mut stored: Stored,
    plane: &KernelDataPlane,
    guarded: &[GuardedInterface],
    boot_id: &str,
    limits: SessionLimits,
    work: &mut Work,
) -> Result<(State, Vec<Write>), DaemonError> {
    let mut changes = Vec::new();
    let mut sessions = Vec::with_capacity(stored.sessions.len());
    let mut secrets = Vec::with_capacity(stored.sessions.len());
    let ended: HashSet<SessionToken> = plane.ended_tokens().into_iter().collect();
    for found in std::mem::take(&mut stored.sessions) {
        let token = found.session.token;
        let is_valid = found.boot_id == boot_id && is_guarded(&found.session, guarded) && !ended.contains(&token);
        if is_valid {
            secrets.push((token, found.secret));
            sessions.push(found.session);
        } else {
            if changes.len() < TOLD {
                tracing::info!(session = %token, cause = EndCause::Orphaned.label(), "a stored session has ended");
            }
            changes.push(Write::RemoveSession(token));
        }
    }
    if changes.len() > TOLD {
        tracing::info!(sessions = changes.len(), cause = EndCause::Orphaned.label(), "many stored sessions have ended");
    }
    let services = services(&mut stored, &mut changes);
    for user in stored.users.iter_mut().filter(|user| services.contains(&user.name)) {
        user.kind = Kind::Service;
    }
    let mut provider_sessions = std::mem::take(&mut stored.provider_sessions);
    let accounts = Accounts {
        passwords: std::mem::take(&mut stored.passwords),
        tokens: by_id(std::mem::take(&mut stored.tokens)),
        // A tree that is made of what is in order is full, and little more than half as large as one that grows.
        provider_sessions: secrets
            .iter()
            .filter_map(|(token, _)| Some((*token, provider_sessions.remove(token)?)))
            .collect(),
        session_secrets: secrets.into_iter().collect(),
        services,
        identities: std::mem::take(&mut stored.identities),
    };
    let resources = std::mem::take(&mut stored.resources);
    let wall_clock = clock::WallClock::now();
    let history = History::of(std::mem::take(&mut stored.history), |wall| wall_clock.instant(wall));
    let restored = core::restored(stored, sessions, &plane.actual()?);
    let (gateway, problems) =
        Gateway::restore(restored, plane.capacities(), limits, clock::boot()).map_err(DaemonError::Capacity)?;
    work.done("the stored sessions have been decided anew");
    for (number, problem) in problems.into_iter().enumerate() {
        if number < TOLD {
            tracing::warn!(%problem, "not everything that was stored is in force");
        } else if number == TOLD {
            tracing::warn!("and more of what was stored is not in force");
        }
        match problem {
            Problem::Session(ended) => {
                let Ended { session, .. } = *ended;
                changes.push(Write::RemoveSession(session.token));
            }
            Problem::Refused { token, .. } => changes.push(Write::RemoveSession(token)),
            Problem::Membership { .. } | Problem::App { .. } | Problem::Policy(_) => {}
        }
    }
    changes.push(Write::SetCounters(core::counters(&gateway)));
    let directory = core::directory(resources, &gateway);
    Ok((State { gateway, accounts, directory, history }, changes))
}

/// The services that still have a user, and prove themselves with what is theirs alone. The row of one without a user goes:
/// whoever is called so one day is somebody else.
fn services(stored: &mut Stored, changes: &mut Vec<Write>) -> Services {
    let mut services = Services::default();
    let found = std::mem::take(&mut stored.services);
    let names: HashSet<&UserName> = stored.users.iter().filter(|_| !found.is_empty()).map(|user| &user.name).collect();
    for service in found {
        let Service { name, .. } = &service;
        if !names.contains(name) {
            tracing::warn!(service = %name, "a stored service has no user, and is forgotten");
            changes.push(Write::RemoveService(name.clone()));
        } else if let Err(refusal) = services.check(&service) {
            tracing::warn!(service = %name, %refusal, "a stored service cannot prove itself; put it again");
        } else {
            services.put(service);
        }
    }
    services
}

fn by_id<T>(tokens: Vec<ApiToken>) -> T
where
    T: FromIterator<(TokenId, ApiToken)>,
{
    tokens.into_iter().map(|token| (token.id.clone(), token)).collect()
}

fn is_guarded(session: &Session, guarded: &[GuardedInterface]) -> bool {
    let Source { zone, interface, interface_name, .. } = &session.source;
    let has_zone = |guarded: &GuardedInterface| {
        let mut zones = guarded.vlans.iter().map(|vlan| vlan.zone).chain([guarded.zone]);
        zones.any(|found| found == *zone)
    };
    guarded.iter().any(|found| found.index == *interface && found.name == interface_name.as_str() && has_zone(found))
}

/// Brings the tables to what should be in them. Returns how many entries are not so even then: before, all of them
/// differ, because a new daemon gives out new ids.
pub(super) fn reconcile(plane: &mut KernelDataPlane, state: &State, work: &mut Work) -> Result<usize, DaemonError> {
    let wanted = state.gateway.tables();
    dataplane::reconcile(plane, &wanted)?;
    work.done("the tables have been brought up to date");
    let drifted = Plan::between(&plane.actual()?, &wanted).steps.len();
    work.done("the tables have been compared");
    Ok(drifted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::User;
    use time::OffsetDateTime;

    fn service(name: &str, certificate: &str) -> Service {
        let name = UserName::new(name).unwrap();
        let certificate = Some(certificate.parse().unwrap());
        Service { certificate, ..Service::new(name, OffsetDateTime::UNIX_EPOCH) }
    }

    #[test]
    fn a_stored_service_without_a_user_is_forgotten_and_one_with_another_s_certificate_proves_nothing() {
        let users = ["a", "b"].map(|name| User::new(UserName::new(name).unwrap()));
        let found = [service("a", "cn:a"), service("b", "cn:a"), service("gone", "cn:gone")];
        let mut stored = Stored { users: users.into(), services: found.into(), ..Stored::default() };
        let mut changes = Vec::new();
        let services = services(&mut stored, &mut changes);
        assert_eq!(services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>(), ["a"]);
        assert!(matches!(&changes[..], [Write::RemoveService(name)] if name.as_str() == "gone"), "{changes:?}");
    }
}
