//! Example Corp: a real OpenID provider on the gateway's host, its directory, and the browser of one of its people.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{
    Answer, Api, World,
    peer::{Authority, Browser, OidcProvider, Page, oidc_provider::Settings},
    world::at,
};
use serde_json::{Value, json};

use super::{page, stage::Stage};

/// Where people find the gateway's pages.
pub const PORTAL: &str = "https://10.78.0.1";
/// Where the directory finds the gateway.
const SCIM: &str = "https://127.0.0.1:8443/scim/v2";
const PORT: u16 = 9443;
/// What a file of secrets says, and who is asked for it: the provider at the gateway's word, and the gateway at SCIM's.
const SECRET: &str = "what the provider knows the gateway by";
const TOKEN: &str = "what the gateway knows the directory by";
/// Who carol is to the provider, whatever she is called.
pub const SUB: &str = "e-4711";
/// Her password there.
pub const PASSWORD: &str = "known to the company only";

/// The company. Dropping ends what it runs.
pub struct Corp {
    browser: Browser,
    /// Answers the gateway and the browser until it is dropped.
    _provider: OidcProvider,
    authority: Authority,
}

/// The configuration of the gateway, with that of the provider.
pub fn configured(gateway: &str, provider: &str) -> Result<String> {
    let login = "[login]\n";
    ensure!(gateway.contains(login), "configs/demo/portcullis.toml has no section `[login]`");
    let gateway = gateway.replace(login, &format!("{login}url = \"{PORTAL}\"\n"));
    Ok(format!("{gateway}\n{provider}"))
}

impl Corp {
    /// Starts the provider, and puts the files beside the gateway's configuration that it names.
    pub fn found(world: &World) -> Result<Self> {
        let authority = Authority::new()?;
        let files = world.scratch();
        fs::copy(authority.root(), files.join("corp-ca.pem"))?;
        fs::write(files.join("corp-secret"), SECRET)?;
        fs::write(files.join("corp-scim"), TOKEN)?;
        let address = SocketAddr::new(at::GUARD1, PORT);
        let provider = OidcProvider::start(&world.gateway, address, &authority, &settings())?;
        Ok(Self { browser: Browser::new(&world.client2, &authority), _provider: provider, authority })
    }

    /// Lets the company trust the certificate that the gateway has made.
    pub fn meets_the_gateway(&self, world: &World) -> Result<()> {
        self.authority.trust(&world.scratch().join("state/api.crt"))
    }

    /// The directory tells the gateway something. What it was answered, and after how long, with TLS and all.
    pub fn tell(&self, stage: &Stage, world: &World, method: &str, path: &str, body: &Value) -> Result<Told> {
        stage.command("corp", &format!("curl --request {method} {SCIM}{path} --data @-"));
        stage.output(&without_schemas(body));
        let gateway = Api::new(&world.gateway, SCIM, &self.authority.trusted()).bearer(TOKEN);
        let began = Instant::now();
        let answer = gateway.send(method, path, Some(("application/scim+json", &body.to_string())))?;
        let told = Told { took: began.elapsed(), answer };
        stage.output(&format!("{} after {} ms", told.answer.status, told.took.as_millis()));
        Ok(told)
    }

    /// carol opens an address. The last page that she comes to.
    pub fn open(&self, stage: &Stage, url: &str) -> Result<Page> {
        stage.command("carol", &format!("open {url}"));
        show(stage, self.browser.visit(url, "")?)
    }

    /// She follows a link of a page.
    pub fn follow(&self, stage: &Stage, page: &Page, link: &str, href: &str) -> Result<Page> {
        ensure!(page.body.contains(&format!("href=\"{href}\"")), "no link `{link}` on {}", page.url);
        stage.command("carol", &format!("click [{link}]"));
        show(stage, self.browser.visit(&format!("{PORTAL}{href}"), "")?)
    }

    /// She fills in the form of her company.
    pub fn log_in(&self, stage: &Stage, page: &Page) -> Result<Page> {
        let form = page.form("login")?.fill("login", "carol").fill("password", PASSWORD);
        stage.command("carol", "type carol and her company's password, click [Log in]");
        let first = self.browser.submit(page, &form)?;
        show(stage, self.browser.follow(first, "")?)
    }
}

/// What the directory was answered.
pub struct Told {
    pub answer: Answer,
    pub took: Duration,
}

impl Told {
    /// The id of what was made.
    pub fn id(&self) -> Result<String> {
        let made = self.answer.ok()?;
        made["id"].as_str().map(str::to_owned).with_context(|| format!("no id: {made}"))
    }
}

/// carol, and the gateway as the provider knows it.
fn settings() -> Settings {
    let client = json!({
        "client_id": "portcullis", "client_secret": SECRET, "grant_types": ["authorization_code", "refresh_token"],
        "redirect_uris": [format!("{PORTAL}/sign-in/corp/callback")],
    });
    let carol = json!({ "sub": SUB, "preferred_username": "carol", "name": "Carol", "password": PASSWORD,
        "email": "carol@example.com", "amr": ["pwd"] });
    Settings { clients: vec![client], accounts: vec![carol], ..Settings::default() }
}

/// A document as it is told, without the names of its schemas.
fn without_schemas(body: &Value) -> String {
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        members.remove("schemas");
    }
    body.to_string()
}

/// Shows where a browser was sent, and the page that it came to.
fn show(stage: &Stage, pages: Vec<Page>) -> Result<Page> {
    for to in pages.iter().filter_map(|page| page.location.as_deref()) {
        stage.output(&format!("→ {}", page::address(to)));
    }
    let page = pages.into_iter().last().context("no page")?;
    page::lines(&page.body).iter().for_each(|line| stage.output(&format!("│ {line}")));
    Ok(page)
}
