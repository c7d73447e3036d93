//! The story: closed, opened for one person and one app, and cut in the middle of a transfer.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Result;
use gateway_tests::{Namespace, Outcome, Process, tcp_connect, wait_until, world::at};
use serde_json::Value;

use super::{
    cast::{Cast, PATIENCE, Person::Alice, SOON, WATCH, answered, around, portcullis, raise, refused, settle, watch},
    corp, leaver, program, records,
    stage::Stage,
};

/// How fast the long transfer goes, in bytes a second.
const RATE: u64 = 20_000_000;
const WELCOME: &str = "Welcome to the CRM";

const PASSWORD: &str = "a portcullis drops\n";

const PICTURE: &str = "
    alice's laptop                gateway                       app host
    10.77.0.2  fd77::2   ──▶  ║ XDP │ policy │ TC ║  ──▶   10.20.0.10  crm
                              guard0          apps0          10.20.0.11  vault
    carol's laptop            guard1     ▲
    10.78.0.2  fd78::2   ──▶             │  who people are, and when they are not any more
                              Example Corp's identity provider: OpenID Connect, SCIM";

/// Plays the story.
pub fn play(stage: &mut Stage, hold: bool) -> Result<()> {
    stage.title("Portcullis: the gate that drops");
    stage.say(PICTURE);
    let mut cast = raise()?;
    before_login(stage, &cast)?;
    login(stage, &cast)?;
    only_what_is_granted(stage, &cast)?;
    let mut transfer = begin_transfer(stage, &cast)?;
    without_daemon(stage, &mut cast, &mut transfer)?;
    cut(stage, &cast, &mut transfer)?;
    afterwards(stage, &cast)?;
    leaver::play(stage, &cast)?;
    records::play(stage, &cast)?;
    if hold {
        hold_on(stage, &cast);
    }
    Ok(())
}

fn before_login(stage: &mut Stage, cast: &Cast) -> Result<()> {
    stage.act("Nobody is logged in: the app is not there")?;
    refused(stage, cast, Alice, "closed_before_login", ("http://10.20.0.10:8080/", "no_session"))
}

fn login(stage: &mut Stage, cast: &Cast) -> Result<()> {
    stage.act("An administrator adds alice; policy says that finance may reach the crm")?;
    let admin = cast.admin();
    portcullis(stage, "admin", &admin, &["group", "add", "finance"], "")?;
    let add = ["user", "add", "alice", "--group", "finance", "--password-stdin"];
    let (code, _) = portcullis(stage, "admin", &admin, &add, PASSWORD)?;
    stage.step("user_added", "alice exists", if code == 0 { "alice exists" } else { "refused" }, code == 0)?;
    portcullis(stage, "admin", &admin, &["policy", "show"], "")?;

    stage.act("Alice logs in from her laptop")?;
    let (code, _) =
        portcullis(stage, "alice", &cast.alice(), &["login", "--user", "alice", "--password-stdin"], PASSWORD)?;
    let observed =
        if code == 0 { "logged in: the session is bound to her address, interface and MAC" } else { "refused" };
    stage.step("login", "logged in", observed, code == 0)
}

fn only_what_is_granted(stage: &mut Stage, cast: &Cast) -> Result<()> {
    stage.act("She reaches the crm, over IPv4 and IPv6, and nothing else")?;
    answered(stage, cast, Alice, "permitted_app", ("http://10.20.0.10:8080/", WELCOME))?;
    let (code, _) = portcullis(
        stage,
        "alice",
        &cast.alice().env("PORTCULLIS_URL", "https://[fd77::1]").env("XDG_RUNTIME_DIR", &v6_home(cast)?),
        &["login", "--user", "alice", "--password-stdin"],
        PASSWORD,
    )?;
    stage.step("login_v6", "logged in", if code == 0 { "logged in over IPv6 too" } else { "refused" }, code == 0)?;
    answered(stage, cast, Alice, "permitted_app_v6", ("http://[fd20::10]:8080/", WELCOME))?;
    refused(stage, cast, Alice, "other_app", ("http://10.20.0.11:8080/", "no_grant"))?;
    refused(stage, cast, Alice, "other_port", ("telnet://10.20.0.10:5432", "app_unknown"))?;

    stage.act("Nor can a server open connections to her laptop")?;
    let before = cast.drops("no_flow")?;
    stage.command("app", "nc 10.77.0.2 22");
    let outcome = tcp_connect(&cast.world.app, SocketAddr::new(at::CLIENT, 22), PATIENCE)?;
    let dropped = cast.drops("no_flow")? - before;
    let ok = outcome == Outcome::TimedOut && dropped > 0;
    let answer = if outcome == Outcome::TimedOut { "no answer".to_owned() } else { format!("{outcome:?}") };
    let observed = format!("{answer}: {dropped} packet(s) dropped as `no_flow`");
    stage.step("server_initiated", "no answer, dropped as `no_flow`", &observed, ok)
}

