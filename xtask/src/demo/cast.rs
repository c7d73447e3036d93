//! Everything and everybody on the stage, and what each act does with them: command lines, requests, and counts.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use gateway_tests::{Cli, Daemon, HttpServer, Launch, Namespace, TcpEcho, World, wait_until, world::at};
use serde_json::Value;

use super::{
    corp::{self, Corp},
    program,
    stage::Stage,
};

/// Long enough for an answer that comes, short enough to wait for one that does not.
pub const PATIENCE: Duration = Duration::from_millis(800);
/// The longest wait for something that should happen soon.
pub const SOON: Duration = Duration::from_secs(10);
/// How long a connection is watched after it was cut.
pub const WATCH: Duration = Duration::from_millis(700);

/// Whose laptop something happens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// She has a password of the gateway.
    Alice,
    /// She signs in at her company.
    Carol,
}

impl Person {
    /// As the transcript calls them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alice => "alice",
            Self::Carol => "carol",
        }
    }
}

/// Everything that is on the stage. Dropping removes all of it, the world last.
pub struct Cast {
    pub daemon: Daemon,
    pub corp: Corp,
    /// What speaks with people on the vault's host.
    pub console: TcpEcho,
    _crm: HttpServer,
    _crm6: HttpServer,
    _vault: HttpServer,
    _database: TcpEcho,
    pub world: World,
}

/// Builds the namespaces, starts the apps and the identity provider, and then the gateway.
pub fn raise() -> Result<Cast> {
    let world = World::new()?;
    let at = |address: IpAddr, port| SocketAddr::new(address, port);
    let crm = HttpServer::start(&world.app, at(at::APP, 8080), "Welcome to the CRM\n")?;
    let crm6 = HttpServer::start(&world.app, at(at::APP6, 8080), "Welcome to the CRM\n")?;
    let vault = HttpServer::start(&world.app, at(at::OTHER_APP, 8080), "All our secrets\n")?;
    let console = TcpEcho::start(&world.app, at(at::OTHER_APP, 22))?;
    let database = TcpEcho::start(&world.app, at(at::APP, 5432))?;
    let corp = Corp::found(&world)?;
    for name in ["apps.toml", "policies.cedar"] {
        fs::write(world.scratch().join(name), configuration(name)?)?;
    }
    let config = corp::configured(&configuration("portcullis.toml")?, &configuration("provider.toml")?)?;
    let launch = Launch::new(program("portcullisd"), "https://127.0.0.1:8443/readyz");
    let daemon = Daemon::start(&world, launch, &config)?;
    corp.meets_the_gateway(&world)?;
    Ok(Cast { daemon, corp, console, _crm: crm, _crm6: crm6, _vault: vault, _database: database, world })
}

fn configuration(name: &str) -> Result<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../configs/demo").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

impl Cast {
    /// The command line of the administrator, on the gateway.
    pub fn admin(&self) -> Cli {
        let state = self.world.scratch().join("state");
        Cli::new(program("portcullis"), &self.world.gateway)
            .env("PORTCULLIS_URL", "https://127.0.0.1:8443")
            .env("PORTCULLIS_CA", &state.join("api.crt").display().to_string())
            .env("PORTCULLIS_TOKEN_FILE", &state.join("admin.token").display().to_string())
            .env("NO_COLOR", "1")
    }

    /// The command line of alice, on her laptop.
    pub fn alice(&self) -> Cli {
        Cli::new(program("portcullis"), &self.world.client)
            .env("PORTCULLIS_URL", "https://10.77.0.1")
            .env("PORTCULLIS_CA", &self.world.scratch().join("state/api.crt").display().to_string())
            .env("XDG_RUNTIME_DIR", &self.world.scratch().display().to_string())
            .env("NO_COLOR", "1")
    }

    /// A person's own host.
    pub fn laptop(&self, who: Person) -> &Namespace {
        match who {
            Person::Alice => &self.world.client,
            Person::Carol => &self.world.client2,
        }
    }

    /// How many packets were dropped for a reason, on all interfaces.
    pub fn drops(&self, reason: &str) -> Result<u64> {
        let drops = self.admin().json(&["--json", "drops"])?;
        let counted = items(&drops).iter().filter(|row| row["reason"] == reason);
        Ok(counted.filter_map(|row| row["packets"].as_u64()).sum())
    }
}

/// The rows of a listing, whether it is a page or a plain list.
pub fn items(listing: &Value) -> &[Value] {
    listing["items"].as_array().or_else(|| listing.as_array()).map_or(&[], Vec::as_slice)
}

/// Runs a program at a host and shows it.
pub fn shown(stage: &Stage, host: &str, namespace: &Namespace, line: &[&str]) -> Result<(bool, String)> {
    stage.command(host, &line.join(" "));
    let [name, arguments @ ..] = line else { bail!("no program") };
    let output = namespace.command(name)?.args(arguments).output().with_context(|| line.join(" "))?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Runs the command line and shows it with its output.
pub fn portcullis(stage: &Stage, host: &str, cli: &Cli, arguments: &[&str], input: &str) -> Result<(i32, String)> {
    stage.command(host, &format!("portcullis {}", arguments.join(" ")));
    let ran = cli.run_with(arguments, input)?;
    stage.output(&ran.stdout);
    stage.output(&ran.stderr);
    Ok((ran.code, ran.stdout))
}

/// Asks for something that must not be answered, and looks up the reason.
pub fn refused(stage: &mut Stage, cast: &Cast, who: Person, name: &str, (url, reason): (&str, &str)) -> Result<()> {
    let before = cast.drops(reason)?;
    let line = ["curl", "--silent", "--max-time", "0.8", url];
    let (answered, _) = shown(stage, who.name(), cast.laptop(who), &line)?;
    let dropped = cast.drops(reason)? - before;
    let observed = match (answered, dropped) {
        (true, _) => "it was answered".to_owned(),
        (false, 0) => format!("no answer, and nothing dropped as `{reason}`"),
        (false, n) => format!("no answer: {n} packet(s) dropped as `{reason}`"),
    };
    stage.step(name, &format!("no answer, dropped as `{reason}`"), &observed, !answered && dropped > 0)
}

/// Asks for something that must be answered, with these words.
pub fn answered(stage: &mut Stage, cast: &Cast, who: Person, name: &str, (url, words): (&str, &str)) -> Result<()> {
    let (ok, body) = shown(stage, who.name(), cast.laptop(who), &["curl", "--silent", "--max-time", "3", url])?;
    let observed = if ok { body.trim().to_owned() } else { "no answer".to_owned() };
    stage.step(name, words, &observed, observed == words)
}

/// An instant, told from the request on.
pub fn around(micros: f64) -> String {
    if micros < 0.0 { format!("{:.0} µs before it", -micros) } else { format!("{micros:.0} µs after it") }
}

/// The count at which something stays for a while: what was on its way when the answer came may still be read. What does
/// not stop is given up on.
pub fn settle(count: impl Fn() -> u64) -> u64 {
    let began = Instant::now();
    let (mut size, mut since) = (count(), began);
    while since.elapsed() < Duration::from_millis(50) && began.elapsed() < SOON {
        let now = count();
        if now != size {
            (size, since) = (now, Instant::now());
        }
        std::thread::yield_now();
    }
    size
}

/// Waits for a while, in which something must not happen.
pub fn watch() -> Result<()> {
    let quiet = Instant::now();
    wait_until("the watch to end", SOON, || (quiet.elapsed() >= WATCH).then_some(()))
}
