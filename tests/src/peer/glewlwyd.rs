//! Glewlwyd, an identity server in C as Debian has it: authorization code with PKCE, refresh, device code, back-channel
//! logout; JWT access tokens. It is set up by its own API, as an administrator would.
//!
//! Its login page is a program in the browser, so a person logs in by the API that the page uses.

mod installation;

use std::{fs, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Authority, Browser, Page, web};
use crate::{
    netns::{Namespace, checked},
    process::{Process, wait_until},
    tools,
};

/// The cookie of what it calls a session.
const SESSION: &str = "GLEWLWYD2_OIDC_SESSION";
const DEADLINE: Duration = Duration::from_secs(30);
/// Beside `openid`, which it has from the start.
const SCOPES: [&str; 3] = ["profile", "email", "groups"];
const ALL_SCOPES: &str = "openid profile email groups";

/// The provider at work. Dropping ends it.
#[derive(Debug)]
pub struct Glewlwyd {
    base: String,
    authority: Authority,
    administrator: Browser,
    process: Process,
}

/// What it knows at the start.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// In its words: `client_id`, `client_secret`, `redirect_uri` (a list), `backchannel_logout_uri`.
    pub clients: Vec<Value>,
    /// In its words: `username`, `password`, `name`, `email`, `preferred_username`, `groups`.
    pub users: Vec<Value>,
}

impl Glewlwyd {
    /// Starts it at an address of a host and sets it up.
    pub fn start(host: &Namespace, address: SocketAddr, authority: &Authority, settings: &Settings) -> Result<Self> {
        let command = installation::prepare(host, address, authority)?;
        let process = Process::spawn(command, &authority.file(&format!("glewlwyd-{}.log", address.port())))?;
        let (base, administrator) = (format!("https://{address}"), Browser::new(host, authority));
        let mut provider = Self { base, authority: authority.clone(), administrator, process };
        provider.await_start()?;
        provider.set_up(settings)?;
        Ok(provider)
    }

    /// Its issuer.
    pub fn issuer(&self) -> String {
        format!("{}/api/oidc", self.base)
    }

    /// Logs a person in, in this browser, and agrees that the client is told everything; then the address that was to
    /// be visited (an authorization request, or the one where a device's code is entered) goes through.
    pub fn login(&self, browser: &Browser, user: &str, password: &str, client: &str) -> Result<()> {
        let login = json!({ "username": user, "password": password });
        accepted(&browser.send_json("POST", &format!("{}/api/auth", self.base), &[], &login)?)?;
        let grant = format!("{}/api/auth/grant/{}", self.base, web::encode(client));
        accepted(&browser.send_json("PUT", &grant, &[], &json!({ "scope": ALL_SCOPES }))?)
    }

    /// An address as its login page leads back to it, when the person has logged in and agreed.
    pub fn continued(address: &str) -> String {
        format!("{address}{}g_continue", if address.contains('?') { '&' } else { '?' })
    }

    /// Ends a session of the person in this browser, and tells its clients by back-channel logout.
    pub fn end_session(&self, browser: &Browser, sid: &str) -> Result<()> {
        let url = format!("{}/session/{}/", self.issuer(), web::encode(sid));
        accepted(&browser.send("DELETE", &url, &[], &[])?)
    }

    /// The name of the session in this browser, which is the `sid` of its tokens.
    pub fn session(&self, browser: &Browser) -> Result<String> {
        browser.cookie(SESSION).context("no session in this browser")
    }

    /// Signs with a new key from now on; the old one is not published any more.
    pub fn rotate(&self) -> Result<()> {
        let (key, public) = self.key_pair()?;
        self.request("PUT", "mod/plugin/oidc", &plugin(&self.issuer(), &key, &public))?;
        // What is running keeps its key until it is stopped.
        for action in ["disable", "enable"] {
            self.request("PUT", &format!("mod/plugin/oidc/{action}"), &json!({}))?;
        }
        Ok(())
    }

