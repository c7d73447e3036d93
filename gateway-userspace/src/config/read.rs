//! From sections and values to the meaning. Defaults and bounds are here and, for interfaces and limits, beside their
//! types; nowhere else.

use super::dns::dns;
use super::endpoint::Endpoints;
use super::export::exports;
use super::forwarding::app_side;
use super::interface::interfaces;
use super::limits::limits;
use super::provider::{providers, url};
use super::section::Section;
use super::value::Value;
use super::{
    Access, ApiConfig, Config, FirstStart, Followed, LogConfig, LogFormat, LoginConfig, MetricsAccess, RecordsConfig,
    ServiceConfig, Transport,
};
use crate::dataplane::BarrierChoice;
use crate::policy::Capacities;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing_subscriber::EnvFilter;

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const LEAST_KEPT: u64 = 64 << 20;

/// The whole file. Every section is read before anything is given up.
pub(super) fn config(root: &mut Section<'_, '_>, folder: &Path) -> Config {
    let mut endpoints = Endpoints::default();
    let state = root.value("state").and_then(|value| value.path(folder));
    let bpffs = root.value("bpffs").and_then(|value| absolute(&value));
    let barriers =
        [("auto", BarrierChoice::Auto), ("nftables", BarrierChoice::Nftables), ("none", BarrierChoice::None)];
    let barrier = root.value("barrier").and_then(|value| value.choice(&barriers));
    let interfaces = interfaces(root);
    let app_side = app_side(&mut root.section("forwarding"), &interfaces);
    let api = api(&mut root.section("api"), folder, &mut endpoints);
    let login = login(&mut root.section("login"), &mut endpoints);
    let providers = providers(root, folder, login.url.is_some());
    let services = root.sections("service").iter_mut().filter_map(|section| service(section, &mut endpoints)).collect();
    let limits = limits(&mut root.section("limits"));
    let capacity = capacity(&mut root.section("capacity"));
    let records = records(&mut root.section("records"), folder);
    let exports = exports(root, folder, records.archive);
    let first_start = first_start(&mut root.section("first_start"), folder);
    let followed = followed(&mut root.section("policy"), folder);
    let countries = root.section("geo").value("database").and_then(|value| value.path(folder));
    let dns = dns(&mut root.section("dns"));
    let log = log(&mut root.section("log"));
    Config {
        state: state.unwrap_or_else(|| "/var/lib/portcullis".into()),
        bpffs: bpffs.unwrap_or_else(|| "/sys/fs/bpf/portcullis".into()),
        barrier: barrier.unwrap_or_default(),
        interfaces,
        app_side,
        api,
        login,
        providers,
        services,
        limits,
        countries,
        dns,
        capacity,
        records,
        exports,
        first_start,
        followed,
        log,
    }
}

/// Pins are found again by the next daemon, wherever its configuration lies.
fn absolute(value: &Value<'_, '_>) -> Option<PathBuf> {
    let path = value.path(Path::new(""))?;
    if path.is_absolute() {
        return Some(path);
    }
    value.refuse(
        format!("`{}` is not absolute", path.display()),
        "write a path on a BPF file system, like `/sys/fs/bpf/portcullis`",
    );
    None
}

fn api(section: &mut Section<'_, '_>, folder: &Path, endpoints: &mut Endpoints) -> ApiConfig {
    let listen = section.required("listen", "listen = [\"127.0.0.1:8443\"]");
    let found = listen.as_ref().map(|value| sockets(value, endpoints)).unwrap_or_default();
    if let Some(value) = listen.filter(Value::is_empty_list) {
        value.refuse("is empty", "name at least one address, like `127.0.0.1:8443`");
    }
    let management = section.value("management").map(|value| {
        let prefixes = value.list("write a list of prefixes, like `[\"10.9.0.0/24\"]`");
        prefixes.iter().filter_map(Value::prefix).collect()
    });
    let metrics = section
        .value("metrics")
        .and_then(|value| value.choice(&[("token", MetricsAccess::Token), ("management", MetricsAccess::Management)]));
    let (certificate, key) = certificate(section, folder);
    let (client_ca, client_crl) = client_authority(section, folder);
    let loopback = || ["127.0.0.0/8", "::1/128"].iter().filter_map(|prefix| prefix.parse().ok()).collect();
    ApiConfig {
        listen: found,
        management: management.unwrap_or_else(loopback),
        certificate,
        key,
        client_ca,
        client_crl,
        metrics: metrics.unwrap_or_default(),
    }
}

