//! The interfaces between which packets are forwarded in XDP: who they are, and which of them can take part.
//!
//! The tables are those of the programs that are loaded: a new daemon fills its own before it attaches them. Until a port
//! is in them, and whenever it cannot take part, its packets go through the network stack.

use super::attach::{GuardedInterface, XdpChoice};
use super::device::{Abilities, Devices};
use super::{DataPlaneError, ignore_missing, interfaces, table};
use aya::maps::xdp::XdpMapError;
use aya::maps::{DevMapHash, HashMap, MapData, MapError};
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

/// The tables of the ports.
pub(super) struct Ports {
    ports: HashMap<MapData, u32, Port>,
    targets: DevMapHash<MapData>,
    known: BTreeMap<u32, Port>,
}

impl Ports {
    pub(super) fn new(ports: HashMap<MapData, u32, Port>, targets: DevMapHash<MapData>) -> Self {
        Self { ports, targets, known: BTreeMap::new() }
    }

    /// Brings the tables to what these interfaces are now, and says what has changed.
    pub(super) fn renew(&mut self, guarded: &[GuardedInterface], apps: &[AppInterface]) -> Result<(), DataPlaneError> {
        let forwarding = guarded.iter().filter(|guarded| guarded.settings.forward && guarded.has_link_layer);
        let guarded = forwarding.map(|guarded| (guarded.name.as_str(), guarded.index, Port::GUARDED));
        let apps = apps.iter().map(|app| (app.name.as_str(), app.index, Port::APPS));
        let wanted: Vec<_> = guarded.chain(apps).collect();
        for index in
            self.known.keys().copied().filter(|index| !wanted.iter().any(|port| port.1 == *index)).collect::<Vec<_>>()
        {
            self.remove(index)?;
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let devices = Devices::look().map_err(DataPlaneError::Devices)?;
        for (name, index, side) in wanted {
            let port = match (devices.mac(name), devices.abilities(index)) {
                (Some(mac), Ok(abilities)) => Some(Port { mac, flags: side | flags(abilities) }),
                // Without a link layer, or gone meanwhile.
                (None, _) | (_, Err(Errno::ENODEV | Errno::EOPNOTSUPP)) => None,
                (_, Err(error)) => return Err(DataPlaneError::Devices(error)),
            };
            self.put(name, index, port)?;
        }
        Ok(())
    }

    /// The interfaces that packets may be redirected to.
    pub(super) fn targets(&self) -> Vec<u32> {
        self.known.iter().filter(|(_, port)| port.has(Port::SENDS)).map(|(index, _)| *index).collect()
    }

    fn put(&mut self, name: &str, index: u32, port: Option<Port>) -> Result<(), DataPlaneError> {
        let before = self.known.get(&index).copied();
        let Some(port) = port else {
            if before.is_some() {
                tracing::warn!(interface = name, "forwarding in XDP is over: the interface is gone");
            }
            return self.remove(index);
        };
        if before == Some(port) {
            return Ok(());
        }
        // Whoever is redirected to must be among the targets: first in, last out.
        if port.has(Port::SENDS) {
            self.targets.insert(index, index, None, 0).map_err(|error| table(map::TARGETS)(reason(error)))?;
        }
        self.ports.insert(index, port, 0).map_err(table(map::PORTS))?;
        if !port.has(Port::SENDS) {
            ignore_missing(self.targets.remove(index)).map_err(table(map::TARGETS))?;
        }
        self.known.insert(index, port);
        announce(name, port, before);
        Ok(())
    }

    fn remove(&mut self, index: u32) -> Result<(), DataPlaneError> {
        ignore_missing(self.ports.remove(&index)).map_err(table(map::PORTS))?;
        ignore_missing(self.targets.remove(index)).map_err(table(map::TARGETS))?;
        self.known.remove(&index);
        Ok(())
    }
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
fn announce(interface: &str, port: Port, before: Option<Port>) {
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
        tracing::info!(interface, again = before.is_some(), "forwarding in XDP");
    }
}
