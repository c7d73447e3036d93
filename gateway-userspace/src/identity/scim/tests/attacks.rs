//! What nobody should send.

use super::*;

const USER: ResourceKind = ResourceKind::User;
const GROUP: ResourceKind = ResourceKind::Group;

#[test]
fn nobody_writes_what_is_the_servers() {
    let mut world = World::new();
    let ada = world.user("ada");
    let ops = world.group("ops", &[]);
    let body = json!({
        "userName": "ada", "id": "x", "meta": {"version": "W/\"9\"", "created": "1970-01-01T00:00:00Z"},
        "groups": [{"value": ops.to_string()}],
    });
    assert_eq!(world.replace(USER, ada, body).unwrap().change, None);
    for path in
        ["id", "meta", "meta.version", "schemas", "groups", &format!("groups[value eq \"{ops}\"]"), "groups.value"]
    {
        let operation = json!([{"op": "add", "path": path, "value": [{"value": ops.to_string()}]}]);
        let error = world.patch(USER, ada, operation).unwrap_err();
        assert_eq!(error.scim_type, Some(ScimType::Mutability), "{path}");
    }
    assert!(world.patch(USER, ada, json!([{"op": "add", "value": {"groups": [{"value": "x"}]}}])).is_err());
    assert_eq!(world.members_of(ops), []);
}

#[test]
fn a_request_is_done_as_a_whole_or_not_at_all() {
    let mut world = World::new();
    let (ada, eve) = (world.user("ada"), world.user("eve"));
    let ops = world.group("ops", &[ada]);
    let before = (world.shown(USER, ada), world.shown(GROUP, ops));
    let unknown = ResourceId::from_random(u128::MAX);
    let operations = json!([
        {"op": "replace", "path": "displayName", "value": "other"},
        {"op": "add", "path": "members", "value": [{"value": eve.to_string()}]},
        {"op": "add", "path": "members", "value": [{"value": unknown.to_string()}]},
    ]);
    assert!(world.patch(GROUP, ops, operations).is_err());
    let operations = json!([
        {"op": "replace", "path": "active", "value": false}, {"op": "remove", "path": "userName"},
    ]);
    assert_eq!(world.patch(USER, ada, operations).unwrap_err().scim_type, Some(ScimType::Mutability));
    assert_eq!((world.shown(USER, ada), world.shown(GROUP, ops)), before);
}

#[test]
fn operations_that_make_no_sense_are_refused_with_the_word_for_it() {
    use ScimType::*;
    let long = format!("emails[{}]", vec!["type eq \"a\""; 2000].join(" or "));
    let deep = format!("emails[{}type eq \"a\"{}]", "(".repeat(5000), ")".repeat(5000));
    for (operation, scim_type) in [
        (json!({"op": "remove"}), NoTarget),
        (json!({"op": "replace", "path": "emails[type eq \"home\"].value", "value": "x"}), NoTarget),
        (json!({"op": "replace", "path": "emails.value", "value": "x"}), NoTarget),
        (json!({"op": "add", "path": "emails[type ne \"home\"].value", "value": "x"}), NoTarget),
        (json!({"op": "add", "path": "unknown", "value": "x"}), InvalidPath),
        (json!({"op": "add", "path": "emails[", "value": "x"}), InvalidPath),
        (json!({"op": "add", "path": "userName[value eq \"x\"]", "value": "x"}), InvalidPath),
        (json!({"op": "add", "path": "emails[type eq \"work\"].unknown", "value": "x"}), InvalidPath),
        (json!({"op": "add", "path": long, "value": "x"}), InvalidPath),
        (json!({"op": "add", "path": deep, "value": "x"}), InvalidPath),
        (json!({"op": "add", "path": 7, "value": "x"}), InvalidPath),
        (json!({"op": "move", "path": "title", "value": "x"}), InvalidSyntax),
        (json!({"path": "title", "value": "x"}), InvalidSyntax),
        (json!("add"), InvalidSyntax),
        (json!({"op": "add", "path": "title"}), InvalidValue),
        (json!({"op": "add", "value": "x"}), InvalidValue),
        (json!({"op": "add", "path": "title", "value": {"x": 1}}), InvalidValue),
        (json!({"op": "replace", "path": "title", "value": "x".repeat(2000)}), InvalidValue),
        (json!({"op": "replace", "path": "userName", "value": ""}), InvalidValue),
        (json!({"op": "replace", "path": "userName", "value": "a b"}), InvalidValue),
        (json!({"op": "replace", "path": "userName", "value": null}), Mutability),
        (json!({"op": "remove", "path": "userName"}), Mutability),
    ] {
        let mut world = World::new();
        let ada = world.user("ada");
        let error = world.patch(USER, ada, json!([operation])).unwrap_err();
        assert_eq!((error.status, error.scim_type), (400, Some(scim_type)), "{operation}: {error}");
    }
    for body in [json!({}), json!({"Operations": []}), json!({"Operations": {}})] {
        assert!(PatchOperation::read_all(&members(body)).is_err());
    }
}

