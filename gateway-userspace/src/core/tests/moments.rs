//! What comes with the time comes by itself.

use super::*;
use crate::policy::{App, AppName, Protocol, Service, Timestamp};

fn wiki() -> Request {
    let services = [Service { protocol: Protocol::Tcp, ports: Some((443, 443)) }].into();
    let name = AppName::new("wiki").unwrap();
    let prefixes = ["192.0.2.7/32".parse().unwrap()].into();
    Request::Policy(Input::PutApp(App { prefixes, services, ..App::new(name) }))
}

async fn reach(core: &Core) -> usize {
    core.read(|state| state.gateway.sessions().map(|session| session.permitted.len()).sum()).await.unwrap()
}

#[tokio::test]
async fn a_policy_expires_although_nobody_asks_and_the_disk_is_full() {
    let disk = Disk::default();
    let core = with_alice(&disk).await;
    ask(&core, wiki()).await.unwrap();
    let soon = Timestamp::now().checked_add(std::time::Duration::from_secs(1)).unwrap();
    let text = format!("@expires(\"{soon}\") permit (principal, action, resource);");
    ask(&core, Request::Policy(Input::put_policy(&text, None).unwrap())).await.unwrap();
    ask(&core, login(1)).await.unwrap();
    assert_eq!(reach(&core).await, 1);
    disk.fill(true);
    let gone = async { while reach(&core).await != 0 {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.unwrap();
    assert!(Timestamp::now() >= soon);
}
