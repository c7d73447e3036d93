//! Changes and contents as rows of tables: a table's name, a key, a JSON value.

use super::shape::{
    AppShape, Common, CountersShape, HistoryShape, PolicyShape, ProviderSessionShape, ResourceShape,
    ServiceIdentityShape, SettingsShape, TokenShape, UserShape, written,
};
use super::{Stored, Write};
use crate::identity::PasswordHash;
use crate::identity::scim::{ResourceId, ResourceKind};
use crate::policy::{AppId, AppName, DnsName, Generation, GroupName, ProviderName, SessionToken, UserName};
use gateway_common::abi::AppEntry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// A table, by its name in the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Table(pub &'static str);

pub(super) const META: Table = Table("meta");
pub(super) const POLICIES: Table = Table("policies");
const USERS: Table = Table("users");
const PASSWORDS: Table = Table("passwords");
const GROUPS: Table = Table("groups");
const APPS: Table = Table("apps");
const APP_IDS: Table = Table("app_ids");
const SESSIONS: Table = Table("sessions");
const TOKENS: Table = Table("api_tokens");
const SERVICES: Table = Table("services");
const IDENTITIES: Table = Table("identities");
const PROVIDER_SESSIONS: Table = Table("provider_sessions");
const RESOURCES: Table = Table("resources");
const HISTORY: Table = Table("history");
const ANSWERS: Table = Table("answers");

/// Every table.
pub const TABLES: [Table; 15] = [
    META,
    USERS,
    PASSWORDS,
    GROUPS,
    APPS,
    APP_IDS,
    POLICIES,
    SESSIONS,
    TOKENS,
    SERVICES,
    IDENTITIES,
    PROVIDER_SESSIONS,
    RESOURCES,
    HISTORY,
    ANSWERS,
];

pub(super) const SCHEMA_KEY: &str = "schema";
const GENERATION_KEY: &str = "generation";
const COUNTERS_KEY: &str = "counters";
const SETTINGS_KEY: &str = "settings";

/// A row to be written, or removed if it has no value.
#[derive(Debug)]
pub struct Row {
    /// Where.
    pub table: Table,
    /// Under what.
    pub key: String,
    /// JSON.
    pub value: Option<Vec<u8>>,
}

/// The rows that a change writes.
///
/// # Errors
/// If something cannot be written as JSON.
pub fn rows(write: &Write) -> Result<Vec<Row>, serde_json::Error> {
    Ok(match write {
        Write::PutUser(user) => vec![put(USERS, user.name.as_str(), &UserShape::from(user))?],
        Write::RemoveUser(name) => [USERS, PASSWORDS, SERVICES].map(|table| remove(table, name.as_str())).into(),
        Write::PutService(service) => vec![put(SERVICES, service.name.as_str(), &ServiceIdentityShape::from(service))?],
        Write::RemoveService(name) => vec![remove(SERVICES, name.as_str())],
        Write::PutPassword(name, hash) => vec![put(PASSWORDS, name.as_str(), hash.expose_phc())?],
        Write::PutGroup(name) => vec![put(GROUPS, name.as_str(), &())?],
        Write::RemoveGroup(name) => vec![remove(GROUPS, name.as_str())],
        Write::PutApp { app, id } => {
            let name = app.name.as_str();
            vec![put(APPS, name, &AppShape::from(app))?, put(APP_IDS, name, &id.0)?]
        }
        Write::RemoveApp(name) => vec![remove(APPS, name.as_str())],
        Write::PutPolicy(policy) => {
            vec![put(POLICIES, &policy_key(policy.generation), &PolicyShape::from(policy))?]
        }
        Write::PutHistory(entry) => vec![put(HISTORY, &policy_key(entry.generation), &HistoryShape::from(&**entry))?],
        Write::PutAnswer(name, addresses) if addresses.is_empty() => vec![remove(ANSWERS, name.as_str())],
        Write::PutAnswer(name, addresses) => vec![put(ANSWERS, name.as_str(), addresses)?],
        Write::RemoveHistory(generation) => vec![remove(HISTORY, &policy_key(*generation))],
        Write::PutSettings(settings) => vec![put(META, SETTINGS_KEY, &SettingsShape::from(settings))?],
        Write::SetGeneration(generation) => vec![put(META, GENERATION_KEY, &generation.0)?],
        Write::SetCounters(counters) => vec![put(META, COUNTERS_KEY, &CountersShape::from(*counters))?],
        Write::PutSession(stored) => {
            vec![put(SESSIONS, &stored.session.token.to_string(), &written(stored))?]
        }
        Write::RemoveSession(token) => {
            vec![remove(SESSIONS, &token.to_string()), remove(PROVIDER_SESSIONS, &token.to_string())]
        }
        Write::PutIdentity(provider, subject, user) => {
            vec![put(IDENTITIES, &identity_key(provider, subject), user.as_str())?]
        }
        Write::RemoveIdentity(provider, subject) => vec![remove(IDENTITIES, &identity_key(provider, subject))],
        Write::PutResource(resource) => {
            let key = resource_key(&resource.provider, resource.kind(), resource.id);
            vec![put(RESOURCES, &key, &ResourceShape::from(&**resource))?]
        }
        Write::RemoveResource(provider, kind, id) => vec![remove(RESOURCES, &resource_key(provider, *kind, *id))],
        Write::PutProviderSession(token, session) => {
            vec![put(PROVIDER_SESSIONS, &token.to_string(), &ProviderSessionShape::from(session))?]
        }
        Write::PutApiToken(token) => vec![put(TOKENS, token.id.as_str(), &TokenShape::from(token))?],
        Write::RemoveApiToken(id) => vec![remove(TOKENS, id.as_str())],
    })
}

