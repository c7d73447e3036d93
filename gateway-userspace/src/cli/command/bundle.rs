//! `portcullis policy check`, `test` and `new` on directories: without a gateway.

use super::policy::written;
use super::read_input;
use crate::bundle::template::{self, Template};
use crate::bundle::{self, BundleErrors, Files, Finding, Loaded};
use crate::cli::CliError;
use crate::cli::junit;
use crate::cli::output::{Output, plain};
use crate::policy::Timestamp;
use crate::wire::{CaseResult, PolicyCheck, PolicyIssue, PolicyTest};
use clap::builder::PossibleValuesParser;
use serde_json::json;
use std::fs;
use std::path::Path;

/// The names of the templates.
pub(super) fn templates() -> PossibleValuesParser {
    let value = |template: &Template| clap::builder::PossibleValue::new(template.name).help(template.summary);
    PossibleValuesParser::new(template::ALL.iter().map(value).collect::<Vec<_>>())
}

/// Checks a directory.
pub(super) fn check(output: Output, directory: &Path) -> Result<(), CliError> {
    match bundle::read(directory) {
        Ok(loaded) => {
            let done = format!("`{}` is valid: {}", directory.display(), counted(&loaded));
            let warnings = [loaded.warnings.clone(), loaded.expiring(Timestamp::now())].concat();
            report(output, directory, &[], &warnings, &done)
        }
        Err(BundleErrors { errors, warnings }) => {
            report(output, directory, &errors, &warnings, "")?;
            Err(CliError::PolicyNotValid(directory.into()))
        }
    }
}

/// Checks a file of policies by itself.
pub(super) fn check_file(output: Output, file: &Path) -> Result<(), CliError> {
    match bundle::alone(&read_input(file)?) {
        Ok(warnings) => report(output, file, &[], &warnings, &format!("`{}` is valid", file.display())),
        Err(errors) => {
            report(output, file, &errors, &[], "")?;
            Err(CliError::PolicyNotValid(file.into()))
        }
    }
}

fn counted(loaded: &Loaded) -> String {
    let many = |number: usize, one: &str, more: &str| format!("{number} {}", if number == 1 { one } else { more });
    let bundle = &loaded.bundle;
    let counts = [
        many(bundle.policy.len(), "policy", "policies"),
        many(bundle.apps.len(), "app", "apps"),
        many(bundle.groups.len(), "group", "groups"),
        many(loaded.cases.len(), "case", "cases"),
    ];
    counts.join(", ")
}

/// What was found, with places that editors understand.
pub(super) fn report(
    output: Output,
    path: &Path,
    errors: &[Finding],
    warnings: &[Finding],
    done: &str,
) -> Result<(), CliError> {
    let issues = |found: &[Finding]| found.iter().map(PolicyIssue::from).collect();
    let check = PolicyCheck { valid: errors.is_empty(), errors: issues(errors), warnings: issues(warnings) };
    let lines = || {
        let errors = errors.iter().map(|finding| line(path, "", finding));
        let warnings = warnings.iter().map(|finding| line(path, "warning: ", finding));
        errors.chain(warnings).chain([done.to_owned()]).collect::<Vec<_>>().join("\n")
    };
    output.either(&json!(check), lines)
}

fn line(path: &Path, kind: &str, finding: &Finding) -> String {
    let file = match finding.file.as_str() {
        Finding::WHOLE => path.to_owned(),
        file if path.is_dir() => path.join(file),
        _ => path.to_owned(),
    };
    written(&file, kind, &PolicyIssue::from(finding))
}

/// Tries the cases of a directory.
pub(super) fn test(output: Output, directory: &Path, junit: Option<&Path>) -> Result<(), CliError> {
    let loaded = match bundle::read(directory) {
        Ok(loaded) => loaded,
        Err(BundleErrors { errors, warnings }) => {
            report(output, directory, &errors, &warnings, "")?;
            return Err(CliError::PolicyNotValid(directory.into()));
        }
    };
    let done = trials(&loaded);
    if let Some(file) = junit {
        write(file, &junit::report(&directory.display().to_string(), &done))?;
    }
    output.either(&json!(done), || tried(directory, &done))?;
    outcome(directory, &done)
}

fn trials(loaded: &Loaded) -> PolicyTest {
    let cases: Vec<CaseResult> = loaded.trials().iter().map(CaseResult::from).collect();
    let failed = cases.iter().filter(|case| !case.passed).count();
    PolicyTest { passed: cases.len().saturating_sub(failed), failed, cases }
}

/// Nothing that was tried is not a success.
fn outcome(directory: &Path, done: &PolicyTest) -> Result<(), CliError> {
    match (done.cases.len(), done.failed) {
        (0, _) => Err(CliError::NoCases(directory.into())),
        (_, 0) => Ok(()),
        (all, failed) => Err(CliError::CasesFailed { failed, all }),
    }
}

/// A line for each case, and more for those that failed.
fn tried(directory: &Path, done: &PolicyTest) -> String {
    let mut lines: Vec<String> = done.cases.iter().map(|case| result(directory, case)).collect();
    lines.push(format!("{} passed, {} failed", done.passed, done.failed));
    lines.join("\n")
}

