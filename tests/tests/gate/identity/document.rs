//! The OpenAPI document is what the gateway does: schemathesis reads it, asks all that it allows and forbids, and looks at
//! the answers.

use anyhow::Result;
use gateway_tests::{
    Namespace,
    peer::{schemathesis, schemathesis::Options},
};

use super::corp::{Corp, MANAGEMENT, SCIM_TOKEN};
use super::provision::PUSHED;

/// Not stateful: what one answer says is not asked for in the next. Sequences are tried elsewhere.
const ALL: &str = "examples,coverage,fuzzing";

/// As whom is asked.
struct Caller<'c> {
    host: &'c Namespace,
    base: &'c str,
    token: Option<&'c str>,
}

/// `about` are arguments that choose operations.
fn is_kept(corp: &Corp, caller: &Caller<'_>, phases: &str, about: &[&str]) -> Result<()> {
    let Caller { host, base, token } = caller;
    let options = Options {
        checks: [
            "not_a_server_error",
            "status_code_conformance",
            "content_type_conformance",
            "response_schema_conformance",
        ]
        .map(str::to_owned)
        .to_vec(),
        examples: 10,
        headers: token.iter().map(|token| format!("Authorization: Bearer {token}")).collect(),
        arguments: ["--phases", phases].iter().chain(about).map(|word| (*word).to_owned()).collect(),
        ..Options::default()
    };
    let outcome = schemathesis(host, &format!("{base}/v1/openapi.json"), &corp.authority, &options)?;
    assert!(outcome.passed, "{base} {about:?}: {}", outcome.report);
    Ok(())
}

#[test]
fn the_management_interface_answers_as_its_document_says() -> Result<()> {
    let corp = Corp::open("")?;
    let admin = std::fs::read_to_string(corp.gate.world.scratch().join("state/admin.token"))?;
    // SCIM has a token of its own, pages are for people, and removing tokens could hit the one that is asked with. Of what
    // providers push, schemathesis can make no signed token.
    let others = "^/v1/tokens/|^/ssf/|^/v1/drops/capture";
    let most = ["--exclude-tag", "scim", "--exclude-tag", "pages", "--exclude-path-regex", others];
    // A capture lasts as long as it is asked to, up to nine minutes: none is asked for at random.
    let captures = ["--include-path", "/v1/drops/capture"];
    let caller = Caller { host: &corp.gate.world.gateway, base: MANAGEMENT, token: Some(admin.trim()) };
    is_kept(&corp, &caller, ALL, &most)?;
    is_kept(&corp, &caller, "coverage", &captures)
}

#[test]
fn scim_answers_as_its_document_says() -> Result<()> {
    let corp = Corp::open(PUSHED)?;
    let caller = Caller { host: &corp.gate.world.gateway, base: MANAGEMENT, token: Some(SCIM_TOKEN) };
    is_kept(&corp, &caller, ALL, &["--include-tag", "scim"])
}

#[test]
fn what_people_see_answers_as_its_document_says() -> Result<()> {
    let corp = Corp::open("")?;
    let about = ["--include-tag", "pages", "--include-tag", "session"];
    let caller = Caller { host: &corp.gate.world.client, base: "https://10.77.0.1", token: None };
    is_kept(&corp, &caller, ALL, &about)
}
