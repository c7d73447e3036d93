//! What the API shows past the core: flows, drops, the gateway at a glance.

use crate::api::{FlowFilter, Later, ViewError, Views};
use crate::config::vlan_id;
use crate::core::Core;
use crate::dataplane::Guarding;
use crate::dataplane::attach::Attached;
use crate::dataplane::clock::WallClock;
use crate::dataplane::interfaces::{Wanted, WantedVlan};
use crate::record::{Recorder, TrackedFlow};
use crate::wire::{Drops, Flow, FlowState, Interface, Opener, Status, TableUse, Vlan};
use gateway_common::KernelNanos;
use gateway_common::abi::{self, FlowKey};
use time::OffsetDateTime;

/// Reads the kernel's counters and the records.
pub(super) struct KernelViews {
    core: Core,
    recorder: Recorder,
    guarding: Guarding,
    wanted: Vec<Wanted>,
    started_at: OffsetDateTime,
}

impl KernelViews {
    pub(super) fn new(
        core: Core,
        recorder: Recorder,
        guarding: Guarding,
        wanted: Vec<Wanted>,
        started_at: OffsetDateTime,
    ) -> Self {
        Self { core, recorder, guarding, wanted, started_at }
    }

    fn matching_flows(&self, filter: &FlowFilter) -> Vec<Flow> {
        let clock = WallClock::now();
        let mut flows: Vec<Flow> = Vec::new();
        for (key, tracked) in self.recorder.open_flows() {
            let flow = self.flow(&key, &tracked, &clock);
            let matches =
                |wanted: Option<String>, found: Option<&String>| wanted.is_none_or(|wanted| Some(&wanted) == found);
            if matches(filter.session.map(|token| token.to_string()), Some(&flow.token))
                && matches(filter.user.as_ref().map(ToString::to_string), flow.user.as_ref())
                && matches(filter.app.as_ref().map(ToString::to_string), flow.app.as_ref())
            {
                flows.push(flow);
            }
        }
        flows.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then_with(|| a.client.cmp(&b.client)));
        flows.truncate(filter.limit);
        flows
    }

    fn flow(&self, key: &FlowKey, tracked: &TrackedFlow, clock: &WallClock) -> Flow {
        let copy = self.recorder.monitor().and_then(|monitor| monitor.flow(key)).unwrap_or(tracked.copy);
        let tracked = TrackedFlow { copy, ..*tracked };
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
            state: state(&tracked),
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
        let attached = self.guarding.attached();
        let interfaces = self.wanted.iter().map(|wanted| interface(wanted, &attached)).collect();
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: self.started_at,
            policy_generation,
            users,
            apps,
            sessions,
            interfaces,
            tables,
            drift_entries: self.recorder.metrics().drift(),
            events_lost,
        })
    }
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
