//! Each reason for which the gate drops a packet, as the end of a sentence, and what to do next.

use gateway_common::DropReason;

/// Why, and what next.
pub(super) struct Because {
    /// The end of "Alice cannot reach crm: ".
    pub clause: &'static str,
    /// What to do, in sentences.
    pub next_step: &'static str,
}

const fn because(clause: &'static str, next_step: &'static str) -> Because {
    Because { clause, next_step }
}

const LOOK_AT_THE_CLIENT: &str =
    "Look at the client, or at what is between it and the gate: honest ones send no such packets.";
const LOG_IN: &str = "Log in at the portal, or with `portcullis login`.";

/// What the reason means for whoever asks why.
pub(super) const fn of(reason: DropReason) -> Because {
    use DropReason as R;
    match reason {
        R::InterfaceUnknown => because(
            "the gate knows nothing of the interface that the packet arrives on",
            "Restart the daemon, and look at its log.",
        ),
        R::Truncated => because("the packet ends before it should", LOOK_AT_THE_CLIENT),
        R::LinkMulticast => because("the packet was sent to many hosts at once", LOOK_AT_THE_CLIENT),
        R::VlanUnknown => because(
            "the interface does not carry the VLAN that the packet comes from",
            "Name the VLAN in the configuration of the interface, or find out who uses it.",
        ),
        R::NotIp => because("the packet is neither IPv4 nor IPv6", LOOK_AT_THE_CLIENT),
        R::ArpMalformed => because("the ARP packet is not well-formed", LOOK_AT_THE_CLIENT),
        R::NeighbourInvalid => because("the packet of neighbour discovery is not valid here", LOOK_AT_THE_CLIENT),
        R::NeighbourSpoofed => because(
            "the packet claims an address of the gateway or of another session",
            "Find the host with that hardware address: two hosts use one address, or one pretends to be another.",
        ),
        R::IpMalformed => because("the packet's IP header contradicts itself", LOOK_AT_THE_CLIENT),
        R::TrailingBytes => because("there are bytes behind the packet that belong to nothing", LOOK_AT_THE_CLIENT),
        R::IpOptions => because(
            "the packet carries IP options that the interface does not admit",
            "Send without them, or admit harmless ones in the configuration of the interface.",
        ),
        R::IpExtension => because(
            "the packet carries an IPv6 extension header that the interface does not admit",
            "Send without it, or admit harmless ones in the configuration of the interface.",
        ),
        R::Fragment => because(
            "the packet is a fragment, and the interface does not track fragments",
            "Lower the MTU of the client, or track fragments in the configuration of the interface.",
        ),
        R::FragmentTiny => because("the first fragment is too short for its header", LOOK_AT_THE_CLIENT),
        R::FragmentStray => because(
            "a later fragment arrived without its first one",
            "Try again; if it stays so, lower the MTU of the client.",
        ),
        R::FragmentOverlap => because("fragments overlap each other", LOOK_AT_THE_CLIENT),
        R::SourceInvalid => because(
            "no host on a routed network can have the address that the packet comes from",
            "Look at the address of the client, and how it got it.",
        ),
        R::DestinationInvalid => because(
            "the address is not that of one host on a routed network",
            "Ask for the address of a host: broadcast, multicast and link-local ones are not passed on.",
        ),
        R::ProtocolUnsupported => because("the protocol cannot be granted to anybody", "Use another protocol."),
        R::TransportMalformed => {
            because("the packet's header contradicts itself, or a port is 0", "Ask for a port from 1 to 65535.")
        }
        R::TcpFlags => because("the packet has TCP flags that do not belong together", LOOK_AT_THE_CLIENT),
        R::IcmpType => because("of ICMP only echo passes, and errors of live connections", "Use echo: `ping`."),
        R::RateLimited => because(
            "this source sends more to the gateway itself than it accepts",
            "Wait a second; find out what the client sends, or raise `limits.service_packets_per_second`.",
        ),
        R::OwnAddress => because(
            "that is an address of the gateway itself, and no service of it for this client is there",
            "Ask for the address of the app. Administration is reached from the management prefixes only.",
        ),
        R::NoSession => because("nobody is logged in at this address", LOG_IN),
        R::SessionRevoked => because(
            "the session's access was taken away",
            "The access log says by whom and why. Then log in again, if that is still permitted.",
        ),
        R::SessionExpired => because("the session is over", "Log in again."),
        R::SessionQuarantined => because(
            "the session tried too many destinations, and is held for a while",
            "Wait until `limits.quarantine` is over, and find out which program tried them; or raise \
             `limits.destinations_per_second`.",
        ),
        R::SourceSpoofed => because(
            "the address belongs to a session that is bound to another interface or hardware address",
            "Log in again from where the client is now; if somebody else uses the address, find them.",
        ),
        R::ScanDetected => because(
            "that would be one destination more than a session may try in a second",
            "Do not try it now: find out which program tries so many, or raise `limits.destinations_per_second`.",
        ),
        R::AppUnknown => because(
            "no app is there",
            "Look at address, protocol and port. If they are right, define the app, and permit it.",
        ),
        R::TripWire => because(
            "it is a trip-wire, and whoever touches it loses the session",
            "Do not connect to it. If something has, find out what.",
        ),
        R::NoGrant => because("no policy permits it", "If they need it, ask whoever writes the policies."),
        R::GrantExpired => because("the permission has expired", "Ask whoever writes the policies to prolong it."),
        R::ReauthRequired => because("the last login is too old for it", "Log in again."),
        R::LeaseExpired => because(
            "the gateway's daemon has not been heard of for too long, and the app asks for it",
            "Restart the daemon, and look at its log.",
        ),
        R::FlowRate => because(
            "the session opens more connections in a second than it may",
            "Wait a second, and look at the client; or raise `limits.new_flows_per_second`.",
        ),
        R::BandwidthExceeded => because(
            "the session sends or receives more in a second than it may",
            "Wait a second: senders slow down by themselves. Or raise the limit.",
        ),
        R::BudgetExceeded => because(
            "the session has exchanged all the bytes with this app that it may",
            "Log in again, or raise the `budget` of the app.",
        ),
        R::BudgetTableFull => because(
            "the gateway has no room to count the bytes of one more session with this app",
            "Raise `capacity.budgets` in the configuration.",
        ),
        R::FlowTableFull => {
            because("the gateway has no room for one more connection", "Raise `capacity.flows` in the configuration.")
        }
        R::NoFlow => because(
            "the packet answers nothing that the client asked for",
            "Begin the connection at the client, or say in the app's `opens` what it may begin.",
        ),
        R::IcmpUnrelated => because("the ICMP error is about no connection that is open", LOOK_AT_THE_CLIENT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_ends_a_sentence_and_has_a_next_step() {
        for reason in DropReason::ALL {
            let Because { clause, next_step } = of(*reason);
            let is_clause = clause.starts_with(|c: char| c.is_lowercase()) && !clause.ends_with('.');
            assert!(is_clause, "{}: {clause}", reason.label());
            let is_advice = next_step.starts_with(|c: char| c.is_uppercase()) && next_step.ends_with('.');
            assert!(is_advice, "{}: {next_step}", reason.label());
        }
    }
}
