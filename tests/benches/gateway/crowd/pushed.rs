//! What the gateway has stored of a crowd that an identity provider has pushed: their documents, who they are there, and
//! their sessions there.

use super::group;
use anyhow::Result;
use gateway_userspace::identity::ProviderSession;
use gateway_userspace::identity::scim::{Identity, Resource, ResourceId, ResourceKind};
use gateway_userspace::policy::{ProviderName, Session, User};
use gateway_userspace::store::Write;
use serde_json::{Value, json};
use std::sync::Arc;
use time::OffsetDateTime;

/// The group's document; those of people have smaller numbers.
const GROUP: u32 = u32::MAX;

/// Who has pushed them.
pub fn provider() -> Result<ProviderName> {
    Ok(ProviderName::new("corp")?)
}

/// Who somebody is there.
pub fn subject(user: &str) -> String {
    format!("sub-{user}")
}

/// The document of a person, in the order of [`super::Crowd::users`]: of a leaver it is the leaver's number.
pub fn document(number: u32) -> ResourceId {
    ResourceId::from_random(u128::from(number))
}

/// The document of the group that everybody is in.
pub fn group_document() -> ResourceId {
    document(GROUP)
}

/// What is stored of everybody, and of their group.
pub fn people(users: &[User]) -> Result<Vec<Write>> {
    let name = group()?;
    let mut writes = vec![put(GROUP, ResourceKind::Group, &json!({ "displayName": name.as_str() }))?];
    for (number, user) in (0..).zip(users) {
        let (name, subject) = (user.name.as_str(), subject(user.name.as_str()));
        let sent = json!({ "userName": name, "externalId": subject, "displayName": name, "active": true });
        writes.push(put(number, ResourceKind::User, &sent)?);
        writes.push(Write::PutIdentity(provider()?, subject, user.name.clone()));
    }
    Ok(writes)
}

fn put(number: u32, kind: ResourceKind, sent: &Value) -> Result<Write> {
    let now = OffsetDateTime::now_utc();
    let (id, provider) = (document(number), provider()?);
    let identity = Identity { id, provider, version: 1, created: now, last_modified: now };
    let resource = Resource::restore(kind, identity, &sent.to_string());
    Ok(Write::PutResource(Arc::new(resource.map_err(|error| anyhow::anyhow!(error.detail))?)))
}

/// What is stored of a session besides the session.
pub fn session(session: &Session) -> Result<Write> {
    let subject = subject(session.user.as_str());
    let kept = ProviderSession { provider: provider()?, subject, sid: None, refresh_token: None, id_token: None };
    Ok(Write::PutProviderSession(session.token, kept))
}
