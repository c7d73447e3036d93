//! `docs/law.md` tells people what the law does. Its table of reasons must be the list in the code.

use gateway_common::DropReason;
use std::collections::BTreeSet;

const DOCUMENT: &str = include_str!("../../docs/law.md");

/// A row of the table of reasons.
#[derive(Debug, PartialEq, Eq)]
struct Row<'d> {
    number: u8,
    label: &'d str,
    help: &'d str,
}

/// The rows under the heading, in the order of the document. Those that begin without a number are its head.
fn rows() -> Vec<Row<'static>> {
    let (_, section) = DOCUMENT.split_once("\n## Reasons\n").expect("a heading `## Reasons`");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    section.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<Row<'_>> {
    let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim);
    let number = cells.next()?.parse().ok()?;
    let (label, help) = (cells.next()?, cells.next()?);
    let trigger = cells.next().unwrap_or_default();
    assert!(!trigger.is_empty(), "reason {number} has no trigger");
    assert_eq!(cells.next(), None, "reason {number} has too many cells");
    Some(Row { number, label: label.trim_matches('`'), help })
}

#[test]
fn every_reason_has_its_row_with_number_label_and_help_and_no_row_is_without_a_reason() {
    let expected: Vec<_> = DropReason::ALL
        .iter()
        .map(|reason| Row { number: *reason as u8, label: reason.label(), help: reason.help() })
        .collect();
    let found = rows();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn every_drop_in_the_order_of_judgement_names_a_reason_and_every_reason_is_named_there() {
    let known: BTreeSet<_> = DropReason::ALL.iter().map(|reason| reason.label()).collect();
    let (_, order) = DOCUMENT.split_once("\n## From a client").expect("a heading `## From a client`");
    let (order, _) = order.split_once("\n## Reasons\n").expect("a heading `## Reasons`");
    let verdicts = order.lines().filter(|line| line.starts_with('|')).filter_map(|line| line.rsplit('|').nth(1));
    let drops = verdicts.filter(|verdict| verdict.trim().starts_with("drop"));
    let named: BTreeSet<_> = drops.flat_map(|verdict| verdict.split('`').skip(1).step_by(2)).collect();
    assert_eq!(named, known);
}
