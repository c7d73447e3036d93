//! The row of a session.

use super::words;
use crate::identity::SecretHash;
use crate::policy::{
    AllowListId, AppName, Assurance, Country, Decision, Factor, Logging, Permitted, ProviderName, Session,
    SessionToken, Source, UserName,
};
use crate::store::StoredSession;
use arcstr::ArcStr;
use gateway_common::KernelNanos;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use time::OffsetDateTime;

/// A session in its row: written with all that it may reach, and read with that as it stands there, because many
/// sessions say the same and one of them has to be understood.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct SessionShape<'s, P> {
    token: u64,
    #[serde(borrow)]
    user: Cow<'s, str>,
    #[serde(borrow)]
    source: SourceShape<'s>,
    #[serde(borrow)]
    factors: Vec<Cow<'s, str>>,
    #[serde(default, borrow)]
    assurance: Option<AssuranceShape<'s>>,
    authenticated_at: u64,
    deadline: u64,
    permitted: P,
    allow_list: u32,
    #[serde(borrow)]
    boot_id: Cow<'s, str>,
    secret: [u8; 32],
    #[serde(with = "time::serde::rfc3339")]
    wall_deadline: OffsetDateTime,
}

type Written<'s> = SessionShape<'s, BTreeMap<&'s str, DecisionShape>>;
type Read<'s> = SessionShape<'s, &'s RawValue>;

#[derive(Serialize, Deserialize)]
struct SourceShape<'s> {
    address: IpAddr,
    zone: u32,
    #[serde(borrow)]
    zone_name: Cow<'s, str>,
    interface: u32,
    #[serde(borrow)]
    interface_name: Cow<'s, str>,
    mac: Option<[u8; 6]>,
    #[serde(default, borrow, skip_serializing_if = "str::is_empty")]
    country: Cow<'s, str>,
}

/// What a provider vouches for; left out of sessions that began at the gateway itself.
#[derive(Serialize, Deserialize)]
struct AssuranceShape<'s> {
    #[serde(borrow)]
    provider: Cow<'s, str>,
    acr: String,
    amr: BTreeSet<String>,
    mfa: bool,
}

#[derive(Serialize, Deserialize)]
struct DecisionShape {
    permit: bool,
    policies: Vec<String>,
    max_authentication_age: Option<u64>,
}

/// What the sessions read so far have in common.
#[derive(Default)]
pub(in crate::store) struct Common {
    names: HashSet<ArcStr>,
    users: HashMap<String, UserName>,
    permitted: HashMap<String, Arc<Permitted>>,
}

impl Common {
    /// Where hardly two sessions say the same, remembering it all is of no use.
    const MOST: usize = 4_096;

    /// Reads a row.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in crate::store) fn read(&mut self, row: &[u8]) -> Result<StoredSession, String> {
        let shape: Read<'_> = serde_json::from_slice(row).map_err(words)?;
        let SessionShape {
            token,
            user,
            source,
            factors,
            assurance,
            authenticated_at,
            deadline,
            permitted,
            allow_list,
            boot_id,
            secret,
            wall_deadline,
        } = shape;
        let SourceShape { address, zone, zone_name, interface, interface_name, mac, country } = source;
        let country = Country::of(&country);
        let (zone_name, interface_name) = (self.name(&zone_name), self.name(&interface_name));
        let session = Session {
            token: SessionToken(token),
            user: self.user(&user)?,
            source: Source { address, zone, zone_name, interface, interface_name, mac, country },
            factors: factors.iter().map(|name| factor(name)).collect::<Result<_, _>>()?,
            assurance: assurance.map(Assurance::try_from).transpose()?.unwrap_or_default().into(),
            authenticated_at: KernelNanos(authenticated_at),
            deadline: KernelNanos(deadline),
            permitted: self.permitted(permitted.get())?,
            allow_list: AllowListId(allow_list),
        };
        let boot_id = self.name(&boot_id);
        Ok(StoredSession { session, boot_id, secret: SecretHash::from_bytes(secret), wall_deadline })
    }

    fn name(&mut self, name: &str) -> ArcStr {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        make_room(self.names.len(), || self.names.clear());
        let name = ArcStr::from(name);
        self.names.insert(name.clone());
        name
    }

    fn user(&mut self, name: &str) -> Result<UserName, String> {
        if let Some(known) = self.users.get(name) {
            return Ok(known.clone());
        }
        make_room(self.users.len(), || self.users.clear());
        let user = UserName::new(name).map_err(words)?;
        self.users.insert(name.to_owned(), user.clone());
        Ok(user)
    }

    fn permitted(&mut self, text: &str) -> Result<Arc<Permitted>, String> {
        if let Some(known) = self.permitted.get(text) {
            return Ok(Arc::clone(known));
        }
        make_room(self.permitted.len(), || self.permitted.clear());
        let shapes: BTreeMap<String, DecisionShape> = serde_json::from_str(text).map_err(words)?;
        let decisions = shapes.into_iter().map(|(app, decision)| {
            let app = AppName::new(&app).map_err(words)?;
            Ok((app, decision.into()))
        });
        let permitted = Arc::new(decisions.collect::<Result<Permitted, String>>()?);
        self.permitted.insert(text.to_owned(), Arc::clone(&permitted));
        Ok(permitted)
    }
}

