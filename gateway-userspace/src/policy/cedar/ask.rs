//! One question after another: may this subject reach this app?

use super::sight::SeenSource;
use super::time::{SeenTime, weekday};
use super::{Kinds, PolicySet, Rule, Who, kinds};
use crate::policy::model::{
    App, Assurance, Attributes, Country, Decision, Factor, Factors, GroupName, Kind, Logging, Moment, Permitted, Risk,
    UserName,
};
use arcstr::ArcStr;
use cedar_policy::{
    AuthorizationError, Authorizer, Context, Effect, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request,
    Response, RestrictedExpression,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Policies that could not be evaluated, by name, and why. Whoever they concerned was denied.
pub type Faults = BTreeMap<String, String>;

/// What policies may know of somebody who wants in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subject {
    /// Who.
    pub user: UserName,
    /// Their groups.
    pub groups: BTreeSet<GroupName>,
    /// How they proved who they are.
    pub factors: Factors,
    /// What their provider vouches for.
    pub assurance: Arc<Assurance>,
    /// Whether anybody knows when they did.
    pub dated: bool,
    /// Whether their devices are known to be compliant.
    pub compliant: bool,
    /// Whether they are a person.
    pub kind: Kind,
    /// What is known of them.
    pub attributes: Attributes,
    /// How likely it is that it is not they.
    pub risk: Risk,
    /// Where they come from.
    pub source: IpAddr,
    /// Name of the zone they are in.
    pub zone: ArcStr,
    /// The country they are in.
    pub country: Country,
    /// When they want in.
    pub moment: Arc<Moment>,
}

/// Facts that lead to the same decisions.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::policy) struct Facts {
    groups: BTreeSet<GroupName>,
    factors: Factors,
    assurance: Arc<Assurance>,
    dated: bool,
    compliant: bool,
    kind: Option<Kind>,
    attributes: Attributes,
    risk: Option<Risk>,
    user: Option<UserName>,
    source: Option<SeenSource>,
    zone: Option<ArcStr>,
    country: Option<Country>,
    time: Option<SeenTime>,
}

/// A decision, and the policies that could not be evaluated on the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// What was decided.
    pub decision: Decision,
    /// Why it may not be what was meant.
    pub faults: Faults,
}

impl Factor {
    /// The name by which policies know it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::Passkey => "passkey",
            Self::Provider => "provider",
            Self::Certificate => "certificate",
            Self::Binding => "binding",
        }
    }
}

impl Subject {
    /// Whether they proved who they are in two ways, or their provider says so. A passkey is two: the device, and what
    /// unlocks it.
    #[must_use]
    pub fn has_mfa(&self) -> bool {
        self.assurance.mfa || self.factors.contains(Factor::Passkey) || self.factors.count() >= 2
    }
}

impl Decision {
    /// A name in the place of a policy's: the app was switched off.
    pub const APP_DISABLED: &'static str = "app-disabled";
    /// A name in the place of a policy's: the app is a trip-wire, which nobody is granted.
    pub const TRIP_WIRE: &'static str = "trip-wire";

    /// A denial.
    #[must_use]
    pub fn deny(policies: Vec<String>) -> Self {
        Self { permit: false, policies, max_authentication_age: None, reject: false, log: Logging::default() }
    }
}

impl Judged {
    fn deny(policies: Vec<String>) -> Self {
        Self { decision: Decision::deny(policies), faults: Faults::new() }
    }
}

impl PolicySet {
    /// Decides whether a subject may reach an app.
    #[must_use]
    pub fn decide(&self, subject: &Subject, app: &App) -> Judged {
        Question::new(self, subject).ask(app)
    }

