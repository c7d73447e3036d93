//! Where a filter's matches can be looked up.

use super::super::index::Term;
use super::super::path::Place;
use super::super::{ResourceId, ResourceKind};
use super::Test;
use super::compare::{Comparison, Operand};

/// A place to look at. Not all that is found there matches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hint {
    /// The resource with this identifier.
    Id(ResourceId),
    /// The resources that have such a term.
    Term(Term, String),
    /// The groups that have this member.
    Member(ResourceId),
    /// Nowhere.
    Nowhere,
}

/// Every match of the test is at one of the hints; `None` if only looking at everything finds them.
pub(super) fn of(kind: ResourceKind, test: &Test) -> Option<Vec<Hint>> {
    match test {
        Test::Never => Some(Vec::new()),
        Test::All(tests) => tests.iter().find_map(|test| of(kind, test)),
        Test::Any(tests) => {
            let each = tests.iter().map(|test| of(kind, test)).collect::<Option<Vec<_>>>()?;
            Some(each.into_iter().flatten().collect())
        }
        Test::Compare(place, Comparison::Equal, Operand::Text(text)) => {
            equal(kind, *place, text).map(|hint| vec![hint])
        }
        Test::Within(place, test) => within(kind, *place, test),
        _ => None,
    }
}

fn within(kind: ResourceKind, place: Place, test: &Test) -> Option<Vec<Hint>> {
    match test {
        Test::All(tests) => tests.iter().find_map(|test| within(kind, place, test)),
        Test::Compare(inner, Comparison::Equal, Operand::Text(text)) => {
            let place = Place { part: Some(inner.attribute), ..place };
            equal(kind, place, text).map(|hint| vec![hint])
        }
        _ => None,
    }
}

fn equal(kind: ResourceKind, place: Place, text: &str) -> Option<Hint> {
    if place.extension.is_some() {
        return None;
    }
    let id = |found: fn(ResourceId) -> Hint| text.parse().map_or(Hint::Nowhere, found);
    match (kind, place.attribute.name, place.compared().name) {
        (_, "id", _) => Some(id(Hint::Id)),
        (ResourceKind::Group, "members", "value") => Some(id(Hint::Member)),
        (_, attribute, compared) => Term::at(kind, attribute, compared).map(|term| Hint::Term(term, text.to_owned())),
    }
}
