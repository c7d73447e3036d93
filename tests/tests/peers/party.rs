//! A relying party that believes everything: enough of one to see what a provider says.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{
    Namespace, Outcome,
    peer::{Authority, Browser, Page, token, web},
    tcp_connect,
};
use serde_json::Value;

pub const CLIENT: &str = "gateway";
pub const SECRET: &str = "the secret of the gateway";
/// Where nobody listens: a login ends with the redirect to it.
pub const CALLBACK: &str = "https://gateway.example.com/callback";
pub const SCOPES: &str = "openid profile email groups";
pub const PASSWORD: &str = "correct horse battery";
const NONCE: &str = "a nonce";
const SOON: Duration = Duration::from_secs(5);

/// A host of its own, and who signs the certificates there.
pub struct Party {
    pub host: Namespace,
    pub authority: Authority,
    /// The browser of the person.
    pub browser: Browser,
    /// What the party itself asks with.
    pub back: Browser,
}

impl Party {
    pub fn new() -> Result<Self> {
        let (host, authority) = (Namespace::new("peers")?, Authority::new()?);
        let (browser, back) = (Browser::new(&host, &authority), Browser::new(&host, &authority));
        Ok(Self { host, authority, browser, back })
    }

    pub fn discover(&self, issuer: &str) -> Result<Value> {
        let found = self.back.get(&format!("{issuer}/.well-known/openid-configuration"))?.ok()?;
        ensure!(found["issuer"] == issuer, "the issuer is {} instead of {issuer}", found["issuer"]);
        Ok(found)
    }

    /// The address where a login begins.
    pub fn begin(&self, discovered: &Value, more: &[(&str, &str)]) -> Result<String> {
        let mut parameters = vec![
            ("client_id", CLIENT),
            ("response_type", "code"),
            ("redirect_uri", CALLBACK),
            ("scope", SCOPES),
            ("state", "a state"),
            ("nonce", NONCE),
            ("code_challenge", token::PKCE.1),
            ("code_challenge_method", "S256"),
        ];
        parameters.extend(more);
        Ok(web::with_query(endpoint(discovered, "authorization_endpoint")?, &parameters))
    }

    /// What the code of a redirect to the callback is worth.
    pub fn redeem(&self, discovered: &Value, redirect: &Page) -> Result<Value> {
        ensure!(redirect.parameter("state")? == "a state", "another state: {redirect:?}");
        if discovered["authorization_response_iss_parameter_supported"] == true {
            ensure!(redirect.parameter("iss")? == discovered["issuer"], "another issuer: {redirect:?}");
        }
        let code = redirect.parameter("code")?;
        let (verifier, _) = token::PKCE;
        self.grant(
            discovered,
            "authorization_code",
            &[("code", &code), ("redirect_uri", CALLBACK), ("code_verifier", verifier)],
        )?
        .ok()
    }

    /// One request to the token endpoint, whatever it answers.
    pub fn grant(&self, discovered: &Value, kind: &str, more: &[(&str, &str)]) -> Result<Page> {
        let mut fields = vec![("grant_type", kind), ("client_id", CLIENT), ("client_secret", SECRET)];
        fields.extend(more);
        self.back.post(endpoint(discovered, "token_endpoint")?, &fields)
    }

    /// The claims of the ID token, after a look at those that every provider has to send.
    pub fn claims(&self, discovered: &Value, tokens: &Value) -> Result<Value> {
        let claims = token::claims(id_token(tokens)?)?;
        ensure!(claims["iss"] == discovered["issuer"], "another issuer: {claims}");
        ensure!(claims["nonce"] == NONCE, "another nonce: {claims}");
        ensure!(claims["aud"] == CLIENT || claims["aud"] == serde_json::json!([CLIENT]), "not for us: {claims}");
        ensure!(claims["exp"].as_i64() > claims["iat"].as_i64(), "no lifetime: {claims}");
        Ok(claims)
    }

    /// The ids of the keys that are published.
    pub fn kids(&self, discovered: &Value) -> Result<Vec<String>> {
        let keys = self.back.get(endpoint(discovered, "jwks_uri")?)?.ok()?;
        let keys = keys["keys"].as_array().context("no keys")?;
        Ok(keys.iter().filter_map(|key| key["kid"].as_str().map(str::to_owned)).collect())
    }

    /// Begins a login of a device.
    pub fn device(&self, discovered: &Value) -> Result<Value> {
        let fields = [("client_id", CLIENT), ("client_secret", SECRET), ("scope", SCOPES)];
        self.back.post(endpoint(discovered, "device_authorization_endpoint")?, &fields)?.ok()
    }

    /// Asks whether the person has agreed.
    pub fn poll(&self, discovered: &Value, device: &Value) -> Result<Page> {
        let code = device["device_code"].as_str().context("no device code")?;
        self.grant(discovered, "urn:ietf:params:oauth:grant-type:device_code", &[("device_code", code)])
    }

    /// Whether somebody listens at this port.
    pub fn listens(&self, port: u16) -> Result<bool> {
        Ok(tcp_connect(&self.host, local(port), SOON)? == Outcome::Connected)
    }
}

pub fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub fn endpoint<'a>(discovered: &'a Value, name: &str) -> Result<&'a str> {
    discovered[name].as_str().with_context(|| format!("no `{name}` in {discovered}"))
}

pub fn id_token(tokens: &Value) -> Result<&str> {
    tokens["id_token"].as_str().with_context(|| format!("no ID token in {tokens}"))
}

/// The id of the key that has signed the ID token.
pub fn kid(tokens: &Value) -> Result<String> {
    let header = token::header(id_token(tokens)?)?;
    header["kid"].as_str().map(str::to_owned).with_context(|| format!("no key id in {header}"))
}
