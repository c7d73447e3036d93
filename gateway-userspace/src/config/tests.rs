use super::*;
use crate::dataplane::attach::{InterfaceSettings, XdpChoice};
use crate::dataplane::interfaces::{Wanted, WantedVlan};
use crate::policy::SessionLimits;
use gateway_common::abi::Vlan;
use std::fmt::Write as _;

const LEAST: &str = "[[interface]]\nname = \"eth1\"\n[api]\nlisten = [\"127.0.0.1:8443\"]\n";
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs");

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("/etc/portcullis/portcullis.toml"))
}

/// The least configuration, with `text` below it, has exactly these errors.
fn check(text: &str, expected: &[&str]) {
    check_all(&format!("{LEAST}{text}"), expected);
}

fn check_all(text: &str, expected: &[&str]) {
    let errors = parse(text).map_or_else(|errors| errors.errors, |_| Vec::new());
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, expected, "{text}");
}

fn least() -> Config {
    parse(LEAST).unwrap()
}

fn example(name: &str) -> String {
    std::fs::read_to_string(Path::new(EXAMPLES).join(name)).unwrap()
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = least();
    assert_eq!(config.state, Path::new("/var/lib/portcullis"));
    assert_eq!(config.bpffs, Path::new("/sys/fs/bpf/portcullis"));
    assert_eq!(config.barrier, BarrierChoice::Auto);
    let interface = Wanted {
        name: "eth1".into(),
        zone: "eth1".into(),
        mode: XdpChoice::Auto,
        settings: InterfaceSettings::default(),
        vlans: Vec::new(),
    };
    assert_eq!(config.interfaces, [interface]);
    assert_eq!(config.app_side, AppSide::default());
    let limits = LimitsConfig {
        service_packets_per_second: 2_000,
        session: SessionLimits::default(),
        quarantine: Duration::from_secs(300),
        answers_per_second: 1_000,
        lease: Duration::from_secs(60),
    };
    assert_eq!(config.limits, limits);
    assert_eq!((limits.service_interval(), limits.answers_per_window()), (500_000, 100));
    assert_eq!(config.api.management, ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    assert_eq!(config.api.metrics, MetricsAccess::Token);
    assert_eq!(config.login, LoginConfig { listen: Vec::new(), session: Duration::from_secs(8 * 3_600), url: None });
    assert_eq!(config.capacity, Capacities::default());
    assert_eq!((config.records.events_per_second, config.records.events_per_window()), (100_000, 10_000));
    assert_eq!(config.first_start, FirstStart::default());
    assert_eq!(config.dns, DnsConfig { servers: Vec::new(), keep: Duration::from_secs(86_400) });
    assert_eq!(config.log, LogConfig { level: "info".into(), format: LogFormat::Text });
}

#[test]
fn an_empty_file_hears_what_it_lacks() {
    check_all(
        "",
        &[
            "1:1: interface: is missing; add `[[interface]]` with `name = \"eth1\"` for each interface that faces \
             clients",
            "1:1: api.listen: is missing; add `listen = [\"127.0.0.1:8443\"]` below `[api]`",
        ],
    );
}

#[test]
fn unknown_keys_are_refused_with_the_one_that_was_meant() {
    check("[lgin]\n", &["5:2: lgin: is not a known key; did you mean `login`?"]);
    check("metric = 'token'", &["5:1: api.metric: is not a known key; did you mean `metrics`?"]);
    check("[login]\nhours = 8", &["6:1: login.hours: is not a known key; known here: `listen`, `session` or `url`"]);
}

#[test]
fn all_errors_are_reported_together_in_the_order_of_the_file() {
    check_all(
        "state = 3\n[[interface]]\nname = 'eth/1'\nxdp = 'nativ'\n[api]\nlisten = ['localhost:8443', '[::1]:0']\n\
         [capacity]\nsessions = 3\nflows = 'many'",
        &[
            "1:9: state: is an integer and should be a string; write it like `\"/path/to/file\"`",
            "3:8: interface[0].name: `eth/1` is not the name of an interface; write 1 to 15 bytes without white space, \
             `/` and `:`; `ip link` shows those that exist",
            "4:7: interface[0].xdp: `nativ` is not one of the choices; did you mean `native`?",
            "6:11: api.listen[0]: `localhost:8443` is not an address with a port; write an address and a port from 1 \
             to 65535, like `192.0.2.1:8443` or `[2001:db8::1]:8443`",
            "6:29: api.listen[1]: `[::1]:0` is not an address with a port; write an address and a port from 1 to \
             65535, like `192.0.2.1:8443` or `[2001:db8::1]:8443`",
            "8:12: capacity.sessions: `3` is out of bounds; choose one from 16 to 4194304",
            "9:9: capacity.flows: is a string and should be an integer; choose one from 16 to 33554432",
        ],
    );
}

#[test]
fn what_is_not_toml_is_refused_with_its_place() {
    let errors = parse("[[interface]]\nname = eth1\nzone = = 'a'\n").unwrap_err();
    let lines: Vec<_> = errors.errors.iter().filter_map(|error| error.place).map(|place| place.line).collect();
    assert_eq!(lines, [2, 3], "{errors}");
}

#[test]
fn no_place_is_given_away_twice() {
    let taken = |key: &str, what: &str, by: &str| {
        format!("{key}: `{what}` belongs to `{by}` already; choose another port, or another address")
    };
    let login = "[login]\nlisten = ['127.0.0.1:8443']";
    check(login, &[&taken("6:11: login.listen[0]", "tcp 127.0.0.1:8443", "api.listen[0]")]);
    check("[login]\nlisten = ['127.0.0.1:443', '127.0.0.2:8443']", &[]);
    let all = LEAST.replace("127.0.0.1", "[::]") + login;
    check_all(&all, &[&taken("6:11: login.listen[0]", "tcp 127.0.0.1:8443", "api.listen[0]")]);
    let service = "[[service]]\nname = 'api'\nprotocol = 'tcp'\nport = 8443\naccess = 'everyone'\n";
    check(service, &[&taken("8:8: service[0].port", "tcp [::]:8443", "api.listen[0]")]);
    check(&format!("{service}addresses = ['10.0.0.1']"), &[]);
    check(&service.replace("tcp", "udp"), &[]);
}

#[test]
fn an_interface_is_there_once() {
    check(
        "[[interface]]\nname = 'eth1'",
        &["6:8: interface[1].name: interface `eth1` is there twice; remove one of them"],
    );
    check("[[interface]]\nname = 'eth2'\nzone = 'eth1'", &[]);
    let many = (0..64).fold(String::new(), |mut text, n| {
        let _ = write!(text, "[[interface]]\nname = 'i{n}'\n");
        text
    });
    let many = format!("{many}[api]\nlisten = ['127.0.0.1:8443']");
    check_all(&many, &["1:1: interface: there are 64 interfaces; guard at most 63"]);
}

#[test]
fn an_interface_says_what_becomes_of_odd_packets_and_which_vlans_it_carries() {
    let text = "[[interface]]\nname = 'eth2'\nzone = 'branch'\nmode = 'observe'\non_denial = 'reject'\n\
                fragments = 'track'\nforward = 'xdp'\nip_options = 'admit'\nip_extensions = 'admit'\n\
                [[interface.vlan]]\nid = '10'\nzone = 'voice'\n[[interface.vlan]]\nid = 11\n\
                [[interface.vlan]]\nid = '100.20'\n[api]\nlisten = ['127.0.0.1:8443']\n\
                [forwarding]\napp_interfaces = ['eth0']";
    let interface = parse(text).unwrap().interfaces.remove(0);
    let all = InterfaceSettings {
        observe: true,
        reject: true,
        track_fragments: true,
        admit_options: true,
        admit_extensions: true,
        forward: true,
    };
    assert_eq!((interface.zone.as_str(), interface.settings), ("branch", all));
    let vlan = |outer, inner, zone: &str| WantedVlan { vlan: Vlan { outer, inner }, zone: zone.into() };
    assert_eq!(interface.vlans, [vlan(0, 10, "voice"), vlan(0, 11, "branch.11"), vlan(100, 20, "branch.100.20")]);
}

#[test]
fn interfaces_that_face_apps_are_named_if_and_only_if_something_is_forwarded_to_them_in_xdp() {
    let forward = LEAST.replace("[api]", "forward = 'xdp'\n[api]");
    let both = format!("{forward}[forwarding]\nxdp = 'generic'\napp_interfaces = ['eth0', 'eth2']");
    let expected = AppSide { names: vec!["eth0".into(), "eth2".into()], mode: XdpChoice::Generic };
    assert_eq!(parse(&both).unwrap().app_side, expected);
    check_all(
        &forward,
        &["1:1: forwarding.app_interfaces: is missing, and interface `eth1` forwards in XDP; add \
             `app_interfaces = [\"eth0\"]` below `[forwarding]`, with the interfaces that face apps"],
    );
    check(
        "[forwarding]\napp_interfaces = ['eth0']",
        &[
            "6:18: forwarding.app_interfaces: is of no use: no interface forwards in XDP; add `forward = \"xdp\"` to an \
           `[[interface]]`, or remove this key",
        ],
    );
    check_all(
        &format!("{forward}[forwarding]\napp_interfaces = []"),
        &["7:18: forwarding.app_interfaces: is empty; name at least one interface that faces apps, like `eth0`"],
    );
    check_all(
        &format!("{forward}[forwarding]\nxdp = 'fast'\napp_interfaces = ['eth1', 'eth0', 'eth0', 'a b']"),
        &[
            "7:7: forwarding.xdp: `fast` is not one of the choices; write `auto`, `native` or `generic`",
            "8:19: forwarding.app_interfaces[0]: interface `eth1` is guarded; name interfaces that face apps",
            "8:35: forwarding.app_interfaces[2]: interface `eth0` is there twice; remove one of them",
            "8:43: forwarding.app_interfaces[3]: `a b` is not the name of an interface; write 1 to 15 bytes without \
             white space, `/` and `:`; `ip link` shows those that exist",
        ],
    );
    let many: Vec<String> = (0..65).map(|n| format!("'i{n}'")).collect();
    check_all(
        &format!("{forward}[forwarding]\napp_interfaces = [{}]", many.join(", ")),
        &["7:18: forwarding.app_interfaces: there are 65 interfaces; name at most 64"],
    );
}

#[test]
fn vlans_are_numbers_and_each_is_there_once() {
    let remedy = "write a number from 1 to 4094, like `10`, or two, like `100.20`, for an 802.1ad tag and an 802.1Q tag \
                  inside it";
    let text = "[[interface]]\nname = 'eth2'\nfragments = 'admit'\n[[interface.vlan]]\nid = '10'\n\
                [[interface.vlan]]\nid = 10\n[[interface.vlan]]\nid = 4095\n[[interface.vlan]]\nid = '10.0'\n\
                [[interface.vlan]]\nid = 100.20\n[[interface.vlan]]\nzone = 'voice'";
    check(
        text,
        &[
            "7:13: interface[1].fragments: `admit` is not one of the choices; write `drop` or `track`",
            "11:6: interface[1].vlan[1].id: VLAN `10` is there twice; remove one of them",
            "13:6: interface[1].vlan[2].id: `4095` is out of bounds; choose one from 1 to 4094",
            &format!("15:6: interface[1].vlan[3].id: `10.0` is not a VLAN; {remedy}"),
            "17:6: interface[1].vlan[4].id: is a float and should be a string; write it like `\"100.20\"`",
            "18:1: interface[1].vlan[5].id: is missing; add `id = \"10\"`",
        ],
    );
    check(
        "[[interface]]\nname = 'eth2'\n[interface.vlan]\nid = 10",
        &[
            "7:1: interface[1].vlan: is one table and there may be several; write `[[interface.vlan]]` with two brackets",
        ],
    );
}

#[test]
fn limits_are_numbers_and_the_bandwidth_has_a_unit() {
    let limits = |text: &str| parse(&format!("{LEAST}[limits]\n{text}")).unwrap().limits;
    let all = limits("new_flows_per_second = 50\ndestinations_per_second = 48\nbandwidth = '100 Mbit/s'");
    let session = SessionLimits { new_flows_per_second: 50, destinations_per_second: 48, bytes_per_second: 12_500_000 };
    assert_eq!(all.session, session);
    assert_eq!(limits("service_packets_per_second = 0").service_interval(), 0);
    assert_eq!(limits("quarantine = '1s'").quarantine_nanos(), 1_000_000_000);
    check(
        "[limits]\ndestinations_per_second = 49\nbandwidth = '100 Mbps'\nquarantine = '2d'\nanswers_per_second = 0",
        &[
            "6:27: limits.destinations_per_second: `49` is out of bounds; choose one from 0 to 48",
            "7:13: limits.bandwidth: `100 Mbps` is not a bandwidth; write a whole number and `kbit/s`, `Mbit/s` or \
             `Gbit/s`, like `100 Mbit/s`",
            "8:14: limits.quarantine: `2d` is out of bounds; choose one from 1s to 1d",
            "9:22: limits.answers_per_second: `0` is out of bounds; choose one from 10 to 10000000",
        ],
    );
    check(
        "[limits]\nbandwidth = '1 bit/s'",
        &[
            "6:13: limits.bandwidth: `1 bit/s` is out of bounds; choose one from 64 kbit/s to 100 Gbit/s, or remove the \
           key for no limit",
        ],
    );
}

#[test]
fn dns_servers_are_addresses_and_their_port_is_53_unless_it_is_said() {
    let config =
        parse(&format!("{LEAST}[dns]\nservers = ['192.0.2.53', '[2001:db8::53]:5353', '2001:db8::1']\nkeep = '2h'"));
    let DnsConfig { servers, keep } = config.unwrap().dns;
    let written = ["192.0.2.53:53", "[2001:db8::53]:5353", "[2001:db8::1]:53"];
    assert_eq!(
        (servers.iter().map(ToString::to_string).collect::<Vec<_>>(), keep.as_secs()),
        (written.map(str::to_owned).to_vec(), 7_200)
    );
    check(
        "[dns]\nservers = ['dns.example.net', '0.0.0.0']",
        &[
            "6:12: dns.servers[0]: `dns.example.net` is not an address of a server; write an address, and a port if it \
             is not 53, like `192.0.2.53` or `[2001:db8::53]:5353`",
            "6:31: dns.servers[1]: `0.0.0.0` is not an address of a server; write an address, and a port if it is not \
             53, like `192.0.2.53` or `[2001:db8::53]:5353`",
        ],
    );
    check(
        "[dns]\nservers = []",
        &["6:11: dns.servers: is empty; name at least one server, like `192.0.2.53`, or remove the key"],
    );
}

#[test]
fn a_list_of_revoked_client_certificates_needs_their_authority() {
    check(
        "client_crl = 'a.pem'",
        &["5:14: api.client_crl: has no authority; add `client_ca = \"clients-ca.pem\"`, or remove it"],
    );
    let config = parse(&format!("{LEAST}client_ca = 'a.pem'\nclient_crl = '/l.pem'")).unwrap();
    assert_eq!(config.api.client_ca.as_deref(), Some(Path::new("/etc/portcullis/a.pem")));
    assert_eq!(config.api.client_crl.as_deref(), Some(Path::new("/l.pem")));
}

#[test]
fn a_certificate_and_its_key_come_together() {
    check("key = 'a.pem'", &["5:7: api.key: has no certificate; add `certificate = \"chain.pem\"`, or remove both"]);
    check("certificate = 'a.pem'", &["5:15: api.certificate: has no key; add `key = \"key.pem\"`, or remove both"]);
    let config = parse(&format!("{LEAST}certificate = 'a.pem'\nkey = '/k.pem'")).unwrap();
    assert_eq!(config.api.certificate.as_deref(), Some(Path::new("/etc/portcullis/a.pem")));
    assert_eq!(config.api.key.as_deref(), Some(Path::new("/k.pem")));
}

#[test]
fn values_that_make_no_sense_are_refused() {
    check("management = ['10.0.0.1/8']", &["5:15: api.management[0]: `10.0.0.1/8` has host bits; write `10.0.0.0/8`"]);
    check("[login]\nsession = '10s'", &["6:11: login.session: `10s` is out of bounds; choose one from 1m to 30d"]);
    check(
        "[login]\nsession = 8",
        &["6:11: login.session: is an integer and should be a string; write it like `\"8h\"`"],
    );
    check(
        "[login]\nlisten = ['0.0.0.0:443']",
        &["6:10: login.listen: names all addresses; name the gateway's own address on each guarded interface"],
    );
    let relative = format!("bpffs = 'pins'\n{LEAST}");
    check_all(
        &relative,
        &["1:9: bpffs: `pins` is not absolute; write a path on a BPF file system, like `/sys/fs/bpf/portcullis`"],
    );
    let empty = LEAST.replace("\"127.0.0.1:8443\"", "");
    check_all(&empty, &["4:10: api.listen: is empty; name at least one address, like `127.0.0.1:8443`"]);
    let level = parse(&format!("{LEAST}[log]\nlevel = 'portcullis=loud'")).unwrap_err().to_string();
    assert!(level.contains("6:9: log.level: `portcullis=loud` is not a filter"), "{level}");
}

#[test]
fn the_message_names_the_file_and_a_missing_file_is_an_error_too() {
    let message = parse(&format!("{LEAST}a = 1\nb = 2")).unwrap_err().to_string();
    let lines: Vec<_> = message.lines().collect();
    assert!(lines.len() == 2 && lines[1].starts_with("/etc/portcullis/portcullis.toml:6:1: api.b: "), "{message}");
    let message = Config::load(Path::new("/nonexistent/portcullis.toml")).unwrap_err().to_string();
    assert!(message.starts_with("/nonexistent/portcullis.toml: cannot be read: "), "{message}");
}

const PROVIDER: &str =
    "[login]\nurl = \"https://gate.example.org/\"\n[[provider]]\nname = \"corp\"\nclient_id = \"gate\"\n";

#[test]
fn a_provider_is_read_with_its_defaults_and_everything_that_it_may_say() {
    let config = parse(&format!("{LEAST}{PROVIDER}issuer = \"https://id.example.org\"")).unwrap();
    assert_eq!(config.login.url.as_deref(), Some("https://gate.example.org"));
    let [provider] = &config.providers[..] else { panic!("{:?}", config.providers) };
    assert_eq!(
        (provider.title.as_str(), provider.kind, provider.recheck),
        ("corp", crate::identity::oidc::Preset::Generic, None)
    );
    assert_eq!((provider.users, provider.groups, &provider.scim), (UserSource::Login, GroupSource::Claims, &None));
    let google = parse(&format!("{LEAST}{PROVIDER}kind = \"google\"")).unwrap();
    assert_eq!(google.providers[0].issuer, "https://accounts.google.com");
    let all = with_provider_written_out(&example("portcullis.toml"));
    let [provider] = &parse(&all).unwrap().providers[..] else { panic!("{all}") };
    assert_eq!(provider.scim.as_ref().unwrap().link, Link::ExternalId("sub".into()));
    assert_eq!(provider.signals.as_ref().unwrap().delivery, Delivery::Push);
    assert_eq!(provider.client_secret.as_deref(), Some(Path::new("/etc/portcullis/secrets/corp")));
    let geo = parse(&format!("{LEAST}[geo]\ndatabase = \"geo/country.mmdb\"")).unwrap();
    assert_eq!(geo.countries.as_deref(), Some(Path::new("/etc/portcullis/geo/country.mmdb")));
    assert_eq!(provider.claims.attributes["department"], "department");
    assert_eq!(provider.group_names.values().next().unwrap().as_str(), "finance");
}

/// The example with the lines of its provider and of the address that providers need.
fn with_provider_written_out(text: &str) -> String {
    let begin = text.find("# [[provider]]").unwrap();
    let end = begin + text[begin..].find("\n\n").unwrap();
    let lines = text[begin..end].lines().filter_map(|line| {
        let is_header = line == "# [[provider]]";
        line.strip_prefix("#   ").or(is_header.then_some("[[provider]]"))
    });
    let provider = lines.collect::<Vec<_>>().join("\n");
    format!("{LEAST}[login]\nurl = \"https://gate.example.org\"\n{provider}")
}

#[test]
fn a_provider_that_makes_no_sense_is_refused_with_its_place() {
    let with = |text: &str| format!("{PROVIDER}issuer = \"https://id.example.org\"\n{text}");
    check(PROVIDER, &["7:1: provider[0].issuer: is missing; add `issuer = \"https://id.example.org\"`"]);
    for (text, expected) in [
        ("users = \"scim\"", "provider[0].scim: is missing"),
        ("groups = \"scim\"", "provider[0].scim: is missing"),
        ("[provider.signals]\naudience = \"a\"\ndelivery = \"poll\"", "provider[0].signals.token_file: is missing"),
        ("[provider.group_names]\nx = \"no spaces\"", "provider[0].group_names.x: `no spaces` is not a group"),
        ("[provider.attributes]\n\"a b\" = \"c\"", "`a b` is not a name for an attribute"),
        ("[provider.scim]\nlink = \"username\"", "provider[0].scim.token_file: is missing"),
        ("[[provider]]\nname = \"local\"\nissuer = \"https://b\"\nclient_id = \"c\"", "`local` is the gateway itself"),
        ("[[provider]]\nname = \"corp\"\nissuer = \"https://b\"\nclient_id = \"c\"", "`corp` is another provider's"),
        ("[[provider]]\nname = \"a/b\"\nissuer = \"http://b\"\nclient_id = \"c\"", "`a/b` is not a name"),
        ("[[provider]]\nname = \"b\"\nissuer = \"http://b\"\nclient_id = \"c\"", "issuer: is not an https address"),
    ] {
        let errors = parse(&format!("{LEAST}{}", with(text))).unwrap_err().to_string();
        assert!(errors.contains(expected), "{text}: {errors}");
    }
    let nowhere = PROVIDER.replace("url = \"https://gate.example.org/\"\n", "");
    let errors = parse(&format!("{LEAST}{nowhere}issuer = \"https://id.example.org\"")).unwrap_err().to_string();
    assert!(errors.contains("login.url: is missing; add `url"), "{errors}");
}

/// A comment of the example that shows a default looks like `# key = value`.
fn with_defaults_written_out(text: &str) -> String {
    let is_setting = |line: &str| {
        let (key, _) = line.split_once(" = ")?;
        key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_').then_some(())
    };
    let uncommented = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(setting) if is_setting(setting).is_some() => setting,
        _ => line,
    });
    uncommented.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_loads_and_the_defaults_that_it_shows_are_the_defaults() {
    let text = example("portcullis.toml");
    let config = parse(&text).unwrap();
    assert_eq!(parse(&with_defaults_written_out(&text)).unwrap(), config);
}

