//! A real Prometheus watches a gateway at work: every question of the dashboard and of the rules has an answer, and names
//! nothing that is not there.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Dashboard, Gate, Prometheus, dashboard::configs, prometheus::Sample, wait_until};
use serde_json::json;

use crate::record::sum;
use crate::scene::{Apps, SOON, V4, falls_silent, is_kept_out, reaches, stream};

/// There only with an identity provider that sends security events.
const STREAMS: &str = "portcullis_signal_stream_alive";
/// There only with one that has failed.
const PROVIDER_FAILED: &str = "portcullis_logins_total{result=~\"provider_.+\"}";
/// Series of a gateway without interfaces, apps and providers; of each interface; of each app. The
/// [reference](../../../docs/reference/metrics.md) says so too.
const SERIES: (usize, usize, usize) = (200, 100, 8);

/// A gateway that has had logins, traffic, denials and a revocation while Prometheus looked.
struct Watched {
    gate: Gate,
    prometheus: Prometheus,
    _apps: Apps,
}

impl Watched {
    fn new() -> Result<Self> {
        // Nobody takes its records; in five minutes that alarms nobody.
        let export = "[[export]]\nname = \"siem\"\nto = \"http\"\nurl = \"http://127.0.0.1:9/\"\n";
        let gate = Gate::with(|config| format!("{config}\n{export}"))?;
        let apps = Apps::start(&gate.world, V4)?;
        let crm = json!({ "prefixes": ["10.20.0.10"], "services": ["8080/tcp"], "health": { "check": "8080/tcp", "every": "5 s" } });
        gate.api.put("/v1/apps/crm", &crm)?.ok()?;
        let prometheus = Prometheus::watch(&gate, &rules())?;
        // What grows is seen to grow only by whoever has looked before.
        prometheus.sees("count_over_time(up[5m]) >= 2")?;
        V4.alice(&gate)?;
        reaches(&gate.world.client, V4.crm());
        is_kept_out(&gate.world.client, V4.vault());
        let going = stream(&gate.world.client, V4.crm())?;
        gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
        falls_silent(&going)?;
        ensure!(gate.try_login(&gate.world.client, V4.guard0, "mallory")?.status == 401);
        for seen in [
            "portcullis_revocation_last_packet_seconds_count == 1",
            "increase(portcullis_logins_total{result=\"refused\"}[5m]) > 0",
            "increase(portcullis_drops_total{reason=\"no_grant\"}[5m]) > 0",
            "portcullis_app_up{app=\"crm\"} == 1",
            "instance:portcullis_revocation_seconds:p99_15m > 0",
            "instance_interface:portcullis_drops:share_rate5m > 0",
        ] {
            prometheus.sees(seen)?;
        }
        Ok(Self { gate, prometheus, _apps: apps })
    }
}

fn rules() -> [PathBuf; 2] {
    ["recording.yml", "alerts.yml"].map(|name| configs().join("prometheus").join(name))
}

#[test]
fn every_panel_has_data_and_every_rule_is_about_what_there_is() -> Result<()> {
    let Watched { gate, prometheus, _apps } = &Watched::new()?;
    let board = Dashboard::read()?;
    let queries = board.queries();
    ensure!(queries.len() > 50, "only {} queries were found", queries.len());
    for query in &queries {
        let found = prometheus.ask(&query.expression).with_context(|| format!("panel `{}`", query.panel))?;
        let may_be_empty = query.expression.starts_with(STREAMS) || query.panel == "Policy changes";
        ensure!(may_be_empty || !found.is_empty(), "panel `{}` shows nothing: `{}`", query.panel, query.expression);
    }
    for (variable, series, label) in board.sources()? {
        let found = prometheus.ask(&series)?;
        ensure!(
            found.iter().any(|sample| sample.labels.contains_key(&label)),
            "${variable} has nothing to choose from"
        );
    }
    let rules = prometheus.rules()?;
    ensure!(rules.len() > 40, "only {} rules were found", rules.len());
    wait_until("every rule to have been looked at", SOON, || {
        let rules = prometheus.rules().ok()?;
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(())
    })?;
    let mut expressions = Vec::new();
    for rule in prometheus.rules()? {
        let name = rule["name"].as_str().context("a rule without a name")?;
        ensure!(rule["health"] == "ok" && rule["lastError"].is_null(), "{name}: {rule}");
        let expression = rule["query"].as_str().context("a rule without an expression")?;
        if rule["type"] == "recording" {
            ensure!(!prometheus.ask(name)?.is_empty(), "{name} records nothing");
        }
        expressions.push(expression.to_owned());
    }
    expressions.extend(queries.into_iter().map(|query| query.expression));
    name_what_there_is(prometheus, &expressions)?;
    let firing: Vec<Sample> = prometheus.ask("ALERTS{alertstate=\"firing\"}")?;
    ensure!(firing.is_empty(), "a gateway with which all is well alarms somebody: {firing:?}");
    how_many_series(gate)
}

