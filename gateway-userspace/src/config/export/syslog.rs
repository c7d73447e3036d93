//! Receivers of messages of syslog, and of lines: where they are, and how both get there.

use super::{Section, endpoint, form, tls};
use crate::export::{Form, Framing, LinesSettings, SyslogSettings, SyslogWay, TlsSettings};
use std::ops::RangeInclusive;
use std::path::Path;

/// How what has no requests gets there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Udp,
    Tcp,
    Tls,
}

/// The facilities of RFC 5424 that records may be of. The others are those of the system's own parts.
const FACILITIES: [(&str, u8); 12] = [
    ("audit", 13),
    ("auth", 4),
    ("authpriv", 10),
    ("daemon", 3),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];
/// The largest datagram. Every receiver has to take 480 bytes and should take 2,048 (RFC 5426); the head of a message has up
/// to 700, and something of the record should be there.
const DATAGRAMS: RangeInclusive<u64> = 1_024..=65_000;

pub(super) fn messages(section: &mut Section<'_, '_>, folder: &Path) -> Option<SyslogSettings> {
    let carriers = [("tls", Carrier::Tls), ("tcp", Carrier::Tcp), ("udp", Carrier::Udp)];
    let carrier = section.value("transport").map_or(Some(Carrier::Tls), |value| value.choice(&carriers));
    let usual = match carrier {
        Some(Carrier::Udp) => 514,
        Some(Carrier::Tcp) => 601,
        Some(Carrier::Tls) | None => 6514,
    };
    let address = section.required("address", "address = \"logs.example.org:6514\"");
    let endpoint = address.and_then(|value| endpoint(&value, Some(usual)));
    let facility = section.value("facility").map_or(Some(13), |value| value.choice(&FACILITIES));
    let form = form(section).unwrap_or(Form::Cef);
    let framings = [("octets", Framing::Counted), ("lines", Framing::Lines)];
    let framing = section.value("framing");
    let most = section.value("datagram_bytes");
    if let Some(framing) = framing.as_ref().filter(|_| carrier == Some(Carrier::Udp)) {
        framing.refuse("is for connections", "remove it: each datagram is a message");
    }
    if let Some(most) = most.as_ref().filter(|_| carrier.is_some_and(|carrier| carrier != Carrier::Udp)) {
        most.refuse("is for `transport = \"udp\"`", "remove it: over connections nothing is cut");
    }
    let framing = framing.and_then(|value| value.choice(&framings)).unwrap_or_default();
    let most = most.and_then(|value| value.integer(DATAGRAMS)).and_then(|most| usize::try_from(most).ok());
    let Some(carrier) = carrier else {
        section.overlook_the_rest();
        return None;
    };
    let tls = tls_of(carrier, section, folder);
    let way = match carrier {
        Carrier::Udp => SyslogWay::Udp { most: most.unwrap_or(2_048) },
        Carrier::Tcp | Carrier::Tls => SyslogWay::Stream(framing, tls),
    };
    Some(SyslogSettings { endpoint: endpoint?, way, facility: facility?, form })
}

pub(super) fn lines(section: &mut Section<'_, '_>, folder: &Path) -> Option<LinesSettings> {
    let carriers = [("tls", Carrier::Tls), ("tcp", Carrier::Tcp)];
    let carrier = section.value("transport").map_or(Some(Carrier::Tls), |value| value.choice(&carriers));
    let address = section.required("address", "address = \"collector.example.org:5044\"");
    let endpoint = address.and_then(|value| endpoint(&value, None));
    let form = form(section).unwrap_or(Form::Json);
    let Some(carrier) = carrier else {
        section.overlook_the_rest();
        return None;
    };
    let tls = tls_of(carrier, section, folder);
    Some(LinesSettings { endpoint: endpoint?, form, tls })
}

