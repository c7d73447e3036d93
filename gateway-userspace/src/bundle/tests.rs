use super::*;
use crate::policy::AppName;
use proptest::prelude::*;
use std::time::Duration;

const APPS: &str = "[[app]]\nname = \"payroll\"\nprefixes = [\"10.20.0.0/24\"]\nservices = [\"443/tcp\"]\nlabels = [\"pci\"]\n\
    [[app]]\nname = \"ssh\"\nprefixes = [\"10.0.0.0/8\", \"2001:db8::/32\"]\nservices = [\"22/tcp\", \"icmp\", \"47/ip\"]\n\
    enabled = true\n";
const GROUPS: &str = "[[group]]\nname = \"finance\"\n[[group]]\nname = \"ops\"\n";
const POLICIES: &str = r#"
@id("finance-payroll") @reauthenticate("4h")
permit (principal in Group::"finance", action, resource == App::"payroll");
@id("ops-ssh")
permit (principal in Group::"ops", action, resource == App::"ssh");
@id("pci-at-home")
forbid (principal, action, resource) when { resource.labels.contains("pci") && context.zone == "guest" };
"#;

fn files(texts: &[(&str, &str)]) -> Files {
    texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

/// The usual bundle with other texts.
fn with(texts: &[(&str, &str)]) -> Files {
    let mut all = files(&[("apps.toml", APPS), ("groups.toml", GROUPS), ("policies/all.cedar", POLICIES)]);
    all.extend(files(texts));
    all
}

fn errors(files: &Files) -> Vec<String> {
    let told = |finding: &Finding| match &finding.hint {
        Some(hint) => format!("{finding} ({hint})"),
        None => finding.to_string(),
    };
    load(files).map_or_else(|found| found.errors.iter().map(told).collect(), |_| Vec::new())
}

fn check(files: &Files, expected: &[&str]) {
    assert_eq!(errors(files), expected, "{files:?}");
}

fn trial(case: &str) -> String {
    let case = format!("[[case]]\nname = 'x'\n{case}");
    let loaded = load(&with(&[("tests.toml", &case)])).unwrap_or_else(|errors| panic!("{errors}"));
    let trials = loaded.trials();
    let mismatches: Vec<_> = trials[0].mismatches.iter().map(ToString::to_string).collect();
    [&[trials[0].to_string()], &mismatches[..]].concat().join("; ")
}

#[test]
fn a_bundle_is_read_whole_and_the_document_means_the_same() {
    let settings = ("bundle.toml", "[settings]\ntimezone = 'Europe/Berlin'");
    let loaded = load(&with(&[settings, ("extra.cedar", ""), ("README.md", "permit"), ("Makefile", "")])).unwrap();
    let policy::Bundle { settings, groups, apps, policy } = &loaded.bundle;
    assert_eq!((settings.timezone.to_string(), groups.len(), apps.len()), ("Europe/Berlin".into(), 2, 2));
    assert_eq!(
        policy.files().iter().map(|file| file.name.as_str()).collect::<Vec<_>>(),
        ["extra.cedar", "policies/all.cedar"]
    );
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(loaded.document.apps.iter().map(|app| app.enabled).collect::<Vec<_>>(), [None, Some(true)]);
    assert_eq!(loaded.document.into_model(|_| true), Ok(loaded.bundle));
}

#[test]
fn nothing_at_all_is_a_bundle_that_permits_nothing() {
    let loaded = load(&Files::new()).unwrap();
    assert_eq!((loaded.bundle, loaded.cases.len(), loaded.warnings.len()), (policy::Bundle::default(), 0, 0));
}

#[test]
fn all_errors_of_all_files_are_told_at_once() {
    let broken = with(&[
        ("app.toml", ""),
        ("bundle.toml", "[settings]\ntimezon = 'UTC'"),
        ("apps/more.toml", "[[app]]\nname = 'crm'\nprefixes = ['10.0.0.1/8']\nservices = ['443/tcp']"),
        ("groups.toml", "[[group]]\nname = 'fin ance'\n[[group]]\nnam = 'ops'"),
        ("a.cedar", "permit (principal, action, resource"),
        ("b.cedar", "permit (principal, action, resource == App::\"payroll\") when { context.mfaa };"),
        ("tests.toml", "[[case]]\nname = 'x'\nto = 'payroll'\nexpect = 'allow'"),
    ]);
    let found = errors(&broken);
    for (at, expected) in [
        "a.cedar:1:",
        "app.toml: is not a file of a bundle",
        "apps/more.toml:3:13: app[0].prefixes[0]: `10.0.0.1/8` has host bits",
        "b.cedar:1:",
        "bundle.toml:2:1: settings.timezon: is not a known key (did you mean `timezone`?)",
        "groups.toml:2:8: group[0].name: name `fin ance` is not valid",
        "groups.toml:3:1: group[1].name: is missing",
        "groups.toml:4:1: group[1].nam: is not a known key (did you mean `name`?)",
        "tests.toml:4:10: case[0].expect: `allow` is not one of the choices (write `permit` or `deny`)",
    ]
    .iter()
    .enumerate()
    {
        assert!(found.get(at).is_some_and(|found| found.starts_with(expected)), "{at} {expected}: {found:#?}");
    }
    assert_eq!(found.len(), 9, "{found:#?}");
}

#[test]
fn what_is_there_twice_names_the_other_place() {
    let app = "[[app]]\nname = 'PAYROLL'\nprefixes = ['10.9.0.1']\nservices = ['1/tcp']";
    check(
        &with(&[
            ("apps/more.toml", app),
            ("groups/more.toml", "[[group]]\nname = 'ops'"),
            (
                "policies/b.cedar",
                "@id(\"ops-ssh\") permit (principal in Group::\"ops\", action, resource == App::\"ssh\");",
            ),
        ]),
        &[
            "apps/more.toml:2:8: app `payroll` is there twice (remove it; the other one is in line 2 of `apps.toml`)",
            "groups/more.toml:2:8: group `ops` is there twice (remove it; the other one is in line 4 of `groups.toml`)",
            "policies/b.cedar:1:1: policy `ops-ssh`: two policies are named `ops-ssh` (give each policy its own `@id`)",
        ],
    );
}

#[test]
fn names_that_nobody_declares_are_errors() {
    let policy = "@id(\"a\") permit (principal in Group::\"finanse\", action, resource == App::\"payrol\");\n\
                  @id(\"b\") permit (principal in Group::\"zebra\", action, resource == App::\"zebra\");";
    check(
        &with(&[("b.cedar", policy)]),
        &[
            "b.cedar:1:31: policy `a`: group `finanse` is not defined (did you mean `finance`?)",
            "b.cedar:1:69: policy `a`: app `payrol` is not defined (did you mean `payroll`?)",
            "b.cedar:2:31: policy `b`: group `zebra` is not defined (declare it in `groups.toml`)",
            "b.cedar:2:67: policy `b`: app `zebra` is not defined (declare it in `apps.toml`)",
        ],
    );
    // What another file got wrong hides none of it.
    let both = with(&[("a.cedar", "permit ("), ("b.cedar", policy)]);
    assert_eq!(errors(&both).iter().filter(|error| error.contains("is not defined")).count(), 4);
    // What could not be read may have declared it.
    let both = errors(&with(&[("apps/more.toml", "[[app]"), ("groups/more.toml", "name ="), ("b.cedar", policy)]));
    assert!(both.iter().all(|error| !error.contains("is not defined")), "{both:?}");
    // An app with an error is declared all the same.
    let zebra = "[[app]]\nname = 'zebra'\nprefixes = ['10.0.0.0/8']\nservices = ['443']";
    let found = errors(&with(&[("apps/more.toml", zebra), ("b.cedar", policy)]));
    assert!(found.iter().all(|error| !error.contains("app `zebra`")), "{found:?}");
}

#[test]
fn of_many_names_that_nobody_declares_some_are_told_and_the_others_counted() {
    let policy = |at: usize| {
        format!("@id(\"p{at}\") permit (principal in Group::\"g{at}\", action, resource == App::\"a{at}\");\n")
    };
    let found = errors(&with(&[("b.cedar", &(0..250).map(policy).collect::<String>())]));
    assert_eq!(
        found[0],
        ".: 150 more apps that policies name are not defined (put right what is told, and check again)"
    );
    assert_eq!(
        found[1],
        ".: 150 more groups that policies name are not defined (put right what is told, and check again)"
    );
    assert_eq!(found.len(), 202);
}

#[test]
fn groups_that_nobody_declares_are_one_warning_where_no_file_declares_groups() {
    let mut files = with(&[("c.cedar", "permit (principal in Group::\"Ops\", action, resource == App::\"ssh\");")]);
    files.remove("groups.toml");
    let warnings: Vec<_> = load(&files).unwrap().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            ".: no group is declared, so that a misspelt one is not found: `finance`, `ops`",
            "c.cedar:1:22: policy `c-policy0`: group `Ops` is not defined",
        ]
    );
}

