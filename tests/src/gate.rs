//! A gateway that is ready: the world, the real daemon in it with the configuration of the demonstration, and two users.
//!
//! alice is in `finance`, which may reach `crm`; bob is in `ops`, which may reach `vault`. Waiting, counting and asking
//! are here; what is expected is for the tests to say.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::{
    api::{Answer, Api},
    daemon::{Daemon, Launch},
    netns::{Namespace, checked},
    process::{Process, wait_until},
    tools,
    world::{World, at},
};

const CONFIG: &str = include_str!("../../configs/demo/portcullis.toml");
const APPS: &str = include_str!("../../configs/demo/apps.toml");
/// The policies of the demonstration.
pub const POLICIES: &str = include_str!("../../configs/demo/policies.cedar");
/// Where the beacon hears datagrams: an app that benches add to those of the demonstration.
pub const BEACON: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 20, 0, 10), 9_999);
/// It is for everybody in `finance`.
pub const BEACON_POLICY: &str =
    r#"@id("beacon") permit (principal in Group::"finance", action, resource == App::"beacon");"#;
/// The password of every user.
pub const PASSWORD: &str = "correct horse battery staple";
/// Small tables, which are made sooner than those of the defaults.
const CAPACITY: &str = "
[capacity]
sessions = 64
flows = 1024
app_prefixes = 64
app_ports = 256
grants = 64
apps = 64
";
/// For what happens by itself.
const SOON: Duration = Duration::from_secs(10);
const END_DEADLINE: Duration = Duration::from_secs(20);

/// Packets dropped, by interface and reason.
pub type Drops = BTreeMap<(String, String), u64>;

/// A gateway at work. Dropping ends and removes everything.
#[derive(Debug)]
pub struct Gate {
    /// The API, from the gateway's own host, with the first token.
    pub api: Api,
    /// The daemon.
    pub daemon: Daemon,
    /// Everything around it; last, because it is removed last.
    pub world: World,
}

/// A session, and the API as its owner sees it.
#[derive(Clone, Debug)]
pub struct Login {
    /// Its name.
    pub token: String,
    /// As the login told it.
    pub session: Value,
    /// From the client's host, with the session's secret.
    pub api: Api,
}

impl Gate {
    /// With the configuration of the demonstration.
    pub fn open() -> Result<Self> {
        Self::with(|config| config)
    }

    /// With another configuration, made from that of the demonstration.
    pub fn with(tweak: impl FnOnce(String) -> String) -> Result<Self> {
        Self::inside(World::new()?, tweak)
    }

    /// The same in a world that is there already.
    pub fn inside(world: World, tweak: impl FnOnce(String) -> String) -> Result<Self> {
        let gate = Self::start(world, Launch::new(binary("portcullisd")?, READY), tweak)?;
        gate.introduce("alice", "finance")?;
        gate.introduce("bob", "ops")?;
        Ok(gate)
    }

    /// alice, who has logged in, may reach all ports of the app `bulk` over UDP, by as many flows.
    pub fn open_wide(flows: u32, tweak: impl FnOnce(String) -> String) -> Result<Self> {
        let gate = Self::with(|config| tweak(config.replace("flows = 1024", &format!("flows = {flows}"))))?;
        gate.api.put("/v1/apps/bulk", &json!({ "prefixes": [at::OTHER_APP], "services": ["*/udp"] }))?.ok()?;
        let policy = r#"@id("bulk") permit (principal in Group::"finance", action, resource == App::"bulk");"#;
        gate.put_policy(policy)?.ok()?;
        gate.login(&gate.world.client, at::GUARD0, "alice")?;
        Ok(gate)
    }

    /// Without users, and by other means than usual.
    pub fn launch(launch: Launch, tweak: impl FnOnce(String) -> String) -> Result<Self> {
        Self::start(World::new()?, launch, tweak)
    }

    /// The same in a world that is there already.
    pub fn launch_inside(world: World, launch: Launch, tweak: impl FnOnce(String) -> String) -> Result<Self> {
        Self::start(world, launch, tweak)
    }

    fn start(world: World, launch: Launch, tweak: impl FnOnce(String) -> String) -> Result<Self> {
        prepare(&world)?;
        let daemon = Daemon::start(&world, launch, &tweak(config()))?;
        let state = world.scratch().join("state");
        let token = fs::read_to_string(state.join("admin.token")).context("the daemon made no token")?;
        let api = Api::new(&world.gateway, "https://127.0.0.1:8443", &state.join("api.crt")).bearer(token.trim());
        Ok(Self { api, daemon, world })
    }

    /// Makes a user, in a group that exists from then on.
    pub fn introduce(&self, user: &str, group: &str) -> Result<()> {
        self.api.put(&format!("/v1/groups/{group}"), &json!({}))?.ok()?;
        let put = json!({ "groups": [group], "password": PASSWORD });
        self.api.put(&format!("/v1/users/{user}"), &put)?.ok().map(drop)
    }

    /// The API at one of the gateway's login addresses, from a client.
    pub fn portal(&self, host: &Namespace, portal: IpAddr) -> Api {
        let base = format!("https://{}", SocketAddr::new(portal, 443));
        Api::new(host, &base, &self.world.scratch().join("state/api.crt"))
    }

    /// Asks to be logged in.
    pub fn try_login(&self, host: &Namespace, portal: IpAddr, user: &str) -> Result<Answer> {
        self.portal(host, portal).post_json("/v1/login", &json!({ "username": user, "password": PASSWORD }))
    }

