//! Why somebody reaches an app or does not: the twin's law and the policies, from request to sentence.

use super::World;
use super::world::{CLIENT, PASSWORD};
use serde_json::{Value, json};

const HOUR: u64 = 3_600_000_000_000;
const POLICY: &str = r#"
@id("staff-crm") permit (principal in Group::"staff", action, resource == App::"crm");
@id("fresh-pay") @reauthenticate("10m") permit (principal in Group::"staff", action, resource == App::"pay");
@id("strong-vault") permit (principal in Group::"staff", action, resource == App::"vault") when { context.mfa };
@id("no-bob") forbid (principal == User::"bob", action, resource == App::"crm");
"#;

/// With four apps, and ada logged in.
async fn world() -> World {
    let world = World::new();
    for (app, address) in
        [("crm", "203.0.113.1"), ("pay", "203.0.113.2"), ("vault", "203.0.113.3"), ("other", "203.0.113.4")]
    {
        let (prefixes, services) = match app {
            "crm" => (vec![address, "2001:db8::/64"], vec!["411/tcp", "443/tcp"]),
            _ => (vec![address], vec!["443/tcp"]),
        };
        let body = json!({ "prefixes": prefixes, "services": services });
        let put = world.admin("PUT", &format!("/v1/apps/{app}")).json(&body.to_string()).send().await;
        assert_eq!(put.status, 200, "{}", put.text);
    }
    let put = world.admin("PUT", "/v1/policy").body("text/plain", POLICY).send().await;
    assert_eq!(put.status, 200, "{}", put.text);
    world.log_in("ada", PASSWORD, CLIENT).await;
    world
}

impl World {
    async fn explain(&self, question: Value) -> Value {
        let answer = self.admin("POST", "/v1/explain").json(&question.to_string()).send().await;
        assert_eq!(answer.status, 200, "{question}: {}", answer.text);
        let answer = answer.json();
        for one in answer["answers"].as_array().unwrap() {
            let text = |member: &str| one[member].as_str().unwrap();
            assert!(text("sentence").ends_with('.') && text("next_step").ends_with('.'), "{one}");
        }
        answer
    }
}

#[tokio::test]
async fn a_live_session_is_explained_by_the_gate_and_by_the_policies() {
    let world = world().await;
    let ok = world.explain(json!({ "user": "ada", "to": "203.0.113.1:443/tcp" })).await;
    let one = &ok["answers"][0];
    assert_eq!(ok["sentence"], "ada reaches crm at 203.0.113.1:443/tcp: policy `staff-crm` permits it.");
    let told = ["permitted", "decided_by", "verdict", "basis", "ruling", "from", "app", "disagree", "assumed"];
    let expected = json!([true, "kernel", "forward", "policy", "permitted", CLIENT, "crm", false, false]);
    assert_eq!(json!(told.map(|member| one[member].clone())), expected);
    assert_eq!(one["policies"], json!(["staff-crm"]));

    let token = one["session"].as_str().unwrap();
    let of_bob = json!({ "user": "bob", "session": token, "to": "crm" });
    world.admin("POST", "/v1/explain").json(&of_bob.to_string()).send().await.problem(404);
    let no = world.explain(json!({ "user": "ada", "session": token, "to": "203.0.113.3:443/tcp" })).await;
    let one = &no["answers"][0];
    assert_eq!(
        (&one["reason"], &one["ruling"], &one["missing"]),
        (&"no_grant".into(), &"no_policy".into(), &json!(["second_factor"]))
    );
    assert_eq!(no["next_step"], "Log in again, with a second factor.");

    let nothing = world.explain(json!({ "session": token, "to": "203.0.113.3:22/tcp" })).await;
    assert_eq!((&nothing["answers"][0]["reason"], nothing["answers"][0].get("ruling")), (&"app_unknown".into(), None));
    assert!(nothing["sentence"].as_str().unwrap().ends_with("cannot reach 203.0.113.3:22/tcp: no app is there."));
}

#[tokio::test]
async fn a_login_that_is_too_old_is_told_with_both_ages() {
    let world = world().await;
    world.twin.pass(HOUR / 2);
    let no = world.explain(json!({ "user": "ada", "to": "pay" })).await;
    let expected = "ada cannot reach pay at 203.0.113.2:443/tcp: the last login is 30 minutes old, and policy `fresh-pay` accepts 10 minutes.";
    assert_eq!((&no["sentence"], &no["next_step"]), (&expected.into(), &"Log in again.".into()));
    let one = &no["answers"][0];
    assert_eq!(
        (&one["reason"], &one["max_login_age_s"], &one["login_age_s"]),
        (&"reauth_required".into(), &600.into(), &1800.into())
    );
}

