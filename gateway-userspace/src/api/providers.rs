//! The identity providers of the gateway, as its handlers know them: what a provider says in its words becomes who somebody
//! is in ours.

use super::context::{AccessTokenRefusal, AccessTokens, Later};
use crate::identity::oidc::{self, Proven, Replays};
use crate::identity::{Arrival, KnownAs, ProviderSession, SecretHash};
use crate::policy::{Assurance, Factor, GroupName, InvalidName, Proof, ProviderName, Session, UserName};
use crate::wire::Moment;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use gateway_common::KernelNanos;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use time::OffsetDateTime;
use url::Url;

/// Logout tokens of one provider that are remembered: those of three minutes.
const REPLAYS: usize = 65_536;
/// What is looked at of a token before anybody has verified it.
const LONGEST_PAYLOAD: usize = 16 * 1024;
/// Groups of one person that count.
const MOST_GROUPS: usize = 1_000;

/// All of them, by name.
#[derive(Clone, Default)]
pub struct Providers(Arc<BTreeMap<ProviderName, ProviderEntry>>);

/// What the configuration says of one.
#[derive(Debug)]
pub struct ProviderSettings {
    /// What people call it.
    pub title: String,
    /// Classes that stand for more than one factor, best first.
    pub mfa_acr: Vec<String>,
    /// Whether memberships come with logins.
    pub claims_groups: bool,
    /// How its groups are called here, where that is not as there.
    pub group_names: BTreeMap<String, GroupName>,
    /// Whether whoever logs in becomes a user.
    pub may_be_new: bool,
    /// How somebody is found among those whom it has pushed.
    pub link: Link,
    /// How often it is asked whether a session may go on.
    pub recheck: Option<Duration>,
    /// Where browsers come back to after they have signed out there.
    pub home: Url,
    /// What it shows when it pushes users and groups.
    pub scim_token: Option<SecretHash>,
}

/// How somebody is found among those whom a provider has pushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// It pushes nobody.
    None,
    /// By their name.
    Name,
    /// By what it calls them.
    ExternalId,
}

/// One of them.
pub struct ProviderEntry {
    /// What the configuration says.
    pub settings: ProviderSettings,
    /// The way to it.
    pub oidc: oidc::Provider,
    /// The logout tokens that have been used.
    pub replays: Mutex<Replays>,
}

impl ProviderEntry {
    /// One that has not been asked for anything yet.
    #[must_use]
    pub fn new(settings: ProviderSettings, oidc: oidc::Provider) -> Self {
        Self { settings, oidc, replays: Mutex::new(Replays::new(REPLAYS)) }
    }

    /// Who somebody is whom it vouches for.
    ///
    /// # Errors
    /// If nobody can be called so here.
    pub fn arrival(&self, provider: &ProviderName, proven: &Proven) -> Result<Arrival, InvalidName> {
        let ProviderSettings { claims_groups, may_be_new, link, .. } = &self.settings;
        let known_as = match link {
            Link::None => None,
            Link::Name => Some(KnownAs::Name),
            // An id that nobody has, if the claim is missing.
            Link::ExternalId => Some(KnownAs::ExternalId(proven.link.clone().unwrap_or_default())),
        };
        Ok(Arrival {
            provider: provider.clone(),
            subject: proven.subject.clone(),
            name: UserName::new(&proven.username)?,
            display_name: proven.display_name.clone(),
            groups: claims_groups.then(|| self.groups(&proven.groups)),
            attributes: proven.attributes.clone(),
            known_as,
            may_be_new: *may_be_new,
        })
    }

    /// As they are called here. One that nothing here can be called is no group here.
    fn groups(&self, theirs: &[String]) -> BTreeSet<GroupName> {
        let ours = |name: &String| match self.settings.group_names.get(name) {
            Some(ours) => Some(ours.clone()),
            None => GroupName::new(name).ok(),
        };
        theirs.iter().take(MOST_GROUPS).filter_map(ours).collect()
    }

    /// How they proved it.
    #[must_use]
    pub fn proof(&self, provider: &ProviderName, proven: &Proven, now: Moment) -> Proof {
        let named = |method: &str| proven.amr.contains(method);
        let factors = [Factor::Provider].into_iter();
        let factors = factors.chain(named("pwd").then_some(Factor::Password));
        let factors = factors.chain(named("otp").then_some(Factor::Totp)).collect();
        let assurance = Assurance {
            provider: Some(provider.clone()),
            acr: proven.acr.clone().unwrap_or_default(),
            amr: proven.amr.clone(),
            mfa: proven.mfa || has_two_kinds(&proven.amr),
        };
        let authenticated_at = Some(proven.auth_time.map_or(Proof::UNDATED, |at| on_boot_clock(at, now)));
        Proof { factors, assurance: Arc::new(assurance), authenticated_at }
    }

    /// What is kept of their session there.
    #[must_use]
    pub fn kept(&self, provider: &ProviderName, proven: Proven) -> ProviderSession {
        let Proven { subject, sid, refresh_token, id_token, .. } = proven;
        let refresh_token = refresh_token.filter(|_| self.settings.recheck.is_some());
        ProviderSession { provider: provider.clone(), subject, sid, refresh_token, id_token: Some(id_token) }
    }
}