    /// The apps that a subject may reach, with the decisions; and those that policies forbid, as far as that makes a
    /// difference.
    #[must_use]
    pub fn decide_all<'a>(&self, subject: &Subject, apps: impl IntoIterator<Item = &'a App>) -> (Permitted, Faults) {
        let question = Question::new(self, subject);
        let mut faults = Faults::new();
        let decisions = apps.into_iter().filter(|app| question.matters(app)).filter_map(|app| {
            let judged = question.ask(app);
            let counts = judged.decision.permit || question.is_forbidden(app, &judged);
            faults.extend(judged.faults);
            counts.then(|| (app.name.clone(), judged.decision))
        });
        let permitted = decisions.collect();
        (permitted, faults)
    }

    /// What the policies can see of a subject.
    pub(in crate::policy) fn facts(&self, subject: &Subject) -> Facts {
        Facts {
            groups: subject.groups.clone(),
            factors: subject.factors,
            assurance: Arc::clone(&subject.assurance),
            dated: subject.dated,
            compliant: subject.compliant,
            kind: self.sight.kind.then_some(subject.kind),
            attributes: self.sight.attributes(&subject.attributes),
            risk: self.sight.risk.then_some(subject.risk),
            user: self.sight.sees(subject.user.as_str()).then(|| subject.user.clone()),
            source: self.sight.source(subject.source),
            zone: self.sight.zone.then(|| subject.zone.clone()),
            country: self.sight.country.then_some(subject.country),
            time: self.seen_time(&subject.moment),
        }
    }

    /// Whether some policy names this group.
    pub(in crate::policy) fn names_group(&self, group: &str) -> bool {
        self.sight.names_group(group)
    }

    /// What the policies can see of an address.
    pub(in crate::policy) fn seen_source(&self, address: IpAddr) -> Option<SeenSource> {
        self.sight.source(address)
    }

    /// Whether the policies can see in which zone somebody is.
    pub(in crate::policy) fn sees_zones(&self) -> bool {
        self.sight.zone
    }

    /// Whether the policies can see in which country somebody is.
    pub(in crate::policy) fn sees_countries(&self) -> bool {
        self.sight.country
    }

    /// The policies in force whose scope admits the subject and the app. All others are false by their scope alone.
    fn concerning<'s>(&'s self, subject: &'s Subject, app: &App) -> impl Iterator<Item = &'s Rule> {
        let on_app = self.on_app.get(app.name.as_str()).map_or(&[][..], Vec::as_slice);
        let rules = on_app.iter().chain(&self.everywhere).filter_map(|at| self.rules.get(*at));
        let rules = rules.filter(|rule| !rule.expires.is_some_and(|expiry| expiry.is_over(&subject.moment)));
        rules.filter(|rule| match &rule.who {
            Who::Anybody => true,
            Who::User(name) => *name == subject.user.as_str(),
            // A group with a name that no group can have holds nobody.
            Who::Group(name) => subject.groups.iter().any(|group| group.as_str() == name),
        })
    }
}

/// A subject in Cedar's terms, built once for all apps.
struct Question<'q> {
    policies: &'q PolicySet,
    subject: &'q Subject,
    asked: Option<Asked>,
}

pub(super) struct Asked {
    kinds: &'static Kinds,
    pub(super) principal: EntityUid,
    pub(super) context: Context,
    pub(super) people: Vec<Entity>,
}

impl<'q> Question<'q> {
    fn new(policies: &'q PolicySet, subject: &'q Subject) -> Self {
        Self { policies, subject, asked: Asked::new(policies, subject) }
    }

    fn ask(&self, app: &App) -> Judged {
        if !app.enabled {
            return Judged::deny(vec![String::from(Decision::APP_DISABLED)]);
        }
        // Granted, it would be shown to those whom it is to catch.
        if app.trip_wire {
            return Judged::deny(vec![String::from(Decision::TRIP_WIRE)]);
        }
        let rules: Vec<&Rule> = self.policies.concerning(self.subject, app).collect();
        if rules.is_empty() {
            return Judged::deny(Vec::new());
        }
        self.response(&rules, app).map_or_else(|| Judged::deny(Vec::new()), |response| self.judged(&response))
    }

    /// Whether any policy could permit it, or deny it otherwise than by default, as far as scopes tell. What an app that
    /// is off or a trip-wire comes to depends on no policy.
    fn matters(&self, app: &App) -> bool {
        let rules = || self.policies.concerning(self.subject, app);
        app.enabled && !app.trip_wire && rules().any(Rule::counts_alone)
    }

    /// Whether policies deny it: a forbid, or one that could not be evaluated. Nobody knows of a permit that it asks for a
    /// recent login whether it would permit.
    fn is_forbidden(&self, app: &App, Judged { decision, faults }: &Judged) -> bool {
        let forbids = |rule: &Rule| rule.policy.effect() == Effect::Forbid && decision.policies.contains(&rule.name);
        !decision.permit && (!faults.is_empty() || self.policies.concerning(self.subject, app).any(forbids))
    }

    fn response(&self, rules: &[&Rule], app: &App) -> Option<Response> {
        let asked = self.asked.as_ref()?;
        let policies = cedar_policy::PolicySet::from_policies(rules.iter().map(|rule| rule.policy.clone())).ok()?;
        let entity = asked.resource(app)?;
        let resource = entity.uid();
        let entities = Entities::from_entities(asked.people.iter().cloned().chain([entity]), None).ok()?;
        let action = asked.kinds.connect.clone();
        // Built from our own types, so it fits the schema; a test asks Cedar to confirm that.
        let request = Request::new(asked.principal.clone(), action, resource, asked.context.clone(), None).ok()?;
        Some(Authorizer::new().is_authorized(&request, &policies, &entities))
    }

