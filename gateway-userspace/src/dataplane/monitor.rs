//! Reading what the programs counted. A second view of the pinned maps, for whoever watches without writing.

use super::denials::{DenialTable, Written};
use super::rows::Rows;
use super::slots::SessionPlaces;
use super::{DataPlaneError, FlowTable, load, table};
use aya::maps::{Map, MapData, PerCpuArray, RingBuf};
use gateway_common::abi::{
    AppTraffic, Cpu, Denial, EventGate, FlowCopy, FlowKey, Interface, InterfaceRow, Unrecorded, map,
};
use gateway_common::table::denials::Taken;
use gateway_common::{DropReason, Verdict};
use std::collections::BTreeMap;
use std::path::Path;

/// The maps that are only read.
pub struct Monitor {
    interfaces: Rows,
    cpus: PerCpuArray<MapData, Cpu>,
    verdicts: PerCpuArray<MapData, u64>,
    app_traffic: PerCpuArray<MapData, AppTraffic>,
    event_gate: PerCpuArray<MapData, EventGate>,
    unrecorded: PerCpuArray<MapData, Unrecorded>,
    denials: DenialTable,
    flows: FlowTable,
    sessions: SessionPlaces,
}

/// What one interface has seen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InterfaceCounters {
    /// Packets toward apps and clients.
    pub forward: u64,
    /// Packets for the gateway itself.
    pub to_host: u64,
    /// Packets dropped, by reason; every reason is there.
    pub drops: BTreeMap<DropReason, u64>,
    /// Of the packets dropped, those that were answered.
    pub rejected: u64,
    /// Packets that would have been dropped and were let through, by reason; every reason is there.
    pub observed: BTreeMap<DropReason, u64>,
}

impl InterfaceCounters {
    /// Packets dropped, for whatever reason.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.drops.values().sum()
    }
}

impl Monitor {
    /// Opens the maps pinned in this folder.
    ///
    /// # Errors
    /// If one of them is not there or not what it should be.
    pub fn open(pins: &Path) -> Result<Self, DataPlaneError> {
        Self::with(pins, load::pinned_flows(pins)?, load::pinned_sessions(pins)?)
    }

    /// The same, with flows and sessions that are in memory already.
    pub(super) fn with(pins: &Path, flows: FlowTable, sessions: SessionPlaces) -> Result<Self, DataPlaneError> {
        Ok(Self {
            interfaces: Rows(load::mapped(pins, map::INTERFACES, InterfaceRow::ROWS)?),
            cpus: PerCpuArray::try_from(Map::PerCpuArray(pinned(pins, map::CPU)?)).map_err(table(map::CPU))?,
            verdicts: PerCpuArray::try_from(Map::PerCpuArray(pinned(pins, map::VERDICTS)?))
                .map_err(table(map::VERDICTS))?,
            app_traffic: PerCpuArray::try_from(Map::PerCpuArray(pinned(pins, map::APP_TRAFFIC)?))
                .map_err(table(map::APP_TRAFFIC))?,
            event_gate: PerCpuArray::try_from(Map::PerCpuArray(pinned(pins, map::EVENT_GATE)?))
                .map_err(table(map::EVENT_GATE))?,
            unrecorded: PerCpuArray::try_from(Map::PerCpuArray(pinned(pins, map::UNRECORDED)?))
                .map_err(table(map::UNRECORDED))?,
            denials: DenialTable::new(load::mapped(pins, map::DENIALS, Denial::SLOTS)?),
            flows,
            sessions,
        })
    }

    /// Counters of an interface by its number; `None` if it is not guarded.
    ///
    /// # Errors
    /// If a map cannot be read.
    pub fn interface(&self, index: u32) -> Result<Option<InterfaceCounters>, DataPlaneError> {
        let found = self.interfaces.guarded().find(|(known, _)| *known == index);
        let Some((_, row)) = found else { return Ok(None) };
        self.counters(row.slot).map(Some)
    }

    /// Counters of packets on interfaces that carry the program but are not configured.
    ///
    /// # Errors
    /// If a map cannot be read.
    pub fn unknown_interfaces(&self) -> Result<InterfaceCounters, DataPlaneError> {
        self.counters(Interface::LIMIT - 1)
    }

