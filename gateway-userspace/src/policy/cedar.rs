//! Cedar policies: parsed, checked against the schema, indexed, and asked.
//!
//! The text is accepted as a whole or not at all, with all its errors at once. The index skips only policies whose
//! scope already says that they cannot apply; everything else is decided by Cedar itself.

mod annotation;
mod ask;
mod place;
mod sight;
mod warning;

pub(super) use ask::Facts;
pub use ask::{Faults, Judged, Subject};
pub(in crate::policy) use sight::SeenSource;

use cedar_policy::{EntityTypeName, EntityUid, Policy, PolicyId, PrincipalConstraint, ResourceConstraint, Schema};
use sight::Sight;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

/// The schema that policies are checked against.
pub const SCHEMA: &str = include_str!("portcullis.cedarschema");

/// A place in the text of the policies, and what is wrong there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct PolicyError {
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
    text: Arc<str>,
    rules: Vec<Rule>,
    by_id: HashMap<PolicyId, usize>,
    /// Rules that name one app in their scope.
    on_app: BTreeMap<String, Vec<usize>>,
    /// Rules that may apply to any app.
    everywhere: Vec<usize>,
    sight: Sight,
    remarks: Vec<PolicyWarning>,
}

/// One policy.
#[derive(Clone)]
struct Rule {
    policy: Policy,
    name: String,
    /// Where it stands in the text.
    span: Range<usize>,
    who: Who,
    /// How old the authentication may be, in nanoseconds.
    reauthenticate: Option<u64>,
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
            text: Arc::from(""),
            rules: Vec::new(),
            by_id: HashMap::new(),
            on_app: BTreeMap::new(),
            everywhere: Vec::new(),
            sight: Sight::default(),
            remarks: Vec::new(),
        }
    }

    /// Parses and checks the text of policies.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<PolicyError>> {
        let Some(kinds) = kinds() else {
            return Err(vec![place::whole(String::from("the built-in schema does not parse"))]);
        };
        let parsed = cedar_policy::PolicySet::from_str(text).map_err(|errors| place::syntax(text, &errors))?;
        let mut errors = Vec::new();
        let rules = annotation::rules(text, &parsed, &mut errors);
        let by_id: HashMap<_, _> = rules.iter().enumerate().map(|(at, rule)| (rule.policy.id().clone(), at)).collect();
        let rule_of = |id: &PolicyId| by_id.get(id).and_then(|at| rules.get(*at));
        let remarks = place::validated(text, &parsed, &kinds.schema, rule_of, &mut errors);
        if !errors.is_empty() {
            errors.sort();
            errors.dedup();
            return Err(errors);
        }
        let (on_app, everywhere) = index(&rules);
        let sight = Sight::of(rules.iter().map(|rule| &rule.policy));
        Ok(Self { text: Arc::from(text), rules, by_id, on_app, everywhere, sight, remarks })
    }

    /// The text, as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
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
        let rule = self.rules.iter().find(|rule| rule.name == name)?;
        self.text.get(rule.span.clone())
    }
}

impl Default for PolicySet {
    fn default() -> Self {
        Self::empty()
    }
}

impl std::fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PolicySet").field(&self.text).finish()
    }
}

impl PartialEq for PolicySet {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
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
