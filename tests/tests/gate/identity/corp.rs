//! A company: a gateway, the identity provider that it believes, and people with a browser.
//!
//! The provider is on the gateway's own host, at the address that clients see, on a port that is open to everybody: nobody
//! could sign in otherwise.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{
    Api, Gate, Launch, World,
    gate::{READY, binary},
    peer::{Authority, Browser, OidcProvider, Page, oidc_provider::Settings},
    world::at,
};
use serde_json::{Value, json};

pub const PORT: u16 = 9443;
/// How the provider knows the gateway. Neither may stand in a header as it is (RFC 6749, 2.3.1).
pub const CLIENT: &str = "the gateway";
pub const SECRET: &str = "a secret: 100% safe";
/// The same for providers that do not know that.
pub const PLAIN: (&str, &str) = ("gateway", "a-secret");
/// Where browsers find the gateway, and providers find it.
pub const PORTAL: &str = "https://10.77.0.1";
pub const MANAGEMENT: &str = "https://127.0.0.1:8443";
pub const SCIM: &str = "https://127.0.0.1:8443/scim/v2";
/// What the provider shows when it pushes.
pub const SCIM_TOKEN: &str = "the token of the company";
pub const PASSWORD: &str = "correct horse battery";

/// What is asked for.
pub const SCOPES: &str = "scopes = [\"profile\", \"email\", \"groups\"]";

/// A company. Dropping ends and removes everything.
pub struct Corp<P = OidcProvider> {
    pub provider: P,
    /// alice's, on the client.
    pub browser: Browser,
    pub gate: Gate,
    pub authority: Authority,
}

impl Corp {
    /// With the provider of npm, and these lines for it in the configuration.
    pub fn open(lines: &str) -> Result<Self> {
        Self::with(lines, &settings())
    }

    /// The same with a provider that knows other people.
    pub fn with(lines: &str, settings: &Settings) -> Result<Self> {
        Self::prepared(lines, settings, |_, _| Ok(())).map(|(corp, ())| corp)
    }

    /// The same with what has to be there before the gateway starts.
    pub fn prepared<T>(
        lines: &str,
        settings: &Settings,
        prepare: impl FnOnce(&World, &Authority) -> Result<T>,
    ) -> Result<(Self, T)> {
        let start = |world: &World, authority: &Authority| {
            let prepared = prepare(world, authority)?;
            Ok((OidcProvider::start(&world.gateway, address(), authority, settings)?, prepared))
        };
        let company = Corp::around(&issuer(), (CLIENT, SECRET), &format!("{SCOPES}\n{lines}"), start)?;
        let Corp { provider: (provider, prepared), browser, gate, authority } = company;
        Ok((Self { provider, browser, gate, authority }, prepared))
    }

    /// Somebody signs in by the provider's form, in this browser; what they see then.
    pub fn sign_in(&self, browser: &Browser, user: &str) -> Result<Page> {
        self.sign_in_at(browser, &format!("{PORTAL}/sign-in/corp"), user)
    }

    /// The same from another address of the gateway.
    pub fn sign_in_at(&self, browser: &Browser, url: &str, user: &str) -> Result<Page> {
        let page = last(browser.visit(url, "")?)?;
        fill_in(browser, page, user, "")
    }

    /// The same until the browser is sent back to the gateway, which it does not follow: where it would go.
    pub fn sign_in_halfway(&self, browser: &Browser, user: &str) -> Result<String> {
        let back = format!("{PORTAL}/sign-in/corp/callback");
        let page = last(browser.visit(&format!("{PORTAL}/sign-in/corp"), &back)?)?;
        let page = if page.location.is_some() { page } else { fill_in(browser, page, user, &back)? };
        page.location.with_context(|| format!("not sent back: {} {}", page.status, page.body))
    }
}

fn fill_in(browser: &Browser, page: Page, user: &str, until: &str) -> Result<Page> {
    // Whoever is signed in at the provider already sees no form.
    let Ok(form) = page.form("login") else { return Ok(page) };
    let form = form.fill("login", user).fill("password", PASSWORD);
    last(browser.follow(browser.submit(&page, &form)?, until)?)
}

