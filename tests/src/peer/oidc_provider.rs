//! The certified OpenID provider of npm: authorization code with PKCE, device code, refresh, client credentials with
//! JWT access tokens, back-channel and RP-initiated logout. Keys, sessions and troubles are the test's to change.

use std::{fs, net::SocketAddr};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Authority, Environment, Script, command, home, script};
use crate::netns::Namespace;

const NAME: &str = "oidc-provider";

/// The provider at work. Dropping ends it.
#[derive(Debug)]
pub struct OidcProvider {
    issuer: String,
    script: Script,
}

/// What it knows, in the words of the protocol.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Metadata of dynamic registration: `client_id`, `client_secret`, `redirect_uris`, `grant_types`,
    /// `backchannel_logout_uri`, `id_token_signed_response_alg` (RS256 unless given, or ES256)…
    pub clients: Vec<Value>,
    /// Claims: `sub`, `preferred_username`, `email`, `name`, `groups`; and `password`, `acr`, `amr`, `disabled`, and
    /// `authenticated_ago` in seconds.
    pub accounts: Vec<Value>,
    /// Scopes for the JWT access tokens of any audience.
    pub resource_scopes: Vec<String>,
    /// Whether a known `login_hint` logs in without a form.
    pub login_by_hint: bool,
    /// Lifetimes in seconds other than the usual, such as `IdToken`.
    pub lifetimes: Value,
}

/// What it does to every request from now on, until told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing: it works.
    None,
    /// Answers 503.
    Down,
    /// Closes the connection.
    Reset,
    /// Never answers.
    Silent,
    /// Answers half a document.
    Garbage,
    /// Answers after so many milliseconds.
    Slow(u32),
}

impl OidcProvider {
    /// Starts it at an address of a host and waits until it serves.
    pub fn start(host: &Namespace, address: SocketAddr, authority: &Authority, settings: &Settings) -> Result<Self> {
        let name = format!("{NAME}-{}", address.port());
        let made = authority.certify(&name, &[address.ip()])?;
        let issuer = format!("https://{address}");
        let lifetimes = if settings.lifetimes.is_null() { json!({}) } else { settings.lifetimes.clone() };
        let config = json!({
            "issuer": issuer, "listen": { "address": address.ip(), "port": address.port() },
            "key": made.key, "certificate": made.certificate, "cookie_key": "a key for the cookies of a test",
            "clients": settings.clients, "accounts": settings.accounts, "ttl": lifetimes,
            "resource_scopes": settings.resource_scopes, "login_by_hint": settings.login_by_hint,
        });
        let file = authority.file(&format!("{name}.json"));
        fs::write(&file, config.to_string()).with_context(|| file.display().to_string())?;
        let mut node = command(host, Environment::Providers, "node", authority)?;
        node.arg(script("oidc_provider.mjs")).arg(file).current_dir(home()).env("NODE_ENV", "production");
        let script = Script::start(NAME, node, &authority.file(&format!("{name}.log")))?;
        Ok(Self { issuer, script })
    }

    /// Its issuer, which is also its base address.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs with new keys (ES256, RS256) from now on, and returns the ids of all that it publishes. The old ones stay
    /// published if `keep`.
    pub fn rotate(&self, keep: bool) -> Result<Vec<String>> {
        let answer = self.script.ask(&json!({ "command": "rotate", "keep": keep }))?;
        let kids = answer["kids"].as_array().context("no key ids")?;
        Ok(kids.iter().filter_map(|kid| kid.as_str().map(str::to_owned)).collect())
    }

    /// Ends all sessions of a person, revokes what was given in them, and tells the clients by back-channel logout; how
    /// many were told. What they answered is in the [log](Self::log).
    pub fn end_sessions(&self, sub: &str) -> Result<u64> {
        let answer = self.script.ask(&json!({ "command": "end_sessions", "sub": sub }))?;
        answer["told"].as_u64().context("no number")
    }

    /// Adds an account, or changes the given members of one.
    pub fn account(&self, account: &Value) -> Result<()> {
        self.script.ask(&json!({ "command": "account", "account": account })).map(drop)
    }

    /// The code that the last device to log in shows to the person.
    pub fn user_code(&self) -> Result<String> {
        let answer = self.script.ask(&json!({ "command": "user_code" }))?;
        answer["code"].as_str().map(str::to_owned).context("no device waits")
    }

    /// Gets into trouble, or out of it.
    pub fn trouble(&self, trouble: Trouble) -> Result<()> {
        let milliseconds = if let Trouble::Slow(milliseconds) = trouble { milliseconds } else { 0 };
        let request = json!({ "command": "trouble", "mode": trouble.label(), "milliseconds": milliseconds });
        self.script.ask(&request).map(drop)
    }

    /// `requests` that it was asked and back-channel logouts that succeeded, and `failures`, since the last look.
    pub fn log(&self) -> Result<Value> {
        self.script.ask(&json!({ "command": "log" }))
    }

    /// The process.
    pub fn script(&self) -> &Script {
        &self.script
    }
}

impl Trouble {
    fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Down => "down",
            Self::Reset => "reset",
            Self::Silent => "silent",
            Self::Garbage => "garbage",
            Self::Slow(_) => "slow",
        }
    }
}
