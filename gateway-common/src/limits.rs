//! How much a session, or a source, may do: rates as debts, destinations in a window, bytes of a budget.
//!
//! Several CPUs may judge packets of one session at once, and reading a word and writing back what was computed from it
//! may lose one of their updates: then a little more passes. Nothing here gives access.

use crate::abi::{BudgetKey, Flow, Limits, Session, SourceKey};
use crate::mutant::{self, Mutant::*};
use crate::{Address, Direction, DropReason, KernelNanos, Packet, Tables, Word};

/// A second, in nanoseconds.
const SECOND: u64 = 1_000_000_000;
/// How far a session's bytes may be ahead of what is paid for.
const BYTES_AHEAD: u64 = 250_000_000;
/// Spreads destinations over the places: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Adds a cost to a debt, unless the debt is `ahead` or more already.
#[inline(always)]
fn charge(paid: &Word, now: KernelNanos, cost: u64, ahead: u64) -> bool {
    let until = paid.load().max(mutant::unless(SaveUnusedRate, now.0, 0));
    if until.saturating_sub(now.0) >= ahead.saturating_add(mutant::is(RateOffByOne).into()) {
        return false;
    }
    paid.store(until.saturating_add(cost));
    true
}

/// Whether an app can be reached now, as a flow remembers it: without a daemon only for so long.
#[inline(always)]
pub fn lease<T: Tables>(tables: &T, app: u64, now: KernelNanos) -> Result<(), DropReason> {
    let outlasts = app & Flow::OUTLASTS != 0 && !mutant::is(LeaseOfEveryApp) || mutant::is(IgnoreLease);
    if outlasts || !tables.lease_until().has_passed(now) { Ok(()) } else { Err(DropReason::LeaseExpired) }
}

/// Whether the session may open one more flow now.
#[inline(always)]
pub fn flow(limits: &Limits, now: KernelNanos) -> Result<(), DropReason> {
    let interval = limits.flow_interval.load();
    if interval == 0 || mutant::is(IgnoreFlowRate) || charge(&limits.flows_paid, now, interval, SECOND) {
        return Ok(());
    }
    Err(DropReason::FlowRate)
}

/// Whether the session's bandwidth has room for the packet.
#[inline(always)]
pub fn bandwidth(session: &Session, packet: &Packet, direction: Direction, now: KernelNanos) -> Result<(), DropReason> {
    if !session.is_metered() {
        return Ok(());
    }
    // At most 2^40 for a byte and 2^16 bytes.
    let cost = session.limits.byte_interval.load().wrapping_mul(packet.length.into()) >> 10;
    let [to_app, to_client] = &session.limits.bytes_paid;
    let paid = match direction {
        Direction::ToApp => to_app,
        Direction::ToClient => mutant::unless(OneBandwidthForBoth, to_client, to_app),
    };
    if charge(paid, now, cost, BYTES_AHEAD) { Ok(()) } else { Err(DropReason::BandwidthExceeded) }
}

/// Whether a source may send one more packet to the gateway itself. A table that refuses a source refuses the packet.
#[inline(always)]
pub fn source<T: Tables>(tables: &T, zone: u32, source: Address, now: KernelNanos) -> Result<(), DropReason> {
    let interval = tables.settings().service_interval;
    if interval == 0 || mutant::is(IgnoreSourceRate) {
        return Ok(());
    }
    let key = SourceKey { source, zone, reserved: 0 };
    match tables.source(&key) {
        Some(paid) if charge(&paid, now, interval, SECOND) => Ok(()),
        None if mutant::is(ForgiveFullSources) => Ok(()),
        _ => Err(DropReason::RateLimited),
    }
}

/// A source as the limit sees it: of IPv6 the first half, because a host has all of the second.
#[inline(always)]
#[must_use]
pub fn origin(source: Address) -> Address {
    if source.to_v4().is_some() || mutant::is(CountEachHost) {
        return source;
    }
    let [high, _] = source.words();
    Address::from_words([high, 0])
}

/// A hardware address as the limit sees it.
#[inline(always)]
#[must_use]
pub const fn hardware(mac: [u8; 6]) -> Address {
    let [a, b, c, d, e, f] = mac;
    Address([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d, e, f])
}

/// Whether the packet goes to one destination more than its session may try in a second.
#[inline(always)]
pub fn scans(limits: &Limits, token: u64, packet: &Packet, now: KernelNanos) -> bool {
    let most = limits.destinations.load();
    if most == 0 {
        return false;
    }
    if now.since(KernelNanos(limits.window.load())) >= SECOND && !mutant::is(WindowNeverEnds) {
        limits.window.store(now.0);
        limits.tried.store(0);
    }
    let tried = limits.tried.load();
    let place = 1_u64 << place(token, packet);
    if tried & place != 0 {
        return false;
    }
    if u64::from(tried.count_ones()) >= most.saturating_add(mutant::is(ScanOffByOne).into()) {
        return true;
    }
    limits.tried.store(tried | place);
    false
}

/// Which of 64 places a destination has, for this session alone.
#[inline(always)]
fn place(token: u64, packet: &Packet) -> u32 {
    let [high, low] = packet.destination.words();
    let port = u64::from(packet.protocol) << 16 | u64::from(packet.destination_port);
    let mixed = u64::from_be(high) ^ u64::from_be(low).rotate_left(23) ^ port ^ token;
    (mixed.wrapping_mul(SPREAD) >> 58) as u32
}

