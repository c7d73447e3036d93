use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::UdpSocket;

/// A message, read by the grammar of RFC 5424 and nothing else.
#[derive(Debug)]
struct Parsed {
    facility: u32,
    severity: u32,
    timestamp: String,
    host: String,
    kind: String,
    data: Vec<(String, Vec<(String, String)>)>,
    text: String,
}

fn parse(message: &str) -> Parsed {
    let (priority, rest) = message.strip_prefix('<').and_then(|rest| rest.split_once('>')).expect("a priority");
    assert!(priority == "0" || !priority.starts_with('0'));
    let priority: u32 = priority.parse().expect("a number");
    assert!(priority <= 191);
    let rest = rest.strip_prefix("1 ").expect("version 1");
    let mut words = rest.splitn(6, ' ');
    let mut word = |longest: usize| {
        let word = words.next().expect("a word").to_owned();
        assert!((1..=longest).contains(&word.len()) && word.bytes().all(|byte| (33..=126).contains(&byte)), "{word}");
        word
    };
    let (timestamp, host, app, process, kind) = (word(32), word(255), word(48), word(128), word(32));
    assert_eq!((app.as_str(), process.as_str()), ("portcullis", "-"));
    let mut rest = words.next().expect("structured data");
    let mut data = Vec::new();
    while let Some(element) = rest.strip_prefix('[') {
        let (element, after) = parse_element(element);
        data.push(element);
        rest = after;
    }
    let text = rest.strip_prefix(' ').expect("a space before the text").to_owned();
    Parsed { facility: priority / 8, severity: priority % 8, timestamp, host, kind, data, text }
}

type Element = (String, Vec<(String, String)>);

fn parse_element(text: &str) -> (Element, &str) {
    let end = text.find([' ', ']']).expect("an end of its name");
    let (id, mut rest) = text.split_at(end);
    let is_name = |name: &str| (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(is_name(id) && !id.contains(['=', '"']), "{id}");
    let mut parameters = Vec::new();
    while let Some(parameter) = rest.strip_prefix(' ') {
        let (name, after) = parameter.split_once("=\"").expect("a value");
        assert!(is_name(name) && !name.contains(['=', '"', ']']), "{name}");
        let (mut value, mut letters) = (String::new(), after.char_indices());
        rest = loop {
            match letters.next().expect("an end of the value") {
                (at, '"') => break &after[at + 1..],
                (_, ']') => panic!("a bare bracket in {after}"),
                (_, '\\') => {
                    let (_, letter) = letters.next().expect("something is escaped");
                    assert!("\"\\]".contains(letter));
                    value.push(letter);
                }
                (_, letter) => value.push(letter),
            }
        };
        parameters.push((name.to_owned(), value));
    }
    ((id.to_owned(), parameters), rest.strip_prefix(']').expect("the end of the element"))
}

/// A receiver that takes what is framed by lengths, and by lines.
fn frames(framing: Framing, mut bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let separator = if framing == Framing::Counted { b' ' } else { b'\n' };
        let at = bytes.iter().position(|byte| *byte == separator).expect("a separator");
        let (message, rest) = match framing {
            Framing::Counted => {
                let length: usize = std::str::from_utf8(&bytes[..at]).unwrap().parse().expect("a length");
                (&bytes[at + 1..at + 1 + length], &bytes[at + 1 + length..])
            }
            Framing::Lines => (&bytes[..at], &bytes[at + 1..]),
        };
        found.push(String::from_utf8(message.to_vec()).expect("text"));
        bytes = rest;
    }
    found
}

fn record(sequence: u64, fields: &Value) -> Archived {
    Archived { sequence, fields: fields.as_object().cloned().unwrap_or_default() }
}

fn message(origin: &Origin, record: &Archived, form: Form) -> Vec<u8> {
    let mut message = Vec::new();
    Head { facility: 13, origin, record, cut_from: None }.put(&mut message);
    text(form, origin, record, &mut message).unwrap();
    message
}

fn origin(gateway: &str) -> Origin {
    Origin { gateway: gateway.into() }
}

#[test]
fn a_message_is_of_its_record_and_not_of_the_moment_it_is_sent() {
    let denied = record(
        4_294_967_295,
        &json!({ "time": "2026-03-02T09:00:12.000412+01:00", "type": "denied", "reason": "trip_wire" }),
    );
    let sent = String::from_utf8(message(&origin("gw1.example.org"), &denied, Form::Json)).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        sent,
        format!(
            "<105>1 2026-03-02T08:00:12.000412Z gw1.example.org portcullis - denied \
             [origin enterpriseId=\"32473\" software=\"portcullis\" swVersion=\"{version}\"][meta sequenceId=\"1\"]\
             [portcullis@32473 gateway=\"gw1.example.org\" sequence=\"4294967295\"] \
             {{\"gateway\":\"gw1.example.org\",\"sequence\":4294967295,\
             \"time\":\"2026-03-02T09:00:12.000412+01:00\",\"type\":\"denied\",\"reason\":\"trip_wire\"}}"
        )
    );
}

#[test]
fn what_has_no_time_and_no_name_says_so() {
    let parsed = parse(&String::from_utf8(message(&origin(""), &record(1, &json!({})), Form::Cef)).unwrap());
    assert_eq!((parsed.timestamp.as_str(), parsed.host.as_str(), parsed.kind.as_str()), ("-", "-", "-"));
}

