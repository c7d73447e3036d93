//! Every way in which a provider, or whoever stands between, can lie during a login. Each lie is refused for its own
//! reason, and the same login without the lie succeeds.

mod answers;
mod callback;
mod claims;
mod keys;
mod published;
mod signature;

use super::super::{Ask, Provider, Settings};
use super::liar::{Liar, Lie};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// How long a provider that never answers is waited for. It is long enough for one that does.
const IMPATIENT: Duration = Duration::from_millis(500);

/// A lie, and what is said of it.
#[derive(Clone, Copy)]
pub(super) struct Fault {
    name: &'static str,
    label: &'static str,
    lie: Lie,
    with: With,
}

const TABLES: [&[Fault]; 6] =
    [published::FAULTS, keys::FAULTS, signature::FAULTS, claims::FAULTS, answers::FAULTS, callback::FAULTS];

const fn fault(name: &'static str, label: &'static str, lie: Lie, with: With) -> Fault {
    Fault { name, label, lie, with }
}

/// What the login needs, so that the lie matters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum With {
    Nothing,
    MaxAge,
    Acr,
    Email,
    Domain,
    /// A provider that takes its time is waited for so long only.
    Impatience,
}

impl With {
    fn ask(self) -> Ask {
        match self {
            Self::MaxAge => Ask { max_age: Some(Duration::from_secs(300)), ..Ask::default() },
            Self::Acr => Ask { acr: vec!["platinum".into(), "gold".into()], ..Ask::default() },
            Self::Nothing | Self::Email | Self::Domain | Self::Impatience => Ask::default(),
        }
    }

    fn settings(self, liar: &Liar) -> Settings {
        let mut settings = liar.settings();
        match self {
            Self::Domain => drop(settings.require.insert("hd".into(), "corp.example".into())),
            Self::Email => settings.claims.username = vec!["email".into()],
            Self::Impatience => settings.timeout = IMPATIENT,
            Self::Nothing | Self::MaxAge | Self::Acr => {}
        }
        settings
    }
}

#[tokio::test]
async fn every_lie_is_refused_for_its_own_reason_and_the_truth_is_believed() {
    let liar = Liar::start();
    let (mut wrong, mut honest) = (Vec::new(), HashMap::new());
    for Fault { name, label, lie, with } in TABLES.concat() {
        liar.lie(None);
        // The honest login gets the patience of an honest gateway: whoever runs this may be busy.
        let patient = || Provider::new(Settings { timeout: Duration::from_secs(5), ..with.settings(&liar) }).unwrap();
        let believed = liar.login(honest.entry(with).or_insert_with(patient), &with.ask()).await;
        if let Err(refusal) = believed {
            wrong.push(format!("{name}: without the lie: {}", refusal.label()));
        }
        liar.lie(Some(lie));
        let found = liar.login(&Provider::new(with.settings(&liar)).unwrap(), &with.ask()).await;
        let found = found.map_or_else(|refusal| refusal.label(), |_| "believed");
        if found != label {
            wrong.push(format!("{name}: {found} instead of {label}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_has_more_than_a_hundred_lies_of_distinct_names() {
    let faults = TABLES.concat();
    let names: BTreeSet<_> = faults.iter().map(|fault| fault.name).collect();
    assert!(names.len() == faults.len() && names.len() > 100, "{}", names.len());
}

fn remove(object: &mut Value, name: &str) {
    object.as_object_mut().unwrap().remove(name).unwrap();
}

/// The object, with one member once more.
fn twice(object: &Value, name: &str, value: &str) -> String {
    format!("{{\"{name}\":\"{value}\",{}", &object.to_string()[1..])
}