#[test]
fn apps_that_contradict_each_other_are_all_named() {
    let twins = |name: &str| format!("[[app]]\nname = '{name}'\nprefixes = ['10.20.0.0/24']\nservices = ['443/tcp']\n");
    let apps = [twins("b"), twins("c"), "[[app]]\nname = 'd'\nprefixes = ['127.0.0.1']\nservices = ['1/tcp']".into()];
    check(
        &files(&[("apps.toml", APPS), ("apps/more.toml", &apps.concat())]),
        &[
            "apps.toml:2:8: app `payroll`: it claims 10.20.0.0/24 443/tcp which app `b` claims too; one of them must be narrower",
            "apps/more.toml:6:8: app `c`: it claims 10.20.0.0/24 443/tcp which app `b` claims too; one of them must be narrower",
            "apps/more.toml:10:8: app `d`: prefix `127.0.0.1/32` does not lie in routed unicast space",
        ],
    );
}

#[test]
fn a_case_says_who_from_where_and_how_they_logged_in() {
    let (finance, ops) = ("to = 'payroll'\ngroups = ['finance']\n", "groups = ['ops']\n");
    for (case, expected) in [
        (format!("{finance}expect = 'permit'"), "permitted by `finance-payroll`, with a login of the last 4h"),
        (
            format!("{finance}expect = 'permit'\nlogin_age = '4h'\nreauthenticate = '4h'"),
            "permitted by `finance-payroll`, with a login of the last 4h",
        ),
        (
            format!("{finance}expect = 'deny'\nlogin_age = '5h'\nbecause = 'finance-payroll'"),
            "denied: `finance-payroll` asks for a login of the last 4h",
        ),
        (format!("{finance}expect = 'deny'\nzone = 'guest'\nbecause = 'pci-at-home'"), "denied by `pci-at-home`"),
        ("to = 'payroll'\nexpect = 'deny'".into(), "denied: no policy permits it"),
        (format!("{ops}to = '10.20.0.7:22/tcp'\nexpect = 'permit'"), "permitted by `ops-ssh`"),
        (format!("{ops}to = '[2001:db8::7]/icmp'\nexpect = 'permit'"), "permitted by `ops-ssh`"),
        (format!("{ops}to = '10.20.0.7:47/ip'\nexpect = 'permit'"), "permitted by `ops-ssh`"),
        (format!("{ops}to = '10.20.0.7:443/tcp'\nexpect = 'deny'"), "denied: no policy permits it"),
        (format!("{ops}to = '10.20.0.7:22/udp'\nexpect = 'deny'"), "denied: there is no app at 10.20.0.7:22/udp"),
        (
            format!("{ops}to = '[2001:db9::7]:22/tcp'\nexpect = 'deny'"),
            "denied: there is no app at [2001:db9::7]:22/tcp",
        ),
    ] {
        assert_eq!(trial(&case), expected, "{case}");
    }
}

