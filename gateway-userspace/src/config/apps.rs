//! Files of apps: what a new gateway begins with, and what `portcullis app apply` reads.

mod health;

use super::ConfigErrors;
use super::section::{Section, read};
use super::value::Value;
use crate::{policy, wire};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Reads a file of `[[app]]` entries that is, or would be, at `origin`. An app is enabled unless it says otherwise.
///
/// # Errors
/// All that is wrong with it, at once.
pub fn parse_apps(text: &str, origin: &Path) -> Result<Vec<policy::App>, ConfigErrors> {
    Ok(good(text, origin)?.map(|(_, app)| app).collect())
}

/// The same, as the API wants to hear it: what an app does not say stays as it is.
///
/// # Errors
/// All that is wrong with it, at once.
pub fn parse_shapes(text: &str, origin: &Path) -> Result<Vec<wire::App>, ConfigErrors> {
    let shape = |(enabled, app): (Option<bool>, policy::App)| wire::App { enabled, ..wire::App::from(&app) };
    Ok(good(text, origin)?.map(shape).collect())
}

fn good(text: &str, origin: &Path) -> Result<impl Iterator<Item = (Option<bool>, policy::App)>, ConfigErrors> {
    Ok(read(text, origin, entries)?.into_iter().filter_map(|entry| entry.app))
}

/// An entry of a file, and where its name stands in the text.
pub(crate) struct Entry {
    /// Its name, where it has one that a name can be.
    pub(crate) name: Option<policy::AppName>,
    /// The byte at which that stands.
    pub(crate) at: usize,
    /// The app, if all is right with it, and whether it says that it is enabled.
    pub(crate) app: Option<(Option<bool>, policy::App)>,
}

/// All entries of a document, also those with which something is wrong.
pub(crate) fn entries(root: &mut Section<'_, '_>) -> Vec<Entry> {
    let mut names = BTreeSet::new();
    root.sections("app").iter_mut().map(|section| entry(section, &mut names)).collect()
}

fn entry(section: &mut Section<'_, '_>, names: &mut BTreeSet<policy::AppName>) -> Entry {
    let (name, at) = section.peek("name").unzip();
    let name = name.flatten().and_then(|name| policy::AppName::new(name).ok());
    Entry { name, at: at.unwrap_or_default(), app: app(section, names) }
}

/// One app. The shape of the API decides what is right; here its errors get their places.
fn app(section: &mut Section<'_, '_>, names: &mut BTreeSet<policy::AppName>) -> Option<(Option<bool>, policy::App)> {
    let mut places = BTreeMap::new();
    let (shape, name) = shape(section, &mut places)?;
    let said = shape.enabled;
    match shape.into_model(true) {
        Ok(app) => {
            if !names.insert(app.name.clone()) {
                name.refuse(format!("app `{}` is there twice", app.name), "remove one of them");
            }
            Some((said, app))
        }
        Err(wire::Invalid(errors)) => {
            for error in errors {
                let place = error.field.as_deref().and_then(|field| places.get(field)).unwrap_or(&name);
                place.refuse(error.message, "");
            }
            None
        }
    }
}