    fn judged(&self, response: &Response) -> Judged {
        let rule = |id| self.policies.by_id.get(id).and_then(|at| self.policies.rules.get(*at));
        let faults: Faults = response
            .diagnostics()
            .errors()
            .filter_map(|error| {
                let AuthorizationError::PolicyEvaluationError(error) = error;
                Some((rule(error.policy_id())?.name.clone(), error.inner().to_string()))
            })
            .collect();
        if response.diagnostics().errors().next().is_some() {
            return Judged { decision: Decision::deny(faults.keys().cloned().collect()), faults };
        }
        let mut determining: Vec<&Rule> = response.diagnostics().reason().filter_map(rule).collect();
        determining.sort_by_key(|rule| (rule.file, rule.span.start));
        let permit = response.decision() == cedar_policy::Decision::Allow;
        let policies = determining.iter().map(|rule| rule.name.clone()).collect();
        // Each permit stands for itself, so the most generous one counts; one without a limit has none.
        let ages: Option<Vec<u64>> = determining.iter().map(|rule| rule.reauthenticate).collect();
        let max_authentication_age = ages.and_then(|ages| ages.into_iter().max()).filter(|_| permit);
        // The kernel counts from a time, and there is none.
        let permit = permit && (self.subject.dated || max_authentication_age.is_none());
        let max_authentication_age = max_authentication_age.filter(|_| permit);
        let reject = !permit && determining.iter().any(|rule| rule.reject);
        let log = determining.iter().map(|rule| rule.log.unwrap_or_default()).max().unwrap_or_default();
        Judged { decision: Decision { permit, policies, max_authentication_age, reject, log }, faults }
    }
}

impl Asked {
    pub(super) fn new(policies: &PolicySet, subject: &Subject) -> Option<Self> {
        let kinds = kinds()?;
        let groups: HashSet<EntityUid> = subject.groups.iter().map(|group| uid(&kinds.group, group.as_str())).collect();
        let principal = uid(&kinds.user, subject.user.as_str());
        let mut people: Vec<Entity> =
            groups.iter().map(|group| Entity::new_no_attrs(group.clone(), HashSet::new())).collect();
        people.push(user(principal.clone(), groups, subject)?);
        Some(Self { kinds, principal, context: context(policies, subject)?, people })
    }
}

impl Asked {
    /// An app in Cedar's terms.
    pub(super) fn resource(&self, app: &App) -> Option<Entity> {
        let text = |text: &String| RestrictedExpression::new_string(text.clone());
        let labels = RestrictedExpression::new_set(app.labels.iter().map(text));
        let attributes = HashMap::from([
            (String::from("owner"), text(&app.owner)),
            (String::from("sensitivity"), text(&app.sensitivity)),
            (String::from("labels"), labels),
        ]);
        Entity::new(uid(&self.kinds.app, app.name.as_str()), attributes, HashSet::new()).ok()
    }
}

/// What policies may look at, without what none of them does and that would take long.
fn context(policies: &PolicySet, subject: &Subject) -> Option<Context> {
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let factors = subject.factors.iter().map(|factor| text(factor.label()));
    let Assurance { provider, acr, amr, mfa: _ } = &*subject.assurance;
    let provider = provider.as_ref().map_or(Assurance::LOCAL, |provider| provider.as_str());
    let device = [(String::from("compliant"), RestrictedExpression::new_bool(subject.compliant))];
    let pairs = [
        (String::from("mfa"), RestrictedExpression::new_bool(subject.has_mfa())),
        (String::from("factors"), RestrictedExpression::new_set(factors)),
        (String::from("source"), RestrictedExpression::new_ip(subject.source.to_string())),
        (String::from("zone"), text(&subject.zone)),
        (String::from("provider"), text(provider)),
        (String::from("acr"), text(acr)),
        (String::from("amr"), RestrictedExpression::new_set(amr.iter().map(|method| text(method)))),
        (String::from("country"), text(subject.country.code())),
        (String::from("risk"), text(subject.risk.label())),
        (String::from("device"), RestrictedExpression::new_record(device).ok()?),
    ];
    let time = policies.sight.time.and_then(|_| time(&subject.moment));
    Context::from_pairs(pairs.into_iter().chain(time.map(|time| (String::from("time"), time)))).ok()
}

fn user(principal: EntityUid, groups: HashSet<EntityUid>, subject: &Subject) -> Option<Entity> {
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let kind = [(String::from("kind"), text(subject.kind.label()))];
    let tags = subject.attributes.iter().map(|(name, value)| (name.clone(), text(value)));
    Entity::new_with_tags(principal, kind, groups, tags).ok()
}

fn time(moment: &Moment) -> Option<RestrictedExpression> {
    let local = moment.local();
    let fields = [
        (String::from("weekday"), RestrictedExpression::new_string(weekday(local.weekday()).to_owned())),
        (String::from("hour"), RestrictedExpression::new_long(local.hour().into())),
        (String::from("minute"), RestrictedExpression::new_long(local.minute().into())),
        (String::from("date"), RestrictedExpression::new_datetime(moment.date().to_string())),
        (String::from("zone"), RestrictedExpression::new_string(moment.zone().to_string())),
    ];
    RestrictedExpression::new_record(fields).ok()
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}
