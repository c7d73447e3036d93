//! The interfaces between which packets are forwarded in XDP: who they are, and which of them can take part.
//!
//! The tables are those of the programs that are loaded: a new daemon fills its own before it attaches them. Until a port
//! is in them, and whenever it cannot take part, its packets go through the network stack.

use super::attach::{GuardedInterface, XdpChoice};
use super::device::{Abilities, Devices};
use super::rows::Rows;
use super::ways::Ways;
use super::{DataPlaneError, interfaces, table};
use aya::maps::xdp::XdpMapError;
use aya::maps::{DevMap, MapData, MapError};
use gateway_common::abi::{Port, map};
use nix::errno::Errno;
use std::collections::BTreeMap;

/// The interfaces that face apps, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AppSide {
    /// Their names.
    pub names: Vec<String>,
    /// Which XDP mode to use on them.
    pub mode: XdpChoice,
}

/// An interface that faces apps, for which replies are judged in XDP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppInterface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Which XDP mode to use.
    pub mode: XdpChoice,
}

impl AppSide {
    /// Those that are there now.
    #[must_use]
    pub fn present(&self) -> Vec<AppInterface> {
        let found = self.names.iter().filter_map(|name| Some((name, interfaces::number(name)?)));
        found.map(|(name, index)| AppInterface { name: name.clone(), index, mode: self.mode }).collect()
    }

    /// All of them.
    ///
    /// # Errors
    /// If one does not exist.
    pub fn find(&self) -> Result<Vec<AppInterface>, DataPlaneError> {
        let present = self.present();
        let is_missing = |name: &&String| !present.iter().any(|interface| interface.name == **name);
        match self.names.iter().find(is_missing) {
            Some(missing) => Err(DataPlaneError::UnknownInterface(missing.clone())),
            None => Ok(present),
        }
    }
}

/// The index of no interface: a target with it is none.
const NOBODY: u32 = 0;

/// The tables of the ports.
pub(super) struct Ports {
    ports: Rows,
    targets: DevMap<MapData>,
    ways: Ways,
    /// What was written, with the MTU, or that there is nothing to write.
    known: BTreeMap<u32, Option<(Port, u32)>>,
}

impl Ports {
    pub(super) fn new(ports: Rows, targets: DevMap<MapData>, ways: Ways) -> Self {
        Self { ports, targets, ways, known: BTreeMap::new() }
    }

    /// Brings the tables to what these interfaces are now, and says what has changed.
    pub(super) fn renew(&mut self, guarded: &[GuardedInterface], apps: &[AppInterface]) -> Result<(), DataPlaneError> {
        let forwarding = guarded.iter().filter(|guarded| guarded.settings.forward);
        let guarded =
            forwarding.map(|it| (it.name.as_str(), it.index, if it.has_link_layer { Port::GUARDED } else { 0 }));
        let apps = apps.iter().map(|app| (app.name.as_str(), app.index, Port::APPS));
        let wanted: Vec<_> = guarded.chain(apps).collect();
        let is_over = |index: &u32| !wanted.iter().any(|(_, wanted, _)| wanted == index);
        for index in self.known.keys().copied().filter(is_over).collect::<Vec<_>>() {
            self.forget(index)?;
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let devices = Devices::open().map_err(DataPlaneError::Devices)?;
        for (name, index, side) in wanted {
            let found = devices.link(index).and_then(|link| Ok(link.zip(Some(devices.abilities(index)?))));
            let port = match found {
                Ok(Some((link, abilities))) if side != 0 => {
                    Some((Port { mac: link.mac, flags: side | flags(abilities) }, link.mtu))
                }
                // Without a link layer, or gone meanwhile.
                Ok(_) | Err(Errno::ENODEV) => None,
                Err(error) => return Err(DataPlaneError::Devices(error)),
            };
            self.put(name, index, port)?;
        }
        Ok(())
    }

    /// The interfaces that packets may be redirected to.
    pub(super) fn targets(&self) -> Vec<u32> {
        let sends = |port: &Option<(Port, u32)>| port.is_some_and(|(port, _)| port.has(Port::SENDS));
        self.known.iter().filter(|(_, port)| sends(port)).map(|(index, _)| *index).collect()
    }

    /// `None` is an interface that cannot take part at all.
    fn put(&mut self, name: &str, index: u32, port: Option<(Port, u32)>) -> Result<(), DataPlaneError> {
        let before = self.known.get(&index).copied();
        if before == Some(port) {
            return Ok(());
        }
        match port {
            None => {
                self.forget(index)?;
                tracing::warn!(
                    interface = name,
                    "packets of this interface go through the network stack, because it has no link layer, or is gone"
                );
            }
            Some((port, mtu)) => {
                let too_many = DataPlaneError::TooManyInterfaces(self.known.len());
                let (number, row) = self.ports.row(index).ok_or(too_many)?;
                // Whoever is redirected to must be among the targets: first in, last out.
                if port.has(Port::SENDS) {
                    target(&mut self.targets, number, index)?;
                }
                // Flows may remember ways that lead through this row, from when another port stood here.
                self.ways.have_changed();
                row.write_port(index, &port, mtu);
                if !port.has(Port::SENDS) {
                    target(&mut self.targets, number, NOBODY)?;
                }
                if before.flatten().is_none_or(|(before, _)| before != port) {
                    announce(name, port);
                }
            }
        }
        self.known.insert(index, port);
        Ok(())
    }

    fn forget(&mut self, index: u32) -> Result<(), DataPlaneError> {
        if let Some(number) = self.ports.remove(index) {
            target(&mut self.targets, number, NOBODY)?;
        }
        self.known.remove(&index);
        Ok(())
    }
}

/// Names the interface that is redirected to by this row.
fn target(targets: &mut DevMap<MapData>, row: u32, index: u32) -> Result<(), DataPlaneError> {
    targets.set(row, index, None, 0).map_err(|error| table(map::TARGETS)(reason(error)))
}

fn reason(error: XdpMapError) -> MapError {
    match error {
        XdpMapError::MapError(error) => error,
        // No program is chained here.
        XdpMapError::ChainedProgramNotSupported => MapError::ProgIdNotSupported,
    }
}

fn flags(Abilities { sends, sends_parts, strips_tags }: Abilities) -> u16 {
    let flags = [(sends, Port::SENDS), (sends_parts, Port::SENDS_PARTS), (!strips_tags, Port::RECEIVES)];
    flags.iter().filter(|(is_set, _)| *is_set).fold(0, |sum, (_, flag)| sum | flag)
}

/// Says what a port can do now, and what to do about what it cannot.
fn announce(interface: &str, port: Port) {
    if !port.has(Port::SENDS) {
        tracing::warn!(
            interface,
            "packets to this interface go through the network stack, because its driver cannot send what is redirected \
             to it; if it is a veth, run `ethtool -K <its other end> gro on`, or put an XDP program on the other end"
        );
    } else if !port.has(Port::SENDS_PARTS) {
        tracing::warn!(
            interface,
            "packets that lie in several buffers go through the network stack on their way to it"
        );
    }
    if !port.has(Port::RECEIVES) {
        tracing::warn!(
            interface,
            "packets from this interface go through the network stack, because its driver takes the tags of VLANs out of \
             frames; run `ethtool -K {interface} rxvlan off rx-vlan-stag-hw-parse off`"
        );
    }
    if port.has(Port::SENDS | Port::RECEIVES) {
        tracing::info!(interface, "forwarding in XDP");
    }
}
