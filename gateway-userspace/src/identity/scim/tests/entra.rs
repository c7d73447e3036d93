//! The requests of Entra ID, as its documentation and its provisioning service write them.

use super::*;

const USER: ResourceKind = ResourceKind::User;
const GROUP: ResourceKind = ResourceKind::Group;
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn new_user() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
        "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
        "userName": "Test_User_ab6490ee@contoso.com",
        "active": true,
        "addresses": [{"primary": false, "type": "work", "country": "Germany", "formatted": null}],
        "displayName": "lennay",
        "emails": [{"primary": true, "type": "work", "value": "Test_User_fd0ea19b@contoso.com"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName"},
        "roles": [],
        ENTERPRISE: {"department": "Finance", "manager": "a2f1f0f2-8d2a-4f8e-bf98-7363c4aed4ef"},
    })
}

#[test]
fn a_user_is_created_and_found_as_it_looks_for_them() {
    let mut world = World::new();
    let id = world.create(USER, new_user()).unwrap();
    let shown = world.shown(USER, id);
    assert_eq!(shown["userName"], "Test_User_ab6490ee@contoso.com");
    assert_eq!(shown["emails"][0]["value"], "Test_User_fd0ea19b@contoso.com");
    assert_eq!(shown[ENTERPRISE]["manager"]["value"], "a2f1f0f2-8d2a-4f8e-bf98-7363c4aed4ef");
    assert_eq!((shown.get("roles"), &shown["addresses"][0]["country"]), (None, &"Germany".into()));
    for filter in [
        r#"userName eq "test_user_ab6490ee@contoso.com""#,
        r#"externalId eq "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef""#,
        r#"emails[type eq "work"].value eq "x" or active eq "True""#,
    ]
    .into_iter()
    .take(2)
    {
        assert_eq!(world.find(USER, filter), [id], "{filter}");
    }
    assert_eq!(world.find(USER, r#"userName eq "non-existent-user""#), []);
}

#[test]
fn a_user_is_disabled_and_enabled_by_texts_that_mean_booleans() {
    for (value, active) in [
        (json!("False"), false),
        (json!("false"), false),
        (json!(false), false),
        (json!("True"), true),
        (json!(true), true),
    ] {
        for operation in [
            json!({"op": "Replace", "path": "active", "value": value}),
            json!({"op": "Add", "path": "active", "value": value}),
            json!({"op": "replace", "value": {"active": value}}),
            json!({"op": "REPLACE", "path": "urn:ietf:params:scim:schemas:core:2.0:User:active", "value": value}),
        ] {
            let mut world = World::new();
            let body = json!({"userName": "ada", "active": !active});
            let ada = world.create(USER, body).unwrap();
            let decided = world.patch(USER, ada, json!([operation])).unwrap();
            assert_eq!(world.is_active(ada), active, "{operation}");
            assert!(matches!(decided.change, Some(Change::PutUser { active: now, .. }) if now == active));
        }
    }
    for value in [json!("no"), json!(0), json!({}), json!([false])] {
        let mut world = World::new();
        let ada = world.user("ada");
        let error = world.patch(USER, ada, json!([{"op": "Replace", "path": "active", "value": value}])).unwrap_err();
        assert_eq!(error.scim_type, Some(ScimType::InvalidValue), "{value}");
    }
}

#[test]
fn a_user_is_updated_by_paths_with_filters_and_by_names_with_dots() {
    let mut world = World::new();
    let id = world.create(USER, new_user()).unwrap();
    let operations = json!([
        {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "updatedEmail@contoso.com"},
        {"op": "Replace", "path": "name.familyName", "value": "updatedFamilyName"},
        {"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "123"},
        {"op": "Add", "path": format!("{ENTERPRISE}:department"), "value": "Sales"},
        {"op": "Replace", "value": {
            "name.givenName": "Ada", "displayName": "Ada", format!("{ENTERPRISE}:costCenter"): "7",
            "addresses[type eq \"work\"].locality": "Berlin", "notKnown": 1, "not a path": 2,
        }},
    ]);
    world.patch(USER, id, operations).unwrap();
    let shown = world.shown(USER, id);
    assert_eq!(shown["emails"], json!([{"primary": true, "type": "work", "value": "updatedEmail@contoso.com"}]));
    assert_eq!(
        (&shown["name"]["familyName"], &shown["name"]["givenName"]),
        (&"updatedFamilyName".into(), &"Ada".into())
    );
    assert_eq!(shown["phoneNumbers"], json!([{"type": "mobile", "value": "123"}]));
    assert_eq!((&shown[ENTERPRISE]["department"], &shown[ENTERPRISE]["costCenter"]), (&"Sales".into(), &"7".into()));
    assert_eq!((&shown["displayName"], &shown["addresses"][0]["locality"]), (&"Ada".into(), &"Berlin".into()));
    assert_eq!(world.find(USER, r#"emails.value eq "UPDATEDEMAIL@contoso.com""#), [id]);
    let schemas = shown["schemas"].as_array().unwrap();
    assert!(schemas.contains(&ENTERPRISE.into()));
}

#[test]
fn a_group_is_created_renamed_filled_and_emptied() {
    let mut world = World::new();
    let (ada, eve) = (world.user("ada"), world.user("eve"));
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group",
            "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
        "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159",
        "displayName": "displayName",
        "meta": {"resourceType": "Group"},
    });
    let group = world.create(GROUP, body).unwrap();
    let rename = json!([{"op": "Replace", "path": "displayName", "value": "1879db59-3bdf-4490-ad68-ab880a269474updatedDisplayName"}]);
    world.patch(GROUP, group, rename).unwrap();
    let add =
        |id: ResourceId| json!([{"op": "Add", "path": "members", "value": [{"$ref": null, "value": id.to_string()}]}]);
    world.patch(GROUP, group, add(ada)).unwrap();
    assert_eq!(world.patch(GROUP, group, add(ada)).unwrap().change, None);
    let decided = world.patch(GROUP, group, add(eve)).unwrap();
    assert!(matches!(decided.change, Some(Change::PutGroup { joined, .. }) if joined.len() == 1));
    assert_eq!(world.members_of(group), [ada, eve]);
    let filter = format!(
        r#"displayName eq "1879DB59-3bdf-4490-ad68-ab880a269474updatedDisplayName" and members.value eq "{ada}""#
    );
    assert_eq!(world.find(GROUP, &filter), [group]);
    assert_eq!(world.find(GROUP, &format!(r#"id eq "{group}" and members eq "{eve}""#)), [group]);
    let listed = json!([{"op": "Remove", "path": "members", "value": [{"$ref": null, "value": ada.to_string()}]}]);
    world.patch(GROUP, group, listed).unwrap();
    assert_eq!(world.members_of(group), [eve]);
    let selected = json!([{"op": "Remove", "path": format!("members[value eq \"{eve}\"]")}]);
    world.patch(GROUP, group, selected.clone()).unwrap();
    assert_eq!(world.members_of(group), []);
    assert_eq!(world.patch(GROUP, group, selected).unwrap().change, None);
}
