use super::*;
use crate::record::Kind;
use proptest::prelude::*;
use serde_json::{Map, json};
use std::collections::{BTreeMap, BTreeSet};

const RECORDS: &str = include_str!("../../../../../docs/reference/records.md");
const PAGE: &str = include_str!("../../../../../docs/export/syslog.md");

/// What a line says, read by the rules of the format and nothing else.
struct Parsed {
    header: Vec<String>,
    extension: BTreeMap<String, String>,
}

fn parse(line: &str) -> Parsed {
    let mut rest = line.strip_prefix("CEF:").expect("it begins so");
    let mut header = Vec::new();
    for _ in 0..7 {
        let (part, after) = until(rest, '|', "\\|");
        header.push(part);
        rest = after;
    }
    let mut extension = BTreeMap::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').expect("a key has a value");
        assert!(!key.is_empty() && key.chars().all(|letter| letter.is_ascii_alphanumeric()), "`{key}` of {line}");
        let (value, more) = match next_key(after) {
            Some(at) => (&after[..at], &after[at + 1..]),
            None => (after, ""),
        };
        let (value, left) = until(value, '\0', "\\=nr");
        assert_eq!(left, "");
        assert_eq!(extension.insert(key.to_owned(), value), None, "`{key}` twice: {line}");
        rest = more;
    }
    Parsed { header, extension }
}

/// The text up to an end that is not escaped, with its escapes undone, and what follows.
fn until<'t>(text: &'t str, end: char, escapes: &str) -> (String, &'t str) {
    let (mut found, mut letters) = (String::new(), text.char_indices());
    while let Some((at, letter)) = letters.next() {
        assert!(!letter.is_control() && !matches!(letter, '\u{2028}' | '\u{2029}'), "{letter:?} in {text}");
        match letter {
            '\\' => {
                let (_, escaped) = letters.next().expect("something is escaped");
                assert!(escapes.contains(escaped), "`\\{escaped}` of {text}");
                found.push(match escaped {
                    'n' => '\n',
                    'r' => '\r',
                    same => same,
                });
            }
            _ if letter == end => return (found, &text[at + 1..]),
            '=' if end == '\0' => panic!("a bare `=` in {text}"),
            _ => found.push(letter),
        }
    }
    (found, "")
}

/// Where the space is before the next key.
fn next_key(text: &str) -> Option<usize> {
    text.match_indices('=').find_map(|(at, _)| {
        let space = text[..at].rfind(' ')?;
        let key = &text[space + 1..at];
        (!key.is_empty() && key.chars().all(|letter| letter.is_ascii_alphanumeric())).then_some(space)
    })
}

fn origin() -> Origin {
    Origin { gateway: "gate|way=1".into() }
}

fn archived(fields: &Value) -> Archived {
    Archived { sequence: 7, fields: fields.as_object().cloned().unwrap_or_default() }
}

fn line(record: &Archived) -> String {
    let mut line = Vec::new();
    put(&origin(), record, &mut line);
    String::from_utf8(line).expect("it is text")
}

/// As the reference shows them, one of each type.
fn examples() -> Vec<Archived> {
    let lines = RECORDS.lines().filter(|line| line.starts_with("{\"time\""));
    let mut found: Vec<_> = lines.map(|line| archived(&serde_json::from_str(line).expect("it is JSON"))).collect();
    // Which is described as this.
    let mut update = found.iter().find(|record| record.kind() == "flow_end").expect("there is one").clone();
    update.fields.insert("type".into(), json!("flow_update"));
    update.fields.retain(|field, _| !["outcome", "tcp"].contains(&field.as_str()));
    found.push(update);
    found
}