/// Counts the packet for the app's budget, if the flow's app has one. `renewed` is the budget of a grant that has just
/// been judged.
#[inline(always)]
pub fn budget<T: Tables>(
    tables: &T,
    token: u64,
    app: u64,
    packet: &Packet,
    renewed: Option<u64>,
) -> Result<(), DropReason> {
    if app & Flow::BUDGETED == 0 {
        return Ok(());
    }
    let key = BudgetKey { token: mutant::unless(BudgetOfEverybody, token, 0), app: app as u32, reserved: 0 };
    let budget = tables.budget(&key).ok_or(DropReason::BudgetTableFull)?;
    if let Some(limit) = renewed
        && !(mutant::is(KeepOldBudget) && budget.used.load() > 0)
    {
        budget.limit.store(limit);
    }
    if budget.used.load() >= budget.limit.load().saturating_add(mutant::is(BudgetOffByOne).into()) {
        return Err(DropReason::BudgetExceeded);
    }
    budget.used.add(packet.length.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: KernelNanos = KernelNanos(100 * SECOND);

    const fn after(nanos: u64) -> KernelNanos {
        START.after(nanos)
    }

    #[test]
    fn debt_grows_by_each_unit_and_is_paid_by_time() {
        let paid = Word::default();
        assert!(charge(&paid, START, SECOND / 2, SECOND));
        assert!(charge(&paid, START, SECOND / 2, SECOND));
        assert!(!charge(&paid, START, SECOND / 2, SECOND), "a second ahead");
        assert!(charge(&paid, after(1), SECOND / 2, SECOND));
        assert_eq!(paid.load(), START.0 + 3 * SECOND / 2);
    }

    #[test]
    fn nothing_is_saved_up_and_no_debt_wraps() {
        let paid = Word::from(1);
        assert!(charge(&paid, START, 5, SECOND));
        assert_eq!(paid.load(), START.0 + 5);
        assert!(charge(&paid, START, u64::MAX, SECOND));
        assert!(!charge(&paid, after(SECOND * 1_000), 1, SECOND));
    }

    #[test]
    fn flows_beyond_their_rate_are_refused_until_one_is_paid() {
        let limits = Limits { flow_interval: (SECOND / 4).into(), ..Limits::default() };
        for _ in 0..4 {
            assert_eq!(flow(&limits, START), Ok(()));
        }
        assert_eq!(flow(&limits, START), Err(DropReason::FlowRate));
        assert_eq!(flow(&limits, after(1)), Ok(()));
        assert_eq!(flow(&limits, after(2)), Err(DropReason::FlowRate));
        assert_eq!(flow(&Limits::default(), START), Ok(()), "0 is no limit");
    }

    #[test]
    fn bandwidth_is_counted_for_each_direction_and_only_where_there_is_a_limit() {
        // 1000 bytes a second: 100 bytes take a tenth of it.
        let limits = Limits { byte_interval: (1024 * SECOND / 1_000).into(), ..Limits::default() };
        let session = Session { binding: Session::METERED.into(), limits, ..Session::default() };
        let packet = Packet { length: 100, ..Packet::default() };
        let pass = |direction, nanos| bandwidth(&session, &packet, direction, after(nanos));
        for _ in 0..3 {
            assert_eq!(pass(Direction::ToApp, 0), Ok(()));
        }
        assert_eq!(pass(Direction::ToApp, 0), Err(DropReason::BandwidthExceeded));
        assert_eq!(pass(Direction::ToClient, 0), Ok(()));
        assert_eq!(pass(Direction::ToApp, 50_000_000), Err(DropReason::BandwidthExceeded));
        assert_eq!(pass(Direction::ToApp, 50_000_001), Ok(()));
        session.binding.store(0);
        assert_eq!(pass(Direction::ToApp, 0), Ok(()));
    }

    fn to(port: u16) -> Packet {
        Packet {
            destination: Address::v4([10, 0, 0, 1]),
            destination_port: port,
            protocol: Packet::TCP,
            ..Packet::default()
        }
    }

    #[test]
    fn one_destination_too_many_in_a_window_is_a_scan_and_marks_nothing() {
        let limits = Limits { destinations: 2.into(), ..Limits::default() };
        let other = (2..).find(|port| place(7, &to(*port)) != place(7, &to(1))).unwrap_or_default();
        let third = (other..).find(|port| ![1, other].iter().any(|p| place(7, &to(*p)) == place(7, &to(*port))));
        let third = third.unwrap_or_default();
        let is_scan = |port, nanos| scans(&limits, 7, &to(port), after(nanos));
        assert!(!is_scan(1, 0) && !is_scan(other, 0) && !is_scan(1, 0));
        assert!(is_scan(third, SECOND - 1));
        assert_eq!(limits.tried.load().count_ones(), 2);
        assert!(!is_scan(third, SECOND), "the next window");
        assert_eq!(limits.tried.load().count_ones(), 1);
        assert!(!scans(&Limits::default(), 7, &to(1), START), "0 is no limit");
    }

    #[test]
    fn places_are_spread_and_differ_between_sessions() {
        let places = |token| (1..=64).fold(0_u64, |tried, port| tried | 1 << place(token, &to(port)));
        assert!(places(7).count_ones() > 30);
        assert!((1..64).any(|port| place(7, &to(port)) != place(8, &to(port))));
    }

    #[test]
    fn source_is_an_ipv4_address_the_first_half_of_an_ipv6_one_or_a_hardware_address() {
        let v4 = Address::v4([10, 0, 0, 1]);
        assert_eq!(origin(v4), v4);
        let [one, other] = [1, 2].map(|last| Address([0xfd, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8, 8, 8, last]));
        assert_eq!(origin(one), origin(other));
        assert_ne!(origin(one), origin(Address([0xfd; 16])));
        assert_eq!(hardware([2, 0, 0, 0, 0, 9]).0[10..], [2, 0, 0, 0, 0, 9]);
    }
}
