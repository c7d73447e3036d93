//! Identity providers: who may vouch for people, and what of it counts.

use super::section::Section;
use super::value::Value;
use crate::identity::oidc::Preset;
use crate::policy::{Assurance, GroupName, ProviderName, User, attribute};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// One identity provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProviderConfig {
    /// Its name in policies, records and addresses.
    pub name: ProviderName,
    /// What people call it, on the page on which they sign in.
    pub title: String,
    /// Whose product it is, for what its products do in their own way.
    pub kind: Preset,
    /// Its issuer identifier, exactly as its tokens say it.
    pub issuer: String,
    /// How it knows this gateway.
    pub client_id: String,
    /// The file with what the gateway proves that with; without, it is a public client.
    pub client_secret: Option<PathBuf>,
    /// The certificates that its own may come from, in PEM; without, those of the system.
    pub ca: Option<PathBuf>,
    /// Hosts beside the issuer's that its endpoints may be on.
    pub hosts: BTreeSet<String>,
    /// The signatures that are accepted, as JSON Web Algorithms; empty for the usual ones.
    pub algorithms: Vec<String>,
    /// What is asked for, beside `openid`; `None` for the usual.
    pub scopes: Option<Vec<String>>,
    /// The claims that say who somebody is.
    pub claims: ClaimNames,
    /// Claims that a person must have, with these values.
    pub require: BTreeMap<String, String>,
    /// What is asked of the authentication (`acr_values`).
    pub acr_values: Vec<String>,
    /// The classes (`acr`) that stand for more than one factor, best first.
    pub mfa_acr: Vec<String>,
    /// How old the authentication at the provider may be at a login.
    pub max_age: Option<Duration>,
    /// Who is a user.
    pub users: UserSource,
    /// Where memberships come from.
    pub groups: GroupSource,
    /// How its groups are called here, where that is not as there.
    pub group_names: BTreeMap<String, GroupName>,
    /// How often it is asked whether a session may go on; `None` for never.
    pub recheck: Option<Duration>,
    /// The audience of access tokens by which services prove who they are.
    pub audience: Option<String>,
    /// SCIM, if it pushes users and groups.
    pub scim: Option<ScimConfig>,
    /// Shared signals, if it sends events.
    pub signals: Option<SignalsConfig>,
}

/// The claims that say who somebody is; `None` for what is usual with that kind of provider.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClaimNames {
    /// Their user name.
    pub username: Option<String>,
    /// What people call them.
    pub display_name: Option<String>,
    /// Their groups.
    pub groups: Option<String>,
    /// What policies may ask for, by name, and the claim that says it.
    pub attributes: BTreeMap<String, String>,
}

/// Who is a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UserSource {
    /// Whoever logs in.
    #[default]
    Login,
    /// Whom the provider has pushed by SCIM.
    Scim,
}

/// Where memberships in groups come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GroupSource {
    /// The claims at a login.
    #[default]
    Claims,
    /// SCIM.
    Scim,
}

/// How a provider pushes users and groups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScimConfig {
    /// The file with the token that it shows.
    pub token: PathBuf,
    /// How somebody who logs in is found among those whom it has pushed.
    pub link: Link,
}

/// How somebody who logs in is found among those whom the provider has pushed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Link {
    /// `externalId` is this claim.
    ExternalId(String),
    /// `userName` is the claim that says the user name.
    UserName,
}

/// How a provider sends events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignalsConfig {
    /// The transmitter's issuer identifier, if it is not the provider's.
    pub issuer: Option<String>,
    /// The audience of its events.
    pub audience: String,
    /// How events come.
    pub delivery: Delivery,
    /// The file with the token that is shown to the transmitter, to set the stream up and to poll.
    pub token: Option<PathBuf>,
    /// The file with what the transmitter shows when it pushes.
    pub authorization: Option<PathBuf>,
    /// Whether an e-mail address in an event may name a user whose name it is. Such events only take access away.
    pub email_is_username: bool,
    /// Whether the gateway sets the stream up.
    pub manage: bool,
}

/// How events come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Delivery {
    /// The transmitter pushes them (RFC 8935).
    #[default]
    Push,
    /// The gateway polls (RFC 8936).
    Poll,
}

