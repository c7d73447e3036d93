//! Templates: small bundles for what is needed most often, each with its cases.
//!
//! They use names, addresses and labels of their own, so that any of them can lie in one directory side by side.

use super::Files;

/// A template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Template {
    /// What it is called.
    pub name: &'static str,
    /// What it is for, in a line.
    pub summary: &'static str,
    apps: &'static str,
    groups: &'static str,
    policy: &'static str,
    tests: &'static str,
}

macro_rules! templates {
    ($($name:literal: $summary:literal,)+) => {
        /// All of them, the simplest first.
        pub const ALL: &[Template] = &[$(Template {
            name: $name,
            summary: $summary,
            apps: include_str!(concat!("templates/", $name, "/apps.toml")),
            groups: include_str!(concat!("templates/", $name, "/groups.toml")),
            policy: include_str!(concat!("templates/", $name, "/policy.cedar")),
            tests: include_str!(concat!("templates/", $name, "/tests.toml")),
        },)+];
    };
}

templates! {
    "group-to-app": "a group may reach an app",
    "second-factor": "sensitive apps need a second factor",
    "recent-login": "administration needs a login of the last hour",
    "contractors": "contractors reach one app, and only from their network",
    "break-glass": "an emergency group reaches what is critical, briefly, from the management network",
    "block-zone": "a zone, or a range of addresses, reaches almost nothing",
    "legacy-protocols": "ports that nobody should use any more are closed to all",
    "service-account": "a service reaches one app by its certificate, and nothing else",
    "compliant-devices": "some apps are for compliant devices only",
    "emergency-forbid": "an app is closed at once to all but those who repair it",
}

/// The template of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Template> {
    ALL.iter().find(|template| template.name == name)
}

impl Template {
    /// Its files.
    #[must_use]
    pub fn files(&self) -> Files {
        let Self { name, summary: _, apps, groups, policy, tests } = self;
        Files::from([
            (format!("apps/{name}.toml"), (*apps).to_owned()),
            (format!("groups/{name}.toml"), (*groups).to_owned()),
            (format!("policies/{name}.cedar"), (*policy).to_owned()),
            (format!("tests/{name}.toml"), (*tests).to_owned()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::load;

    fn passes(files: &Files) -> usize {
        let loaded = load(files).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let trials = loaded.trials();
        for trial in &trials {
            assert!(trial.passed(), "{}: {trial}; {:?}", trial.case.name, trial.mismatches);
        }
        for (path, text) in files {
            assert!(text.lines().all(|line| line.chars().count() <= 125), "a line of {path} is too long");
        }
        trials.len()
    }

    #[test]
    fn every_template_passes_its_own_check_and_test() {
        assert_eq!(ALL.len(), 10);
        for template in ALL {
            assert!(passes(&template.files()) >= 2, "{} has few cases", template.name);
            assert_eq!(named(template.name), Some(template));
        }
    }

    #[test]
    fn every_policy_of_a_template_makes_a_difference_to_its_cases() {
        for template in ALL {
            let loaded = load(&template.files()).unwrap_or_else(|errors| panic!("{errors}"));
            let trials = loaded.trials();
            let seen: Vec<&String> = trials.iter().flat_map(|trial| &trial.decision.policies).collect();
            for name in loaded.bundle.policy.names() {
                assert!(
                    seen.iter().any(|seen| *seen == name) || name == "mail-users-webmail",
                    "{name} of {}",
                    template.name
                );
            }
        }
    }

    #[test]
    fn all_templates_lie_in_one_directory_side_by_side() {
        let all: Files = ALL.iter().flat_map(Template::files).collect();
        assert_eq!(all.len(), 4 * ALL.len());
        assert!(passes(&all) > 30);
    }
}