#[test]
fn an_alert_wakes_up_when_a_real_gateway_is_gone() -> Result<()> {
    let mut gate = Gate::open()?;
    let prometheus = Prometheus::watch(&gate, &rules())?;
    prometheus.sees("absent(ALERTS)")?;
    gate.daemon.stop()?;
    prometheus.sees("ALERTS{alertname=\"PortcullisDown\", alertstate=\"pending\", severity=\"critical\"}")
}

/// That there is each series that expressions name, with each label that they look at, and something that each matcher
/// chooses. Matchers are tried one at a time: what has all of them may not exist yet, as a drop for a reason on an interface.
fn name_what_there_is(prometheus: &Prometheus, expressions: &[String]) -> Result<()> {
    let series = prometheus.ask("{job=\"portcullis\"}")?;
    let is_there = |name: &str, label: &str| {
        let named = |sample: &Sample| sample.labels.get("__name__").is_some_and(|found| found == name);
        series.iter().any(|sample| named(sample) && (label.is_empty() || sample.labels.contains_key(label)))
    };
    let selectors: BTreeSet<(String, String)> =
        expressions.iter().flat_map(|expression| selectors(expression)).collect();
    ensure!(selectors.len() > 60, "only {selectors:?} were found");
    for (name, matcher) in selectors {
        let selector = format!("{name}{{{matcher}}}");
        if name == STREAMS || selector == PROVIDER_FAILED {
            continue;
        }
        let label = matcher.split(['=', '!']).next().unwrap_or_default();
        ensure!(is_there(&name, label), "there is no `{name}` with `{label}`");
        // What is left when something is excluded may be nothing.
        if !matcher.is_empty() && !matcher.contains("!=") && !matcher.contains("!~") {
            ensure!(!prometheus.ask(&selector)?.is_empty(), "there is no `{selector}`");
        }
    }
    for expression in expressions {
        for list in expression.split("by (").skip(1).chain(expression.split("on (").skip(1)) {
            for name in list.split(')').next().unwrap_or_default().split(',').map(str::trim) {
                let known = series.iter().any(|sample| sample.labels.contains_key(name));
                ensure!(known, "nothing has the label `{name}` in `{expression}`");
            }
        }
    }
    Ok(())
}

/// The names of an expression, and each with each of its matchers.
fn selectors(expression: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
    let mut rest = expression;
    while let Some(at) = rest.find("portcullis_") {
        // A recorded name has more before.
        let (before, after) = rest.split_at(at);
        let prefix = before.rsplit(|letter| !is_of_name(letter)).next().unwrap_or_default();
        let end = after.find(|letter| !is_of_name(letter)).unwrap_or(after.len());
        let (name, others) = after.split_at(end);
        let name = format!("{prefix}{name}");
        rest = others;
        let matchers = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')).map_or("", |(inner, _)| inner);
        // Prometheus writes no space after a comma, and the dashboard does; no value has a comma.
        found.extend(matchers.split(',').map(str::trim).map(|matcher| (name.clone(), matcher.to_owned())));
    }
    found
}

/// No more than what the reference says, whoever uses the gateway.
fn how_many_series(gate: &Gate) -> Result<()> {
    let text = gate.api.get("/metrics")?.text;
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    let apps = gate.api.get("/v1/apps")?.ok()?["items"].as_array().context("no apps")?.len();
    let (own, of_interface, of_app) = SERIES;
    ensure!(sum(&text, "portcullis_interface_enforced{") == 2.0, "two interfaces enforce");
    let most = own + 2 * of_interface + apps * of_app;
    ensure!(series <= most, "{series} series, and at most {most} are promised");
    // Nor so many fewer that the promise says nothing.
    ensure!(series > most / 2, "{series} series; promise less than {most}");
    Ok(())
}
