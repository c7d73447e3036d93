mod reference;

use super::*;
use crate::policy::model::{Protocol, Service};
use std::net::IpAddr;

fn app(name: &str, prefixes: &[&str], services: &[&str]) -> App {
    App {
        name: AppName::new(name).unwrap(),
        description: String::new(),
        prefixes: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
        names: Default::default(),
        within: Default::default(),
        services: services.iter().map(|text| service(text)).collect(),
        opens: Default::default(),
        trip_wire: false,
        outlasts_daemon: false,
        owner: String::new(),
        sensitivity: String::new(),
        budget: None,
        labels: Default::default(),
        health: None,
        enabled: true,
    }
}

fn service(text: &str) -> Service {
    let (protocol, ports) = text.split_once('/').map_or((text, None), |(protocol, ports)| (protocol, Some(ports)));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        "icmp" => Protocol::Icmp,
        number => Protocol::Ip(number.parse().unwrap()),
    };
    let ports = ports.map(|ports| {
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        (first.parse().unwrap(), last.parse().unwrap())
    });
    Service { protocol, ports }
}

fn compiled(apps: &[App]) -> Compiled {
    let numbered = apps.iter().enumerate().map(|(at, app)| (AppId(at as u32 + 1), app));
    compile(numbered, AppSetId(1), 1).expect("compiles")
}

fn app_at(tables: &Compiled, address: &str, protocol: u8, port: u16) -> u32 {
    entry_at(tables, address, (AppKey::SERVICE, protocol, port)).map_or(0, AppEntry::app)
}

/// The law's lookup, as the kernel does it on v4-mapped addresses.
fn entry_at(tables: &Compiled, address: &str, (side, protocol, port): (u8, u8, u16)) -> Option<AppEntry> {
    let mapped = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(ip.to_ipv6_mapped()),
        IpAddr::V6(ip) => u128::from(ip),
    };
    let length = |net: &IpNet| net.prefix_len() as u32 + if matches!(net, IpNet::V4(_)) { 96 } else { 0 };
    let is_in = |net: &IpNet| {
        let shift = 128 - length(net);
        let cut = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
        cut(mapped(net.addr())) == cut(mapped(address.parse().unwrap()))
    };
    let candidates = tables.prefixes.iter().filter(|((_, net), _)| is_in(net));
    let (_, block) = candidates.max_by_key(|((_, net), _)| length(net))?;
    let key = |port: u16| AppKey { block: block.0, port: port.to_be_bytes(), protocol, side };
    tables.ports.get(&key(port)).or_else(|| tables.ports.get(&key(0))).copied()
}

fn check_all(apps: &[App], expected: &[(&str, u8, u16, u32)]) {
    let tables = compiled(apps);
    for (address, protocol, port, app) in expected {
        assert_eq!(app_at(&tables, address, *protocol, *port), *app, "{address} {protocol} {port}");
    }
}

#[test]
fn the_most_specific_prefix_wins_and_the_rest_is_inherited() {
    check_all(
        &[
            app("campus", &["10.0.0.0/8"], &["tcp", "udp/53", "icmp"]),
            app("web", &["10.1.0.0/16"], &["tcp/443"]),
            app("db", &["10.1.2.0/24", "10.1.2.9/32"], &["tcp/5432"]),
            app("lab", &["10.7.0.0/16"], &["tcp", "udp/53-54"]),
        ],
        &[
            ("10.200.0.1", 6, 22, 1),
            ("10.1.9.9", 6, 443, 2),
            ("10.1.9.9", 6, 80, 1),
            ("10.1.2.3", 6, 443, 2),
            ("10.1.2.3", 6, 5432, 3),
            ("10.1.2.3", 6, 5433, 1),
            ("10.1.2.9", 1, 0, 1),
            ("10.1.2.9", 17, 53, 1),
            ("10.7.0.1", 6, 443, 4),
            ("10.7.0.1", 17, 53, 4),
            ("10.7.0.1", 17, 55, 0),
            ("11.0.0.1", 6, 443, 0),
        ],
    );
}

#[test]
fn any_port_of_a_narrower_prefix_removes_single_ports_of_a_wider_one() {
    let apps = [app("web", &["10.0.0.0/8"], &["tcp/443", "udp/443"]), app("all", &["10.1.0.0/16"], &["tcp"])];
    check_all(&apps, &[("10.1.0.1", 6, 443, 2), ("10.1.0.1", 17, 443, 1), ("10.2.0.1", 6, 443, 1)]);
}

