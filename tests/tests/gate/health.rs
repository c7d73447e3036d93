//! Health checks of apps: the gateway tries, people are told, and nobody's access depends on it.

use std::{fs, io, net::SocketAddr, sync::Arc, sync::atomic::Ordering, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{
    Gate, HttpServer, Outcome, World,
    daemon::Launch,
    gate::{READY, binary},
    service::{TcpServer, write_all},
    tcp_connect, wait_until,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};
use serde_json::{Value, json};

use crate::cli::admin;
use crate::scene::{Apps, SOON, V4, V6, reaches};

/// Two attempts, the shortest time apart that there is, and the time that they vary by.
const DETECTED: Duration = Duration::from_secs(20);
/// Where the server with a certificate is.
const TLS_PORT: u16 = 8443;

/// What is tried, as often as may be, and down after so many failures.
fn check(check: &str, failures: u8) -> Value {
    json!({ "check": check, "every": "5 s", "timeout": "1 s", "failures": failures })
}

fn crm(gate: &Gate, prefixes: &[&str], health: &Value) -> Result<()> {
    let app =
        json!({ "prefixes": prefixes, "services": ["443/tcp", "8080/tcp"], "owner": "finance", "health": health });
    gate.api.put("/v1/apps/crm", &app)?.ok().map(drop)
}

fn found(gate: &Gate, app: &str) -> Result<Value> {
    Ok(gate.api.get(&format!("/v1/apps/{app}"))?.ok()?["health_state"].clone())
}

/// Waits until the app is found to be like this; what was found.
#[track_caller]
fn becomes(gate: &Gate, app: &str, state: &str) -> Result<Value> {
    let is_so = || found(gate, app).ok().filter(|found| found["state"] == state);
    wait_until(&format!("{app} to be {state}"), DETECTED, is_so).with_context(|| format!("{:?}", found(gate, app)))
}

fn metric(gate: &Gate, line: &str) -> Result<bool> {
    Ok(gate.api.get("/metrics")?.text.lines().any(|one| one == line))
}

/// The records of apps that have turned: was, is, and why.
fn turns(gate: &Gate) -> Result<Vec<(String, String, String)>> {
    let records = gate.records()?;
    let text = |record: &Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let turns = records.iter().filter(|record| record["type"] == "app_health");
    Ok(turns.map(|turn| (text(turn, "was"), text(turn, "state"), text(turn, "error"))).collect())
}

#[test]
fn an_app_that_stops_answering_is_down_for_the_help_desk_and_the_gate_still_lets_people_through() -> Result<()> {
    let gate = Gate::open()?;
    let apps = Apps::start(&gate.world, V4)?;
    let login = V4.alice(&gate)?;
    crm(&gate, &["10.20.0.10"], &check("8080/tcp", 2))?;
    becomes(&gate, "crm", "up")?;
    ensure!(metric(&gate, "portcullis_app_up{app=\"crm\"} 1")?);
    let question = json!({ "session": login.token, "to": format!("{}/tcp", V4.crm()) });
    let well = gate.api.post_json("/v1/explain", &question)?.ok()?;
    ensure!(well["answers"][0]["health_state"]["state"] == "up", "{well}");
    ensure!(!well["sentence"].as_str().context("no sentence")?.contains("answered"), "{well}");

    drop(apps);
    let down = becomes(&gate, "crm", "down")?;
    let at = &down["addresses"][0];
    ensure!((&at["address"], &at["error"]) == (&"10.20.0.10".into(), &"refused".into()), "{down}");
    ensure!(down["since"].is_string() && metric(&gate, "portcullis_app_up{app=\"crm\"} 0")?, "{down}");
    let ill = gate.api.post_json("/v1/explain", &question)?.ok()?;
    let sentence = ill["sentence"].as_str().context("no sentence")?;
    ensure!(
        ill["permitted"] == true && sentence.contains("The gate lets it through, but the app itself has not"),
        "{ill}"
    );
    ensure!(ill["next_step"] == "Ask whoever owns the app: finance.", "{ill}");
    // And so it is: the refusal comes from the app.
    ensure!(tcp_connect(&gate.world.client, V4.crm(), SOON)? == Outcome::Refused);
    let admin = admin(&gate)?;
    let list = admin.run(&["app", "list"])?;
    ensure!(list.stdout.contains("down for "), "{list:?}");
    let show = admin.run(&["app", "show", "crm"])?;
    ensure!(show.stdout.contains("8080/tcp (every 5 s") && show.stdout.contains("refused"), "{show:?}");
    let status = admin.json(&["--json", "status"])?;
    ensure!(status["gateway"]["apps_down"] == 1, "{status}");
    gate.says("an app does not answer")?;

    let _apps = Apps::start(&gate.world, V4)?;
    becomes(&gate, "crm", "up")?;
    reaches(&gate.world.client, V4.crm());
    gate.says("an app answers again")?;
    let expected =
        [("up", "down", "refused"), ("down", "up", "")].map(|(was, is, why)| (was.into(), is.into(), why.into()));
    wait_until("both records", SOON, || (turns(&gate).ok()? == expected).then_some(()))?;
    gate.api.post("/v1/apps/crm/disable")?.ok()?;
    wait_until("a disabled app to have no series", SOON, || {
        let text = gate.api.get("/metrics").ok()?.text;
        (!text.contains("portcullis_app_up{app=\"crm\"}")).then_some(())
    })
}

#[test]
fn an_app_of_which_one_address_does_not_answer_is_up_in_part_and_explained_for_that_one() -> Result<()> {
    let gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    V6.alice(&gate)?;
    crm(&gate, &["10.20.0.10", "fd20::10"], &check("http://crm.example:8080/healthz", 1))?;
    becomes(&gate, "crm", "partly")?;
    let explain = |to: SocketAddr| {
        gate.api.post_json("/v1/explain", &json!({ "user": "alice", "to": format!("{to}/tcp") }))?.ok()
    };
    let (four, six) = (explain(V4.crm())?, explain(V6.crm())?);
    ensure!(!four["sentence"].as_str().context("no sentence")?.contains("answered"), "{four}");
    ensure!(six["sentence"].as_str().context("no sentence")?.contains("the connection is refused"), "{six}");
    Ok(())
}

/// A server whose certificate is for `wiki.example.net`, and by an authority of this text. `/sick` fails, `/moved` is elsewhere.
fn tls_server(gate_world: &World, authority: &CertifiedIssuer<'static, KeyPair>) -> Result<TcpServer> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["wiki.example.net".to_owned()])?.signed_by(&key, authority)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)?);
    TcpServer::start(&gate_world.app, SocketAddr::new(V4.crm, TLS_PORT), move |stream, counters| {
        let mut tls = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        let mut tls = rustls::Stream::new(&mut tls, stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && !counters.stopped() {
            let mut byte = [0];
            match io::Read::read(&mut tls, &mut byte) {
                Ok(0) => return Ok(()),
                Ok(_) => head.extend(byte),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let status = match head.split_whitespace().nth(1) {
            // Where else, only a name says: nobody follows it.
            Some("/moved") if head.contains("\r\nhost: wiki.example.net:8443\r\n") => {
                "302 Found\r\nLocation: https://no.invalid/"
            }
            Some("/healthz") => "204 No Content",
            _ => "503 Service Unavailable",
        };
        io::Write::write_all(&mut tls, format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes())
    })
}

#[test]
fn by_https_the_name_is_for_the_certificate_and_the_address_is_the_apps() -> Result<()> {
    let world = World::new()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    fs::write(world.scratch().join("apps-ca.pem"), authority.as_ref().pem())?;
    let mut launch = Launch::new(binary("portcullisd")?, READY);
    launch.env.insert("SSL_CERT_FILE".into(), "{scratch}/apps-ca.pem".into());
    let gate = Gate::launch_inside(world, launch, |config| config)?;
    let _server = tls_server(&gate.world, &authority)?;
    for (app, port, url) in [
        ("wiki", 8443, "https://wiki.example.net:8443/healthz"),
        ("moved", 8444, "https://wiki.example.net:8443/moved"),
        ("sick", 8445, "https://wiki.example.net:8443/"),
        ("liar", 8446, "https://other.example.net:8443/healthz"),
        ("plain", 8447, "http://wiki.example.net:8443/healthz"),
    ] {
        let service = format!("{port}/tcp");
        let app_of = json!({ "prefixes": ["10.20.0.10"], "services": [service], "health": check(url, 1) });
        gate.api.put(&format!("/v1/apps/{app}"), &app_of)?.ok()?;
    }
    becomes(&gate, "wiki", "up")?;
    becomes(&gate, "moved", "up")?;
    for (app, error, detail) in [("sick", "status", "503"), ("liar", "certificate", "other.example.net")] {
        let down = becomes(&gate, app, "down")?;
        let at = &down["addresses"][0];
        ensure!(
            at["error"] == error && at["detail"].as_str().is_some_and(|told| told.contains(detail)),
            "{app}: {down}"
        );
    }
    let down = becomes(&gate, "plain", "down")?;
    ensure!(down["addresses"][0]["error"] == "answer" || down["addresses"][0]["error"] == "closed", "{down}");
    Ok(())
}

/// Answers nothing that is no HTTP.
fn silent(world: &World, at: SocketAddr) -> Result<TcpServer> {
    TcpServer::start(&world.app, at, |stream, counters| write_all(stream, b"220 hello\r\n", counters))
}

#[test]
fn attempts_leave_no_connection_and_no_file_behind() -> Result<()> {
    let gate = Gate::open()?;
    let (good, odd) = (SocketAddr::new(V4.crm, 8080), SocketAddr::new(V4.vault, 8081));
    let (good, odd) = (HttpServer::start(&gate.world.app, good, "crm")?, silent(&gate.world, odd)?);
    for port in 0..32 {
        let probe = match port % 4 {
            0 => "8080/tcp",
            1 => "http://a.example:8080/",
            2 => "http://a.example:8081/",
            _ => "http://a.example:8082/",
        };
        let app = json!({ "prefixes": ["10.20.0.10", "10.20.0.11"], "services": [format!("{}/tcp", 9000 + port)], "health": check(probe, 1) });
        gate.api.put(&format!("/v1/apps/many{port}"), &app)?.ok()?;
    }
    becomes(&gate, "many0", "partly")?;
    becomes(&gate, "many3", "down")?;
    let files = || fs::read_dir(format!("/proc/{}/fd", gate.daemon.pid())).map(Iterator::count);
    let before = files()?;
    let tried =
        || good.counters().connections.load(Ordering::Relaxed) + odd.counters().connections.load(Ordering::Relaxed);
    wait_until("each to be tried several times", Duration::from_secs(60), || (tried() > 120).then_some(()))?;
    wait_until("no connection to be open", SOON, || {
        let open = good.counters().open.load(Ordering::Relaxed) + odd.counters().open.load(Ordering::Relaxed);
        let sockets = gate.world.gateway.run(&["ss", "-Htn", "state", "established", "dst", "10.20.0.0/24"]).ok()?;
        (open == 0 && sockets.is_empty() && files().ok()? <= before + 8).then_some(())
    })
}
