//! Those that judge a server.

use std::fs;

use anyhow::Result;
use gateway_tests::{
    HttpServer,
    peer::{Canaille, Check, canaille::Settings, schemathesis, schemathesis::Options, scim_tester},
};
use serde_json::json;

use super::party::{CALLBACK, CLIENT, Party, SECRET, local};

const PORT: u16 = 9448;
const TOKEN: &str = "a token of sixteen";

#[test]
fn scim_checks_tell_what_is_right_and_what_is_not() -> Result<()> {
    let party = Party::new()?;
    let client = json!({
        "client_id": CLIENT, "client_secret": SECRET, "redirect_uris": [CALLBACK], "scim_token": TOKEN,
    });
    let settings = Settings { clients: vec![client], ..Settings::default() };
    let provider = Canaille::start(&party.host, local(PORT), &party.authority, &settings)?;
    let checks = scim_tester(&party.host, &provider.scim(), TOKEN, &party.authority)?;
    let (bad, good): (Vec<_>, Vec<_>) = checks.iter().partition(|check| check.is_violation());
    assert!(good.iter().any(|check| check.title == "service_provider_config_endpoint"), "{checks:?}");
    assert!(good.iter().any(|check| check.resource == "Group"), "{checks:?}");
    // What is known of canaille: its User has to have the enterprise extension, and the tester leaves it out.
    assert!(bad.iter().all(|check| check.resource == "User" || check.resource == "Group"), "{bad:?}");
    let refused = scim_tester(&party.host, &provider.scim(), "another token", &party.authority)?;
    assert!(refused.first().is_some_and(Check::is_violation), "{refused:?}");
    Ok(())
}

#[test]
fn schemathesis_tells_a_server_that_keeps_its_document_from_one_that_does_not() -> Result<()> {
    let party = Party::new()?;
    let server = HttpServer::start(&party.host, local(PORT), "hello")?;
    let base = format!("http://{}", server.address()?);
    let run = |status: &str| {
        let document = json!({
            "openapi": "3.1.0", "info": { "title": "a document", "version": "1" },
            "paths": { "/": { "get": { "responses": { status: { "description": "an answer" } } } } },
        });
        let file = party.authority.file("openapi.json");
        fs::write(&file, document.to_string())?;
        let options = Options {
            checks: vec!["not_a_server_error".to_owned(), "status_code_conformance".to_owned()],
            examples: 3,
            arguments: vec!["--url".to_owned(), base.clone()],
            ..Options::default()
        };
        schemathesis(&party.host, &file.display().to_string(), &party.authority, &options)
    };
    let kept = run("200")?;
    assert!(kept.passed, "{}", kept.report);
    let broken = run("204")?;
    assert!(!broken.passed && broken.report.contains("Undocumented status code"), "{}", broken.report);
    Ok(())
}