/// TLS, where the carrier has it. Keys that would do nothing otherwise are refused: whoever writes them wants TLS.
fn tls_of(carrier: Carrier, section: &mut Section<'_, '_>, folder: &Path) -> Option<TlsSettings> {
    if carrier == Carrier::Tls {
        return Some(tls(section, folder));
    }
    for key in ["ca", "certificate", "key"] {
        if let Some(value) = section.value(key) {
            value.refuse("is for TLS", "write `transport = \"tls\"`, or remove it");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::export::{Destination, Endpoint, Form, Framing, LinesSettings, SyslogSettings, SyslogWay, TlsSettings};
    use std::path::Path;

    const LEAST: &str =
        "[[interface]]\nname = \"eth1\"\n[api]\nlisten = [\"127.0.0.1:8443\"]\n[[export]]\nname = \"siem\"\n";

    fn parse(lines: &str) -> Result<Destination, Vec<String>> {
        let config = Config::parse(&format!("{LEAST}{lines}"), Path::new("/etc/portcullis/portcullis.toml"));
        match config {
            Ok(config) => Ok(config.exports[0].destination.clone()),
            Err(errors) => Err(errors.errors.iter().map(ToString::to_string).collect()),
        }
    }

    #[track_caller]
    fn check(lines: &str, expected: Destination) {
        assert_eq!(parse(lines), Ok(expected), "{lines}");
    }

    #[track_caller]
    fn refuses(lines: &str, expected: &str) {
        assert_eq!(parse(lines), Err(vec![expected.to_owned()]), "{lines}");
    }

    fn at(text: &str) -> Endpoint {
        Endpoint::parse(text, None).unwrap()
    }

    #[test]
    fn syslog_is_cef_by_tls_with_lengths_and_each_of_it_can_be_chosen() {
        let endpoint = at("logs.example.org:6514");
        let way = SyslogWay::Stream(Framing::Counted, Some(TlsSettings::default()));
        let by_tls = SyslogSettings { endpoint, way, facility: 13, form: Form::Cef };
        check("to = \"syslog\"\naddress = \"logs.example.org\"", Destination::Syslog(by_tls));
        let identity = Some(("/etc/portcullis/gw.pem".into(), "/etc/portcullis/gw.key".into()));
        let tls = TlsSettings { ca: Some("/etc/portcullis/ca.pem".into()), identity };
        let way = SyslogWay::Stream(Framing::Lines, Some(tls));
        let chosen = SyslogSettings { endpoint: at("[2001:db8::7]:1"), way, facility: 20, form: Form::Json };
        check(
            "to = \"syslog\"\naddress = \"[2001:db8::7]:1\"\nframing = \"lines\"\nfacility = \"local4\"\nform = \"json\"\n\
             ca = \"ca.pem\"\ncertificate = \"gw.pem\"\nkey = \"gw.key\"",
            Destination::Syslog(chosen),
        );
        let way = SyslogWay::Stream(Framing::Counted, None);
        let by_tcp = SyslogSettings { endpoint: at("192.0.2.7:601"), way, facility: 13, form: Form::Cef };
        check("to = \"syslog\"\ntransport = \"tcp\"\naddress = \"192.0.2.7\"", Destination::Syslog(by_tcp));
        let way = SyslogWay::Udp { most: 2_048 };
        let by_udp = SyslogSettings { endpoint: at("192.0.2.7:514"), way, facility: 13, form: Form::Cef };
        check("to = \"syslog\"\ntransport = \"udp\"\naddress = \"192.0.2.7\"", Destination::Syslog(by_udp));
    }

    #[test]
    fn lines_are_json_by_tls() {
        let lines = LinesSettings { endpoint: at("[::1]:5170"), form: Form::Json, tls: Some(TlsSettings::default()) };
        check("to = \"lines\"\naddress = \"[::1]:5170\"", Destination::Lines(lines.clone()));
        let plain = LinesSettings { form: Form::Cef, tls: None, ..lines };
        check(
            "to = \"lines\"\naddress = \"[::1]:5170\"\nform = \"cef\"\ntransport = \"tcp\"",
            Destination::Lines(plain),
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place_and_the_fix() {
        let place = "write a name or an address and a port, like `collector.example.org:5044` or `[2001:db8::1]:5044`";
        refuses(
            "to = \"syslog\"\naddress = \"https://logs\"",
            &format!("8:11: export[0].address: `https://logs` is not a host with a port; {place}"),
        );
        refuses(
            "to = \"lines\"\naddress = \"logs.example.org\"",
            &format!("8:11: export[0].address: `logs.example.org` is not a host with a port; {place}"),
        );
        refuses(
            "to = \"syslog\"\naddress = \"logs\"\ntransport = \"tcp\"\nca = \"ca.pem\"",
            "10:6: export[0].ca: is for TLS; write `transport = \"tls\"`, or remove it",
        );
        refuses(
            "to = \"syslog\"\naddress = \"logs\"\ntransport = \"udp\"\nframing = \"lines\"",
            "10:11: export[0].framing: is for connections; remove it: each datagram is a message",
        );
        refuses(
            "to = \"syslog\"\naddress = \"logs\"\ndatagram_bytes = 4096",
            "9:18: export[0].datagram_bytes: is for `transport = \"udp\"`; remove it: over connections nothing is cut",
        );
        refuses(
            "to = \"syslog\"\naddress = \"logs\"\ntransport = \"udp\"\ndatagram_bytes = 480",
            "10:18: export[0].datagram_bytes: `480` is out of bounds; choose one from 1024 to 65000",
        );
        for rest in ["datagram_bytes = 4096", "ca = \"ca.pem\"\ncertificate = \"gw.pem\"\nkey = \"gw.key\""] {
            refuses(
                &format!("to = \"syslog\"\naddress = \"logs\"\ntransport = \"tsl\"\n{rest}"),
                "9:13: export[0].transport: `tsl` is not one of the choices; did you mean `tls`?",
            );
        }
        refuses(
            "to = \"lines\"\naddress = \"logs:1\"\ntransport = \"tsl\"\nca = \"ca.pem\"",
            "9:13: export[0].transport: `tsl` is not one of the choices; did you mean `tls`?",
        );
        refuses(
            "to = \"syslogg\"\naddress = \"logs\"\nfacility = \"local0\"\nca = \"ca.pem\"",
            "7:6: export[0].to: `syslogg` is not one of the choices; did you mean `syslog`?",
        );
        refuses(
            "to = \"syslog\"\naddress = \"logs\"\nfacility = \"local8\"",
            "9:12: export[0].facility: `local8` is not one of the choices; did you mean `local0`?",
        );
    }
}