/// Methods of RFC 8176 by what they prove: something known, had, or been. Two kinds are more than one factor.
fn has_two_kinds(amr: &BTreeSet<String>) -> bool {
    const KINDS: [&[&str]; 3] = [
        &["pwd", "pin", "kba"],
        &["otp", "sms", "tel", "hwk", "swk", "sc", "pop"],
        &["fpt", "face", "iris", "retina", "vbm"],
    ];
    KINDS.iter().filter(|kind| kind.iter().any(|method| amr.contains(*method))).count() >= 2
}

/// A time of the wall clock on the boot clock; undated, if it was before this boot.
fn on_boot_clock(at: OffsetDateTime, now: Moment) -> KernelNanos {
    let ago = u64::try_from((now.wall - at).whole_nanoseconds()).unwrap_or(0);
    now.boot.0.checked_sub(ago).map_or(Proof::UNDATED, KernelNanos)
}

impl AccessTokens for Providers {
    fn verify<'a>(
        &'a self,
        token: &'a str,
        now: OffsetDateTime,
    ) -> Later<'a, Result<(ProviderName, String), AccessTokenRefusal>> {
        Box::pin(async move {
            // Nothing is believed of this but whose keys to try.
            let issuer = claimed_issuer(token);
            let is_issuer = |entry: &ProviderEntry| issuer.as_deref() == Some(entry.oidc.settings().issuer.as_str());
            let found = self.iter().filter(|(_, entry)| is_issuer(entry));
            // Two clients of one issuer are two providers here, and one of them takes such tokens.
            let found = found.max_by_key(|(_, entry)| entry.oidc.settings().service_audience.is_some());
            let (name, entry) = found.ok_or(AccessTokenRefusal::UnknownIssuer)?;
            match entry.oidc.access_token(token, now).await {
                Ok(client) => Ok((name.clone(), client)),
                Err(refusal) if refusal.is_outage() => Err(AccessTokenRefusal::Unavailable),
                Err(refusal) => Err(AccessTokenRefusal::Refused(refusal.label())),
            }
        })
    }
}

/// What a token says that nobody has verified.
fn claimed_issuer(token: &str) -> Option<String> {
    let payload = token.split('.').nth(1).filter(|payload| payload.len() <= LONGEST_PAYLOAD)?;
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}

impl FromIterator<(ProviderName, ProviderEntry)> for Providers {
    fn from_iter<I: IntoIterator<Item = (ProviderName, ProviderEntry)>>(entries: I) -> Self {
        Self(Arc::new(entries.into_iter().collect()))
    }
}

impl Providers {
    /// One of them.
    #[must_use]
    pub fn get(&self, name: &ProviderName) -> Option<&ProviderEntry> {
        self.0.get(name)
    }

    /// All of them, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&ProviderName, &ProviderEntry)> {
        self.0.iter()
    }

    /// Where somebody signs out of their provider too, if it has a place for that.
    pub(super) async fn sign_out_at(&self, kept: &ProviderSession, now: OffsetDateTime) -> Option<Url> {
        use secrecy::ExposeSecret as _;
        let entry = self.get(&kept.provider)?;
        let hint = kept.id_token.as_ref().map(|token| token.expose_secret());
        entry.oidc.end_session_url(hint, Some(&entry.settings.home), None, now).await
    }

    /// What the provider of a session could vouch for, at most.
    pub(super) fn stronger(&self, session: &Session) -> Assurance {
        let before = &session.assurance;
        let entry = before.provider.as_ref().and_then(|name| self.get(name));
        let asked = entry.map(|entry| &entry.oidc.settings().acr_values);
        let best = entry.and_then(|entry| entry.settings.mfa_acr.first()).or(asked.and_then(|asked| asked.first()));
        if !entry.is_some_and(|entry| entry.oidc.settings().preset.knows_strength()) {
            return Assurance::clone(before);
        }
        let acr = best.cloned().unwrap_or_else(|| before.acr.clone());
        let amr = before.amr.iter().cloned().chain(["mfa".to_owned()]).collect();
        Assurance { provider: before.provider.clone(), acr, amr, mfa: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amr(methods: &[&str]) -> BTreeSet<String> {
        methods.iter().map(|method| (*method).to_owned()).collect()
    }

    #[test]
    fn two_methods_of_one_kind_are_one_factor() {
        assert!(!has_two_kinds(&amr(&["pwd", "pin"])) && !has_two_kinds(&amr(&["otp", "sms"])));
        assert!(has_two_kinds(&amr(&["pwd", "otp"])) && has_two_kinds(&amr(&["hwk", "fpt"])));
        assert!(!has_two_kinds(&amr(&["unheard-of", "pwd"])));
    }

    #[test]
    fn what_was_before_this_boot_has_no_date() {
        let second = time::Duration::SECOND;
        let now = Moment { boot: KernelNanos(10_000_000_000), wall: OffsetDateTime::UNIX_EPOCH + time::Duration::DAY };
        assert_eq!(on_boot_clock(now.wall - 4 * second, now), KernelNanos(6_000_000_000));
        assert_eq!(on_boot_clock(now.wall - 11 * second, now), Proof::UNDATED);
        assert_eq!(
            on_boot_clock(now.wall + second, now),
            now.boot,
            "a clock that is ahead dates nothing later than now"
        );
        assert_eq!(on_boot_clock(OffsetDateTime::UNIX_EPOCH, now), Proof::UNDATED);
    }
}