#[test]
fn every_field_of_every_type_has_one_place_of_its_own() {
    let mut kinds = BTreeSet::new();
    for mut record in examples() {
        let kind = record.kind().to_owned();
        // What its example leaves out stands in the table below it.
        let section = RECORDS.split(&format!("\n## {kind}\n")).nth(1).and_then(|text| text.split("\n## ").next());
        let rows =
            section.into_iter().flat_map(str::lines).filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
        let names = rows.flat_map(|row| row.split(['`', '*', ',', ' ', '·']).map(str::to_owned).collect::<Vec<_>>());
        for name in names.filter(|name| !name.is_empty() && name != "field") {
            record.fields.entry(name).or_insert(json!(1));
        }
        if kind.starts_with("flow_") {
            record.fields.insert("alert".into(), json!(true));
        }
        let keys = parse(&line(&record)).extension;
        let foreign: Vec<_> = keys.keys().filter(|key| key.starts_with("portcullis")).collect();
        assert_eq!(foreign, [""; 0], "{kind}: {record:?}");
        for (field, value) in record.fields.iter().filter(|(_, value)| !value.is_null()) {
            let found = places(&kind).find(|(name, _)| name == field).and_then(|(_, place)| match place {
                As::Key(key) | As::Labelled(key) | As::Time(key) | As::LabelledTime(key) => keys.get(key),
                As::Address(key, key6, _) => keys.get(key).or(keys.get(key6)),
                As::Direction => keys.get("deviceDirection"),
                As::Observed => keys.get("act"),
            });
            assert!(found.is_some(), "{field} = {value} of {kind}");
        }
        kinds.insert(kind);
    }
    let all: BTreeSet<_> = Kind::ALL.map(|kind| kind.label().to_owned()).into();
    assert_eq!(kinds, all, "an example is missing");
}

#[test]
fn a_flow_is_told_with_the_keys_of_the_dictionary() {
    let end = examples().into_iter().find(|record| record.kind() == "flow_end").expect("there is one");
    let Parsed { header, extension } = parse(&line(&end));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(header, ["0", "Portcullis", "Portcullis", version, "flow_end:revoked", "Flow ended", "3"]);
    let expected = [
        ("act", "allowed"),
        ("cat", "flow_end"),
        ("cn1", "4101"),
        ("cn1Label", "to_app_packets"),
        ("cn2", "8011"),
        ("cn2Label", "to_client_packets"),
        ("cs1", "payroll"),
        ("cs1Label", "app"),
        ("cs2", "[\"finance-books\"]"),
        ("cs2Label", "policies"),
        ("cs3", "8c4f0e3a91d2b775"),
        ("cs3Label", "session"),
        ("cs5", "branch"),
        ("cs5Label", "zone"),
        ("deviceInboundInterface", "eth1"),
        ("dpt", "443"),
        ("dst", "198.51.100.34"),
        ("dvchost", "gate|way=1"),
        ("end", "1772442862000"),
        ("externalId", "7"),
        ("flexString1", "client"),
        ("flexString1Label", "opened_by"),
        ("flexString2", "cut"),
        ("flexString2Label", "tcp"),
        ("in", "301554"),
        ("out", "11840222"),
        ("outcome", "revoked"),
        ("proto", "tcp"),
        ("rt", "1772442862000"),
        ("spt", "51522"),
        ("src", "10.9.0.23"),
        ("start", "1772438405220"),
        ("suser", "ada"),
    ];
    let found: Vec<_> = extension.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn addresses_of_ipv6_and_what_is_only_observed_have_their_own_words() {
    let record = archived(&json!({
        "type": "denied", "reason": "no_grant", "source": "2001:db8::7", "destination": "2001:db8::9",
        "direction": "to_client", "observed": true, "alert": true, "later": "a=b",
    }));
    let Parsed { header, extension } = parse(&line(&record));
    assert_eq!(header[6], "8");
    let of = |key: &str| extension.get(key).map_or("", String::as_str);
    assert_eq!((of("c6a2"), of("c6a2Label")), ("2001:db8::7", "Source IPv6 Address"));
    assert_eq!((of("c6a3"), of("c6a3Label")), ("2001:db8::9", "Destination IPv6 Address"));
    assert_eq!((of("src"), of("dst")), ("", ""));
    assert_eq!((of("deviceDirection"), of("act"), of("flexNumber1")), ("1", "observed", "1"));
    assert_eq!(of("portcullislater"), "a=b");
}

#[test]
fn the_page_says_where_every_field_goes() {
    let row = |of: Option<&str>, field: &str, place: As| {
        let of = of.map(|of| format!(" of `{of}`")).unwrap_or_default();
        let place = match place {
            As::Key(key) => format!("`{key}`"),
            As::Labelled(key) => format!("`{key}`, labelled"),
            As::Time(key) => format!("`{key}`, in milliseconds since 1970"),
            As::LabelledTime(key) => format!("`{key}`, in milliseconds since 1970, labelled"),
            As::Address(key, key6, label) => format!("`{key}`; of IPv6 `{key6}`, labelled `{label}`"),
            As::Direction => "`deviceDirection`: `0` for `to_app`, `1` for `to_client`".into(),
            As::Observed => "`act`: `observed`".into(),
        };
        format!("| `{field}`{of} | {place} |\n")
    };
    let fields = FIELDS.iter().map(|(of, field, place)| row(*of, field, *place));
    let table: String = fields.chain(LISTS.map(|(field, place)| row(None, field, place))).collect();
    assert!(PAGE.contains(&table), "write into docs/export/syslog.md:\n{table}");
}

#[test]
fn the_page_says_how_much_every_record_matters() {
    let rows = PAGE.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
        let (signatures, number) = (cells.next()?, cells.next()?.parse::<u8>().ok()?);
        Some((signatures, number))
    });
    let mut said = BTreeSet::new();
    for (signatures, number) in rows {
        let alert = signatures.contains("`alert`");
        for signature in signatures.split('`').skip(1).step_by(2).filter(|signature| *signature != "alert") {
            let (kind, rest) = signature.split_once(':').unwrap_or((signature, ""));
            let mut fields = Map::from_iter([("type".to_owned(), json!(kind)), ("alert".to_owned(), json!(alert))]);
            if let Some(field) = qualifier(kind) {
                fields.insert(field.to_owned(), json!(rest));
            }
            let record = Archived { sequence: 1, fields };
            assert_eq!(severity(&record), number, "{signature}");
            let shown = self::signature(&record);
            assert!(shown == signature || rest == "*" || alert, "{shown} for {signature}");
            said.insert(kind.to_owned());
        }
    }
    assert_eq!(said, Kind::ALL.map(|kind| kind.label().to_owned()).into());
}

