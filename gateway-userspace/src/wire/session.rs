//! Sessions: how they begin, what they may reach, and the proof that they ended.

use super::{Moment, Secret};
use crate::core;
use crate::policy::{self, Proof};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Who wants a session.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The user's name.
    pub username: String,
    /// Their password.
    #[schema(value_type = String, format = Password)]
    pub password: Secret,
}

/// An identity provider that people can log in with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
}

/// A login by device code (RFC 8628) that has begun.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeviceLogin {
    /// What to ask with whether somebody has confirmed it.
    pub id: String,
    /// What the person types at the provider.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// Where, with the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_uri_complete: Option<String>,
    /// How many seconds to wait before each question.
    pub interval_s: u64,
    /// From when on it is worth nothing.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// A login by device code that nobody has confirmed yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DevicePending {
    /// Which.
    pub id: String,
    /// In how many seconds to ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_s: Option<u64>,
}

/// What a provider sends when somebody has signed out there.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LogoutRequest {
    /// Who (OpenID Connect Back-Channel Logout 1.0, section 2.4).
    pub logout_token: String,
}

/// A session that began.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LoginResponse {
    /// The session, with the apps that it may reach.
    pub session: Session,
    /// Proves the session, as a bearer token, from its own address. Shown once.
    #[schema(value_type = String)]
    pub secret: Secret,
}

/// A user on a source, until a deadline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Its name, 16 hexadecimal digits. Not a secret.
    pub token: String,
    /// Whose it is.
    pub user: String,
    /// The client's address.
    pub address: String,
    /// The zone it is in.
    pub zone: String,
    /// The guarded interface it is behind.
    pub interface: String,
    /// The hardware address it is bound to, where there is a link layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// How they logged in.
    pub factors: Vec<String>,
    /// The identity provider that vouches for them; left out if they logged in at the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The authentication context class that it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// The authentication methods that it says (RFC 8176).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub amr: BTreeSet<String>,
    /// When they proved who they are; left out if their provider does not say.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub authenticated_at: Option<OffsetDateTime>,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub deadline: OffsetDateTime,
    /// What it may reach.
    pub apps: Vec<Grant>,
}

/// An app that a session may reach, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    /// The app.
    pub app: String,
    /// The policies that determined it.
    pub policies: Vec<String>,
    /// How old the login may be, in seconds, if that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_authentication_age_s: Option<u64>,
}

/// Which sessions are to end: name exactly one of these.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// One, by its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// All of a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// All that may reach an app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// All, if true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
}

/// The receipts of sessions that ended together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Receipts {
    /// One for each.
    pub receipts: Vec<Receipt>,
}

/// Proof that a session ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// Its name.
    pub token: String,
    /// Whose it was.
    pub user: String,
    /// Where it was.
    pub address: String,
    /// Why it ended.
    pub cause: String,
    /// Who asked.
    pub by: String,
    /// When the gateway had read the request.
    #[serde(with = "time::serde::rfc3339")]
    pub requested_at: OffsetDateTime,
    /// From when on the kernel forwards nothing.
    #[serde(with = "time::serde::rfc3339")]
    pub enforced_at: OffsetDateTime,
    /// From the one to the other, in microseconds.
    pub enforced_after_us: f64,
    /// When its last packet was forwarded, if there ever was one.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub last_packet_at: Option<OffsetDateTime>,
    /// How long after the request that was, in microseconds; negative if before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_packet_after_request_us: Option<f64>,
    /// How many of its flows were open.
    pub flows_cut: usize,
}

impl Session {
    /// The shape of a session, seen at a moment.
    #[must_use]
    pub fn of(session: &policy::Session, now: Moment) -> Self {
        let policy::Session {
            token,
            user,
            source,
            factors,
            assurance,
            authenticated_at,
            deadline,
            permitted,
            allow_list: _,
        } = session;
        let policy::Assurance { provider, acr, amr, mfa: _ } = &**assurance;
        let policy::Source { address, zone: _, zone_name, interface: _, interface_name, mac, country: _ } = source;
        Self {
            token: token.to_string(),
            user: user.to_string(),
            address: address.to_string(),
            zone: zone_name.to_string(),
            interface: interface_name.to_string(),
            mac: mac.map(format_mac),
            factors: factors.iter().map(|factor| factor.label().to_owned()).collect(),
            provider: provider.as_ref().map(ToString::to_string),
            acr: Some(acr.clone()).filter(|acr| !acr.is_empty()),
            amr: amr.clone(),
            authenticated_at: Some(*authenticated_at).filter(|at| *at != Proof::UNDATED).map(|at| now.wall_of(at)),
            deadline: now.wall_of(*deadline),
            apps: permitted.iter().map(|(app, decision)| Grant::of(app, decision)).collect(),
        }
    }
}

impl Grant {
    fn of(app: &policy::AppName, decision: &policy::Decision) -> Self {
        let policy::Decision { permit: _, policies, max_authentication_age, reject: _, log: _ } = decision;
        Self {
            app: app.to_string(),
            policies: policies.clone(),
            max_authentication_age_s: max_authentication_age.map(|nanos| nanos / 1_000_000_000),
        }
    }
}

impl From<&core::Receipt> for Receipt {
    fn from(receipt: &core::Receipt) -> Self {
        let core::Receipt {
            session,
            cause,
            by,
            requested_at,
            enforced_after,
            last_packet_at,
            last_packet_after_request_nanos,
            flows_cut,
        } = receipt;
        Self {
            token: session.token.to_string(),
            user: session.user.to_string(),
            address: session.source.address.to_string(),
            cause: cause.label().to_owned(),
            by: by.clone(),
            requested_at: *requested_at,
            enforced_at: *requested_at + *enforced_after,
            enforced_after_us: enforced_after.as_secs_f64() * 1e6,
            last_packet_at: *last_packet_at,
            last_packet_after_request_us: last_packet_after_request_nanos.map(|nanos| nanos as f64 / 1e3),
            flows_cut: *flows_cut,
        }
    }
}

impl From<&[core::Receipt]> for Receipts {
    fn from(receipts: &[core::Receipt]) -> Self {
        Self { receipts: receipts.iter().map(Receipt::from).collect() }
    }
}

pub(super) fn format_mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
