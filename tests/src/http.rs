//! A small HTTP/1.1 server, without TLS, that plays an app: a page, a body of a given size, and a
//! transfer that goes on at a steady rate for as long as it is let.
//!
//! | request | answer |
//! |---|---|
//! | `GET /bytes/N` | N bytes |
//! | `GET /stream/R` | R bytes per second, without end |
//! | any other | 200 with the greeting; the body of the request is read and counted |

use std::{
    io,
    net::{SocketAddr, TcpStream},
    ops::Deref,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    netns::Namespace,
    service::{Counters, TcpServer, read_some, write_all},
};

/// Pieces of an endless transfer per second: small enough that the last byte's time says when the
/// transfer was cut, to within this.
const PIECES_PER_SECOND: u64 = 200;
/// More than any request of a test.
const HEAD_LIMIT: usize = 16 * 1024;

/// The app.
#[derive(Debug)]
pub struct HttpServer(TcpServer);

impl HttpServer {
    /// Starts it on `address` of `host`; its page says `greeting`.
    pub fn start(host: &Namespace, address: SocketAddr, greeting: &str) -> Result<Self> {
        let greeting = greeting.to_owned();
        TcpServer::start(host, address, move |stream, counters| answer(stream, counters, &greeting)).map(Self)
    }
}

impl Deref for HttpServer {
    type Target = TcpServer;

    fn deref(&self) -> &TcpServer {
        &self.0
    }
}

fn answer(stream: &mut TcpStream, counters: &Counters, greeting: &str) -> io::Result<()> {
    let Some(request) = read_head(stream, counters)? else { return Ok(()) };
    let path = request.split_whitespace().nth(1).unwrap_or("/").to_owned();
    let number = |prefix: &str| path.strip_prefix(prefix).and_then(|number| number.parse::<u64>().ok());
    if let Some(rate) = number("/stream/") {
        write_all(stream, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", counters)?;
        send_steadily(stream, counters, rate)
    } else if let Some(size) = number("/bytes/") {
        send_head(stream, counters, size)?;
        send_bytes(stream, counters, size)
    } else {
        read_body(stream, counters, &request)?;
        send_head(stream, counters, greeting.len() as u64)?;
        write_all(stream, greeting.as_bytes(), counters)
    }
}

/// The head of a request, with what has come of its body.
fn read_head(stream: &mut TcpStream, counters: &Counters) -> io::Result<Option<String>> {
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while head.len() < HEAD_LIMIT {
        let Some(length) = read_some(stream, &mut buffer, counters)? else { return Ok(None) };
        head.extend_from_slice(&buffer[..length]);
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
        }
    }
    Ok(None)
}

fn read_body(stream: &mut TcpStream, counters: &Counters, request: &str) -> io::Result<()> {
    let (head, begun) = request.split_once("\r\n\r\n").unwrap_or((request, ""));
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    let length = headers
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .find_map(|(_, n)| n.trim().parse().ok());
    let mut left = length.unwrap_or(0_usize).saturating_sub(begun.len());
    let mut buffer = [0; 16 * 1024];
    while left > 0 {
        let Some(length) = read_some(stream, &mut buffer, counters)? else { break };
        left = left.saturating_sub(length);
    }
    Ok(())
}

fn send_head(stream: &mut TcpStream, counters: &Counters, size: u64) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n");
    write_all(stream, head.as_bytes(), counters)
}

fn send_bytes(stream: &mut TcpStream, counters: &Counters, mut left: u64) -> io::Result<()> {
    let piece = [b'.'; 16 * 1024];
    while left > 0 && !counters.stopped() {
        let length = left.min(piece.len() as u64);
        write_all(stream, &piece[..length as usize], counters)?;
        left -= length;
    }
    Ok(())
}

/// Sends what is due since the start, so that a late wake-up does not lower the rate.
fn send_steadily(stream: &mut TcpStream, counters: &Counters, rate: u64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (start, mut sent) = (Instant::now(), 0);
    while !counters.stopped() {
        let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
        let piece = due.saturating_sub(sent).min(rate / 10 + 1);
        send_bytes(stream, counters, piece)?;
        sent += piece;
        thread::sleep(Duration::from_micros(1_000_000 / PIECES_PER_SECOND));
    }
    Ok(())
}
