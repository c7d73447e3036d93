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
    /// An 802.1Q or 802.1ad tag for a VLAN that the interface does not carry. Name it in the configuration, or look who sends it.
    4 VlanUnknown "vlan_unknown",
    /// Neither IPv4, IPv6 nor ARP.
    5 NotIp "not_ip",
    /// An ARP packet that is not a well-formed request or reply for IPv4 over Ethernet.
    6 ArpMalformed "arp_malformed",
    /// Neighbour discovery that did not start on this link, is malformed, or is for a router to send.
    7 NeighbourInvalid "neighbour_invalid",
    /// ARP or neighbour discovery that claims an address of the gateway or of another's session. Look for that hardware address.
    8 NeighbourSpoofed "neighbour_spoofed",
    /// Version, header length or total length contradict each other or the frame.
    9 IpMalformed "ip_malformed",
    /// More bytes after the IP packet than Ethernet padding explains.
    10 TrailingBytes "trailing_bytes",
    /// An IPv4 header with options that the interface does not admit.
    11 IpOptions "ip_options",
    /// An IPv6 extension header that the interface does not admit.
    12 IpExtension "ip_extension",
    /// A fragment, of either family, on an interface that does not track them. Lower the sender's MTU, or track fragments.
    13 Fragment "fragment",
    /// A first fragment too short for its transport header. Honest stacks send none: look at the sender.
    14 FragmentTiny "fragment_tiny",
    /// A later fragment without its first one: lost, late, dropped, or out of order.
    15 FragmentStray "fragment_stray",
    /// A later fragment that overlaps another one, or too many out of order.
    16 FragmentOverlap "fragment_overlap",
    /// A source that no host on a routed network can have: unspecified, loopback, multicast, link-local, mapped, or the gateway's own.
    17 SourceInvalid "source_invalid",
    /// A destination that is not one host on a routed network.
    18 DestinationInvalid "destination_invalid",
    /// A protocol that cannot be granted.
    19 ProtocolUnsupported "protocol_unsupported",
    /// A transport header that contradicts itself or the packet, or port 0.
    20 TransportMalformed "transport_malformed",
    /// TCP flags that no honest stack sends together (none, SYN with FIN or RST, FIN without ACK).
    21 TcpFlags "tcp_flags",
    /// An ICMP or ICMPv6 message other than echo in its proper direction, or an error about a packet.
    22 IcmpType "icmp_type",
    /// More packets for the gateway itself from one source than it accepts. Look at the source, or raise the limit.
    23 RateLimited "rate_limited",
    /// An address of the gateway itself, at a port that is not one of its services for this source.
    24 OwnAddress "own_address",
    /// Nobody is logged in at this source. Log in at the portal or with `portcullis login`.
    25 NoSession "no_session",
    /// The session's access was taken away. The audit trail says by whom.
    26 SessionRevoked "session_revoked",
    /// The session's deadline has passed. Log in again.
    27 SessionExpired "session_expired",
    /// The session tried too many destinations and is held for a while. Find out which program did, or raise the limit.
    28 SessionQuarantined "session_quarantined",
    /// The address belongs to a session that is bound to another interface or hardware address.
    29 SourceSpoofed "source_spoofed",
    /// One destination more than a session may try in a second. The session is now in quarantine.
    30 ScanDetected "scan_detected",
    /// No app has this destination, protocol and port.
    31 AppUnknown "app_unknown",
    /// An app that nobody should touch. The session is revoked; find out who or what used it.
    32 TripWire "trip_wire",
    /// The app exists; this session's policy does not permit it.
    33 NoGrant "no_grant",
    /// The grant's own deadline has passed.
    34 GrantExpired "grant_expired",
    /// The grant asks for a more recent login. Log in again.
    35 ReauthRequired "reauth_required",
    /// The daemon has not been heard of for too long, and the app asks for it. Look at the daemon.
    36 LeaseExpired "lease_expired",
    /// More new connections in a second than a session may open. Look at the client, or raise the limit.
    37 FlowRate "flow_rate",
    /// More bytes in a second than a session may send or receive. Senders slow down by themselves.
    38 BandwidthExceeded "bandwidth_exceeded",
    /// The session has exchanged all the bytes with this app that it may. Log in again, or raise the app's budget.
    39 BudgetExceeded "budget_exceeded",
    /// No room to count the bytes of one more session with an app that has a budget. Raise `budgets` in the capacities.
    40 BudgetTableFull "budget_table_full",
    /// The flow table refused an entry. Raise `flows` in the capacities.
    41 FlowTableFull "flow_table_full",
    /// A packet toward a client that answers nothing the client asked, and that no app may send on its own.
    42 NoFlow "no_flow",
    /// An ICMP error that quotes no live flow of the session that it is for, or from.
    43 IcmpUnrelated "icmp_unrelated",
}

impl DropReason {
    /// One more than the highest number.
    pub const LIMIT: usize = Self::ALL.len().saturating_add(1);

    /// Whether a session that is denied for it is told so, where the interface rejects.
    #[inline(always)]
    #[must_use]
    pub const fn is_answered(self) -> bool {
        matches!(
            self,
            Self::SessionRevoked
                | Self::SessionExpired
                | Self::SessionQuarantined
                | Self::AppUnknown
                | Self::NoGrant
                | Self::GrantExpired
                | Self::ReauthRequired
                | Self::LeaseExpired
                | Self::FlowRate
        )
    }
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
