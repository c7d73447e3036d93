//! Bundles, from request to effect.

use super::World;
use super::world::{CLIENT, PASSWORD};
use crate::identity::Scope;
use serde_json::{Value, json};

const STAFF: &str = "permit (principal in Group::\"staff\", action, resource);";

fn bundle(apps: &[&str]) -> Value {
    let app = |(at, name): (usize, &&str)| json!({ "name": name, "prefixes": [format!("203.0.{at}.0/24")], "services": ["443/tcp"] });
    json!({
        "settings": { "timezone": "Europe/Berlin" },
        "groups": ["staff", "hr"],
        "apps": apps.iter().enumerate().map(app).collect::<Vec<_>>(),
        "policies": [{ "name": "staff.cedar", "text": STAFF }],
    })
}

impl World {
    async fn apply(&self, bundle: &Value, query: &str) -> Value {
        let answer = self.admin("PUT", &format!("/v1/bundle{query}")).json(&bundle.to_string()).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.admin("GET", path).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }
}

#[tokio::test]
async fn a_bundle_is_planned_put_in_force_shown_and_rolled_back() {
    let world = World::new();
    let first = world.apply(&bundle(&["crm", "wiki"]), "?message=the%20first").await;
    assert_eq!(
        (&first["changed"], world.apply(&bundle(&["crm", "wiki"]), "").await["changed"].as_bool()),
        (&true.into(), Some(false))
    );
    world.log_in("ada", PASSWORD, CLIENT).await;

    let next = bundle(&["crm", "mail"]);
    let plan = world.admin("POST", "/v1/bundle/plan").json(&next.to_string()).send().await.json();
    assert_eq!(plan["changes"]["apps"], json!({ "added": ["mail"], "changed": [], "removed": ["wiki"] }));
    assert_eq!((&plan["generation"], &plan["sessions_losing"]), (&first["generation"], &1.into()));
    let ada = json!({ "user": "ada", "sessions": 1, "gained": ["mail"], "lost": ["wiki"], "flows_cut": 0 });
    assert_eq!(plan["people"][0], ada);
    assert_eq!(world.get("/v1/bundle").await["apps"][1]["name"], "wiki", "a plan changes nothing");

    let second = world.apply(&next, "").await;
    assert_eq!((&second["sessions_gaining"], &second["sessions_losing"]), (&1.into(), &1.into()));
    let history = world.get("/v1/generations").await;
    let told = |at: usize, member: &str| history[at][member].clone();
    assert_eq!((told(0, "generation"), told(1, "message")), (second["generation"].clone(), "the first".into()));
    let former = world.get(&format!("/v1/generations/{}/bundle", first["generation"])).await;
    assert_eq!(former["apps"][1]["name"], "wiki");

    let path = format!("/v1/generations/{}/rollback?message=oops", first["generation"]);
    assert_eq!(world.admin("POST", &path).send().await.json()["changed"], true);
    assert_eq!(world.get("/v1/bundle").await, former);
    let last = &world.get("/v1/generations").await[0];
    assert_eq!(
        (&last["action"], &last["object"], &last["message"]),
        (&"rolled_back".into(), &first["generation"].to_string().into(), &"oops".into())
    );
    for unknown in ["99", "0"] {
        let path = format!("/v1/generations/{unknown}/rollback");
        world.admin("POST", &path).send().await.problem(404);
    }
}

#[tokio::test]
async fn a_plan_names_who_is_not_logged_in_too() {
    let world = World::new();
    let plan = world.admin("POST", "/v1/bundle/plan").json(&bundle(&["crm"]).to_string()).send().await.json();
    let people: Vec<&Value> = plan["people"].as_array().unwrap().iter().collect();
    let ada = people.iter().find(|person| person["user"] == "ada").unwrap();
    assert_eq!(
        (&ada["sessions"], &ada["gained"], &plan["people_concerned"]),
        (&0.into(), &json!(["crm"]), &people.len().into())
    );
}

#[tokio::test]
async fn all_errors_of_a_bundle_are_told_with_their_places() {
    let world = World::new();
    let mut wrong = bundle(&["crm", "wiki"]);
    wrong["settings"]["timezone"] = "Mars".into();
    wrong["groups"][1] = "h r".into();
    wrong["apps"][1]["services"][0] = "443".into();
    let twin = wrong["apps"][0].clone();
    wrong["apps"].as_array_mut().unwrap().push(twin);
    wrong["policies"] = json!([
        { "name": "../x.cedar", "text": "" },
        { "name": "a.cedar", "text": "permit (principal, action, resource) when { context.mfaa };" },
    ]);
    let refused = world.admin("PUT", "/v1/bundle").json(&wrong.to_string()).send().await;
    assert_eq!(refused.problem(422), "invalid");
    let errors = refused.json();
    let fields: Vec<&str> =
        errors["errors"].as_array().unwrap().iter().map(|it| it["field"].as_str().unwrap()).collect();
    let places =
        ["settings.timezone", "groups[1]", "apps[1].services[0]", "apps[2].name", "policies[0].name", "a.cedar"];
    assert_eq!(fields, places);
    assert_eq!(errors["errors"][5]["line"], 1);

    let mut clash = bundle(&["crm", "wiki"]);
    clash["apps"][1]["prefixes"] = clash["apps"][0]["prefixes"].clone();
    let refused = world.admin("PUT", "/v1/bundle").json(&clash.to_string()).send().await;
    assert_eq!(refused.problem(422), "app");
}

#[tokio::test]
async fn a_generation_waits_for_being_confirmed_and_is_confirmed_once() {
    let world = World::new();
    let confirm = || world.admin("POST", "/v1/bundle/confirm");
    assert_eq!(confirm().send().await.problem(409), "nothing-to-confirm");
    let applied = world.apply(&bundle(&["crm"]), "?confirm_within=5m").await;
    assert!(applied["confirm_until"].is_string());
    let put = world.admin("PUT", "/v1/policy").body("text/plain", STAFF).send().await;
    assert_eq!(put.problem(409), "unconfirmed");
    assert_eq!(confirm().header("if-match", "\"1\"").send().await.problem(412), "generation");
    let confirmed = confirm().send().await.json();
    assert_eq!((&confirmed["generation"], confirmed.get("confirm_until")), (&applied["generation"], None));
    for wrong in ["5", "1s", "25h", "soon"] {
        let path = format!("/v1/bundle?confirm_within={wrong}");
        world.admin("PUT", &path).json(&bundle(&[]).to_string()).send().await.problem(422);
    }
    let long = format!("/v1/bundle?message={}", "x".repeat(1_001));
    world.admin("PUT", &long).json(&bundle(&[]).to_string()).send().await.problem(422);
}

#[tokio::test]
async fn whoever_may_change_policies_alone_changes_no_apps_by_a_bundle() {
    let world = World::new();
    let token = world.token(Scope::PolicyWrite);
    let put = world.ask("PUT", "/v1/bundle").bearer(token).json(&bundle(&[]).to_string()).send().await;
    assert_eq!(put.problem(403), "scope");
    assert_eq!(world.ask("POST", "/v1/generations/1/rollback").bearer(token).send().await.problem(403), "scope");
}
