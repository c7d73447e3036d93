//! The daemon, run on the gateway of the world. Nothing of its configuration or flags is known
//! here: the caller gives templates, in which `{scratch}`, `{bpffs}` and `{config}` are filled in.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;

use crate::{
    netns::Namespace,
    process::{Process, wait_until},
    world::World,
};

/// Starting includes loading the programs, which the verifier may take a while over.
const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(15);

/// How to start the daemon.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The binary.
    pub binary: PathBuf,
    /// Its arguments; `["--config", "{config}"]` by default.
    pub args: Vec<String>,
    /// Its environment, besides that of the test.
    pub env: BTreeMap<String, String>,
    /// What answers 200 when it is ready, asked from the gateway's own host; certificates are not
    /// checked.
    pub ready_url: String,
    /// How long that may take.
    pub patience: Duration,
}

impl Launch {
    /// Starts `binary` with its configuration file, and waits for `ready_url`.
    pub fn new(binary: impl Into<PathBuf>, ready_url: &str) -> Self {
        let args = ["--config", "{config}"].map(str::to_owned).to_vec();
        let ready_url = ready_url.to_owned();
        Self { binary: binary.into(), args, env: BTreeMap::new(), ready_url, patience: START_DEADLINE }
    }
}

/// The daemon, on the gateway of a world. Dropping kills it.
#[derive(Debug)]
pub struct Daemon {
    launch: Launch,
    gateway: Namespace,
    config: PathBuf,
    log: PathBuf,
    process: Process,
}

impl Daemon {
    /// Writes the configuration, starts the daemon and waits until it is ready. If it ends
    /// instead, the error carries what it printed.
    pub fn start(world: &World, mut launch: Launch, config: &str) -> Result<Self> {
        let file = world.scratch().join("portcullis.toml");
        let fill = |text: &str| {
            let text = text.replace("{scratch}", &world.scratch().display().to_string());
            let text = text.replace("{bpffs}", &world.bpffs().display().to_string());
            text.replace("{config}", &file.display().to_string())
        };
        fs::write(&file, fill(config)).with_context(|| file.display().to_string())?;
        launch.args.iter_mut().for_each(|arg| *arg = fill(arg));
        launch.env.values_mut().for_each(|value| *value = fill(value));
        let log = world.scratch().join("portcullisd.log");
        let process = spawn(&world.gateway, &launch, &log)?;
        let mut daemon = Self { launch, gateway: world.gateway.clone(), config: file, log, process };
        daemon.wait_ready()?;
        Ok(daemon)
    }

    /// Starts it again with the same configuration file, which may have been edited, and waits
    /// until it is ready. One that is still running is asked to stop first.
    pub fn restart(&mut self) -> Result<()> {
        if self.is_running()? {
            self.stop()?;
        }
        self.launch()?;
        self.wait_ready()
    }

    /// Starts it and does not wait; the one before has ended.
    pub fn launch(&mut self) -> Result<()> {
        self.process = spawn(&self.gateway, &self.launch, &self.log)?;
        Ok(())
    }

    /// Names another binary for the next start.
    pub fn becomes(&mut self, binary: PathBuf) {
        self.launch.binary = binary;
    }

    /// Ends it in order (SIGTERM); its exit code.
    pub fn stop(&mut self) -> Result<i32> {
        let status = self.process.terminate(STOP_DEADLINE).with_context(|| self.log())?;
        status.code().with_context(|| format!("portcullisd ended by a signal: {status}"))
    }

    /// Ends it as a crash would (SIGKILL).
    pub fn kill9(&mut self) -> Result<()> {
        self.process.kill().map(|_| ())
    }

    /// Stops its execution (SIGSTOP), as a hang would; `resume` ends that.
    pub fn pause(&self) -> Result<()> {
        self.process.signal(Signal::SIGSTOP)
    }

    /// Continues after `pause`.
    pub fn resume(&self) -> Result<()> {
        self.process.signal(Signal::SIGCONT)
    }

    /// Sends a signal, such as SIGHUP.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.exited()?.is_none())
    }

    /// Its configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has printed, over all its starts.
    pub fn log(&self) -> String {
        self.process.output()
    }

    fn wait_ready(&mut self) -> Result<()> {
        let (gateway, url) = (self.gateway.clone(), self.launch.ready_url.clone());
        let process = &mut self.process;
        let ready = wait_until("portcullisd to be ready", self.launch.patience, || match process.exited() {
            Ok(None) => is_ready(&gateway, &url).then_some(Ok(())),
            Ok(Some(status)) => Some(Err(status.to_string())),
            Err(error) => Some(Err(format!("{error:#}"))),
        });
        match ready {
            Ok(Ok(())) => Ok(()),
            Ok(Err(end)) => bail!("portcullisd ended before it was ready ({end}):\n{}", self.log()),
            Err(error) => bail!("{error}:\n{}", self.log()),
        }
    }
}

fn spawn(gateway: &Namespace, launch: &Launch, log: &Path) -> Result<Process> {
    let mut command = gateway.command(&launch.binary)?;
    command.args(&launch.args).envs(&launch.env);
    Process::spawn(command, log)
}

/// By curl, because the daemon may speak TLS and this library does not.
fn is_ready(gateway: &Namespace, url: &str) -> bool {
    let ask = ["curl", "--silent", "--fail", "--insecure", "--max-time", "2", "--output", "/dev/null", url];
    gateway.run(&ask).is_ok()
}
