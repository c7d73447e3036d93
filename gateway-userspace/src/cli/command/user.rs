//! `portcullis user`

use crate::cli::client::Answer;
use crate::cli::context::Context;
use crate::cli::{CliError, password, sentence};
use crate::policy;
use crate::wire::{self, PasswordChange, Receipts, RiskPut, UserPut};
use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use std::collections::BTreeMap;

/// What is to be done with users.
#[derive(Subcommand, Debug)]
#[command(after_help = "Examples:\n  portcullis user list\n  portcullis user add alice --group staff --group finance")]
pub(in crate::cli) enum User {
    /// List users
    List,
    /// Show a user
    Show {
        /// Whom
        user: String,
    },
    /// Add a user
    Add(Add),
    /// Change what is known of a user; their sessions follow at once
    Set(Set),
    /// Say how likely it is that somebody else acts as a user, for policies that look at `context.risk`
    Risk {
        /// Whom
        user: String,
        /// How likely; `none` if nobody knows any more
        level: Level,
    },
    /// Disable a user: their sessions end, and they cannot log in
    Disable {
        /// Whom
        user: String,
    },
    /// Enable a user: they may log in again
    Enable {
        /// Whom
        user: String,
    },
    /// Remove a user: their sessions end
    Remove {
        /// Whom
        user: String,
    },
    /// Set a user's password
    Password {
        /// Whose
        user: String,
        /// Read the password from the standard input
        #[arg(long)]
        password_stdin: bool,
    },
}

/// Add a user.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  portcullis user add alice --display-name Alice --group finance --password-stdin")]
pub(in crate::cli) struct Add {
    /// What they log in with
    user: String,
    /// What people call them
    #[arg(long, value_name = "NAME", default_value = "")]
    display_name: String,
    /// A group that they belong to; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// What is known of them, for policies; may be repeated
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// Read the password from the standard input
    #[arg(long)]
    password_stdin: bool,
    /// Set no password yet: they cannot log in before they have one
    #[arg(long, conflicts_with = "password_stdin")]
    no_password: bool,
}

/// Change what is known of a user.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  portcullis user set alice --group staff --group ops\n  portcullis user set alice --no-groups"
)]
pub(in crate::cli) struct Set {
    /// Whom
    user: String,
    #[command(flatten)]
    changes: Changes,
}

/// At least one.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Changes {
    /// What people call them
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// A group that they are to belong to, instead of those until now; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Option<Vec<String>>,
    /// They are to belong to no group
    #[arg(long, conflicts_with = "groups")]
    no_groups: bool,
    /// What is known of them, instead of all that was until now; may be repeated
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Option<Vec<(String, String)>>,
    /// Nothing is known of them
    #[arg(long, conflicts_with = "attributes")]
    no_attributes: bool,
}

/// How likely it is that somebody else acts as a user.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub(in crate::cli) enum Level {
    None,
    Low,
    Medium,
    High,
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write a name and a value, like `department=finance`")?;
    policy::attribute(name, value).map_err(|error| error.to_string())
}

impl From<Level> for Option<wire::Risk> {
    fn from(level: Level) -> Self {
        match level {
            Level::None => None,
            Level::Low => Some(wire::Risk::Low),
            Level::Medium => Some(wire::Risk::Medium),
            Level::High => Some(wire::Risk::High),
        }
    }
}

impl User {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List => {
                let users = context.administer(Method::GET, &["v1", "users"])?.pages::<wire::User>().await?;
                context.output.list(&users)
            }
            Self::Show { user } => context.output.show(&find(context, &user).await?),
            Self::Add(add) => add.run(context).await,
            Self::Set(set) => set.run(context).await,
            Self::Risk { user, level } => {
                let call = context.administer(Method::POST, &["v1", "users", &user, "risk"])?;
                let told = call.body(&RiskPut { risk: level.into() }).answer::<wire::User>().await?;
                context.output.show(&told)
            }
            Self::Disable { user } => switch(context, &user, "disable").await,
            Self::Enable { user } => switch(context, &user, "enable").await,
            Self::Remove { user } => {
                let removed = context.administer(Method::DELETE, &["v1", "users", &user])?.answer().await?;
                report(context, &format!("user `{user}` is removed"), &removed)
            }
            Self::Password { user, password_stdin } => {
                let password = password::ask(&user, password_stdin, true)?;
                let call = context.administer(Method::PUT, &["v1", "users", &user, "password"])?;
                call.body(&PasswordChange { password }).done().await?;
                context.output.say(&format!("user `{user}` has a new password"))
            }
        }
    }
}

impl Add {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let Self { user, display_name, groups, attributes, password_stdin, no_password } = self;
        match find(context, &user).await {
            Ok(_) => return Err(CliError::UserExists(user)),
            Err(error) if error.has_status(404) => {}
            Err(error) => return Err(error),
        }
        let password = if no_password { None } else { Some(password::ask(&user, password_stdin, true)?) };
        let groups = groups.into_iter().collect();
        let attributes = Some(attributes.into_iter().collect());
        let put_as = UserPut { display_name, groups, attributes, enabled: Some(true), password, ..UserPut::default() };
        put(context, &user, &put_as).await
    }
}

impl Set {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let Self { user, changes } = self;
        let Changes { display_name, groups, no_groups, attributes, no_attributes } = changes;
        let known = find(context, &user).await?.shape;
        let groups = match groups {
            Some(groups) => groups.into_iter().collect(),
            None if no_groups => Default::default(),
            None => known.groups,
        };
        let display_name = display_name.unwrap_or(known.display_name);
        let attributes = attributes.map(|given| given.into_iter().collect()).or(no_attributes.then(BTreeMap::new));
        put(context, &user, &UserPut { display_name, groups, attributes, ..UserPut::default() }).await
    }
}

async fn find(context: &Context, user: &str) -> Result<Answer<wire::User>, CliError> {
    context.administer(Method::GET, &["v1", "users", user])?.answer().await
}

async fn put(context: &Context, user: &str, shape: &UserPut) -> Result<(), CliError> {
    let put = context.administer(Method::PUT, &["v1", "users", user])?.body(shape);
    context.output.show(&put.answer::<wire::User>().await?)
}

async fn switch(context: &Context, user: &str, verb: &str) -> Result<(), CliError> {
    let done = context.administer(Method::POST, &["v1", "users", user, verb])?.answer().await?;
    report(context, &format!("user `{user}` is {verb}d"), &done)
}

fn report(context: &Context, what: &str, done: &Answer<Receipts>) -> Result<(), CliError> {
    let receipts = &done.shape.receipts;
    context.output.either(&done.json, || match receipts.as_slice() {
        [] => what.to_owned(),
        receipts => format!("{what}\n{}", sentence::receipts(receipts)),
    })
}
