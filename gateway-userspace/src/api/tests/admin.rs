//! Administration, from request to effect.

use super::World;
use super::world::{CLIENT, PASSWORD};

const APP: &str = r#"{"prefixes":["203.0.113.0/24"],"services":["443/tcp"]}"#;
const POLICY: &str = "permit (principal in Group::\"staff\", action == Action::\"connect\", resource == App::\"crm\");";

#[tokio::test]
async fn a_permitted_app_shows_in_the_session_and_disabling_it_takes_it_away() {
    let world = World::new();
    assert_eq!(world.admin("PUT", "/v1/apps/crm").json(APP).send().await.status, 200);
    let put = world.admin("PUT", "/v1/policy").body("text/plain", POLICY).send().await;
    assert_eq!(put.status, 200, "{}", put.text);
    let login = world.log_in("ada", PASSWORD, CLIENT).await.json();
    assert_eq!(login["session"]["apps"][0]["app"], "crm");
    let path = format!("/v1/sessions/{}", login["session"]["token"].as_str().unwrap());
    assert_eq!(world.admin("POST", "/v1/apps/crm/disable").send().await.json()["enabled"], false);
    assert_eq!(world.admin("GET", &path).send().await.json()["apps"], serde_json::json!([]));
    // A replacement that does not say leaves it disabled.
    assert_eq!(world.admin("PUT", "/v1/apps/crm").json(APP).send().await.json()["enabled"], false);
}

