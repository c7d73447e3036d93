//! `portcullis policy`

use super::generation::{self, Assumed, Change};
use super::{bundle, read_input};
use crate::cli::CliError;
use crate::cli::client::Answer;
use crate::cli::context::Context;
use crate::cli::output::{Output, plain};
use crate::policy;
use crate::wire::{self, PolicyCheck, PolicyIssue, PolicyPut};
use clap::Subcommand;
use reqwest::Method;
use std::path::{Path, PathBuf};

/// What is to be done with the policies.
#[derive(Subcommand, Debug)]
#[command(after_help = "Examples:\n  \
        portcullis policy new second-factor --dir office\n  \
        portcullis policy check office\n  \
        portcullis policy test office --junit report.xml\n  \
        portcullis policy check policies.cedar\n  \
        portcullis policy plan office\n  \
        portcullis policy apply office --message NET-417 --confirm-within 5m\n  \
        portcullis policy confirm\n  \
        portcullis policy rollback")]
pub(in crate::cli) enum Policy {
    /// Show the policies in force, or those of a former generation
    Show {
        /// The generation; the one in force if left out
        generation: Option<u64>,
    },
    /// Check a bundle, or a file of policies, without putting it in force
    ///
    /// A directory is a bundle, which is checked here: no gateway is asked, and no token is needed. A file is checked
    /// against the groups and apps of the gateway.
    #[command(after_help = "Examples:\n  \
        portcullis policy check office\n  \
        portcullis policy check policies.cedar\n  \
        portcullis policy check policies.cedar --offline\n\n\
        Exit status: 0 nothing is wrong (warnings are not errors), 1 something is, 2 usage.")]
    Check {
        /// The directory or file; `-` for the standard input
        path: PathBuf,
        /// Ask no gateway about a file; which groups and apps there are is not known then
        #[arg(long)]
        offline: bool,
    },
    /// Try the test cases of a bundle; no gateway is asked
    #[command(after_help = "Examples:\n  \
        portcullis policy test office\n  \
        portcullis policy test office --json\n  \
        portcullis policy test office --junit report.xml\n\n\
        Exit status: 0 all came out as expected; 1 one did not, there is none, or the bundle is not valid; 2 usage.")]
    Test {
        /// The directory
        path: PathBuf,
        /// Also write a report in JUnit's form, for CI
        #[arg(long, value_name = "FILE")]
        junit: Option<PathBuf>,
    },
    /// Begin with a template: list all, show one, or write its files
    #[command(after_help = "Examples:\n  \
        portcullis policy new\n  \
        portcullis policy new second-factor\n  \
        portcullis policy new second-factor --dir office")]
    New {
        /// The template; all are listed if left out
        #[arg(value_parser = bundle::templates())]
        template: Option<String>,
        /// Write its files to this directory; none that is there is overwritten
        #[arg(long, value_name = "PATH", requires = "template")]
        dir: Option<PathBuf>,
    },
    /// Say what a bundle would lead to: who gains and loses what, and which connections would be cut
    ///
    /// Nothing is changed. People without a session are judged as after a login with two factors.
    #[command(after_help = "Examples:\n  \
        portcullis policy plan office\n  \
        portcullis policy plan office --from 192.0.2.10 --zone branch")]
    Plan {
        /// The directory
        path: PathBuf,
        #[command(flatten)]
        assumed: Assumed,
    },
    /// Show how a bundle differs from what is in force, line by line
    Diff {
        /// The directory
        path: PathBuf,
    },
    /// Put a bundle, or a file of policies, in force, all of it in one step; sessions follow at once
    ///
    /// A directory is a bundle: its apps, policies and settings are all that there are afterwards. A file replaces the
    /// policies alone. What is in force already changes nothing.
    #[command(after_help = "Examples:\n  \
        portcullis policy apply office --message NET-417 --confirm-within 5m\n  \
        portcullis policy apply policies.cedar --if-match 12")]
    Apply {
        /// The directory or file; `-` for the standard input
        path: PathBuf,
        /// Refuse unless this generation is in force
        #[arg(long, value_name = "GENERATION")]
        if_match: Option<u64>,
        #[command(flatten)]
        change: Change,
    },
    /// Keep what was put in force with `--confirm-within`
    Confirm {
        /// Refuse unless it is this generation
        generation: Option<u64>,
    },
    /// List who has changed what, the newest first
    History,
    /// Put in force again what was: by default, what was before the last change
    #[command(after_help = "Examples:\n  \
        portcullis policy rollback\n  \
        portcullis policy rollback 12 --message NET-418")]
    Rollback {
        /// The generation to go back to
        generation: Option<u64>,
        #[command(flatten)]
        change: Change,
    },
    /// Write what is in force as a bundle
    Export {
        /// The directory; none of its files is overwritten
        path: PathBuf,
        /// What was in force in this generation
        #[arg(long)]
        generation: Option<u64>,
    },
}

impl Policy {
    /// Does what needs no gateway. Everything else is given back.
    pub(in crate::cli) fn offline(self, output: Output) -> Result<Result<(), CliError>, Self> {
        match self {
            Self::Check { path, .. } if path.is_dir() => Ok(bundle::check(output, &path)),
            Self::Check { path, offline: true } => Ok(bundle::check_file(output, &path)),
            Self::Test { path, junit } => Ok(bundle::test(output, &path, junit.as_deref())),
            Self::New { template, dir } => Ok(bundle::new(output, template.as_deref(), dir.as_deref())),
            online => Err(online),
        }
    }

    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Show { generation: Some(generation) } => {
                let bundle = generation::in_force(context, Some(generation)).await?;
                context.output.either(&bundle.json, || printable(&joined(&bundle.shape)))
            }
            Self::Show { generation: None } => {
                let policy = context.administer(Method::GET, &["v1", "policy"])?.answer::<wire::Policy>().await?;
                context.output.either(&policy.json, || printable(&policy.shape.text))
            }
            Self::Check { path, .. } => check(context, &path).await,
            Self::Test { path, junit } => bundle::test(context.output, &path, junit.as_deref()),
            Self::New { template, dir } => bundle::new(context.output, template.as_deref(), dir.as_deref()),
            Self::Plan { path, assumed } => generation::plan(context, &path, &assumed).await,
            Self::Diff { path } => generation::diff(context, &path).await,
            Self::Apply { path, if_match, change } if path.is_dir() => {
                generation::apply(context, &path, if_match, &change).await
            }
            Self::Apply { path, if_match, change } => {
                change.none(&path)?;
                apply(context, &path, if_match).await
            }
            Self::Confirm { generation } => generation::confirm(context, generation).await,
            Self::History => generation::history(context).await,
            Self::Rollback { generation, change } => generation::rollback(context, generation, &change).await,
            Self::Export { path, generation } => generation::export(context, &path, generation).await,
        }
    }
}

/// The policies of a bundle, as they are shown when they are in force.
fn joined(bundle: &wire::Bundle) -> String {
    let file = |file: &wire::PolicyFile| policy::PolicyFile { name: file.name.clone(), text: file.text.clone() };
    policy::PolicyFile::joined(&bundle.policies.iter().map(file).collect::<Vec<_>>())
}

/// Policies keep their tabs, and lose what a terminal would obey.
pub(super) fn printable(text: &str) -> String {
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
pub(super) fn written(file: &Path, kind: &str, issue: &PolicyIssue) -> String {
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
