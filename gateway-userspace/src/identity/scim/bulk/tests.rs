//! What becomes of bulk requests.

use super::super::tests::World;
use super::*;

fn run(world: &mut World, body: Value) -> Value {
    let mut drawn = 1000;
    let draw = || {
        drawn += 1;
        ResourceId::from_random(drawn)
    };
    let mut bulk = Bulk::read(world.provider.clone(), body.as_object().unwrap(), draw).unwrap();
    while let Some((place, operation)) = bulk.next_operation() {
        let result = world.operate(&operation);
        bulk.done(place, &operation, result);
    }
    bulk.answer("https://gw/scim/v2")
}

fn statuses(answer: &Value) -> Vec<&str> {
    answer["Operations"].as_array().unwrap().iter().map(|operation| operation["status"].as_str().unwrap()).collect()
}

#[test]
fn references_lead_to_what_is_created_before_or_after() {
    let mut world = World::new();
    let eve = world.user("eve");
    let answer = run(
        &mut world,
        json!({"schemas": ["x"], "Operations": [
            {"method": "POST", "path": "/Groups", "bulkId": "g", "data":
                {"displayName": "ops", "members": [{"value": "bulkId:u"}, {"value": eve.to_string()}]}},
            {"method": "post", "path": "/Users", "bulkId": "u", "data": {"userName": "ada"}},
            {"method": "PATCH", "path": "/Users/bulkId:u", "data": {"Operations": [
                {"op": "replace", "path": "active", "value": false}]}},
            {"method": "DELETE", "path": format!("/Users/{eve}"), "version": "W/\"1\""},
        ]}),
    );
    assert_eq!(statuses(&answer), ["201", "201", "200", "204"]);
    let created = &answer["Operations"][0];
    assert_eq!(
        (&created["bulkId"], &created["method"], &created["version"]),
        (&"g".into(), &"POST".into(), &"W/\"1\"".into())
    );
    let group: ResourceId = created["location"].as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap();
    let ada = world.members_of(group);
    assert_eq!(ada.len(), 1);
    assert!(!world.is_active(ada[0]));
}

#[test]
fn two_that_refer_to_each_other_find_each_other() {
    let mut world = World::new();
    let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let user = |own: &str, other: &str| {
        let data = json!({"userName": own, urn: {"manager": {"value": format!("bulkId:{other}")}}});
        json!({"method": "POST", "path": "/Users", "bulkId": own, "data": data})
    };
    let answer = run(&mut world, json!({"Operations": [user("a", "b"), user("b", "a")]}));
    assert_eq!(statuses(&answer), ["201", "201"]);
    let ids = world.find(ResourceKind::User, "userName pr");
    let manager = world.shown(ResourceKind::User, ids[0])[urn]["manager"]["value"].clone();
    assert_eq!(manager, ids[1].to_string());
}

#[test]
fn what_fails_is_told_and_enough_of_it_ends_the_request() {
    let mut world = World::new();
    let bad = json!({"method": "POST", "path": "/Users", "bulkId": "u", "data": {"userName": "a b"}});
    let depends = json!({"method": "POST", "path": "/Groups", "bulkId": "g", "data":
        {"displayName": "ops", "members": [{"value": "bulkId:u"}]}});
    let good = json!({"method": "POST", "path": "/Users", "bulkId": "v", "data": {"userName": "ada"}});
    let elsewhere = json!({"method": "PUT", "path": "/Usersx/1", "data": {}});
    let operations = json!([bad, depends, good, elsewhere]);
    let answer = run(&mut world, json!({"Operations": operations}));
    assert_eq!(statuses(&answer), ["400", "409", "201", "404"]);
    assert_eq!(answer["Operations"][0]["response"]["scimType"], "invalidValue");
    assert_eq!(answer["Operations"][0].get("location"), None);
    let answer = run(&mut World::new(), json!({"Operations": operations, "failOnErrors": 1}));
    assert_eq!(statuses(&answer), ["400"]);
}

#[test]
fn a_request_that_is_none_or_too_large_is_refused() {
    let (world, draw) = (World::new(), || ResourceId::from_random(1));
    let status = |body: Value| Bulk::read(world.provider.clone(), body.as_object().unwrap(), draw).unwrap_err().status;
    let one = json!({"method": "POST", "path": "/Users", "bulkId": "a", "data": {}});
    assert_eq!(status(json!({})), 400);
    assert_eq!(status(json!({"Operations": [1]})), 400);
    assert_eq!(status(json!({"Operations": [], "failOnErrors": 0})), 400);
    assert_eq!(status(json!({"Operations": [one, one]})), 400);
    assert_eq!(status(json!({"Operations": vec![one; MOST_BULK_OPERATIONS + 1]})), 413);
}
