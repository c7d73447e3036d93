//! Large groups.

use super::*;

#[test]
fn a_group_of_many_changes_by_one_and_says_only_that() {
    let mut world = World::new();
    // A few hundred only, because every step checks the whole directory.
    let users: Vec<_> = (0..300).map(|n| world.user(&format!("u{n}"))).collect();
    let group = world.group("all", &users[1..]);
    let add = json!([{"op": "add", "path": "members", "value": [{"value": users[0].to_string()}]}]);
    let decided = world.patch(ResourceKind::Group, group, add).unwrap();
    let Some(Change::PutGroup { joined, left, resource, .. }) = decided.change else { panic!() };
    assert_eq!((joined.len(), left.len()), (1, 0));
    assert!(resource.document().len() < 100, "{}", resource.document());
}

#[test]
fn more_members_than_a_group_can_have_are_refused() {
    let mut world = World::new();
    let ada = world.user("ada");
    let members = vec![json!(ada.to_string()); MOST_MEMBERS + 1];
    let error = world.create(ResourceKind::Group, json!({"displayName": "all", "members": members})).unwrap_err();
    assert_eq!(error.scim_type, Some(ScimType::InvalidValue));
}
