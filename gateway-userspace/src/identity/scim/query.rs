//! Lists: which resources, in which order, and which page of them (RFC 7644, 3.4.2).
//!
//! A query is answered in three steps, so that the thread that decides about access is never busy with a search: the
//! candidates are taken from the directory a slice at a time, [`Query::select`] looks at them elsewhere, and the page is
//! represented from the directory.

use super::filter::Subject;
use super::path::{self, Named, Place};
use super::read::member;
use super::schema::Type;
use super::{
    Directory, Facts, Filter, Projection, Resource, ResourceId, ResourceKind, ScimError, Shown, filter, render,
};
use crate::policy::ProviderName;
use serde_json::{Map, Value, json};
use std::cmp::Ordering;
use std::sync::Arc;

/// Most resources on a page.
pub const LARGEST_PAGE: usize = 1000;
/// Most members, or groups, that all on a page have.
const BROADEST_PAGE: usize = 100_000;
/// Resources on a page unless another number is asked for.
const PAGE: usize = 100;

/// The parameters of a query, as they were sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parameters {
    /// What to look for.
    pub filter: Option<String>,
    /// What to order by.
    pub sort_by: Option<String>,
    /// `ascending` or `descending`.
    pub sort_order: Option<String>,
    /// The place of the first resource; from 1.
    pub start_index: Option<i64>,
    /// How many.
    pub count: Option<i64>,
    /// The attributes that are wanted.
    pub attributes: Vec<String>,
    /// The attributes that are not.
    pub excluded_attributes: Vec<String>,
}

/// A query that makes sense.
#[derive(Debug)]
pub struct Query {
    kind: ResourceKind,
    filter: Option<Filter>,
    sort: Option<Sort>,
    start: usize,
    count: usize,
    projection: Projection,
}

#[derive(Debug)]
struct Sort {
    place: Place,
    is_descending: bool,
}

/// A resource that may be found, with what a query asks about and its document does not have.
#[derive(Clone, Debug)]
pub struct Candidate {
    resource: Arc<Resource>,
    groups: Vec<Arc<Resource>>,
    members: Vec<ResourceId>,
}

/// What a query finds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// How many there are, on all pages.
    pub total: usize,
    /// The place of the first one on this page; from 1.
    pub start: usize,
    /// Those on this page.
    pub ids: Vec<ResourceId>,
}

impl Candidate {
    /// The identifier of the resource.
    #[must_use]
    pub fn id(&self) -> ResourceId {
        self.resource.id
    }
}

impl Parameters {
    /// Reads the body of a search by POST.
    ///
    /// # Errors
    /// If a member has another type.
    pub fn read(body: &Map<String, Value>) -> Result<Self, ScimError> {
        let wrong = |name: &str| ScimError::syntax(format!("`{name}` is of another type"));
        let text = |name: &str| match member(body, name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_str().map(|text| Some(text.to_owned())).ok_or_else(|| wrong(name)),
        };
        let number = |name: &str| match member(body, name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number.as_i64().unwrap_or(i64::MAX))),
            Some(_) => Err(wrong(name)),
        };
        let names = |name: &str| match member(body, name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(names)) => {
                names.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(name))).collect()
            }
            Some(_) => Err(wrong(name)),
        };
        Ok(Self {
            filter: text("filter")?,
            sort_by: text("sortBy")?,
            sort_order: text("sortOrder")?,
            start_index: number("startIndex")?,
            count: number("count")?,
            attributes: names("attributes")?,
            excluded_attributes: names("excludedAttributes")?,
        })
    }
}

impl Query {
    /// Makes sense of parameters for resources of a kind. Absurd places and numbers become the nearest sensible ones.
    ///
    /// # Errors
    /// If the filter or the order makes no sense.
    pub fn of(kind: ResourceKind, parameters: &Parameters) -> Result<Self, ScimError> {
        let Parameters { filter, sort_by, sort_order, start_index, count, attributes, excluded_attributes } =
            parameters;
        let natural = |number: i64| usize::try_from(number.max(0)).unwrap_or(usize::MAX);
        Ok(Self {
            kind,
            filter: filter.as_deref().map(|text| Filter::parse(kind, text)).transpose()?,
            sort: Sort::of(kind, sort_by.as_deref(), sort_order.as_deref())?,
            start: natural(start_index.unwrap_or(1)).max(1),
            count: count.map_or(PAGE, natural).min(LARGEST_PAGE),
            projection: Projection::of(attributes.clone(), excluded_attributes.clone())?,
        })
    }

    /// The same for what follows the page of another query: as many as are missing on it.
    #[must_use]
    pub fn after(self, page: &Page) -> Self {
        let start = self.start.saturating_sub(page.total).max(1);
        Self { start, count: self.count.saturating_sub(page.ids.len()), ..self }
    }

    /// What kind of resources is looked for.
    #[must_use]
    pub const fn kind(&self) -> ResourceKind {
        self.kind
    }

