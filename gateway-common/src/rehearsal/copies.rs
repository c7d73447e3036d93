//! What the law writes to in a dry run, and how it is filled.

use crate::Word;
use crate::abi::{Budget, Carried, Flow, Fragments, Limits, Session};

/// What the law writes to in a dry run. One judgement needs one of each at most.
#[derive(Default, Debug)]
#[repr(C)]
pub struct Copies {
    pub(super) session: Session,
    pub(super) flow: Flow,
    pub(super) fragments: Fragments,
    pub(super) budget: Budget,
    pub(super) source: Word,
    pub(super) notes: Word,
    /// The words of [`crate::abi::Explained`].
    pub answer: [Word; 4],
}

#[inline(always)]
fn copy<const N: usize>(from: [&Word; N], to: [&Word; N]) {
    for (from, to) in from.into_iter().zip(to) {
        to.store(from.load());
    }
}

#[inline(always)]
pub(super) fn session(from: &Session, to: &Session) {
    let Session {
        state,
        policy,
        token,
        deadline,
        source,
        place,
        binding,
        authenticated_at,
        last_forwarded,
        dropped,
        quarantined_until,
        reserved: _,
        limits,
    } = from;
    copy([state, policy, token, deadline], [&to.state, &to.policy, &to.token, &to.deadline]);
    copy(source.each_ref(), to.source.each_ref());
    copy([place, binding, authenticated_at], [&to.place, &to.binding, &to.authenticated_at]);
    copy([last_forwarded, dropped, quarantined_until], [&to.last_forwarded, &to.dropped, &to.quarantined_until]);
    let Limits { flow_interval, byte_interval, destinations, flows_paid, bytes_paid, window, tried } = limits;
    let own = &to.limits;
    copy([flow_interval, byte_interval, destinations], [&own.flow_interval, &own.byte_interval, &own.destinations]);
    copy([flows_paid, window, tried], [&own.flows_paid, &own.window, &own.tried]);
    copy(bytes_paid.each_ref(), own.bytes_paid.each_ref());
}

#[inline(always)]
pub(super) fn flow(from: &Flow, to: &Flow) {
    let Flow {
        key,
        state,
        stamp,
        good_until,
        origin,
        last_seen,
        app,
        to_app,
        to_client,
        token,
        policy,
        deadline,
        life,
    } = from;
    copy(key.each_ref(), to.key.each_ref());
    copy([state, stamp, good_until, origin], [&to.state, &to.stamp, &to.good_until, &to.origin]);
    copy([last_seen, app, token, policy], [&to.last_seen, &to.app, &to.token, &to.policy]);
    copy([deadline, life], [&to.deadline, &to.life]);
    carried(to_app, &to.to_app);
    carried(to_client, &to.to_client);
}

#[inline(always)]
fn carried(from: &Carried, to: &Carried) {
    let Carried { packets, bytes, progress, way } = from;
    copy([packets, bytes, progress, way], [&to.packets, &to.bytes, &to.progress, &to.way]);
}

#[inline(always)]
pub(super) fn fragments(from: &Fragments, to: &Fragments) {
    let Fragments { deadline, first, later } = from;
    copy([deadline, first], [&to.deadline, &to.first]);
    copy(later.each_ref(), to.later.each_ref());
}

#[inline(always)]
pub(super) fn budget(from: &Budget, to: &Budget) {
    let Budget { used, limit } = from;
    copy([used, limit], [&to.used, &to.limit]);
}
