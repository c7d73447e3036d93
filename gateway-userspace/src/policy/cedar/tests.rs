use super::ask::Asked;
use super::*;
use crate::policy::model::{
    App, AppName, Assurance, Attributes, Country, Decision, Factor, GroupName, Kind, Logging, Permitted, ProviderName,
    Risk, UserName,
};
use cedar_policy::{Entities, Request};
use std::collections::BTreeSet;

fn subject(groups: &[&str], factors: &[Factor]) -> Subject {
    Subject {
        user: UserName::new("ada").unwrap(),
        groups: groups.iter().map(|name| GroupName::new(name).unwrap()).collect(),
        factors: factors.iter().copied().collect(),
        assurance: Arc::default(),
        dated: true,
        compliant: false,
        kind: Kind::Person,
        attributes: Attributes::new(),
        risk: Risk::Unknown,
        source: "10.9.0.7".parse().unwrap(),
        zone: "branch".into(),
        country: Country::UNKNOWN,
        moment: Arc::default(),
    }
}

fn app(name: &str, labels: &[&str]) -> App {
    App {
        name: AppName::new(name).unwrap(),
        description: String::new(),
        prefixes: BTreeSet::new(),
        names: Default::default(),
        within: Default::default(),
        services: BTreeSet::new(),
        opens: BTreeSet::new(),
        trip_wire: false,
        outlasts_daemon: false,
        owner: "finance".to_owned(),
        sensitivity: "high".to_owned(),
        budget: None,
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        health: None,
        enabled: true,
    }
}

fn judged(text: &str) -> Judged {
    let policies = PolicySet::parse(text).expect("valid policies");
    policies.decide(&subject(&["finance", "staff"], &[Factor::Password]), &app("payroll", &["pci"]))
}

fn permits(text: &str) -> bool {
    judged(text).decision.permit
}

/// The errors as a person reads them.
fn errors(text: &str) -> Vec<String> {
    let errors = PolicySet::parse(text).expect_err("invalid policies");
    errors.iter().map(|e| format!("{e} ({})", e.hint.as_deref().unwrap_or("-"))).collect()
}

#[test]
fn the_schema_parses_and_requests_fit_it() {
    let kinds = kinds().expect("the schema parses");
    // One that looks at everything, so that nothing is left out.
    let all = PolicySet::parse("permit (principal, action, resource) when { [context].contains(context) };").unwrap();
    let (subject, app) = (subject(&["finance"], &[Factor::Password]), app("payroll", &["pci"]));
    let asked = Asked::new(&all, &subject).unwrap();
    let resource = asked.resource(&app).unwrap();
    let (uid, schema) = (resource.uid(), Some(&kinds.schema));
    Entities::from_entities(asked.people.iter().cloned().chain([resource]), schema).expect("the entities fit");
    Request::new(asked.principal, kinds.connect.clone(), uid, asked.context, schema).expect("the request fits");
}

