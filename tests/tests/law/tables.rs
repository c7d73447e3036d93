//! Where the tables of a world do not go: an index that lags behind, a table without room, and limits to the instant and
//! to the byte.

use super::client::{APP, CLIENT, CLIENT_MAC, DEADLINE, INTERFACE, NOBODY, NOW, arp, from_to, judge, key, plane, udp};
use gateway_common::abi::{
    AppEntry, AppKey, Budget, BudgetKey, Flow, FlowKey, FragmentKey, Fragments, Grant, GrantKey, Interface, ServiceKey,
    Session, SessionKey, Settings, SourceKey, VlanKey,
};
use gateway_common::{Address, DropReason, KernelNanos, Packet, Tables, Verdict, Word, law};
use gateway_userspace::dataplane::MemoryDataPlane;
use gateway_userspace::policy::{AppSetId, BlockId};
use std::sync::Arc;

checks![
    a_slot_that_the_index_names_wrongly_is_nobodys,
    an_address_whose_index_entry_is_stale_may_be_claimed,
    a_source_that_the_table_refuses_is_beyond_its_rate,
    a_deadline_has_passed_at_the_very_instant_it_names,
    an_ipv6_packet_whose_length_cannot_be_counted_is_malformed,
    an_ipv4_connection_is_not_continued_by_its_addresses_in_ipv6,
    an_error_about_a_connection_passes_while_the_daemons_word_counts,
];

/// The twin, but the index leads to the client's slot from everywhere, and sources find no room.
struct Late(MemoryDataPlane);

impl Tables for Late {
    type Ref<'a, V: 'a> = Arc<V>;

    fn settings(&self) -> Settings {
        Settings { service_interval: 1, ..self.0.settings() }
    }

    fn epoch(&self) -> u64 {
        self.0.epoch()
    }

    fn begin_epoch(&self) {
        self.0.begin_epoch();
    }

    fn lease_until(&self) -> KernelNanos {
        self.0.lease_until()
    }

    fn interface(&self, index: u32) -> Option<Interface> {
        self.0.interface(index)
    }

    fn vlan(&self, key: &VlanKey) -> Option<&Interface> {
        self.0.vlan(key)
    }

    fn session(&self, _: &SessionKey) -> Option<&Session> {
        self.0.session(&key(CLIENT))
    }

    fn flow(&self, key: &FlowKey) -> Option<Arc<Flow>> {
        self.0.flow(key)
    }

    fn open_flow(&self, key: &FlowKey, begin: impl Fn(&Flow)) -> bool {
        self.0.open_flow(key, begin)
    }

    fn fragments(&self, key: &FragmentKey) -> Option<Arc<Fragments>> {
        self.0.fragments(key)
    }

    fn remember_fragments(&self, key: &FragmentKey, deadline: u64, first: u64) {
        self.0.remember_fragments(key, deadline, first);
    }

    fn source(&self, _: &SourceKey) -> Option<Arc<Word>> {
        None
    }

    fn budget(&self, key: &BudgetKey) -> Option<Arc<Budget>> {
        self.0.budget(key)
    }

    fn block(&self, app_set: u32, address: &Address) -> Option<u32> {
        self.0.block(app_set, address)
    }

    fn app(&self, key: &AppKey) -> Option<AppEntry> {
        self.0.app(key)
    }

    fn grant(&self, key: &GrantKey) -> Option<Grant> {
        self.0.grant(key)
    }

    fn service(&self, key: &ServiceKey) -> Option<u32> {
        self.0.service(key)
    }

    fn is_management(&self, source: &Address) -> bool {
        self.0.is_management(source)
    }
}

#[track_caller]
fn check(tables: &impl Tables, frame: &[u8], now: KernelNanos, expected: DropReason) {
    assert_eq!(judge(tables, frame, now).0.verdict, Verdict::Drop(expected));
}

fn a_slot_that_the_index_names_wrongly_is_nobodys() {
    let late = Late(plane());
    check(&late, &udp(CLIENT, APP, &[]), NOW, DropReason::AppUnknown);
    check(&late, &udp(NOBODY, APP, &[]), NOW, DropReason::NoSession);
    let mut packet = Packet::default();
    let answer = udp(APP, NOBODY, &[]);
    let verdict = law::egress(&answer[..], &mut packet, &late, INTERFACE, NOW).verdict;
    assert_eq!(verdict, Verdict::Drop(DropReason::NoSession));
}

