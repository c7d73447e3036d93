//! A large bundle, as files.

use gateway_userspace::bundle::Files;
use std::fmt::Write as _;

/// Policies are in so many files, apps in a tenth of them.
const FILES: usize = 100;

/// A bundle of so many policies, half as many apps, a fifth as many groups, and a case for each hundredth policy.
pub fn bundle(policies: usize) -> Files {
    let (apps, groups) = (policies / 2, policies / 5);
    let mut files = Files::from([(
        "groups.toml".to_owned(),
        (0..groups).map(|number| format!("[[group]]\nname = \"group-{number}\"\n")).collect(),
    )]);
    for number in 0..apps {
        let file = files.entry(format!("apps/{}.toml", number % (FILES / 10))).or_default();
        let (high, low) = (number / 250, number % 250 + 1);
        let _ = write!(
            file,
            "[[app]]\nname = \"app-{number}\"\ndescription = \"the app of department {number}\"\n\
             prefixes = [\"10.{high}.{low}.0/28\", \"2001:db8:{number:x}::/64\"]\n\
             services = [\"443/tcp\", \"8000-8010/tcp\", \"icmp\"]\nlabels = [\"department-{number}\"]\n"
        );
    }
    for number in 0..policies {
        let file = files.entry(format!("policies/{}.cedar", number % FILES)).or_default();
        let (app, group) = (number % apps, number % groups);
        let condition = match number % 4 {
            0 => "",
            1 => "when { context.mfa }",
            2 => "when { context.source.isInRange(ip(\"10.0.0.0/8\")) || context.zone == \"office\" }",
            _ => "unless { resource.labels.contains(\"closed\") && !context.device.compliant }",
        };
        let _ = writeln!(
            file,
            "@id(\"policy-{number}\")\npermit (principal in Group::\"group-{group}\", action == Action::\"connect\", \
             resource == App::\"app-{app}\") {condition};"
        );
    }
    let cases = (0..policies).step_by(100).map(|number| {
        let (app, group) = (number % apps, number % groups);
        format!(
            "[[case]]\nname = \"{number}\"\ngroups = [\"group-{group}\"]\nto = \"app-{app}\"\nexpect = \"permit\"\n\
             because = \"policy-{number}\"\n"
        )
    });
    files.insert("tests.toml".to_owned(), cases.collect());
    files
}
