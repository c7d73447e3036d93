//! Canaille, an identity server in Python: authorization code with PKCE and refresh; and it pushes every change of a
//! user or a group to its clients by SCIM, before the change is answered.
//!
//! It finds a user at the client by `externalId`, which is its own id and not the `sub` of its tokens: that is the
//! user name.

use std::{fs, net::SocketAddr};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Authority, Environment, Script, command, script};
use crate::netns::Namespace;

const NAME: &str = "canaille";

/// The provider at work. Dropping ends it.
#[derive(Debug)]
pub struct Canaille {
    issuer: String,
    script: Script,
}

/// What it knows at the start.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Metadata as in the protocol: `client_id`, `client_secret`, `redirect_uris`. A client with a `scim_token` is
    /// pushed to: its `client_uri` is the base of its SCIM resources.
    pub clients: Vec<Value>,
    /// `user_name`, `password`, `family_name`, `given_name`, `formatted_name`, `display_name`, `emails`.
    pub users: Vec<Value>,
    /// `display_name` and the user names of its `members`.
    pub groups: Vec<Value>,
    /// Hosts of the clients: those whose clients show no page of consent, and hear of every user.
    pub trusted: Vec<String>,
}

impl Canaille {
    /// Starts it at an address of a host and waits until it listens; what is pushed at the start has been pushed then.
    pub fn start(host: &Namespace, address: SocketAddr, authority: &Authority, settings: &Settings) -> Result<Self> {
        let name = format!("{NAME}-{}", address.port());
        let made = authority.certify(&name, &[address.ip()])?;
        let config = json!({
            "authority": address.to_string(), "key": made.key, "certificate": made.certificate,
            "clients": settings.clients, "users": settings.users, "groups": settings.groups,
            "trusted": settings.trusted,
        });
        let file = authority.file(&format!("{name}.json"));
        fs::write(&file, config.to_string()).with_context(|| file.display().to_string())?;
        let mut python = command(host, Environment::Providers, "python", authority)?;
        python.arg(script("canaille_peer.py")).arg(file);
        let script = Script::start(NAME, python, &authority.file(&format!("{name}.log")))?;
        Ok(Self { issuer: format!("https://{address}"), script })
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The base of its own SCIM resources, for testers of SCIM.
    pub fn scim(&self) -> String {
        format!("{}/scim/v2", self.issuer)
    }

    /// Adds a user, or changes one: the members of [`Settings::users`], and `new_name`, `locked`, `groups`. Its id,
    /// which is the `externalId` at the clients.
    pub fn user(&self, user: &Value) -> Result<String> {
        self.id_of("user", user)
    }

    /// Adds a group, or changes one: the members of [`Settings::groups`], and `new_name`. Its id. A group without
    /// members is not pushed.
    pub fn group(&self, group: &Value) -> Result<String> {
        self.id_of("group", group)
    }

    /// Deletes a user.
    pub fn delete_user(&self, user_name: &str) -> Result<()> {
        self.script.ask(&json!({ "command": "delete_user", "user_name": user_name })).map(drop)
    }

    /// Deletes a group.
    pub fn delete_group(&self, display_name: &str) -> Result<()> {
        self.script.ask(&json!({ "command": "delete_group", "display_name": display_name })).map(drop)
    }

    /// Signs with new keys from now on, and returns the ids of all that it publishes, the old ones last.
    pub fn rotate(&self) -> Result<Vec<String>> {
        let answer = self.script.ask(&json!({ "command": "rotate" }))?;
        let kids = answer["kids"].as_array().context("no key ids")?;
        Ok(kids.iter().filter_map(|kid| kid.as_str().map(str::to_owned)).collect())
    }

    /// The process. Its log has a line for each push that failed, and for each client that speaks no SCIM.
    pub fn script(&self) -> &Script {
        &self.script
    }

    fn id_of(&self, command: &str, values: &Value) -> Result<String> {
        let mut request = values.clone();
        request["command"] = command.into();
        let answer = self.script.ask(&request)?;
        answer["id"].as_str().map(str::to_owned).context("no id")
    }
}
