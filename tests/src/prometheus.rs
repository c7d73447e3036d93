//! A real Prometheus that watches a gateway by the rules that come with it, and what can be asked of it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    gate::Gate,
    netns::{Namespace, checked},
    process::{Process, wait_until},
    tools,
};

/// Its address, on the gateway's host.
const LISTEN: &str = "127.0.0.1:9090";
/// For its start, and for what it is to see.
const SOON: Duration = Duration::from_secs(30);

/// A running Prometheus. Dropping ends it.
#[derive(Debug)]
pub struct Prometheus {
    host: Namespace,
    process: Process,
}

/// One series of an answer: its labels, and its value now.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// Its labels, with its name as `__name__`.
    pub labels: BTreeMap<String, String>,
    /// Its value; NaN where it has none.
    pub value: f64,
}

impl Prometheus {
    /// Starts one on the gateway's host that looks at the gateway and at these files of rules twice a second, under the
    /// name of the job that the rules expect.
    pub fn watch(gate: &Gate, rules: &[PathBuf]) -> Result<Self> {
        let folder = gate.world.scratch().join("prometheus");
        fs::create_dir_all(&folder)?;
        let config = folder.join("prometheus.yml");
        fs::write(&config, configuration(&gate.world.scratch().join("state"), rules))?;
        let host = gate.world.gateway.clone();
        let program = tools::find("prometheus").context("`prometheus` is not installed: run `cargo xtask setup`")?;
        let mut command = host.command(&program)?;
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address={LISTEN}"));
        let prometheus = Self { host, process: Process::spawn(command, &folder.join("log"))? };
        prometheus.sees("up == 1").with_context(|| prometheus.process.output())?;
        Ok(prometheus)
    }

    /// Waits until an expression has a value.
    pub fn sees(&self, expression: &str) -> Result<()> {
        wait_until(expression, SOON, || self.ask(expression).ok().filter(|samples| !samples.is_empty()).map(drop))
    }

    /// What an expression has for values now. An error is what Prometheus says against it.
    pub fn ask(&self, expression: &str) -> Result<Vec<Sample>> {
        let answer = self.call("query", &[&format!("query={expression}")])?;
        let data = &answer["data"]["result"];
        let Some(series) = data.as_array() else { return Ok(Vec::new()) };
        series.iter().map(sample).collect::<Option<_>>().with_context(|| format!("{expression}: {data}"))
    }

    /// The rules that it has, each with its health, as it tells them.
    pub fn rules(&self) -> Result<Vec<Value>> {
        let answer = self.call("rules", &[])?;
        let groups = answer["data"]["groups"].as_array().context("no groups")?;
        Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
    }

    fn call(&self, what: &str, parameters: &[&str]) -> Result<Value> {
        let mut curl = self.host.command("curl")?;
        curl.args(["--silent", "--show-error", "--max-time", "10", "--noproxy", "*", "--get"]);
        for parameter in parameters {
            curl.args(["--data-urlencode", parameter]);
        }
        let text = checked(curl.arg(format!("http://{LISTEN}/api/v1/{what}")))?;
        let answer: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        ensure!(answer["status"] == "success", "{parameters:?}: {}", answer["error"]);
        Ok(answer)
    }
}

fn configuration(state: &Path, rules: &[PathBuf]) -> String {
    let rules: Vec<String> = rules.iter().map(|path| format!("  - {}\n", path.display())).collect();
    let (token, authority) = (state.join("admin.token"), state.join("api.crt"));
    format!(
        "global:\n  scrape_interval: 500ms\n  scrape_timeout: 400ms\n  evaluation_interval: 500ms\n\
         rule_files:\n{}\
         scrape_configs:\n  - job_name: portcullis\n    scheme: https\n    authorization:\n      credentials_file: {}\n\
         \x20   tls_config:\n      ca_file: {}\n    static_configs:\n      - targets: ['127.0.0.1:8443']\n",
        rules.concat(),
        token.display(),
        authority.display(),
    )
}

fn sample(series: &Value) -> Option<Sample> {
    let labels = series["metric"].as_object()?;
    let labels = labels.iter().map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let value = series["value"].get(1)?.as_str()?;
    Some(Sample { labels: labels.collect::<Option<_>>()?, value: value.parse().unwrap_or(f64::NAN) })
}