fn result(directory: &Path, case: &CaseResult) -> String {
    if case.passed {
        return plain(&format!("ok      {}", case.name));
    }
    let place = format!("{}:{}", directory.join(&case.file).display(), case.line);
    let expected = case.mismatches.join("; ");
    let lines = [format!("FAILED  {}", case.name), format!("  {place}: {expected}"), format!("  {}", case.why)];
    lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n")
}

/// Lists the templates, shows one, or writes its files.
pub(super) fn new(output: Output, template: Option<&str>, directory: Option<&Path>) -> Result<(), CliError> {
    match (template.and_then(template::named), directory) {
        (None, _) => list(output),
        (Some(template), None) => {
            let files = template.files();
            let text = || files.iter().map(|(path, text)| format!("==> {path} <==\n{text}\n")).collect::<String>();
            output.either(&json!({ "name": template.name, "files": files }), text)
        }
        (Some(template), Some(directory)) => {
            let files = write_all(template, directory)?;
            let paths: Vec<&String> = files.keys().collect();
            let path = |path: &&String| plain(&directory.join(path).display().to_string());
            let lines = || paths.iter().map(path).collect::<Vec<_>>().join("\n");
            output.either(&json!({ "name": template.name, "written": paths }), lines)
        }
    }
}

fn list(output: Output) -> Result<(), CliError> {
    let width = template::ALL.iter().map(|template| template.name.len()).max().unwrap_or_default();
    let entry = |Template { name, summary, .. }: &Template| json!({ "name": name, "summary": summary });
    let all: Vec<_> = template::ALL.iter().map(entry).collect();
    let line = |Template { name, summary, .. }: &Template| format!("{name:width$}  {summary}");
    output.either(&json!(all), || template::ALL.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// All files or, if one is there already, none.
fn write_all(template: &Template, directory: &Path) -> Result<Files, CliError> {
    let files = template.files();
    if let Some(there) = files.keys().map(|path| directory.join(path)).find(|path| path.symlink_metadata().is_ok()) {
        return Err(CliError::FileExists(there));
    }
    for (path, text) in &files {
        write(&directory.join(path), text)?;
    }
    Ok(files)
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
    written.map_err(|source| CliError::Unwritable { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(texts: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in texts {
            write(&directory.path().join(path), text).unwrap();
        }
        directory
    }

    const APPS: &str = "[[app]]\nname = 'crm'\nprefixes = ['10.0.0.1']\nservices = ['443/tcp']";

    fn trials_of(directory: &Path) -> PolicyTest {
        trials(&bundle::read(directory).unwrap_or_else(|errors| panic!("{errors}")))
    }

    #[test]
    fn a_template_is_written_whole_or_not_at_all() {
        let directory = bundle(&[]);
        let path = directory.path().join("office");
        let template = |name| template::named(name).unwrap();
        assert_eq!(write_all(template("second-factor"), &path).unwrap().len(), 4);
        write_all(template("contractors"), &path).unwrap();
        outcome(&path, &trials_of(&path)).unwrap();
        fs::remove_file(path.join("apps/contractors.toml")).unwrap();
        assert!(matches!(write_all(template("contractors"), &path), Err(CliError::FileExists(_))));
        assert!(!path.join("apps/contractors.toml").exists(), "a part was written");
    }

    #[test]
    fn a_failed_case_and_no_case_at_all_exit_with_1() {
        let failing = "[[case]]\nname = 'x'\nto = 'crm'\nexpect = 'permit'";
        let none = bundle(&[("apps.toml", APPS)]);
        let failed = bundle(&[("apps.toml", APPS), ("tests.toml", failing)]);
        for (directory, part) in [(&none, "has no test case"), (&failed, "1 of 1 cases did not come out as expected")] {
            let error = outcome(directory.path(), &trials_of(directory.path())).unwrap_err();
            assert!(error.to_string().contains(part) && error.exit_code() == 1, "{error}");
        }
    }

    #[test]
    fn a_failed_case_says_where_it_stands_what_was_decided_and_what_was_expected() {
        let case = CaseResult {
            name: "finance reads".into(),
            file: "tests.toml".into(),
            line: 3,
            passed: false,
            to: "crm".into(),
            app: Some("crm".into()),
            expected: true,
            permitted: false,
            policies: vec!["closed".into()],
            why: "denied by `closed`".into(),
            mismatches: vec!["expected a permit".into()],
        };
        assert_eq!(
            result(Path::new("office"), &case),
            "FAILED  finance reads\n  office/tests.toml:3: expected a permit\n  denied by `closed`"
        );
        assert_eq!(result(Path::new("office"), &CaseResult { passed: true, ..case }), "ok      finance reads");
    }

    #[test]
    fn places_are_those_of_files_in_the_directory() {
        let directory = bundle(&[("apps.toml", "x = 1")]);
        let found = bundle::read(directory.path()).unwrap_err();
        let line = line(directory.path(), "", &found.errors[0]);
        let expected = format!(
            "{}:1:1: x: is not a known key\n  hint: known here: `app`",
            directory.path().join("apps.toml").display()
        );
        assert_eq!(line, expected);
    }
}