    /// Adds a user, or changes one; what is not given is kept.
    pub fn user(&self, user: &Value) -> Result<()> {
        let name = user["username"].as_str().context("a user without `username`")?;
        let url = format!("{}/api/user/{}", self.base, web::encode(name));
        let found = self.administrator.get(&url)?;
        let (method, path) =
            if found.status == 200 { ("PUT", format!("user/{name}")) } else { ("POST", "user/".into()) };
        let mut whole = if found.status == 200 { found.json()? } else { json!({ "enabled": true }) };
        for (member, value) in user.as_object().into_iter().flatten() {
            whole[member] = value.clone();
        }
        whole["scope"] = ALL_SCOPES.split(' ').chain(["g_profile"]).collect();
        self.request(method, &path, &whole)
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    fn await_start(&mut self) -> Result<()> {
        let url = format!("{}/config", self.base);
        wait_until("glewlwyd to serve", DEADLINE, || match self.process.exited() {
            Ok(None) => self.administrator.get(&url).is_ok().then_some(true),
            _ => Some(false),
        })
        .and_then(|serves| {
            ensure!(serves, "glewlwyd has ended");
            Ok(())
        })
        .with_context(|| self.process.output())
    }

    fn set_up(&self, settings: &Settings) -> Result<()> {
        self.request("POST", "auth", &json!({ "username": "admin", "password": "password" }))?;
        let mut users = self.administrator.get(&format!("{}/api/mod/user/database", self.base))?.ok()?;
        for (name, is_list) in [("groups", true), ("preferred_username", false)] {
            users["parameters"]["data-format"][name] =
                json!({ "multiple": is_list, "read": true, "write": true, "profile-read": true });
        }
        self.request("PUT", "mod/user/database", &users)?;
        self.request("PUT", "mod/reload/", &json!({}))?;
        for name in SCOPES {
            let scope = json!({ "name": name, "display_name": name, "description": name, "password_required": true, "password_max_age": 0 });
            self.request("POST", "scope/", &with(scope, "scheme", json!({})))?;
        }
        let (key, public) = self.key_pair()?;
        self.request("POST", "mod/plugin/", &plugin(&self.issuer(), &key, &public))?;
        settings.users.iter().try_for_each(|user| self.user(user))?;
        settings.clients.iter().try_for_each(|given| self.request("POST", "client/", &client(given)))
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Result<()> {
        let url = format!("{}/api/{path}", self.base);
        accepted(&self.administrator.send_json(method, &url, &[], body)?)
    }

    fn key_pair(&self) -> Result<(String, String)> {
        let mut generate = tools::command("openssl")?;
        let key = checked(generate.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]))?;
        let file = self.authority.file("glewlwyd-signing.key");
        fs::write(&file, &key)?;
        let public = checked(tools::command("openssl")?.args(["pkey", "-pubout", "-in"]).arg(file))?;
        Ok((key, public))
    }
}

fn accepted(page: &Page) -> Result<()> {
    ensure!(page.status == 200, "glewlwyd: {}: status {}: {}", page.url, page.status, page.body);
    Ok(())
}

fn with(mut object: Value, member: &str, value: Value) -> Value {
    object[member] = value;
    object
}

fn client(given: &Value) -> Value {
    let mut client = json!({
        "name": given["client_id"], "password": given["client_secret"], "confidential": true, "enabled": true,
        "scope": [], "authorization_type": ["code", "refresh_token", "device_authorization"],
        "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"],
        "backchannel_logout_session_required": "true",
    });
    for (member, value) in given.as_object().into_iter().flatten() {
        client[member] = value.clone();
    }
    client
}

/// Its OpenID Connect plugin, which does nothing that is not asked for.
fn plugin(issuer: &str, key: &str, public: &str) -> Value {
    let claim = |name: &str| json!({ "name": name, "user-property": name, "type": "string", "mandatory": true });
    json!({ "module": "oidc", "name": "oidc", "display_name": "OpenID Connect", "parameters": {
        "iss": issuer, "jwt-type": "rsa", "jwt-key-size": "256", "key": key, "cert": public, "jwks-show": true,
        "access-token-duration": 600, "refresh-token-duration": 86400, "code-duration": 60,
        "refresh-token-rolling": true, "auth-type-code-enabled": true, "auth-type-refresh-enabled": true,
        "auth-type-device-enabled": true, "auth-type-client-enabled": false, "auth-type-token-enabled": false,
        "auth-type-id-token-enabled": true, "auth-type-none-enabled": false, "auth-type-password-enabled": false,
        "allowed-scope": ALL_SCOPES.split(' ').collect::<Vec<_>>(), "oauth-as-iss-id": true, "subject-type": "public",
        "pkce-allowed": true, "pkce-required": true, "pkce-method-plain-allowed": false,
        "device-authorization-expiration": 600, "device-authorization-interval": 1,
        "name-claim": "mandatory", "email-claim": "mandatory",
        "claims": [claim("preferred_username"), claim("groups")],
        "session-management-allowed": true, "back-channel-logout-allowed": true,
        "session-cookie-name": SESSION, "session-cookie-expiration": 2_419_200,
        "introspection-revocation-allowed": true, "introspection-revocation-allow-target-client": true,
    } })
}
