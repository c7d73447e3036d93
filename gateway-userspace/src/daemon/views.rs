//! What the API shows past the core: flows, drops, the gateway at a glance.

use crate::api::{FlowFilter, Later, ViewError, Views};
use crate::config::vlan_id;
use crate::core::Core;
use crate::dataplane::Guarding;
use crate::dataplane::attach::{Attached, GuardedInterface, GuardedVlan};
use crate::dataplane::clock::WallClock;
use crate::dataplane::interfaces::{Wanted, WantedVlan};
use crate::health::Health;
use crate::policy::{AppName, UserName};
use crate::record::{Recorder, TrackedFlow};
use crate::wire::{Drops, Flow, FlowState, Interface, Opener, Status, TableUse, Vlan};
use gateway_common::KernelNanos;
use gateway_common::abi::{self, FlowKey};
use std::cmp::Reverse;
use time::OffsetDateTime;

/// Up to so many flows, all are read anew for a list of some of them.
const FEW: usize = 8_192;

/// Reads the kernel's counters and the records.
pub(super) struct KernelViews {
    core: Core,
    recorder: Recorder,
    health: Health,
    guarding: Guarding,
    wanted: Vec<Wanted>,
    started_at: OffsetDateTime,
}

impl KernelViews {
    pub(super) fn new(
        core: Core,
        (recorder, health): (Recorder, Health),
        guarding: Guarding,
        wanted: Vec<Wanted>,
        started_at: OffsetDateTime,
    ) -> Self {
        Self { core, recorder, health, guarding, wanted, started_at }
    }

    /// The latest of the flows that match. Of few flows the kernel is asked which these are; of many, what was last seen
    /// of them says so, and the kernel is asked about these.
    fn matching_flows(&self, filter: &FlowFilter) -> Vec<Flow> {
        let are_few = self.recorder.open_flow_count() <= FEW;
        let mut latest = Vec::new();
        for (key, tracked) in self.recorder.open_flows(filter.session) {
            let tracked = if are_few { self.now(&key, tracked) } else { tracked };
            if self.matches(filter, &tracked) {
                latest.push((key, tracked));
                if latest.len() >= filter.limit.saturating_mul(2) {
                    keep_latest(&mut latest, filter.limit);
                }
            }
        }
        keep_latest(&mut latest, filter.limit);
        let clock = WallClock::now();
        let flow = |(key, tracked)| self.flow(&key, &if are_few { tracked } else { self.now(&key, tracked) }, &clock);
        let mut flows: Vec<Flow> = latest.into_iter().map(flow).collect();
        flows.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then_with(|| a.client.cmp(&b.client)));
        flows
    }

    fn matches(&self, filter: &FlowFilter, tracked: &TrackedFlow) -> bool {
        if filter.user.is_none() && filter.app.is_none() {
            return true;
        }
        let (user, app) = self.recorder.names_of(tracked.copy.token, tracked.app());
        let is = |wanted: Option<&str>, found: Option<&String>| {
            wanted.is_none_or(|wanted| found.is_some_and(|found| found == wanted))
        };
        is(filter.user.as_ref().map(UserName::as_str), user.as_ref())
            && is(filter.app.as_ref().map(AppName::as_str), app.as_ref())
    }

    /// The same flow, as the kernel has it now.
    fn now(&self, key: &FlowKey, tracked: TrackedFlow) -> TrackedFlow {
        let copy = self.recorder.monitor().and_then(|monitor| monitor.flow(key)).unwrap_or(tracked.copy);
        TrackedFlow { copy, ..tracked }
    }

    fn flow(&self, key: &FlowKey, tracked: &TrackedFlow, clock: &WallClock) -> Flow {
        let copy = tracked.copy;
        let (user, app) = self.recorder.names_of(copy.token, tracked.app());
        Flow {
            token: crate::policy::SessionToken(copy.token).to_string(),
            user,
            app,
            client: key.client.to_string(),
            client_port: u16::from_be_bytes(key.client_port),
            destination: key.app.to_string(),
            port: u16::from_be_bytes(key.app_port),
            protocol: crate::record::protocol(key.protocol),
            opened_by: if tracked.is_by_app() { Opener::App } else { Opener::Client },
            packets_from_client: copy.to_app_packets,
            bytes_from_client: copy.to_app_bytes,
            packets_to_client: copy.to_client_packets,
            bytes_to_client: copy.to_client_bytes,
            opened_at: clock.at(KernelNanos(copy.opened_at)),
            last_seen: clock.at(KernelNanos(copy.last_seen)),
            state: state(tracked),
        }
    }

    fn drop_counters(&self) -> Result<Vec<Drops>, ViewError> {
        let unreadable = |_| ViewError("the counters of the programs");
        let Some(monitor) = self.recorder.monitor() else { return Ok(Vec::new()) };
        let mut drops = Vec::new();
        for interface in self.guarding.interfaces() {
            let counters = monitor.interface(interface.index).map_err(unreadable)?.unwrap_or_default();
            let observed = |reason| counters.observed.get(&reason).copied().unwrap_or_default();
            let counted = counters.drops.iter().map(|(reason, packets)| (*reason, *packets, observed(*reason)));
            let counted = counted.filter(|(_, packets, observed)| packets + observed != 0);
            drops.extend(
                counted.map(|(reason, packets, observed)| Drops::of(&interface.name, reason, packets, observed)),
            );
        }
        Ok(drops)
    }

    async fn glance(&self) -> Result<Status, ViewError> {
        let flows = self.recorder.open_flow_count();
        let counts = self.core.read(move |state| {
            let (gateway, tables, room) = (&state.gateway, state.gateway.entries(), state.gateway.capacities());
            let table = |table: &str, entries, capacity| TableUse { table: table.into(), entries, capacity };
            let tables = vec![
                table("sessions", tables.sessions, room.sessions),
                table("flows", flows, room.flows),
                table("app_prefixes", tables.app_prefixes, room.app_prefixes),
                table("app_ports", tables.app_ports, room.app_ports),
                table("grants", tables.grants, room.grants),
                table("apps", gateway.app_ids().len(), room.apps),
            ];
            (gateway.generation().0, gateway.users().len(), gateway.apps().count(), gateway.sessions().len(), tables)
        });
        let (policy_generation, users, apps, sessions, tables) =
            counts.await.map_err(|_| ViewError("the state of the gateway"))?;
        let events_lost = self.recorder.monitor().and_then(|monitor| monitor.events_lost().ok()).unwrap_or_default();
        let (guarded, attached) = (self.guarding.interfaces(), self.guarding.attached());
        let renamed = guarded.into_iter().filter(|it| self.wanted.iter().all(|wanted| wanted.name != it.name));
        let all = self.wanted.iter().cloned().chain(renamed.map(as_wanted));
        let interfaces = all.map(|wanted| interface(&wanted, &attached)).collect();
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: self.started_at,
            policy_generation,
            users,
            apps,
            apps_down: self.health.book(|book| book.down()),
            sessions,
            interfaces,
            tables,
            drift_entries: self.recorder.metrics().drift(),
            events_lost,
        })
    }
}