#[test]
fn a_case_that_comes_out_otherwise_says_what_was_expected() {
    for (case, expected) in [
        ("to = 'ssh'\nexpect = 'permit'", "denied: no policy permits it; expected a permit"),
        (
            "to = 'ssh'\nexpect = 'permit'\ngroups = ['ops']\nbecause = 'finance-payroll'\nreauthenticate = '1h'",
            "permitted by `ops-ssh`; expected because of policy `finance-payroll`; expected a login that is not older than 1h",
        ),
        (
            "to = 'payroll'\nexpect = 'deny'\ngroups = ['finance']",
            "permitted by `finance-payroll`, with a login of the last 4h; expected a denial",
        ),
    ] {
        assert_eq!(trial(case), expected);
    }
}

#[test]
fn every_fact_of_a_case_reaches_the_policies() {
    for (condition, facts) in [
        ("principal == User::\"ada\"", "user = 'ada'"),
        ("principal == User::\"somebody\"", ""),
        ("context.source == ip(\"10.1.2.3\")", "from = '10.1.2.3'"),
        ("context.source == ip(\"192.0.2.1\")", ""),
        ("context.zone == \"office\"", "zone = 'office'"),
        ("context.mfa", "factors = ['password', 'totp']"),
        ("context.mfa", "factors = ['passkey']"),
        ("!context.mfa && context.factors == [\"password\"]", ""),
        ("context.provider == \"local\"", ""),
        ("context.provider == \"corp\" && context.factors == [\"provider\"]", "provider = 'corp'"),
        ("context.mfa && context.acr == \"phr\"", "provider = 'corp'\nacr = 'phr'\nprovider_mfa = true"),
        ("context.amr.contains(\"hwk\")", "provider = 'corp'\namr = ['pin', 'hwk']"),
        ("context.device.compliant", "device_compliant = true"),
        ("!context.device.compliant", ""),
        ("context.time.hour == 9 && context.time.weekday == \"saturday\"", "at = 2026-01-31T09:00:00Z"),
        ("context.time.date == datetime(\"1970-01-01\")", ""),
        ("context.risk == \"medium\" && principal.kind == \"service\"", "risk = 'medium'\nkind = 'service'"),
        ("context.country == \"DE\"", "country = 'de'"),
        ("context.country == \"\"", ""),
        ("context.risk == \"\" && principal.kind == \"person\"", ""),
        (
            "principal.hasTag(\"department\") && principal.getTag(\"department\") == \"finance\"",
            "attributes = { department = 'finance' }",
        ),
    ] {
        let policy = format!("@id(\"p\") permit (principal, action, resource == App::\"ssh\") when {{ {condition} }};");
        let case = format!("[[case]]\nname = 'x'\nto = 'ssh'\nexpect = 'permit'\nbecause = 'p'\n{facts}");
        let loaded =
            load(&with(&[("p.cedar", &policy), ("tests.toml", &case)])).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(loaded.trials()[0].passed(), "{condition} {facts}: {}", loaded.trials()[0]);
    }
}