/// All providers. `has_url` says whether it is known where browsers find the gateway.
pub(super) fn providers(root: &mut Section<'_, '_>, folder: &Path, has_url: bool) -> Vec<ProviderConfig> {
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for section in &mut root.sections("provider") {
        let Some(provider) = provider(section, folder) else { continue };
        if !names.insert(provider.name.clone()) {
            section.refuse("name", format!("`{}` is another provider's", provider.name), "choose another name");
        }
        found.push(provider);
    }
    if !found.is_empty() && !has_url {
        let fix = "add `url = \"https://gate.example.org\"` below `[login]`: providers send browsers back there";
        root.refuse("login.url", "is missing", fix);
    }
    found
}

fn provider(section: &mut Section<'_, '_>, folder: &Path) -> Option<ProviderConfig> {
    let name = section.required("name", "name = \"corp\"").and_then(|value| provider_name(&value));
    let kinds = Preset::ALL.map(|preset| (preset.label(), preset));
    let kind = section.value("kind").and_then(|value| value.choice(&kinds)).unwrap_or_default();
    let issuer = match (section.value("issuer"), kind) {
        (None, Preset::Google) => Some("https://accounts.google.com".to_owned()),
        (Some(value), _) => url(&value).map(str::to_owned),
        (None, _) => section.required("issuer", "issuer = \"https://id.example.org\"").and(None),
    };
    let client_id = section.required("client_id", "client_id = \"portcullis\"").and_then(|value| value.label());
    let title = section.value("title").and_then(|value| value.label()).map(str::to_owned);
    let client_secret = section.value("client_secret_file").and_then(|value| value.path(folder));
    let ca = section.value("ca").and_then(|value| value.path(folder));
    let max_age = section.value("max_age").and_then(|value| value.duration(MINUTE..=30 * DAY));
    // As often as the provider bears it: each question is one request to its token endpoint for each session.
    let recheck = section.value("recheck").and_then(|value| value.duration(SECOND..=30 * DAY));
    let sources = [("login", UserSource::Login), ("scim", UserSource::Scim)];
    let users = section.value("users").and_then(|value| value.choice(&sources)).unwrap_or_default();
    let (groups, group_names) = groups(section);
    let audience = section.value("audience").and_then(|value| value.label()).map(str::to_owned);
    let hosts = words(section, "hosts").unwrap_or_default().into_iter().collect();
    let algorithms = words(section, "algorithms").unwrap_or_default();
    let (scopes, acr_values) = (words(section, "scopes"), words(section, "acr_values").unwrap_or_default());
    let mfa_acr = words(section, "mfa_acr").unwrap_or_default();
    let mut claims = claims(&mut section.section("claims"));
    claims.attributes = attributes(section.section("attributes"));
    let require = section.section("require").into_entries();
    let require = require.into_iter().filter_map(|(claim, value)| Some((claim, value.label()?.to_owned()))).collect();
    let scim = section.has("scim").then(|| scim(&mut section.section("scim"), folder)).flatten();
    let signals = section.has("signals").then(|| signals(&mut section.section("signals"), folder)).flatten();
    if scim.is_none() && (users == UserSource::Scim || groups == GroupSource::Scim) {
        section.refuse(
            "scim",
            "is missing",
            "add `[provider.scim]` with a `token_file`, or take users and groups from logins",
        );
    }
    let name = name?;
    Some(ProviderConfig {
        title: title.unwrap_or_else(|| name.to_string()),
        name,
        kind,
        issuer: issuer?,
        client_id: client_id?.to_owned(),
        client_secret,
        ca,
        hosts,
        algorithms,
        scopes,
        claims,
        require,
        acr_values,
        mfa_acr,
        max_age,
        users,
        groups,
        group_names,
        recheck,
        audience,
        scim,
        signals,
    })
}

/// It stands in addresses and policies.
fn provider_name(value: &Value<'_, '_>) -> Option<ProviderName> {
    let text = value.text("corp")?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let name = ProviderName::new(text).ok().filter(|_| text.len() <= 32 && text.bytes().all(is_plain));
    match name {
        Some(name) if name.as_str() == Assurance::LOCAL => {
            value.refuse("`local` is the gateway itself", "choose another name");
            None
        }
        None => {
            value.refuse(format!("`{}` is not a name", text.escape_debug()), "write 1 to 32 of a-z, 0-9 and `-`");
            None
        }
        found => found,
    }
}