fn make_room(used: usize, clear: impl FnOnce()) {
    if used >= Common::MOST {
        clear();
    }
}

impl<'s> From<&'s StoredSession> for Written<'s> {
    fn from(stored: &'s StoredSession) -> Self {
        let StoredSession { session, boot_id, secret, wall_deadline } = stored;
        let Session { token, user, source, factors, assurance, authenticated_at, deadline, permitted, allow_list } =
            session;
        let Source { address, zone, zone_name, interface, interface_name, mac, country } = source;
        let (zone_name, interface_name) = (Cow::from(zone_name.as_str()), Cow::from(interface_name.as_str()));
        let (address, zone, interface, mac, country) = (*address, *zone, *interface, *mac, country.code().into());
        let source = SourceShape { address, zone, zone_name, interface, interface_name, mac, country };
        Self {
            token: token.0,
            user: user.as_str().into(),
            source,
            factors: factors.iter().map(|factor| factor_name(factor).into()).collect(),
            assurance: AssuranceShape::of(assurance),
            authenticated_at: authenticated_at.0,
            deadline: deadline.0,
            permitted: permitted.iter().map(|(app, decision)| (app.as_str(), decision.into())).collect(),
            allow_list: allow_list.0,
            boot_id: boot_id.as_str().into(),
            secret: *secret.expose_bytes(),
            wall_deadline: *wall_deadline,
        }
    }
}

/// A session as it is written.
pub(in crate::store) fn written(stored: &StoredSession) -> impl Serialize {
    Written::from(stored)
}

impl<'s> AssuranceShape<'s> {
    fn of(assurance: &'s Assurance) -> Option<Self> {
        let Assurance { provider, acr, amr, mfa } = assurance;
        let provider = provider.as_ref()?.as_str().into();
        Some(Self { provider, acr: acr.clone(), amr: amr.clone(), mfa: *mfa })
    }
}

impl TryFrom<AssuranceShape<'_>> for Assurance {
    type Error = String;

    fn try_from(shape: AssuranceShape<'_>) -> Result<Self, String> {
        let AssuranceShape { provider, acr, amr, mfa } = shape;
        Ok(Self { provider: Some(ProviderName::new(&provider).map_err(words)?), acr, amr, mfa })
    }
}

impl From<&Decision> for DecisionShape {
    fn from(decision: &Decision) -> Self {
        // What else follows from a decision is decided anew when the session is taken up, as the decision itself.
        let Decision { permit, policies, max_authentication_age, reject: _, log: _ } = decision.clone();
        Self { permit, policies, max_authentication_age }
    }
}

impl From<DecisionShape> for Decision {
    fn from(shape: DecisionShape) -> Self {
        let DecisionShape { permit, policies, max_authentication_age } = shape;
        Self { permit, policies, max_authentication_age, reject: false, log: Logging::default() }
    }
}

const fn factor_name(factor: Factor) -> &'static str {
    match factor {
        Factor::Password => "password",
        Factor::Totp => "totp",
        Factor::Passkey => "passkey",
        Factor::Provider => "provider",
        Factor::Certificate => "certificate",
        Factor::Binding => "binding",
    }
}

fn factor(name: &str) -> Result<Factor, String> {
    match name {
        "password" => Ok(Factor::Password),
        "totp" => Ok(Factor::Totp),
        "passkey" => Ok(Factor::Passkey),
        "provider" => Ok(Factor::Provider),
        "certificate" => Ok(Factor::Certificate),
        "binding" => Ok(Factor::Binding),
        other => Err(format!("factor `{other}` is not known")),
    }
}
