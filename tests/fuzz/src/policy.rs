//! Cedar policies: accepted or refused as a whole, with places; and what the index decides is what Cedar decides when it
//! is asked about all policies at once.

use crate::place;
use cedar_policy::{Authorizer, Context, Entities, Entity, EntityUid, Request, RestrictedExpression};
use gateway_userspace::policy::cedar::Subject;
use gateway_userspace::policy::{
    App, AppName, Attributes, Country, Factor, GroupName, Kind, PolicyError, PolicySet, Risk, UserName,
};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match PolicySet::parse(text) {
        Ok(policies) => accepted(text, &policies),
        Err(errors) => {
            assert!(!errors.is_empty(), "refused for no reason");
            errors.iter().for_each(|error| named(text, error));
            assert!(errors.is_sorted(), "{errors:?}");
        }
    }
}

fn named(text: &str, error: &PolicyError) {
    place::exists(text, error.line, error.column);
    assert!(!error.message.is_empty(), "{error:?}");
}

fn accepted(text: &str, policies: &PolicySet) {
    assert_eq!(policies.text(), text);
    let names: BTreeSet<&str> = policies.names().collect();
    assert_eq!((names.len(), names.is_empty()), (policies.len(), policies.is_empty()));
    assert!(names.iter().all(|name| !name.trim().is_empty() && policies.policy_text(name).is_some()), "{names:?}");
    let all: cedar_policy::PolicySet = text.parse().expect("it was parsed before");
    for subject in subjects() {
        let (permitted, _) = policies.decide_all(&subject, &apps());
        for app in apps() {
            let judged = policies.decide(&subject, &app);
            assert_eq!(judged.decision.permit, permitted.contains_key(&app.name), "{subject:?} {app:?}");
            let denial = permitted.denied().get(&app.name);
            assert!(denial.is_none_or(|denial| *denial == judged.decision), "{subject:?} {app:?}");
            assert!(denial.is_some() || !judged.decision.reject, "a denial that is to be told is missing");
            let is_open = app.enabled && !app.trip_wire;
            assert_eq!(judged.decision.permit, is_open && cedar_permits(&all, &subject, &app), "{subject:?} {app:?}");
            assert!(!judged.decision.permit || !judged.decision.policies.is_empty(), "permitted by nothing");
            if is_open {
                assert!(judged.decision.policies.iter().all(|name| names.contains(name.as_str())));
            }
        }
    }
}

/// What Cedar says about all policies. One that cannot be evaluated counts as a refusal.
fn cedar_permits(policies: &cedar_policy::PolicySet, subject: &Subject, app: &App) -> bool {
    let uid = |kind: &str, id: &str| -> EntityUid { format!("{kind}::\"{id}\"").parse().unwrap() };
    let groups: HashSet<EntityUid> = subject.groups.iter().map(|group| uid("Group", group.as_str())).collect();
    let (user, resource) = (uid("User", subject.user.as_str()), uid("App", app.name.as_str()));
    let labels = app.labels.iter().map(|label| RestrictedExpression::new_string(label.clone()));
    let labels = HashMap::from([
        ("owner".to_owned(), RestrictedExpression::new_string(app.owner.clone())),
        ("sensitivity".to_owned(), RestrictedExpression::new_string(app.sensitivity.clone())),
        ("labels".to_owned(), RestrictedExpression::new_set(labels)),
    ]);
    let mut entities: Vec<Entity> =
        groups.iter().map(|group| Entity::new_no_attrs(group.clone(), HashSet::new())).collect();
    let kind = RestrictedExpression::new_string(subject.kind.label().to_owned());
    let kind = HashMap::from([("kind".to_owned(), kind)]);
    entities.push(Entity::new(user.clone(), kind, groups).unwrap());
    entities.push(Entity::new(resource.clone(), labels, HashSet::new()).unwrap());
    let factors = subject.factors.iter().map(|factor| RestrictedExpression::new_string(factor.label().to_owned()));
    let context = Context::from_pairs([
        ("mfa".to_owned(), RestrictedExpression::new_bool(subject.has_mfa())),
        ("factors".to_owned(), RestrictedExpression::new_set(factors)),
        ("source".to_owned(), RestrictedExpression::new_ip(subject.source.to_string())),
        ("zone".to_owned(), RestrictedExpression::new_string(subject.zone.to_string())),
        ("country".to_owned(), RestrictedExpression::new_string(subject.country.code().to_owned())),
        ("risk".to_owned(), RestrictedExpression::new_string(subject.risk.label().to_owned())),
    ]);
    let action = r#"Action::"connect""#.parse().unwrap();
    let request = Request::new(user, action, resource, context.unwrap(), None).unwrap();
    let entities = Entities::from_entities(entities, None).unwrap();
    let response = Authorizer::new().is_authorized(&request, policies, &entities);
    response.diagnostics().errors().next().is_none() && response.decision() == cedar_policy::Decision::Allow
}