/// Rows that are being taken up, one after the other.
#[derive(Default)]
pub struct Reader {
    stored: Stored,
    common: Common,
}

impl Reader {
    /// Takes up one row.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take(&mut self, table: Table, key: &str, value: &[u8]) -> Result<(), String> {
        if table == SESSIONS {
            self.stored.sessions.push(self.common.read(value)?);
            return Ok(());
        }
        take(&mut self.stored, table, key, value)
    }

    /// What has been taken up.
    ///
    /// # Errors
    /// Which rows do not go together.
    pub fn finish(self) -> Result<Stored, String> {
        check(&self.stored)?;
        Ok(self.stored)
    }

    /// What that is so far.
    #[must_use]
    pub const fn so_far(&self) -> &Stored {
        &self.stored
    }
}

fn take(stored: &mut Stored, table: Table, key: &str, value: &[u8]) -> Result<(), String> {
    if table == USERS {
        stored.users.push(json::<UserShape>(value)?.try_into()?);
    } else if table == PASSWORDS {
        let hash = PasswordHash::from_phc(&json::<String>(value)?).map_err(words)?;
        stored.passwords.insert(UserName::new(key).map_err(words)?, hash);
    } else if table == GROUPS {
        stored.groups.insert(GroupName::new(key).map_err(words)?);
    } else if table == APPS {
        stored.apps.push(json::<AppShape>(value)?.try_into()?);
    } else if table == APP_IDS {
        let (name, id) = (AppName::new(key).map_err(words)?, AppId(json(value)?));
        if AppEntry::new(id.0, false).app() != id.0 || id == AppId::default() {
            return Err(format!("{} is not the number of an app", id.0));
        }
        stored.app_ids.insert(name, id);
    } else if table == POLICIES {
        // Keys are in order of generations: the last one stays.
        stored.policy = Some(json::<PolicyShape>(value)?.into());
    } else if table == ANSWERS {
        stored.answers.insert(DnsName::new(key).map_err(words)?, json(value)?);
    } else if table == HISTORY {
        stored.history.push(json::<HistoryShape>(value)?.try_into()?);
    } else if table == TOKENS {
        stored.tokens.push(json::<TokenShape>(value)?.try_into()?);
    } else if table == SERVICES {
        stored.services.push(json::<ServiceIdentityShape>(value)?.try_into()?);
    } else if table == IDENTITIES {
        // No provider has a slash in its name.
        let (provider, subject) = key.split_once('/').ok_or("it does not say whose")?;
        let (provider, user) = (ProviderName::new(provider).map_err(words)?, UserName::new(&json::<String>(value)?));
        stored.identities.bind(provider, subject.to_owned(), user.map_err(words)?);
    } else if table == PROVIDER_SESSIONS {
        let token = u64::from_str_radix(key, 16).map_err(words)?;
        let session = json::<ProviderSessionShape>(value)?.try_into()?;
        stored.provider_sessions.insert(SessionToken(token), session);
    } else if table == RESOURCES {
        stored.resources.push(json::<ResourceShape<'_>>(value)?.try_into()?);
    } else {
        take_meta(stored, key, value)?;
    }
    Ok(())
}

/// Whether the rows go together: every app has a number of its own, or a grant for the one would be one for another.
fn check(stored: &Stored) -> Result<(), String> {
    let mut names = BTreeMap::new();
    for (name, id) in &stored.app_ids {
        if let Some(other) = names.insert(id, name) {
            return Err(format!("apps `{other}` and `{name}` both have the number {}", id.0));
        }
    }
    Ok(())
}

fn take_meta(stored: &mut Stored, key: &str, value: &[u8]) -> Result<(), String> {
    match key {
        GENERATION_KEY => stored.generation = Generation(json(value)?),
        COUNTERS_KEY => stored.counters = json::<CountersShape>(value)?.into(),
        SETTINGS_KEY => stored.settings = json::<SettingsShape>(value)?.try_into()?,
        SCHEMA_KEY => {}
        _ => return Err("it has no meaning".to_owned()),
    }
    Ok(())
}

fn put<T: Serialize + ?Sized>(table: Table, key: &str, value: &T) -> Result<Row, serde_json::Error> {
    Ok(Row { table, key: key.to_owned(), value: Some(serde_json::to_vec(value)?) })
}

fn remove(table: Table, key: &str) -> Row {
    Row { table, key: key.to_owned(), value: None }
}

fn resource_key(provider: &ProviderName, kind: ResourceKind, id: ResourceId) -> String {
    format!("{provider}{}/{id}", kind.endpoint())
}

fn identity_key(provider: &ProviderName, subject: &str) -> String {
    format!("{provider}/{subject}")
}

fn policy_key(generation: Generation) -> String {
    format!("{:020}", generation.0)
}

pub(super) fn json<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(words)
}

fn words(error: impl std::error::Error) -> String {
    error.to_string()
}
