//! Orders and pages.

use super::super::tests::World;
use super::*;

fn world() -> (World, [ResourceId; 3]) {
    let mut world = World::new();
    let bodies = [
        json!({"userName": "b", "title": "x", "emails": [{"value": "z"}, {"value": "a", "primary": true}]}),
        json!({"userName": "C", "emails": [{"value": "b"}]}),
        json!({"userName": "a", "title": "X"}),
    ];
    let ids = bodies.map(|body| world.create(ResourceKind::User, body).unwrap());
    (world, ids)
}

#[test]
fn an_order_goes_by_the_preferred_value_and_puts_nothing_last() {
    let (world, [b, c, a]) = world();
    let sorted = |by: &str, order: Option<&str>| {
        let parameters =
            Parameters { sort_by: Some(by.to_owned()), sort_order: order.map(str::to_owned), ..Parameters::default() };
        world.search(ResourceKind::User, &parameters).map(|page| page.ids)
    };
    assert_eq!(sorted("userName", None), Ok(vec![a, b, c]));
    assert_eq!(sorted("userName", Some("Descending")), Ok(vec![c, b, a]));
    assert_eq!(sorted("emails", None), Ok(vec![b, c, a]));
    assert_eq!(sorted("emails.value", Some("descending")), Ok(vec![a, c, b]));
    assert_eq!(sorted("title", None), Ok(vec![b, a, c]));
    assert_eq!(sorted("meta.created", Some("descending")), Ok(vec![a, c, b]));
    for (by, order) in [("unknown", None), ("name", None), ("userName", Some("up"))] {
        assert!(sorted(by, order).is_err(), "{by}");
    }
}

#[test]
fn groups_and_members_can_be_asked_about() {
    let (mut world, [b, c, _]) = world();
    let ops = world.group("Ops", &[b, c]);
    world.group("Empty", &[]);
    let users = |filter: &str| world.find(ResourceKind::User, filter);
    assert_eq!(users(&format!(r#"groups.value eq "{ops}""#)), [b, c]);
    assert_eq!(users(r#"groups[display eq "ops"] and userName eq "c""#), [c]);
    assert_eq!(users("not (groups pr)").len(), 1);
    let groups = |filter: &str| world.find(ResourceKind::Group, filter);
    assert_eq!(groups(&format!(r#"members[value eq "{b}"]"#)), [ops]);
    assert_eq!(groups("members pr"), [ops]);
    assert_eq!(groups(r#"members.value eq "x""#), []);
}

#[test]
fn a_page_is_answered_with_its_place_and_what_is_wanted_of_it() {
    let (mut world, [_, c, a]) = world();
    let body = json!({"startIndex": 2, "count": 2, "ATTRIBUTES": ["userName"], "filter": "userName pr"});
    let query = Query::of(ResourceKind::User, &Parameters::read(body.as_object().unwrap()).unwrap()).unwrap();
    let page = query.select(&query.slice(&world.directory, &world.provider, None, 10));
    assert_eq!(page.ids, [c, a]);
    world.remove(ResourceKind::User, a).unwrap();
    let shown = query.gather(&world.directory, &world.provider, &page);
    let answer = query.answer(&page, &shown, "https://gw/scim/v2");
    assert_eq!(
        (&answer["totalResults"], &answer["startIndex"], &answer["itemsPerPage"]),
        (&3.into(), &2.into(), &1.into())
    );
    let expected =
        json!([{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": c.to_string(), "userName": "C"}]);
    assert_eq!(answer["Resources"], expected);
    for body in [json!({"filter": 1}), json!({"count": "1"}), json!({"attributes": "x"}), json!({"attributes": [1]})] {
        assert!(Parameters::read(body.as_object().unwrap()).is_err(), "{body}");
    }
}
