//! Filters (RFC 7644, 3.4.2.2). The grammar, with its limits on depth and size, is `scim_v2`'s; here a filter is checked
//! against the schema once and then asked about documents.
//!
//! An attribute that is not known matches nothing. One that is known and has no value is as if it were null: it equals
//! null, and is not equal to everything else. Of several values, one that matches is enough.

mod compare;
mod hint;

pub use hint::Hint;

use super::path::{self, Named, Place};
use super::schema::{Attribute, Type};
use super::{ResourceId, ResourceKind, ScimError, ScimType};
pub(super) use compare::folded;
use compare::{Comparison, Operand};
use scim_v2::filter::{AttrExp, AttrPath, Filter as Parsed, ValFilter};
use serde_json::{Map, Value, json};

/// A filter that makes sense for resources of a kind.
#[derive(Debug)]
pub struct Filter {
    kind: ResourceKind,
    test: Test,
}

/// What is asked of a document, or of one value in it.
#[derive(Debug)]
enum Test {
    Never,
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    HasExtension(&'static str),
    Present(Place),
    Compare(Place, Comparison, Operand),
    Within(Place, Box<Self>),
}

/// What is asked: a document, with what is not in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub document: &'a Map<String, Value>,
    /// Of a group.
    pub members: &'a [ResourceId],
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// If it cannot be read, or compares what cannot be compared.
    pub fn parse(kind: ResourceKind, text: &str) -> Result<Self, ScimError> {
        if text.len() > super::LONGEST_FILTER {
            return Err(invalid(format!("the filter is longer than {} bytes", super::LONGEST_FILTER)));
        }
        let parsed = text.parse::<Parsed>().map_err(|error| invalid(format!("the filter cannot be read: {error}")))?;
        Ok(Self { kind, test: whole(kind, &parsed)? })
    }

    /// Whether a document matches.
    pub(super) fn matches(&self, subject: Subject<'_>) -> bool {
        self.test.holds(subject)
    }

    /// Whether an attribute is asked about.
    pub(super) fn mentions(&self, name: &str) -> bool {
        self.test.mentions(name)
    }

    /// Where to look instead of looking at everything, if that is known: whatever matches is found there.
    #[must_use]
    pub fn hints(&self) -> Option<Vec<Hint>> {
        hint::of(self.kind, &self.test)
    }
}

/// The values of an attribute that a PATCH path selects.
#[derive(Debug)]
pub(super) struct Selection(Test);

impl Selection {
    pub fn of(attribute: &'static Attribute, filter: &ValFilter) -> Result<Self, ScimError> {
        inner(attribute, filter).map(Self)
    }

    pub fn selects(&self, value: &Value) -> bool {
        let Value::Object(document) = value else { return false };
        self.0.holds(Subject { document, members: &[] })
    }

    /// The parts that a value must have to be selected, if the filter says nothing else.
    pub fn template(&self) -> Option<Map<String, Value>> {
        let mut parts = Map::new();
        self.0.fill(&mut parts).then_some(parts)
    }

    /// The one identifier that is selected, if the filter says nothing else: the usual way to name a member.
    pub fn single(&self) -> Option<&str> {
        match &self.0 {
            Test::Compare(place, Comparison::Equal, Operand::Text(text)) if place.attribute.name == "value" => {
                Some(text)
            }
            _ => None,
        }
    }
}

fn invalid(detail: impl Into<String>) -> ScimError {
    ScimError::of(ScimType::InvalidFilter, detail)
}

fn whole(kind: ResourceKind, parsed: &Parsed) -> Result<Test, ScimError> {
    let each = |items: &[Parsed]| items.iter().map(|item| whole(kind, item)).collect::<Result<Vec<_>, _>>();
    Ok(match parsed {
        Parsed::Attr(expression) => leaf(expression, |path| path::resolve(kind, path))?,
        Parsed::ValuePath(value_path) => match path::resolve(kind, &value_path.attr) {
            Some(Named::Place(place)) if place.part.is_none() => {
                Test::Within(place, Box::new(inner(place.attribute, &value_path.filter)?))
            }
            _ => Test::Never,
        },
        Parsed::Not(item) => Test::Not(Box::new(whole(kind, item)?)),
        Parsed::And(items) => Test::All(each(items)?),
        Parsed::Or(items) => Test::Any(each(items)?),
    })
}