#[test]
fn a_datagram_that_is_too_short_says_what_it_leaves_out_and_cuts_no_letter() {
    let gateway = origin("gw1");
    let long = record(9, &json!({ "type": "login", "user": "é".repeat(2_000) }));
    let whole = message(&gateway, &long, Form::Json);
    let mut body = Vec::new();
    text(Form::Json, &gateway, &long, &mut body).unwrap();
    let endpoint = Endpoint::parse("127.0.0.1:514", None).unwrap();
    for most in 1_024..1_030 {
        let mut datagrams = Datagrams { endpoint: endpoint.clone(), most, has_cut: false };
        let head = Head { facility: 13, origin: &gateway, record: &long, cut_from: None };
        let cut = datagrams.fit(head, &body);
        assert!((most - 1..=most).contains(&cut.len()) && datagrams.has_cut, "{}", cut.len());
        let parsed = parse(std::str::from_utf8(&cut).expect("no half letter"));
        let said = parsed.data.iter().flat_map(|(_, parameters)| parameters).find(|(name, _)| name == "cutFrom");
        assert_eq!(said.map(|(_, bytes)| bytes.as_str()), Some(body.len().to_string().as_str()));
        assert!(std::str::from_utf8(&body).unwrap().starts_with(&parsed.text));
    }
    let mut large = Datagrams { endpoint, most: whole.len(), has_cut: false };
    let head = Head { facility: 13, origin: &gateway, record: &long, cut_from: None };
    assert!(large.fit(head, &body) == whole && !large.has_cut);
}

#[tokio::test]
async fn each_datagram_is_a_message_and_a_closed_port_is_noticed() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let settings = SyslogSettings {
        endpoint: Endpoint::parse(&address, None).unwrap(),
        way: SyslogWay::Udp { most: 2_048 },
        facility: 16,
        form: Form::Json,
    };
    let mut sender = Sender::new(&settings, Arc::new(origin("gw1"))).unwrap();
    let records: Vec<_> = (1..=3).map(|number| record(number, &json!({ "type": "login", "user": "ada" }))).collect();
    sender.send(&records).await.unwrap();
    let mut buffer = [0; 4_096];
    for record in &records {
        let length = socket.recv(&mut buffer).await.unwrap();
        let parsed = parse(std::str::from_utf8(&buffer[..length]).unwrap());
        assert_eq!((parsed.facility, parsed.kind.as_str()), (16, "login"));
        let line: Value = serde_json::from_str(&parsed.text).unwrap();
        assert_eq!(line["sequence"], record.sequence);
    }
    drop(socket);
    // The system says so with the datagram after the first.
    let mut outcome = Ok(());
    for _ in 0..100 {
        outcome = sender.send(&records).await;
        if outcome.is_err() {
            break;
        }
    }
    assert!(matches!(outcome, Err(Failure::Unreachable(_))), "{outcome:?}");
}

#[test]
fn the_page_says_what_syslog_calls_how_much_a_record_matters() {
    const WORDS: [&str; 8] = ["emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug"];
    let page = include_str!("../../../../../docs/export/syslog.md");
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        Some((cells.get(1)?.parse::<u8>().ok()?, *cells.get(2)?))
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() > 5, "{rows:?}");
    for (severity, word) in rows {
        assert_eq!(WORDS[usize::from(message::level(severity))], word, "{severity}");
    }
}

proptest! {
    #[test]
    fn whatever_is_in_a_record_and_a_name_a_message_is_one_and_says_it(
        gateway in prop_oneof![any::<String>(), "[\\]\"\\\\ \na-z]{0,20}", "[a-z]{300}"],
        user in prop_oneof![any::<String>(), "[\\]\"\\\\ \n\r\u{1b}\u{2028}\u{85}\u{7f}a-z]{0,20}"],
        kind in "\\PC{0,40}",
        sequence: u64,
        micros in 0_i64..4_000_000_000_000_000,
        facility in 0_u8..24,
    ) {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).unwrap();
        let record = record(sequence, &json!({ "time": time.format(&Rfc3339).unwrap(), "type": kind, "user": user }));
        let gateway = origin(&gateway);
        for form in [Form::Json, Form::Cef, Form::Ocsf] {
            let mut sent = Vec::new();
            Head { facility, origin: &gateway, record: &record, cut_from: None }.put(&mut sent);
            text(form, &gateway, &record, &mut sent).unwrap();
            let unprinted = |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
            prop_assert!(!std::str::from_utf8(&sent).unwrap().contains(unprinted));
            for framing in [Framing::Counted, Framing::Lines] {
                let mut batch = Vec::new();
                frame(framing, &sent, &mut batch);
                frame(framing, &sent, &mut batch);
                let found = frames(framing, &batch);
                prop_assert_eq!(found.len(), 2);
                let parsed = parse(&found[1]);
                prop_assert_eq!(parsed.facility, u32::from(facility));
                prop_assert!(parsed.severity <= 6);
                prop_assert_eq!(OffsetDateTime::parse(&parsed.timestamp, &Rfc3339).unwrap(), time);
                let (id, parameters) = parsed.data.last().unwrap();
                prop_assert_eq!(id, "portcullis@32473");
                prop_assert_eq!(&parameters[1], &("sequence".to_owned(), sequence.to_string()));
                let name: String = gateway.gateway.chars().take(255).collect();
                prop_assert_eq!(&parameters[0].1, &name.replace(unprinted, "\u{fffd}"));
                match form {
                    Form::Json => {
                        let line: Value = serde_json::from_str(&parsed.text).unwrap();
                        prop_assert_eq!(&line["user"], &json!(user));
                        prop_assert_eq!(&line["gateway"], &json!(gateway.gateway));
                    }
                    Form::Ocsf => {
                        let event: Value = serde_json::from_str(&parsed.text).unwrap();
                        prop_assert_eq!(&event["unmapped"]["user"], &json!(user));
                        prop_assert_eq!(&event["device"]["name"], &json!(gateway.gateway));
                    }
                    Form::Cef => prop_assert!(parsed.text.starts_with("CEF:0|Portcullis|")),
                }
            }
        }
    }
}