#[test]
fn a_case_that_makes_no_sense_is_refused_at_its_place() {
    let case = "[[case]]\nname = 'x'\nto = 'ssh'\nexpect = 'permit'\n";
    for (text, expected) in [
        ("grups = []", "tests.toml:5:1: case[0].grups: is not a known key (did you mean `groups`?)"),
        ("groups = ['opps']", "tests.toml:5:11: case[0].groups[0]: group `opps` is not defined (did you mean `ops`?)"),
        (
            "from = '10.1.2'",
            "tests.toml:5:8: case[0].from: `10.1.2` is not an address (write one like `192.0.2.1` or `2001:db8::1`)",
        ),
        (
            "factors = ['otp']",
            "tests.toml:5:12: case[0].factors[0]: `otp` is not one of the choices (did you mean `totp`?)",
        ),
        (
            "acr = 'phr'",
            "tests.toml:1:1: case[0].acr: is what an identity provider says (name it, like `provider = \"corp\"`)",
        ),
        ("at = 2026-01-31", "tests.toml:5:6: case[0].at: is not a moment (write it like `2026-01-31T09:00:00+01:00`)"),
        (
            "because = 'opsssh'",
            "tests.toml:5:11: case[0].because: policy `opsssh` is not defined (did you mean `ops-ssh`?)",
        ),
        (
            "login_age = '1 h'",
            "tests.toml:5:13: case[0].login_age: `1 h` is not a duration (write a number and a unit, like `30s`, `15m`, `8h` or `1d`)",
        ),
        (
            "[[case]]\nname = 'x'\nto = '10.0.0.1:22/tcp'\nexpect = 'deny'\nreauthenticate = '1h'",
            "tests.toml:5:1: case[1].reauthenticate: has a meaning for a permit only (remove it, or write `login_age`)",
        ),
    ] {
        let found = errors(&with(&[("tests.toml", &format!("{case}{text}"))]));
        assert_eq!(found.first().map(String::as_str), Some(expected), "{found:?}");
    }
    for moment in ["2026-01-31T09:00:00+01:00", "'2026-01-31T08:00:00Z'"] {
        let loaded = load(&with(&[("tests.toml", &format!("{case}at = {moment}"))])).unwrap();
        assert_eq!(loaded.cases[0].at, Some("2026-01-31T08:00:00Z".parse().unwrap()));
    }
    let unknown = errors(&with(&[("tests.toml", &case.replace("ssh", "shh"))]));
    assert_eq!(unknown, ["tests.toml:3:6: case[0].to: app `shh` is not defined (did you mean `ssh`?)"]);
}