fn keep_latest(flows: &mut Vec<(FlowKey, TrackedFlow)>, most: usize) {
    flows.sort_unstable_by_key(|(key, tracked)| (Reverse(tracked.copy.last_seen), *key));
    flows.truncate(most);
}

fn state(flow: &TrackedFlow) -> FlowState {
    let copy = &flow.copy;
    let answers = if flow.is_by_app() { copy.to_app_packets } else { copy.to_client_packets };
    match (copy.ends & !abi::Flow::BY_APP, answers) {
        (0, 0) => FlowState::Opening,
        (0, _) => FlowState::Open,
        _ => FlowState::Closing,
    }
}

/// One that has another name than the configuration says, as if that were its name.
fn as_wanted(guarded: GuardedInterface) -> Wanted {
    let GuardedInterface { name, zone_name: zone, mode, settings, vlans, .. } = guarded;
    let vlans = vlans.into_iter().map(|GuardedVlan { vlan, zone_name: zone, .. }| WantedVlan { vlan, zone }).collect();
    Wanted { name, zone, mode, settings, vlans }
}

/// An interface that is not there is not attached.
fn interface(wanted: &Wanted, attached: &[Attached]) -> Interface {
    let attached = attached.iter().find(|attached| attached.interface == wanted.name);
    Interface {
        name: wanted.name.clone(),
        zone: wanted.zone.clone(),
        mode: if wanted.settings.observe { "observe" } else { "enforce" }.into(),
        xdp: attached.map_or("none", |attached| attached.mode).into(),
        attached: attached.is_some(),
        vlans: wanted
            .vlans
            .iter()
            .map(|WantedVlan { vlan, zone }| Vlan { id: vlan_id(*vlan), zone: zone.clone() })
            .collect(),
    }
}

impl Views for KernelViews {
    fn flows(&self, filter: FlowFilter) -> Later<'_, Result<Vec<Flow>, ViewError>> {
        Box::pin(async move { Ok(self.matching_flows(&filter)) })
    }

    fn drops(&self) -> Later<'_, Result<Vec<Drops>, ViewError>> {
        Box::pin(async { self.drop_counters() })
    }

    fn status(&self) -> Later<'_, Result<Status, ViewError>> {
        Box::pin(self.glance())
    }
}
