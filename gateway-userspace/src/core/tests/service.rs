//! Services: who is one, what ends with a change of one, and whose address is whose.

use super::{Disk, alice, ask, core, end, login, sessions, with_alice};
use crate::core::{Core, CoreError, Login, Request, Who};
use crate::identity::{Binding, Credential, SecretHash, Service};
use crate::policy::{EndCause, Factor, Input, SessionToken, Source, User, UserName};
use crate::store::Write;
use gateway_common::KernelNanos;
use time::OffsetDateTime;

const PRINTER: [u8; 4] = [10, 0, 0, 9];

fn name(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

fn binding(address: [u8; 4]) -> Binding {
    Binding { address: address.into(), mac: Some([2, 0, 0, 0, 0, 9]) }
}

fn printer(address: [u8; 4]) -> Service {
    Service { binding: Some(binding(address)), ..Service::new(name("printer"), OffsetDateTime::UNIX_EPOCH) }
}

fn put(service: Service) -> Request {
    Request::PutService { user: User::new(service.name.clone()), service }
}

fn source(address: [u8; 4]) -> Source {
    let (zone_name, interface_name) = ("lan".into(), "lan0".into());
    Source {
        address: address.into(),
        zone: 1,
        zone_name,
        interface: 1,
        interface_name,
        mac: None,
        country: Default::default(),
    }
}

fn opens(token: u64, credential: Credential, address: [u8; 4]) -> Request {
    Request::Login(Box::new(Login {
        token: SessionToken(token),
        secret: SecretHash::from_bytes([0; 32]),
        who: Who::Service(name("printer"), credential),
        source: source(address),
        proof: [Factor::Binding].into(),
        deadline: KernelNanos(u64::MAX),
    }))
}

fn bound(token: u64, address: [u8; 4]) -> Request {
    opens(token, Credential::Binding(binding(address)), address)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, CoreError>) -> &'static str {
    match outcome {
        Err(CoreError::Service(refusal)) => refusal.label(),
        other => panic!("{other:?}"),
    }
}

async fn unopened(core: &Core) -> usize {
    core.read(|state| state.unopened().len()).await.unwrap()
}

#[tokio::test]
async fn a_binding_that_changes_takes_its_session_along_and_one_that_is_put_again_does_not() {
    let core = core(&Disk::default());
    ask(&core, put(printer(PRINTER))).await.unwrap();
    assert_eq!(unopened(&core).await, 1);
    ask(&core, bound(1, PRINTER)).await.unwrap();
    assert_eq!((unopened(&core).await, sessions(&core).await), (0, 1));
    let same = ask(&core, put(printer(PRINTER))).await.unwrap();
    assert_eq!((same.receipts.len(), sessions(&core).await), (0, 1));
    let moved = ask(&core, put(printer([10, 0, 0, 10]))).await.unwrap();
    assert_eq!(moved.receipts[0].cause, EndCause::ServiceChanged);
    assert_eq!((unopened(&core).await, sessions(&core).await), (1, 0));
    // Decided upon what was true when it was asked.
    assert_eq!(refused(ask(&core, bound(2, PRINTER)).await), "service_not_proved");
}

#[tokio::test]
async fn a_service_that_is_removed_or_disabled_has_no_session_and_opens_none() {
    let disk = Disk::default();
    let core = core(&disk);
    ask(&core, put(printer(PRINTER))).await.unwrap();
    ask(&core, bound(1, PRINTER)).await.unwrap();
    let off = User { enabled: false, ..User::new(name("printer")) };
    let done = ask(&core, Request::Policy(Input::PutUser(off))).await.unwrap();
    assert_eq!((done.receipts[0].cause, unopened(&core).await), (EndCause::UserDisabled, 0));
    ask(&core, bound(2, PRINTER)).await.unwrap_err();
    ask(&core, Request::Policy(Input::PutUser(User::new(name("printer"))))).await.unwrap();
    ask(&core, bound(3, PRINTER)).await.unwrap();
    let done = ask(&core, Request::RemoveService(name("printer"))).await.unwrap();
    assert_eq!((done.receipts[0].cause, unopened(&core).await), (EndCause::UserRemoved, 0));
    assert_eq!(refused(ask(&core, Request::RemoveService(name("printer"))).await), "service_unknown");
    assert_eq!(refused(ask(&core, bound(4, PRINTER)).await), "service_unknown");
    assert!(super::histories::kept(&disk.written.lock().unwrap()).services.is_empty());
}