/// What the section says, and where its name stands. Every key is read before anything is given up.
fn shape<'r, 't>(
    section: &mut Section<'r, 't>,
    places: &mut BTreeMap<String, Value<'r, 't>>,
) -> Option<(wire::App, Value<'r, 't>)> {
    let name = section.required("name", "name = \"crm\"");
    let names = section.value("names");
    let prefixes = match &names {
        Some(_) => section.value("prefixes"),
        None => section.required("prefixes", "prefixes = [\"192.0.2.0/24\"]"),
    };
    let within = section.value("within");
    let services = section.required("services", "services = [\"443/tcp\"]");
    let description = section.value("description").and_then(|value| value.text("customers and orders"));
    let owner = section.value("owner");
    let sensitivity = section.value("sensitivity");
    let labels = section.value("labels");
    let opens = section.value("opens");
    let trip_wire = section.value("trip_wire").and_then(|value| value.boolean());
    let budget = section.value("budget");
    let on_daemon_loss = section.value("on_daemon_loss").and_then(|value| {
        value.choice(&[("lease", wire::OnDaemonLoss::Lease), ("session", wire::OnDaemonLoss::Session)])
    });
    let health = section.value("health");
    let enabled = section.value("enabled").and_then(|value| value.boolean());
    let has_names = names.is_some();
    let prefixes = prefixes.map(|value| texts(&value, "prefixes", "192.0.2.0/24", places));
    let names = names.map(|value| texts(&value, "names", "wiki.example.net", places)).unwrap_or_default();
    let within = within.map(|value| texts(&value, "within", "192.0.2.0/24", places)).unwrap_or_default();
    let services = services.map(|value| texts(&value, "services", "443/tcp", places));
    let labels = labels.map(|value| texts(&value, "labels", "pci", places)).unwrap_or_default();
    let opens = opens.map(|value| texts(&value, "opens", "514/udp", places)).unwrap_or_default();
    let budget = budget.and_then(|value| {
        let bytes = value.bytes();
        places.insert("budget".to_owned(), value);
        bytes
    });
    let owner = word(owner, "owner", "finance", places);
    let sensitivity = word(sensitivity, "sensitivity", "high", places);
    let health = health.and_then(|value| health::read(value, places));
    let name = name?;
    let shape = wire::App {
        name: name.text("crm")?.to_owned(),
        description: description.unwrap_or_default().to_owned(),
        prefixes: if has_names { prefixes.unwrap_or_default() } else { prefixes? },
        names,
        within,
        services: services?,
        opens,
        trip_wire: trip_wire.unwrap_or_default(),
        budget,
        on_daemon_loss: on_daemon_loss.unwrap_or_default(),
        owner,
        sensitivity,
        labels: labels.into_iter().collect(),
        health,
        enabled,
        health_state: None,
        resolved: Vec::new(),
    };
    Some((shape, name))
}

/// A string, whose place is kept under the name that errors use.
fn word<'r, 't>(
    value: Option<Value<'r, 't>>,
    field: &str,
    example: &str,
    places: &mut BTreeMap<String, Value<'r, 't>>,
) -> String {
    let Some(value) = value else { return String::new() };
    let text = value.text(example).unwrap_or_default().to_owned();
    places.insert(field.to_owned(), value);
    text
}