    fn counters(&self, slot: u32) -> Result<InterfaceCounters, DataPlaneError> {
        let sum = |code: u32| -> Result<u64, DataPlaneError> {
            let place = slot * Verdict::CODES + code;
            let cpus = self.verdicts.get(&place, 0).map_err(table(map::VERDICTS))?;
            Ok(cpus.iter().sum())
        };
        let (mut drops, mut observed) = (BTreeMap::new(), BTreeMap::new());
        for reason in DropReason::ALL {
            let code = Verdict::Drop(*reason).code();
            drops.insert(*reason, sum(code)?);
            observed.insert(*reason, sum(code + Verdict::OBSERVED)?);
        }
        let cpus = self.cpus.get(&0, 0).map_err(table(map::CPU))?;
        Ok(InterfaceCounters {
            forward: cpus.iter().filter_map(|cpu| cpu.forwarded.get(slot as usize)).sum(),
            to_host: sum(Verdict::ToHost.code())?,
            drops,
            rejected: sum(Verdict::REJECTED)?,
            observed,
        })
    }

    /// What an app's number has carried.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn app(&self, app: u32) -> Result<AppTraffic, DataPlaneError> {
        let cpus = self.app_traffic.get(&app, 0).map_err(table(map::APP_TRAFFIC))?;
        Ok(cpus.iter().fold(AppTraffic::default(), |sum, cpu| AppTraffic {
            to_app_packets: sum.to_app_packets + cpu.to_app_packets,
            to_app_bytes: sum.to_app_bytes + cpu.to_app_bytes,
            to_client_packets: sum.to_client_packets + cpu.to_client_packets,
            to_client_bytes: sum.to_client_bytes + cpu.to_client_bytes,
        }))
    }

    /// Beginnings of flows that were not reported as they happened.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn openings_lost(&self) -> Result<u64, DataPlaneError> {
        const OPENINGS: u32 = 0;
        let cpus = self.event_gate.get(&OPENINGS, 0).map_err(table(map::EVENT_GATE))?;
        Ok(cpus.iter().map(|gate| gate.lost).sum())
    }

    /// Beginnings and ends of flows that were not reported as they happened.
    ///
    /// # Errors
    /// If a map cannot be read.
    pub fn events_lost(&self) -> Result<u64, DataPlaneError> {
        Ok(self.openings_lost()? + self.unrecorded()?.flows)
    }

    /// What the programs could tell nobody of.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn unrecorded(&self) -> Result<Unrecorded, DataPlaneError> {
        let cpus = self.unrecorded.get(&0, 0).map_err(table(map::UNRECORDED))?;
        let mut sum = Unrecorded::default();
        cpus.iter().for_each(|cpu| sum.add(cpu));
        Ok(sum)
    }

    /// Takes the denials since the last time.
    pub fn take_denials(&self, written: &mut Written) -> Vec<Taken> {
        self.denials.take(written)
    }

    /// Every flow in the table. One that is opened or removed meanwhile may be missed.
    pub fn flows(&self) -> impl Iterator<Item = (FlowKey, FlowCopy)> + '_ {
        self.flows.iter()
    }

    /// Tells a session when a flow of it last carried a packet, which is not looked at any more.
    pub fn note_last_seen(&self, key: &FlowKey, flow: &FlowCopy) {
        self.sessions.note(key, flow);
    }

    /// Removes a flow that is over, if it is still the one that was seen. What it said at last.
    #[must_use]
    pub fn take_flow(&self, key: &FlowKey, seen: &FlowCopy) -> Option<FlowCopy> {
        self.flows.take(key, seen.token, seen.opened_at)
    }

    /// One flow.
    #[must_use]
    pub fn flow(&self, key: &FlowKey) -> Option<FlowCopy> {
        self.flows.get(key)
    }
}

/// The ring buffer of events pinned in this folder. It has one reader.
///
/// # Errors
/// If it is not there.
pub fn events(pins: &Path) -> Result<RingBuf<MapData>, DataPlaneError> {
    RingBuf::try_from(Map::RingBuf(pinned(pins, map::EVENTS)?)).map_err(table(map::EVENTS))
}

fn pinned(pins: &Path, name: &'static str) -> Result<MapData, DataPlaneError> {
    MapData::from_pin(pins.join(name)).map_err(table(name))
}
