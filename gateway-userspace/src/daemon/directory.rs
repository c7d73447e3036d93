//! The bundle in a directory: put in force at the start, when it changes, and on SIGHUP.
//!
//! One that is not valid changes nothing, and is said. What was put in force by other ways stays until the directory changes.

use crate::bundle::{BundleErrors, Gathered, Loaded};
use crate::config::Followed;
use crate::core::{Actor, Apply, Core, CoreError, Request};
use crate::policy::{AppName, Bundle};
use crate::record::Metrics;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How often it is looked at. It has to look the same twice: somebody may be writing it.
const LOOK: Duration = Duration::from_secs(1);
/// How many errors of one that is not valid are logged.
const TOLD: usize = 20;

/// Keeps the directory in force.
pub(super) async fn follow(followed: Followed, core: Core, metrics: Metrics) {
    let Followed { directory, watch } = followed;
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return tracing::error!(%error, "signals cannot be received, so no bundle is followed"),
    };
    let (mut seen, mut done): (Option<Arc<Gathered>>, Option<Arc<Gathered>>) = (None, None);
    let (mut is_asked, mut waits) = (true, false);
    let mut interval = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            _ = hangup.recv() => is_asked = true,
        }
        if !(watch || is_asked) {
            continue;
        }
        let Some(found) = gathered(&directory).await else { continue };
        let has_settled = seen.as_ref() == Some(&found);
        seen = Some(Arc::clone(&found));
        if !is_asked && (done == seen || !has_settled) {
            continue;
        }
        let outcome = put_in_force(&directory, found, &core).await;
        if let Outcome::Later(why) = outcome {
            if !std::mem::replace(&mut waits, true) {
                tracing::warn!("the bundle in {} waits: {why}", directory.display());
            }
            continue;
        }
        metrics.bundle_is_valid(matches!(outcome, Outcome::InForce));
        (done, is_asked, waits) = (seen.clone(), false, false);
    }
}

async fn gathered(directory: &Path) -> Option<Arc<Gathered>> {
    let directory = directory.to_owned();
    tokio::task::spawn_blocking(move || Arc::new(Gathered::from(&directory))).await.ok()
}

enum Outcome {
    InForce,
    Refused,
    /// It is tried again.
    Later(String),
}

async fn put_in_force(directory: &Path, found: Arc<Gathered>, core: &Core) -> Outcome {
    let shown = directory.display();
    let bundle = match meant(found, core).await {
        Ok(bundle) => bundle,
        Err(Some(errors)) => {
            for finding in errors.errors.iter().take(TOLD) {
                tracing::error!("{shown}: {finding}");
            }
            tracing::error!(errors = errors.errors.len(), "the bundle in {shown} is not valid; what is in force stays");
            return Outcome::Refused;
        }
        Err(None) => return Outcome::Later("the gateway is busy".to_owned()),
    };
    let apply = Apply {
        bundle: Box::new(bundle),
        if_match: None,
        message: format!("read from {shown}"),
        confirm_within: None,
        back_to: None,
    };
    let actor = Actor { name: "directory".into(), address: None };
    match core.change(actor, Request::Apply(Box::new(apply))).await {
        Ok(done) => {
            if let Some(generation) = done.generation {
                tracing::info!(generation = generation.0, "the bundle in {shown} is in force");
            }
            Outcome::InForce
        }
        Err(error @ CoreError::Refused(_)) => {
            tracing::error!(%error, "the bundle in {shown} is refused; what is in force stays");
            Outcome::Refused
        }
        Err(error) => Outcome::Later(error.to_string()),
    }
}

/// The bundle that was found. What it does not say of an app's switch stays as it is.
async fn meant(found: Arc<Gathered>, core: &Core) -> Result<Bundle, Option<BundleErrors>> {
    let read = tokio::task::spawn_blocking(move || found.load()).await;
    let Loaded { mut bundle, document, .. } = read.map_err(|_| None)?.map_err(Some)?;
    let off = core.read(|state| state.gateway.disabled_apps()).await.map_err(|_| None)?;
    for shape in document.apps.iter().filter(|shape| shape.enabled.is_none()) {
        let Ok(name) = AppName::new(&shape.name) else { continue };
        if let Some(app) = bundle.apps.get_mut(&name) {
            app.enabled = !off.contains(&name);
        }
    }
    Ok(bundle)
}