fn an_address_whose_index_entry_is_stale_may_be_claimed() {
    let late = Late(plane());
    let stranger = [2, 0, 0, 0, 0, 9];
    check(&late, &arp(stranger, [10, 77, 0, 2]), NOW, DropReason::NeighbourSpoofed);
    check(&late, &arp(stranger, [10, 77, 0, 3]), NOW, DropReason::RateLimited);
}

fn a_source_that_the_table_refuses_is_beyond_its_rate() {
    let mut plane = plane();
    let own: Address = std::net::IpAddr::from([10, 77, 0, 1]).into();
    plane.services.insert(ServiceKey::own(own), ServiceKey::OWN_ADDRESS);
    plane.services.insert(ServiceKey::new(own, Packet::TCP, 443), ServiceKey::OPEN);
    let late = Late(plane);
    let mut frame = Vec::new();
    let ends = from_to([10, 77, 0, 2].into(), [10, 77, 0, 1].into());
    ends.tcp(40_000, 443, 1, 1_024).syn().write(&mut frame, &[]).unwrap();
    assert_eq!(judge(&late.0, &frame, NOW).0.verdict, Verdict::ToHost);
    check(&late, &frame, NOW, DropReason::RateLimited);
    check(&late, &arp(CLIENT_MAC, [10, 77, 0, 2]), NOW, DropReason::RateLimited);
}

fn a_deadline_has_passed_at_the_very_instant_it_names() {
    let plane = plane();
    let frame = udp(CLIENT, APP, &[]);
    check(&plane, &frame, KernelNanos(DEADLINE.0 - 1), DropReason::AppUnknown);
    check(&plane, &frame, DEADLINE, DropReason::SessionExpired);
}

fn an_ipv6_packet_whose_length_cannot_be_counted_is_malformed() {
    // More than a wire carries; a driver may put so much together. The UDP length fits either way.
    for (payload, expected) in [(65_495, DropReason::NoSession), (65_496, DropReason::IpMalformed)] {
        let frame = udp("fd77::2", "fd20::10", &vec![0; payload - 8]);
        assert_eq!(frame.len(), 14 + 40 + payload);
        check(&plane(), &frame, NOW, expected);
    }
}

/// Tables with an app that the client may reach over IPv4.
fn plane_with_app() -> MemoryDataPlane {
    let mut plane = plane();
    let app = AppKey { block: 1, port: 443_u16.to_be_bytes(), protocol: Packet::UDP, side: AppKey::SERVICE };
    plane.tables.app_prefixes.insert((AppSetId(1), "10.20.0.0/24".parse().unwrap()), BlockId(1));
    plane.tables.apps.insert(app, AppEntry::new(1, false));
    plane.tables.grants.insert(GrantKey { allow_list: 1, app: 1 }, Grant::UNLIMITED);
    plane
}

fn an_ipv4_connection_is_not_continued_by_its_addresses_in_ipv6() {
    let plane = plane_with_app();
    for opened in [true, false] {
        let (judgement, _) = judge(&plane, &udp(CLIENT, APP, b"datagram"), NOW);
        assert_eq!((judgement.verdict, judgement.opened), (Verdict::Forward, opened));
    }
    let mapped = udp("::ffff:10.77.0.2", "::ffff:10.20.0.10", b"datagram");
    assert_eq!(judge(&plane, &mapped, NOW).0.verdict, Verdict::Drop(DropReason::SourceInvalid));
}

fn an_error_about_a_connection_passes_while_the_daemons_word_counts() {
    let mut plane = plane_with_app();
    let request = udp(CLIENT, APP, b"datagram");
    assert_eq!(judge(&plane, &request, NOW).0.verdict, Verdict::Forward);
    let mut error = Vec::new();
    let router = from_to([10, 20, 0, 1].into(), [10, 77, 0, 2].into());
    router.icmpv4_raw(3, 1, [0; 4]).write(&mut error, &request[14..]).unwrap();
    let verdict =
        |plane: &MemoryDataPlane| law::egress(&error[..], &mut Packet::default(), plane, INTERFACE, NOW).verdict;
    for (until, expected) in [
        (KernelNanos(NOW.0 + 1), Verdict::Forward),
        (NOW, Verdict::Drop(DropReason::IcmpUnrelated)),
        (KernelNanos::NEVER, Verdict::Forward),
    ] {
        plane.lease_until = until;
        assert_eq!(verdict(&plane), expected);
    }
}
