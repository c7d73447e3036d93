//! Mistakes that can be planted in the law, to see whether its tests notice. See `docs/testing.md`.
//!
//! Each stands in the law at the place where a programmer would make it, as a condition that is never met: without the
//! feature `mutants` [`is`] is a constant, and nothing of all this reaches a program. With it, [`plant`] chooses one
//! mistake for the calling thread. The feature does not build for the kernel, nor without debug assertions.

#[cfg(all(feature = "mutants", any(target_arch = "bpf", not(debug_assertions))))]
compile_error!("the feature `mutants` plants mistakes in the law: it is for its tests alone");

macro_rules! mutants {
    ($($name:ident $wrong:literal,)+) => {
        /// A mistake, in the order of the files that it is in.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Mutant {
            $(#[doc = $wrong] $name,)+
        }

        #[cfg(feature = "mutants")]
        impl Mutant {
            /// Every mistake.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What is wrong then.
            #[must_use]
            pub const fn wrong(self) -> &'static str {
                match self { $(Self::$name => $wrong,)+ }
            }
        }
    };
}

mutants! {
    // law.rs
    RememberDroppedFragments "a first fragment that was dropped is remembered, and the later ones pass",
    JudgeVlansAsUntagged "a tagged frame is judged by the interface, not by its VLAN",
    BelieveClaims "who claims an address by ARP or neighbour discovery is not looked at",
    ClaimGatewaysAddress "a client may claim an address of the gateway",
    ClaimByFrame "the hardware address of the frame is compared instead of the one in the message",
    HonourDeadClaims "a session that has expired still keeps others from its address",
    NeighbourRateByAddress "address resolution is counted for the IP address, which its sender chooses",
    AnswerStrangers "whoever uses another's address is told why the packet was dropped",
    AcceptReplyToNothing "an echo reply that nobody asked for opens a flow",
    ActWhereObserving "quarantine and trip-wires act on an interface that only observes",
    ScanWithoutQuarantine "a session that scans is not put into quarantine",
    TripWireDoesNotRevoke "who touches a trip-wire keeps the session",
    AppOpensWithAnything "an app may open a flow with a segment from the middle of a connection",
    GatewayOpens "an app at an address of the gateway may open flows toward clients",
    ErrorAboutDeadFlow "an ICMP error may quote a flow that no other packet could use any more",
    ErrorWithoutLease "an ICMP error may quote a flow that has ended with the daemon",
    IgnoreExpiry "the session's deadline is not compared",
    IgnoreQuarantine "a session in quarantine passes",
    ForgetRevocation "a revoked session passes",
    SkipMacBinding "the hardware address of a session is not compared",
    SkipInterfaceBinding "the interface of a session is not compared",
    OpenOwnAddresses "addresses of the gateway are judged like those of apps",
    AcceptOwnSource "a client may speak to the gateway from an address of the gateway",
    OpenManagement "everybody reaches the management services",
    AnswerEveryDrop "each denial of a session is answered, whatever its reason",

    // law/established.rs
    IgnoreEpoch "what took access away since the flow was judged does not matter on the short way",
    ShortWayForever "the end of session and grant is not compared on the short way",
    ShortWayWithoutLease "a flow takes the short way although the daemon has not been heard of for too long",
    ShortWayIdle "a flow that was silent too long takes the short way",
    ShortWayUnmetered "a session with a bandwidth limit takes the short way, which does not count",
    ShortWayUncounted "an app with a budget is reached on the short way, which does not count",
    ShortWayFromAnywhere "where a packet comes from is not compared on the short way",
    ShortWayFragments "fragments take the short way",
    ShortWayMapped "an IPv6 packet with IPv4 addresses in mapped form takes the short way",
    ShortWayGroup "a frame for a group of hosts takes the short way",
    ShortWayEdge "the last segments of a connection take the short way, which does not look for them",
    ShortWayTrailing "bytes may follow a packet on the short way",
    ShortWayTagged "a packet whose tag is in the metadata takes the short way",
    ShortWayUdpLength "the length in the UDP header is not compared on the short way",
    ShortWayClosed "a closed connection takes the short way, which does not look whether it is closed",
    WayOfAnotherEpoch "a way that may have become another one is taken",
    WayUnwatched "a way is taken although nobody watches the routes any more",
    KeepWayInAnySlot "a way is remembered by a flow that has taken the slot of its own",
    KeepOldWay "the way in the other direction is remembered although it may have become another one",

    // law/entitlement.rs
    ForgetBudgets "flows do not remember that their app has a budget",
    JudgeAppFlowsAsService "a flow that an app opened is judged anew as if the client had",
    TripWireIsAnApp "a trip-wire is an app like any other",
    RefusalHasExpired "a refusal is taken for a grant that has expired, and is not told",
    GrantDeadlineWrongWay "the grant's deadline is compared the wrong way round",
    IgnoreReauthentication "the age of the login does not matter",
    FlowOutlivesLogin "a flow ends with the grant, not with the login that the grant asks for",
    SkipAnyPort "an app at any port is not found",
    AnyPortOfService "an app that may be reached at any port may open any port",

    // law/flow.rs
    FlowOutlivesSession "a flow of the session before counts for the one that follows at the address",
    InheritFlows "a flow of the session before is renewed for the one that follows at the address",
    IgnorePolicyWord "a flow counts under whatever policy it was judged by",
    IgnoreFlowDeadline "a flow counts after its grant has ended",
    IgnoreFullTable "a packet passes although the table of flows refused its flow",
    ForgetOpener "a flow does not remember that the app opened it",
    KeepOldDeadline "a flow that is judged anew keeps the deadline of the grant before",
    ForgetOtherEnd "the second end that closes takes the place of the first",

    // limits.rs
    IgnoreLease "apps that end with the daemon can be reached without it",
    LeaseOfEveryApp "apps that outlast the daemon end with it",
    RateOffByOne "a rate refuses a moment later than it should",
    SaveUnusedRate "what was not used of a rate is saved for later",
    IgnoreFlowRate "new flows are not counted",
    OneBandwidthForBoth "both directions pay from one bandwidth",
    IgnoreSourceRate "packets to the gateway are not counted",
    ForgiveFullSources "a source that the table refuses has no rate",
    CountEachHost "each of the many addresses of an IPv6 host has a rate of its own",
    WindowNeverEnds "the window of destinations never ends",
    ScanOffByOne "a session may try one destination more than the limit says",
    BudgetOfEverybody "all sessions use up one budget",
    KeepOldBudget "a change of an app's budget does not reach sessions that use it",
    BudgetOffByOne "a packet passes when the budget is used up exactly",

    // fragments.rs
    FragmentsOfAnyProtocol "IPv4 fragments are put together whatever their protocol",
    FragmentsOfEitherWay "fragments of both directions are put together",
    ShortIdentification "half of the identification of IPv6 fragments is compared",
    FragmentsForever "a first fragment is remembered for ever",
    OverlapFirst "a later fragment may overlap the first one, and its transport header",
    OverlapLater "later fragments may overlap each other",
    AnyNumberOfStretches "a fragment passes that cannot be remembered",
    RepeatTcpFlags "each fragment of a TCP segment has its flags",
    StretchesNeverMerge "each later fragment takes a place of its own",

    // verdict.rs
    RefuseWhereRejecting "a refusal is told only where every denial is",

    // packet.rs and abi.rs
    ServerBegins "a SYN from the other side counts as part of the flow",
    ReopenFlow "a flow that is over carries a new connection",
    ReplyFromOpener "an echo reply passes in the direction of the request",
    FinOfClientOnly "a FIN of either side counts as the client's",
    SctpNeverEnds "an SCTP connection that was aborted is open",
    QuoteEitherWay "an ICMP error may quote an echo request that nobody sent",
    PadWithoutLink "padding is admitted where no link layer pads",
    AcceptGroupFrames "a frame to a group may carry a packet for one host",
    AcceptAnyDestination "any destination will do",
    AcceptOwnDestination "a packet may have its destination as its source",
    IgnoreTracking "fragments pass on an interface that does not track them",
    AcceptPingOfDeath "fragments may reach beyond the longest packet",
    BelieveStaleIndex "a slot of the table of sessions is used although it is another's by now",
    IdleLikeUdp "each flow is remembered as long as one of UDP",
    ClosedFlowsLinger "a closed connection is remembered as long as an open one",
    FlowsOfAnyZone "flows of different zones have the same key",
    FlowsOfAnyProtocol "flows of different protocols have the same key",

    // address.rs and time.rs
    AcceptReserved "IPv4 multicast and reserved addresses are hosts",
    DeadlineCounts "the instant of a deadline is still within it",

    // packet/ethernet.rs
    IgnoreRemovedTag "a tag beside the frame is not looked at",
    RemovedTagIsFree "a tag beside the frame does not count, so a third one is read",
    CountPriorityTags "a tag of VLAN 0 is taken for a VLAN",
    PriorityIsNumber "the priority in a tag is taken for a part of its number",

    // packet/extension.rs
    AdmitExtensions "harmless extension headers pass everywhere",
    HopByHopAnywhere "a hop-by-hop header may be the second one",
    LongExtensions "an extension header may be of any length",
    ExtensionsBeyondPacket "an extension header may end behind the packet",
    OptionsBeyondHeader "the last option of an extension header may end behind it",
    AtomicIsFragment "a fragment header of a whole packet makes a fragment of it",
    RoutingHeaders "headers that are never harmless pass behind others",
    SwapIdentification "the identification of an IPv6 fragment is read in the wrong order",

    // packet/icmp_error.rs
    TinyMtu "an IPv4 error may announce an MTU that cripples a connection",
    TinyMtuV6 "an IPv6 error may announce an MTU that cripples a connection",
    ShortQuote "a quotation may end before the ports are sure to be there",
    QuoteOfAnybody "the quoted packet may have been sent by anybody",
    QuoteLaterFragment "a quoted later fragment is taken to have ports",
    QuotedOptions "options of the quoted packet are taken for its ports",
    SwapQuotedPort "a quoted port is read in the wrong order",

    // packet/ipv4.rs and packet/option.rs
    ReservedFlag "the reserved flag may be set",
    TrailingBytes "bytes may follow an IPv4 packet",
    AdmitOptions "harmless IPv4 options pass everywhere",
    ForgetOptions "it is forgotten that a packet has options",
    LastFragmentIsWhole "the last fragment of an IPv4 packet is taken for a whole one",
    AnyOption "any IPv4 option is harmless",
    UnlimitedOptions "what is behind the tenth option does not matter",

    // packet/ipv6.rs
    BeyondFrameV6 "an IPv6 packet may be longer than its frame",
    LongV6 "an IPv6 packet may be longer than its length can be counted",
    MappedSource "an IPv6 packet may come from an IPv4 address in mapped form",
    MappedDestination "an IPv6 packet may go to an IPv4 address in mapped form",

    // packet/neighbour.rs
    ArpOfGroup "an ARP packet may announce a group's hardware address",
    AnyHopLimit "neighbour discovery may come from another link",
    DiscoveryWithExtras "neighbour discovery may be in a fragment or behind extension headers",
    AcceptRouters "clients may advertise routers",
    ClaimSource "an advertisement is taken to claim its source, not its target",
    ClaimForNobody "the unspecified address may have a hardware address",
    LastLinkAddress "of several hardware addresses in a message the last one counts",

    // packet/transport.rs
    TinyFragments "a first fragment may end inside its transport header",
    OtherFamilysIcmp "ICMPv6 passes in IPv4",
    SynWithFin "SYN and FIN, or RST and FIN, pass together",
    NeedsNoAck "TCP segments without SYN, RST and ACK pass",
    TcpPortZero "TCP may have port 0",
    FinIsNoNumber "FIN takes no sequence number",
    UdpLengthAsGiven "the length in the UDP header is not compared",
    ChunkUnread "the first chunk of an SCTP packet is not read",
    ErrorInFragments "an ICMP error may be fragmented",
    AnyEchoCode "an echo may have any code",
    SwapPort "the destination port is read in the wrong order",

    // answer.rs
    AnswerResets "a reset is answered",
    AnswerErrors "ICMP errors and echo replies are answered",
    AnswerFragments "fragments are answered",
    AnswerTooShort "a packet that is too short to be quoted is answered",
    AnswerExtras "packets with options are answered as if they had none",
    Icmp6WithoutPseudo "the checksum of ICMPv6 leaves the pseudo header out",
    FoldOnce "a second carry of a checksum is lost",
    ResetFromZero "a reset begins at 0 instead of what was acknowledged",
    ResetAcknowledgesItself "a reset acknowledges the wrong number",
    ResetWithoutAck "a reset of a SYN acknowledges nothing",
    ShortQuotation "an ICMP error quotes four bytes too few",
    HeaderInPayloadLength "the length in an IPv6 header counts the header, too",
}

/// Whether this mistake is planted: never.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}

/// The right value, or the wrong one if this mistake is planted.
#[inline(always)]
pub(crate) fn unless<T>(mutant: Mutant, right: T, wrong: T) -> T {
    if is(mutant) { wrong } else { right }
}

#[cfg(feature = "mutants")]
pub(crate) use planted::is;
#[cfg(feature = "mutants")]
pub use planted::plant;

/// One for each thread, so that several can be tried at once.
#[cfg(feature = "mutants")]
mod planted {
    extern crate std;
    use super::Mutant;
    use core::cell::Cell;

    std::thread_local! {
        static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Plants a mistake in the law as the calling thread runs it, in place of the one before.
    pub fn plant(mutant: Option<Mutant>) {
        PLANTED.set(mutant);
    }

    /// Whether this mistake is planted.
    #[inline(always)]
    pub(crate) fn is(mutant: Mutant) -> bool {
        PLANTED.get() == Some(mutant)
    }
}