/// Where alice keeps the session that she has over IPv6.
fn v6_home(cast: &Cast) -> Result<String> {
    let home = cast.world.scratch().join("v6");
    fs::create_dir_all(&home)?;
    Ok(home.display().to_string())
}

/// A download by curl, and the file that it grows.
struct Transfer {
    curl: Process,
    file: PathBuf,
}

impl Transfer {
    fn bytes(&self) -> u64 {
        fs::metadata(&self.file).map_or(0, |file| file.len())
    }

    /// Waits until it has moved on by so many bytes.
    fn moves_on(&self, by: u64) -> Result<Duration> {
        let (began, target) = (Instant::now(), self.bytes() + by);
        wait_until("the transfer to move on", SOON, || (self.bytes() >= target).then_some(()))?;
        Ok(began.elapsed())
    }

    fn is_running(&mut self) -> Result<bool> {
        Ok(self.curl.exited()?.is_none())
    }
}

fn begin_transfer(stage: &mut Stage, cast: &Cast) -> Result<Transfer> {
    stage.act("She starts a long download")?;
    let url = format!("http://10.20.0.10:8080/stream/{RATE}");
    let file = cast.world.scratch().join("download");
    let mut command: Command = cast.world.client.command("curl")?;
    command.args(["--silent", "--no-buffer", "--output"]).arg(&file).arg(&url);
    stage.command("alice", &format!("curl --output download {url} &"));
    let transfer = Transfer { curl: Process::spawn(command, &cast.world.scratch().join("curl.log"))?, file };
    let took = transfer.moves_on(RATE / 4)?;
    let observed = format!("running: {} MB in {} ms", RATE / 4_000_000, took.as_millis());
    stage.step("transfer", "the transfer runs", &observed, true)?;
    portcullis(stage, "admin", &cast.admin(), &["flow", "list"], "")?;
    Ok(transfer)
}

fn without_daemon(stage: &mut Stage, cast: &mut Cast, transfer: &mut Transfer) -> Result<()> {
    stage.act("The daemon is killed: the kernel goes on enforcing")?;
    stage.command("gateway", "kill -9 $(pidof portcullisd)");
    cast.daemon.kill9()?;
    let took = transfer.moves_on(RATE / 4)?;
    stage.step(
        "killed_transfer",
        "the transfer goes on",
        &format!("the transfer goes on: {} MB more in {} ms", RATE / 4_000_000, took.as_millis()),
        transfer.is_running()?,
    )?;
    answered(stage, cast, Alice, "killed_new_connection", ("http://10.20.0.10:8080/", WELCOME))?;
    let outcome = tcp_connect(&cast.world.client, SocketAddr::new(at::OTHER_APP, 8080), PATIENCE)?;
    let is_closed = outcome == Outcome::TimedOut;
    let observed = if is_closed { "the vault stays closed".to_owned() } else { format!("the vault: {outcome:?}") };
    stage.step("killed_closed", "the vault stays closed", &observed, is_closed)?;

    stage.command("gateway", "portcullisd &");
    let began = Instant::now();
    cast.daemon.restart()?;
    let ready = began.elapsed();
    transfer.moves_on(RATE / 4)?;
    stage.figure("restart_ms", u64::try_from(ready.as_millis()).unwrap_or(u64::MAX));
    let observed = format!("ready after {} ms; the same connection goes on", ready.as_millis());
    stage.step("restarted", "the same connection goes on", &observed, transfer.is_running()?)
}