#[tokio::test]
async fn an_app_says_what_it_opens_its_budget_and_whether_it_is_a_trip_wire() {
    let world = World::new();
    let put = |body: &str| world.admin("PUT", "/v1/apps/crm").json(body);
    let with = |more: &str| APP.replace('}', &format!(",{more}}}"));
    let full = put(&with(r#""opens":["514/udp"],"budget":2147483648,"trip_wire":true"#)).send().await.json();
    let shown = world.admin("GET", "/v1/apps/crm").send().await.json();
    assert_eq!((&full, &full["budget"]), (&shown, &"2 GiB".into()));
    assert_eq!((&full["opens"][0], &full["trip_wire"]), (&"514/udp".into(), &true.into()));
    assert_eq!(put(&full.to_string()).send().await.json(), full, "what was got can be put");
    let bare = put(APP).send().await.json();
    assert_eq!((&bare["opens"], &bare["trip_wire"], bare.get("budget")), (&serde_json::json!([]), &false.into(), None));
    for (wrong, field) in
        [(r#""opens":["6/ip"]"#, "opens[0]"), (r#""budget":"2 gib""#, "budget"), (r#""budget":0"#, "budget")]
    {
        let refused = put(&with(wrong)).send().await;
        assert_eq!((refused.problem(422), &refused.json()["errors"][0]["field"]), ("invalid".into(), &field.into()));
    }
    put(&with(r#""budget":true"#)).send().await.problem(400);
}

#[tokio::test]
async fn the_policy_changes_only_from_the_generation_that_the_caller_saw() {
    let world = World::new();
    let tag = world.admin("GET", "/v1/policy").send().await.headers["etag"].to_str().unwrap().to_owned();
    let put = |tag: &str| world.admin("PUT", "/v1/policy").header("if-match", tag).body("text/plain", POLICY);
    let first = put(&tag).send().await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_ne!(first.headers["etag"].to_str().unwrap(), tag);
    assert_eq!(put("\"99\"").send().await.problem(412), "generation");
    put("99").send().await.problem(400);
}

#[tokio::test]
async fn a_policy_with_errors_is_422_with_places_and_the_check_reports_the_same() {
    let world = World::new();
    let put = world.admin("PUT", "/v1/policy").body("text/plain", "permit (x);").send().await;
    assert_eq!(put.problem(422), "policy");
    assert_eq!(put.json()["errors"][0]["line"], 1);
    let check = world.admin("POST", "/v1/policy/check").body("text/plain", "permit (x);").send().await.json();
    assert_eq!((&check["valid"], &check["errors"][0]["line"]), (&false.into(), &1.into()));
}

#[tokio::test]
async fn disabling_and_revoking_return_receipts() {
    let world = World::new();
    world.log_in("ada", PASSWORD, CLIENT).await;
    let receipts = world.admin("POST", "/v1/users/ada/disable").send().await.json();
    assert_eq!(
        (&receipts["receipts"][0]["user"], &receipts["receipts"][0]["cause"]),
        (&"ada".into(), &"user_disabled".into())
    );
    world.log_in("bob", PASSWORD, CLIENT).await;
    let receipts = world.admin("POST", "/v1/revocations").json(r#"{"all":true}"#).send().await.json();
    assert_eq!((&receipts["receipts"][0]["user"], &receipts["receipts"][0]["by"]), (&"bob".into(), &"admin".into()));
    for wrong in ["{}", r#"{"all":false}"#, r#"{"user":"ada","all":true}"#] {
        world.admin("POST", "/v1/revocations").json(wrong).send().await.problem(422);
    }
    world.admin("DELETE", "/v1/sessions/00000000000000ab").send().await.problem(404);
}

#[tokio::test]
async fn users_and_groups_come_change_and_go() {
    let world = World::new();
    assert_eq!(world.admin("PUT", "/v1/groups/ops").send().await.status, 200);
    let body = r#"{"display_name":"Cleo","groups":["ops"],"password":"correct horse battery"}"#;
    let cleo = world.admin("PUT", "/v1/users/cleo").json(body).send().await.json();
    assert_eq!((&cleo["enabled"], &cleo["has_password"]), (&true.into(), &true.into()));
    assert_eq!(world.log_in("cleo", PASSWORD, CLIENT).await.status, 200);
    let group = world.admin("DELETE", "/v1/groups/ops/members/cleo").send().await.json();
    assert_eq!(group["members"], serde_json::json!([]));
    let group = world.admin("PUT", "/v1/groups/ops/members/ada").send().await.json();
    assert_eq!(group["members"], serde_json::json!(["ada"]));
    world.admin("PUT", "/v1/users/cleo").json(r#"{"groups":["none"]}"#).send().await.problem(422);
    world.admin("PUT", "/v1/users/cleo/password").json(r#"{"password":"short"}"#).send().await.problem(422);
    let gone = world.admin("DELETE", "/v1/users/cleo").send().await.json();
    assert_eq!(gone["receipts"][0]["cause"], "user_removed");
    world.admin("GET", "/v1/users/cleo").send().await.problem(404);
    world.admin("DELETE", "/v1/groups/none").send().await.problem(404);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::new();
    let first = world.admin("GET", "/v1/users?limit=2").send().await.json();
    assert_eq!((first["items"].as_array().unwrap().len(), &first["next_cursor"]), (2, &"bob".into()));
    let rest = world.admin("GET", "/v1/users?limit=2&cursor=bob").send().await.json();
    assert_eq!((&rest["items"][0]["name"], rest.get("next_cursor")), (&"eve".into(), None));
}

#[tokio::test]
async fn a_token_is_made_shown_once_used_and_removed() {
    let world = World::new();
    let body = r#"{"name":"ci","scopes":["read"]}"#;
    let made = world.admin("POST", "/v1/tokens").json(body).send().await;
    assert_eq!(made.status, 201);
    let (id, secret) = (made.json()["token"]["id"].clone(), made.json()["secret"].as_str().unwrap().to_owned());
    assert_eq!(world.ask("GET", "/v1/drops").bearer(&secret).send().await.json()["items"][0]["reason"], "no_session");
    let list = world.admin("GET", "/v1/tokens").send().await;
    assert!(!list.text.contains(&secret[17..]) && list.text.contains(id.as_str().unwrap()));
    let path = format!("/v1/tokens/{}", id.as_str().unwrap());
    assert_eq!(world.admin("DELETE", &path).send().await.status, 204);
    world.ask("GET", "/v1/drops").bearer(&secret).send().await.problem(401);
    world.admin("DELETE", &path).send().await.problem(404);
    for wrong in
        [r#"{"name":"","scopes":["read"]}"#, r#"{"name":"x","scopes":[]}"#, r#"{"name":"x","scopes":["root"]}"#]
    {
        world.admin("POST", "/v1/tokens").json(wrong).send().await.problem(422);
    }
}