#[test]
fn the_example_shows_every_key() {
    let text = example("portcullis.toml");
    for key in [
        "state",
        "bpffs",
        "barrier",
        "[[interface]]",
        "name",
        "zone",
        "xdp",
        "mode",
        "on_denial",
        "fragments",
        "ip_options",
        "ip_extensions",
        "forward",
        "[forwarding]",
        "app_interfaces",
        "[[interface.vlan]]",
        "id",
        "[api]",
        "listen",
        "management",
        "certificate",
        "key",
        "client_ca",
        "client_crl",
        "metrics",
        "[login]",
        "session",
        "url",
        "[geo]",
        "database",
        "[[provider]]",
        "title",
        "kind",
        "issuer",
        "client_id",
        "client_secret_file",
        "ca",
        "hosts",
        "algorithms",
        "scopes",
        "acr_values",
        "mfa_acr",
        "max_age",
        "recheck",
        "users",
        "groups",
        "audience",
        "[provider.claims]",
        "username",
        "display_name",
        "[provider.attributes]",
        "[provider.require]",
        "[provider.group_names]",
        "[provider.scim]",
        "token_file",
        "link",
        "external_id_claim",
        "[provider.signals]",
        "delivery",
        "authorization_file",
        "manage",
        "email_is_username",
        "[[service]]",
        "protocol",
        "port",
        "access",
        "addresses",
        "[limits]",
        "service_packets_per_second",
        "new_flows_per_second",
        "destinations_per_second",
        "bandwidth",
        "quarantine",
        "lease",
        "answers_per_second",
        "[capacity]",
        "sessions",
        "flows",
        "app_prefixes",
        "app_ports",
        "grants",
        "apps",
        "budgets",
        "fragments",
        "sources",
        "[records]",
        "access_log",
        "archive",
        "keep",
        "keep_bytes",
        "denial_window",
        "flow_update",
        "events_per_second",
        "[[export]]",
        "name",
        "to",
        "url",
        "token_file",
        "index",
        "ca",
        "certificate",
        "key",
        "form",
        "types",
        "begin",
        "batch",
        "[first_start]",
        "policies",
        "[policy]",
        "bundle",
        "watch",
        "[dns]",
        "servers",
        "keep",
        "[log]",
        "level",
        "format",
    ] {
        let shown = |line: &str| {
            let line = line.trim_start_matches(['#', ' ']);
            line == key || line.strip_prefix(key).is_some_and(|rest| rest.starts_with(" ="))
        };
        assert!(text.lines().any(shown), "the example does not show `{key}`");
    }
}

#[test]
fn the_examples_of_the_demonstration_load() {
    let text = example("demo/portcullis.toml").replace("{bpffs}", "/sys/fs/bpf/demo").replace("{scratch}", "/tmp/demo");
    let config = parse(&text).unwrap();
    let names: Vec<_> = config.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    assert_eq!(names, ["guard0", "guard1"]);
}

#[test]
fn the_example_apps_and_policies_load() {
    for folder in ["", "demo/"] {
        let apps = example(&format!("{folder}apps.toml"));
        assert!(!apps::parse_apps(&apps, Path::new("apps.toml")).unwrap().is_empty());
        let policies = example(&format!("{folder}policies.cedar"));
        crate::policy::PolicySet::parse(&policies).unwrap();
    }
}

#[test]
fn what_a_file_says_is_repeated_without_line_breaks_and_commands_to_the_terminal() {
    let errors =
        parse(&format!("{LEAST}[log]\nformat = \"x\\ny\\u001b[2J\"\n\"a\\nb\" = 1\n")).unwrap_err().to_string();
    assert!(errors.contains(r"`x\ny\u{1b}[2J`") && errors.contains(r"log.a\nb: is not a known key"), "{errors}");
    assert_eq!(errors.lines().count(), 2, "{errors}");
}