/// What is not printed is named; the two ends of a line have escapes.
fn named(text: &str) -> String {
    let named = |letter: char| match letter {
        '\n' | '\r' => letter.to_string(),
        '\0'..=' ' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' if letter != ' ' => {
            format!("\\u{:04x}", u32::from(letter))
        }
        _ => letter.to_string(),
    };
    text.chars().map(named).collect()
}

proptest! {
    #[test]
    fn whatever_is_in_a_record_comes_out_of_its_line(
        texts in prop::collection::vec(prop_oneof![
            any::<String>(),
            "[|=\\\\ \n\r\u{1b}\u{2028}\u{7f}\"\\]a-c]{0,12}",
            "( cs1=|\\\\=|\\|CEF:0| act=denied\n)*",
        ], 5),
        sequence: u64,
    ) {
        let [user, app, policy, detail, later] = &texts[..] else { panic!("five") };
        let fields = json!({ "type": "denied", "reason": app, "user": user, "app": app, "policies": [policy], "detail": detail,
            "not known": later });
        let record = Archived { sequence, fields: fields.as_object().cloned().unwrap_or_default() };
        let Parsed { header, extension } = parse(&line(&record));
        // The header has no escape for the ends of a line.
        let in_header = named(app).replace('\n', "\\u000a").replace('\r', "\\u000d");
        prop_assert_eq!(&header[4], &format!("denied:{in_header}"));
        prop_assert_eq!(&extension["suser"], &named(user));
        prop_assert_eq!(&extension["cs1"], &named(app));
        prop_assert_eq!(&extension["reason"], &named(app));
        prop_assert_eq!(&extension["cs2"], &named(&json!([policy]).to_string()));
        prop_assert_eq!(&extension["msg"], &named(detail));
        prop_assert_eq!(&extension["portcullisnotknown"], &named(later));
        prop_assert_eq!(&extension["externalId"], &sequence.to_string());
        prop_assert_eq!(&extension["dvchost"], "gate|way=1");
    }
}