#[tokio::test]
async fn a_service_that_is_removed_while_the_disk_is_full_proves_nothing_any_more() {
    let disk = Disk::default();
    let core = core(&disk);
    ask(&core, put(printer(PRINTER))).await.unwrap();
    disk.fill(true);
    ask(&core, Request::Policy(Input::RemoveUser(name("printer")))).await.unwrap_err();
    assert_eq!(core.read(|state| state.accounts.services.iter().count()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_person_is_no_service_and_a_service_has_no_password() {
    let core = with_alice(&Disk::default()).await;
    assert_eq!(
        refused(ask(&core, put(Service { name: name("alice"), ..printer(PRINTER) })).await),
        "service_is_person"
    );
    ask(&core, put(printer(PRINTER))).await.unwrap();
    let password = crate::identity::PasswordHash::of_nobody().clone();
    let set = Request::SetPassword { user: name("printer"), password: password.clone() };
    assert_eq!(refused(ask(&core, set).await), "service_no_password");
    let put = Request::PutUser { user: User::new(name("printer")), password: Some(password) };
    assert_eq!(refused(ask(&core, put).await), "service_no_password");
}

#[tokio::test]
async fn nobody_is_at_an_address_that_is_bound_to_a_service() {
    let core = with_alice(&Disk::default()).await;
    ask(&core, login(1)).await.unwrap();
    let done = ask(&core, put(printer([10, 0, 0, 2]))).await.unwrap();
    assert_eq!((done.receipts[0].cause, sessions(&core).await), (EndCause::ServiceChanged, 0));
    assert_eq!(refused(ask(&core, login(2)).await), "address_bound");
    ask(&core, bound(3, [10, 0, 0, 2])).await.unwrap();
    assert_eq!(refused(ask(&core, login(4)).await), "address_bound");
    ask(&core, alice(true)).await.unwrap();
}

#[tokio::test]
async fn a_bound_session_that_is_revoked_stays_closed_until_the_service_is_put_again() {
    let disk = Disk::default();
    let core = core(&disk);
    ask(&core, put(printer(PRINTER))).await.unwrap();
    ask(&core, bound(1, PRINTER)).await.unwrap();
    ask(&core, end(1)).await.unwrap();
    assert_eq!(unopened(&core).await, 0);
    assert_eq!(refused(ask(&core, bound(2, PRINTER)).await), "service_not_proved");
    assert!(disk.holds(|write| matches!(write, Write::PutService(service) if service.held)));
    ask(&core, put(printer(PRINTER))).await.unwrap();
    assert_eq!(unopened(&core).await, 1);
    ask(&core, bound(3, PRINTER)).await.unwrap();
}

#[tokio::test]
async fn a_bound_session_that_is_revoked_while_the_disk_is_full_stays_closed_too() {
    let disk = Disk::default();
    let core = core(&disk);
    ask(&core, put(printer(PRINTER))).await.unwrap();
    ask(&core, bound(1, PRINTER)).await.unwrap();
    disk.fill(true);
    ask(&core, end(1)).await.unwrap_err();
    assert_eq!(unopened(&core).await, 0);
    disk.fill(false);
    ask(&core, put(Service { name: name("other"), ..printer([10, 0, 0, 10]) })).await.unwrap();
    assert!(disk.holds(|write| matches!(write, Write::PutService(service) if service.held)));
}

#[tokio::test]
async fn an_unknown_group_changes_nothing_of_a_service() {
    let core = core(&Disk::default());
    ask(&core, put(printer(PRINTER))).await.unwrap();
    ask(&core, bound(1, PRINTER)).await.unwrap();
    let groups = [crate::policy::GroupName::new("nobody").unwrap()].into();
    let user = User { groups, ..User::new(name("printer")) };
    ask(&core, Request::PutService { user, service: printer([10, 0, 0, 10]) }).await.unwrap_err();
    let address = core.read(|state| state.accounts.services.iter().next().unwrap().binding.unwrap().address).await;
    assert_eq!((address.unwrap(), sessions(&core).await), (PRINTER.into(), 1));
}

#[tokio::test]
async fn the_last_use_of_a_service_is_stored_when_the_daemon_stops() {
    let disk = Disk::default();
    let core = core(&disk);
    ask(&core, put(printer(PRINTER))).await.unwrap();
    ask(&core, bound(1, PRINTER)).await.unwrap();
    drop(core);
    let is_stored = || disk.holds(|write| matches!(write, Write::PutService(s) if s.last_used.at().is_some()));
    let stored = async {
        while !is_stored() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), stored).await.unwrap();
    let kept = super::histories::kept(&disk.written.lock().unwrap());
    assert!(kept.services[0].last_used.at().is_some());
}
