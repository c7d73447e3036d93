use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use std::collections::BTreeSet;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const QUICK: Patience = Patience {
    connect: Duration::from_secs(5),
    progress: Duration::from_millis(300),
    settle: Duration::from_millis(300),
};

fn to(address: SocketAddr, tls: Option<&TlsSettings>) -> Stream {
    let mut stream = Stream::new(&Endpoint::parse(&address.to_string(), None).unwrap(), tls).unwrap();
    stream.patience = QUICK;
    stream
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn batch(numbers: std::ops::Range<u32>) -> Vec<u8> {
    numbers.flat_map(|number| format!("record {number}\n").into_bytes()).collect()
}

/// Reads until a line has come, or the end.
async fn read_to(peer: &mut TcpStream, last: &str) -> Vec<u8> {
    let mut found = Vec::new();
    while !found.ends_with(format!("{last}\n").as_bytes()) && peer.read_buf(&mut found).await.unwrap() != 0 {}
    found
}

/// Accepts a connection and reads until a line has come. It stays open as long as what comes back.
fn reads_to(listener: TcpListener, last: &'static str) -> JoinHandle<(Vec<u8>, TcpStream)> {
    tokio::spawn(async move {
        let mut peer = listener.accept().await.unwrap().0;
        (read_to(&mut peer, last).await, peer)
    })
}

#[tokio::test]
async fn batches_go_over_one_connection_in_their_order() {
    let (listener, address) = listen().await;
    let peer = reads_to(listener, "record 8");
    let mut stream = to(address, None);
    for start in [0, 3, 6] {
        stream.send(batch(start..start + 3)).await.unwrap();
    }
    assert_eq!(peer.await.unwrap().0, batch(0..9));
}

#[tokio::test]
async fn a_receiver_that_gives_up_in_the_middle_of_batches_loses_nothing() {
    let (listener, address) = listen().await;
    // Each connection is read for a while and then given up, most with something that was not read.
    let reader = tokio::spawn(async move {
        let mut lines = BTreeSet::new();
        for reads in 1.. {
            let mut peer = listener.accept().await.unwrap().0;
            let (mut text, mut piece) = (Vec::new(), [0; 10_007]);
            for _ in 0..reads {
                match peer.read(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(length) => text.extend_from_slice(&piece[..length]),
                }
            }
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            lines.extend(String::from_utf8_lossy(&text[..whole]).lines().map(str::to_owned));
            if lines.contains("the end") {
                break;
            }
        }
        lines
    });
    let mut stream = to(address, None);
    stream.patience.settle = Duration::ZERO;
    let mut batches: Vec<_> = (0..100).map(|number| batch(number * 200..(number + 1) * 200)).collect();
    // More than a connection that is given up can swallow: the last that is read comes after all others.
    batches.push(b"the end\n".to_vec());
    for batch in batches {
        let mut tries = 0;
        while let Err(failure) = stream.send(batch.clone()).await {
            tries += 1;
            assert!(tries < 1_000, "{failure}");
            if reader.is_finished() {
                break;
            }
        }
    }
    // What was believed and not read is sent again with whatever comes next.
    for _ in 0..1_000 {
        if reader.is_finished() {
            break;
        }
        let _ = stream.send(b"the end\n".to_vec()).await;
    }
    let lines = timeout(Duration::from_secs(20), reader).await.expect("the end is read").unwrap();
    let missing: Vec<_> =
        (0..20_000).map(|number| format!("record {number}")).filter(|line| !lines.contains(line)).collect();
    assert!(missing.is_empty(), "{} missing, from {:?} on", missing.len(), missing.first());
}

#[tokio::test]
async fn a_receiver_that_never_reads_is_left_and_gets_everything_from_the_next_connection() {
    let (listener, address) = listen().await;
    let mut stream = to(address, None);
    let large = batch(0..1_000_000);
    assert_eq!(stream.send(large.clone()).await, Err(Failure::TimedOut));
    let deaf = listener.accept().await.unwrap().0;
    assert!(stream.open.is_none(), "the connection is dropped");
    let reader = reads_to(listener, "record 999999");
    stream.send(large.clone()).await.unwrap();
    assert!(reader.await.unwrap().0 == large);
    drop(deaf);
}

#[tokio::test]
async fn what_a_reset_connection_may_have_swallowed_is_sent_again_before_anything_new() {
    let (listener, address) = listen().await;
    let mut stream = to(address, None);
    stream.patience.settle = Duration::ZERO;
    stream.send(batch(0..3)).await.unwrap();
    stream.send(batch(3..6)).await.unwrap();
    // All of it is acknowledged, and nobody has read it.
    drop(listener.accept().await.unwrap());
    let reader = reads_to(listener, "record 8");
    while stream.send(batch(6..9)).await.is_err() {}
    assert_eq!(reader.await.unwrap().0, batch(0..9));
}

#[tokio::test]
async fn a_connection_that_was_ended_in_order_is_made_again_without_complaint() {
    let (listener, address) = listen().await;
    let mut stream = to(address, None);
    let reader = tokio::spawn(async move {
        let mut first = listener.accept().await.unwrap().0;
        read_to(&mut first, "record 2").await;
        tokio::time::sleep(QUICK.settle * 2).await;
        drop(first);
        let mut second = listener.accept().await.unwrap().0;
        (read_to(&mut second, "record 5").await, second)
    });
    stream.send(batch(0..3)).await.unwrap();
    let open = stream.open.as_mut().unwrap();
    // The end arrives.
    let (mut read, _) = tokio::io::split(&mut open.io);
    assert!(matches!(timeout(Duration::from_secs(5), ended(&mut read, &open.socket)).await, Ok(End::InOrder)));
    stream.send(batch(3..6)).await.unwrap();
    assert_eq!(reader.await.unwrap().0, batch(3..6), "what was read is not sent again");
}

#[tokio::test]
async fn a_receiver_that_is_down_is_tried_again_when_it_is_back() {
    let (listener, address) = listen().await;
    drop(listener);
    let mut stream = to(address, None);
    let failure = stream.send(batch(0..3)).await.unwrap_err();
    assert!(matches!(&failure, Failure::Unreachable(why) if why.contains("refused")), "{failure}");
    let listener = TcpListener::bind(address).await.unwrap();
    let reader = reads_to(listener, "record 2");
    stream.send(batch(0..3)).await.unwrap();
    assert_eq!(reader.await.unwrap().0, batch(0..3));
}

#[tokio::test]
async fn a_receiver_that_closes_what_it_accepts_is_never_believed() {
    let (listener, address) = listen().await;
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let mut stream = to(address, None);
    for _ in 0..5 {
        let failure = stream.send(batch(0..3)).await.unwrap_err();
        assert!(matches!(failure, Failure::Unreachable(_)), "{failure}");
    }
}

#[tokio::test]
async fn a_receiver_may_say_something_but_not_without_end() {
    let (listener, address) = listen().await;
    let mut stream = to(address, None);
    let peer = tokio::spawn(async move {
        let mut peer = listener.accept().await.unwrap().0;
        peer.write_all(b"hello\n").await.unwrap();
        read_to(&mut peer, "record 2").await;
        peer
    });
    stream.send(batch(0..3)).await.unwrap();
    let _peer = peer.await.unwrap();
    let (listener, address) = listen().await;
    let mut stream = to(address, None);
    tokio::spawn(async move {
        let mut peer = listener.accept().await.unwrap().0;
        while peer.write_all(&[b'x'; 4_096]).await.is_ok() {}
    });
    let failure = stream.send(batch(0..1_000_000)).await.unwrap_err();
    assert!(matches!(failure, Failure::Contradictory(_)), "{failure}");
}

/// An authority, a server of it on this machine, and its file.
struct Tls {
    folder: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Tls {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.as_ref().pem()).unwrap();
        Self { folder, authority }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate for this name, in files of this name.
    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let paths = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        std::fs::write(&paths.0, params.signed_by(&key, &self.authority).unwrap().pem()).unwrap();
        std::fs::write(&paths.1, key.serialize_pem()).unwrap();
        paths
    }

    /// Accepts clients of the authority alone, if it is to look at them.
    fn acceptor(&self, looks: bool) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &self.authority).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.as_ref().der().clone()).unwrap();
        let builder = match looks {
            false => builder.unwrap().with_no_client_auth(),
            true => builder.unwrap().with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
            ),
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        // Not every server gives tickets, which would tell that it is content.
        config.send_tls13_tickets = 0;
        TlsAcceptor::from(Arc::new(config))
    }

    /// Reads what comes until this line.
    async fn serve(&self, looks: bool, last: &'static str) -> (SocketAddr, JoinHandle<String>) {
        let (listener, address) = listen().await;
        let acceptor = self.acceptor(looks);
        let reader = tokio::spawn(async move {
            loop {
                let Ok(mut peer) = acceptor.accept(listener.accept().await.unwrap().0).await else { continue };
                let mut found = Vec::new();
                while !found.ends_with(format!("{last}\n").as_bytes()) && peer.read_buf(&mut found).await.unwrap() != 0
                {
                }
                // Until the other end has gone.
                while peer.read(&mut [0; 64]).await.is_ok_and(|length| length != 0) {}
                return String::from_utf8(found).unwrap();
            }
        });
        (address, reader)
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_and_said_why() {
    let (tls, other) = (Tls::new("ours"), Tls::new("another"));
    let (address, _reader) = tls.serve(false, "record 2").await;
    let mut stream = to(address, Some(&TlsSettings { ca: Some(other.file("ca.pem")), identity: None }));
    let failure = stream.send(batch(0..3)).await.unwrap_err();
    let Failure::Unreachable(why) = &failure else { panic!("{failure}") };
    assert_eq!(why, "TLS: invalid peer certificate: UnknownIssuer");
    // Nor is one that is for another name.
    let mut stream = to(address, Some(&TlsSettings { ca: Some(tls.file("ca.pem")), identity: None }));
    stream.endpoint.host = ServerName::try_from("localhost").unwrap();
    let failure = stream.send(batch(0..3)).await.unwrap_err();
    assert!(failure.to_string().contains("certificate not valid for name \"localhost\""), "{failure}");
}

#[tokio::test]
async fn over_tls_both_ends_show_who_they_are() {
    let tls = Tls::new("ours");
    let (address, reader) = tls.serve(true, "record 199999").await;
    let identity = Some(tls.issue("gw1.example.org"));
    let mut stream = to(address, Some(&TlsSettings { ca: Some(tls.file("ca.pem")), identity }));
    stream.send(batch(0..100_000)).await.unwrap();
    stream.send(batch(100_000..200_000)).await.unwrap();
    drop(stream);
    assert_eq!(reader.await.unwrap().into_bytes(), batch(0..200_000));
}

#[tokio::test]
async fn a_gateway_that_is_not_let_in_does_not_believe_that_records_were_taken() {
    let (tls, other) = (Tls::new("ours"), Tls::new("another"));
    for identity in [None, Some(other.issue("gw1.example.org"))] {
        let (address, _reader) = tls.serve(true, "record 2").await;
        let mut stream = to(address, Some(&TlsSettings { ca: Some(tls.file("ca.pem")), identity }));
        for _ in 0..3 {
            let failure = stream.send(batch(0..3)).await.unwrap_err();
            assert!(matches!(failure, Failure::Unauthorized(_) | Failure::Unreachable(_)), "{failure}");
        }
    }
}

/// Accepts a connection and reads until a line has come.
async fn accept(acceptor: &TlsAcceptor, listener: &TcpListener, last: &str) -> (Vec<u8>, TlsStream<TcpStream>) {
    let mut peer = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
    let mut found = Vec::new();
    while !found.ends_with(format!("{last}\n").as_bytes()) && peer.read_buf(&mut found).await.unwrap() != 0 {}
    (found, peer)
}

/// A stream by TLS whose receiver has read three records: how it accepts others, and the connection at its end.
async fn of_three(tls: &Tls) -> (TcpListener, TlsAcceptor, Stream, TlsStream<TcpStream>) {
    let (listener, address) = listen().await;
    let acceptor = tls.acceptor(false);
    let mut stream = to(address, Some(&TlsSettings { ca: Some(tls.file("ca.pem")), identity: None }));
    stream.patience.settle = Duration::ZERO;
    let (sent, (_, peer)) = tokio::join!(stream.send(batch(0..3)), accept(&acceptor, &listener, "record 2"));
    sent.unwrap();
    (listener, acceptor, stream, peer)
}

#[tokio::test]
async fn a_farewell_of_tls_with_something_unread_is_no_end_in_order() {
    let tls = Tls::new("ours");
    let (listener, acceptor, mut stream, mut peer) = of_three(&tls).await;
    // The receiver's system has it, and nobody reads it any more.
    stream.send(batch(3..6)).await.unwrap();
    let (socket, session) = peer.get_mut();
    session.send_close_notify();
    let mut farewell = Vec::new();
    session.write_tls(&mut farewell).unwrap();
    socket.write_all(&farewell).await.unwrap();
    drop(peer);
    let reader = tokio::spawn(async move { accept(&acceptor, &listener, "record 8").await });
    let sent = async { while stream.send(batch(6..9)).await.is_err() {} };
    timeout(Duration::from_secs(10), sent).await.expect("it is sent");
    assert_eq!(reader.await.unwrap().0, batch(0..9));
}

#[tokio::test]
async fn a_farewell_of_tls_after_everything_was_read_is_an_end_in_order() {
    let tls = Tls::new("ours");
    let (listener, acceptor, mut stream, mut peer) = of_three(&tls).await;
    peer.shutdown().await.unwrap();
    drop(peer);
    let open = stream.open.as_mut().unwrap();
    let (mut read, _) = tokio::io::split(&mut open.io);
    assert!(matches!(timeout(Duration::from_secs(5), ended(&mut read, &open.socket)).await, Ok(End::InOrder)));
    let reader = tokio::spawn(async move { accept(&acceptor, &listener, "record 5").await });
    stream.send(batch(3..6)).await.unwrap();
    assert_eq!(reader.await.unwrap().0, batch(3..6), "what was read is not sent again");
}