/// The strings of a list, whose places are kept under the names that errors use.
fn texts<'r, 't>(
    list: &Value<'r, 't>,
    field: &str,
    example: &str,
    places: &mut BTreeMap<String, Value<'r, 't>>,
) -> Vec<String> {
    let mut texts = Vec::new();
    let values = list.list(&format!("write a list, like `[\"{example}\"]`"));
    let may_be_empty = matches!(field, "labels" | "opens" | "within");
    if values.is_empty() && !may_be_empty && list.is_empty_list() {
        list.refuse("is empty", format!("name at least one, like `{example}`"));
    }
    for value in values {
        let Some(text) = value.text(example) else { continue };
        places.insert(format!("{field}[{}]", texts.len()), value);
        texts.push(text.to_owned());
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let errors = parse_apps(text, Path::new("apps.toml")).map_or_else(|errors| errors.errors, |_| Vec::new());
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected, "{text}");
    }

    #[test]
    fn every_error_is_reported_at_its_place() {
        check("", &[]);
        check("[[app]]\nname = 'crm'\nprefixes = ['192.0.2.0/24']\nservices = ['443/tcp', 'icmp']", &[]);
        check(
            "[[app]]\nname = 'c rm'\nprefixes = ['192.0.2.0/24',\n '192.0.2.1/24']\nservices = ['443']\nlables = []",
            &[
                "2:8: app[0].name: name `c rm` is not valid: use 1 to 128 of the characters a-z, 0-9, `.`, `_`, `-` \
                 and `@`, beginning with a letter or digit",
                "4:2: app[0].prefixes[1]: `192.0.2.1/24` has host bits; write `192.0.2.0/24`, or `192.0.2.1` for the \
                 one host",
                "5:13: app[0].services[0]: `443` is not a service; write `443/tcp`, `8000-8010/tcp`, `*/udp`, `icmp` or \
                 `47/ip`",
                "6:1: app[0].lables: is not a known key; did you mean `labels`?",
            ],
        );
    }

    #[test]
    fn what_an_app_opens_and_its_budget_have_their_places_too() {
        let crm = "[[app]]\nname = 'crm'\nprefixes = ['192.0.2.1']\nservices = ['icmp', '2905/sctp', '47/ip']\n";
        let app = |text: &str| parse_apps(&format!("{crm}{text}"), Path::new("apps.toml")).unwrap().remove(0);
        assert_eq!((app("opens = []").opens.len(), app("opens = ['*/udp', 'icmp']").opens.len()), (0, 2));
        assert_eq!((app("budget = '500 MB'").budget, app("budget = 7").budget), (Some(500_000_000), Some(7)));
        assert!(app("trip_wire = true").trip_wire && !app("").trip_wire);
        assert_eq!((app("owner = 'ops'").owner, app("").sensitivity), ("ops".to_owned(), String::new()));
        check(
            &format!("{crm}sensitivity = \"a\\nb\""),
            &["5:15: app[0].sensitivity: is too long, or has a control character; write at most 256 bytes of text"],
        );
        let bytes = "is not an amount of bytes above 0; write a whole number and a unit, like `500 MB` or `2 GiB`";
        check(
            &format!("{crm}opens = ['514']\ntrip_wire = 1\nbudget = '500 mb'"),
            &[
                "5:10: app[0].opens[0]: `514` is not a service; write `443/tcp`, `8000-8010/tcp`, `*/udp`, `icmp` or \
                 `47/ip`",
                "6:13: app[0].trip_wire: is an integer and should be a boolean; write `true` or `false`",
                &format!("7:10: app[0].budget: `500 mb` {bytes}"),
            ],
        );
        check(
            &format!("{crm}health = '443'"),
            &["5:10: app[0].health: `443` is not a health check; write a TCP port like `443/tcp`, or a URL like \
               `https://wiki.example.net/healthz`"],
        );
        check(
            &format!("{crm}health = {{ check = '443/tcp', evry = '5 s', timeout = '40 s', failures = 0 }}"),
            &[
                "5:31: app[0].health.evry: is not a known key; did you mean `every`?",
                "5:55: app[0].health.timeout: is out of bounds; choose a time from 100 ms to 30 s",
                "5:74: app[0].health.failures: is out of bounds; choose one from 1 to 10",
            ],
        );
        check(
            &format!("{crm}health = {{ every = '5 s' }}"),
            &["5:10: app[0].health.check: is missing; add `check = \"443/tcp\"`"],
        );
        check(
            &format!("{crm}health = 7"),
            &["5:10: app[0].health: is an integer and should be a string or a table; write it like `\"443/tcp\"`"],
        );
        check(&format!("{crm}budget = 0"), &[&format!("5:10: app[0].budget: `0` {bytes}")]);
        check(
            &format!("{crm}budget = -1.5"),
            &["5:10: app[0].budget: is a float and should be a string; write it like `\"500 MB\"`"],
        );
    }

    #[test]
    fn an_app_may_have_names_in_the_place_of_prefixes() {
        let wiki = "[[app]]\nname = 'wiki'\nservices = ['443/tcp']\nnames = ['Wiki.Example.net']\n";
        let app = parse_apps(&format!("{wiki}within = ['192.0.2.0/24']"), Path::new("apps.toml")).unwrap().remove(0);
        assert_eq!((app.names.len(), app.within.len(), app.prefixes.len()), (1, 1, 0));
        check(
            &wiki.replace("'Wiki.Example.net'", "'*.example.net', '192.0.2.7'"),
            &[
                "4:10: app[0].names[0]: `*.example.net` is a pattern; give each host by its own name, as only those can be \
                 asked for",
                "4:27: app[0].names[1]: `192.0.2.7` is an address; write it to `prefixes`",
            ],
        );
        check(
            &wiki.replace("['Wiki.Example.net']", "[]"),
            &["4:9: app[0].names: is empty; name at least one, like `wiki.example.net`"],
        );
    }

    #[test]
    fn an_app_needs_a_name_of_its_own_a_place_and_a_way_in() {
        let crm = "[[app]]\nname = 'crm'\nprefixes = ['192.0.2.1']\nservices = ['icmp']\n";
        check(
            &format!("{crm}{}", crm.replace("crm", "CRM")),
            &["6:8: app[1].name: app `crm` is there twice; remove one of them"],
        );
        check(&crm.replace("['icmp']", "[]"), &["4:12: app[0].services: is empty; name at least one, like `443/tcp`"]);
        check(
            "[app]\nname = 'crm'",
            &["1:1: app: is one table and there may be several; write `[[app]]` with two brackets"],
        );
        check(
            "[[app]]\nservices = 'icmp'\nprefixes = [1]",
            &[
                "1:1: app[0].name: is missing; add `name = \"crm\"`",
                "2:12: app[0].services: is a string and should be a list; write a list, like `[\"443/tcp\"]`",
                "3:13: app[0].prefixes[0]: is an integer and should be a string; write it like `\"192.0.2.0/24\"`",
            ],
        );
    }
}
