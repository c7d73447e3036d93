//! Walking through a TOML document: sections that know which keys were asked for, and collect what is wrong.
//!
//! Nothing here stops at the first error. A section that goes out of scope reports the keys that nobody asked for, so
//! every key is read before a function returns.

use super::error::{ConfigError, ConfigErrors, Places};
use super::suggest::{listed, nearest};
use super::value::Value;
use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// Reads a document by `meaning`. What it makes of values that were refused is thrown away.
pub(crate) fn read<T>(
    text: &str,
    origin: &Path,
    meaning: impl FnOnce(&mut Section<'_, '_>) -> T,
) -> Result<T, ConfigErrors> {
    match read_part(text, meaning) {
        (Some(meant), errors) if errors.is_empty() => Ok(meant),
        (_, errors) => Err(ConfigErrors { origin: origin.into(), errors }),
    }
}

/// Reads a document by `meaning`, and what is wrong with it. What it makes of the rest stands; nothing does if it is no
/// TOML.
pub(crate) fn read_part<T>(
    text: &str,
    meaning: impl FnOnce(&mut Section<'_, '_>) -> T,
) -> (Option<T>, Vec<ConfigError>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return (None, ConfigErrors::syntax(text, &errors));
    }
    let faults = Faults::default();
    let mut root = Section::new(&faults, String::new(), 0..0, Some(document.get_ref()));
    let meant = meaning(&mut root);
    drop(root);
    let mut faults = faults.0.into_inner();
    faults.sort_by_key(|(offset, _)| *offset);
    let places = Places::of(text);
    let placed = |(offset, error)| ConfigError { place: Some(places.at(offset)), ..error };
    (Some(meant), faults.into_iter().map(placed).collect())
}

/// What is wrong so far, by the offset in the text.
#[derive(Default)]
pub(crate) struct Faults(RefCell<Vec<(usize, ConfigError)>>);

impl Faults {
    /// Reports that `problem` is wrong with `key`.
    pub(crate) fn report(&self, span: &Range<usize>, key: &str, problem: impl Into<String>, fix: impl Into<String>) {
        let error = ConfigError { place: None, key: key.to_owned(), problem: problem.into(), fix: fix.into() };
        self.0.borrow_mut().push((span.start, error));
    }
}

/// A table of the document, or one that is not there and therefore empty.
pub(crate) struct Section<'r, 't> {
    faults: &'r Faults,
    path: String,
    span: Range<usize>,
    table: Option<&'r DeTable<'t>>,
    asked_for: Vec<&'static str>,
}

impl<'r, 't> Section<'r, 't> {
    fn new(faults: &'r Faults, path: String, span: Range<usize>, table: Option<&'r DeTable<'t>>) -> Self {
        Self { faults, path, span, table, asked_for: Vec::new() }
    }

    /// The value of a key that may be missing.
    pub(crate) fn value(&mut self, key: &'static str) -> Option<Value<'r, 't>> {
        self.asked_for.push(key);
        let value = self.table?.get(key)?;
        Some(Value { faults: self.faults, path: self.key(key), span: value.span(), raw: value.get_ref() })
    }

    /// The value of a key that must be there. `example` is what a correct line looks like.
    pub(crate) fn required(&mut self, key: &'static str, example: &str) -> Option<Value<'r, 't>> {
        let value = self.value(key);
        if value.is_none() {
            // A table that is not there has the place of the one around it.
            let below = if self.table.is_some() { String::new() } else { format!(" below `[{}]`", self.path) };
            self.faults.report(&self.span, &self.key(key), "is missing", format!("add `{example}`{below}"));
        }
        value
    }

    /// The table of a key; empty if it is missing.
    pub(crate) fn section(&mut self, key: &'static str) -> Section<'r, 't> {
        match self.value(key) {
            None => Section::new(self.faults, self.key(key), self.span.clone(), None),
            Some(value) => value.into_section(&format!("begin it with `[{key}]`")),
        }
    }

    /// The text of a key, if it is one, and where it stands. Nothing is reported.
    pub(crate) fn peek(&self, key: &str) -> Option<(Option<&'r str>, usize)> {
        let value = self.table?.get(key)?;
        let text = if let DeValue::String(text) = value.get_ref() { Some(text.as_ref()) } else { None };
        Some((text, value.span().start))
    }

    /// The place of the section as a whole.
    pub(crate) fn start(&self) -> usize {
        self.span.start
    }

    /// Whether a key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// All that is in it, whatever it is called.
    pub(crate) fn into_entries(mut self) -> Vec<(String, Value<'r, 't>)> {
        let table = self.table.take();
        let entry = |(key, value): (&'r toml::Spanned<std::borrow::Cow<'t, str>>, &'r toml::Spanned<DeValue<'t>>)| {
            let name = key.get_ref().to_string();
            let path = self.key(&name);
            (name, Value { faults: self.faults, path, span: value.span(), raw: value.get_ref() })
        };
        table.into_iter().flatten().map(entry).collect()
    }

    /// The tables of a key, in the order of the file; none if it is missing.
    pub(crate) fn sections(&mut self, key: &'static str) -> Vec<Section<'r, 't>> {
        let header = self.header(key);
        let fix = format!("begin each with `[[{header}]]`");
        let Some(value) = self.value(key) else { return Vec::new() };
        if matches!(value.raw, DeValue::Table(_)) {
            value.refuse("is one table and there may be several", format!("write `[[{header}]]` with two brackets"));
            return Vec::new();
        }
        value.list(&fix).into_iter().map(|value| value.into_section(&fix)).collect()
    }

    /// Reports that something is wrong with the section as a whole, under the name of `key`.
    pub(crate) fn refuse(&self, key: &str, problem: impl Into<String>, fix: impl Into<String>) {
        self.faults.report(&self.span, &self.key(key), problem, fix);
    }

    /// Says nothing of keys that nobody asked for: which ones there may be depends on a value that was refused.
    pub(crate) fn overlook_the_rest(&mut self) {
        self.table = None;
    }

    /// The name of a table of this one, as the file writes it: without the places in lists.
    fn header(&self, key: &str) -> String {
        let parts = self.path.split('.').filter(|part| !part.is_empty());
        let names = parts.map(|part| part.split_once('[').map_or(part, |(name, _)| name));
        names.chain([key]).collect::<Vec<_>>().join(".")
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl<'r, 't> Value<'r, 't> {
    pub(crate) fn into_section(self, fix: &str) -> Section<'r, 't> {
        let table = if let DeValue::Table(table) = self.raw { Some(table) } else { None };
        if table.is_none() {
            self.refuse(format!("is {} and should be a table", self.kind()), fix);
        }
        Section::new(self.faults, self.path, self.span, table)
    }
}

impl Drop for Section<'_, '_> {
    fn drop(&mut self) {
        let unknown =
            self.table.into_iter().flatten().filter(|(key, _)| !self.asked_for.contains(&key.get_ref().as_ref()));
        for (key, _) in unknown {
            let fix = match nearest(key.get_ref(), &self.asked_for) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known here: {}", listed(&self.asked_for)),
            };
            self.faults.report(&key.span(), &self.key(key.get_ref()), "is not a known key", fix);
        }
    }
}
