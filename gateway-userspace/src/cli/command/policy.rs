//! `portcullis policy`

use super::read_input;
use crate::cli::CliError;
use crate::cli::client::Answer;
use crate::cli::context::Context;
use crate::cli::output::{Output, plain};
use crate::wire::{self, PolicyCheck, PolicyIssue, PolicyPut};
use clap::Subcommand;
use reqwest::Method;
use std::path::{Path, PathBuf};

/// What is to be done with the policies.
#[derive(Subcommand, Debug)]
#[command(
    after_help = "Examples:\n  portcullis policy check policies.cedar\n  portcullis policy apply policies.cedar --if-match 12"
)]
pub(in crate::cli) enum Policy {
    /// Show the policies in force
    Show,
    /// Check policies against the gateway, without putting them in force
    Check {
        /// The file; `-` for the standard input
        file: PathBuf,
    },
    /// Put policies in force, all of them at once; sessions follow at once
    Apply {
        /// The file; `-` for the standard input
        file: PathBuf,
        /// Refuse unless this generation is in force
        #[arg(long, value_name = "GENERATION")]
        if_match: Option<u64>,
    },
}

impl Policy {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Show => {
                let policy = context.administer(Method::GET, &["v1", "policy"])?.answer::<wire::Policy>().await?;
                context.output.either(&policy.json, || printable(&policy.shape.text))
            }
            Self::Check { file } => check(context, &file).await,
            Self::Apply { file, if_match } => apply(context, &file, if_match).await,
        }
    }
}

/// Policies keep their tabs, and lose what a terminal would obey.
fn printable(text: &str) -> String {
    let line = |line: &str| line.split('\t').map(plain).collect::<Vec<_>>().join("\t");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

async fn check(context: &Context, file: &Path) -> Result<(), CliError> {
    let text = read_input(file)?;
    let call = context.administer(Method::POST, &["v1", "policy", "check"])?.body(&PolicyPut { text });
    let check: Answer<PolicyCheck> = call.answer().await?;
    let PolicyCheck { valid, errors, warnings } = &check.shape;
    let mut lines: Vec<String> = errors.iter().map(|issue| written(file, "", issue)).collect();
    lines.extend(warnings.iter().map(|issue| written(file, "warning: ", issue)));
    if *valid {
        lines.push(format!("`{}` is valid", file.display()));
    }
    context.output.either(&check.json, || lines.join("\n"))?;
    if *valid { Ok(()) } else { Err(CliError::PolicyNotValid(file.into())) }
}

async fn apply(context: &Context, file: &Path, if_match: Option<u64>) -> Result<(), CliError> {
    let text = read_input(file)?;
    let mut call = context.administer(Method::PUT, &["v1", "policy"])?.body(&PolicyPut { text });
    if let Some(generation) = if_match {
        call = call.header("if-match", &format!("\"{generation}\""));
    }
    let policy: Answer<wire::Policy> = call.answer().await.map_err(|error| error.about(file))?;
    let wire::Policy { generation, text: _, warnings } = &policy.shape;
    for warning in warnings.iter().filter(|_| !context.output.json) {
        Output::print(&written(file, "warning: ", warning))?;
    }
    context.output.either(&policy.json, || format!("generation {generation} is in force"))
}

/// `file:line:column: message`, which editors understand, and the hint below it.
fn written(file: &Path, kind: &str, issue: &PolicyIssue) -> String {
    let PolicyIssue { file: _, line, column, policy, message, hint } = issue;
    let policy = policy.as_ref().map(|policy| format!("policy `{policy}`: ")).unwrap_or_default();
    let first = plain(&format!("{}:{line}:{column}: {kind}{policy}{message}", file.display()));
    let hint = hint.as_ref().map(|hint| format!("\n  hint: {}", plain(hint))).unwrap_or_default();
    format!("{first}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_has_its_place_its_policy_and_its_hint() {
        let mut issue = PolicyIssue {
            file: None,
            line: 3,
            column: 7,
            policy: Some("books".into()),
            message: "app `cmr` is not defined".into(),
            hint: Some("did you mean `crm`?".into()),
        };
        let file = Path::new("p.cedar");
        let expected = "p.cedar:3:7: policy `books`: app `cmr` is not defined\n  hint: did you mean `crm`?";
        assert_eq!(written(file, "", &issue), expected);
        (issue.policy, issue.hint) = (None, None);
        assert_eq!(written(file, "warning: ", &issue), "p.cedar:3:7: warning: app `cmr` is not defined");
    }

    #[test]
    fn a_shown_policy_keeps_its_lines_and_tabs() {
        assert_eq!(printable("a\n\tb\u{1b}c\n"), "a\n\tb\u{fffd}c");
    }
}
