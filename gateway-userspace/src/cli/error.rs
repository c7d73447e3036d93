//! Why a command was not done, and the exit code that says so.

use crate::config::ConfigErrors;
use crate::wire::{FieldError, Problem};
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

/// Bad configuration, as `sysexits.h` numbers it.
const BAD_CONFIGURATION: u8 = 78;

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// `--url` is not usable.
    #[error("`{url}` is not the address of a gateway: {problem}; write it like `https://gateway.example:8443`")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that the options name cannot be read.
    #[error("{option} `{path}` cannot be read: {source}")]
    Setting {
        /// The option.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can read the token.
    #[error("token file `{0}` can be read by everybody; run `chmod o-rwx` on it")]
    ExposedToken(PathBuf),
    /// A token that cannot be one.
    #[error("the API token is empty or more than one word; it looks like `pct_…`")]
    NotAToken,
    /// An operation for administrators without a token.
    #[error("an API token is needed: name its file with `--token-file`, or set PORTCULLIS_TOKEN")]
    NoToken,
    /// Not a fingerprint.
    #[error("`{0}` is not a SHA-256 fingerprint: write its 64 hexadecimal digits, with colons or without")]
    Pin(String),
    /// No certificate in a file.
    #[error("`{0}` holds no certificate in PEM form")]
    NoCertificate(PathBuf),
    /// No key in a file.
    #[error("`{0}` holds no private key in PEM form")]
    NoKey(PathBuf),
    /// Nobody to trust.
    #[error("this system has no list of trusted authorities; name the gateway's with `--ca` or `--pin`")]
    NoAuthorities,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// HTTP cannot be set up.
    #[error("the client cannot be set up: {0}")]
    Setup(reqwest::Error),
    /// No runtime.
    #[error("no runtime: {0}")]
    Runtime(io::Error),
    /// The gateway could not be asked.
    #[error("`{url}` does not answer: {problem}")]
    Unreachable {
        /// Its address.
        url: String,
        /// Why, and what to do.
        problem: String,
    },
    /// The answer is not one of this API.
    #[error("`{url}` gave an answer that is not one of the API: {problem}")]
    Answer {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The gateway refused.
    #[error("{}", refusal(.problem, .file.as_deref()))]
    Refused {
        /// What it said.
        problem: Box<Problem>,
        /// The file that the request was made of.
        file: Option<PathBuf>,
    },
    /// No session of ours is known.
    #[error("you are not logged in at `{0}`; run `portcullis login`")]
    NotLoggedIn(String),
    /// The session is over.
    #[error("your session at `{0}` has ended; run `portcullis login`")]
    SessionEnded(String),
    /// The session's file cannot be read or written.
    #[error("session file `{path}`: {source}")]
    SessionFile {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no place for the session's file.
    #[error("there is no place for the session's secret; set XDG_RUNTIME_DIR or HOME")]
    NoPlace,
    /// A file that a command was given cannot be read.
    #[error("`{path}` cannot be read: {source}")]
    Input {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of apps is not valid.
    #[error("{0}")]
    Apps(ConfigErrors),
    /// One of several apps was refused.
    #[error("app `{app}`: {source}")]
    App {
        /// Which.
        app: String,
        /// Why.
        source: Box<CliError>,
    },
    /// Policies that are not valid; what is wrong has been printed.
    #[error("`{0}` is not valid; nothing changed")]
    PolicyNotValid(PathBuf),
    /// Cases that did not come out as expected; they have been printed.
    #[error("{failed} of {all} cases did not come out as expected")]
    CasesFailed {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
    },
    /// Nothing to be tried.
    #[error("`{0}` has no test case: write `[[case]]` to `tests.toml`")]
    NoCases(PathBuf),
    /// A file that is there already.
    #[error("`{0}` is there already; nothing was written")]
    FileExists(PathBuf),
    /// A file that a command was to write cannot be written.
    #[error("`{path}` cannot be written: {source}")]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Packets are not for terminals.
    #[error("a capture is not for a terminal; name a file with `--output`, or a program behind a `|`")]
    CaptureToTerminal,
    /// A message, or a time to confirm, for what is no bundle.
    #[error("`--message` and `--confirm-within` are for bundles, and `{0}` is no directory; nothing changed")]
    NotABundle(PathBuf),
    /// An audit trail with a flaw, which has been printed.
    #[error("`{0}` is not the audit trail that was written")]
    NotVerified(PathBuf),
    /// A time that ends before it begins.
    #[error("there is no time between {since} and {until}; `--since` has to be before `--until`")]
    EmptyPeriod {
        /// When it begins.
        since: String,
        /// When it ends.
        until: String,
    },
    /// A page or a picture that cannot be made.
    #[error("the page cannot be written: {0}")]
    Page(#[from] askama::Error),
    /// No change is remembered.
    #[error("no change is remembered, so there is nothing to go back to")]
    NothingToUndo,
    /// A user that is there already.
    #[error("user `{0}` exists already; change them with `portcullis user set`")]
    UserExists(String),
    /// A password cannot be asked for.
    #[error("no password can be asked for here: {0}; use `--password-stdin`")]
    NoTerminal(io::Error),
    /// Two different passwords.
    #[error("the two passwords differ")]
    PasswordsDiffer,
    /// Nobody to log in.
    #[error("who logs in is not known; use `--user`")]
    NoUser,
    /// No such page.
    #[error("there is no command `{0}`")]
    NoCommand(String),
    /// The answer cannot be printed.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// What the process ends with.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Url { .. }
            | Self::Setting { .. }
            | Self::ExposedToken(_)
            | Self::NotAToken
            | Self::NoToken
            | Self::Pin(_)
            | Self::NoCertificate(_)
            | Self::NoKey(_)
            | Self::NoAuthorities
            | Self::NoPlace
            | Self::Tls(_) => BAD_CONFIGURATION,
            _ => 1,
        }
    }

    /// Whether the gateway answered with this status.
    pub(super) fn has_status(&self, status: u16) -> bool {
        matches!(self, Self::Refused { problem, .. } if problem.status == status)
    }

    /// The request was made of a file, where errors have their places.
    pub(super) fn about(self, file: &std::path::Path) -> Self {
        match self {
            Self::Refused { problem, .. } => Self::Refused { problem, file: Some(file.into()) },
            other => other,
        }
    }
}

/// The title, then each single error; the detail only if there is none, because it repeats them.
fn refusal(problem: &Problem, file: Option<&std::path::Path>) -> String {
    let detail = problem.detail.as_deref().filter(|detail| problem.errors.is_empty() && !detail.is_empty());
    let mut text = match detail {
        Some(detail) => format!("{}: {detail}", problem.title),
        None => problem.title.clone(),
    };
    for error in &problem.errors {
        let _ = write!(text, "\n{}", field_error(error, file));
    }
    super::output::plain_lines(&text)
}

fn field_error(error: &FieldError, file: Option<&std::path::Path>) -> String {
    let FieldError { field, line, column, message, hint } = error;
    let place = match (file, line, column, field) {
        (Some(file), Some(line), Some(column), _) => format!("{}:{line}:{column}: ", file.display()),
        (None, Some(line), Some(column), _) => format!("{line}:{column}: "),
        (_, _, _, Some(field)) => format!("  {field}: "),
        _ => "  ".to_owned(),
    };
    let hint = hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
    format!("{place}{message}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(detail: &str, errors: Vec<FieldError>) -> Box<Problem> {
        Box::new(Problem {
            kind: "urn:portcullis:problem:policy".into(),
            title: "the policy is not valid".into(),
            status: 422,
            detail: Some(detail.into()),
            instance: None,
            errors,
        })
    }

    #[test]
    fn a_refusal_says_its_detail_or_every_single_error() {
        let error = CliError::Refused { problem: problem("why", Vec::new()), file: None };
        assert_eq!(error.to_string(), "the policy is not valid: why");
        let typo = FieldError {
            field: Some("text".into()),
            line: Some(3),
            column: Some(7),
            message: "unknown app `cmr`".into(),
            hint: Some("did you mean `crm`?".into()),
        };
        let field = FieldError { field: Some("services[1]".into()), message: "bad".into(), ..FieldError::default() };
        let error = CliError::Refused { problem: problem("2 errors", vec![typo, field]), file: None };
        let error = error.about(std::path::Path::new("p.cedar"));
        assert_eq!(
            error.to_string(),
            "the policy is not valid\np.cedar:3:7: unknown app `cmr`\n  hint: did you mean `crm`?\n  services[1]: bad"
        );
        assert!(error.has_status(422) && error.exit_code() == 1);
    }

    #[test]
    fn bad_configuration_has_its_own_exit_code() {
        let url = CliError::Url { url: "x".into(), problem: "y".into() };
        for error in [url, CliError::NoToken, CliError::Pin("zz".into()), CliError::ExposedToken("/t".into())] {
            assert_eq!(error.exit_code(), 78, "{error}");
        }
        for error in [CliError::PasswordsDiffer, CliError::NotLoggedIn("u".into()), CliError::UserExists("a".into())] {
            assert_eq!(error.exit_code(), 1, "{error}");
        }
    }
}
