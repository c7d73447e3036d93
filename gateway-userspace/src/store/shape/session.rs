//! The row of a session.

use super::words;
use crate::identity::SecretHash;
use crate::policy::{AllowListId, AppName, Decision, Factor, Session, SessionToken, Source, UserName};
use crate::store::StoredSession;
use gateway_common::KernelNanos;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use time::OffsetDateTime;

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct SessionShape {
    token: u64,
    user: String,
    source: SourceShape,
    factors: Vec<String>,
    authenticated_at: u64,
    deadline: u64,
    permitted: BTreeMap<String, DecisionShape>,
    allow_list: u32,
    boot_id: String,
    secret: [u8; 32],
    #[serde(with = "time::serde::rfc3339")]
    wall_deadline: OffsetDateTime,
}

#[derive(Serialize, Deserialize)]
struct SourceShape {
    address: IpAddr,
    zone: u32,
    zone_name: String,
    interface: u32,
    interface_name: String,
    mac: Option<[u8; 6]>,
}

#[derive(Serialize, Deserialize)]
struct DecisionShape {
    permit: bool,
    policies: Vec<String>,
    max_authentication_age: Option<u64>,
}

impl From<&StoredSession> for SessionShape {
    fn from(stored: &StoredSession) -> Self {
        let StoredSession { session, boot_id, secret, wall_deadline } = stored;
        let Session { token, user, source, factors, authenticated_at, deadline, permitted, allow_list } = session;
        Self {
            token: token.0,
            user: user.to_string(),
            source: source.into(),
            factors: factors.iter().map(|factor| factor_name(*factor).to_owned()).collect(),
            authenticated_at: authenticated_at.0,
            deadline: deadline.0,
            permitted: permitted.iter().map(|(app, decision)| (app.to_string(), decision.into())).collect(),
            allow_list: allow_list.0,
            boot_id: boot_id.clone(),
            secret: *secret.expose_bytes(),
            wall_deadline: *wall_deadline,
        }
    }
}

impl TryFrom<SessionShape> for StoredSession {
    type Error = String;

    fn try_from(shape: SessionShape) -> Result<Self, String> {
        let SessionShape {
            token,
            user,
            source,
            factors,
            authenticated_at,
            deadline,
            permitted,
            allow_list,
            boot_id,
            secret,
            wall_deadline,
        } = shape;
        let permitted = permitted
            .into_iter()
            .map(|(app, decision)| Ok((AppName::new(&app).map_err(words)?, decision.into())))
            .collect::<Result<BTreeMap<_, _>, String>>()?;
        let session = Session {
            token: SessionToken(token),
            user: UserName::new(&user).map_err(words)?,
            source: source.into(),
            factors: factors.iter().map(|name| factor(name)).collect::<Result<_, _>>()?,
            authenticated_at: KernelNanos(authenticated_at),
            deadline: KernelNanos(deadline),
            permitted: permitted.into(),
            allow_list: AllowListId(allow_list),
        };
        Ok(Self { session, boot_id, secret: SecretHash::from_bytes(secret), wall_deadline })
    }
}

impl From<&Source> for SourceShape {
    fn from(source: &Source) -> Self {
        let Source { address, zone, zone_name, interface, interface_name, mac } = source.clone();
        Self { address, zone, zone_name, interface, interface_name, mac }
    }
}

impl From<SourceShape> for Source {
    fn from(shape: SourceShape) -> Self {
        let SourceShape { address, zone, zone_name, interface, interface_name, mac } = shape;
        Self { address, zone, zone_name, interface, interface_name, mac }
    }
}

impl From<&Decision> for DecisionShape {
    fn from(decision: &Decision) -> Self {
        let Decision { permit, policies, max_authentication_age } = decision.clone();
        Self { permit, policies, max_authentication_age }
    }
}

impl From<DecisionShape> for Decision {
    fn from(shape: DecisionShape) -> Self {
        let DecisionShape { permit, policies, max_authentication_age } = shape;
        Self { permit, policies, max_authentication_age }
    }
}

const fn factor_name(factor: Factor) -> &'static str {
    match factor {
        Factor::Password => "password",
        Factor::Totp => "totp",
        Factor::Passkey => "passkey",
    }
}

fn factor(name: &str) -> Result<Factor, String> {
    match name {
        "password" => Ok(Factor::Password),
        "totp" => Ok(Factor::Totp),
        "passkey" => Ok(Factor::Passkey),
        other => Err(format!("factor `{other}` is not known")),
    }
}
