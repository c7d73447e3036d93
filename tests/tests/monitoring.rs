//! The rules and the dashboard that come with the gateway, as their files say them: what promtool says of them, whether
//! each alert says what it means, and whether the dashboard is one. With a live gateway they are tried in `gate/monitor.rs`.

use std::{collections::BTreeSet, env, fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{
    Dashboard,
    dashboard::configs,
    peer::{self, Environment},
    tools,
};
use serde_json::Value;

const RUNBOOK: &str = "https://github.com/portcullis-gateway/portcullis/blob/main/docs/runbook.md#";
const SECTION: &str = "## What an alert means";

fn read(name: &str) -> Result<String> {
    fs::read_to_string(configs().join(name)).with_context(|| name.to_owned())
}

/// Runs promtool in the folder of the rules, and returns what it says.
fn promtool(args: &[&str]) -> Result<String> {
    let output = tools::command("promtool")?.args(args).current_dir(configs().join("prometheus")).output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "promtool {args:?}: {said}");
    Ok(said)
}

/// An alert, as its lines say it.
#[derive(Debug, Default)]
struct Alert {
    name: String,
    severity: String,
    summary: String,
    description: String,
    runbook: String,
}

/// The alerts of the file of rules. Their annotations are read line by line: promtool knows already that it is YAML.
fn alerts() -> Result<Vec<Alert>> {
    let mut alerts: Vec<Alert> = Vec::new();
    let mut in_description = false;
    for line in read("prometheus/alerts.yml")?.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            alerts.push(Alert { name: name.to_owned(), ..Alert::default() });
        }
        let Some(alert) = alerts.last_mut() else { continue };
        match line.split_once(": ").unwrap_or((line, "")) {
            ("severity", severity) => alert.severity = severity.to_owned(),
            ("summary", summary) => alert.summary = summary.trim_matches('\'').to_owned(),
            ("runbook", runbook) => (alert.runbook, in_description) = (runbook.to_owned(), false),
            ("description", ">-") => in_description = true,
            _ if in_description => alert.description.push_str(line),
            _ => {}
        }
    }
    Ok(alerts)
}

#[test]
fn promtool_accepts_the_rules_and_each_has_the_values_and_fires_as_its_cases_say() -> Result<()> {
    let checked = promtool(&["check", "rules", "recording.yml", "alerts.yml"])?;
    ensure!(checked.matches("SUCCESS").count() == 2, "{checked}");
    let tried = promtool(&["test", "rules", "tests.yml"])?;
    ensure!(tried.contains("SUCCESS") && !tried.contains("FAILED"), "{tried}");
    Ok(())
}

#[test]
fn every_alert_says_how_urgent_it_is_what_it_means_and_where_the_runbook_has_it() -> Result<()> {
    let alerts = alerts()?;
    ensure!(alerts.len() > 30, "only {} alerts were found", alerts.len());
    let runbook = fs::read_to_string(configs().with_file_name("docs").join("runbook.md"))?;
    let (_, section) = runbook.split_once(SECTION).context("the runbook has no section for alerts")?;
    let headings: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let names: Vec<&str> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(headings, names, "the runbook has the alerts, in their order");
    for Alert { name, severity, summary, description, runbook } in &alerts {
        ensure!(name.starts_with("Portcullis"), "{name}");
        ensure!(["critical", "warning", "info"].contains(&severity.as_str()), "{name}: severity `{severity}`");
        ensure!((15..100).contains(&summary.len()) && description.len() > 30, "{name}: `{summary}` `{description}`");
        assert_eq!(runbook.strip_prefix(RUNBOOK), Some(name.to_lowercase().as_str()), "{name}");
        let (_, told) = section.split_once(&format!("### {name}\n")).context("it was there")?;
        let told = told.split("\n### ").next().unwrap_or_default();
        ensure!(told.trim_start().starts_with(&format!("`{severity}`. ")), "{name}: severity in the runbook");
        ensure!(told.contains("- **Look:** ") && told.contains("- **Do:** "), "{name}: what to do is missing");
    }
    Ok(())
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> Result<()> {
    let cases = read("prometheus/tests.yml")?;
    for Alert { name, .. } in alerts()? {
        let of_it: Vec<&str> = cases.split(&format!("alertname: {name}\n")).skip(1).collect();
        let silent = |case: &&&str| case.trim_start().starts_with("exp_alerts: []");
        ensure!(of_it.iter().any(|case| silent(&case)), "{name}: no case in which it is silent");
        ensure!(of_it.iter().any(|case| !silent(&case)), "{name}: no case in which it fires");
    }
    Ok(())
}

#[test]
fn what_is_recorded_is_tried_and_used() -> Result<()> {
    let (recording, cases) = (read("prometheus/recording.yml")?, read("prometheus/tests.yml")?);
    let users = format!("{}{}{recording}", read("prometheus/alerts.yml")?, read("grafana/portcullis.json")?);
    let recorded: Vec<&str> = recording.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).collect();
    ensure!(recorded.len() > 5, "only {recorded:?} were found");
    for name in recorded {
        ensure!(cases.contains(&format!("- expr: {name}")), "{name}: its values are not tried");
        ensure!(users.matches(name).count() > 1, "{name}: nobody uses it");
    }
    Ok(())
}

