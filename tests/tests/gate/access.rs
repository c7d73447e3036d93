//! Who may ask the API, and for what.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use gateway_tests::{Api, Gate};
use serde_json::{Value, json};

use crate::scene::{FAMILIES, V4, V6, is_kept_out};

#[test]
fn administration_does_not_exist_for_clients_whatever_they_present() -> Result<()> {
    let gate = Gate::with(|config| {
        config.replace("\"127.0.0.1:8443\"", "\"127.0.0.1:8443\", \"10.77.0.1:8443\", \"[fd77::1]:8443\"")
    })?;
    let token = std::fs::read_to_string(gate.world.scratch().join("state/admin.token"))?;
    for family in FAMILIES {
        let portal = gate.portal(&gate.world.client, family.guard0).bearer(token.trim());
        for path in ["/v1/users", "/v1/sessions", "/v1/status", "/v1/tokens", "/metrics"] {
            portal.get(path)?.problem(404).context(path)?;
        }
        portal.post("/v1/users/alice/disable")?.problem(404)?;
        let before = gate.drops()?;
        is_kept_out(&gate.world.client, SocketAddr::new(family.guard0, 8443));
        assert_eq!(gate.reasons_since(&before)?, ["guard0/own_address"]);
    }
    Ok(())
}

#[test]
fn management_prefixes_open_the_api_to_those_in_them_and_to_nobody_else() -> Result<()> {
    let gate = Gate::with(|config| {
        let listen = r#"listen = ["127.0.0.1:8443", "10.77.0.1:8443", "10.78.0.1:8443", "[fd78::1]:8443"]"#;
        let management = r#"management = ["127.0.0.0/8", "10.78.0.0/24", "fd78::/64"]"#;
        config.replace("listen = [\"127.0.0.1:8443\"]", &format!("{listen}\n{management}"))
    })?;
    let (authority, token) =
        (gate.world.scratch().join("state/api.crt"), gate.world.scratch().join("state/admin.token"));
    let token = std::fs::read_to_string(token)?;
    for family in [V4, V6] {
        let base = format!("https://{}", SocketAddr::new(family.guard1, 8443));
        let api = Api::new(&gate.world.client2, &base, &authority);
        api.get("/v1/status")?.problem(401)?;
        api.bearer(token.trim()).get("/v1/status")?.ok()?;
    }
    is_kept_out(&gate.world.client, SocketAddr::new(V4.guard0, 8443));
    Ok(())
}

#[test]
fn a_token_opens_what_its_scopes_say_until_it_is_taken_back() -> Result<()> {
    let gate = Gate::open()?;
    let request = json!({ "name": "monitoring", "scopes": ["read", "metrics:read"] });
    let made = gate.api.post_json("/v1/tokens", &request)?.ok()?;
    let monitoring = gate.api.bearer(made["secret"].as_str().context("no secret")?);
    monitoring.get("/v1/sessions")?.ok()?;
    assert_eq!(monitoring.get("/metrics")?.status, 200);
    let problem = monitoring.post("/v1/users/alice/disable")?.problem(403)?;
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("`users:write`")), "{problem}");
    monitoring.post_json("/v1/revocations", &json!({ "all": true }))?.problem(403)?;
    monitoring.get("/v1/tokens")?.problem(403)?;
    assert_eq!(gate.api.get("/v1/users/alice")?.ok()?["enabled"], true);

    gate.api.delete(&format!("/v1/tokens/{}", made["token"]["id"].as_str().context("no id")?))?.ok()?;
    monitoring.get("/v1/sessions")?.problem(401)?;
    gate.api.anonymous().get("/v1/sessions")?.problem(401)?;
    gate.api.anonymous().get("/metrics")?.problem(401)?;
    gate.api.bearer("pct_nonsense").get("/v1/sessions")?.problem(401)?;
    Ok(())
}

#[test]
fn the_openapi_document_describes_every_operation() -> Result<()> {
    let gate = Gate::open()?;
    let document = gate.api.anonymous().get("/v1/openapi.json")?.ok()?;
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    for path in ["/v1/login", "/v1/users/{name}/disable", "/v1/revocations", "/v1/policy", "/metrics", "/readyz"] {
        assert_ne!(document["paths"][path], Value::Null, "{path}");
    }
    Ok(())
}
