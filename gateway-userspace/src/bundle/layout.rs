//! Which file of a bundle holds what. Nothing that looks like a rule is passed over in silence.

use super::finding::Finding;

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// What holds for all policies.
    Settings,
    /// `[[group]]`.
    Groups,
    /// `[[app]]`.
    Apps,
    /// Cedar.
    Policies,
    /// `[[case]]`.
    Cases,
}

/// Whether a file or folder of this name is not part of a bundle, whatever is in it.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

/// What the file at a path holds; `None` if it is not part of the bundle.
pub(super) fn kind(path: &str) -> Result<Option<Kind>, Box<Finding>> {
    if path.split('/').any(is_hidden) {
        return Ok(None);
    }
    let (folder, name) = path.split_once('/').map_or(("", path), |(folder, rest)| (folder, rest));
    let known = match (folder, name) {
        ("", "bundle.toml") => Some(Kind::Settings),
        ("", "groups.toml") => Some(Kind::Groups),
        ("", "apps.toml") => Some(Kind::Apps),
        ("", "tests.toml") => Some(Kind::Cases),
        ("groups", name) if is_direct(name, ".toml") => Some(Kind::Groups),
        ("apps", name) if is_direct(name, ".toml") => Some(Kind::Apps),
        ("tests", name) if is_direct(name, ".toml") => Some(Kind::Cases),
        ("" | "policies", name) if name.ends_with(".cedar") => Some(Kind::Policies),
        _ => None,
    };
    match known {
        Some(kind) => Ok(Some(kind)),
        None => unexpected(path),
    }
}

fn is_direct(name: &str, ending: &str) -> bool {
    name.ends_with(ending) && !name.contains('/')
}

/// Whoever wrote it may think that it is in force.
fn unexpected(path: &str) -> Result<Option<Kind>, Box<Finding>> {
    let lower = path.to_ascii_lowercase();
    let refused = |message, hint| Err(Box::new(Finding::about(path, message, hint)));
    if lower.ends_with(".cedar") {
        let message = "policies are not read from here";
        refused(message, "move it into `policies/`, with a name that ends in `.cedar`; or remove it")
    } else if lower.ends_with(".toml") {
        let message = "is not a file of a bundle";
        let known = "write settings to `bundle.toml`, groups to `groups.toml` or `groups/`, apps to `apps.toml` or `apps/`, \
                     and cases to `tests.toml` or `tests/`";
        refused(message, known)
    } else if lower.contains(".cedar.") || lower.contains(".toml.") || lower.ends_with('~') {
        refused("is not read, and looks like a part of the bundle", "remove it, or give it a name that begins with `.`")
    } else {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_its_place() {
        for (path, expected) in [
            ("bundle.toml", Kind::Settings),
            ("groups.toml", Kind::Groups),
            ("groups/hr.toml", Kind::Groups),
            ("apps.toml", Kind::Apps),
            ("apps/erp.toml", Kind::Apps),
            ("tests.toml", Kind::Cases),
            ("tests/erp.toml", Kind::Cases),
            ("policies.cedar", Kind::Policies),
            ("erp.cedar", Kind::Policies),
            ("policies/a/b/erp.cedar", Kind::Policies),
        ] {
            assert_eq!(kind(path), Ok(Some(expected)), "{path}");
        }
    }

    #[test]
    fn what_explains_a_bundle_or_keeps_it_is_passed_over() {
        for path in ["README.md", "readme", "apps/README", ".git/config.toml", "policies/.old/x.cedar", "Makefile"] {
            assert_eq!(kind(path), Ok(None), "{path}");
        }
    }

    #[test]
    fn what_looks_like_a_rule_in_another_place_is_refused() {
        for path in [
            "Erp.CEDAR",
            "policy/erp.cedar",
            "apps/erp.cedar",
            "app.toml",
            "apps/eu/erp.toml",
            "policies/apps.toml",
            "Apps.toml",
            "erp.cedar.bak",
            "apps.toml.orig",
            "policies/erp.cedar~",
        ] {
            assert!(kind(path).is_err(), "{path}");
        }
    }
}
