//! Cedar policies: parsed, checked against the schema, indexed, and asked.
//!
//! The text is accepted as a whole or not at all, with all its errors at once. The index skips only policies whose
//! scope already says that they cannot apply; everything else is decided by Cedar itself.

mod annotation;
mod ask;
mod place;
mod scopes;
mod sight;
mod time;
mod warning;

pub(super) use ask::Facts;
pub use ask::{Faults, Judged, Subject};
pub(in crate::policy) use sight::SeenSource;
pub(in crate::policy) use time::SeenTime;

use annotation::spot;

use crate::policy::model::Logging;
use cedar_policy::{
    EntityTypeName, EntityUid, Policy, PolicyId, PrincipalConstraint, ResourceConstraint, Schema, Validator,
};
use scopes::Scopes;
use sight::Sight;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use time::{Expiries, Expiry};

/// The schema that policies are checked against.
pub const SCHEMA: &str = include_str!("portcullis.cedarschema");

/// Policies that are written together: a file of a bundle, or a text that was given as a whole.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PolicyFile {
    /// Its path in the bundle, with `/`.
    pub name: String,
    /// Cedar.
    pub text: String,
}

/// Why the name of a file of policies was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is not a name for a file of policies: write a relative path of letters, digits, `.`, `_` and `-` that ends in \
     `.cedar`, like `finance/payroll.cedar`"
)]
pub struct InvalidFileName(String);

/// A place in the text of the policies, and what is wrong there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
#[error("{}{line}:{column}: {message}", in_file(.file.as_deref()))]
pub struct PolicyError {
    /// Name of the file, where it is not [`PolicyFile::ALONE`].
    pub file: Option<String>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Name of the policy, where the error is inside one.
    pub policy: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What may have been meant.
    pub hint: Option<String>,
}

/// A place in the text of the policies that is valid but probably not what was meant.
pub type PolicyWarning = PolicyError;

/// The policies in force.
#[derive(Clone)]
pub struct PolicySet {
    files: Arc<[PolicyFile]>,
    rules: Vec<Rule>,
    by_id: HashMap<PolicyId, usize>,
    /// Rules that name one app in their scope.
    on_app: BTreeMap<String, Vec<usize>>,
    /// Rules that may apply to any app.
    everywhere: Vec<usize>,
    scopes: Scopes,
    sight: Sight,
    expiries: Expiries,
    remarks: Vec<PolicyWarning>,
}

/// One policy.
#[derive(Clone)]
struct Rule {
    policy: Policy,
    name: String,
    /// The number of its file.
    file: usize,
    /// Where it stands in the text of that.
    span: Range<usize>,
    who: Who,
    /// How old the authentication may be, in nanoseconds.
    reauthenticate: Option<u64>,
    /// Until when it is in force.
    expires: Option<Expiry>,
    /// Whether those whom it denies are told so at once.
    reject: bool,
    /// What the access log says of what it determines; `None` for what it says anyway.
    log: Option<Logging>,
}

/// Whom the scope of a policy admits.
#[derive(Clone)]
enum Who {
    Anybody,
    User(String),
    Group(String),
}

/// The parts of the schema that every request needs.
struct Kinds {
    schema: Schema,
    user: EntityTypeName,
    group: EntityTypeName,
    app: EntityTypeName,
    connect: EntityUid,
}

/// `None` never happens: a test parses the schema. If it did, no text would be accepted and nothing permitted.
fn kinds() -> Option<&'static Kinds> {
    static KINDS: LazyLock<Option<Kinds>> = LazyLock::new(|| {
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA).ok()?;
        let kind = |name| EntityTypeName::from_str(name).ok();
        let connect = EntityUid::from_str(r#"Action::"connect""#).ok()?;
        Some(Kinds { schema, user: kind("User")?, group: kind("Group")?, app: kind("App")?, connect })
    });
    KINDS.as_ref()
}

impl PolicySet {
    /// Policies that permit nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            files: Arc::from([]),
            rules: Vec::new(),
            by_id: HashMap::new(),
            on_app: BTreeMap::new(),
            everywhere: Vec::new(),
            scopes: Scopes::default(),
            sight: Sight::default(),
            expiries: Expiries::default(),
            remarks: Vec::new(),
        }
    }

    /// Parses and checks the text of policies.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<PolicyError>> {
        Self::parse_files(vec![PolicyFile::alone(text)])
    }

    /// Parses and checks files of policies. Each of them stands for itself: none goes on in the next one.
    ///
    /// # Errors
    /// All that is wrong with them, in the order of the files and of their text.
    pub fn parse_files(files: Vec<PolicyFile>) -> Result<Self, Vec<PolicyError>> {
        let Some(kinds) = kinds() else {
            return Err(vec![place::whole(String::from("the built-in schema does not parse"))]);
        };
        let (validator, mut reading) = (Validator::new(kinds.schema.clone()), Reading::default());
        for (number, file) in files.iter().enumerate() {
            reading.read(number, file, &validator);
        }
        let Reading { rules, mut errors, remarks } = reading;
        annotation::refuse_twins(&files, &rules, &mut errors);
        if !errors.is_empty() {
            errors.sort();
            errors.dedup();
            return Err(errors);
        }
        let by_id = rules.iter().enumerate().map(|(at, rule)| (rule.policy.id().clone(), at)).collect();
        let (on_app, everywhere) = index(&rules);
        let scopes = Scopes::of(&rules);
        let sight = Sight::of(rules.iter().map(|rule| &rule.policy));
        let expiries = Expiries::of(rules.iter());
        Ok(Self { files: Arc::from(files), rules, by_id, on_app, everywhere, scopes, sight, expiries, remarks })
    }

    /// The files, as they were given.
    #[must_use]
    pub fn files(&self) -> &Arc<[PolicyFile]> {
        &self.files
    }

    /// The text of all files, one after the other.
    #[must_use]
    pub fn text(&self) -> String {
        PolicyFile::joined(&self.files)
    }

    /// How many policies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Names of the policies, in the order of the text.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.name.as_str())
    }

    /// The text of the policy with this name.
    #[must_use]
    pub fn policy_text(&self, name: &str) -> Option<&str> {
        self.text_of(self.rules.iter().find(|rule| rule.name == name)?)
    }

    /// What stands before the policy with this name, as `@name("…")`: by name, with its value.
    pub fn annotations(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        let rule = self.rules.iter().find(|rule| rule.name == name);
        rule.into_iter().flat_map(|rule| rule.policy.annotations())
    }

    fn text_of(&self, rule: &Rule) -> Option<&str> {
        self.files.get(rule.file)?.text.get(rule.span.clone())
    }
}

