//! Apps by name: the gateway asks a real DNS server, and real packets follow what it answers.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gateway_tests::{Gate, HttpServer, Namespace, Outcome, tcp_connect, wait_until, world::at};
use hickory_server::Server;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::proto::rr::{LowerName, Name, RData, Record, RecordSet, RrKey, rdata};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::scene::{BRIEFLY, PORT, V4, V6, falls_silent, goes_on, is_kept_out, reaches, stream};

/// Longer than twice the shortest time that an answer holds, and than what a server may take that is silent.
const IN_TIME: Duration = Duration::from_secs(40);
const TTL: u32 = 1;
const SERVER: SocketAddr = SocketAddr::new(at::APP, 53);

#[test]
fn an_app_is_reached_where_its_name_leads_and_no_longer_where_it_led() -> Result<()> {
    let gate = gate()?;
    let client = &gate.world.client;
    let _apps = servers(&gate)?;
    let dns = Dns::start(&gate.world.app, &[address(at::APP), address(at::APP6)])?;
    name_crm(&gate)?;
    V4.alice(&gate)?;
    V6.alice(&gate)?;
    leads_to(&gate, &[at::APP, at::APP6], "resolved")?;
    reaches(client, V4.crm());
    reaches(client, V6.crm());
    is_kept_out(client, V4.vault());
    let going = stream(client, V4.crm())?;

    dns.says(&[address(at::OTHER_APP), address(at::OTHER_APP6)])?;
    wait_until("the new address", IN_TIME, || {
        matches!(tcp_connect(client, V4.vault(), BRIEFLY), Ok(Outcome::Connected)).then_some(())
    })?;
    leads_to(&gate, &[at::OTHER_APP, at::OTHER_APP6], "resolved")?;
    reaches(client, V4.vault());
    reaches(client, V6.vault());
    comes_to_be_kept_out(client, V4.crm())?;
    is_kept_out(client, V6.crm());
    falls_silent(&going)?;

    dns.says(&[])?;
    leads_to(&gate, &[], "unresolved")?;
    comes_to_be_kept_out(client, V4.vault())?;
    Ok(())
}

#[test]
fn without_dns_an_app_stays_where_it_was_also_after_a_restart() -> Result<()> {
    let mut gate = gate()?;
    let client = gate.world.client.clone();
    let _apps = servers(&gate)?;
    let dns = Dns::start(&gate.world.app, &[address(at::APP)])?;
    name_crm(&gate)?;
    V4.alice(&gate)?;
    leads_to(&gate, &[at::APP], "resolved")?;
    let going = stream(&client, V4.crm())?;

    drop(dns);
    leads_to(&gate, &[at::APP], "stale")?;
    goes_on(&going)?;
    reaches(&client, V4.crm());
    gate.daemon.kill9()?;
    gate.daemon.restart()?;
    goes_on(&going)?;
    reaches(&client, V4.crm());
    leads_to(&gate, &[at::APP], "stale")?;
    wait_until("a failure to be told", IN_TIME, || {
        let failure = &resolved(&gate).ok()?["failure"]["kind"];
        (*failure == "unreachable" || *failure == "timeout").then_some(())
    })?;

    let _dns = Dns::start(&gate.world.app, &[address(at::APP)])?;
    leads_to(&gate, &[at::APP], "resolved")?;
    goes_on(&going)
}

#[test]
fn aliases_are_followed_and_long_answers_come_by_tcp() -> Result<()> {
    let gate = gate()?;
    let _apps = servers(&gate)?;
    let many = (100..160_u8).map(|last| RData::AAAA(format!("fd20::{last}").parse().expect("an address")));
    let many: Vec<_> = many.chain([address(at::APP6)]).map(|data| ("real.example.net.", data)).collect();
    let alias = ("crm.example.net.", RData::CNAME(rdata::CNAME(name("real.example.net."))));
    let dns = Dns::start(&gate.world.app, &[])?;
    let real = ("real.example.net.", address(at::APP));
    dns.holds(&[vec![alias, real], many].concat())?;
    name_crm(&gate)?;
    V4.alice(&gate)?;
    V6.alice(&gate)?;
    wait_until("all 62 addresses", IN_TIME, || {
        let addresses = resolved(&gate).ok()?["addresses"].as_array()?.len();
        (addresses == 62).then_some(())
    })?;
    reaches(&gate.world.client, V4.crm());
    reaches(&gate.world.client, V6.crm());
    is_kept_out(&gate.world.client, V4.vault());
    Ok(())
}

#[test]
fn a_name_takes_nothing_from_what_is_declared_for_another_app_and_leads_nowhere_that_no_app_can_be() -> Result<()> {
    let gate = asking()?;
    let client = &gate.world.client;
    let _apps = servers(&gate)?;
    let nowhere: IpAddr = [127, 0, 0, 1].into();
    let _dns = Dns::start(&gate.world.app, &[at::APP, at::OTHER_APP, nowhere].map(address))?;
    name_crm(&gate)?;
    V4.alice(&gate)?;
    leads_to(&gate, &[at::APP, at::OTHER_APP, nowhere], "resolved")?;
    let refused = wait_until("the refusals", IN_TIME, || {
        let refused = resolved(&gate).ok()?["refused"].as_array()?.clone();
        let said =
            refused.iter().map(|it| Some((it["address"].as_str()?.to_owned(), it["reason"].as_str()?.to_owned())));
        said.collect::<Option<BTreeMap<String, String>>>().filter(|said| said.len() == 2)
    })?;
    let expected = [(at::OTHER_APP, "declared"), (nowhere, "not_routable")];
    assert_eq!(refused, expected.map(|(address, reason)| (address.to_string(), reason.to_owned())).into());
    reaches(client, V4.crm());
    is_kept_out(client, V4.vault());
    wait_until("the metric", IN_TIME, || {
        let text = gate.api.get("/metrics").ok()?.text;
        text.contains("portcullis_app_addresses_refused{reason=\"declared\"} 1\n").then_some(())
    })
}

