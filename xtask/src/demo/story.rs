//! The story: closed, opened for one person and one app, and cut in the middle of a transfer.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use gateway_tests::{
    Cli, Daemon, HttpServer, Launch, Namespace, Outcome, Process, TcpEcho, World, tcp_connect, wait_until, world::at,
};
use serde_json::Value;

use super::{program, stage::Stage};

/// Long enough for an answer that comes, short enough to wait for one that does not.
const PATIENCE: Duration = Duration::from_millis(800);
/// The longest wait for something that should happen soon.
const SOON: Duration = Duration::from_secs(10);
/// How fast the long transfer goes, in bytes a second.
const RATE: u64 = 20_000_000;
/// How long the transfer is watched after the cut.
const WATCH: Duration = Duration::from_millis(700);

const PASSWORD: &str = "a portcullis drops\n";

const PICTURE: &str = "
    alice's laptop                gateway                       app host
    10.77.0.2  fd77::2   ──▶  ║ XDP │ policy │ TC ║  ──▶   10.20.0.10  crm
                              guard0          apps0          10.20.0.11  vault";

/// Everything that is on the stage. Dropping removes all of it, the world last.
struct Cast {
    daemon: Daemon,
    _crm: HttpServer,
    _crm6: HttpServer,
    _vault: HttpServer,
    _database: TcpEcho,
    world: World,
}

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
    if hold {
        hold_on(stage, &cast);
    }
    Ok(())
}

/// Builds the namespaces, starts the apps, and then the gateway.
fn raise() -> Result<Cast> {
    let world = World::new()?;
    let at = |address: IpAddr, port| SocketAddr::new(address, port);
    let crm = HttpServer::start(&world.app, at(at::APP, 8080), "Welcome to the CRM\n")?;
    let crm6 = HttpServer::start(&world.app, at(at::APP6, 8080), "Welcome to the CRM\n")?;
    let vault = HttpServer::start(&world.app, at(at::OTHER_APP, 8080), "All our secrets\n")?;
    let database = TcpEcho::start(&world.app, at(at::APP, 5432))?;
    for name in ["apps.toml", "policies.cedar"] {
        let from = workspace().join("configs/demo").join(name);
        fs::copy(&from, world.scratch().join(name)).with_context(|| from.display().to_string())?;
    }
    let config = workspace().join("configs/demo/portcullis.toml");
    let config = fs::read_to_string(&config).with_context(|| config.display().to_string())?;
    let launch = Launch::new(program("portcullisd"), "https://127.0.0.1:8443/readyz");
    let daemon = Daemon::start(&world, launch, &config)?;
    Ok(Cast { daemon, _crm: crm, _crm6: crm6, _vault: vault, _database: database, world })
}

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Cast {
    /// The command line of the administrator, on the gateway.
    fn admin(&self) -> Cli {
        let state = self.world.scratch().join("state");
        Cli::new(program("portcullis"), &self.world.gateway)
            .env("PORTCULLIS_URL", "https://127.0.0.1:8443")
            .env("PORTCULLIS_CA", &state.join("api.crt").display().to_string())
            .env("PORTCULLIS_TOKEN_FILE", &state.join("admin.token").display().to_string())
            .env("NO_COLOR", "1")
    }

    /// The command line of alice, on her laptop.
    fn alice(&self) -> Cli {
        Cli::new(program("portcullis"), &self.world.client)
            .env("PORTCULLIS_URL", "https://10.77.0.1")
            .env("PORTCULLIS_CA", &self.world.scratch().join("state/api.crt").display().to_string())
            .env("XDG_RUNTIME_DIR", &self.world.scratch().display().to_string())
            .env("NO_COLOR", "1")
    }

    /// How many packets were dropped for a reason, on all interfaces.
    fn drops(&self, reason: &str) -> Result<u64> {
        let drops = self.admin().json(&["--json", "drops"])?;
        let counted = items(&drops).iter().filter(|row| row["reason"] == reason);
        Ok(counted.filter_map(|row| row["packets"].as_u64()).sum())
    }
}

/// The rows of a listing, whether it is a page or a plain list.
fn items(listing: &Value) -> &[Value] {
    listing["items"].as_array().or_else(|| listing.as_array()).map_or(&[], Vec::as_slice)
}

