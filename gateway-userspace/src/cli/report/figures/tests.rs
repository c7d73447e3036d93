use super::*;
use crate::cli::report::page;
use crate::wire::Alike;
use serde_json::{Value, json};

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_795_000_000 + seconds).unwrap()
}

fn reached(user: &str, app: &str, first: Option<i64>) -> Reached {
    Reached {
        user: Some(user.into()),
        app: Some(app.into()),
        first: first.map(at),
        last: first.map(at),
        connections: u64::from(first.is_some()),
        to_app_bytes: 10,
        to_client_bytes: 90,
        denied: 3,
    }
}

fn alike(users: &[&str], grants: &[(&str, &str)]) -> Alike {
    let grant = |(app, policy): &(&str, &str)| ReachGrant {
        app: (*app).into(),
        policies: vec![(*policy).into()],
        max_login_age_s: None,
        after_login: true,
        recorded: *policy != "quiet",
        now: 0,
    };
    Alike {
        users: users.iter().map(|user| (*user).to_owned()).collect(),
        groups: Vec::new(),
        grants: grants.iter().map(grant).collect(),
    }
}

#[test]
fn a_grant_is_used_by_whoever_had_a_connection_and_not_by_whoever_was_denied() {
    let reach = ReachMap {
        policy_generation: 1,
        alike: vec![
            alike(&["ada", "bob"], &[("crm", "one"), ("wiki", "two")]),
            alike(&["eve"], &[("crm", "one"), ("vault", "three")]),
            alike(&["nobody"], &[]),
        ],
        inactive: 0,
        apps: Vec::new(),
    };
    let now = [reached("ada", "crm", Some(5)), reached("eve", "crm", None), reached("bob", "vault", Some(5))];
    let before = [reached("bob", "wiki", Some(-100)), reached("ada", "wiki", Some(-200))];
    let Grants { unused, partly, idle, unrecorded } = Grants::of(&reach, &now, &before);
    assert_eq!(unrecorded.count, 0);
    let told = |grants: &[GrantUse]| {
        let one = |g: &GrantUse| format!("{} {}/{} {:?}", g.app, g.used, g.permitted, g.unused_by.names);
        grants.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(told(&unused), ["wiki 0/2 [\"ada\", \"bob\"]", "vault 0/1 [\"eve\"]"]);
    assert_eq!((unused[0].last_used, unused[1].last_used), (Some(at(-100)), None));
    assert_eq!(told(&partly), ["crm 1/3 [\"bob\", \"eve\"]"]);
    assert_eq!((idle.count, &idle.names[..]), (2, &["bob".to_owned(), "eve".to_owned()][..]));
    let new = first_uses(&now, &before);
    assert_eq!(new.items.len(), 2, "{new:?}");
    assert!(first_uses(&before, &before).items.is_empty());
}

#[test]
fn of_a_grant_that_leaves_no_record_nobody_says_that_it_was_not_used() {
    let reach = ReachMap {
        policy_generation: 1,
        alike: vec![
            alike(&["ada"], &[("wiki", "quiet")]),
            alike(&["bob"], &[("crm", "one"), ("wiki", "quiet")]),
            alike(&["eve"], &[("crm", "one")]),
        ],
        inactive: 0,
        apps: Vec::new(),
    };
    let Grants { unused, partly, idle, unrecorded } = Grants::of(&reach, &[], &[]);
    assert_eq!((unused.len(), unused[0].app.as_str(), partly.len()), (1, "crm", 0), "{unused:?}");
    assert_eq!(idle.names, ["eve"], "ada and bob may have used the wiki");
    assert_eq!((unrecorded.count, &unrecorded.names[..]), (1, &["wiki".to_owned()][..]));
}

#[test]
fn apps_and_people_are_added_up_and_who_was_only_denied_has_none() {
    let all = [reached("ada", "crm", Some(5)), reached("ada", "wiki", Some(6)), reached("eve", "crm", None)];
    let apps = uses(&all, |one| one.app.as_ref());
    assert_eq!((apps[0].name.as_str(), apps[0].others, apps[0].denied, apps[0].bytes()), ("crm", 1, 6, 200));
    let people = uses(&all, |one| one.user.as_ref());
    assert_eq!((people[0].name.as_str(), people[0].others, people[1].others), ("ada", 2, 0));
}

/// What the API told of the period from 0 to 100, if it was this, and there are records from -200 on.
fn gathered(digest: Value, reached: Vec<Reached>, before: Result<Vec<Reached>, String>) -> Gathered {
    let mut whole = json!({
        "records": { "login_failed": 1_007, "session_end": 1_500, "admin": 7 }, "oldest": moment(-200), "damaged_files": 0,
        "denied_packets": 0, "observed_packets": 0, "reasons": [], "denied": [], "more_denied": 0, "events": [],
        "more_events": {}, "causes": {}, "enforced": DigestLatency::default(), "last_packet": DigestLatency::default(),
        "lost_events": 0, "lost_records": 0
    });
    let Value::Object(fields) = digest else { panic!("{digest}") };
    whole.as_object_mut().unwrap().extend(fields);
    let status = json!({
        "version": "1", "started_at": moment(-900), "policy_generation": 7, "users": 3, "apps": 2, "sessions": 1,
        "interfaces": [], "tables": [], "drift_entries": 0, "events_lost": 0
    });
    Gathered {
        period: Period { since: at(0), until: at(100) },
        made_at: at(100),
        status: serde_json::from_value(status).unwrap(),
        digest: serde_json::from_value(whole).unwrap(),
        reached,
        before,
        reach: ReachMap {
            policy_generation: 7,
            alike: vec![alike(&["ada"], &[("crm", "one"), ("notes", "quiet")]), alike(&["bob"], &[("vault", "two")])],
            inactive: 0,
            apps: Vec::new(),
        },
        ends: Vec::new(),
        changes: Vec::new(),
        head: Err("no scope".into()),
        samples: Ok(Samples::default()),
    }
}

fn moment(seconds: i64) -> String {
    at(seconds).format(&time::format_description::well_known::Rfc3339).unwrap()
}

#[test]
fn sums_are_those_of_the_gateway_and_what_a_list_lacks_is_said() {
    let event = |kind: &str, what: &str, count: u64| json!({ "type": kind, "user": "ada", "what": what, "count": count, "last": moment(5) });
    let digest = json!({
        "reasons": [{ "reason": "no_grant", "packets": 9_000, "observed": 4, "people": 1_200 }],
        "denied": [{ "user": "ada", "reason": "no_grant", "policies": [], "packets": 3, "observed": 0, "first": moment(1),
            "last": moment(2) }],
        "more_denied": 1_100,
        "events": [event("session_end", "revoked", 2), event("login_failed", "refused", 5)],
        "more_events": { "login_failed": 7, "session_end": 500 },
        "causes": { "expired": 40, "revoked": 1_460 },
    });
    let figures = Figures::of(gathered(digest, Vec::new(), Ok(Vec::new())));
    let [reason] = &figures.denials_by_reason[..] else { panic!("{figures:?}") };
    assert_eq!((reason.packets, reason.people), (9_000, 1_200));
    assert_eq!(figures.revocations.by_cause, [("revoked".to_owned(), 1_460), ("expired".to_owned(), 40)]);
    assert_eq!((figures.failed_logins.items.len(), figures.failed_logins.more), (1, 7));
    assert_eq!((figures.denials.items.len(), figures.denials.more), (1, 1_100));
    assert_eq!((figures.changes.more, figures.totals.failed_logins), (7, 1_007));
    assert_eq!((figures.audit, figures.audit_unknown.as_deref()), (None, Some("no scope")));
    assert_eq!(figures.missing.unrecorded_lost, None);
}

#[test]
fn of_a_grant_that_leaves_no_record_no_list_of_a_report_says_anything() {
    let figures = Figures::of(gathered(json!({}), Vec::new(), Ok(Vec::new())));
    let unused: Vec<_> = figures.unused_grants.items.iter().map(|grant| grant.app.as_str()).collect();
    assert_eq!(unused, ["crm", "vault"]);
    assert_eq!(
        (&figures.unrecorded_apps.names[..], &figures.idle_people.names[..]),
        (&["notes".to_owned()][..], &["bob".to_owned()][..])
    );
    let page = page(&figures).unwrap();
    assert!(page.contains("Policies want no record of connections to notes: whether these were used is not known."));
}

#[test]
fn where_what_was_before_cannot_be_added_up_the_report_says_so_and_nothing_of_it() {
    let now = || vec![reached("ada", "crm", Some(5))];
    let figures = Figures::of(gathered(json!({}), now(), Ok(vec![reached("bob", "vault", Some(-50))])));
    let first: Vec<_> = figures.odd.first_uses.iter().flat_map(|uses| &uses.items).collect();
    assert_eq!((first.len(), figures.unused_grants.items[0].last_used), (1, Some(at(-50))));
    assert!(figures.missing.earlier_unknown.is_none() && !page(&figures).unwrap().contains("could not be added up"));
    let figures = Figures::of(gathered(json!({}), now(), Err("too much to answer".into())));
    assert!(figures.odd.first_uses.is_none() && figures.unused_grants.items[0].last_used.is_none());
    let page = page(&figures).unwrap();
    assert!(
        page.contains("could not be added up: too much to answer.") && page.contains("<td>not known</td>"),
        "{page}"
    );
    let early = Figures::of(gathered(json!({ "oldest": moment(3) }), now(), Ok(Vec::new())));
    assert!(early.missing.begins_late && early.odd.first_uses.is_none(), "the records do not reach back");
}
