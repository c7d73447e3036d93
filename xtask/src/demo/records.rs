//! The last act: what was counted, and what was written down.

use std::fs;

use anyhow::Result;
use gateway_tests::wait_until;
use serde_json::Value;

use super::{
    cast::{Cast, SOON, items, portcullis},
    stage::Stage,
};

/// Shows drops, metrics and the access log, and has the story told from what was kept.
pub fn play(stage: &mut Stage, cast: &Cast) -> Result<()> {
    stage.act("And everything was counted and written down")?;
    portcullis(stage, "admin", &cast.admin(), &["drops"], "")?;
    show_metrics(stage, cast)?;
    show_log(stage, cast)?;
    ask(stage, cast)
}

/// What the access log says of a user: all of it, as soon as it has these types of records.
pub fn of(cast: &Cast, user: &str, types: &[&str]) -> Result<Vec<Value>> {
    let path = cast.world.scratch().join("access.jsonl");
    wait_until("the access log", SOON, || {
        let text = fs::read_to_string(&path).ok()?;
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let lines: Vec<Value> = lines.filter(|line: &Value| line["user"] == user).collect();
        types.iter().all(|kind| lines.iter().any(|line| line["type"] == *kind)).then_some(lines)
    })
}

fn show_metrics(stage: &mut Stage, cast: &Cast) -> Result<()> {
    let state = cast.world.scratch().join("state");
    let token = fs::read_to_string(state.join("admin.token"))?;
    stage.command("admin", "curl https://127.0.0.1:8443/metrics | grep -e crm -e revocation_seconds_count");
    let mut curl = cast.world.gateway.command("curl")?;
    curl.arg("--silent").arg("--cacert").arg(state.join("api.crt"));
    curl.args(["--header", &format!("Authorization: Bearer {}", token.trim()), "https://127.0.0.1:8443/metrics"]);
    let text = String::from_utf8_lossy(&curl.output()?.stdout).into_owned();
    let is_shown = |line: &&str| !line.starts_with('#') && (line.contains("crm") || line.contains("seconds_count"));
    let lines: Vec<&str> = text.lines().filter(is_shown).collect();
    stage.output(&lines.join("\n"));
    let counted = text.contains("portcullis_app_bytes_total{app=\"crm\",direction=\"to_client\"}");
    stage.step("metrics", "the app's bytes are counted", "counted by app, verdict and reason", counted)
}

fn show_log(stage: &mut Stage, cast: &Cast) -> Result<()> {
    stage.command("admin", "grep -e session_end -e flow_end access.jsonl");
    let mut lines = Vec::new();
    for user in ["alice", "carol"] {
        lines.extend(of(cast, user, &["login", "session_end", "flow_end"])?);
    }
    let ended =
        |line: &&Value| line["type"] == "session_end" || line["type"] == "flow_end" && line["outcome"] == "revoked";
    for line in lines.iter().filter(ended) {
        stage.output(&summary(line));
    }
    stage.step(
        "access_log",
        "who, what, why and how much",
        "who, what, by which policy, how much, and why it ended",
        true,
    )
}

/// What an auditor asks a month later, and how it is known that nobody has changed the answer.
fn ask(stage: &mut Stage, cast: &Cast) -> Result<()> {
    stage.act("A month later somebody asks who reached what, and who let them")?;
    let admin = cast.admin();
    // The last records are kept a moment after they were made.
    let known = || admin.json(&["--json", "reached", "--user", "alice"]).ok();
    let told = wait_until("alice's records", SOON, || {
        known().filter(|told| items(told).iter().any(|row| row["app"] == "crm" && row["to_client_bytes"] != 0))
    })?;
    portcullis(stage, "admin", &admin, &["reached", "--user", "alice"], "")?;
    let of = |app: &str| items(&told).iter().find(|row| row["app"] == app).cloned().unwrap_or_default();
    let observed = format!(
        "crm: {} connections, {} MB; vault: {} packets denied",
        of("crm")["connections"],
        of("crm")["to_client_bytes"].as_u64().unwrap_or_default() / 1_000_000,
        of("vault")["denied"]
    );
    let ok = of("vault")["denied"].as_u64() > Some(0) && of("vault")["connections"] == 0;
    stage.step("reached", "the crm, and never the vault", &observed, ok)?;
    portcullis(stage, "admin", &admin, &["denied", "--user", "alice"], "")?;
    portcullis(stage, "admin", &admin, &["audit", "list", "--user", "alice", "--limit", "5"], "")?;
    let folder = cast.world.scratch().join("state/audit").display().to_string();
    let (code, _) = portcullis(stage, "admin", &admin, &["audit", "verify", "--dir", &folder], "")?;
    let observed = if code == 0 { "every line is the one that was written" } else { "the trail was changed" };
    stage.step("audit", "nobody has changed it", observed, code == 0)
}

/// The members of a record that tell the story.
fn summary(line: &Value) -> String {
    let names = ["time", "type", "user", "app", "policies", "outcome", "cause", "by", "to_client_bytes", "flows_cut"];
    let shown: Vec<String> =
        names.iter().filter(|name| !line[**name].is_null()).map(|name| format!("{name}={}", line[*name])).collect();
    shown.join(" ")
}
