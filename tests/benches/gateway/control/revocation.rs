//! Sessions that are revoked one after the other, each in the middle of a download as fast as the link gives.

use super::filled::{Filled, REACHABLE, address, token};
use crate::measure::row::Row;
use anyhow::{Context as _, Result};
use gateway_tests::{HttpServer, Namespace, wait_until, world::at};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);
/// When a download counts as flowing.
const FLOWING: u64 = 1_000_000;

/// Three latencies. That of the last packet may be negative: flows tell the time by ticks.
pub fn measure(filled: &Filled) -> Result<Vec<Row>> {
    let (world, api) = (&filled.gate.world, &filled.gate.api);
    let server = HttpServer::start(&world.app, SocketAddr::new(at::APP, 8080), "")?;
    let SocketAddr::V4(server) = server.address()? else { anyhow::bail!("an IPv4 address was wanted") };
    let (mut enforced, mut last, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..REACHABLE {
        let source = address(number);
        world.client.ip(&[format!("address add {source}/24 dev eth0")])?;
        let bytes = download(&world.client, source, server)?;
        wait_until("the download to flow", SOON, || (bytes.load(Ordering::Relaxed) > FLOWING).then_some(()))?;
        let began = Instant::now();
        let receipt = api.delete(&format!("/v1/sessions/{}", token(number)))?.ok()?;
        seen.push(began.elapsed().as_secs_f64() * 1e6);
        enforced.push(receipt["enforced_after_us"].as_f64().with_context(|| format!("{receipt}"))?);
        last.push(receipt["last_packet_after_request_us"].as_f64().with_context(|| format!("{receipt}"))?);
    }
    let row = |metric, values| Row::new("revocation during a download", metric, "µs", values);
    Ok(vec![
        row("request taken up → in force", enforced),
        row("request taken up → last packet", last),
        row("seen by curl, TLS and all", seen),
    ])
}

/// Downloads from one of the client's addresses on a thread of its own, for as long as it is let. The bytes so far.
fn download(client: &Namespace, source: Ipv4Addr, server: SocketAddrV4) -> Result<Arc<AtomicU64>> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
    let stream = client.enter(|| -> Result<TcpStream> {
        let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(source, 0)))?;
        connect(fd.as_raw_fd(), &SockaddrIn::from(server))?;
        Ok(TcpStream::from(fd))
    })??;
    let bytes = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&bytes);
    // A stream that is cut is not reset: the thread gives up when nothing has come for a while.
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    std::thread::spawn(move || {
        let mut stream = stream;
        let mut buffer = vec![0; 65_536];
        if stream.write_all(b"GET /stream/2000000000 HTTP/1.0\r\n\r\n").is_err() {
            return;
        }
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            counter.fetch_add(read as u64, Ordering::Relaxed);
        }
    });
    Ok(bytes)
}
