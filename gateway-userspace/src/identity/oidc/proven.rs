//! What is known of a person after a login: who they are, what they are called, where they belong, how they proved it.

use super::provider::Tokens;
use super::{ClaimNames, Provider, Refusal};
use crate::identity::jose::{Claims, TokenRefusal};
use crate::identity::span::signed;
use crate::policy::attribute;
use oauth2::TokenResponse as _;
use secrecy::SecretString;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use time::OffsetDateTime;

const LONGEST_NAME: usize = 255;
const MOST_GROUPS: usize = 1_000;

/// A person, as the provider proved them.
#[derive(Clone, Debug)]
pub struct Proven {
    /// Who it is, for this provider and for ever.
    pub subject: String,
    /// Their session at the provider, by which it may be logged out.
    pub sid: Option<String>,
    /// The name to log in with.
    pub username: String,
    /// What people call them.
    pub display_name: String,
    /// Their groups, each once.
    pub groups: Vec<String>,
    /// What policies may ask for, by name; `None` where the provider says nothing of it.
    pub attributes: BTreeMap<String, Option<String>>,
    /// What [`super::Settings::link`] says.
    pub link: Option<String>,
    /// In which context they authenticated.
    pub acr: Option<String>,
    /// By which methods (RFC 8176).
    pub amr: BTreeSet<String>,
    /// Whether the provider says that it was more than one factor: by `amr`, or by a context of the settings.
    pub mfa: bool,
    /// When they authenticated, if the provider says so. One that sends 0 means 1970, which is too long ago for anything.
    pub auth_time: Option<OffsetDateTime>,
    /// Until when the ID token is valid.
    pub expires_at: OffsetDateTime,
    /// What to ask with later whether it is still so.
    pub refresh_token: Option<SecretString>,
    /// For a logout at the provider.
    pub id_token: SecretString,
}

/// What a login demanded.
#[derive(Clone, Debug, Default)]
pub(super) struct Demand {
    pub(super) max_age: Option<Duration>,
    pub(super) acr: Vec<String>,
}

/// A verified ID token, and what it came with.
pub(super) struct Evidence<'a> {
    pub(super) claims: Claims,
    pub(super) tokens: &'a Tokens,
}

impl Provider {
    /// What is known of whom verified claims are about.
    pub(super) fn prove(
        &self,
        evidence: Evidence<'_>,
        demand: &Demand,
        now: OffsetDateTime,
    ) -> Result<Proven, Refusal> {
        let Evidence { claims, tokens } = evidence;
        let subject = claims.subject()?.ok_or(TokenRefusal::SubjectMissing)?.to_owned();
        check_required(&claims, &self.settings.require)?;
        let acr = claims.text("acr")?.map(str::to_owned);
        let auth_time = self.authenticated(&claims, demand, now)?;
        check_acr(acr.as_deref(), demand)?;
        let amr: BTreeSet<_> = claims.texts("amr")?.into_iter().flatten().map(str::to_owned).collect();
        let mfa = amr.contains("mfa") || acr.as_ref().is_some_and(|acr| self.settings.mfa_acrs.contains(acr));
        let person = Person { claims: &claims, names: &self.settings.claims };
        let username = person.username()?;
        let id_token = tokens.extra_fields().id_token.as_ref().ok_or(Refusal::IdTokenMissing)?;
        Ok(Proven {
            subject,
            sid: claims.session()?.map(str::to_owned),
            display_name: person.display_name()?.unwrap_or_else(|| username.clone()),
            username,
            groups: person.groups()?,
            attributes: person.attributes(),
            link: person.link(self.settings.link.as_deref()),
            acr,
            amr,
            mfa,
            auth_time,
            expires_at: claims.time("exp")?.ok_or(TokenRefusal::ExpiryMissing)?,
            refresh_token: tokens.refresh_token().map(|token| SecretString::from(token.secret().clone())),
            id_token: SecretString::from(id_token.secret().clone()),
        })
    }

