//! Step 44: what becomes of connections when the daemon is gone.

use crate::frames::{ACK, CLIENT_MAC, Inside, SYN, answer, frame, web};
use crate::scene::{Scene, Way};
use crate::usual::{ALICE, LONG_AGO, WEB, grant, port, session};
use gateway_common::abi::{AppEntry, Grant};
use gateway_common::{DropReason, KernelNanos, Packet, Verdict};
use gateway_userspace::policy::{AllowListId, Step};

/// A segment from the middle of the connection that `web` opens.
fn more() -> Vec<u8> {
    frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, ACK), 0)
}

/// The daemon's word counts until then.
fn lease(scene: &mut Scene, until: KernelNanos) {
    scene.kernel.lease_until(until);
    scene.twin.lease_until = until;
}

/// `web` can be reached without a daemon.
fn outlasting() -> Step {
    port(11, Packet::TCP, 443, AppEntry::new(WEB, false).outlasting(true))
}

#[test]
fn without_a_daemon_no_connection_begins_and_open_ones_end_in_both_directions() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    scene.forwards(&more());
    scene.forwards_to_client(&answer(ACK));
    lease(&mut scene, LONG_AGO);
    scene.drops(&more(), DropReason::LeaseExpired);
    scene.drops_to_client(&answer(ACK), DropReason::LeaseExpired);
    scene.drops(&web(), DropReason::LeaseExpired);
}

#[test]
fn a_daemon_that_is_back_lets_connections_go_on() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    lease(&mut scene, LONG_AGO);
    scene.drops(&more(), DropReason::LeaseExpired);
    lease(&mut scene, KernelNanos::NEVER);
    scene.forwards(&more());
    scene.forwards_to_client(&answer(ACK));
}

#[test]
fn an_app_that_outlasts_the_daemon_is_reached_without_it_and_judged_like_any_other() {
    let mut scene = Scene::usual();
    scene.apply([outlasting()]);
    lease(&mut scene, LONG_AGO);
    scene.forwards(&web());
    scene.forwards(&more());
    scene.forwards_to_client(&answer(ACK));
    let mut less = session("10.77.0.2");
    less.allow_list = AllowListId(2);
    scene.apply([Step::UpdateSession(ALICE, less)]);
    scene.drops(&more(), DropReason::NoGrant);
}

#[test]
fn an_open_connection_learns_what_its_app_says_when_it_is_judged_anew() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    scene.apply([outlasting()]);
    lease(&mut scene, LONG_AGO);
    scene.drops(&more(), DropReason::LeaseExpired);
    // Another list with the same apps: the connection is judged by it.
    let mut moved = session("10.77.0.2");
    moved.allow_list = AllowListId(4);
    scene.apply([grant(4, WEB, Grant::UNLIMITED), Step::UpdateSession(ALICE, moved)]);
    scene.forwards(&more());
    assert_eq!(scene.judge(Way::Out, &answer(ACK)), Verdict::Forward);
}

#[test]
fn the_reasons_of_session_and_policy_come_before_the_daemons() {
    let mut scene = Scene::usual();
    lease(&mut scene, LONG_AGO);
    let vault = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.11", Inside::Tcp(40_000, 22, SYN), 0);
    scene.drops(&vault, DropReason::NoGrant);
    scene.apply([Step::EndSession(ALICE)]);
    scene.drops(&web(), DropReason::SessionRevoked);
}
