//! The requests of Okta, as its documentation writes them.

use super::*;

const USER: ResourceKind = ResourceKind::User;
const GROUP: ResourceKind = ResourceKind::Group;

fn new_user() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "test.user@okta.local",
        "name": {"givenName": "Test", "familyName": "User"},
        "emails": [{"primary": true, "value": "test.user@okta.local", "type": "work"}],
        "displayName": "Test User",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": true,
    })
}

#[test]
fn a_user_is_created_without_the_password_that_is_sent_along() {
    let mut world = World::new();
    let id = world.create(USER, new_user()).unwrap();
    assert!(!world.shown(USER, id).to_string().contains("1mz050nq"));
    assert_eq!(world.find(USER, r#"userName eq "test.user@okta.local""#), [id]);
    let mut body = new_user();
    body["password"] = "another".into();
    assert_eq!(world.replace(USER, id, body).unwrap().change, None);
    let patched =
        json!([{"op": "replace", "value": {"password": "x"}}, {"op": "replace", "path": "password", "value": "y"}]);
    assert_eq!(world.patch(USER, id, patched).unwrap().change, None);
}

#[test]
fn a_user_is_disabled_by_put_and_by_patch_without_a_path() {
    let mut world = World::new();
    let id = world.create(USER, new_user()).unwrap();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "value": {"active": false}}],
    });
    world.patch_body(USER, id, body).unwrap();
    assert!(!world.is_active(id));
    let mut body = new_user();
    body["id"] = id.to_string().into();
    body["meta"] = json!({"resourceType": "User", "version": "W/\"1\""});
    world.replace(USER, id, body.clone()).unwrap();
    assert!(world.is_active(id));
    body["active"] = false.into();
    world.replace(USER, id, body).unwrap();
    assert!(!world.is_active(id));
}

#[test]
fn a_group_is_renamed_with_its_identifier_in_the_value() {
    let mut world = World::new();
    let group = world.group("Test SCIMv2", &[]);
    let rename = |id: &str| json!([{"op": "replace", "value": {"id": id, "displayName": "Test SCIMv2 renamed"}}]);
    world.patch(GROUP, group, rename(&group.to_string())).unwrap();
    assert_eq!(world.shown(GROUP, group)["displayName"], "Test SCIMv2 renamed");
    let error = world.patch(GROUP, group, rename("another")).unwrap_err();
    assert_eq!(error.scim_type, Some(ScimType::Mutability));
}

#[test]
fn members_are_added_removed_and_replaced() {
    let mut world = World::new();
    let [ada, eve, bob] = ["ada", "eve", "bob"].map(|name| world.user(name));
    let group = world.group("Test SCIMv2", &[ada]);
    let operations = json!([
        {"op": "remove", "path": format!("members[value eq \"{ada}\"]")},
        {"op": "add", "path": "members", "value": [{"value": eve.to_string(), "display": "test.user@okta.local"}]},
    ]);
    world.patch(GROUP, group, operations).unwrap();
    assert_eq!(world.members_of(group), [eve]);
    let both = [ada, bob].map(|id| json!({"value": id.to_string(), "display": "x"}));
    world.patch(GROUP, group, json!([{"op": "replace", "path": "members", "value": both}])).unwrap();
    assert_eq!(world.members_of(group), [ada, bob]);
    let without_path = json!([{"op": "add", "value": {"members": [{"value": eve.to_string()}]}}]);
    world.patch(GROUP, group, without_path).unwrap();
    assert_eq!(world.members_of(group), [ada, eve, bob]);
    world
        .replace(GROUP, group, json!({"displayName": "Test SCIMv2", "members": [{"value": bob.to_string()}]}))
        .unwrap();
    assert_eq!(world.members_of(group), [bob]);
    for emptied in [
        json!([{"op": "replace", "path": "members", "value": []}]),
        json!([{"op": "remove", "path": "members"}]),
        json!([{"op": "replace", "value": {"members": []}}]),
        json!([{"op": "remove", "path": "members[type eq \"User\"]"}]),
    ] {
        world
            .patch(GROUP, group, json!([{"op": "add", "path": "members", "value": {"value": ada.to_string()}}]))
            .unwrap();
        world.patch(GROUP, group, emptied.clone()).unwrap();
        assert_eq!(world.members_of(group), [], "{emptied}");
    }
}
