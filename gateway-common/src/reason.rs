//! Why a packet was dropped: one closed list, read by the kernel programs, the metrics, the API, the CLI and the docs.

macro_rules! drop_reasons {
    ($($(#[doc = $help:literal])+ $number:literal $name:ident $label:literal,)+) => {
        /// Why a packet was dropped, by layer, in the order of the packet path.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[doc = $help])+ $name = $number,)+
        }

        impl DropReason {
            /// Every reason, ordered by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name used in metrics, records, the API and the CLI.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// What it means and what to do, for people.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => concat!($($help,)+).trim_ascii(),)+ }
            }

            /// The reason with this number, if there is one.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

drop_reasons! {
    /// The interface carries the program but has no configuration. Restart the daemon or look at its log.
    1 InterfaceUnknown "interface_unknown",
    /// The frame ends before the headers that it announces. A broken sender, or an attack.
    2 Truncated "truncated",
    /// A frame to a group or broadcast hardware address that carries a packet for one host.
    3 LinkMulticast "link_multicast",
    /// An 802.1Q or 802.1ad tag for a VLAN that the interface does not carry.
    4 VlanUnknown "vlan_unknown",
    /// Neither IPv4, IPv6 nor ARP.
    5 NotIp "not_ip",
    /// An ARP packet that is not a well-formed request or reply for IPv4 over Ethernet.
    6 ArpMalformed "arp_malformed",
    /// Version, header length or total length contradict each other or the frame.
    7 IpMalformed "ip_malformed",
    /// More bytes after the IP packet than Ethernet padding explains.
    8 TrailingBytes "trailing_bytes",
    /// An IPv4 header with options.
    9 IpOptions "ip_options",
    /// An IPv6 extension header.
    10 IpExtension "ip_extension",
    /// A fragment, of either family.
    11 Fragment "fragment",
    /// A source that no host on a routed network can have: unspecified, loopback, multicast, link-local, mapped.
    12 SourceInvalid "source_invalid",
    /// A destination that is not one host on a routed network.
    13 DestinationInvalid "destination_invalid",
    /// A protocol that the law does not know.
    14 ProtocolUnsupported "protocol_unsupported",
    /// A TCP, UDP or ICMP header that contradicts itself or the packet, or port 0.
    15 TransportMalformed "transport_malformed",
    /// TCP flags that no honest stack sends together (none, SYN with FIN or RST, FIN without ACK).
    16 TcpFlags "tcp_flags",
    /// An ICMP or ICMPv6 message other than echo in its proper direction, or an error about a packet.
    17 IcmpType "icmp_type",
    /// Neighbour discovery that did not start on this link, is too short, or is for a router to send.
    18 NeighbourInvalid "neighbour_invalid",
    /// An address of the gateway itself, at a port that is not one of its services for this source.
    19 OwnAddress "own_address",
    /// Nobody is logged in at this source. Log in at the portal or with `portcullis login`.
    20 NoSession "no_session",
    /// The session's deadline has passed. Log in again.
    21 SessionExpired "session_expired",
    /// The address belongs to a session that is bound to another interface or hardware address.
    22 SourceSpoofed "source_spoofed",
    /// The session's access was taken away. The audit trail says by whom.
    23 SessionRevoked "session_revoked",
    /// No app has this destination, protocol and port.
    24 AppUnknown "app_unknown",
    /// The app exists; this session's policy does not permit it.
    25 NoGrant "no_grant",
    /// The grant's own deadline has passed.
    26 GrantExpired "grant_expired",
    /// The grant asks for a more recent login. Log in again.
    27 ReauthRequired "reauth_required",
    /// The flow table refused an entry. Raise `flows` in the capacities.
    28 FlowTableFull "flow_table_full",
    /// A packet toward a client that answers nothing the client asked: servers cannot open connections.
    29 NoFlow "no_flow",
    /// An ICMP error that quotes no live flow of the session that it is for, or from.
    30 IcmpUnrelated "icmp_unrelated",
}

impl DropReason {
    /// One more than the highest number.
    pub const LIMIT: usize = Self::ALL.len().saturating_add(1);
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_are_dense_and_lead_back_to_their_reason() {
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index + 1);
            assert_eq!(DropReason::from_number(*reason as u8), Some(*reason));
        }
        assert_eq!(DropReason::from_number(0), None);
        assert_eq!(DropReason::from_number(u8::try_from(DropReason::LIMIT).unwrap()), None);
    }

    #[test]
    fn labels_are_unique_snake_case_and_helps_are_sentences() {
        let labels: BTreeSet<_> = DropReason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), DropReason::ALL.len());
        for reason in DropReason::ALL {
            assert!(reason.label().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", reason.label());
            assert!(reason.help().ends_with('.'), "{}", reason.help());
        }
    }
}
