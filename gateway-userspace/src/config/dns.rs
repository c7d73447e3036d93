//! Who is asked for the names of apps, and how long old answers count.

use super::section::Section;
use super::value::Value;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// The port of the DNS.
const PORT: u16 = 53;

/// How names of apps are looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsConfig {
    /// Who is asked; those of `/etc/resolv.conf` if empty.
    pub servers: Vec<SocketAddr>,
    /// How long the last good answer counts while nobody answers (RFC 8767).
    pub keep: Duration,
}

pub(super) fn dns(section: &mut Section<'_, '_>) -> DnsConfig {
    let servers = section.value("servers");
    if let Some(value) = servers.as_ref().filter(|value| value.is_empty_list()) {
        value.refuse("is empty", "name at least one server, like `192.0.2.53`, or remove the key");
    }
    let servers = servers.map(|value| value.list("write a list of servers, like `[\"192.0.2.53\"]`"));
    let servers = servers.iter().flatten().filter_map(server).collect();
    let keep = section.value("keep").and_then(|value| value.duration(MINUTE..=30 * DAY));
    DnsConfig { servers, keep: keep.unwrap_or(DAY) }
}

fn server(value: &Value<'_, '_>) -> Option<SocketAddr> {
    let text = value.text("192.0.2.53")?;
    let socket = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT)).or_else(|_| text.parse());
    let found = socket.ok().filter(|socket| socket.port() != 0 && !socket.ip().is_unspecified());
    if found.is_none() {
        value.refuse(
            format!("`{text}` is not an address of a server"),
            "write an address, and a port if it is not 53, like `192.0.2.53` or `[2001:db8::53]:5353`",
        );
    }
    found
}
