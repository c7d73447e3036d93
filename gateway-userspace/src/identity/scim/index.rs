//! Finding resources by what they are called: by a number of each term, because whatever is found is compared anyway.
//! That is 24 bytes a term, however long it is.

use super::filter::folded;
use super::{Resource, ResourceId, ResourceKind};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};

/// What resources are looked up by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Term {
    /// A user's name.
    UserName,
    /// What a user or group is called.
    DisplayName,
    /// The provider's own identifier.
    ExternalId,
    /// An address of mail.
    Email,
}

impl Term {
    const ALL: [Self; 4] = [Self::UserName, Self::DisplayName, Self::ExternalId, Self::Email];

    const fn attribute(self) -> &'static str {
        match self {
            Self::UserName => "userName",
            Self::DisplayName => "displayName",
            Self::ExternalId => "externalId",
            Self::Email => "emails",
        }
    }

    /// The term that an attribute, or its part, is.
    pub(super) fn at(kind: ResourceKind, attribute: &str, compared: &str) -> Option<Self> {
        let term = Self::ALL.into_iter().find(|term| term.attribute() == attribute)?;
        let is_whole = compared == attribute || compared == "value";
        kind.attribute(attribute).filter(|_| is_whole).map(|_| term)
    }
}

/// The terms of resources.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: BTreeSet<(u64, ResourceId)>,
    numbers: RandomState,
}

impl Index {
    pub fn insert(&mut self, resource: &Resource) {
        let numbers = self.numbers_of(resource);
        self.entries.extend(numbers.map(|number| (number, resource.id)));
    }

    pub fn remove(&mut self, resource: &Resource) {
        for number in self.numbers_of(resource) {
            self.entries.remove(&(number, resource.id));
        }
    }

    /// The resources that may have a term, which is folded as its attribute wants it.
    pub fn find(&self, kind: ResourceKind, term: Term, text: &str) -> impl Iterator<Item = ResourceId> {
        let number = self.number(kind, term, text);
        self.entries.range((number, ResourceId::LEAST)..=(number, ResourceId::GREATEST)).map(|(_, id)| *id)
    }

    fn number(&self, kind: ResourceKind, term: Term, text: &str) -> u64 {
        self.numbers.hash_one((kind, term, text))
    }

    fn numbers_of(&self, resource: &Resource) -> impl Iterator<Item = u64> + use<> {
        let kind = resource.kind();
        let document = resource.attributes();
        let terms = Term::ALL.into_iter().flat_map(|term| texts(kind, &document, term).map(move |text| (term, text)));
        let numbers: Vec<_> = terms.map(|(term, text)| self.number(kind, term, &text)).collect();
        numbers.into_iter()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Whether all terms of a resource lead to it.
#[cfg(test)]
pub(super) fn is_indexed(index: &Index, resource: &Resource) -> bool {
    index.numbers_of(resource).all(|number| index.entries.contains(&(number, resource.id)))
}

fn texts(kind: ResourceKind, document: &Map<String, Value>, term: Term) -> impl Iterator<Item = String> {
    let attribute = kind.attribute(term.attribute());
    let value = document.get(term.attribute()).filter(|_| attribute.is_some());
    let items = value.map(|value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
    let text = |value: &Value| value.get("value").unwrap_or(value).as_str().map(str::to_owned);
    let texts = items.unwrap_or_default().iter().filter_map(text);
    texts.filter_map(move |text| Some(folded(attribute?, &text).into_owned()))
}
