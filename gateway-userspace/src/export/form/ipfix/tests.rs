//! What a collector reads that knows RFC 7011 and nothing of the gateway.

use super::fields::{Holds, Space};
use super::*;
use crate::export::form::samples::{denied, flow_end, hostile, record, with};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const AT: u32 = 1_772_442_863;
/// Somebody's.
const OWN: u32 = 40_001;
const REVERSE: u32 = 29_305;

/// Whose an element is (0 is IANA), and its number.
type Element = (u32, u16);

/// A collector: a decoder that is written from the RFC alone.
#[derive(Default)]
struct Collector {
    templates: BTreeMap<u16, Vec<(Element, u16)>>,
    records: Vec<(u16, BTreeMap<Element, Vec<u8>>)>,
    sequences: Vec<u32>,
}

/// Takes so many bytes from the front.
fn take<'b>(bytes: &mut &'b [u8], length: usize) -> &'b [u8] {
    let (taken, rest) = bytes.split_at_checked(length).expect("the message ends too soon");
    *bytes = rest;
    taken
}

fn number16(bytes: &mut &[u8]) -> u16 {
    u16::from_be_bytes(take(bytes, 2).try_into().unwrap())
}

fn number32(bytes: &mut &[u8]) -> u32 {
    u32::from_be_bytes(take(bytes, 4).try_into().unwrap())
}

impl Collector {
    fn read(&mut self, message: &[u8]) {
        let mut rest = message;
        assert_eq!(number16(&mut rest), 10, "the version");
        assert_eq!(usize::from(number16(&mut rest)), message.len(), "the length");
        assert_eq!(number32(&mut rest), AT);
        self.sequences.push(number32(&mut rest));
        assert_eq!(number32(&mut rest), 7, "the domain");
        assert!(!rest.is_empty(), "a message without sets");
        while !rest.is_empty() {
            let (id, length) = (number16(&mut rest), number16(&mut rest));
            let mut set = take(&mut rest, usize::from(length) - 4);
            assert!(!set.is_empty(), "a set without records");
            while !set.is_empty() {
                if id == 2 { self.template(&mut set) } else { self.record(id, &mut set) }
            }
        }
    }

    fn template(&mut self, set: &mut &[u8]) {
        let (id, fields) = (number16(set), number16(set));
        let field = |_| {
            let (number, length) = (number16(set), number16(set));
            let enterprise = if number & 0x8000 == 0 { 0 } else { number32(set) };
            ((enterprise, number & 0x7fff), length)
        };
        let fields = (0..fields).map(field).collect();
        assert!(id >= 256 && self.templates.insert(id, fields).is_none(), "{id}");
    }

    fn record(&mut self, id: u16, set: &mut &[u8]) {
        let fields = self.templates.get(&id).expect("a template comes before its records");
        let mut found = BTreeMap::new();
        for (element, length) in fields {
            let length = match *length {
                65_535 => match take(set, 1) {
                    [255] => number16(set).into(),
                    length => usize::from(length[0]),
                },
                length => length.into(),
            };
            let is_new = found.insert(*element, take(set, length).to_vec()).is_none();
            assert!(is_new, "{element:?} is there twice in {id}");
        }
        self.records.push((id, found));
    }

    /// Of the only record.
    fn value(&self, element: Element) -> &[u8] {
        let [(_, record)] = &self.records[..] else { panic!("{} records", self.records.len()) };
        record.get(&element).unwrap_or_else(|| panic!("{element:?} is not there"))
    }