/// The demonstration, which asks the server of the apps' host.
fn asking() -> Result<Gate> {
    let dns = format!("\n[dns]\nservers = [\"{}\"]\n", SERVER.ip());
    Gate::with(|config| config.replace("app_prefixes = 64", "app_prefixes = 256") + &dns)
}

/// The same, and nothing is declared at the second address.
fn gate() -> Result<Gate> {
    let gate = asking()?;
    let elsewhere = json!({ "prefixes": ["10.20.0.99"], "services": ["8080/tcp"] });
    gate.api.put("/v1/apps/vault", &elsewhere)?.ok()?;
    Ok(gate)
}

/// At both addresses, of both families.
fn servers(gate: &Gate) -> Result<Vec<HttpServer>> {
    let at = [V4.crm(), V4.vault(), V6.crm(), V6.vault()];
    at.into_iter().map(|address| HttpServer::start(&gate.world.app, address, "crm")).collect()
}

/// From now on it is where its name leads.
fn name_crm(gate: &Gate) -> Result<()> {
    let app = json!({ "names": ["crm.example.net"], "services": [format!("{PORT}/tcp")] });
    gate.api.put("/v1/apps/crm", &app)?.ok().map(drop)
}

fn resolved(gate: &Gate) -> Result<Value> {
    let app = gate.api.get("/v1/apps/crm")?.ok()?;
    app["resolved"].get(0).cloned().with_context(|| format!("nothing is said of its name: {app}"))
}

/// The API comes to say so, and by then it is so.
#[track_caller]
fn leads_to(gate: &Gate, addresses: &[IpAddr], state: &str) -> Result<()> {
    let mut last = Value::Null;
    let found = wait_until("the name to lead there", IN_TIME, || {
        last = resolved(gate).ok()?;
        let mut found: Vec<IpAddr> =
            last["addresses"].as_array()?.iter().filter_map(|address| address.as_str()?.parse().ok()).collect();
        let mut expected = addresses.to_vec();
        found.sort();
        expected.sort();
        (found == expected && last["state"] == state).then_some(())
    });
    found.with_context(|| format!("{addresses:?}, {state}: {last}\n{}", gate.daemon.log()))
}

/// Soon after the API says so.
fn comes_to_be_kept_out(host: &Namespace, to: SocketAddr) -> Result<()> {
    wait_until("silence", IN_TIME, || (tcp_connect(host, to, BRIEFLY).ok()? == Outcome::TimedOut).then_some(()))
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

fn address(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(address.into()),
        IpAddr::V6(address) => RData::AAAA(address.into()),
    }
}

/// An authoritative server for `example.net`: hickory-dns. It is gone when this is dropped.
struct Dns {
    zone: Arc<InMemoryZoneHandler<TokioRuntimeProvider>>,
    server: Option<Server<Catalog>>,
    runtime: Runtime,
}

impl Dns {
    /// On the host of the apps. These are the addresses of `crm.example.net`.
    fn start(host: &Namespace, addresses: &[RData]) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let zone = Arc::new(InMemoryZoneHandler::empty(name("example.net."), ZoneType::Primary, AxfrPolicy::Deny));
        let (udp, tcp) = host.enter(|| anyhow::Ok((UdpSocket::bind(SERVER)?, TcpListener::bind(SERVER)?)))??;
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        let mut catalog = Catalog::new();
        catalog.upsert(LowerName::from(name("example.net.")), vec![zone.clone()]);
        let server = runtime.block_on(async {
            let mut server = Server::new(catalog);
            server.register_socket(tokio::net::UdpSocket::from_std(udp)?);
            server.register_listener(tokio::net::TcpListener::from_std(tcp)?, Duration::from_secs(5), 64);
            anyhow::Ok(server)
        })?;
        let dns = Self { zone, server: Some(server), runtime };
        dns.says(addresses)?;
        Ok(dns)
    }

    /// From now on `crm.example.net` has these, and nothing else.
    fn says(&self, addresses: &[RData]) -> Result<()> {
        let records: Vec<_> = addresses.iter().map(|data| ("crm.example.net.", data.clone())).collect();
        self.holds(&records)
    }

    /// From now on the zone holds these, and nothing else.
    fn holds(&self, records: &[(&str, RData)]) -> Result<()> {
        let origin = name("example.net.");
        let soa = rdata::SOA::new(origin.clone(), origin, 1, 60, 60, 60, TTL);
        let mut zone: BTreeMap<RrKey, RecordSet> = BTreeMap::new();
        for (owner, data) in [("example.net.", RData::SOA(soa))].iter().chain(records) {
            let kind = data.record_type();
            let key = RrKey::new(LowerName::from(name(owner)), kind);
            let set = zone.entry(key).or_insert_with(|| RecordSet::new(name(owner), kind, 1));
            set.insert(Record::from_rdata(name(owner), TTL, data.clone()), 1);
        }
        let zone = zone.into_iter().map(|(key, set)| (key, Arc::new(set))).collect();
        self.runtime.block_on(async { *self.zone.records_mut().await = zone });
        Ok(())
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // What goes wrong then is of no interest: the sockets are closed with the runtime.
            let _ = self.runtime.block_on(server.shutdown_gracefully());
        }
    }
}