/// Runs a program at a host and shows it.
fn shown(stage: &Stage, host: &str, namespace: &Namespace, line: &[&str]) -> Result<(bool, String)> {
    stage.command(host, &line.join(" "));
    let [name, arguments @ ..] = line else { bail!("no program") };
    let output = namespace.command(name)?.args(arguments).output().with_context(|| line.join(" "))?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Runs the command line and shows it with its output.
fn portcullis(stage: &Stage, host: &str, cli: &Cli, arguments: &[&str], input: &str) -> Result<(i32, String)> {
    stage.command(host, &format!("portcullis {}", arguments.join(" ")));
    let ran = cli.run_with(arguments, input)?;
    stage.output(&ran.stdout);
    stage.output(&ran.stderr);
    Ok((ran.code, ran.stdout))
}

/// Asks for something that must not be answered, and looks up the reason.
fn refused(stage: &mut Stage, cast: &Cast, name: &str, url: &str, reason: &str) -> Result<()> {
    let before = cast.drops(reason)?;
    let line = ["curl", "--silent", "--max-time", "0.8", url];
    let (answered, _) = shown(stage, "alice", &cast.world.client, &line)?;
    let dropped = cast.drops(reason)? - before;
    let observed = match (answered, dropped) {
        (true, _) => "it was answered".to_owned(),
        (false, 0) => format!("no answer, and nothing dropped as `{reason}`"),
        (false, n) => format!("no answer: {n} packet(s) dropped as `{reason}`"),
    };
    stage.step(name, &format!("no answer, dropped as `{reason}`"), &observed, !answered && dropped > 0)
}

fn answered(stage: &mut Stage, cast: &Cast, name: &str, url: &str) -> Result<()> {
    let (ok, body) = shown(stage, "alice", &cast.world.client, &["curl", "--silent", "--max-time", "3", url])?;
    let observed = if ok { body.trim().to_owned() } else { "no answer".to_owned() };
    stage.step(name, "Welcome to the CRM", &observed, observed == "Welcome to the CRM")
}

fn before_login(stage: &mut Stage, cast: &Cast) -> Result<()> {
    stage.act("Nobody is logged in: the app is not there")?;
    refused(stage, cast, "closed_before_login", "http://10.20.0.10:8080/", "no_session")
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
    answered(stage, cast, "permitted_app", "http://10.20.0.10:8080/")?;
    let (code, _) = portcullis(
        stage,
        "alice",
        &cast.alice().env("PORTCULLIS_URL", "https://[fd77::1]").env("XDG_RUNTIME_DIR", &v6_home(cast)?),
        &["login", "--user", "alice", "--password-stdin"],
        PASSWORD,
    )?;
    stage.step("login_v6", "logged in", if code == 0 { "logged in over IPv6 too" } else { "refused" }, code == 0)?;
    answered(stage, cast, "permitted_app_v6", "http://[fd20::10]:8080/")?;
    refused(stage, cast, "other_app", "http://10.20.0.11:8080/", "no_grant")?;
    refused(stage, cast, "other_port", "telnet://10.20.0.10:5432", "app_unknown")?;

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
    answered(stage, cast, "killed_new_connection", "http://10.20.0.10:8080/")?;
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

    // What the receipt promises, seen from the laptop: what was on its way when the answer came may still be read from
    // the socket, so the count is taken once that has settled.
    let settled = settle(transfer);
    let quiet = Instant::now();
    wait_until("the watch to end", SOON, || (quiet.elapsed() >= WATCH).then_some(()))?;
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

/// An instant, told from the request on.
fn around(micros: f64) -> String {
    if micros < 0.0 { format!("{:.0} µs before it", -micros) } else { format!("{micros:.0} µs after it") }
}

/// The size at which the download stays for a while.
fn settle(transfer: &Transfer) -> u64 {
    let (mut size, mut since) = (transfer.bytes(), Instant::now());
    while since.elapsed() < Duration::from_millis(50) {
        let now = transfer.bytes();
        if now != size {
            (size, since) = (now, Instant::now());
        }
        std::thread::yield_now();
    }
    size
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
    refused(stage, cast, "closed_afterwards", "http://10.20.0.10:8080/", "session_revoked")?;
    let (code, _) =
        portcullis(stage, "alice", &cast.alice(), &["login", "--user", "alice", "--password-stdin"], PASSWORD)?;
    let observed = if code == 0 { "logged in" } else { "her login is refused" };
    stage.step("login_refused", "her login is refused", observed, code == 1)?;

    stage.act("And everything was counted and written down")?;
    portcullis(stage, "admin", &cast.admin(), &["drops"], "")?;
    show_metrics(stage, cast)?;
    show_log(stage, cast)
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
    let path = cast.world.scratch().join("access.jsonl");
    stage.command("admin", "grep -e session_end -e flow_end access.jsonl");
    let read = || -> Option<Vec<Value>> {
        let text = fs::read_to_string(&path).ok()?;
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let has = |kind: &str| lines.iter().any(|line| line["type"] == kind && line["user"] == "alice");
        (has("login") && has("session_end") && has("flow_end")).then_some(lines)
    };
    let lines = wait_until("the access log", SOON, read)?;
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

fn summary(line: &Value) -> String {
    let names = ["time", "type", "user", "app", "policies", "outcome", "cause", "by", "to_client_bytes", "flows_cut"];
    let shown: Vec<String> =
        names.iter().filter(|name| !line[**name].is_null()).map(|name| format!("{name}={}", line[*name])).collect();
    shown.join(" ")
}

/// Keeps everything up until Ctrl-C.
fn hold_on(stage: &Stage, cast: &Cast) {
    let scratch = cast.world.scratch().display().to_string();
    let shell = |host: &Namespace| format!("nsenter --net=/run/netns/{} bash", host.name());
    stage.title("Everything stays up until Ctrl-C");
    stage.say(&format!("   a shell at the laptop     {}", shell(&cast.world.client)));
    stage.say(&format!("   a shell at the gateway    {}", shell(&cast.world.gateway)));
    stage.say(&format!("   a shell at the app host   {}", shell(&cast.world.app)));
    stage.say("   the portal, from there    https://10.77.0.1/v1/login  or  https://[fd77::1]/v1/login");
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
