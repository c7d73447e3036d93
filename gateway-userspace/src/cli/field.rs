//! Fields of a record, whatever its type: as text, and its time.

use super::sentence;
use crate::wire::Record;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The first of these fields that says something, as it was recorded: whoever shows it makes it `plain`.
pub(super) fn text(record: &Record, names: &[&str]) -> Option<String> {
    let found = names.iter().filter_map(|name| record.fields.get(*name)).find(|value| !value.is_null())?;
    Some(match found {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    })
}

pub(super) fn number(record: &Record, name: &str) -> Option<u64> {
    record.fields.get(name)?.as_u64()
}

/// Port 0 is none.
pub(super) fn port(record: &Record, name: &str) -> u16 {
    number(record, name).and_then(|port| u16::try_from(port).ok()).unwrap_or_default()
}

pub(super) fn time(record: &Record) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(record.fields.get("time")?.as_str()?, &Rfc3339).ok()
}

/// Its time to the second; as it was recorded, if it is none.
pub(super) fn moment(record: &Record) -> String {
    time(record).map(sentence::moment).or_else(|| text(record, &["time"])).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_text_or_is_not_there() {
        let record: Record = serde_json::from_value(json!({
            "sequence": 1, "time": "2026-03-02T10:14:22.5+01:00", "port": 443, "large": 70_000, "user": null, "by": "ci",
            "policies": ["one", "two"]
        }))
        .unwrap();
        let one = |name| text(&record, &[name]);
        assert_eq!([one("by"), one("policies"), one("port")].map(Option::unwrap), ["ci", "one, two", "443"]);
        assert_eq!((one("user"), one("app"), text(&record, &["user", "by"])), (None, None, Some("ci".into())));
        assert_eq!([port(&record, "port"), port(&record, "large"), port(&record, "by")], [443, 0, 0]);
        assert_eq!(moment(&record), "2026-03-02 09:14:22Z");
        let odd: Record = serde_json::from_value(json!({ "sequence": 1, "time": "noon" })).unwrap();
        assert_eq!((moment(&odd), time(&odd)), ("noon".to_owned(), None));
    }
}
