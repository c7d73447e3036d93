//! What nmap finds: for a stranger the portal and nothing else, for a session what its policy grants.
//!
//! Interfaces that answer denials, and that run the program in generic mode, are among those that are asked.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Context as _, Result};
use gateway_tests::{Gate, Namespace};

use crate::scene::{Apps, FAMILIES, V4, on, reaches};

/// IP protocols, most of which nobody can be granted.
const PROTOCOLS: &str = "0,1,2,6,17,41,43,44,47,50,58,59,60,132,255";

/// What nmap says about ports or protocols of one host: `22 filtered, 443 open syn-ack`.
fn scan(host: &Namespace, targets: &[IpAddr], kind: &str, ports: &str) -> Result<Vec<String>> {
    let mut line = vec!["nmap", "-n", "-Pn", "-oX", "-", "--host-timeout", "30s"];
    // Every probe is sent twice, and answered within a third of a second or not at all.
    line.extend(["--max-retries", "1", "--min-rate", "200"]);
    line.extend(["--initial-rtt-timeout", "300ms", "--min-rtt-timeout", "300ms", "--max-rtt-timeout", "300ms"]);
    line.extend(["-p", ports]);
    line.extend(kind.split_whitespace());
    if targets.iter().all(IpAddr::is_ipv6) {
        line.push("-6");
    }
    let names: Vec<_> = targets.iter().map(IpAddr::to_string).collect();
    line.extend(names.iter().map(String::as_str));
    let xml = host.run(&line)?;
    // In the order in which they were named, and every one of them.
    let told = |name: &String| xml.split("<host ").skip(1).find(|told| told.contains(&format!("addr=\"{name}\"")));
    names.iter().map(|name| ports_of(told(name).with_context(|| format!("nothing about {name}: {xml}"))?)).collect()
}

/// What the part about one host says about its ports, in their order.
fn ports_of(host: &str) -> Result<String> {
    let mut found = BTreeMap::new();
    for port in host.split("<port ").skip(1) {
        let value = |name: &str| {
            let (_, rest) = port.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value)
        };
        let (number, state) = (value("portid").context("a port without a number")?, value("state state"));
        let state = state.with_context(|| format!("a port without a state: {port}"))?;
        let why = value("reason").filter(|reason| *reason != "no-response");
        let why = why.map_or_else(String::new, |reason| format!(" {reason}"));
        found.insert(number.parse::<u16>()?, format!("{number} {state}{why}"));
    }
    Ok(found.into_values().collect::<Vec<_>>().join(", "))
}