    fn authenticated(
        &self,
        claims: &Claims,
        demand: &Demand,
        now: OffsetDateTime,
    ) -> Result<Option<OffsetDateTime>, Refusal> {
        let leeway = signed(self.settings.leeway);
        let auth_time = claims.time("auth_time")?;
        if auth_time.is_some_and(|time| time > now.saturating_add(leeway)) {
            return Err(Refusal::AuthTimeInFuture);
        }
        let Some(max_age) = demand.max_age else { return Ok(auth_time) };
        let time = auth_time.ok_or(Refusal::AuthTimeMissing)?;
        let oldest = now.saturating_sub(leeway).saturating_sub(signed(max_age));
        if time < oldest { Err(Refusal::AuthTimeTooOld) } else { Ok(auth_time) }
    }
}

fn check_required(claims: &Claims, required: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let has = |(name, text): (&String, &String)| match claims.get(name) {
        Some(Value::Array(list)) => list.iter().any(|value| value == text.as_str()),
        value => value.is_some_and(|value| value == text.as_str()),
    };
    if required.iter().all(has) { Ok(()) } else { Err(Refusal::ClaimRequired) }
}

fn check_acr(acr: Option<&str>, demand: &Demand) -> Result<(), Refusal> {
    match acr {
        _ if demand.acr.is_empty() => Ok(()),
        None => Err(Refusal::AcrMissing),
        Some(acr) if demand.acr.iter().any(|demanded| demanded == acr) => Ok(()),
        Some(_) => Err(Refusal::AcrInsufficient),
    }
}

/// What the ID token says of a person.
struct Person<'a> {
    claims: &'a Claims,
    names: &'a ClaimNames,
}

impl Person<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.claims.get(name).filter(|value| !value.is_null())
    }

    fn username(&self) -> Result<String, Refusal> {
        let unverified = self.get("email_verified").is_some_and(|verified| verified == false || verified == "false");
        let counts = |name: &&String| name.as_str() != "email" || !unverified;
        let value = self.names.username.iter().filter(counts).find_map(|name| self.get(name));
        name(value.ok_or(Refusal::UsernameMissing)?).ok_or(Refusal::UsernameMalformed)
    }

    fn display_name(&self) -> Result<Option<String>, Refusal> {
        let blank = |value: &&Value| value.as_str().is_some_and(|text| text.trim().is_empty());
        let value = self.get(&self.names.display_name).filter(|value| !blank(value));
        let Some(value) = value else { return Ok(None) };
        name(value).map(Some).ok_or(Refusal::UsernameMalformed)
    }

    /// A text, a number or a truth, as it is written. What cannot be one is none.
    fn attributes(&self) -> BTreeMap<String, Option<String>> {
        let text = |claim: &String| match self.get(claim)? {
            Value::String(text) => Some(text.clone()),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            _ => None,
        };
        let told = |name: &String, claim| attribute(name, &text(claim)?).ok().map(|(_, value)| value);
        self.names.attributes.iter().map(|(name, claim)| (name.clone(), told(name, claim))).collect()
    }

    fn link(&self, claim: Option<&str>) -> Option<String> {
        self.get(claim?).and_then(name)
    }

    /// Each once, in the order in which the provider sends them.
    fn groups(&self) -> Result<Vec<String>, Refusal> {
        let claim = &self.names.groups;
        let elsewhere = self.get("_claim_names").is_some_and(|names| names.get(claim).is_some());
        if elsewhere || self.get("hasgroups").is_some_and(|has| has != false) {
            return Err(Refusal::GroupsOverage);
        }
        let groups = match self.get(claim) {
            None => return Ok(Vec::new()),
            Some(Value::Array(groups)) if groups.len() <= MOST_GROUPS => groups.iter().map(name).collect(),
            Some(group) => name(group).map(|group| vec![group]),
        };
        let mut seen = BTreeSet::new();
        let groups: Vec<String> = groups.ok_or(Refusal::GroupsMalformed)?;
        Ok(groups.into_iter().filter(|group| seen.insert(group.clone())).collect())
    }
}

/// A text that can be shown: not empty, bounded, without control characters.
fn name(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let sound = !text.trim().is_empty() && text.len() <= LONGEST_NAME && !text.chars().any(char::is_control);
    sound.then(|| text.to_owned())
}
