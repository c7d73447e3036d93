//! What holds whatever is sent.

use super::*;
use proptest::prelude::*;

const USER: ResourceKind = ResourceKind::User;

fn multi() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["emails", "phoneNumbers", "roles", "entitlements"])
}

fn word() -> impl Strategy<Value = String> {
    "[abAB]{1,2}"
}

/// A step in the life of a directory: what is done, to which of the resources, with which of the users.
fn step() -> impl Strategy<Value = (u8, usize, usize, String)> {
    (0_u8..9, any::<usize>(), any::<usize>(), word())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn to_add_and_to_remove_again_gives_back_what_was(name in multi(), kept in word(), added in word(), place in word()) {
        prop_assume!(kept != added);
        let mut world = World::new();
        let ada = world.create(USER, json!({"userName": "ada", name: [{"value": kept, "type": "x"}]})).unwrap();
        let before = world.shown(USER, ada);
        world.patch(USER, ada, json!([{"op": "add", "path": name, "value": [{"value": added, "type": place}]}])).unwrap();
        let path = format!("{name}[value eq \"{added}\" and type eq \"{place}\"]");
        prop_assume!(kept.to_lowercase() != added.to_lowercase());
        world.patch(USER, ada, json!([{"op": "remove", "path": path}])).unwrap();
        let after = world.shown(USER, ada);
        prop_assert_eq!(&after[name], &before[name]);
        prop_assert_eq!(&after["meta"]["version"], "W/\"3\"");
    }

    #[test]
    fn indexes_names_and_memberships_agree_after_any_life(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::new();
        let (mut users, mut groups) = (vec![world.user("first")], vec![world.group("first", &[])]);
        for (what, one, other, word) in steps {
            let user = users[one % users.len()];
            let group = groups[other % groups.len()];
            // Refusals are part of life: names are taken, and what was removed is asked for again.
            let _ = match what {
                0 => world.create(USER, json!({"userName": word, "externalId": word})).map(|id| users.push(id)),
                1 => world.create(ResourceKind::Group, json!({"displayName": word})).map(|id| groups.push(id)),
                2 => world.replace(USER, user, json!({"userName": word, "emails": [{"value": word}]})).map(drop),
                3 => world.replace(ResourceKind::Group, group, json!({"displayName": word, "members": [user.to_string()]})).map(drop),
                4 => world.remove(USER, user).map(drop),
                5 => world.remove(ResourceKind::Group, group).map(drop),
                6 => world.patch(ResourceKind::Group, group, json!([{"op": "remove", "path": format!("members[value eq \"{user}\"]")}])).map(drop),
                7 => world.patch(USER, user, json!([{"op": "replace", "value": {"displayName": word, "userName": word}}])).map(drop),
                _ => world.patch(ResourceKind::Group, group, json!([{"op": "add", "path": "members", "value": [{"value": user.to_string()}]}])).map(drop),
            };
            for attribute in ["userName", "externalId", "displayName", "emails.value"] {
                // Compares what the index finds with what looking at everything finds.
                world.find(USER, &format!("{attribute} eq \"{word}\""));
            }
            world.find(ResourceKind::Group, &format!("members.value eq \"{user}\""));
        }
    }

    #[test]
    fn a_filter_matches_what_a_naive_reading_of_it_matches(
        titles in prop::collection::vec(prop::option::of(word()), 1..6),
        filter in expression(),
    ) {
        let mut world = World::new();
        let mut expected = Vec::new();
        for (n, title) in titles.iter().enumerate() {
            let id = world.create(USER, json!({"userName": format!("u{n}"), "title": title})).unwrap();
            if filter.holds(title.as_deref()) {
                expected.push(id);
            }
        }
        prop_assert_eq!(world.find(USER, &filter.text()), expected);
    }

    #[test]
    fn no_body_makes_anything_panic(body in json_value(), path in ".{0,20}") {
        let mut world = World::new();
        let ada = world.user("ada");
        let _ = world.replace(USER, ada, json!({"userName": body, "emails": body, "name": body, "active": body}));
        let _ = world.patch(USER, ada, json!([{"op": "add", "path": path, "value": body}]));
        let _ = world.patch(USER, ada, json!([{"op": "replace", "value": {path.clone(): body, "emails": body, "name.x": body}}]));
        let _ = world.patch(USER, ada, json!([body]));
        let _ = world.create(ResourceKind::Group, json!({"displayName": "g", "members": body}));
        let _ = Query::of(USER, &Parameters { filter: Some(path.clone()), sort_by: Some(path), ..Parameters::default() });
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let name = prop::sample::select(vec!["value", "type", "primary", "op", "path", "members", "x"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.prop_map(str::to_owned), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A filter on titles, read by people.
#[derive(Clone, Debug)]
enum Expression {
    Present,
    Compare(&'static str, String),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

fn expression() -> impl Strategy<Value = Expression> {
    let operator = prop::sample::select(vec!["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]);
    let leaf = prop_oneof![
        Just(Expression::Present),
        (operator, word()).prop_map(|(operator, word)| Expression::Compare(operator, word)),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        let pair = (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
        prop_oneof![
            inner.prop_map(|inner| Expression::Not(Box::new(inner))),
            pair.clone().prop_map(|(one, other)| Expression::And(one, other)),
            pair.prop_map(|(one, other)| Expression::Or(one, other)),
        ]
    })
}

impl Expression {
    fn text(&self) -> String {
        match self {
            Self::Present => "title pr".to_owned(),
            Self::Compare(operator, word) => format!("title {operator} \"{word}\""),
            Self::Not(inner) => format!("not ({})", inner.text()),
            Self::And(one, other) => format!("({}) and ({})", one.text(), other.text()),
            Self::Or(one, other) => format!("({}) or ({})", one.text(), other.text()),
        }
    }

    fn holds(&self, title: Option<&str>) -> bool {
        match self {
            Self::Present => title.is_some(),
            Self::Compare(operator, word) => {
                let word = word.to_lowercase();
                let Some(title) = title.map(str::to_lowercase) else { return *operator == "ne" };
                match *operator {
                    "eq" => title == word,
                    "ne" => title != word,
                    "co" => title.contains(&word),
                    "sw" => title.starts_with(&word),
                    "ew" => title.ends_with(&word),
                    "gt" => title > word,
                    "ge" => title >= word,
                    "lt" => title < word,
                    _ => title <= word,
                }
            }
            Self::Not(inner) => !inner.holds(title),
            Self::And(one, other) => one.holds(title) && other.holds(title),
            Self::Or(one, other) => one.holds(title) || other.holds(title),
        }
    }
}
