//! Services: hosts without a person, and automation, at the real gate.

use std::{fs, path::PathBuf};

use anyhow::Result;
use gateway_tests::{Api, Gate, World, link, wait_until, world::at};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::cli::person;
use crate::scene::{Apps, FAMILIES, Family, SOON, V4, falls_silent, is_kept_out, reaches, stream};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Whatever is in `hosts` may reach crm.
const POLICY: &str = r#"permit (principal in Group::"hosts", action, resource == App::"crm")
    when { context.factors.contains("binding") || context.factors.contains("certificate") };"#;

fn authority(name: &str) -> Result<Authority> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

/// For a client of this name, for an hour.
fn client(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = OffsetDateTime::now_utc() - Duration::HOUR;
    params.not_after = OffsetDateTime::now_utc() + Duration::HOUR;
    params
}

/// Signs a certificate, and writes it and its key into files.
fn issue(gate: &Gate, authority: &Authority, params: &CertificateParams, file: &str) -> Result<(PathBuf, PathBuf)> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    let path = |end: &str| gate.world.scratch().join(format!("{file}.{end}"));
    fs::write(path("pem"), certificate.pem())?;
    fs::write(path("key"), key.serialize_pem())?;
    Ok((path("pem"), path("key")))
}

/// A gate that trusts an authority.
fn trusting(authority: &Authority) -> Result<Gate> {
    let world = World::new()?;
    fs::write(world.scratch().join("clients-ca.pem"), authority.as_ref().pem())?;
    let gate =
        Gate::inside(world, |config| config.replace("[api]\n", "[api]\nclient_ca = \"{scratch}/clients-ca.pem\"\n"))?;
    admit_hosts(&gate)?;
    Ok(gate)
}

fn admit_hosts(gate: &Gate) -> Result<()> {
    gate.api.put("/v1/groups/hosts", &json!({}))?.ok()?;
    gate.put_policy(POLICY)?.ok().map(drop)
}

/// The client is bound, with its hardware address or the one that the gateway learns.
fn bind(gate: &Gate, family: Family, mac: Option<&str>) -> Result<()> {
    let mut binding = json!({ "address": family.client });
    binding["mac"] = mac.map_or(Value::Null, |mac| json!(mac));
    gate.api.put("/v1/services/printer", &json!({ "groups": ["hosts"], "binding": binding }))?.ok()?;
    if mac.is_none() {
        // Known as soon as the host has spoken to the gateway, if it was not before.
        gate.says("no hardware address is known")?;
        gate.portal(&gate.world.client, family.guard0).get("/healthz")?;
    }
    wait_until("the session of the binding", SOON, || is_open(gate, "printer").then_some(()))
}

fn is_open(gate: &Gate, user: &str) -> bool {
    let sessions = gate.api.get(&format!("/v1/sessions?user={user}")).and_then(|answer| answer.ok());
    sessions.is_ok_and(|sessions| sessions["items"].as_array().is_some_and(|items| !items.is_empty()))
}

#[test]
fn a_bound_host_reaches_its_app_without_login_and_another_mac_at_its_address_does_not() -> Result<()> {
    let gate = Gate::open()?;
    admit_hosts(&gate)?;
    let client = &gate.world.client;
    for family in FAMILIES {
        let _apps = Apps::start(&gate.world, family)?;
        is_kept_out(client, family.crm());
        bind(&gate, family, Some(at::CLIENT_MAC))?;
        reaches(client, family.crm());
        is_kept_out(client, family.vault());
        let before = gate.drops()?;
        link::mac(client, "eth0", "02:77:00:00:00:99")?;
        link::neighbour(client, "eth0", &family.guard0.to_string(), at::GUARD0_MAC)?;
        is_kept_out(client, family.crm());
        assert!(gate.reasons_since(&before)?.contains(&"guard0/source_spoofed".to_owned()));
        link::mac(client, "eth0", at::CLIENT_MAC)?;
        reaches(client, family.crm());
        let refused = gate.try_login(client, family.guard0, "alice")?.problem(409)?;
        assert!(refused["detail"].as_str().is_some_and(|text| text.contains("`printer`")), "{refused}");
        gate.api.delete("/v1/services/printer")?.ok()?;
        is_kept_out(client, family.crm());
    }
    Ok(())
}

#[test]
fn removing_a_binding_or_disabling_its_service_cuts_an_open_connection() -> Result<()> {
    for family in FAMILIES {
        let gate = Gate::open()?;
        admit_hosts(&gate)?;
        let client = &gate.world.client;
        let _apps = Apps::start(&gate.world, family)?;
        bind(&gate, family, None)?;
        let cut = stream(client, family.crm())?;
        let receipts = gate.api.post("/v1/users/printer/disable")?.ok()?;
        assert_eq!(receipts["receipts"][0]["cause"], "user_disabled");
        falls_silent(&cut)?;
        is_kept_out(client, family.crm());
        gate.api.post("/v1/users/printer/enable")?.ok()?;
        wait_until("the session of the binding", SOON, || is_open(&gate, "printer").then_some(()))?;

        let cut = stream(client, family.crm())?;
        // It proves itself with something else from now on.
        let put = json!({ "groups": ["hosts"], "certificate": "cn:printer" });
        gate.api.put("/v1/services/printer", &put)?.ok()?;
        falls_silent(&cut)?;
        is_kept_out(client, family.crm());
        let records = gate.records()?;
        assert!(records.iter().any(|record| record["cause"] == "service_changed"), "{records:?}");
    }
    Ok(())
}

