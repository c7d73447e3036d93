//! Collectors of logs and of flows: what may be said of them, and what is said against the rest.

use crate::config::Config;
use crate::export::{Destination, Endpoint, IpfixSettings, OtlpSettings, Transport};
use std::path::Path;
use std::time::Duration;

const LEAST: &str = "[[interface]]\nname = \"eth1\"\n[api]\nlisten = [\"127.0.0.1:8443\"]\n";
const OTLP: &str = "[[export]]\nname = \"otel\"\nto = \"otlp\"\n";
const IPFIX: &str = "[[export]]\nname = \"flows\"\nto = \"ipfix\"\n";
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/portcullis.toml");

fn parse(text: &str) -> Result<Config, String> {
    let config = Config::parse(&format!("{LEAST}{text}"), Path::new("/etc/portcullis/portcullis.toml"));
    config.map_err(|errors| errors.to_string())
}

/// The only export.
fn destination(text: &str) -> (Destination, Vec<&'static str>) {
    let config = parse(text).unwrap();
    let [export] = &config.exports[..] else { panic!("{:?}", config.exports) };
    (export.destination.clone(), export.types.clone())
}

fn otlp(text: &str) -> OtlpSettings {
    match destination(text) {
        (Destination::Otlp(settings), _) => settings,
        other => panic!("{other:?}"),
    }
}

fn ipfix(text: &str) -> (IpfixSettings, Vec<&'static str>) {
    match destination(text) {
        (Destination::Ipfix(settings), types) => (settings, types),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_collector_of_logs_needs_an_address_and_may_have_headers_and_metrics() {
    let least = otlp(&format!("{OTLP}url = \"https://collector.example.org:4318\""));
    assert_eq!((least.token, least.headers, least.metrics), (None, Vec::new(), None));
    let lines = "url = \"http://127.0.0.1:4318\"\nmetrics = \"60s\"\ntoken_file = \"secrets/otel\"\n\
                 [export.header_files]\nx-api-key = \"secrets/vendor\"\n";
    let all = otlp(&format!("{OTLP}{lines}"));
    assert_eq!(all.metrics, Some(Duration::from_secs(60)));
    let [(name, path)] = &all.headers[..] else { panic!("{:?}", all.headers) };
    assert_eq!((name.as_str(), path.as_path()), ("x-api-key", Path::new("/etc/portcullis/secrets/vendor")));
}

#[test]
fn a_collector_of_flows_gets_each_flow_once_unless_somebody_wants_more() {
    let (least, types) = ipfix(&format!("{IPFIX}address = \"flows.example.org:4739\""));
    let expected = IpfixSettings {
        endpoint: Endpoint::parse("flows.example.org:4739", None).unwrap(),
        transport: Transport::Udp,
        domain: 1,
        enterprise: 32_473,
        message: 1_400,
        templates: Duration::from_secs(60),
    };
    assert_eq!((least, types), (expected, vec!["flow_end", "denied"]));
    let lines = "address = \"[2001:db8::1]:4739\"\ntransport = \"tcp\"\ntypes = [\"flow_update\"]\nenterprise = 40001";
    let (other, types) = ipfix(&format!("{IPFIX}{lines}"));
    assert_eq!((other.transport, other.enterprise, types), (Transport::Tcp, 40_001, vec!["flow_update"]));
}

#[test]
fn what_makes_no_sense_is_refused_with_a_fix() {
    let url = "url = \"https://collector.example.org:4318\"\n";
    let address = "address = \"192.0.2.1:4739\"\n";
    for (text, expected) in [
        (OTLP.to_owned(), "export[0].url: is missing; add `url = \"https://collector.example.org:4318\"`"),
        (format!("{OTLP}url = \"http://192.0.2.1:4318\""), "is not an https address"),
        (format!("{OTLP}{url}metrics = \"10ms\""), "`10ms` is not a duration"),
        (format!("{OTLP}{url}metrics = \"2h\""), "choose one from 1s to 1h"),
        (
            format!("{OTLP}{url}header_files = {{ Authorization = \"x\" }}"),
            "what `Authorization` needs is `token_file`",
        ),
        (format!("{OTLP}{url}header_files = {{ \"a b\" = \"x\" }}"), "`a b` is not a header that may be set"),
        (format!("{OTLP}{url}index = \"x\""), "export[0].index"),
        (IPFIX.to_owned(), "export[0].address: is missing"),
        (format!("{IPFIX}{address}types = [\"login\"]"), "`login` is not a flow, and IPFIX has nothing else"),
        (format!("{IPFIX}{address}message_bytes = 512"), "choose one from 1024 to 65535"),
        (format!("{IPFIX}{address}enterprise = 0"), "choose one from 1 to 4294967295"),
        (format!("{IPFIX}{address}transport = \"sctp\""), "`sctp` is not one of the choices"),
    ] {
        let errors = parse(&text).unwrap_err();
        assert!(errors.contains(expected), "{text}: {errors}");
    }
    for wrong in
        ["flows.example.org", "2001:db8::1:4739", "a b:4739", "192.0.2.1:0", "192.0.2.1:+1", ":4739", "h:70000"]
    {
        let errors = parse(&format!("{IPFIX}address = \"{wrong}\"")).unwrap_err();
        assert!(errors.contains(&format!("`{wrong}` is not a host with a port")), "{wrong}: {errors}");
    }
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    for address in ["https://ada:s3cret@collector.example.org", "https://ada:s3cret@collector:port", "http://s3cret@h"]
    {
        let errors = parse(&format!("{OTLP}url = \"{address}\"")).unwrap_err();
        assert!(errors.contains("is not an https address without a name, a password and a fragment"), "{errors}");
        assert!(!errors.contains("s3cret"), "{errors}");
        let provider = format!("[[provider]]\nname = \"b\"\nissuer = \"{address}\"\nclient_id = \"c\"\n");
        let errors = parse(&provider).unwrap_err();
        assert!(errors.contains("is not an https address without") && !errors.contains("s3cret"), "{errors}");
    }
}

#[test]
fn the_examples_are_right_and_what_they_show_of_flows_are_the_defaults() {
    let text = std::fs::read_to_string(EXAMPLE).unwrap();
    let shown = |to: &str| {
        let at = text.find(&format!("#   to = \"{to}\"")).unwrap();
        let begin = text[..at].rfind("# [[export]]").unwrap();
        let block = text[begin..].split("\n\n").next().unwrap();
        let lines = block.lines().filter_map(|line| line.strip_prefix("#   "));
        format!("[[export]]\n{}\n", lines.collect::<Vec<_>>().join("\n"))
    };
    assert!(otlp(&shown("otlp")).token.is_some());
    assert_eq!(ipfix(&shown("ipfix")), ipfix(&format!("{IPFIX}address = \"flows.example.org:4739\"")));
}