fn groups(section: &mut Section<'_, '_>) -> (GroupSource, BTreeMap<String, GroupName>) {
    let sources = [("claims", GroupSource::Claims), ("scim", GroupSource::Scim)];
    let source = section.value("groups").and_then(|value| value.choice(&sources)).unwrap_or_default();
    let mut names = BTreeMap::new();
    for (theirs, value) in section.section("group_names").into_entries() {
        let Some(text) = value.text("finance") else { continue };
        match GroupName::new(text) {
            Ok(name) => drop(names.insert(theirs, name)),
            Err(error) => value.refuse(format!("`{text}` is not a group"), error.to_string()),
        }
    }
    (source, names)
}

fn claims(section: &mut Section<'_, '_>) -> ClaimNames {
    let mut claim = |key| section.value(key).and_then(|value| value.label()).map(str::to_owned);
    let (username, display_name, groups) = (claim("username"), claim("display_name"), claim("groups"));
    ClaimNames { username, display_name, groups, attributes: BTreeMap::new() }
}

/// Attributes by name, and the claims that say them.
fn attributes(section: Section<'_, '_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, value) in section.into_entries() {
        let Some(claim) = value.label() else { continue };
        match attribute(&name, claim) {
            Ok(_) if found.len() == User::MOST_ATTRIBUTES / 2 => {
                value.refuse("is one too many", format!("name at most {}", found.len()));
            }
            Ok((name, claim)) => drop(found.insert(name, claim)),
            Err(error) => value.refuse(error.to_string(), "choose another name"),
        }
    }
    found
}

fn scim(section: &mut Section<'_, '_>, folder: &Path) -> Option<ScimConfig> {
    let token = section.required("token_file", "token_file = \"secrets/corp-scim\"");
    let token = token.and_then(|value| value.path(folder));
    let link = section.value("link").and_then(|value| value.choice(&[("external_id", false), ("username", true)]));
    let claim = section.value("external_id_claim").and_then(|value| value.label());
    let by_claim = || Link::ExternalId(claim.unwrap_or("sub").to_owned());
    let link = if link == Some(true) { Link::UserName } else { by_claim() };
    Some(ScimConfig { token: token?, link })
}

fn signals(section: &mut Section<'_, '_>, folder: &Path) -> Option<SignalsConfig> {
    let issuer = section.value("issuer").and_then(|value| url(&value).map(str::to_owned));
    let audience =
        section.required("audience", "audience = \"https://gate.example.org\"").and_then(|value| value.label());
    let ways = [("push", Delivery::Push), ("poll", Delivery::Poll)];
    let delivery = section.value("delivery").and_then(|value| value.choice(&ways)).unwrap_or_default();
    let token = section.value("token_file").and_then(|value| value.path(folder));
    let authorization = section.value("authorization_file").and_then(|value| value.path(folder));
    let email_is_username = section.value("email_is_username").and_then(|value| value.boolean());
    let manage = section.value("manage").and_then(|value| value.boolean()).unwrap_or(false);
    if token.is_none() && (manage || delivery == Delivery::Poll) {
        section.refuse("token_file", "is missing", "add the file with the token that the transmitter asks for");
    }
    Some(SignalsConfig {
        issuer,
        audience: audience?.to_owned(),
        delivery,
        token,
        authorization,
        email_is_username: email_is_username.unwrap_or(false),
        manage,
    })
}

/// A list of texts, each not empty and on one line.
fn words(section: &mut Section<'_, '_>, key: &'static str) -> Option<Vec<String>> {
    let values = section.value(key)?.list("write a list of texts, like `[\"one\", \"two\"]`");
    Some(values.iter().filter_map(Value::label).map(str::to_owned).collect())
}

/// An address of a web page, as it is written.
pub(super) fn url<'r>(value: &Value<'r, '_>) -> Option<&'r str> {
    let text = value.text("https://id.example.org")?;
    let is_good =
        |url: &Url| url.scheme() == "https" && url.has_host() && url.username().is_empty() && url.password().is_none();
    let good = Url::parse(text).ok().filter(|url| is_good(url) && url.query().is_none() && url.fragment().is_none());
    if good.is_none() {
        // It is not repeated: there may be a password in it.
        value.refuse(
            "is not an https address without a name, a password, a query and a fragment",
            "write one like `https://id.example.org/tenant`",
        );
    }
    good.map(|_| text)
}
