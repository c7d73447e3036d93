//! The head of a message: everything before its text.

use crate::export::Origin;
use crate::export::form::cef::severity;
use crate::export::form::ipfix::EXAMPLE_ENTERPRISE as ENTERPRISE;
use crate::export::form::is_unprinted;
use crate::record::Archived;
use std::io::Write as _;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Six digits are the most that the format takes, and as many as records have.
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
/// The longest name of a host.
const LONGEST_HOST: usize = 255;
/// The longest name of a kind of message.
const LONGEST_KIND: usize = 32;
/// The largest `sequenceId`; the next is 1.
const LARGEST: u64 = 2_147_483_647;

/// What is known of a message before its text.
#[derive(Clone, Copy)]
pub(super) struct Head<'r> {
    pub facility: u8,
    pub origin: &'r Origin,
    pub record: &'r Archived,
    /// How long the text was, if it is cut.
    pub cut_from: Option<usize>,
}

impl Head<'_> {
    /// Appends it, with the space before the text. There is no mark of UTF-8 before that: most receivers would show it.
    pub fn put(&self, message: &mut Vec<u8>) {
        let Self { facility, origin, record, cut_from } = self;
        let priority = u32::from(*facility) * 8 + u32::from(level(severity(record)));
        let time = record.time().and_then(timestamp).unwrap_or_else(|| "-".into());
        let host = name(&origin.gateway, LONGEST_HOST);
        let kind = name(record.kind(), LONGEST_KIND);
        let cut = cut_from.map(|bytes| format!(" cutFrom=\"{bytes}\"")).unwrap_or_default();
        let sequence = record.sequence;
        // A vector takes everything.
        let _ = write!(
            message,
            "<{priority}>1 {time} {host} portcullis - {kind} \
             [origin enterpriseId=\"{ENTERPRISE}\" software=\"portcullis\" swVersion=\"{version}\"]\
             [meta sequenceId=\"{counted}\"]\
             [portcullis@{ENTERPRISE} gateway=\"{gateway}\" sequence=\"{sequence}\"{cut}] ",
            version = env!("CARGO_PKG_VERSION"),
            counted = counted(sequence),
            gateway = parameter(&origin.gateway),
        );
    }
}

/// What syslog calls severity, of that of CEF: the smaller, the worse.
pub(super) const fn level(severity: u8) -> u8 {
    match severity {
        9.. => 1,
        7..9 => 4,
        4..7 => 5,
        _ => 6,
    }
}

fn timestamp(time: OffsetDateTime) -> Option<String> {
    (0..=9_999).contains(&time.year()).then(|| time.to_utc().format(TIMESTAMP).ok())?
}

/// From 1 on, and again from 1 after the largest.
const fn counted(sequence: u64) -> u64 {
    sequence.saturating_sub(1) % LARGEST + 1
}

/// A name of the header: printed ASCII without spaces, and not more than so much of it.
fn name(text: &str, longest: usize) -> String {
    let letters = text.chars().map(|letter| if letter.is_ascii_graphic() { letter } else { '_' });
    let name: String = letters.take(longest).collect();
    if name.is_empty() { "-".into() } else { name }
}

/// The value of a parameter. What is not printed would have no escape.
fn parameter(text: &str) -> String {
    let mut value = String::new();
    for letter in text.chars().take(LONGEST_HOST) {
        match letter {
            '"' | '\\' | ']' => value.extend(['\\', letter]),
            _ if is_unprinted(letter) => value.push('\u{fffd}'),
            _ => value.push(letter),
        }
    }
    value
}
