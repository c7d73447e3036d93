//! The report: its figures are those of what really happened, and a browser shows and prints the page with nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Gate, http_get, tools, wait_until};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::cli::admin;
use crate::scene::{Apps, SOON, V4, is_kept_out, reaches};

const SIZE: u64 = 100_000;
/// The name of an API token: what looks like markup is text.
const HOSTILE: &str = "<img src=x onerror=\"document.title=1\">&";

#[test]
fn a_report_says_who_reached_what_and_which_grants_nobody_used() -> Result<()> {
    let gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    let admin = admin(&gate)?;
    V4.alice(&gate)?;
    V4.bob(&gate)?;
    let (_, body) = http_get(&gate.world.client, V4.crm(), &format!("/bytes/{SIZE}"), SOON)?;
    assert_eq!(body.len() as u64, SIZE);
    is_kept_out(&gate.world.client2, V4.crm());
    let wrong = json!({ "username": "alice", "password": "not the password" });
    assert_eq!(gate.portal(&gate.world.client, V4.guard0).post_json("/v1/login", &wrong)?.status, 401);
    gate.api.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
    let figures = wait_until("the denials are in the report", SOON, || {
        let figures = admin.json(&["--json", "report"]).ok()?;
        (figures["totals"]["denied_packets"].as_u64() >= Some(1)).then_some(figures)
    })?;

    let totals = &figures["totals"];
    assert_eq!((&totals["people"], &totals["apps"], &totals["connections"]), (&json!(1), &json!(1), &json!(1)));
    assert!(totals["to_client_bytes"].as_u64() > Some(SIZE), "{totals}");
    assert_eq!(
        (&totals["logins"], &totals["failed_logins"], &totals["session_ends"]),
        (&json!(2), &json!(1), &json!(1))
    );
    let [crm, ..] = list(&figures["apps"]["items"]) else { panic!("{figures}") };
    assert_eq!((&crm["name"], &crm["others"], &crm["connections"]), (&json!("crm"), &json!(1), &json!(1)));
    let [unused] = list(&figures["unused_grants"]["items"]) else { panic!("{figures}") };
    assert_eq!((&unused["app"], &unused["permitted"], &unused["used"]), (&json!("vault"), &json!(1), &json!(0)));
    assert_eq!((&unused["unused_by"]["names"], &unused["last_used"]), (&json!(["bob"]), &Value::Null));
    let denied = list(&figures["denials"]["items"]).iter().find(|one| one["user"] == "bob").context("bob's denials")?;
    assert_eq!(
        (&denied["app"], &denied["reason"], &denied["policies"]),
        (&json!("crm"), &json!("no_grant"), &json!([]))
    );
    let revocations = &figures["revocations"];
    assert_eq!((&revocations["by_cause"], &revocations["enforced"]["count"]), (&json!([["revoked", 1]]), &json!(1)));
    assert_eq!(revocations["recent"][0]["enforced_after_us"], revocations["enforced"]["worst_us"], "{revocations}");
    assert_eq!(figures["failed_logins"]["items"][0]["what"], "refused");
    assert!(figures["audit"]["head"].is_string() && figures["audit"]["intact"] == true, "{figures}");
    let missing = &figures["missing"];
    assert_eq!(
        (&missing["begins_late"], &missing["lost_records"], &missing["unrecorded_lost"]),
        (&json!(true), &json!(0), &json!(0))
    );

    // Of a period that the records reach back before, first uses are known, and when something was last used.
    let since = OffsetDateTime::now_utc().format(&Rfc3339)?;
    reaches(&gate.world.client2, V4.vault());
    let later = wait_until("bob's connection is in the report", SOON, || {
        let figures = admin.json(&["--json", "report", "--since", &since]).ok()?;
        (figures["totals"]["connections"].as_u64() >= Some(1)).then_some(figures)
    })?;
    let [first] = list(&later["odd"]["first_uses"]["items"]) else { panic!("{later}") };
    assert_eq!((&first["user"], &first["app"]), (&json!("bob"), &json!("vault")));
    let [unused] = list(&later["unused_grants"]["items"]) else { panic!("{later}") };
    assert!(unused["app"] == "crm" && unused["last_used"].is_string(), "{unused}");
    let wrong = admin.run(&["report", "--since", "1h", "--until", "2h"])?;
    assert!(wrong.code == 1 && wrong.stderr.contains("`--since` has to be before `--until`"), "{wrong:?}");
    Ok(())
}

