//! `tests.toml` and `tests/*.toml`: what is to come out, case by case.

use super::Findings;
use super::apps::Apps;
use super::case::{Case, Target};
use super::finding::Finding;
use super::groups::Groups;
use crate::config::section::{Section, read_part};
use crate::config::suggest::nearest;
use crate::config::value::Value;
use crate::config::{Place, Places};
use crate::policy::cedar::Subject;
use crate::policy::{
    Assurance, Attributes, Country, Decision, Factor, Factors, GroupName, Kind, Moment, ProviderName, Risk, Timezone,
    UserName, attribute,
};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// Who asks, where a case does not say.
const SOMEBODY: &str = "somebody";
/// Where they are, where a case does not say: an address of documentation.
const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// When, where a case does not say: nothing has expired then.
const SOMETIME: Timestamp = Timestamp::UNIX_EPOCH;
/// The longest age that a case can speak of.
const LONGEST_AGE: Duration = Duration::from_secs(400 * 86_400);

const FACTORS: [(&str, Factor); 6] = [
    (Factor::Password.label(), Factor::Password),
    (Factor::Totp.label(), Factor::Totp),
    (Factor::Passkey.label(), Factor::Passkey),
    (Factor::Provider.label(), Factor::Provider),
    (Factor::Certificate.label(), Factor::Certificate),
    (Factor::Binding.label(), Factor::Binding),
];

/// What cases may name.
pub(super) struct Known<'k> {
    pub groups: &'k Groups,
    pub apps: &'k Apps,
    /// Whose hours and days policies mean.
    pub timezone: &'k Timezone,
    /// `None` if not all policies could be understood.
    pub policies: Option<BTreeSet<&'k str>>,
}

/// The cases, in the order of the files. What they name and nobody declares is an error.
pub(super) fn read(files: &[(&str, &str)], known: &Known<'_>, findings: &mut Findings) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    for (path, text) in files {
        let places = Places::of(text);
        let (found, errors) = read_part(text, |root| {
            let sections = &mut root.sections("case");
            sections
                .iter_mut()
                .filter_map(|section| case(section, (path, &places), known, &mut names))
                .collect::<Vec<_>>()
        });
        findings.errors.extend(errors.into_iter().map(|error| Finding::of_config(path, error)));
        cases.extend(found.unwrap_or_default());
    }
    cases
}

/// One case. Every key is read before anything is given up.
fn case(
    section: &mut Section<'_, '_>,
    (file, places): (&str, &Places<'_>),
    known: &Known<'_>,
    names: &mut BTreeSet<String>,
) -> Option<Case> {
    let place: Place = places.at(section.start());
    let name = name(section, names);
    let at = section.value("at").map(|value| {
        let moment = value.moment()?.parse::<Timestamp>();
        moment.map_err(|_| value.refuse("is not a moment", "write it like `2026-01-31T09:00:00+01:00`")).ok()
    });
    let at = at.flatten();
    let moment = Moment::new(at.unwrap_or(SOMETIME), known.timezone);
    let subject = subject(section, known, moment);
    let login_age = age(section, "login_age");
    let to = target(section, known);
    let permit = section.required("expect", "expect = \"permit\"");
    let permit = permit.and_then(|value| value.choice(&[("permit", true), ("deny", false)]));
    let because = because(section, known);
    let reauthenticate = age(section, "reauthenticate");
    if reauthenticate.is_some() && permit == Some(false) {
        section.refuse("reauthenticate", "has a meaning for a permit only", "remove it, or write `login_age`");
    }
    Some(Case {
        name: name?,
        file: file.to_owned(),
        place,
        subject: subject?,
        at,
        login_age: login_age.unwrap_or_default(),
        to: to?,
        permit: permit?,
        because,
        reauthenticate,
    })
}

fn name(section: &mut Section<'_, '_>, names: &mut BTreeSet<String>) -> Option<String> {
    let value = section.required("name", "name = \"finance reaches payroll\"")?;
    let name = value.text("finance reaches payroll")?;
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        value.refuse("is empty or has more than one line", "say in a few words what the case is about");
        return None;
    }
    if !names.insert(name.to_owned()) {
        value.refuse(format!("`{name}` is the name of another case, too"), "give each its own");
    }
    Some(name.to_owned())
}

/// Who asks, as policies know them. This is the one place where what a case says becomes facts.
fn subject(section: &mut Section<'_, '_>, known: &Known<'_>, moment: Moment) -> Option<Subject> {
    let user = section.value("user").map(|value| {
        let user = UserName::new(value.text("alice")?);
        user.map_err(|error| value.refuse(error.to_string(), "")).ok()
    });
    let user = user.unwrap_or_else(|| UserName::new(SOMEBODY).ok());
    let groups = groups(section, known);
    let source = section.value("from").map_or(Some(SOMEWHERE), |value| value.address());
    let zone = section.value("zone").map_or(Some(""), |value| value.text("office"));
    let country = section.value("country").map(|value| country(&value)).unwrap_or_default();
    let dated = section.value("login_known").and_then(|value| value.boolean());
    let compliant = section.value("device_compliant").and_then(|value| value.boolean());
    let kinds = [Kind::Person, Kind::Service].map(|kind| (kind.label(), kind));
    let kind = section.value("kind").and_then(|value| value.choice(&kinds));
    let risks = [Risk::Low, Risk::Medium, Risk::High].map(|risk| (risk.label(), risk));
    let risk = section.value("risk").and_then(|value| value.choice(&risks));
    let attributes = attributes(section.section("attributes"));
    let assurance = assurance(section);
    let usual = if assurance.provider.is_some() { Factor::Provider } else { Factor::Password };
    let factors = factors(section).unwrap_or_else(|| Factors::from([usual]));
    Some(Subject {
        user: user?,
        groups,
        factors,
        assurance: Arc::new(assurance),
        dated: dated.unwrap_or(true),
        compliant: compliant.unwrap_or_default(),
        kind: kind.unwrap_or_default(),
        attributes,
        risk: risk.unwrap_or_default(),
        source: source?,
        zone: zone?.into(),
        country,
        moment: Arc::new(moment),
    })
}