fn certificate(section: &mut Section<'_, '_>, folder: &Path) -> (Option<PathBuf>, Option<PathBuf>) {
    let (certificate, key) = (section.value("certificate"), section.value("key"));
    match (&certificate, &key) {
        (Some(certificate), None) => certificate.refuse("has no key", "add `key = \"key.pem\"`, or remove both"),
        (None, Some(key)) => key.refuse("has no certificate", "add `certificate = \"chain.pem\"`, or remove both"),
        _ => {}
    }
    (certificate.and_then(|value| value.path(folder)), key.and_then(|value| value.path(folder)))
}

fn client_authority(section: &mut Section<'_, '_>, folder: &Path) -> (Option<PathBuf>, Option<PathBuf>) {
    let (authority, revoked) = (section.value("client_ca"), section.value("client_crl"));
    if let (None, Some(revoked)) = (&authority, &revoked) {
        revoked.refuse("has no authority", "add `client_ca = \"clients-ca.pem\"`, or remove it");
    }
    (authority.and_then(|value| value.path(folder)), revoked.and_then(|value| value.path(folder)))
}

fn sockets(value: &Value<'_, '_>, endpoints: &mut Endpoints) -> Vec<SocketAddr> {
    let values = value.list("write a list of addresses with ports, like `[\"192.0.2.1:443\"]`");
    let found = values.iter().filter_map(|value| Some((value, value.socket()?)));
    found.inspect(|(value, socket)| endpoints.take(value, Transport::Tcp, *socket)).map(|(_, socket)| socket).collect()
}

fn login(section: &mut Section<'_, '_>, endpoints: &mut Endpoints) -> LoginConfig {
    let listen = section.value("listen");
    let found = listen.as_ref().map(|value| sockets(value, endpoints)).unwrap_or_default();
    if let (Some(value), true) = (&listen, found.iter().any(|socket| socket.ip().is_unspecified())) {
        value.refuse("names all addresses", "name the gateway's own address on each guarded interface");
    }
    let session = section.value("session").and_then(|value| value.duration(MINUTE..=30 * 24 * HOUR));
    let url = section.value("url").and_then(|value| url(&value)).map(|url| url.trim_end_matches('/').to_owned());
    LoginConfig { listen: found, session: session.unwrap_or(8 * HOUR), url }
}