#[test]
fn the_dashboard_is_of_the_types_that_grafana_publishes() -> Result<()> {
    ensure!(peer::is_installed(), "what checks it is not installed: run `cargo xtask setup`");
    let check = |path: &std::path::Path| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/dashboard.mjs");
        let mut node = Command::new(Environment::Providers.program("node"));
        node.arg(script).arg(path).current_dir(peer::home()).output()
    };
    let output = check(&Dashboard::path())?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
    // What checks it does find something.
    let wrong =
        read("grafana/portcullis.json")?.replacen("\"displayMode\": \"table\"", "\"displayMode\": \"tabel\"", 1);
    let path = env::temp_dir().join(format!("portcullis-dashboard-{}.json", std::process::id()));
    fs::write(&path, wrong)?;
    let output = check(&path);
    fs::remove_file(&path)?;
    let output = output?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(!output.status.success() && said.contains("tabel"), "a dashboard with a mistake passes: {said}");
    Ok(())
}

#[test]
fn every_panel_says_what_it_shows_and_none_lies_over_another() -> Result<()> {
    let board = Dashboard::read()?;
    let all = board.json["panels"].as_array().context("no panels")?;
    let ids: BTreeSet<u64> = all.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), all.len(), "ids are given once");
    let titles: BTreeSet<&str> = all.iter().filter_map(|panel| panel["title"].as_str()).collect();
    assert_eq!(titles.len(), all.len(), "titles are given once");
    let mut taken = BTreeSet::new();
    for panel in all {
        let side = |name: &str| panel["gridPos"][name].as_u64().with_context(|| format!("{}", panel["title"]));
        let (x, y, width, height) = (side("x")?, side("y")?, side("w")?, side("h")?);
        ensure!(width > 0 && height > 0 && x + width <= 24, "{} lies outside", panel["title"]);
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            ensure!(taken.insert(cell), "{} lies over another panel at {cell:?}", panel["title"]);
        }
    }
    let source = serde_json::json!({ "type": "prometheus", "uid": "${datasource}" });
    ensure!(board.panels().count() > 30, "panels are missing");
    for panel in board.panels() {
        let title = panel["title"].as_str().context("no title")?;
        let text = |at: &Value| at.as_str().is_some_and(|text| !text.trim().is_empty());
        ensure!(panel["description"].as_str().is_some_and(|text| text.len() > 8), "{title}: no description");
        ensure!(text(&panel["fieldConfig"]["defaults"]["unit"]), "{title}: no unit");
        assert_eq!(panel["datasource"], source, "{title}");
        let targets = panel["targets"].as_array().with_context(|| format!("{title}: no query"))?;
        ensure!(!targets.is_empty(), "{title}: no query");
        for target in targets {
            assert_eq!(target["datasource"], source, "{title}");
            ensure!(text(&target["expr"]) && text(&target["legendFormat"]), "{title}: {target}");
        }
        let names: BTreeSet<&str> = targets.iter().filter_map(|target| target["refId"].as_str()).collect();
        assert_eq!(names.len(), targets.len(), "{title}: names of queries");
        let legend = &panel["options"]["legend"];
        let shown = |at: &Value| at == &Value::Bool(true);
        let needs = matches!(panel["type"].as_str(), Some("timeseries" | "state-timeline" | "heatmap"));
        ensure!(!needs || shown(&legend["showLegend"]) || shown(&legend["show"]), "{title}: no legend");
    }
    let variables: Vec<&str> = board.variables().collect();
    assert_eq!(variables, ["datasource", "job", "instance", "interface", "app"]);
    for query in board.queries() {
        ensure!(!query.expression.contains('$'), "{}: an unknown variable in `{}`", query.panel, query.expression);
    }
    Ok(())
}