    fn number(&self, element: Element) -> u64 {
        self.value(element).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn text(&self, element: Element) -> &str {
        std::str::from_utf8(self.value(element)).unwrap()
    }
}

fn exporter(largest: usize) -> Exporter {
    Exporter::new(7, OWN, largest)
}

/// All messages, which are no longer than agreed.
fn sent(records: &[Archived], largest: usize) -> Vec<Vec<u8>> {
    let mut exporter = exporter(largest);
    let mut messages = exporter.templates(AT);
    messages.extend(exporter.messages(records, AT));
    for message in &messages {
        assert!(message.len() <= largest, "{} bytes", message.len());
    }
    messages
}

fn read(records: &[Archived], largest: usize) -> Collector {
    let mut collector = Collector::default();
    sent(records, largest).iter().for_each(|message| collector.read(message));
    collector
}

#[test]
fn a_flow_is_one_record_with_both_its_directions() {
    let collector = read(&[flow_end()], 1_400);
    assert_eq!(collector.records[0].0, 256);
    for (element, expected) in [
        ((0, 152), 1_772_438_405_220),
        ((0, 153), 1_772_442_862_000),
        ((0, 8), 0x0a09_0017),
        ((0, 12), 0xc633_6422),
        ((0, 7), 51_522),
        ((0, 11), 443),
        ((0, 4), 6),
        ((0, 1), 301_554),
        ((0, 2), 4_101),
        ((REVERSE, 1), 11_840_222),
        ((REVERSE, 2), 8_011),
        ((0, 136), 4),
        ((0, 239), 1),
        ((0, 233), 2),
        ((OWN, 1), 41),
        ((OWN, 2), 0x8c4f_0e3a_91d2_b775),
    ] {
        assert_eq!(collector.number(element), expected, "{element:?}");
    }
    for (element, expected) in [
        ((0, 82), "eth1"),
        ((0, 371), "ada"),
        ((0, 96), "payroll"),
        ((OWN, 3), "branch"),
        ((OWN, 4), "finance-books,all-staff"),
        ((OWN, 5), "revoked"),
        ((OWN, 6), "cut"),
    ] {
        assert_eq!(collector.text(element), expected, "{element:?}");
    }
}

#[test]
fn a_denial_is_a_flow_that_a_firewall_denied() {
    let collector = read(&[denied()], 1_400);
    assert_eq!(collector.records[0].0, 261);
    let address: [u8; 16] = collector.value((0, 27)).try_into().unwrap();
    assert_eq!(Ipv6Addr::from(address).to_string(), "2001:db8::17");
    for (element, expected) in [
        ((0, 233), 3),
        ((0, 4), 58),
        ((0, 11), 5_432),
        ((0, 2), 7),
        ((0, 61), 1),
        ((0, 89), 128),
        ((0, 56), 0x0200_5e10_0017),
        ((OWN, 8), 3),
    ] {
        assert_eq!(collector.number(element), expected, "{element:?}");
    }
    assert_eq!((collector.text((0, 371)), collector.text((OWN, 7))), ("ada", "no_grant"));
    // What was only observed has passed.
    let observed = read(&[with(&denied(), "observed", json!(true))], 1_400);
    assert_eq!((observed.number((0, 233)), observed.number((0, 89))), (4, 64));
    // Nothing of it was understood: that is no reason to leave it out.
    let nothing = with(&with(&denied(), "source", json!("::")), "destination", json!("::"));
    let collector = read(&[nothing], 1_400);
    assert_eq!((collector.records[0].0, collector.number((0, 8)), collector.number((0, 12))), (260, 0, 0));
    let half = with(&denied(), "destination", json!("192.0.2.1"));
    assert_eq!(read(&[half], 1_400).records[0].0, 261);
}

#[test]
fn how_a_flow_ended_and_who_began_it_is_said_in_the_words_of_the_standard() {
    let reason = |outcome: &str| read(&[with(&flow_end(), "outcome", json!(outcome))], 1_400).number((0, 136));
    let reasons = ["idle", "closed", "replaced", "revoked", "policy", "evicted"].map(reason);
    assert_eq!(reasons, [1, 3, 3, 4, 4, 5]);
    assert_eq!(read(&[with(&flow_end(), "opened_by", json!("app"))], 1_400).number((0, 239)), 2);
    for (name, number) in [("tcp", 6), ("udp", 17), ("icmp", 1), ("sctp", 132), ("47", 47)] {
        assert_eq!(read(&[with(&flow_end(), "protocol", json!(name))], 1_400).number((0, 4)), number, "{name}");
    }
    // What goes on is counted from its beginning on, which an addition of differences must not count again.
    let update = read(&[with(&flow_end(), "type", json!("flow_update"))], 1_400);
    assert_eq!((update.number((0, 136)), update.number((0, 85)), update.number((REVERSE, 86))), (2, 301_554, 8_011));
    assert!(!update.records[0].1.contains_key(&(0, 1)) && update.records[0].0 == 258);
}

#[test]
fn what_is_no_flow_is_left_out() {
    let login = record(1, json!({ "time": "2026-03-02T08:00:00Z", "type": "login", "user": "ada" }));
    let collector = read(&[login.clone(), flow_end(), login], 1_400);
    assert_eq!(collector.records.len(), 1);
    assert!(exporter(1_400).messages(&[], AT).is_empty());
}

#[test]
fn a_message_says_how_many_records_were_said_before() {
    let mut exporter = exporter(LEAST);
    exporter.sequence = u32::MAX - 9;
    let templates = exporter.templates(AT);
    let messages = exporter.messages(&vec![flow_end(); 40], AT);
    assert!(messages.len() > 3);
    let mut collector = Collector::default();
    templates.iter().chain(&messages).for_each(|message| collector.read(message));
    let first = u32::MAX - 9;
    let mut counting = Collector { templates: collector.templates.clone(), ..Default::default() };
    for message in &messages {
        let before = u32::try_from(counting.records.len()).unwrap();
        counting.read(message);
        assert_eq!(counting.sequences.last(), Some(&first.wrapping_add(before)));
    }
    assert_eq!(exporter.sequence, first.wrapping_add(40));
    assert!(collector.sequences.iter().take(templates.len()).all(|sequence| *sequence == first));
}

#[test]
fn a_hostile_name_gets_no_further_than_its_field() {
    let mut worst = flow_end();
    for field in ["user", "app", "zone", "interface", "outcome", "tcp"] {
        worst = with(&worst, field, json!(hostile()));
    }
    worst = with(&with(&worst, "client", json!("2001:db8::1")), "destination", json!("2001:db8::2"));
    worst = with(&worst, "policies", json!(vec!["p".repeat(60); 40]));
    let collector = read(&[worst], LEAST);
    let user = collector.text((0, 371));
    assert!(user.len() <= 128 && hostile().starts_with(user), "{user:?}");
    assert_eq!(collector.text((OWN, 4)).split(',').count(), 4);
    assert_eq!((collector.number((0, 11)), collector.number((OWN, 1))), (443, 41));
}

#[test]
fn every_template_fits_into_the_shortest_message_and_so_does_every_record() {
    for template in Template::ALL {
        let longest = |field: &fields::Field| match field.holds {
            Holds::Text(_, longest) | Holds::List(_, longest) => longest + 3,
            _ => field.length().into(),
        };
        let bytes: usize = fields::of(template).map(longest).sum();
        assert!(16 + 4 + bytes <= LEAST, "{template:?}: {bytes}");
    }
    assert_eq!(read(&[], LEAST).templates.len(), Template::ALL.len());
}

#[test]
fn the_page_has_every_element_and_no_other() {
    let page = include_str!("../../../../../docs/export/ipfix.md");
    let mut expected = std::collections::BTreeSet::new();
    for template in Template::ALL {
        for field in fields::of(template) {
            let whose = match field.space {
                Space::Common => "IANA",
                Space::Reverse => "reverse",
                Space::Own => "own",
            };
            let length = if field.length() == 65_535 { "variable".into() } else { field.length().to_string() };
            expected.insert(format!("| `{}` | {whose} | {} | {length} | ", field.name, field.number));
        }
    }
    let is_row = |line: &&str| line.contains("| IANA |") || line.contains("| reverse |") || line.contains("| own |");
    let rows: Vec<&str> = page.lines().filter(is_row).collect();
    for row in &expected {
        assert_eq!(rows.iter().filter(|line| line.starts_with(row)).count(), 1, "{row}");
    }
    assert_eq!(rows.len(), expected.len(), "{rows:#?}");
}

fn address() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
        any::<[u8; 16]>().prop_map(|octets| Ipv6Addr::from(octets).to_string()),
    ]
}