fn subjects() -> [Subject; 2] {
    let ada = Subject {
        user: UserName::new("ada").unwrap(),
        groups: ["staff", "ops"].map(|name| GroupName::new(name).unwrap()).into(),
        factors: [Factor::Password, Factor::Totp].into(),
        assurance: Arc::default(),
        dated: true,
        compliant: false,
        kind: Kind::Person,
        attributes: Attributes::new(),
        risk: Risk::Unknown,
        source: [192, 0, 2, 7].into(),
        zone: "office".into(),
        country: Country::UNKNOWN,
        moment: Arc::default(),
    };
    let bob = Subject {
        user: UserName::new("bob").unwrap(),
        groups: BTreeSet::new(),
        factors: [Factor::Password].into(),
        assurance: Arc::default(),
        dated: true,
        compliant: false,
        kind: Kind::Person,
        attributes: Attributes::new(),
        risk: Risk::Unknown,
        source: "2001:db8::7".parse().unwrap(),
        zone: "branch".into(),
        country: Country::UNKNOWN,
        moment: Arc::default(),
    };
    [ada, bob]
}

fn apps() -> [App; 4] {
    let app = |name: &str, labels: &[&str]| App {
        name: AppName::new(name).unwrap(),
        description: String::new(),
        prefixes: BTreeSet::new(),
        names: Default::default(),
        within: Default::default(),
        services: BTreeSet::new(),
        opens: BTreeSet::new(),
        trip_wire: false,
        outlasts_daemon: false,
        owner: String::new(),
        sensitivity: String::new(),
        budget: None,
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        health: None,
        enabled: true,
    };
    let (crm, wiki) = (app("crm", &["pci"]), app("wiki", &[]));
    [App { enabled: false, ..app("old", &[]) }, App { trip_wire: true, ..app("pot", &["pci"]) }, crm, wiki]
}

pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        include_str!("../../../configs/policies.cedar"),
        include_str!("../../../configs/demo/policies.cedar"),
        "permit (principal, action, resource);",
        "@id(\"a\") @reauthenticate(\"8h\") permit (principal == User::\"ada\", action, resource == App::\"crm\");\n\
         forbid (principal in Group::\"ops\", action, resource is App) when { context.mfa == false };",
        "permit (principal is User in Group::\"staff\", action == Action::\"connect\", resource) when {\n  \
         context.source.isInRange(ip(\"192.0.2.0/24\")) && context.factors.contains(\"totp\") };",
        "permit (principal, action, resource) when { resource.labels.containsAny([\"pci\"]) } \
         unless { context.zone like \"of*\" || 9223372036854775807 + 1 > 0 };",
        "permit (principal in ?principal, action, resource);",
        "@id(\"x\") permit (principal, action, resource);\n@id(\"x\") forbid (principal, action, resource);",
        "permit (principal, action, resource) when { context.zon == \"ä\" };",
        "permit (x);",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