fn cut(stage: &mut Stage, cast: &Cast, transfer: &mut Transfer) -> Result<()> {
    stage.act("Alice leaves the company: her account is disabled in the middle of the download")?;
    let (sent, _) = (transfer.bytes(), transfer.moves_on(RATE / 10)?);
    let disabled = cast.admin().json(&["--json", "user", "disable", "alice"])?;
    let at_cut = transfer.bytes();
    stage.command("admin", "portcullis user disable alice");
    let receipts = disabled["receipts"].as_array().cloned().unwrap_or_default();
    for receipt in &receipts {
        stage.output(&receipt_line(receipt));
    }
    let receipt = receipts.iter().find(|receipt| receipt["address"] == "10.77.0.2").cloned().unwrap_or_default();
    let number = |name: &str| receipt[name].as_f64();
    let (enforced, last) = (number("enforced_after_us"), number("last_packet_after_request_us"));
    stage.figure("revoke_to_enforced_us", enforced.unwrap_or(f64::NAN));
    stage.figure("revoke_to_last_packet_us", last.unwrap_or(f64::NAN));
    stage.figure("flows_cut", receipt["flows_cut"].as_u64().unwrap_or_default());
    let ok = enforced.is_some() && last.is_some_and(|last| last <= enforced.unwrap_or_default() + 1_000.0);
    let observed = format!(
        "in force {:.0} µs after the request was taken up; her last packet had passed {}",
        enforced.unwrap_or(f64::NAN),
        last.map_or_else(|| "never".to_owned(), around)
    );
    stage.step("receipt", "a receipt that says when the last packet passed", &observed, ok && sent > 0)?;

    // What the receipt promises, seen from the laptop.
    let settled = settle(|| transfer.bytes());
    watch()?;
    let after = transfer.bytes() - settled;
    let observed = format!("the open connection is cut: {after} bytes in the {} ms after", WATCH.as_millis());
    stage.step("cut", "not one byte more", &observed, after == 0 && at_cut > 0)?;
    // curl's own word for it: 56, failure with receiving network data.
    let status = transfer.curl.wait(SOON)?.code();
    let observed = match status {
        Some(56) => "both ends were told: her download has ended by a reset, nothing hangs".to_owned(),
        other => format!("her download ended with {other:?}"),
    };
    stage.step("reset", "the connection is reset", &observed, status == Some(56))
}

fn receipt_line(receipt: &Value) -> String {
    let text = |name: &str| receipt[name].as_str().unwrap_or("?").to_owned();
    format!(
        "{}@{} cut ({}), {} open flow(s), last packet {}",
        text("user"),
        text("address"),
        text("cause"),
        receipt["flows_cut"],
        text("last_packet_at")
    )
}

fn afterwards(stage: &mut Stage, cast: &Cast) -> Result<()> {
    stage.act("Nothing works for her any more")?;
    refused(stage, cast, Alice, "closed_afterwards", ("http://10.20.0.10:8080/", "session_revoked"))?;
    let (code, _) =
        portcullis(stage, "alice", &cast.alice(), &["login", "--user", "alice", "--password-stdin"], PASSWORD)?;
    let observed = if code == 0 { "logged in" } else { "her login is refused" };
    stage.step("login_refused", "her login is refused", observed, code == 1)
}

/// Keeps everything up until Ctrl-C.
fn hold_on(stage: &Stage, cast: &Cast) {
    let scratch = cast.world.scratch().display().to_string();
    let shell = |host: &Namespace| format!("nsenter --net=/run/netns/{} bash", host.name());
    stage.title("Everything stays up until Ctrl-C");
    stage.say(&format!("   a shell at alice's laptop {}", shell(&cast.world.client)));
    stage.say(&format!("   a shell at carol's laptop {}", shell(&cast.world.client2)));
    stage.say(&format!("   a shell at the gateway    {}", shell(&cast.world.gateway)));
    stage.say(&format!("   a shell at the app host   {}", shell(&cast.world.app)));
    stage.say("   the pages, from there     https://10.77.0.1/  and  https://10.78.0.1/");
    stage.say(&format!("   carol, at her company     name: carol, password: {}", corp::PASSWORD));
    stage.say(&format!("   the API, at the gateway   https://127.0.0.1:8443/v1  (token: {scratch}/state/admin.token)"));
    stage.say(&format!(
        "   the command line          PORTCULLIS_CA={scratch}/state/api.crt PORTCULLIS_TOKEN_FILE={scratch}/state/admin.token {} status",
        program("portcullis").display()
    ));
    stage.say(&format!("   the access log            {scratch}/access.jsonl"));
    while !stage.is_interrupted() {
        std::thread::park_timeout(Duration::from_millis(200));
    }
}