prop_compose! {
    fn some_record()(
        base in prop_oneof![Just(flow_end()), Just(denied()), Just(with(&flow_end(), "type", json!("flow_update")))],
        sequence: u64,
        addresses in (address(), address()),
        numbers: [u64; 4],
        port: u16,
        user in any::<String>(),
        app in "\\PC{0,300}",
        policies in prop::collection::vec(".{0,90}", 0..8),
    ) -> Archived {
        let mut record = Archived { sequence, ..base };
        for (field, value) in [
            ("client", json!(addresses.0)), ("source", json!(addresses.0)), ("destination", json!(addresses.1)),
            ("to_app_bytes", json!(numbers[0])), ("to_app_packets", json!(numbers[1])), ("packets", json!(numbers[1])),
            ("to_client_bytes", json!(numbers[2])), ("to_client_packets", json!(numbers[3])), ("port", json!(port)),
            ("user", json!(user)), ("app", json!(app)), ("policies", json!(policies)),
        ] {
            record.fields.insert(field.into(), value);
        }
        record
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_was_recorded_is_read_back(
        records in prop::collection::vec(some_record(), 1..40),
        largest in LEAST..4_000,
    ) {
        let collector = read(&records, largest);
        prop_assert_eq!(collector.records.len(), records.len());
        for ((_, found), record) in collector.records.iter().zip(&records) {
            let number = |element: Element| {
                found.get(&element).map(|bytes| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
            };
            let field = |name: &str| record.fields.get(name).and_then(Value::as_u64);
            let text = |element: Element| String::from_utf8(found.get(&element).cloned().unwrap_or_default());
            prop_assert_eq!(number((OWN, 1)), Some(record.sequence));
            prop_assert_eq!(number((0, 11)), field("port"));
            let (bytes, packets) = match record.kind() {
                "flow_update" => ((0, 85), (0, 86)),
                _ => ((0, 1), (0, 2)),
            };
            prop_assert_eq!(number(packets), field("to_app_packets").filter(|_| record.kind() != "denied").or(field("packets")));
            if record.kind() != "denied" {
                prop_assert_eq!(number(bytes), field("to_app_bytes"));
                prop_assert_eq!(number((REVERSE, bytes.1)), field("to_client_bytes"));
            }
            let user = text((0, 371)).unwrap();
            let whole = record.text("user").unwrap();
            prop_assert!(whole.starts_with(&user) && (user == whole || user.len() > 124), "{:?} of {:?}", user, whole);
        }
    }
}