/// A scan finds this at each of the targets, and for exactly these reasons packets are dropped.
#[track_caller]
fn check(gate: &Gate, host: &Namespace, targets: &[IpAddr], scanned: [&str; 2], finds: &[&str], drops: &[&str]) {
    let [kind, ports] = scanned;
    let before = gate.drops().expect("the API answers");
    let found = scan(host, targets, kind, ports).expect("nmap runs");
    let reasons = gate.reasons_since(&before).expect("the API answers");
    assert_eq!((found, reasons.as_slice()), (strings(finds), strings(drops).as_slice()), "{kind} {ports} {targets:?}");
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// Nothing is known about any of them.
fn silent(ports: &str) -> String {
    ports.split(',').map(|port| format!("{port} open|filtered")).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_scan_by_a_stranger_finds_the_portal_and_nothing_else() -> Result<()> {
    let gate = Gate::with(on("guard1", "on_denial = \"reject\"\nxdp = \"generic\""))?;
    for family in FAMILIES {
        let _apps = Apps::start(&gate.world, family)?;
        let both = [family.guard1, family.crm];
        let check = |scanned, finds: &[&str], drops: &[&str]| {
            let drops: Vec<_> = drops.iter().map(|reason| format!("guard1/{reason}")).collect();
            let drops: Vec<_> = drops.iter().map(String::as_str).collect();
            check(&gate, &gate.world.client2, &both, scanned, finds, &drops);
        };
        let ports = "22,443,8080";
        let nothing = "22 filtered, 443 filtered, 8080 filtered";
        let unknown = silent(ports);
        let not_granted = ["no_session", "own_address"];
        check(["-sS", ports], &["22 filtered, 443 open syn-ack, 8080 filtered", nothing], &not_granted);
        check(["-sA", ports], &["22 filtered, 443 unfiltered reset, 8080 filtered", nothing], &not_granted);
        for kind in ["-sN", "-sF", "-sX"] {
            check([kind, ports], &[&unknown, &unknown], &["tcp_flags"]);
        }
        check(["-sU", ports], &[&unknown, &unknown], &not_granted);
        check(["-sY", ports], &[nothing, nothing], &not_granted);
        let protocols = silent(PROTOCOLS);
        let drops: &[&str] = if family.crm.is_ipv4() {
            &["no_session", "own_address", "protocol_unsupported"]
        } else {
            &["fragment", "no_session", "own_address", "protocol_unsupported", "transport_malformed"]
        };
        check(["-sO", PROTOCOLS], &[&protocols, &protocols], drops);
        // The rest nmap can do over IPv4 only.
        if family.crm.is_ipv6() {
            continue;
        }
        for kind in ["-sS -f", "-sS --mtu 8", "-sA -f"] {
            check([kind, ports], &[nothing, nothing], &["fragment"]);
        }
        for kind in ["-sS --ip-options R", "-sS --ip-options T", "-sS --ip-options U", "-sA --ip-options L"] {
            check([kind, ports], &[nothing, nothing], &["ip_options"]);
        }
    }
    Ok(())
}

#[test]
fn a_scan_by_a_session_finds_what_its_policy_grants() -> Result<()> {
    let gate = Gate::with(|config| {
        let config = on("guard0", "xdp = \"native\"\nfragments = \"track\"")(config);
        on("guard1", "xdp = \"generic\"\non_denial = \"reject\"")(config)
    })?;
    let (client, client2) = (&gate.world.client, &gate.world.client2);
    for family in FAMILIES {
        let _apps = Apps::start(&gate.world, family)?;
        family.alice(&gate)?;
        family.bob(&gate)?;
        let (alice, bob) = ([family.guard0, family.crm, family.vault], [family.guard1, family.vault, family.crm]);
        let denied = |guard: &str| ["app_unknown", "no_grant", "own_address"].map(|why| format!("{guard}/{why}"));
        let (silent0, silent1) = (denied("guard0"), denied("guard1"));
        let (silent0, silent1) = (silent0.each_ref().map(String::as_str), silent1.each_ref().map(String::as_str));
        let ports = "22,443,8080";

        // Silence for alice: what is granted and open, what is granted and closed, and nothing else.
        let portal = "22 filtered, 443 open syn-ack, 8080 filtered";
        let filtered = "22 filtered, 443 filtered, 8080 filtered";
        let crm = "22 filtered, 443 closed reset, 8080 open syn-ack";
        check(&gate, client, &alice, ["-sS", ports], &[portal, crm, filtered], &silent0);
        let portal_ack = "22 filtered, 443 unfiltered reset, 8080 filtered";
        let crm = "22 filtered, 443 unfiltered reset, 8080 unfiltered reset";
        check(&gate, client, &alice, ["-sA", ports], &[portal_ack, crm, filtered], &silent0);

        // Answers for bob, where he may not; from the gateway's own addresses nobody gets one.
        let closed = "22 closed reset, 443 closed reset, 8080 closed reset";
        let vault = "22 closed reset, 443 closed reset, 8080 open syn-ack";
        check(&gate, client2, &bob, ["-sS", ports], &[portal, vault, closed], &silent1);
        let unfiltered = "22 unfiltered reset, 443 unfiltered reset, 8080 unfiltered reset";
        check(&gate, client2, &bob, ["-sA", ports], &[portal_ack, unfiltered, unfiltered], &silent1);
        let (unknown, told) = (silent("53,161"), "53 filtered admin-prohibited, 161 filtered admin-prohibited");
        let elsewhere = [silent0[0], silent0[2]];
        check(&gate, client, &alice, ["-sU", "53,161"], &[&unknown, &unknown, &unknown], &elsewhere);
        let elsewhere = [silent1[0], silent1[2]];
        check(&gate, client2, &bob, ["-sU", "53,161"], &[&unknown, told, told], &elsewhere);
        let told = "80 filtered admin-prohibited";
        check(&gate, client2, &bob, ["-sY", "80"], &["80 filtered", told, told], &elsewhere);
        let (unknown, told) = (silent("6,17,58,255"), "6 open proto-response, 17 filtered admin-prohibited");
        let told = format!("{told}, 58 open|filtered, 255 open|filtered");
        let mut drops = vec![elsewhere[0], elsewhere[1], "guard1/protocol_unsupported"];
        if family.crm.is_ipv6() {
            // Of 58, which is its own ICMP there, nmap sends nothing but the number.
            drops.push("guard1/transport_malformed");
        }
        check(&gate, client2, &bob, ["-sO", "6,17,58,255"], &[&unknown, &told, &told], &drops);

        // What no honest stack sends gets no answer, whoever sends it.
        let unknown = silent("443,8080");
        for kind in ["-sN", "-sF", "-sX"] {
            check(&gate, client2, &bob, [kind, "443,8080"], &[&unknown, &unknown, &unknown], &["guard1/tcp_flags"]);
        }
        if family.crm.is_ipv6() {
            continue;
        }
        let filtered = "443 filtered, 8080 filtered";
        let tiny = ["guard0/fragment_stray", "guard0/fragment_tiny"];
        check(&gate, client, &alice, ["-sS -f", "443,8080"], &[filtered, filtered, filtered], &tiny);
        check(&gate, client2, &bob, ["-sS -f", "443,8080"], &[filtered, filtered, filtered], &["guard1/fragment"]);
        for kind in ["-sS --ip-options R", "-sS --ip-options T"] {
            check(&gate, client2, &bob, [kind, "443,8080"], &[filtered, filtered, filtered], &["guard1/ip_options"]);
        }
    }
    Ok(())
}

#[test]
fn a_session_that_scans_finds_less_than_it_may_reach() -> Result<()> {
    let gate = Gate::with(|config| format!("{config}\n[limits]\ndestinations_per_second = 10\nquarantine = \"5m\"\n"))?;
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    reaches(client, V4.crm());
    let before = gate.drops()?;
    scan(client, &[V4.crm], "-sS", "1-100")?;
    assert_eq!(
        gate.reasons_since(&before)?,
        ["guard0/app_unknown", "guard0/scan_detected", "guard0/session_quarantined"]
    );
    let held = &["guard0/session_quarantined"];
    check(&gate, client, &[V4.crm], ["-sS", "443,8080"], &["443 filtered, 8080 filtered"], held);
    Ok(())
}