impl PolicyFile {
    /// The name of a text that was given without one. Its policies need no file to be told apart.
    pub const ALONE: &'static str = "policy.cedar";

    /// A text that was given without a name.
    #[must_use]
    pub fn alone(text: &str) -> Self {
        Self { name: Self::ALONE.to_owned(), text: text.to_owned() }
    }

    /// A name that a file may have: a relative path with `/`, of letters, digits, `.`, `_` and `-`, that ends in `.cedar`.
    ///
    /// # Errors
    /// If it is none.
    pub fn checked_name(name: &str) -> Result<String, InvalidFileName> {
        let is_plain = |part: &str| {
            let is_known = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_known)
        };
        let is_valid = name.len() <= 255 && name.ends_with(".cedar") && name.split('/').all(is_plain);
        if is_valid { Ok(name.to_owned()) } else { Err(InvalidFileName(name.to_owned())) }
    }

    /// The text of several files, with a line before each that says which it is; of one as it is.
    #[must_use]
    pub fn joined(files: &[Self]) -> String {
        match files {
            [] => String::new(),
            [file] => file.text.clone(),
            files => files.iter().map(|file| format!("// {}\n{}\n", file.name, file.text.trim_end())).collect(),
        }
    }

    /// Its name, where that says anything.
    fn known(&self) -> Option<String> {
        (self.name != Self::ALONE).then(|| self.name.clone())
    }

    /// What the names of its nameless policies begin with.
    fn prefix(&self) -> String {
        let stem = self.name.rsplit('/').next().unwrap_or_default();
        self.known().map_or_else(String::new, |_| format!("{}-", stem.strip_suffix(".cedar").unwrap_or(stem)))
    }
}

/// What has been read of the files so far.
#[derive(Default)]
struct Reading {
    rules: Vec<Rule>,
    errors: Vec<PolicyError>,
    remarks: Vec<PolicyWarning>,
}

impl Reading {
    fn read(&mut self, number: usize, file: &PolicyFile, validator: &Validator) {
        let parsed = match cedar_policy::PolicySet::from_str(&file.text) {
            Ok(parsed) => parsed,
            Err(errors) => return self.errors.extend(place::syntax(file, &errors)),
        };
        let rules = annotation::rules(number, file, &parsed, &mut self.errors);
        self.remarks.extend(place::validated(file, &parsed, validator, &rules, &mut self.errors));
        // Each file numbers its policies from 0.
        let renamed = rules.into_iter().map(|rule| {
            let id = PolicyId::new(format!("{number}/{}", rule.policy.id()));
            Rule { policy: rule.policy.new_id(id), ..rule }
        });
        self.rules.extend(renamed);
    }
}

fn in_file(file: Option<&str>) -> String {
    file.map_or_else(String::new, |file| format!("{file}:"))
}

impl Default for PolicySet {
    fn default() -> Self {
        Self::empty()
    }
}

impl std::fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PolicySet").field(&self.files).finish()
    }
}

impl PartialEq for PolicySet {
    fn eq(&self, other: &Self) -> bool {
        self.files == other.files
    }
}

fn index(rules: &[Rule]) -> (BTreeMap<String, Vec<usize>>, Vec<usize>) {
    let mut on_app: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut everywhere = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        match app_in_scope(&rule.policy) {
            Some(app) => on_app.entry(app).or_default().push(at),
            None => everywhere.push(at),
        }
    }
    (on_app, everywhere)
}

/// The one app that the scope names. Apps have no parents, so `in` means the same as `==`.
fn app_in_scope(policy: &Policy) -> Option<String> {
    match policy.resource_constraint() {
        ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
            id_of_kind(&uid, "App")
        }
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
    }
}

fn who_in_scope(policy: &Policy) -> Who {
    match policy.principal_constraint() {
        PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
            let user = id_of_kind(&uid, "User").map(Who::User);
            user.or_else(|| id_of_kind(&uid, "Group").map(Who::Group)).unwrap_or(Who::Anybody)
        }
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => Who::Anybody,
    }
}

fn id_of_kind(uid: &EntityUid, kind: &str) -> Option<String> {
    (uid.type_name().to_string() == kind).then(|| uid.id().unescaped().to_owned())
}

#[cfg(test)]
mod tests;
