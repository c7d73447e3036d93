//! The dashboard that comes with the gateway, as its file says it, and as Grafana would ask Prometheus.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The times that Grafana puts in place of its own variables, here.
const TIMES: [&str; 3] = ["$__rate_interval", "$__range", "$__interval"];
const TIME: &str = "5m";
/// What "all" means for each of its variables.
const ALL: &str = ".+";

/// The dashboard.
#[derive(Clone, PartialEq, Debug)]
pub struct Dashboard {
    /// All of it.
    pub json: Value,
}

/// One question of a panel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// The title of the panel.
    pub panel: String,
    /// What is asked, with everything chosen.
    pub expression: String,
}

impl Dashboard {
    /// Where it is.
    pub fn path() -> PathBuf {
        configs().join("grafana/portcullis.json")
    }

    /// Reads it.
    pub fn read() -> Result<Self> {
        let path = Self::path();
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Self { json: serde_json::from_str(&text).with_context(|| path.display().to_string())? })
    }

    /// Its panels, without the rows that are between them.
    pub fn panels(&self) -> impl Iterator<Item = &Value> {
        let panels = self.json["panels"].as_array().into_iter().flatten();
        panels.filter(|panel| panel["type"] != "row")
    }

    /// The names of its variables.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let list = self.json["templating"]["list"].as_array().into_iter().flatten();
        list.filter_map(|variable| variable["name"].as_str())
    }

    /// All that it asks: its panels, its annotations, and its variables themselves.
    pub fn queries(&self) -> Vec<Query> {
        let of_panels = self.panels().flat_map(|panel| {
            let targets = panel["targets"].as_array().into_iter().flatten();
            targets.map(|target| (&panel["title"], &target["expr"]))
        });
        let annotations = self.json["annotations"]["list"].as_array().into_iter().flatten();
        let of_annotations = annotations.map(|annotation| (&annotation["name"], &annotation["expr"]));
        let asked =
            of_panels.chain(of_annotations).filter_map(|(title, asked)| Some((title.as_str()?, asked.as_str()?)));
        asked.map(|(panel, asked)| Query { panel: panel.to_owned(), expression: self.substituted(asked) }).collect()
    }

    /// What its variables are filled from: a variable, the series, and the label of theirs.
    pub fn sources(&self) -> Result<Vec<(String, String, String)>> {
        let list = self.json["templating"]["list"].as_array().into_iter().flatten();
        list.filter(|variable| variable["type"] == "query")
            .map(|variable| {
                let asked = variable["query"]["query"].as_str().with_context(|| variable.to_string())?;
                let inner = asked.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
                let (series, label) = inner.and_then(|inner| inner.rsplit_once(", ")).context("no label_values")?;
                let name = variable["name"].as_str().context("no name")?;
                Ok((name.to_owned(), self.substituted(series), label.to_owned()))
            })
            .collect()
    }

    fn substituted(&self, asked: &str) -> String {
        let timed = TIMES.iter().fold(asked.to_owned(), |text, time| text.replace(time, TIME));
        self.variables().fold(timed, |text, name| text.replace(&format!("${name}"), ALL))
    }
}

/// The folder of what comes with the gateway.
pub fn configs() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs"))
}
