//! What is written into the cells of tables, and above and below them.

use super::Column;
use crate::cli::field;
use crate::cli::output::plain;
use crate::cli::report::figures::Names;
use crate::cli::sentence::moment;
use crate::wire::Record;
use time::OffsetDateTime;

/// A title that begins with `#` is one of numbers.
pub(super) fn columns(titles: &[&'static str]) -> Vec<Column> {
    let column = |title: &&'static str| match title.strip_prefix('#') {
        Some(title) => Column { title, is_number: true },
        None => Column { title, is_number: false },
    };
    titles.iter().map(column).collect()
}

pub(super) fn more(count: usize, what: &str) -> String {
    if count == 0 { String::new() } else { format!("{} more {what} are left out.", number(count as u64)) }
}

pub(super) fn people(count: usize) -> String {
    if count == 1 { "One person".to_owned() } else { format!("{} people", number(count as u64)) }
}

pub(super) fn names(all: &[String]) -> String {
    plain(&all.join(", "))
}

pub(super) fn some(some: &Names) -> String {
    let shown = names(&some.names);
    match some.count.saturating_sub(some.names.len()) {
        0 => shown,
        more => format!("{shown} and {} more", number(more as u64)),
    }
}

pub(super) fn or_unknown(text: Option<&str>) -> String {
    text.map_or_else(|| "not known".to_owned(), plain)
}

pub(super) fn text(record: &Record, name: &str) -> String {
    field::text(record, &[name]).map_or_else(|| "–".to_owned(), |text| plain(&text))
}

/// To the second.
pub(super) fn time_of(record: &Record) -> String {
    plain(&field::moment(record))
}

pub(super) fn day(at: OffsetDateTime) -> String {
    moment(at).split(' ').next().unwrap_or_default().to_owned()
}

/// `1 234 567`, with spaces at which no line breaks.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len().saturating_mul(2));
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_parted_into_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
    }
}
