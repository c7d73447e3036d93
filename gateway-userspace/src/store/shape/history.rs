//! The generations of policy, and what undoes them.

use super::{AppShape, SettingsShape, words};
use crate::policy::{App, AppName, Generation, HistoryEntry, Settings, Undo};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct HistoryShape {
    generation: u64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    author: String,
    message: String,
    action: String,
    object: String,
    #[serde(with = "time::serde::rfc3339::option")]
    confirm_until: Option<OffsetDateTime>,
    apps: BTreeMap<String, Option<AppShape>>,
    files: BTreeMap<String, Option<String>>,
    settings: Option<SettingsShape>,
}

impl From<&HistoryEntry> for HistoryShape {
    fn from(entry: &HistoryEntry) -> Self {
        let HistoryEntry { generation, at, author, message, action, object, confirm_until, undo } = entry;
        let Undo { apps, files, settings } = undo;
        Self {
            generation: generation.0,
            at: *at,
            author: author.clone(),
            message: message.clone(),
            action: action.clone(),
            object: object.clone(),
            confirm_until: *confirm_until,
            apps: apps.iter().map(|(name, app)| (name.to_string(), app.as_ref().map(AppShape::from))).collect(),
            files: files.clone(),
            settings: settings.as_ref().map(SettingsShape::from),
        }
    }
}

impl TryFrom<HistoryShape> for HistoryEntry {
    type Error = String;

    fn try_from(shape: HistoryShape) -> Result<Self, String> {
        let HistoryShape { generation, at, author, message, action, object, confirm_until, apps, files, settings } =
            shape;
        let app = |(name, app): (String, Option<AppShape>)| -> Result<_, String> {
            Ok((AppName::new(&name).map_err(words)?, app.map(App::try_from).transpose()?))
        };
        let apps = apps.into_iter().map(app).collect::<Result<_, _>>()?;
        let undo = Undo { apps, files, settings: settings.map(Settings::try_from).transpose()? };
        let generation = Generation(generation);
        Ok(Self { generation, at, author, message, action, object, confirm_until, undo })
    }
}