    /// Whether everything is listed as it stands, so that [`Self::list`] answers it at once.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.filter.is_none() && self.sort.is_none()
    }

    /// The page of a plain query.
    #[must_use]
    pub fn list(&self, directory: &Directory, provider: &ProviderName) -> Page {
        let all = directory.slice(provider, self.kind, None, usize::MAX);
        let ids = all.skip(self.start - 1).take(self.count).map(|resource| resource.id).collect();
        Page { total: directory.count(provider, self.kind), start: self.start, ids }
    }

    /// The candidates where the filter says to look, if it does.
    #[must_use]
    pub fn hinted(&self, directory: &Directory, provider: &ProviderName) -> Option<Vec<Candidate>> {
        let hints = self.filter.as_ref()?.hints()?;
        let found = directory.at(provider, self.kind, &hints);
        Some(found.into_iter().map(|resource| self.candidate(directory, resource)).collect())
    }

    /// At most so many candidates after one of them.
    pub fn slice(
        &self,
        directory: &Directory,
        provider: &ProviderName,
        after: Option<ResourceId>,
        most: usize,
    ) -> Vec<Candidate> {
        let found = directory.slice(provider, self.kind, after, most);
        found.map(|resource| self.candidate(directory, resource)).collect()
    }

    fn candidate(&self, directory: &Directory, resource: &Arc<Resource>) -> Candidate {
        let mentions = |name: &str| {
            self.filter.as_ref().is_some_and(|filter| filter.mentions(name))
                || self.sort.as_ref().is_some_and(|sort| sort.place.attribute.name == name)
        };
        let (mut groups, mut members) = (Vec::new(), Vec::new());
        if self.kind == ResourceKind::User && mentions("groups") {
            groups = directory.groups_of(&resource.provider, resource.id).cloned().collect();
        }
        if self.kind == ResourceKind::Group && mentions("members") {
            members = directory.member_ids(&resource.provider, resource.id).collect();
        }
        Candidate { resource: Arc::clone(resource), groups, members }
    }

    /// The page of the candidates that match.
    #[must_use]
    pub fn select(&self, candidates: &[Candidate]) -> Page {
        let mut found: Vec<_> = candidates.iter().filter_map(|candidate| self.found(candidate)).collect();
        if let Some(sort) = &self.sort {
            // Stable: what is equal stays in the order of identifiers, so that pages fit.
            found.sort_by(|(_, one), (_, other)| sort.order(one, other));
        }
        let total = found.len();
        let ids = found.into_iter().skip(self.start - 1).take(self.count).map(|(id, _)| id).collect();
        Page { total, start: self.start, ids }
    }

    /// A candidate that matches, and what it is ordered by.
    fn found(&self, candidate: &Candidate) -> Option<(ResourceId, Option<Value>)> {
        let mut document = render::basis(&candidate.resource, "");
        if let Facts::User { active, .. } = candidate.resource.facts {
            // Where nobody says it, it is found by what is in force.
            document.entry("active").or_insert(Value::Bool(active));
        }
        if !candidate.groups.is_empty() {
            let groups = candidate.groups.iter().map(|group| render::membership(group, ""));
            document.insert("groups".to_owned(), groups.collect());
        }
        let subject = Subject { document: &document, members: &candidate.members };
        let matches = self.filter.as_ref().is_none_or(|filter| filter.matches(subject));
        matches.then(|| (candidate.resource.id, self.sort.as_ref().and_then(|sort| sort.key(&document))))
    }

    /// What is to be answered of a page. Whatever has been removed meanwhile is left out, and the page ends early where it
    /// would name too many others: a client goes on after as many as it got.
    #[must_use]
    pub fn gather(&self, directory: &Directory, provider: &ProviderName, page: &Page) -> Vec<Shown> {
        let found = page.ids.iter().filter_map(|id| directory.resource(provider, self.kind, *id));
        let mut breadth = 0_usize;
        let within = |shown: &Shown| {
            let is_first = breadth == 0;
            breadth = breadth.saturating_add(shown.breadth());
            is_first || breadth <= BROADEST_PAGE
        };
        let is_alone = self.projection.omits_others(self.kind);
        found.map(|resource| directory.shown(resource, is_alone)).take_while(within).collect()
    }

    /// The answer with a page.
    #[must_use]
    pub fn answer(&self, page: &Page, shown: &[Shown], base: &str) -> Value {
        let resources: Vec<_> = shown.iter().map(|shown| shown.document(&self.projection, base)).collect();
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": page.total,
            "startIndex": page.start,
            "itemsPerPage": resources.len(),
            "Resources": resources,
        })
    }
}

impl Sort {
    fn of(kind: ResourceKind, by: Option<&str>, order: Option<&str>) -> Result<Option<Self>, ScimError> {
        let is_descending = match order.map(str::to_ascii_lowercase).as_deref() {
            None | Some("ascending") => false,
            Some("descending") => true,
            Some(_) => return Err(ScimError::value("`sortOrder` is not `ascending` or `descending`")),
        };
        let Some(by) = by else { return Ok(None) };
        match path::parse(kind, by) {
            Some(Named::Place(place)) if place.compared().kind != Type::Complex => {
                Ok(Some(Self { place, is_descending }))
            }
            _ => Err(ScimError::value("`sortBy` names nothing that has an order; name an attribute or a part of one")),
        }
    }

    /// What a document is ordered by: of several values, the preferred one or else the first.
    fn key(&self, document: &Map<String, Value>) -> Option<Value> {
        let values = self.place.values(document);
        let value = values.iter().find(|value| super::document::is_primary(value)).or_else(|| values.first())?;
        let key = self.place.of(value)?;
        let folded = key.as_str().map(|text| filter::folded(self.place.compared(), text).into_owned().into());
        Some(folded.unwrap_or_else(|| key.clone()))
    }

    /// What has no value is last, or first where the order descends (RFC 7644, 3.4.2.3).
    fn order(&self, one: &Option<Value>, other: &Option<Value>) -> Ordering {
        let ascending = match (one, other) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(Value::Bool(one)), Some(Value::Bool(other))) => one.cmp(other),
            // Times are all written alike, so they are ordered as texts are.
            (Some(one), Some(other)) => one.as_str().cmp(&other.as_str()),
        };
        if self.is_descending { ascending.reverse() } else { ascending }
    }
}

#[cfg(test)]
mod tests;