fn service(section: &mut Section<'_, '_>, endpoints: &mut Endpoints) -> Option<ServiceConfig> {
    let name = section.required("name", "name = \"ssh\"").and_then(|value| value.label());
    let protocol = section
        .required("protocol", "protocol = \"tcp\"")
        .and_then(|value| value.choice(&[("tcp", Transport::Tcp), ("udp", Transport::Udp)]));
    let port_value = section.required("port", "port = 22");
    let port = port_value.as_ref().and_then(|value| u16::try_from(value.integer(1..=65_535)?).ok());
    let access = section
        .required("access", "access = \"management\"")
        .and_then(|value| value.choice(&[("everyone", Access::Everyone), ("management", Access::Management)]));
    let addresses =
        section.value("addresses").map(|value| value.list("write a list of addresses, like `[\"192.0.2.1\"]`"));
    let addresses: Vec<IpAddr> = addresses.iter().flatten().filter_map(Value::address).collect();
    let (name, protocol, port, access) = (name?, protocol?, port?, access?);
    let everywhere = [IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    for address in if addresses.is_empty() { &everywhere } else { addresses.as_slice() } {
        endpoints.take(port_value.as_ref()?, protocol, SocketAddr::new(*address, port));
    }
    Some(ServiceConfig { name: name.to_owned(), protocol, port, access, addresses })
}

fn capacity(section: &mut Section<'_, '_>) -> Capacities {
    let default = Capacities::default();
    let mut entries = |key, most: u64, default: usize| {
        let number = section.value(key).and_then(|value| value.integer(16..=most));
        number.and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
    };
    Capacities {
        sessions: entries("sessions", 4_194_304, default.sessions),
        flows: entries("flows", 33_554_432, default.flows),
        app_prefixes: entries("app_prefixes", 4_194_304, default.app_prefixes),
        app_ports: entries("app_ports", 16_777_216, default.app_ports),
        grants: entries("grants", 16_777_216, default.grants),
        apps: entries("apps", 65_536, default.apps),
        budgets: entries("budgets", 16_777_216, default.budgets),
        fragments: entries("fragments", 1_048_576, default.fragments),
        sources: entries("sources", 4_194_304, default.sources),
    }
}

fn records(section: &mut Section<'_, '_>, folder: &Path) -> RecordsConfig {
    let access_log = section.value("access_log").and_then(|value| match value.text("-")? {
        "-" => Some(PathBuf::from("-")),
        _ => value.path(folder),
    });
    let archive = section.value("archive").and_then(|value| value.boolean());
    let keep = section.value("keep").and_then(|value| value.duration(HOUR..=3_650 * DAY));
    let keep_bytes = section.value("keep_bytes").and_then(|value| kept_bytes(&value));
    let window = section.value("denial_window").and_then(|value| value.duration(SECOND..=HOUR));
    let update = section.value("flow_update").and_then(|value| value.duration(Duration::ZERO..=DAY));
    let events = section.value("events_per_second").and_then(|value| value.integer(10..=10_000_000));
    RecordsConfig {
        access_log,
        archive: archive.unwrap_or(true),
        keep: keep.unwrap_or(90 * DAY),
        keep_bytes: keep_bytes.unwrap_or(10 << 30),
        denial_window: window.unwrap_or(10 * SECOND),
        flow_update: update.unwrap_or(600 * SECOND),
        events_per_second: events.and_then(|events| u32::try_from(events).ok()).unwrap_or(100_000),
    }
}

/// No fewer than a few segments need.
fn kept_bytes(value: &Value<'_, '_>) -> Option<u64> {
    let fix = "write an amount of bytes from 64 MiB on, like `10 GiB`";
    match value.bytes()?.count() {
        Ok(bytes) if bytes >= LEAST_KEPT => Some(bytes),
        Ok(bytes) => {
            value.refuse(format!("{bytes} bytes are too few to keep"), fix);
            None
        }
        Err(problem) => {
            value.refuse(problem.to_string(), fix);
            None
        }
    }
}

fn first_start(section: &mut Section<'_, '_>, folder: &Path) -> FirstStart {
    FirstStart {
        apps: section.value("apps").and_then(|value| value.path(folder)),
        policies: section.value("policies").and_then(|value| value.path(folder)),
    }
}

fn followed(section: &mut Section<'_, '_>, folder: &Path) -> Option<Followed> {
    let watch = section.value("watch").and_then(|value| value.boolean());
    let directory = section.value("bundle").and_then(|value| value.path(folder))?;
    Some(Followed { directory, watch: watch.unwrap_or(true) })
}

fn log(section: &mut Section<'_, '_>) -> LogConfig {
    let level = section.value("level").and_then(|value| {
        let text = value.text("info")?;
        let Err(problem) = EnvFilter::try_new(text) else { return Some(text) };
        let fix = "write a level, like `info`, or levels by module, like `info,gateway_userspace::api=debug`";
        value.refuse(format!("`{text}` is not a filter: {problem}"), fix);
        None
    });
    let format =
        section.value("format").and_then(|value| value.choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]));
    LogConfig { level: level.unwrap_or("info").to_owned(), format: format.unwrap_or_default() }
}