impl<P> Corp<P> {
    /// With any provider. The gateway's certificate is one of the authority, so that everybody trusts it.
    pub fn around(
        issuer: &str,
        (client, secret): (&str, &str),
        lines: &str,
        start: impl FnOnce(&World, &Authority) -> Result<P>,
    ) -> Result<Self> {
        let (world, authority) = (World::new()?, Authority::new()?);
        let (state, scratch) = (world.scratch().join("state"), world.scratch().to_owned());
        fs::DirBuilder::new().mode(0o700).create(&state)?;
        let made = authority.certify("gateway", &["127.0.0.1".parse()?, at::GUARD0, at::GUARD1])?;
        fs::copy(&made.certificate, state.join("api.crt"))?;
        fs::copy(&made.key, state.join("api.key"))?;
        fs::set_permissions(state.join("api.key"), fs::Permissions::from_mode(0o600))?;
        for (name, secret) in [("client", secret), ("scim", SCIM_TOKEN)] {
            fs::write(scratch.join(name), format!("{secret}\n"))?;
        }
        let provider = start(&world, &authority)?;
        let section = section("corp", issuer, client, &authority, lines);
        let launch = Launch::new(binary("portcullisd")?, READY);
        let gate = Gate::launch_inside(world, launch, |config| configured(&config, &section))?;
        let browser = Browser::new(&gate.world.client, &authority);
        Ok(Self { provider, browser, gate, authority })
    }

    /// The gateway's SCIM, as the provider asks it.
    pub fn scim(&self, token: &str) -> Api {
        let authority = self.authority.root();
        Api::new(&self.gate.world.gateway, SCIM, &authority).bearer(token)
    }

    /// The sessions at the gateway.
    pub fn sessions(&self) -> Result<Vec<Value>> {
        let found = self.gate.api.get("/v1/sessions")?.ok()?;
        Ok(found["items"].as_array().context("no sessions")?.clone())
    }

    /// The only session.
    pub fn session(&self) -> Result<Value> {
        let found = self.sessions()?;
        ensure!(found.len() == 1, "not one session: {found:?}");
        Ok(found.into_iter().next().unwrap_or_default())
    }
}

/// What the configuration says of a provider.
pub fn section(name: &str, issuer: &str, client: &str, authority: &Authority, lines: &str) -> String {
    let ca = authority.root().display().to_string();
    format!(
        "[[provider]]\nname = \"{name}\"\ntitle = \"Example Corp\"\nissuer = \"{issuer}\"\nclient_id = \"{client}\"\n\
         client_secret_file = \"{{scratch}}/client\"\nca = \"{ca}\"\n{lines}\n"
    )
}

/// The configuration of the demonstration with providers.
pub fn configured(config: &str, providers: &str) -> String {
    let config = config.replace("[login]", &format!("[login]\nurl = \"{PORTAL}\""));
    let service = format!(
        "[[service]]\nname = \"idp\"\nprotocol = \"tcp\"\nport = {PORT}\naccess = \"everyone\"\naddresses = [\"{}\"]\n",
        at::GUARD0
    );
    format!("{config}\n{service}\n{providers}")
}

pub fn address() -> SocketAddr {
    SocketAddr::new(at::GUARD0, PORT)
}

pub fn issuer() -> String {
    format!("https://{}", address())
}

/// alice is in `finance`, bob in `ops`; the gateway hears of every logout.
pub fn settings() -> Settings {
    let grants = ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"];
    let person = |sub: &str, name: &str, group: &str| {
        json!({ "sub": sub, "preferred_username": name, "name": name.to_uppercase(), "groups": [group],
            "email": format!("{name}@example.com"), "password": PASSWORD, "amr": ["pwd"] })
    };
    Settings {
        clients: vec![json!({
            "client_id": CLIENT, "client_secret": SECRET, "grant_types": grants,
            "redirect_uris": [format!("{PORTAL}/sign-in/corp/callback")],
            "post_logout_redirect_uris": [format!("{PORTAL}/")],
            "backchannel_logout_uri": format!("{MANAGEMENT}/oidc/corp/logout"),
            "backchannel_logout_session_required": true,
        })],
        accounts: vec![person("u-1", "alice", "finance"), person("u-2", "bob", "ops")],
        ..Settings::default()
    }
}

/// The last page that a browser came to.
pub fn last(pages: Vec<Page>) -> Result<Page> {
    pages.into_iter().last().context("no page")
}
