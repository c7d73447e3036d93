//! Requests that cannot be read, and what the client is told.

use super::World;

#[tokio::test]
async fn broken_json_is_400_with_its_place() {
    let world = World::new();
    let answer = world.admin("PUT", "/v1/users/ada").json("{\n  \"groups\": [,]\n}").send().await;
    assert_eq!(answer.problem(400), "bad-request");
    assert_eq!((&answer.json()["errors"][0]["line"], &answer.json()["errors"][0]["column"]), (&2.into(), &14.into()));
}

#[tokio::test]
async fn duplicate_unknown_deep_and_odd_json_is_400() {
    let world = World::new();
    let deep = format!("{{\"groups\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    for body in [
        r#"{"enabled":true,"enabled":false}"#,
        r#"{"enabled":true,"root":true}"#,
        r#"{"display_name":"\ud800"}"#,
        r#"{"enabled":1e999}"#,
        r#"{"enabled":true} {}"#,
        r#"[]"#,
        "",
        &deep,
    ] {
        let answer = world.admin("PUT", "/v1/users/ada").json(body).send().await;
        assert_eq!(answer.problem(400), "bad-request", "{body}");
    }
}

#[tokio::test]
async fn another_media_type_is_415_and_a_large_body_413() {
    let world = World::new();
    let answer = world.admin("PUT", "/v1/users/ada").body("text/html", "{}").send().await;
    assert_eq!(answer.problem(415), "media-type");
    let large = " ".repeat(1024 * 1024 + 1);
    assert_eq!(world.admin("PUT", "/v1/users/ada").json(&large).send().await.problem(413), "too-large");
    let text = format!("// {large}");
    assert_eq!(world.admin("POST", "/v1/policy/check").body("text/plain", text).send().await.status, 200);
}

#[tokio::test]
async fn unknown_parameters_and_names_that_cannot_be_are_400() {
    let world = World::new();
    for path in ["/v1/users?page=2", "/v1/users?limit=x", "/v1/users?limit=1&limit=2", "/v1/sessions?user=%20"] {
        assert_eq!(world.admin("GET", path).send().await.problem(400), "bad-request", "{path}");
    }
    let answer = world.admin("GET", "/v1/users/a%20b").send().await;
    assert!(answer.json()["detail"].as_str().unwrap().contains("name `a b` is not valid"), "{}", answer.text);
    world.admin("GET", "/v1/sessions/xyz").send().await.problem(400);
    world.admin("GET", "/v1/users/%ff").send().await.problem(400);
}

#[tokio::test]
async fn an_app_that_makes_no_sense_is_422_with_every_field() {
    let world = World::new();
    let body = r#"{"prefixes":["192.0.2.1/24"],"services":["443","80/tcp"]}"#;
    let answer = world.admin("PUT", "/v1/apps/crm").json(body).send().await;
    assert_eq!(answer.problem(422), "invalid");
    let errors = answer.json()["errors"].clone();
    assert_eq!((&errors[0]["field"], &errors[1]["field"]), (&"prefixes[0]".into(), &"services[0]".into()));
    let body = r#"{"name":"erp","prefixes":["192.0.2.0/24"],"services":["80/tcp"]}"#;
    assert_eq!(world.admin("PUT", "/v1/apps/crm").json(body).send().await.problem(422), "invalid");
}

#[tokio::test]
async fn probes_answer_without_a_token_and_readiness_says_why_not() {
    let world = World::new();
    assert_eq!(world.ask("GET", "/healthz").send().await.text, "ok\n");
    assert_eq!(world.ask("GET", "/readyz").from("203.0.113.9").send().await.text, "ready\n");
    world.readiness.send_replace(crate::api::Readiness::NotReady("no interface is guarded".into()));
    let answer = world.ask("GET", "/readyz").send().await;
    assert_eq!(answer.problem(503), "unavailable");
    assert_eq!(answer.json()["detail"], "no interface is guarded");
    assert_eq!(world.ask("GET", "/v1/openapi.json").send().await.json()["openapi"], "3.1.0");
    assert!(world.admin("GET", "/metrics").send().await.text.contains("portcullis_sessions"));
}

#[tokio::test]
async fn records_are_asked_for_by_what_they_can_be_and_an_archive_that_is_off_says_how_to_have_one() {
    let world = World::new();
    for (path, detail) in [
        ("/v1/records?type=flow", "`flow` is not a type of records"),
        ("/v1/records?client=10.0.0", "neither an address nor a prefix"),
        ("/v1/records?since=yesterday", "is not a time in RFC 3339"),
        ("/v1/records?cursor=7", "is not valid: use the `next_cursor`"),
        ("/v1/records?session=7", "use its 16 hexadecimal digits"),
        ("/v1/records?port=65536", "port"),
        ("/v1/records?what=7", "what"),
        ("/v1/digest?since=2026-03-02", "is not a time in RFC 3339"),
        ("/v1/reached?app=a%20b", "name `a b` is not valid"),
        ("/v1/denied?until=1h", "is not a time in RFC 3339"),
    ] {
        let answer = world.admin("GET", path).send().await;
        assert_eq!(answer.problem(400), "bad-request", "{path}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(detail), "{path}: {}", answer.text);
    }
    for path in ["/v1/records", "/v1/reached", "/v1/reached?user=ada", "/v1/denied?user=%27%3B--", "/v1/digest"] {
        let answer = world.admin("GET", path).send().await;
        assert_eq!(answer.problem(404), "not-found", "{path}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("records.archive"), "{}", answer.text);
    }
}