#[test]
fn policies_alone_are_checked_without_their_apps_and_groups() {
    assert_eq!(alone(POLICIES), Ok(Vec::new()));
    let impossible = alone("permit (principal in Group::\"a\", action, resource) when { false };").unwrap();
    assert!(impossible[0].message.contains("impossible"), "{impossible:?}");
    let wrong = alone("permit (principal, action, resource) when { context.mfaa };").unwrap_err();
    assert!(wrong[0].to_string().starts_with("policy.cedar:1:"), "{wrong:?}");
}

/// A part of a bundle: apps with neighbouring prefixes, and an address that may be in them.
fn prefix() -> impl Strategy<Value = (u8, u8)> {
    (0..4_u8, 8..=32_u8)
}

proptest! {
    #[test]
    fn the_app_at_an_address_is_that_of_a_naive_reference(
        claims in prop::collection::vec((prefix(), 0..3_usize), 1..8),
        third in 0..4_u8,
        port in 0..4_usize,
    ) {
        const SERVICES: [&str; 3] = ["80/tcp", "81/tcp", "*/tcp"];
        let ip: std::net::Ipv4Addr = [10, 0, third, 1].into();
        let claim = |((byte, length), service): &((u8, u8), usize)| {
            let net = ipnet::Ipv4Net::new([10, 0, *byte, 1].into(), *length).unwrap().trunc();
            (net, *service)
        };
        let claims: std::collections::BTreeSet<(ipnet::Ipv4Net, usize)> = claims.iter().map(claim).collect();
        let app = |(at, (net, service)): (usize, &(ipnet::Ipv4Net, usize))| {
            format!("[[app]]\nname = 'a{at}'\nprefixes = ['{net}']\nservices = ['{}']\n", SERVICES[*service])
        };
        let apps: String = claims.iter().enumerate().map(app).collect();
        let to = format!("{ip}:{}/tcp", 80 + port);
        let case = format!("[[case]]\nname = 'x'\nto = '{to}'\nexpect = 'deny'");
        let loaded = load(&files(&[("apps.toml", &apps), ("tests.toml", &case)])).unwrap();
        // The longest prefix that claims the port at all, and there the port itself before any port.
        let best = claims.iter().enumerate()
            .filter(|(_, (net, service))| net.contains(&ip) && (*service == 2 || *service == port))
            .max_by_key(|(_, (net, service))| (net.prefix_len(), *service != 2))
            .map(|(at, _)| AppName::new(&format!("a{at}")).unwrap());
        prop_assert_eq!(&loaded.trials()[0].app, &best);
    }

    #[test]
    fn whatever_the_files_hold_each_error_has_a_file_that_there_is(
        texts in prop::collection::vec((0..8_usize, "[\\[\\]a-z=' \n\"().;{}]{0,60}"), 0..6),
    ) {
        const PATHS: [&str; 8] =
            ["apps.toml", "apps/a.toml", "groups.toml", "bundle.toml", "tests.toml", "a.cedar", "policies/b.cedar", "x.toml"];
        let files: Files = texts.into_iter().map(|(at, text)| (PATHS[at].to_owned(), text)).collect();
        match load(&files) {
            Ok(loaded) => prop_assert_eq!(loaded.document.into_model(|_| true), Ok(loaded.bundle)),
            Err(found) => {
                prop_assert!(!found.errors.is_empty() && found.errors.is_sorted());
                prop_assert!(found.errors.iter().all(|error| files.contains_key(&error.file)), "{:?}", found.errors);
            }
        }
    }
}

