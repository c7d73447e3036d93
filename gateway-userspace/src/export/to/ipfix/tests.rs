//! Collectors that listen, that are not there, and that hang up.

use super::*;
use crate::export::Endpoint;
use crate::export::form::samples::{denied, flow_end};
use std::net::SocketAddr;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(10);

fn settings(address: SocketAddr, transport: Transport, templates: Duration) -> IpfixSettings {
    let endpoint = Endpoint::parse(&address.to_string(), None).unwrap();
    let (domain, enterprise, message) = (7, 40_001, 1_400);
    IpfixSettings { endpoint, transport, domain, enterprise, message, templates }
}

/// The numbers of the sets in messages.
fn sets(mut messages: &[u8]) -> Vec<u16> {
    let number = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let mut found = Vec::new();
    while !messages.is_empty() {
        let (message, rest) = messages.split_at(number(messages, 2).into());
        let mut at = 16;
        while at < message.len() {
            found.push(number(message, at));
            at += usize::from(number(message, at + 2));
        }
        messages = rest;
    }
    found
}

async fn heard(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 65_535];
    let length = timeout(SOON, socket.recv(&mut bytes)).await.unwrap().unwrap();
    bytes.truncate(length);
    bytes
}

#[tokio::test]
async fn templates_come_before_the_first_records_and_again_in_time() {
    let collector = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let refresh = Duration::from_millis(200);
    let settings = settings(collector.local_addr().unwrap(), Transport::Udp, refresh);
    let mut sender = Sender::new(&settings);
    let begun = Instant::now();
    sender.send(&[flow_end()]).await.unwrap();
    assert_eq!((sets(&heard(&collector).await), sets(&heard(&collector).await)), (vec![2], vec![256]));
    // Until then records come alone.
    sender.send(&[denied()]).await.unwrap();
    let next = sets(&heard(&collector).await);
    assert!(next == [261] || begun.elapsed() >= refresh, "{next:?}");
    sleep(refresh).await;
    sender.send(&[flow_end()]).await.unwrap();
    while sets(&heard(&collector).await) != [2] {}
    assert_eq!(sets(&heard(&collector).await), [256]);
}

#[tokio::test]
async fn a_host_without_a_collector_is_noticed_and_the_next_one_is_told_everything() {
    let collector = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = collector.local_addr().unwrap();
    drop(collector);
    let mut sender = Sender::new(&settings(address, Transport::Udp, Duration::from_secs(60)));
    let failure = sender.send(&[flow_end()]).await.unwrap_err();
    assert!(matches!(&failure, Failure::Unreachable(what) if what.contains("refused")), "{failure}");
    let collector = UdpSocket::bind(address).await.unwrap();
    sender.send(&[flow_end()]).await.unwrap();
    assert_eq!((sets(&heard(&collector).await), sets(&heard(&collector).await)), (vec![2], vec![256]));
}

#[tokio::test]
async fn a_single_datagram_to_a_host_without_a_collector_is_noticed() {
    let collector = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut sender = Sender::new(&settings(collector.local_addr().unwrap(), Transport::Udp, Duration::from_secs(60)));
    sender.send(&[flow_end()]).await.unwrap();
    drop(collector);
    // The templates are known: there is no datagram after it that would fail.
    let failure = sender.send(&[denied()]).await.unwrap_err();
    assert!(matches!(&failure, Failure::Unreachable(what) if what.contains("refused")), "{failure}");
}

#[tokio::test]
async fn a_connection_has_the_templates_once_and_another_one_has_them_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = settings(listener.local_addr().unwrap(), Transport::Tcp, Duration::from_millis(1));
    let mut sender = Sender::new(&settings);
    sender.send(&[flow_end()]).await.unwrap();
    sender.send(&[denied()]).await.unwrap();
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut bytes = vec![0; 65_535];
    let mut length = 0;
    while sets(&bytes[..length]).len() < 3 {
        length += timeout(SOON, connection.read(&mut bytes[length..])).await.unwrap().unwrap();
    }
    assert_eq!(sets(&bytes[..length]), [2, 256, 261]);
    drop(connection);
    // That it is gone is noticed before records are written, or after: then they are sent again.
    if let Err(failure) = sender.send(&[flow_end()]).await {
        assert!(matches!(failure, Failure::Unreachable(_)), "{failure}");
        sender.send(&[flow_end()]).await.unwrap();
    }
    let (mut connection, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    let length = timeout(SOON, connection.read(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(sets(&bytes[..length])[0], 2);
    drop((connection, listener));
    assert!(matches!(sender.send(&[flow_end()]).await, Err(Failure::Unreachable(_))));
    assert!(matches!(sender.send(&[flow_end()]).await, Err(Failure::Unreachable(_))));
    let nowhere = IpfixSettings { endpoint: Endpoint::parse("nowhere.invalid:4739", None).unwrap(), ..settings };
    assert!(matches!(Sender::new(&nowhere).send(&[flow_end()]).await, Err(Failure::Unreachable(_))));
}