    /// Logs in.
    pub fn login(&self, host: &Namespace, portal: IpAddr, user: &str) -> Result<Login> {
        let answer = self.try_login(host, portal, user)?.ok().with_context(|| format!("login of {user}"))?;
        let text = |value: &Value| value.as_str().map(str::to_owned).with_context(|| format!("login: {answer}"));
        Ok(Login {
            token: text(&answer["session"]["token"])?,
            session: answer["session"].clone(),
            api: self.portal(host, portal).bearer(&text(&answer["secret"])?),
        })
    }

    /// Puts policies in force; the answer.
    pub fn put_policy(&self, text: &str) -> Result<Answer> {
        self.api.send("PUT", "/v1/policy", Some(("text/plain", text)))
    }

    /// All drops so far.
    pub fn drops(&self) -> Result<Drops> {
        let answer = self.api.get("/v1/drops")?.ok()?;
        let items = answer["items"].as_array().context("no items")?;
        let name = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
        let entry = |item: &Value| {
            ((name(item, "interface"), name(item, "reason")), item["packets"].as_u64().unwrap_or_default())
        };
        Ok(items.iter().map(entry).collect())
    }

    /// The drops since `before`, as `interface/reason`: all of them, so that what nobody predicted shows. All but
    /// `ip_extension`: Linux announces the IPv6 groups that it is in whenever it likes, with a hop-by-hop option.
    pub fn reasons_since(&self, before: &Drops) -> Result<Vec<String>> {
        let now = self.drops()?;
        let grown = now.iter().filter(|(key, packets)| before.get(key).is_none_or(|then| then < packets));
        let grown = grown.filter(|((_, reason), _)| reason != "ip_extension");
        Ok(grown.map(|((interface, reason), _)| format!("{interface}/{reason}")).collect())
    }

    /// Waits until the daemon's log has this.
    pub fn says(&self, text: &str) -> Result<()> {
        wait_until(text, SOON, || self.daemon.log().contains(text).then_some(()))
    }

    /// Waits until the daemon's log has this so many times.
    pub fn says_times(&self, text: &str, times: usize) -> Result<()> {
        wait_until(text, SOON, || (self.daemon.log().matches(text).count() == times).then_some(()))
    }

    /// The records of the access log so far; each line has to be a JSON object.
    pub fn records(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(self.world.scratch().join("access.jsonl"))?;
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))).collect()
    }
}

/// What says that the daemon is ready.
pub const READY: &str = "https://127.0.0.1:8443/readyz";

/// The beacon, as the API takes it.
pub fn beacon() -> Value {
    json!({ "prefixes": [BEACON.ip()], "services": [format!("{}/udp", BEACON.port())] })
}

/// The daemon as urgent as its systemd unit makes it.
pub fn urgent() -> Result<Launch> {
    let binary = binary("portcullisd")?.display().to_string();
    let args = ["-n", "-10", &binary, "--config", "{config}"].map(str::to_owned).to_vec();
    Ok(Launch { args, ..Launch::new("nice", READY) })
}

/// The configuration of the demonstration, with small tables.
pub fn config() -> String {
    format!("{CONFIG}{CAPACITY}")
}

/// Puts the files that the configuration names beside it.
pub fn prepare(world: &World) -> Result<()> {
    fs::write(world.scratch().join("apps.toml"), APPS)?;
    Ok(fs::write(world.scratch().join("policies.cedar"), POLICIES)?)
}

/// Runs the daemon on the gateway's host with this configuration, in which it is expected to end by itself. `wrapper` is
/// a command line that becomes the daemon, or nothing. Returns how it ended and what it said.
pub fn run_to_end(world: &World, wrapper: &[&str], config: &str, args: &[&str]) -> Result<(ExitStatus, String)> {
    let file = world.scratch().join("refused.toml");
    let text = config.replace("{scratch}", &world.scratch().display().to_string());
    fs::write(&file, text.replace("{bpffs}", &world.bpffs().display().to_string()))?;
    let log = world.scratch().join("refused.log");
    // What an earlier one said is not of interest; it may not exist.
    let _ = fs::remove_file(&log);
    let daemon = binary("portcullisd")?;
    let program = wrapper.first().map_or(daemon.as_path(), Path::new);
    let mut command = world.gateway.command(program)?;
    if let Some((_, rest)) = wrapper.split_first() {
        command.args(rest).arg(&daemon);
    }
    command.arg("--config").arg(&file).args(args);
    let mut process = Process::spawn(command, &log)?;
    let status = process.wait(END_DEADLINE).with_context(|| process.output())?;
    Ok((status, process.output()))
}

/// The path of one of the gateway's binaries, as it is when built from the present source: cargo is asked once.
pub fn binary(name: &str) -> Result<PathBuf> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| build(&["--bins"]).map_err(|error| format!("{error:#}")));
    let path = folder.as_ref().map_err(|error| anyhow!("{error}"))?.join(name);
    ensure!(path.is_file(), "`{}` was not built", path.display());
    Ok(path)
}

/// The path of a daemon that numbers its tables as another version, built if it has not been.
pub fn next_daemon() -> Result<PathBuf> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let what = ["--example", "portcullisd-next", "--features", "next-abi"];
    let folder = FOLDER.get_or_init(|| build(&what).map_err(|error| format!("{error:#}")));
    Ok(folder.as_ref().map_err(|error| anyhow!("{error}"))?.join("examples/portcullisd-next"))
}

/// Builds beside the program that is running: `<target>/<profile>/deps/<test>` or `<target>/<profile>/<program>`.
fn build(what: &[&str]) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).context("no target directory")?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => "dev",
    };
    let target = folder.parent().context("no target directory")?;
    let mut cargo = tools::command("cargo")?;
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?);
    cargo.args(["build", "--quiet", "--package", "gateway-userspace", "--profile", profile]).args(what);
    checked(cargo.arg("--target-dir").arg(target))?;
    Ok(folder.to_owned())
}