fn inner(attribute: &'static Attribute, parsed: &ValFilter) -> Result<Test, ScimError> {
    let each = |items: &[ValFilter]| items.iter().map(|item| inner(attribute, item)).collect::<Result<Vec<_>, _>>();
    let part = |path: &AttrPath| {
        let part = attribute.part(&path.name).filter(|_| path.uri.is_none() && path.sub_attr.is_none())?;
        Some(Named::Place(Place { extension: None, attribute: part, part: None }))
    };
    Ok(match parsed {
        ValFilter::Attr(expression) => leaf(expression, part)?,
        ValFilter::Not(item) => Test::Not(Box::new(inner(attribute, item)?)),
        ValFilter::And(items) => Test::All(each(items)?),
        ValFilter::Or(items) => Test::Any(each(items)?),
    })
}

fn leaf(expression: &AttrExp, resolve: impl Fn(&AttrPath) -> Option<Named>) -> Result<Test, ScimError> {
    match expression {
        AttrExp::Present(path) => Ok(match resolve(path) {
            Some(Named::Place(place)) => Test::Present(place),
            Some(Named::Extension(urn)) => Test::HasExtension(urn),
            None => Test::Never,
        }),
        AttrExp::Comparison(path, comparison, value) => {
            let Some(Named::Place(place)) = resolve(path) else { return Ok(Test::Never) };
            let compared = place.compared();
            if compared.kind == Type::Complex {
                return Err(invalid(format!("`{}` cannot be compared; compare one of its parts", compared.name)));
            }
            let comparison = Comparison::of(comparison, compared)?;
            Ok(Test::Compare(place, comparison, Operand::of(value, compared)?))
        }
    }
}

impl Test {
    fn holds(&self, subject: Subject<'_>) -> bool {
        match self {
            Self::Never => false,
            Self::All(tests) => tests.iter().all(|test| test.holds(subject)),
            Self::Any(tests) => tests.iter().any(|test| test.holds(subject)),
            Self::Not(test) => !test.holds(subject),
            Self::HasExtension(urn) => subject.document.contains_key(*urn),
            Self::Present(place) => subject.any(*place, |value| match place.part {
                Some(_) => place.of(value).is_some_and(is_present),
                None => is_present(value),
            }),
            Self::Compare(place, comparison, operand) => {
                let compared = place.compared();
                let mut is_absent = true;
                let holds = subject.any(*place, |value| {
                    let value = place.of(value).filter(|value| is_present(value));
                    is_absent &= value.is_none();
                    value.is_some_and(|value| comparison.holds(compared, value, operand))
                });
                holds || is_absent && comparison.holds_of_nothing(operand)
            }
            Self::Within(place, test) => subject.any(*place, |value| {
                let Value::Object(document) = value else { return false };
                test.holds(Subject { document, members: &[] })
            }),
        }
    }

    fn mentions(&self, name: &str) -> bool {
        match self {
            Self::Never | Self::HasExtension(_) => false,
            Self::All(tests) | Self::Any(tests) => tests.iter().any(|test| test.mentions(name)),
            Self::Not(test) => test.mentions(name),
            Self::Present(place) | Self::Compare(place, ..) | Self::Within(place, _) => place.attribute.name == name,
        }
    }

    /// Notes the parts that are asked to be equal to something; whether nothing else is asked.
    fn fill(&self, parts: &mut Map<String, Value>) -> bool {
        match self {
            Self::All(tests) => tests.iter().all(|test| test.fill(parts)),
            Self::Compare(place, Comparison::Equal, operand) => {
                let name = place.attribute.name.to_owned();
                operand.value().is_some_and(|value| parts.insert(name, value).is_none())
            }
            _ => false,
        }
    }
}

impl Subject<'_> {
    /// Whether one of the values at a place is such. Members are shown one at a time: there may be very many.
    fn any(self, place: Place, mut is_such: impl FnMut(&Value) -> bool) -> bool {
        if place.attribute.name == "members" {
            return self.members.iter().any(|id| is_such(&json!({"value": id.to_string(), "type": "User"})));
        }
        place.values(self.document).iter().any(is_such)
    }
}

/// Whether a value is one (RFC 7643, 2.5).
fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(parts) => parts.values().any(is_present),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