#[tokio::test]
async fn an_app_is_each_of_its_services_in_the_family_of_the_client() {
    let world = world().await;
    let answers = world.explain(json!({ "user": "ada", "to": "crm" })).await["answers"].clone();
    let places: Vec<_> = answers.as_array().unwrap().iter().map(|one| one["to"].as_str().unwrap()).collect();
    assert_eq!(places, ["203.0.113.1:411/tcp", "203.0.113.1:443/tcp"]);
    let question = json!({ "user": "ada", "to": "[2001:db8::1]:443/tcp" });
    assert_eq!(world.admin("POST", "/v1/explain").json(&question.to_string()).send().await.problem(422), "invalid");
}

#[tokio::test]
async fn somebody_without_a_session_is_explained_as_after_a_login_and_the_gate_is_asked_about_their_address() {
    let world = world().await;
    let bob = world.explain(json!({ "user": "bob", "to": "vault" })).await;
    assert_eq!(bob["next_step"], "Log in.");
    let one = &bob["answers"][0];
    assert_eq!(
        (&one["permitted"], &one["decided_by"], &one["missing"]),
        (&false.into(), &"policy".into(), &json!(["login"]))
    );
    let there = world.explain(json!({ "user": "bob", "to": "crm", "from": "198.51.100.9" })).await;
    assert_eq!(
        (&there["answers"][0]["reason"], &there["answers"][0]["ruling"]),
        (&"no_session".into(), &"forbidden".into())
    );
    let taken = world.explain(json!({ "user": "bob", "to": "vault", "from": CLIENT })).await;
    assert!(taken["sentence"].as_str().unwrap().contains("belongs to a session of `ada`"), "{taken}");
    let ada = world.explain(json!({ "user": "ada", "to": "crm", "from": CLIENT })).await;
    assert_eq!((&ada["permitted"], &ada["answers"][0]["decided_by"]), (&true.into(), &"kernel".into()));
    let revoke = world.admin("POST", "/v1/revocations").json(r#"{"user":"ada"}"#).send().await;
    assert_eq!(revoke.status, 200, "{}", revoke.text);
    let after = world.explain(json!({ "user": "ada", "to": "crm", "from": CLIENT })).await;
    assert_eq!((&after["permitted"], &after["answers"][0]["reason"]), (&false.into(), &"session_revoked".into()));
}

#[tokio::test]
async fn what_is_assumed_is_said_to_be_and_answered_by_policies_alone() {
    let world = world().await;
    let strong = world.explain(json!({ "user": "ada", "to": "vault", "factors": ["password", "totp"] })).await;
    let one = &strong["answers"][0];
    assert_eq!((&one["assumed"], &one["decided_by"], one.get("verdict")), (&true.into(), &"policy".into(), None));
    assert!(strong["sentence"].as_str().unwrap().starts_with("ada would reach vault"), "{strong}");
    let weak = world.explain(json!({ "user": "ada", "to": "vault", "factors": ["password"] })).await;
    assert_eq!((&weak["permitted"], &weak["answers"][0]["missing"]), (&false.into(), &json!(["second_factor"])));
    let old = world.explain(json!({ "user": "ada", "to": "pay", "login_age": "9h" })).await;
    assert_eq!(old["answers"][0]["ruling"], "login_too_old");
    let put = r#"permit (principal, action, resource == App::"other") when { context.country == "DE" && context.time.hour == 9 };"#;
    assert_eq!(world.admin("PUT", "/v1/policy").body("text/plain", put).send().await.status, 200);
    for (country, at, permitted) in [
        ("DE", "2027-01-04T09:30:00Z", true),
        ("DE", "2027-01-04T10:30:00Z", false),
        ("FR", "2027-01-04T09:30:00Z", false),
    ] {
        let found = world.explain(json!({ "user": "ada", "to": "other", "country": country, "at": at })).await;
        assert_eq!(found["permitted"], permitted, "{country} {at}");
    }
    let token = world.explain(json!({ "user": "ada", "to": "crm" })).await["answers"][0]["session"].clone();
    let later = json!({ "session": token, "to": "crm", "at": "2999-01-01T00:00:00Z" });
    assert!(world.explain(later).await["sentence"].as_str().unwrap().ends_with("then: the session will be over."));
}

#[tokio::test]
async fn switched_off_apps_and_users_are_told_from_policies() {
    let world = world().await;
    world.admin("POST", "/v1/apps/crm/disable").send().await;
    let off = world.explain(json!({ "user": "ada", "to": "crm" })).await;
    assert_eq!(
        (&off["answers"][0]["ruling"], &off["answers"][0]["reason"]),
        (&"app_disabled".into(), &"no_grant".into())
    );
    assert!(off["next_step"].as_str().unwrap().contains("`portcullis app enable crm`"), "{off}");
    world.admin("POST", "/v1/users/ada/disable").send().await;
    let off = world.explain(json!({ "user": "ada", "to": "pay" })).await;
    assert_eq!(off["answers"][0]["ruling"], "user_disabled");
}

#[tokio::test]
async fn tables_that_are_not_what_policies_say_are_reported_and_packets_follow_the_tables() {
    let world = world().await;
    world.twin.plane().tables.grants.clear();
    let drift = world.explain(json!({ "user": "ada", "to": "203.0.113.1:443/tcp" })).await;
    let one = &drift["answers"][0];
    assert_eq!(
        (&one["disagree"], &one["permitted"], &one["reason"]),
        (&true.into(), &false.into(), &"no_grant".into())
    );
    assert!(drift["sentence"].as_str().unwrap().contains("contradict each other"), "{drift}");
}

#[tokio::test]
async fn who_reaches_an_app_and_what_somebody_reaches_come_in_pages_with_a_sentence() {
    let world = world().await;
    let get = async |path: &str| {
        let answer = world.admin("GET", path).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    };
    let who = get("/v1/explain/apps/crm").await;
    assert_eq!(who["sentence"], "1 person reaches crm now, and 1 more would after a login with two factors.");
    assert_eq!((&who["items"][0]["user"], &who["items"][0]["sessions"].as_array().unwrap().len()), (&"ada".into(), &1));
    assert_eq!((&who["items"][1]["user"], &who["items"][1]["sessions"]), (&"eve".into(), &json!([])));
    let what = get("/v1/explain/users/ada?limit=1").await;
    assert_eq!(what["sentence"], "ada reaches 2 apps now, and would reach 1 more after a login with two factors.");
    assert_eq!((&what["items"][0]["app"], &what["next_cursor"]), (&"crm".into(), &"crm".into()));
    let next = get("/v1/explain/users/ada?limit=1&cursor=crm").await;
    assert_eq!((&next["items"][0]["app"], &next["items"][0]["max_login_age_s"]), (&"pay".into(), &600.into()));
    world.admin("GET", "/v1/explain/apps/none").send().await.problem(404);
    world.admin("GET", "/v1/explain/users/none").send().await.problem(404);
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused_with_every_field() {
    let world = world().await;
    for (question, status, field) in [
        (json!({ "to": "crm" }), 422, Value::Null),
        (json!({ "user": "ada", "session": "00000000000000ab", "to": "crm" }), 404, Value::Null),
        (json!({ "user": "ada", "to": "203.0.113.1" }), 422, "to".into()),
        (json!({ "user": "ada", "to": "crm", "factors": ["luck"] }), 422, "factors[0]".into()),
        (json!({ "user": "ada", "to": "crm", "login_age": "old" }), 422, "login_age".into()),
        (json!({ "session": "x", "to": "crm" }), 422, "session".into()),
        (json!({ "session": "00000000000000ab", "to": "crm", "from": CLIENT }), 422, "from".into()),
        (json!({ "session": "00000000000000ab", "to": "crm" }), 404, Value::Null),
        (json!({ "user": "nobody", "to": "crm" }), 404, Value::Null),
        (json!({ "user": "ada", "to": "none" }), 404, Value::Null),
        (json!({ "user": "ada", "to": "crm", "too": "much" }), 400, Value::Null),
    ] {
        let refused = world.admin("POST", "/v1/explain").json(&question.to_string()).send().await;
        refused.problem(status);
        if status == 422 {
            let told = refused.json()["errors"][0].get("field").cloned().unwrap_or_default();
            assert_eq!(told, field, "{question}");
        }
    }
}

#[tokio::test]
async fn who_reaches_what_is_told_by_people_of_equal_reach() {
    let world = World::new();
    let app = r#"{"prefixes":["192.0.2.1/32"],"services":["443/tcp"]}"#;
    assert_eq!(world.admin("PUT", "/v1/apps/wiki").json(app).send().await.status, 200);
    let text = "@id(\"read\") permit (principal in Group::\"staff\", action, resource == App::\"wiki\") unless { principal == User::\"eve\" };";
    assert_eq!(world.admin("PUT", "/v1/policy").body("text/plain", text).send().await.status, 200);
    let map = world.admin("GET", "/v1/reach").send().await.json();
    let alike: Vec<_> = map["alike"].as_array().unwrap().iter().map(|one| (&one["users"], &one["grants"])).collect();
    let grant =
        serde_json::json!([{ "app": "wiki", "policies": ["read"], "after_login": true, "recorded": true, "now": 0 }]);
    let (both, eve) = (serde_json::json!(["ada", "bob"]), serde_json::json!(["eve"]));
    assert_eq!(alike, [(&both, &grant), (&eve, &serde_json::json!([]))], "{map}");
    assert_eq!((&map["alike"][0]["groups"], &map["apps"][0]["name"]), (&serde_json::json!(["staff"]), &"wiki".into()));
    let one = world.admin("GET", "/v1/reach?user=ada&group=staff&app=wiki").send().await.json();
    assert_eq!(one["alike"].as_array().unwrap().len(), 1, "{one}");
    for path in ["/v1/reach?user=nobody", "/v1/reach?group=none", "/v1/reach?app=none"] {
        assert_eq!(world.admin("GET", path).send().await.problem(404), "not-found", "{path}");
    }
    world.admin("GET", "/v1/reach?who=ada").send().await.problem(400);
}
