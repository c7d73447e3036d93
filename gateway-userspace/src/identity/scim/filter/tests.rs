//! What filters match.

use super::super::Term;
use super::*;
use serde_json::json;

fn document() -> Map<String, Value> {
    let document = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": "42", "externalId": "Ext",
        "userName": "BJensen", "title": "Tour Guide", "active": true, "name": {"familyName": "Jensen"},
        "emails": [
            {"value": "bj@example.com", "type": "work", "primary": true},
            {"value": "babs@home.org", "type": "home"},
        ],
        "meta": {"lastModified": "2026-05-13T04:42:34.000Z", "resourceType": "User"},
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Tours"},
    });
    document.as_object().unwrap().clone()
}

fn matches(filter: &str) -> bool {
    let filter = Filter::parse(ResourceKind::User, filter).unwrap();
    filter.matches(Subject { document: &document(), members: &[] })
}

#[test]
fn a_filter_matches_as_the_rfc_says() {
    for filter in [
        r#"userName eq "bjensen""#,
        r#"USERNAME Eq "BJENSEN""#,
        r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "bj""#,
        r#"name.familyName co "ENS""#,
        r#"userName ew "sen""#,
        r#"title pr"#,
        r#"title gt "t" and title lt "u""#,
        r#"title ge "tour guide" and title le "tour guide""#,
        r#"externalId eq "Ext""#,
        r#"active eq true"#,
        r#"active eq "True""#,
        r#"active ne false"#,
        r#"emails co "example.com""#,
        r#"emails.type eq "home""#,
        r#"emails[type eq "work" and value co "@example.com"]"#,
        r#"emails[not (type eq "work")]"#,
        r#"emails[primary eq true]"#,
        r#"meta.lastModified gt "2026-05-13T06:42:33+02:00""#,
        r#"meta.lastModified eq "2026-05-13T04:42:34Z""#,
        r#"schemas eq "urn:ietf:params:scim:schemas:core:2.0:User""#,
        r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "tours""#,
        r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User pr"#,
        r#"not (nickName pr) and (title eq "x" or userName pr)"#,
        r#"nickName eq null"#,
        r#"nickName ne "x""#,
        r#"id ne 7"#,
        r#"not (unknown eq "x")"#,
    ] {
        assert!(matches(filter), "{filter}");
    }
}

#[test]
fn a_filter_does_not_match_what_it_should_not() {
    for filter in [
        r#"userName eq "bjense""#,
        r#"externalId eq "ext""#,
        r#"nickName pr"#,
        r#"nickName eq "x""#,
        r#"title eq null"#,
        r#"active eq "no""#,
        r#"userName eq true"#,
        r#"id eq 42"#,
        r#"emails[type eq "work" and value co "home.org"]"#,
        r#"emails[unknown eq "work"]"#,
        r#"emails[type eq "other"]"#,
        r#"unknown ne "x""#,
        r#"unknown pr"#,
        r#"urn:example:userName pr"#,
        r#"meta.lastModified lt "2026-05-13T04:42:34Z""#,
        r#"title eq "x" or title eq "y" and userName pr"#,
    ] {
        assert!(!matches(filter), "{filter}");
    }
}

#[test]
fn equality_says_where_to_look() {
    let hints = |filter: &str| Filter::parse(ResourceKind::User, filter).unwrap().hints();
    let term = |term, text: &str| Hint::Term(term, text.to_owned());
    let name = r#"userName eq "Ada""#;
    assert_eq!(hints(name), Some(vec![term(Term::UserName, "ada")]));
    let either = format!(r#"({name} or emails[type eq "work" and value eq "A@b"]) and title pr"#);
    assert_eq!(hints(&either), Some(vec![term(Term::UserName, "ada"), term(Term::Email, "a@b")]));
    assert_eq!(hints(r#"externalId eq "Ext" and title pr"#), Some(vec![term(Term::ExternalId, "Ext")]));
    assert_eq!(hints(r#"id eq "x""#), Some(vec![Hint::Nowhere]));
    for filter in [format!("{name} or title pr"), format!("not ({name})"), r#"emails.type eq "work""#.to_owned()] {
        assert_eq!(hints(&filter), None, "{filter}");
    }
}