#[test]
fn filters_do_not_get_out_of_their_text_and_cost_little() {
    let mut world = World::new();
    world.user("ada");
    for filter in [
        "(".repeat(5000),
        vec!["title pr"; 2000].join(" or "),
        "x".repeat(LONGEST_FILTER + 1),
        format!("{}title pr{}", "not (".repeat(100), ")".repeat(100)),
        r#"userName eq "ada" or"#.to_owned(),
        r#"userName eq "ada"; drop table users"#.to_owned(),
        r#"userName eq ada"#.to_owned(),
        "active gt true".to_owned(),
        r#"meta.created gt "yesterday""#.to_owned(),
        r#"name eq "x""#.to_owned(),
        String::new(),
    ] {
        let error = Query::of(USER, &Parameters { filter: Some(filter.clone()), ..Parameters::default() }).unwrap_err();
        assert_eq!(error.scim_type, Some(ScimType::InvalidFilter), "{}", &filter[..filter.len().min(40)]);
    }
    for filter in [r#"userName eq "x\" or userName pr or title eq \"""#, r#"userName eq "*""#, r#"password sw """#] {
        assert_eq!(world.find(USER, filter), [], "{filter}");
    }
}

#[test]
fn absurd_pages_become_sensible_ones() {
    let mut world = World::new();
    let ids: Vec<_> = (0..5).map(|n| world.user(&format!("u{n}"))).collect();
    let page = |start_index, count| {
        let parameters = Parameters { start_index, count, ..Parameters::default() };
        let Page { total, start, ids } = world.search(USER, &parameters).unwrap();
        (total, start, ids)
    };
    assert_eq!(page(None, None), (5, 1, ids.clone()));
    assert_eq!(page(Some(i64::MIN), Some(i64::MAX)), (5, 1, ids.clone()));
    assert_eq!(page(Some(0), Some(-1)), (5, 1, vec![]));
    assert_eq!(page(Some(2), Some(2)), (5, 2, ids[1..3].to_vec()));
    assert_eq!(page(Some(i64::MAX), None).2, []);
}

#[test]
fn a_document_is_bounded_as_a_whole_also_by_small_steps() {
    let mut world = World::new();
    let ada = world.user("ada");
    let photos = |part: u32| -> Vec<_> {
        (0..100).map(|n| json!({"value": format!("{part}-{n}-{}", "x".repeat(900))})).collect()
    };
    let add = |part| json!([{"op": "add", "path": "photos", "value": photos(part)}]);
    let error = world.patch(USER, ada, add(0)).unwrap_err();
    assert!(error.detail.contains("larger than"), "{error}");
    let small = |part: u32| -> Vec<_> { (0..150).map(|n| json!({"value": format!("{part}-{n}")})).collect() };
    world.patch(USER, ada, json!([{"op": "add", "path": "roles", "value": small(0)}])).unwrap();
    let error = world.patch(USER, ada, json!([{"op": "add", "path": "roles", "value": small(1)}])).unwrap_err();
    assert!(error.detail.contains("more than 200"), "{error}");
}

#[test]
fn values_are_counted_after_every_operation() {
    let mut world = World::new();
    let ada = world.user("ada");
    let add = |from: usize| {
        let roles: Vec<_> = (from..from + 150).map(|number| json!({"value": number.to_string()})).collect();
        json!({"op": "add", "path": "roles", "value": roles})
    };
    let error = world.patch(USER, ada, json!([add(0), add(150), {"op": "remove", "path": "roles"}])).unwrap_err();
    assert_eq!(error.scim_type, Some(ScimType::InvalidValue));
    assert!(error.detail.contains("`roles` has more than"), "{error}");
    world.patch(USER, ada, json!([add(0), {"op": "remove", "path": "roles"}, add(150)])).unwrap();
}