#[test]
fn a_bound_session_outlives_a_restart_and_comes_back_with_its_interface() -> Result<()> {
    let mut gate = Gate::open()?;
    admit_hosts(&gate)?;
    let _apps = Apps::start(&gate.world, V4)?;
    bind(&gate, V4, Some(at::CLIENT_MAC))?;
    gate.daemon.restart()?;
    reaches(&gate.world.client, V4.crm());
    gate.world.gateway.ip(&["link delete guard0"])?;
    wait_until("the end of the session", SOON, || (!is_open(&gate, "printer")).then_some(()))?;
    gate.says("a binding has no session yet")?;
    gate.world.remake_guard0()?;
    wait_until("the session at the new interface", SOON, || is_open(&gate, "printer").then_some(()))?;
    reaches(&gate.world.client, V4.crm());
    Ok(())
}

/// The gateway's login address, as a host with a certificate sees it.
fn portal(gate: &Gate, files: &(PathBuf, PathBuf)) -> Api {
    gate.portal(&gate.world.client, V4.guard0).certificate(&files.0, &files.1)
}

#[test]
fn a_certificate_logs_a_host_in_and_one_that_is_not_good_is_refused_with_its_reason() -> Result<()> {
    let authority = authority("services")?;
    let gate = trusting(&authority)?;
    let host = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    gate.api.put("/v1/services/host", &json!({ "groups": ["hosts"], "certificate": "cn:host" }))?.ok()?;

    let foreign = issue(&gate, &self::authority("others")?, &client("host"), "foreign")?;
    assert!(portal(&gate, &foreign).post("/v1/login/certificate").is_err());
    gate.says("UnknownIssuer")?;
    let mut expired = client("host");
    expired.not_after = OffsetDateTime::now_utc() - Duration::MINUTE;
    assert!(portal(&gate, &issue(&gate, &authority, &expired, "expired")?).post("/v1/login/certificate").is_err());
    gate.says("certificate expired")?;
    let mut server = client("host");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    assert!(portal(&gate, &issue(&gate, &authority, &server, "server")?).post("/v1/login/certificate").is_err());
    gate.says("extended key usage")?;
    let mut plain = client("host");
    plain.extended_key_usages.clear();
    for (params, file, why) in
        [(plain, "plain", "certificate_purpose"), (client("nobody"), "nobody", "certificate_unknown")]
    {
        let files = issue(&gate, &authority, &params, file)?;
        portal(&gate, &files).post("/v1/login/certificate")?.problem(401)?;
        let is_recorded = || gate.records().ok()?.iter().any(|record| record["why"] == why).then_some(());
        wait_until(why, SOON, is_recorded)?;
    }
    gate.portal(host, V4.guard0).post("/v1/login/certificate")?.problem(401)?;
    is_kept_out(host, V4.crm());

    let (certificate, key) = issue(&gate, &authority, &client("host"), "host")?;
    let home = gate.world.scratch().join("home");
    let cli = person(&gate)?.env("XDG_RUNTIME_DIR", &home.display().to_string());
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let session = cli.json(&["login", "--certificate", &certificate, "--key", &key, "--json"])?;
    assert_eq!((&session["user"], &session["factors"]), (&json!("host"), &json!(["certificate"])));
    reaches(host, V4.crm());
    Ok(())
}

#[test]
fn an_api_call_by_client_certificate_obeys_the_scopes_of_its_service() -> Result<()> {
    let authority = authority("services")?;
    let gate = trusting(&authority)?;
    let put = json!({ "certificate": "cn:ci", "scopes": ["read"] });
    gate.api.put("/v1/services/ci", &put)?.ok()?;
    let (certificate, key) = issue(&gate, &authority, &client("ci"), "ci")?;
    let ci = gate.api.anonymous().certificate(&certificate, &key);
    assert_eq!(ci.get("/v1/users")?.status, 200);
    assert_eq!(ci.put("/v1/groups/x", &json!({}))?.problem(403)?["type"], "urn:portcullis:problem:scope");
    assert!(gate.api.get("/v1/services/ci")?.ok()?["last_used_at"].is_string());
    gate.api.post("/v1/users/ci/disable")?.ok()?;
    ci.get("/v1/users")?.problem(401)?;
    gate.api.anonymous().get("/v1/users")?.problem(401)?;
    Ok(())
}
