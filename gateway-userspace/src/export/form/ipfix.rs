//! As collectors of flows have it: messages of IPFIX (RFC 7011), in which a flow with both its directions is one record
//! (RFC 5103). Ends and updates of flows, and denials; nothing else is a flow.

mod fields;
mod message;

pub(in crate::export) use message::Exporter;
pub(crate) use message::LEAST;

use crate::record::{Archived, Kind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The enterprise of examples (RFC 5612), until somebody sets their own.
pub(crate) const EXAMPLE_ENTERPRISE: u32 = 32_473;
/// The types of records that are flows.
pub(crate) const KINDS: [Kind; 3] = [Kind::FlowEnd, Kind::FlowUpdate, Kind::Denied];

/// What a record is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Template {
    kind: Kind,
    is_v6: bool,
}

impl Template {
    const ALL: [Self; 6] = [
        Self { kind: Kind::FlowEnd, is_v6: false },
        Self { kind: Kind::FlowEnd, is_v6: true },
        Self { kind: Kind::FlowUpdate, is_v6: false },
        Self { kind: Kind::FlowUpdate, is_v6: true },
        Self { kind: Kind::Denied, is_v6: false },
        Self { kind: Kind::Denied, is_v6: true },
    ];

    /// Its number; those below 256 are sets of other kinds.
    const fn id(self) -> u16 {
        let first = match self.kind {
            Kind::FlowUpdate => 258,
            Kind::Denied => 260,
            _ => 256,
        };
        if self.is_v6 { first + 1 } else { first }
    }
}

/// A record that is a flow, with its addresses in one family.
struct Described<'r> {
    record: &'r Archived,
    template: Template,
    source: Ipv6Addr,
    destination: Ipv6Addr,
}

impl<'r> Described<'r> {
    /// `None` if it is no flow.
    fn of(record: &'r Archived) -> Option<Self> {
        let kind = Kind::of(record.kind()).filter(|kind| KINDS.contains(kind))?;
        let address = |field: &str| record.text(field).and_then(|text| text.parse().ok());
        // What was not understood of a packet is zero, in whichever family.
        let source = address(if kind == Kind::Denied { "source" } else { "client" });
        let source = source.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let destination = address("destination").unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let is_v4 = |address: IpAddr| address.is_ipv4() || address == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let is_v6 = !(is_v4(source) && is_v4(destination));
        let one_family = |address: IpAddr| match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(_) if !is_v6 => Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let (source, destination) = (one_family(source), one_family(destination));
        Some(Self { record, template: Template { kind, is_v6 }, source, destination })
    }
}

#[cfg(test)]
mod tests;