#[test]
fn a_browser_shows_and_prints_the_report_loads_nothing_for_it_and_names_stay_text() -> Result<()> {
    let gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    let admin = admin(&gate)?;
    V4.alice(&gate)?;
    http_get(&gate.world.client, V4.crm(), &format!("/bytes/{SIZE}"), SOON)?;
    let token = gate.api.post_json("/v1/tokens", &json!({ "name": HOSTILE, "scopes": ["admin"] }))?.ok()?;
    let hostile = gate.api.bearer(token["secret"].as_str().context("a secret")?);
    hostile.post_json("/v1/revocations", &json!({ "user": "alice" }))?.ok()?;
    let page = gate.world.scratch().join("report.html");
    let path = page.display().to_string();
    wait_until("the end of the session is in the report", SOON, || {
        let ran = admin.run(&["report", "--output", &path]).ok()?;
        (ran.code == 0 && fs::read_to_string(&page).ok()?.contains("onerror")).then_some(())
    })?;

    let shown = browser(&gate, &page, &["--dump-dom"])?;
    assert!(shown.contains("<title>Access report, "), "{shown}");
    let apps = table(&shown, "Apps, by bytes")?;
    let crm: Vec<_> = apps.iter().filter(|row| row[0] == "crm").collect();
    let [row] = &crm[..] else { panic!("{apps:?}") };
    assert_eq!((row[1].as_str(), row[2].as_str()), ("1", "1"), "{row:?}");
    assert!(row[4].starts_with("10") && row[4].ends_with(" kB"), "100 kB and their headers: {row:?}");
    let ends = table(&shown, "The latest")?;
    assert_eq!((ends[0][1].as_str(), ends[0][2].as_str()), ("alice", "revoked"));
    assert_eq!(ends[0][3], "&lt;img src=x onerror=\"document.title=1\"&gt;&amp;");
    for loaded in ["<img", "<script", "<link", "<iframe", " src=\"", "url(", "@import", "http://", "https://"] {
        assert!(!shown.contains(loaded), "{loaded}");
    }
    assert!(shown.contains("default-src 'none'"), "the browser itself is told to load nothing");

    let pdf = gate.world.scratch().join("report.pdf");
    browser(&gate, &page, &[&format!("--print-to-pdf={}", pdf.display()), "--no-pdf-header-footer"])?;
    let printed = said(tools::command("pdftotext")?.arg("-layout").arg(&pdf).arg("-"))?;
    for text in
        ["Access report", "Access that nobody used", "vault", "How access ended", "What this report does not know"]
    {
        assert!(printed.contains(text), "{text}: {printed}");
    }
    let picture = gate.world.scratch().join("report.png");
    browser(&gate, &page, &[&format!("--screenshot={}", picture.display()), "--window-size=1280,2400"])?;
    ensure!(fs::metadata(&picture)?.len() > 20_000, "the picture is empty");
    if let Some(folder) = std::env::var_os("PORTCULLIS_PICTURES") {
        for file in [&page, &pdf, &picture] {
            fs::copy(file, Path::new(&folder).join(file.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What Chromium prints about a file, from a host without a network but its own.
fn browser(gate: &Gate, page: &Path, args: &[&str]) -> Result<String> {
    let profile: PathBuf = gate.world.scratch().join("browser");
    let mut command = gate.world.gateway.command(&tools::find("chromium").context("run `cargo xtask setup`")?)?;
    command.env("HOME", gate.world.scratch());
    command.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
    ]);
    command.args(["--disable-dev-shm-usage", "--disable-component-update", "--virtual-time-budget=5000"]);
    command.arg(format!("--user-data-dir={}", profile.display())).args(args).arg(format!("file://{}", page.display()));
    said(&mut command)
}

/// What a command prints that has to succeed.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// The rows of the table with this caption, as the browser writes them.
fn table(shown: &str, caption: &str) -> Result<Vec<Vec<String>>> {
    let (_, rest) = shown.split_once(&format!("<caption>{caption}</caption>")).context(caption.to_owned())?;
    let (table, _) = rest.split_once("</table>").context("a table that ends")?;
    let (_, body) = table.split_once("<tbody>").context("a table with rows")?;
    let cell = |cell: &str| cell.split_once('>').map(|(_, text)| text.to_owned());
    let cells = |row: &str| {
        let ends = row.replace("</td>", "</th>");
        ends.split("</th>").filter_map(|part| cell(part.replace("<td", "<th").split_once("<th")?.1)).collect()
    };
    Ok(body.split("</tr>").filter(|row| row.contains("<t")).map(cells).collect())
}