#[test]
fn the_age_of_a_login_is_none_where_a_case_does_not_say() {
    let loaded = load(&with(&[("tests.toml", "[[case]]\nname = 'x'\nto = 'ssh'\nexpect = 'deny'")])).unwrap();
    assert_eq!((loaded.cases[0].login_age, loaded.cases[0].at), (Duration::ZERO, None));
}

#[test]
fn what_has_expired_or_is_about_to_is_told_with_its_place() {
    let text = "permit (principal, action, resource);\n@expires(\"2026-01-31\") permit (principal, action, resource);";
    let loaded = load(&with(&[("policies/old.cedar", text)])).unwrap();
    let told = |at: &str| loaded.expiring(at.parse().unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(told("2026-01-01T00:00:00Z"), [""; 0]);
    let soon = told("2026-01-20T00:00:00Z");
    assert!(
        soon[0].starts_with("policies/old.cedar:2:1: policy `old-policy1`: the policy expires within 14 days"),
        "{soon:?}"
    );
    let over = told("2026-03-01T00:00:00Z");
    assert!(
        over[0].starts_with("policies/old.cedar:2:1: policy `old-policy1`: the policy has expired and is not in force"),
        "{over:?}"
    );
}

#[test]
fn what_is_odd_about_a_health_check_is_told_and_refuses_nothing() {
    let app = |lines: &str| {
        let apps = format!("[[app]]\nname = \"crm\"\nservices = [\"443/tcp\", \"8000-8010/tcp\"]\n{lines}");
        let loaded = load(&files(&[("apps.toml", &apps)])).unwrap();
        loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let single = "prefixes = [\"10.20.0.10\"]";
    for right in ["443/tcp", "8005/tcp", "https://crm.example/healthz", "http://10.20.0.10:8000/"] {
        assert_eq!(app(&format!("{single}\nhealth = \"{right}\"")), [""; 0], "{right}");
    }
    let own = app(&format!("{single}\nhealth = \"9000/tcp\""));
    assert_eq!(own, ["apps.toml:2:8: app `crm`: its health check tries 9000/tcp, which is none of its services"]);
    let large = app("prefixes = [\"10.20.0.0/24\"]\nhealth = \"https://crm.example/\"");
    let nothing = "apps.toml:2:8: app `crm`: its health check has nothing to try: ";
    assert_eq!(large, [format!("{nothing}it has no single address, and of larger prefixes nothing is tried")]);
    let elsewhere = app(&format!("{single}\nhealth = \"https://10.20.0.11/\""));
    assert_eq!(elsewhere, [format!("{nothing}its prefixes do not hold the address of the URL")]);
    let many: Vec<String> = (1..=17).map(|host| format!("\"10.20.0.{host}\"")).collect();
    let many = app(&format!("prefixes = [{}]\nhealth = \"443/tcp\"", many.join(", ")));
    assert_eq!(many, ["apps.toml:2:8: app `crm`: its health check tries 16 of its 17 addresses"]);
}
