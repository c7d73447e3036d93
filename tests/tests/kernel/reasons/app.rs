//! Steps 38 to 42: apps, grants and trip-wires.

use crate::frames::{ACK, CLIENT_MAC, Inside, SYN, answer, frame, vault, web, web_v6};
use crate::scene::{Scene, Way};
use crate::usual::{ALICE, LONG_AGO, VAULT, WEB, apps, grant, port, session};
use gateway_common::abi::{AppEntry, Grant, Session};
use gateway_common::{DropReason, Packet, Verdict};
use gateway_userspace::dataplane::DataPlane as _;
use gateway_userspace::dataplane::attach::InterfaceSettings;
use gateway_userspace::policy::{AllowListId, AppSetId, Step};

#[test]
fn destination_that_is_no_app_is_dropped_as_app_unknown() {
    let mut scene = Scene::usual();
    let inside = Inside::Tcp(40_000, 443, SYN);
    scene.drops(&frame(CLIENT_MAC, "10.77.0.2", "10.30.0.1", inside, 0), DropReason::AppUnknown);
    let port = Inside::Tcp(40_000, 444, SYN);
    scene.drops(&frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", port, 0), DropReason::AppUnknown);
    scene.drops(&frame(CLIENT_MAC, "10.77.0.2", "10.20.0.77", Inside::Ping(1), 0), DropReason::AppUnknown);
}

#[test]
fn app_that_is_not_granted_is_dropped_as_no_grant() {
    let mut scene = Scene::usual();
    let vault = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.11", Inside::Tcp(40_000, 22, SYN), 0);
    scene.drops(&vault, DropReason::NoGrant);
}

#[test]
fn policy_change_cuts_open_flows_in_both_directions_and_restoring_it_lets_them_through() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    let (mut less, more) = (session("10.77.0.2"), session("10.77.0.2"));
    less.allow_list = AllowListId(2);
    scene.apply([Step::UpdateSession(ALICE, less)]);
    assert_eq!(scene.judge(Way::Out, &answer(ACK)), Verdict::Drop(DropReason::NoGrant));
    scene.drops(&web(), DropReason::NoGrant);
    scene.apply([Step::UpdateSession(ALICE, more)]);
    scene.forwards(&web());
    assert_eq!(scene.judge(Way::Out, &answer(ACK)), Verdict::Forward);
}

#[test]
fn change_of_apps_takes_effect_when_the_session_moves_and_keeps_the_flows_that_remain_granted() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    let without_web =
        apps(AppSetId(2)).into_iter().filter(|step| !matches!(step, Step::PutApp(_, app) if app.0 == WEB));
    scene.apply(without_web.collect::<Vec<_>>());
    scene.forwards(&web());
    let mut moved = session("10.77.0.2");
    moved.app_set = AppSetId(2);
    scene.apply([Step::UpdateSession(ALICE, moved)]);
    scene.drops(&web(), DropReason::AppUnknown);
    assert_eq!(scene.judge(Way::Out, &answer(ACK)), Verdict::Drop(DropReason::AppUnknown));
}

#[test]
fn grant_past_its_deadline_is_dropped_as_grant_expired_also_in_an_open_connection() {
    let mut scene = Scene::usual();
    let mut entry = session("10.77.0.2");
    entry.allow_list = AllowListId(3);
    scene.apply([grant(3, WEB, Grant { deadline: LONG_AGO.0, ..Grant::UNLIMITED })]);
    scene.forwards(&web());
    scene.apply([Step::UpdateSession(ALICE, entry)]);
    scene.drops(&web(), DropReason::GrantExpired);
}

#[test]
fn login_too_long_ago_is_dropped_as_reauth_required() {
    let mut scene = Scene::usual();
    let mut entry = session("10.77.0.2");
    entry.allow_list = AllowListId(3);
    entry.authenticated_at = LONG_AGO;
    scene.apply([grant(3, WEB, Grant { max_authentication_age: 1_000, ..Grant::UNLIMITED })]);
    scene.apply([Step::UpdateSession(ALICE, entry)]);
    scene.drops(&web(), DropReason::ReauthRequired);
}

#[test]
fn touching_a_trip_wire_is_dropped_as_trip_wire_and_revokes_the_session_with_the_same_packet() {
    let mut scene = Scene::usual();
    scene.apply([port(12, Packet::TCP, 22, AppEntry::new(VAULT, true))]);
    scene.forwards(&web());
    scene.drops(&vault(), DropReason::TripWire);
    scene.drops(&vault(), DropReason::SessionRevoked);
    scene.drops(&web(), DropReason::SessionRevoked);
    scene.drops_to_client(&answer(ACK), DropReason::SessionRevoked);
    scene.forwards(&web_v6());
    assert_eq!(scene.kernel.revoked_in_kernel(), [ALICE]);
    assert_eq!(scene.twin.revoked_in_kernel(), [ALICE]);
}

#[test]
fn trip_wire_that_is_granted_is_a_trip_wire_all_the_same() {
    let mut scene = Scene::usual();
    scene.apply([grant(1, VAULT, Grant::UNLIMITED), port(12, Packet::TCP, 22, AppEntry::new(VAULT, true))]);
    scene.drops(&vault(), DropReason::TripWire);
    scene.drops(&web(), DropReason::SessionRevoked);
}

#[test]
fn trip_wire_on_an_interface_that_observes_revokes_nobody() {
    let mut scene = Scene::usual_where(InterfaceSettings { observe: true, ..InterfaceSettings::default() });
    scene.apply([port(12, Packet::TCP, 22, AppEntry::new(VAULT, true))]);
    scene.drops(&vault(), DropReason::TripWire);
    scene.drops(&vault(), DropReason::TripWire);
    scene.forwards(&web());
    assert_eq!(scene.kernel.revoked_in_kernel(), []);
    assert_eq!(scene.twin.session_slot(ALICE).unwrap().state.load(), Session::LIVE);
}

#[test]
fn trip_wire_revokes_nobody_for_what_a_server_sends() {
    let mut scene = Scene::usual();
    scene.forwards(&web());
    let mut moved = session("10.77.0.2");
    moved.app_set = AppSetId(2);
    scene.apply(apps(AppSetId(2)));
    scene.apply([port(21, Packet::TCP, 443, AppEntry::new(WEB, true)), Step::UpdateSession(ALICE, moved)]);
    scene.drops_to_client(&answer(ACK), DropReason::TripWire);
    scene.drops_to_client(&answer(ACK), DropReason::TripWire);
    assert_eq!(scene.kernel.revoked_in_kernel(), []);
    scene.drops(&web(), DropReason::TripWire);
    assert_eq!(scene.kernel.revoked_in_kernel(), [ALICE]);
}