#[test]
fn on_one_prefix_a_single_port_beats_a_range_and_a_range_beats_any() {
    let apps = [
        app("any", &["10.0.0.0/8"], &["tcp"]),
        app("one", &["10.0.0.0/8"], &["tcp/8080"]),
        app("some", &["10.0.0.0/8"], &["tcp/8000-9000"]),
    ];
    check_all(&apps, &[("10.0.0.1", 6, 8080, 2), ("10.0.0.1", 6, 8081, 3), ("10.0.0.1", 6, 22, 1)]);
}

#[test]
fn sctp_has_ports_and_other_protocols_have_none() {
    let apps =
        [app("tunnel", &["10.0.0.0/8", "2001:db8::/32"], &["47", "50"]), app("sip", &["10.1.0.0/16"], &["sctp/2905"])];
    check_all(
        &apps,
        &[
            ("10.0.0.1", 47, 0, 1),
            ("2001:db8::1", 50, 0, 1),
            ("10.0.0.1", 51, 0, 0),
            ("10.1.0.1", 132, 2905, 2),
            ("10.1.0.1", 132, 2906, 0),
            ("10.1.0.1", 47, 0, 1),
        ],
    );
}

fn opening(name: &str, prefixes: &[&str], opens: &[&str]) -> App {
    App { opens: opens.iter().map(|text| service(text)).collect(), ..app(name, prefixes, &["tcp/443"]) }
}

#[test]
fn what_apps_open_is_flattened_like_what_they_offer_and_apart_from_it() {
    let tables = compiled(&[
        opening("campus", &["10.0.0.0/8"], &["udp", "tcp/22", "icmp"]),
        opening("phones", &["10.1.0.0/16"], &["udp/5000-5001", "47"]),
        opening("silent", &["10.2.0.0/16"], &[]),
    ]);
    for (address, protocol, port, expected) in [
        ("10.0.0.1", 17, 5000, 1),
        ("10.1.0.1", 17, 5000, 2),
        ("10.1.0.1", 17, 5002, 1),
        ("10.1.0.1", 47, 0, 2),
        ("10.1.0.1", 1, 0, 1),
        ("10.2.0.1", 6, 22, 1),
        ("10.0.0.1", 6, 443, 0),
    ] {
        let found = entry_at(&tables, address, (AppKey::OPENS, protocol, port)).map_or(0, AppEntry::app);
        assert_eq!(found, expected, "{address} {protocol} {port}");
    }
    assert_eq!((app_at(&tables, "10.2.0.1", 6, 443), app_at(&tables, "10.2.0.1", 6, 22)), (3, 0));
}

#[test]
fn two_apps_that_open_the_same_are_ambiguous_and_the_error_says_where() {
    let apps = [
        opening("a", &["10.0.0.0/8"], &["udp/5060"]),
        App { services: [service("tcp/80")].into(), ..opening("b", &["10.0.0.0/8"], &["udp/5060"]) },
    ];
    let found = compile(apps.iter().zip(1..).map(|(app, id)| (AppId(id), app)), AppSetId(1), 1).unwrap_err();
    let message = "it claims 10.0.0.0/8 5060/udp under `opens` which app `a` claims too; one of them must be narrower";
    assert_eq!((found.app.as_str(), found.problem.to_string().as_str()), ("b", message));
}

#[test]
fn a_trip_wire_is_marked_while_it_is_enabled() {
    let trap = App { trip_wire: true, ..app("trap", &["10.0.0.0/24"], &["tcp"]) };
    let off = App { enabled: false, name: AppName::new("off").unwrap(), ..trap.clone() };
    let off = App { prefixes: ["10.0.1.0/24".parse().unwrap()].into(), ..off };
    let tables = compiled(&[trap.clone(), off.clone()]);
    let at = |address| entry_at(&tables, address, (AppKey::SERVICE, 6, 22));
    assert_eq!(at("10.0.0.1"), Some(AppEntry::new(1, true)));
    assert_eq!(at("10.0.1.1"), Some(AppEntry::new(2, false)));
    assert!(!is_same(&trap, &App { enabled: false, ..trap.clone() }));
    assert!(is_same(&app("a", &["::/0"], &["tcp"]), &App { enabled: false, ..app("a", &["::/0"], &["tcp"]) }));
}