#[test]
fn what_a_provider_vouches_for_is_seen() {
    let assurance = Assurance {
        provider: Some(ProviderName::new("corp").unwrap()),
        acr: "gold".into(),
        amr: ["otp".to_owned()].into(),
        mfa: true,
    };
    let vouched = Subject { assurance: assurance.into(), compliant: true, ..subject(&[], &[Factor::Provider]) };
    let nobody = subject(&[], &[Factor::Provider]);
    for condition in [
        "context.mfa",
        r#"context.provider == "corp""#,
        r#"context.acr == "gold""#,
        r#"context.amr.contains("otp")"#,
        "context.device.compliant",
    ] {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let policies = PolicySet::parse(&text).expect(condition);
        assert!(policies.decide(&vouched, &app("crm", &[])).decision.permit, "{condition}");
        assert!(!policies.decide(&nobody, &app("crm", &[])).decision.permit, "{condition}");
    }
    let policies = PolicySet::parse(r#"permit (principal, action, resource) when { context.provider == "local" };"#);
    assert!(policies.unwrap().decide(&nobody, &app("crm", &[])).decision.permit);
}

#[test]
fn what_is_known_of_a_user_decides_and_what_is_not_known_is_nothing() {
    let attributes = [("department".to_owned(), "finance".to_owned())].into();
    let known =
        Subject { attributes, kind: Kind::Service, risk: Risk::High, country: Country::of("DE"), ..subject(&[], &[]) };
    for condition in [
        r#"principal.hasTag("department") && principal.getTag("department") == "finance""#,
        r#"principal.kind == "service""#,
        r#"context.risk == "high""#,
        r#"["AT", "CH", "DE"].contains(context.country)"#,
    ] {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let policies = PolicySet::parse(&text).expect(condition);
        assert!(policies.decide(&known, &app("crm", &[])).decision.permit, "{condition}");
        let Judged { decision, faults } = policies.decide(&subject(&[], &[]), &app("crm", &[]));
        assert!(!decision.permit && faults.is_empty(), "{condition}");
    }
    let unguarded = r#"permit (principal, action, resource) when { principal.getTag("department") == "x" };"#;
    assert!(errors(unguarded)[0].contains("department"), "{:?}", errors(unguarded));
    assert!(PolicySet::parse("permit (principal, action, resource) when { principal.department == \"x\" };").is_err());
}

#[test]
fn an_authentication_of_an_unknown_time_is_never_recent() {
    let text = r#"@reauthenticate("4h") permit (principal, action, resource);"#;
    let policies = PolicySet::parse(text).unwrap();
    let undated = Subject { dated: false, ..subject(&[], &[Factor::Provider]) };
    let judged = policies.decide(&undated, &app("crm", &[])).decision;
    assert_eq!((judged.permit, judged.policies, judged.max_authentication_age), (false, vec!["policy0".into()], None));
    let other = PolicySet::parse("permit (principal, action, resource);").unwrap();
    assert!(other.decide(&undated, &app("crm", &[])).decision.permit);
}

#[test]
fn nothing_is_permitted_by_default() {
    assert_eq!(judged(""), Judged { decision: Decision::deny(vec![]), faults: Faults::new() });
    assert!(!permits(r#"permit (principal in Group::"hr", action, resource);"#));
}

#[test]
fn a_policy_permits_by_group_app_label_context_and_user() {
    for condition in [
        "true",
        "!context.mfa",
        r#"context.factors.contains("password")"#,
        r#"context.source.isInRange(ip("10.9.0.0/16"))"#,
        r#"context.zone == "branch""#,
        r#"resource.labels.contains("pci")"#,
        r#"resource.owner == "finance" && resource.sensitivity == "high""#,
        r#"principal == User::"ada""#,
        r#"principal in Group::"staff""#,
    ] {
        let text = format!(
            r#"permit (principal in Group::"finance", action == Action::"connect", resource == App::"payroll") when {{ {condition} }};"#
        );
        assert!(permits(&text), "{condition}");
        assert!(!permits(&text.replace("when", "unless")), "unless {condition}");
    }
}

#[test]
fn a_passkey_counts_as_two_factors() {
    for (factors, expected) in [
        (&[Factor::Password][..], false),
        (&[Factor::Totp], false),
        (&[Factor::Password, Factor::Totp], true),
        (&[Factor::Passkey], true),
        (&[], false),
    ] {
        assert_eq!(subject(&[], factors).has_mfa(), expected, "{factors:?}");
    }
}

#[test]
fn what_no_permit_names_is_denied_and_so_is_everybody_of_a_group_that_nobody_is_in() {
    for text in [
        "",
        "forbid (principal, action, resource) when { context.mfa };",
        r#"permit (principal in Group::"finanse", action, resource);"#,
        r#"permit (principal in Group::"Finance", action, resource == App::"crm");"#,
        r#"permit (principal == User::"finance", action, resource);"#,
    ] {
        assert_eq!(judged(text).decision, Decision::deny(vec![]), "{text}");
    }
}

#[test]
fn forbid_beats_permit_and_is_named() {
    let text = r#"
        permit (principal, action, resource);
        @id("no-passwords") forbid (principal, action, resource) unless { context.mfa };
    "#;
    assert_eq!(judged(text).decision, Decision::deny(vec!["no-passwords".into()]));
}

#[test]
fn a_permit_names_its_policies_in_the_order_of_the_text() {
    let text = r#"permit (principal in Group::"staff", action, resource);
        @id("books") permit (principal in Group::"finance", action, resource == App::"payroll");"#;
    assert_eq!(judged(text).decision.policies, ["policy0", "books"]);
}

#[test]
fn the_most_generous_permit_bounds_the_age_of_authentication() {
    let strict = r#"@reauthenticate("1h") permit (principal, action, resource);"#;
    let lax = r#"@reauthenticate("8h") permit (principal, action, resource == App::"payroll");"#;
    let hour = 3_600_000_000_000;
    assert_eq!(judged(strict).decision.max_authentication_age, Some(hour));
    assert_eq!(judged(&format!("{strict}{lax}")).decision.max_authentication_age, Some(8 * hour));
    let unlimited = format!("{strict} permit (principal, action, resource);");
    assert_eq!(judged(&unlimited).decision.max_authentication_age, None);
}

#[test]
fn a_policy_that_fails_denies_and_is_reported() {
    let text = r#"permit (principal, action, resource);
        @id("sum") permit (principal, action, resource) when { 9223372036854775807 + 1 > 0 };"#;
    let Judged { decision, faults } = judged(text);
    assert_eq!(decision, Decision::deny(vec!["sum".into()]));
    assert!(faults["sum"].contains("overflow"), "{faults:?}");
}

#[test]
fn a_disabled_app_is_denied_whatever_policies_say() {
    let policies = PolicySet::parse("permit (principal, action, resource);").unwrap();
    let off = App { enabled: false, ..app("payroll", &[]) };
    let decision = policies.decide(&subject(&[], &[]), &off).decision;
    assert_eq!(decision, Decision::deny(vec![Decision::APP_DISABLED.into()]));
}

#[test]
fn a_trip_wire_is_granted_to_nobody_whatever_policies_say() {
    let policies = PolicySet::parse("permit (principal, action, resource);").unwrap();
    let trap = App { trip_wire: true, ..app("payroll", &[]) };
    let decision = policies.decide(&subject(&[], &[]), &trap).decision;
    assert_eq!(decision, Decision::deny(vec![Decision::TRIP_WIRE.into()]));
    assert_eq!(policies.decide_all(&subject(&[], &[]), [&trap]).0.len(), 0);
}

#[test]
fn errors_are_told_all_at_once_with_place_and_hint() {
    let text = "permit (principal, action, resource)\nwhen { context.mfaa };\n\n// ünïcode\n@id(\"b\") permit (principal in Grupp::\"x\", action == Action::\"conect\", resource);";
    assert_eq!(
        errors(text),
        [
            "2:8: attribute `mfaa` in context for Action::\"connect\" not found (did you mean `mfa`?)",
            "5:31: unrecognized entity type `Grupp` (did you mean `Group`?)",
            "5:53: unrecognized action `Action::\"conect\"` (did you mean `Action::\"connect\"`?)",
        ]
    );
    let named = PolicySet::parse(text).unwrap_err();
    assert_eq!(named.iter().map(|e| e.policy.as_deref()).collect::<Vec<_>>(), [Some("policy0"), Some("b"), Some("b")]);
}

#[test]
fn syntax_errors_have_a_place() {
    let found = errors("permit (principal, action, resource)\nwhen { context.mfa ;");
    assert!(found[0].starts_with("2:20: unexpected token `;`"), "{found:?}");
    assert!(
        errors("permit (principal, action, resource);\nallow (principal, action, resource);")[0].starts_with("2:1:")
    );
}

#[test]
fn types_are_checked() {
    for condition in
        [r#"context.mfa == "yes""#, "context.zone > 3", "resource.labels", r#"context.source == ip("10.0.0.0/33")"#]
    {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        assert!(PolicySet::parse(&text).is_err(), "{condition}");
    }
}

#[test]
fn annotations_that_mean_something_are_checked() {
    let permit = "permit (principal, action, resource);";
    for (text, expected) in [
        (format!("{permit}\n@reauthenticate(\"8 hours\") {permit}"), "2:1: `8 hours` is not an age"),
        (
            "@reauthenticate(\"8h\") forbid (principal, action, resource);".to_owned(),
            "1:1: `@reauthenticate` has a meaning on `permit` only",
        ),
        (format!("@id(\"a\") {permit}\n@owner(\"me\") @id(\"a\") {permit}"), "2:14: two policies are named `a`"),
        (format!("@id(\"\") {permit}"), "1:1: the name of a policy is empty"),
        ("permit (principal == ?principal, action, resource);".to_owned(), "1:1: templates are not supported"),
        (
            format!("@id(\"a\") @reject {permit}"),
            "1:10: `@reject` has a meaning on `forbid` only (whoever a policy permits something is not denied by it; write \
             it before the `forbid`)",
        ),
        (
            "@reject(\"tcp\") forbid (principal, action, resource);".to_owned(),
            "1:1: `@reject` takes no value, and here is `tcp` (write `@reject` alone, or nothing)",
        ),
        (
            format!("@log(\"Off\") {permit}"),
            "1:1: `Off` is not what `@log` knows (there are `@log(\"on\")`, `@log(\"off\")`, `@log(\"alert\")`)",
        ),
        (format!("@log {permit}"), "1:1: `` is not what `@log` knows (there are"),
    ] {
        let found = errors(&text);
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn who_is_denied_is_told_if_any_of_the_forbids_wants_it_and_of_lines_the_greatest_word_counts() {
    let (permit, forbid) = ("permit (principal, action, resource);", "forbid (principal, action, resource);");
    for (text, expected) in [
        (format!("@log(\"off\") {permit}"), (true, false, Logging::Off)),
        (format!("@log(\"off\") {permit} {permit}"), (true, false, Logging::On)),
        (format!("@log(\"off\") {permit} @log(\"alert\") {permit} {permit}"), (true, false, Logging::Alert)),
        (format!("@log(\"alert\") {permit} {forbid}"), (false, false, Logging::On)),
        (format!("{permit} @reject {forbid} @log(\"off\") {forbid}"), (false, true, Logging::On)),
        (format!("@reject @log(\"off\") {forbid}"), (false, true, Logging::Off)),
        (
            format!("{permit} @reject {forbid} when {{ context.mfa }};").replace("; when", " when"),
            (true, false, Logging::On),
        ),
        (String::new(), (false, false, Logging::On)),
    ] {
        let Decision { permit, reject, log, .. } = judged(&text).decision;
        assert_eq!((permit, reject, log), expected, "{text}");
    }
}

#[test]
fn denials_that_make_a_difference_are_kept_beside_the_permits_and_never_as_such() {
    let text = r#"
        @id("own") permit (principal in Group::"staff", action, resource == App::"wiki");
        @id("shut") forbid (principal, action, resource in App::"wiki") when { context.zone == "branch" };
        @id("told") @reject forbid (principal, action, resource == App::"vault");
        @id("dull") forbid (principal, action, resource == App::"cellar");
        @id("fresh") @reauthenticate("1h") @log("off") permit (principal, action, resource == App::"books");
        @id("sum") permit (principal, action, resource == App::"mail") when { 9223372036854775807 + 1 == 0 };
    "#;
    let policies = PolicySet::parse(text).unwrap();
    let apps = ["wiki", "vault", "cellar", "books", "mail", "nowhere"].map(|name| app(name, &[]));
    let trap = App { trip_wire: true, ..app("vault", &[]) };
    let undated = Subject { dated: false, ..subject(&["staff"], &[]) };
    let (found, faults) = policies.decide_all(&undated, &apps);
    let denied: Vec<_> = found.denied().iter().map(|(app, denial)| (app.as_str(), denial.policies.join(" "))).collect();
    let expected = [("mail", "sum"), ("vault", "told"), ("wiki", "shut")].map(|(app, by)| (app, by.to_owned()));
    // `cellar` would be denied anyway, `books` is not forbidden.
    assert_eq!((denied, found.len(), faults.len()), (expected.to_vec(), 0, 1));
    assert!(found.rejected().map(AppName::as_str).eq(["vault"]));
    assert_eq!(policies.decide_all(&undated, [&trap]).0, Permitted::default());
}

#[test]
fn annotations_for_people_are_kept_and_those_that_mean_nothing_are_refused_with_what_was_meant() {
    let permit = "permit (principal, action, resource);";
    let text = format!(
        "@id(\"a\") @name(\"All\") @owner(\"net\") @ticket(\"N-1\") @description(\"all of it\") {permit}\n{permit}"
    );
    let set = PolicySet::parse(&text).unwrap();
    let kept: Vec<_> = set.annotations("a").collect();
    let expected = [("description", "all of it"), ("id", "a"), ("name", "All"), ("owner", "net"), ("ticket", "N-1")];
    assert_eq!((&kept[..], set.annotations("policy1").count(), set.annotations("b").count()), (&expected[..], 0, 0));
    let all = "there are `@id`, `@reauthenticate`, `@expires`, `@reject`, `@log`, `@name`, `@owner`, `@ticket`, `@description`";
    for (text, expected) in [
        (
            format!("@id(\"a\") @expire(\"2026-12-31\") {permit}"),
            "1:10: `@expire` is not an annotation (did you mean `@expires`?)",
        ),
        (format!("@Owner(\"net\") {permit}"), "1:1: `@Owner` is not an annotation (did you mean `@owner`?)"),
        (format!("@severity(\"7\") {permit}"), &format!("1:1: `@severity` is not an annotation ({all})")),
        (
            format!("@expires(\"soon\") {permit}"),
            "1:1: `soon` is neither a day nor a moment (write the last day, like `2026-12-31`, or a moment, like \
             `2026-12-31T18:00:00+01:00`)",
        ),
    ] {
        assert_eq!(errors(&text), [expected], "{text}");
    }
}

#[test]
fn files_stand_for_themselves_and_their_errors_say_which_it_is() {
    let file = |name: &str, text: &str| PolicyFile { name: name.into(), text: text.into() };
    let permit = "permit (principal, action, resource);";
    let told = |files: Vec<PolicyFile>| -> Vec<String> {
        PolicySet::parse_files(files).unwrap_err().iter().map(ToString::to_string).collect()
    };
    // What the one file leaves open the other one does not close.
    let broken = told(vec![file("a.cedar", "permit (principal, action,"), file("b.cedar", "resource);")]);
    assert!(broken[0].starts_with("a.cedar:1:") && broken[1].starts_with("b.cedar:1:"), "{broken:?}");
    let twice = vec![
        file("a.cedar", &format!("@id(\"x\") {permit}")),
        file(
            "x/b.cedar",
            &format!("{permit}\n@id(\"x\") {permit}\npermit (principal, action, resource) when {{ 1 }};"),
        ),
    ];
    let twice = told(twice);
    assert_eq!(twice[0], "x/b.cedar:2:1: two policies are named `x`");
    assert!(twice[1].starts_with("x/b.cedar:3:45: "), "{twice:?}");

    let files = vec![file("x/net.cedar", permit), file("hr.cedar", &format!("{permit} {permit}")), file("e.cedar", "")];
    let set = PolicySet::parse_files(files).unwrap();
    assert_eq!(set.names().collect::<Vec<_>>(), ["net-policy0", "hr-policy0", "hr-policy1"]);
    assert_eq!(set.policy_text("hr-policy1"), Some(permit));
    let decision = set.decide(&subject(&[], &[]), &app("crm", &[])).decision;
    assert_eq!(decision.policies, ["net-policy0", "hr-policy0", "hr-policy1"]);
    assert_eq!(set.text(), format!("// x/net.cedar\n{permit}\n// hr.cedar\n{permit} {permit}\n// e.cedar\n\n"));
}

#[test]
fn undefined_names_and_impossible_policies_are_warnings() {
    let text = r#"permit (principal in Group::"finanse", action, resource == App::"payroll");
permit (principal, action, resource == App::"Crm") unless { principal in Group::"zebra" };
permit (principal, action, resource) when { context.mfa && false };"#;
    let (groups, apps) =
        ([GroupName::new("finance").unwrap()], ["payroll", "crm"].map(|name| AppName::new(name).unwrap()));
    let found = PolicySet::parse(text).unwrap().warnings(&groups, &apps, usize::MAX);
    let found: Vec<_> = found.iter().map(|w| format!("{w} ({})", w.hint.as_deref().unwrap_or("-"))).collect();
    assert_eq!(found[0], "1:22: group `finanse` is not defined (did you mean `finance`?)");
    assert_eq!(found[1], "2:40: app `Crm` is not defined (did you mean `crm`?)");
    assert_eq!(found[2], "2:74: group `zebra` is not defined (-)");
    assert!(found[3].starts_with("3:1: "), "{found:?}");
    assert!(found[3].contains("impossible"), "{found:?}");
}

#[test]
fn of_very_many_unknown_names_some_are_told_and_few_are_compared_with_others() {
    let text: String = (0..3_000)
        .map(|number| format!("permit (principal in Group::\"grup-{number}\", action, resource);\n"))
        .collect();
    let groups: Vec<GroupName> = (0..3_000).map(|number| GroupName::new(&format!("group-{number}")).unwrap()).collect();
    let policies = PolicySet::parse(&text).unwrap();
    let told = policies.warnings(&groups, &[], PolicySet::MOST_WARNINGS);
    assert_eq!(told.len(), PolicySet::MOST_WARNINGS);
    assert_eq!(told.iter().filter(|warning| warning.hint.is_some()).count(), 100);
}

#[test]
fn the_index_agrees_with_all_policies_at_once() {
    let text = r#"
        permit (principal, action, resource == App::"a");
        permit (principal in Group::"g", action, resource) when { resource.labels.contains("x") };
        permit (principal == User::"ada", action, resource in App::"b");
        forbid (principal in Group::"h", action, resource is App) when { context.mfa };
        @log("off") @reject forbid (principal is User in Group::"k", action, resource == App::"a");
    "#;
    let whole = PolicySet::parse(text).unwrap();
    let flat = PolicySet { everywhere: (0..whole.rules.len()).collect(), on_app: BTreeMap::new(), ..whole.clone() };
    let flat = PolicySet {
        rules: flat.rules.iter().map(|rule| Rule { who: Who::Anybody, ..rule.clone() }).collect(),
        ..flat.clone()
    };
    for bits in 0..64_u32 {
        let pick = |names: &[&'static str]| -> Vec<&'static str> {
            names.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0).map(|(_, name)| *name).collect()
        };
        let factors = if bits & 8 == 0 { &[Factor::Password][..] } else { &[Factor::Passkey] };
        let subject = subject(&pick(&["g", "h", "k"]), factors);
        let labels = if bits & 16 == 0 { &[][..] } else { &["x"] };
        let app = app(if bits & 32 == 0 { "a" } else { "b" }, labels);
        assert_eq!(whole.decide(&subject, &app), flat.decide(&subject, &app), "{bits:b}");
        let is_in_question = whole.apps_in_question(&subject).is_none_or(|apps| apps.contains(&app.name));
        let Decision { permit, reject, log, .. } = flat.decide(&subject, &app).decision;
        assert!(is_in_question || !permit && !reject && log == Logging::On, "{bits:b}");
    }
}

#[test]
fn only_apps_that_a_permit_or_a_marked_forbid_could_be_about_are_in_question() {
    let text = r#"
        permit (principal, action, resource == App::"mail");
        permit (principal in Group::"finance", action, resource == App::"books");
        permit (principal == User::"ada", action, resource == App::"Wiki");
        permit (principal == User::"ada", action, resource in App::"wiki");
        permit (principal in Group::"ops", action, resource) when { context.mfa };
        forbid (principal, action, resource == App::"vault");
        @reject forbid (principal in Group::"guests", action, resource == App::"cellar");
        @log("off") forbid (principal in Group::"guests", action, resource == App::"attic");
    "#;
    let policies = PolicySet::parse(text).unwrap();
    let asked = |groups: &[&str]| {
        let apps = policies.apps_in_question(&subject(groups, &[]))?.into_iter().map(ToString::to_string);
        Some(apps.collect::<Vec<_>>())
    };
    assert_eq!(asked(&[]), Some(vec!["mail".to_owned(), "wiki".to_owned()]));
    assert_eq!(asked(&["finance", "hr"]), Some(vec!["books".to_owned(), "mail".to_owned(), "wiki".to_owned()]));
    let marked = ["attic", "cellar", "mail", "wiki"].map(str::to_owned).to_vec();
    assert_eq!(asked(&["guests"]), Some(marked));
    assert_eq!(asked(&["ops"]), None, "whatever a permit without an app may be about");
}
