//! `portcullis policy plan`, `diff`, `apply`, `confirm`, `history`, `show`, `rollback` and `export`: bundles and the gateway.

use super::policy::{printable, written};
use crate::bundle;
use crate::cli::CliError;
use crate::cli::client::{Answer, Call};
use crate::cli::context::Context;
use crate::cli::output::{Output, plain};
use crate::cli::sentence::{counted, moment};
use crate::cli::table::list;
use crate::wire::{Applied, AppsFile, Bundle, ChangedNames, Changes, Generation, Plan};
use clap::Args;
use reqwest::Method;
use similar::TextDiff;
use std::collections::BTreeMap;
use std::path::Path;
use time::OffsetDateTime;

/// What goes with a change.
#[derive(Args, Debug)]
pub(in crate::cli) struct Change {
    /// Why, for the history
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// Undo it after so long, like `5m`, unless `portcullis policy confirm` is run before
    #[arg(long, value_name = "DURATION")]
    confirm_within: Option<String>,
}

/// Where people without a session are assumed to be.
#[derive(Args, Debug)]
pub(in crate::cli) struct Assumed {
    /// The address that people without a session are assumed to have
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// The zone that they are assumed to be in
    #[arg(long)]
    zone: Option<String>,
}

impl Change {
    /// Refuses what a file of policies cannot have, instead of leaving it out.
    pub(super) fn none(&self, file: &Path) -> Result<(), CliError> {
        match self {
            Self { message: None, confirm_within: None } => Ok(()),
            _ => Err(CliError::NotABundle(file.into())),
        }
    }

    fn added_to<'c>(&self, call: Call<'c>) -> Call<'c> {
        let call = call.query("message", self.message.as_deref());
        call.query("confirm_within", self.confirm_within.as_deref())
    }
}

/// Prints what a directory would lead to.
pub(super) async fn plan(context: &Context, directory: &Path, assumed: &Assumed) -> Result<(), CliError> {
    let call = context.administer(Method::POST, &["v1", "bundle", "plan"])?;
    let call = call.query("from", assumed.from.as_deref()).query("zone", assumed.zone.as_deref());
    let document = document(context.output, directory)?;
    let plan: Answer<Plan> = call.body(&document).answer().await.map_err(|error| error.about(directory))?;
    context.output.either(&plan.json, || planned(directory, &plan.shape, context.output.color))
}

/// Prints how a directory differs from what is in force, line by line.
pub(super) async fn diff(context: &Context, directory: &Path) -> Result<(), CliError> {
    let after = document(context.output, directory)?;
    let before = in_force(context, None).await?.shape;
    let (old, new) = (files(&before)?, files(&completed(after, &before))?);
    let names: BTreeMap<&String, ()> = old.keys().chain(new.keys()).map(|name| (name, ())).collect();
    let texts = names.into_keys().map(|name| {
        let side = |files: &BTreeMap<String, String>| files.get(name).cloned().unwrap_or_default();
        (name, side(&old), side(&new))
    });
    let changed = texts.filter(|(_, before, after)| before != after);
    let changed: BTreeMap<&String, String> =
        changed.map(|(name, before, after)| (name, unified(name, &before, &after))).collect();
    let lines = || match changed.is_empty() {
        true => "nothing would change".to_owned(),
        false => printable(&changed.values().cloned().collect::<String>()),
    };
    context.output.either(&serde_json::json!(changed), lines)
}

/// Puts a directory in force.
pub(super) async fn apply(
    context: &Context,
    directory: &Path,
    if_match: Option<u64>,
    change: &Change,
) -> Result<(), CliError> {
    let document = document(context.output, directory)?;
    let mut call = change.added_to(context.administer(Method::PUT, &["v1", "bundle"])?.body(&document));
    if let Some(generation) = if_match {
        call = call.header("if-match", &format!("\"{generation}\""));
    }
    let applied: Answer<Applied> = call.answer().await.map_err(|error| error.about(directory))?;
    context.output.either(&applied.json, || in_words(&applied.shape))
}

/// Keeps what would be undone.
pub(super) async fn confirm(context: &Context, generation: Option<u64>) -> Result<(), CliError> {
    let mut call = context.administer(Method::POST, &["v1", "bundle", "confirm"])?;
    if let Some(generation) = generation {
        call = call.header("if-match", &format!("\"{generation}\""));
    }
    let confirmed: Answer<Generation> = call.answer().await?;
    context.output.either(&confirmed.json, || format!("generation {} stays in force", confirmed.shape.generation))
}

/// Lists who has changed what.
pub(super) async fn history(context: &Context) -> Result<(), CliError> {
    context.output.list(&context.administer(Method::GET, &["v1", "generations"])?.answer::<Vec<Generation>>().await?)
}

/// Puts in force again what was.
pub(super) async fn rollback(context: &Context, to: Option<u64>, change: &Change) -> Result<(), CliError> {
    let to = match to {
        Some(to) => to,
        None => before_the_last(context).await?,
    };
    let to = to.to_string();
    let call = context.administer(Method::POST, &["v1", "generations", &to, "rollback"])?;
    let applied: Answer<Applied> = change.added_to(call).answer().await?;
    context.output.either(&applied.json, || format!("back to generation {to}: {}", in_words(&applied.shape)))
}

/// The generation before the last change.
async fn before_the_last(context: &Context) -> Result<u64, CliError> {
    let history: Answer<Vec<Generation>> = context.administer(Method::GET, &["v1", "generations"])?.answer().await?;
    let last = history.shape.first().ok_or(CliError::NothingToUndo)?;
    Ok(last.generation.saturating_sub(1))
}