#[test]
fn an_app_that_outlasts_the_daemon_is_marked_at_each_of_its_ports() {
    let phones = App { outlasts_daemon: true, ..app("phones", &["10.0.0.0/24"], &["tcp"]) };
    let tables = compiled(std::slice::from_ref(&phones));
    let entry = entry_at(&tables, "10.0.0.1", (AppKey::SERVICE, 6, 22));
    assert_eq!(entry.map(|entry| (entry.app(), entry.outlasts(), entry.is_trip_wire())), Some((1, true, false)));
    assert!(!is_same(&phones, &App { outlasts_daemon: false, ..phones.clone() }));
}

#[test]
fn equal_claims_are_ambiguous() {
    for (one, two) in [("tcp", "tcp"), ("tcp/443", "tcp/443"), ("tcp/1-10", "tcp/10-20"), ("icmp", "icmp")] {
        let apps = [app("a", &["10.0.0.0/8"], &[one]), app("b", &["10.0.0.0/8"], &[two])];
        let numbered = apps.iter().zip(1..).map(|(app, id)| (AppId(id), app));
        let found = compile(numbered, AppSetId(1), 1).expect_err("ambiguous");
        assert_eq!(found.app, apps[1].name);
        assert!(matches!(&found.problem, AppProblem::Ambiguous { other, .. } if *other == apps[0].name), "{found:?}");
    }
}

#[test]
fn icmp_has_the_protocol_of_the_family() {
    let apps = [app("ping", &["10.0.0.0/8", "2001:db8::/32"], &["icmp"])];
    check_all(
        &apps,
        &[("10.0.0.1", 1, 0, 1), ("10.0.0.1", 58, 0, 0), ("2001:db8::1", 58, 0, 1), ("2001:db8::1", 1, 0, 0)],
    );
}

#[test]
fn a_default_route_is_for_its_own_family() {
    check_all(&[app("internet6", &["::/0"], &["tcp"])], &[("2001:db8::1", 6, 443, 1), ("8.8.8.8", 6, 443, 0)]);
    let both = [app("internet", &["::/0", "0.0.0.0/0"], &["tcp"]), app("crm", &["10.0.0.1/32"], &["tcp/443"])];
    check_all(&both, &[("8.8.8.8", 6, 443, 1), ("10.0.0.1", 6, 443, 2), ("10.0.0.1", 6, 80, 1)]);
}

#[test]
fn equal_blocks_are_stored_once() {
    let hosts: Vec<String> = (0..200).map(|host| format!("10.0.0.{host}/32")).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let tables = compiled(&[app("farm", &hosts, &["tcp/1-4096", "udp/53"])]);
    assert_eq!((tables.prefixes.len(), tables.ports.len(), tables.next_block), (200, 4097, 2));
}

#[test]
fn apps_that_cannot_be_are_refused() {
    for (prefixes, services, expected) in [
        (&[][..], &["tcp"][..], "it has neither a prefix nor a name"),
        (&["10.0.0.0/8"], &[], "it has no service"),
        (&["10.0.0.1/8"], &["tcp"], "prefix `10.0.0.1/8` has host bits; write `10.0.0.0/8`"),
        (&["127.0.0.1/32"], &["tcp"], "prefix `127.0.0.1/32` does not lie in routed unicast space"),
        (&["::ffff:10.0.0.0/104"], &["tcp"], "prefix `::ffff:10.0.0.0/104` does not lie in routed unicast space"),
        (&["ff02::/16"], &["tcp"], "prefix `ff02::/16` does not lie in routed unicast space"),
        (&["10.0.0.0/8"], &["tcp/0-10"], "service `0-10/tcp` is not valid"),
        (&["10.0.0.0/8"], &["tcp/9-8"], "service `9-8/tcp` is not valid"),
        (&["10.0.0.0/8"], &["icmp/1"], "service `1/icmp` is not valid"),
        (&["10.0.0.0/8"], &["47/1"], "service `1/47` is not valid"),
        (&["10.0.0.0/8"], &["6"], "IP protocol 6 cannot be granted by its number"),
        (&["10.0.0.0/8"], &["tcp/1-4097"], "service `1-4097/tcp` spans 4097 ports, more than 4096"),
    ] {
        let found = check(&app("a", prefixes, services)).expect_err(expected).to_string();
        assert!(found.starts_with(expected), "{found}");
    }
    let everything = ["tcp/1-4096", "icmp", "udp", "sctp", "2", "254"];
    assert_eq!(check(&app("a", &["0.0.0.0/0", "::/0", "10.0.0.1/32"], &everything)), Ok(()));
    let problem = check(&opening("a", &["10.0.0.0/8"], &["udp/9-8"])).unwrap_err().to_string();
    assert!(problem.starts_with("service `9-8/udp` is not valid"), "{problem}");
}