fn country(value: &Value<'_, '_>) -> Country {
    let found = value.text("DE").map_or(Country::UNKNOWN, Country::of);
    if found == Country::UNKNOWN {
        value.refuse("is not a country", "write its two letters, like `DE`");
    }
    found
}

fn attributes(section: Section<'_, '_>) -> Attributes {
    let mut found = Attributes::new();
    for (name, value) in section.into_entries() {
        let Some(text) = value.text("finance") else { continue };
        match attribute(&name, text) {
            Ok((name, text)) => drop(found.insert(name, text)),
            Err(error) => value.refuse(error.to_string(), ""),
        }
    }
    found
}

fn groups(section: &mut Section<'_, '_>, known: &Known<'_>) -> BTreeSet<GroupName> {
    let Some(list) = section.value("groups") else { return BTreeSet::new() };
    let are_known = known.groups.is_declared && !known.groups.has_gap;
    let mut groups = BTreeSet::new();
    for value in list.list("write a list, like `[\"finance\"]`") {
        match value.text("finance").map(GroupName::new) {
            Some(Ok(group)) => {
                if are_known && !known.groups.has(&group) {
                    let declared: Vec<&str> = known.groups.names().map(GroupName::as_str).collect();
                    let problem = format!("group `{group}` is not defined");
                    value.refuse(problem, suggested(group.as_str(), &declared, "declare it in `groups.toml`"));
                }
                groups.insert(group);
            }
            Some(Err(error)) => value.refuse(error.to_string(), ""),
            None => {}
        }
    }
    groups
}

fn factors(section: &mut Section<'_, '_>) -> Option<Factors> {
    let list = section.value("factors")?;
    let values = list.list("write a list, like `[\"password\", \"totp\"]`");
    Some(values.iter().filter_map(|value| value.choice(&FACTORS)).collect())
}

/// What their provider says of them: nothing, where there is none.
fn assurance(section: &mut Section<'_, '_>) -> Assurance {
    let provider = section.value("provider").and_then(|value| {
        let name = value.text("corp").filter(|name| *name != Assurance::LOCAL)?;
        ProviderName::new(name).map_err(|error| value.refuse(error.to_string(), "")).ok()
    });
    let acr = section.value("acr").and_then(|value| value.text("phr")).unwrap_or_default();
    let amr = section.value("amr").map(|value| value.list("write a list, like `[\"otp\"]`")).unwrap_or_default();
    let amr = amr.iter().filter_map(|value| value.text("otp").map(str::to_owned)).collect();
    let mfa = section.value("provider_mfa").and_then(|value| value.boolean()).unwrap_or_default();
    for key in ["acr", "amr", "provider_mfa"] {
        if provider.is_none() && section.has(key) {
            section.refuse(key, "is what an identity provider says", "name it, like `provider = \"corp\"`");
        }
    }
    Assurance { provider, acr: acr.to_owned(), amr, mfa }
}

fn age(section: &mut Section<'_, '_>, key: &'static str) -> Option<Duration> {
    section.value(key)?.duration(Duration::ZERO..=LONGEST_AGE)
}

fn target(section: &mut Section<'_, '_>, known: &Known<'_>) -> Option<Target> {
    let value = section.required("to", "to = \"payroll\"")?;
    let target = Target::parse(value.text("payroll")?);
    let target = target.map_err(|error| value.refuse(error.to_string(), "")).ok()?;
    if let Target::App(name) = &target
        && !known.apps.has(name)
        && !known.apps.has_gap
    {
        let declared: Vec<&str> = known.apps.names().map(crate::policy::AppName::as_str).collect();
        let fix = suggested(name.as_str(), &declared, "declare it in `apps.toml`");
        value.refuse(format!("app `{name}` is not defined"), fix);
    }
    Some(target)
}

fn because(section: &mut Section<'_, '_>, known: &Known<'_>) -> Option<String> {
    let value = section.value("because")?;
    let name = value.text("finance-payroll")?;
    let own = [Decision::APP_DISABLED, Decision::TRIP_WIRE];
    if let Some(policies) = known.policies.as_ref().filter(|policies| !policies.contains(name) && !own.contains(&name))
    {
        let names: Vec<&str> = policies.iter().copied().collect();
        let problem = format!("policy `{name}` is not defined");
        value.refuse(problem, suggested(name, &names, "name a policy by its `@id`"));
    }
    Some(name.to_owned())
}

fn suggested(word: &str, known: &[&str], otherwise: &str) -> String {
    nearest(word, known).map_or_else(|| otherwise.to_owned(), |meant| format!("did you mean `{meant}`?"))
}