/// Writes what is, or was, in force as a directory.
pub(super) async fn export(context: &Context, directory: &Path, generation: Option<u64>) -> Result<(), CliError> {
    let bundle = in_force(context, generation).await?.shape;
    let files = files(&bundle)?;
    if let Some(there) = files.keys().map(|name| directory.join(name)).find(|path| path.symlink_metadata().is_ok()) {
        return Err(CliError::FileExists(there));
    }
    for (name, text) in &files {
        super::bundle::write(&directory.join(name), text)?;
    }
    let paths: Vec<String> = files.keys().map(|name| directory.join(name).display().to_string()).collect();
    context.output.either(&serde_json::json!(paths), || paths.join("\n"))
}

/// What is in force, or was in a generation.
pub(super) async fn in_force(context: &Context, generation: Option<u64>) -> Result<Answer<Bundle>, CliError> {
    let number = generation.map(|generation| generation.to_string());
    let path = number.as_deref().map_or(vec!["v1", "bundle"], |number| vec!["v1", "generations", number, "bundle"]);
    context.administer(Method::GET, &path)?.answer().await
}

/// The document of a directory, which is checked first; its warnings are told.
fn document(output: Output, directory: &Path) -> Result<Bundle, CliError> {
    match bundle::read(directory) {
        Ok(loaded) => Ok(loaded.document),
        Err(errors) => {
            super::bundle::report(output, directory, &errors.errors, &errors.warnings, "")?;
            Err(CliError::PolicyNotValid(directory.into()))
        }
    }
}

/// What a bundle does not say is as it is.
fn completed(mut bundle: Bundle, before: &Bundle) -> Bundle {
    for app in &mut bundle.apps {
        let known = before.apps.iter().find(|known| known.name == app.name);
        app.enabled = app.enabled.or_else(|| known.map_or(Some(true), |known| known.enabled));
    }
    bundle.groups = before
        .groups
        .iter()
        .chain(&bundle.groups)
        .cloned()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    bundle
}

/// A bundle as the files of a directory.
fn files(bundle: &Bundle) -> Result<BTreeMap<String, String>, CliError> {
    let Bundle { settings, groups, apps, policies } = bundle;
    let failed = |error: toml::ser::Error| CliError::Unwritable {
        path: "apps.toml".into(),
        source: std::io::Error::other(error),
    };
    let mut files: BTreeMap<String, String> =
        policies.iter().map(|file| (file.name.clone(), file.text.clone())).collect();
    let timezone = settings.timezone.as_deref().unwrap_or("UTC");
    files.insert("bundle.toml".to_owned(), format!("[settings]\ntimezone = {timezone:?}\n"));
    let groups = groups.iter().map(|name| format!("[[group]]\nname = {name:?}\n"));
    files.insert("groups.toml".to_owned(), groups.collect::<Vec<_>>().join("\n"));
    let mut apps = apps.clone();
    apps.sort_by(|one, other| one.name.cmp(&other.name));
    files.insert("apps.toml".to_owned(), toml::to_string(&AppsFile { apps }).map_err(failed)?);
    Ok(files)
}

fn unified(name: &str, before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after).unified_diff().header(&format!("in force/{name}"), name).to_string()
}

fn in_words(applied: &Applied) -> String {
    let Applied { generation, changed, sessions_gaining, sessions_losing, confirm_until } = applied;
    if !changed {
        return format!("generation {generation} is in force already; nothing changed");
    }
    let waits = confirm_until
        .map(|until| format!("\nit is undone at {} unless you run `portcullis policy confirm`", moment(until)));
    let (gaining, losing) = (counted(*sessions_gaining, "session"), counted(*sessions_losing, "session"));
    format!("generation {generation} is in force; {gaining} gained, {losing} lost{}", waits.unwrap_or_default())
}

fn planned(directory: &Path, plan: &Plan, color: bool) -> String {
    let mut lines: Vec<String> = plan
        .warnings
        .iter()
        .map(|warning| {
            let file = warning.file.as_deref().map_or_else(|| directory.to_owned(), |file| directory.join(file));
            written(&file, "warning: ", warning)
        })
        .collect();
    if plan.changes == Changes::default() {
        lines.push(format!("nothing would change: generation {} is in force", plan.generation));
        return lines.join("\n");
    }
    lines.extend(changes(&plan.changes));
    lines.push(format!(
        "{} would gain, {} lose; {} would be cut",
        counted(plan.sessions_gaining, "session"),
        plan.sessions_losing,
        counted(plan.flows_cut, "connection"),
    ));
    if !plan.people.is_empty() {
        lines.push(String::new());
        lines.push(list(&plan.people, OffsetDateTime::now_utc(), color));
    }
    let more = plan.people_concerned.saturating_sub(plan.people.len());
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

fn changes(changes: &Changes) -> Vec<String> {
    let Changes { settings, groups, apps, policies } = changes;
    let all = |kind: &str, names: &ChangedNames| -> Vec<String> {
        let ChangedNames { added, changed, removed } = names;
        let marked = [("+", added), ("~", changed), ("-", removed)];
        let lines = marked.into_iter().flat_map(|(mark, names)| names.iter().map(move |name| (mark, name)));
        lines.map(|(mark, name)| plain(&format!("{mark} {kind} {name}"))).collect()
    };
    let mut lines: Vec<String> = settings.then(|| "~ settings".to_owned()).into_iter().collect();
    lines.extend(groups.iter().map(|name| plain(&format!("+ group {name}"))));
    lines.extend(all("app", apps));
    lines.extend(all("policy", policies));
    lines
}
