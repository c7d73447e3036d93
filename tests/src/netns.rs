//! Network namespaces: one per host of the world. The name carries the process that made it, so
//! that what a killed run leaves behind can be told from what is in use.

use std::{
    fs::{self, File},
    io::Write as _,
    panic::resume_unwind,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CloneFlags, setns};

use crate::tools;

/// Where iproute2 keeps the names.
const NAMES: &str = "/run/netns";
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A network namespace with a name. Clones are the same namespace; it goes with the last one.
#[derive(Clone, Debug)]
pub struct Namespace(Arc<Named>);

#[derive(Debug)]
struct Named(String);

impl Namespace {
    /// Makes `pc-<pid>-<counter>-<role>`, with its loopback up.
    pub fn new(role: &str) -> Result<Self> {
        let name = format!("pc-{}-{}-{role}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        checked(tools::command("ip")?.args(["netns", "add", &name]))?;
        let namespace = Self(Arc::new(Named(name)));
        namespace.ip(&["link set lo up"])?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` shows it.
    pub fn name(&self) -> &str {
        &self.0.0
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        Path::new(NAMES).join(self.name())
    }

    /// A command for `program` inside. Not by `ip netns exec`, which mounts a fresh /sys and so
    /// hides the pins of BPF objects. nsenter becomes the program: the process id is its own.
    pub fn command(&self, program: impl AsRef<Path>) -> Result<Command> {
        let program = program.as_ref();
        let path = program.to_str().and_then(tools::find).unwrap_or_else(|| program.to_owned());
        let mut command = tools::command("nsenter")?;
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(path);
        Ok(command)
    }

    /// Runs a command line (program and arguments) inside and returns what it prints.
    pub fn run(&self, line: &[&str]) -> Result<String> {
        let (program, args) = line.split_first().context("an empty command line")?;
        checked(self.command(program)?.args(args))
    }

    /// Runs several `ip` commands in one process, each a line such as `link set eth0 up`.
    pub fn ip(&self, lines: &[impl AsRef<str>]) -> Result<()> {
        let batch: String = lines.iter().map(|line| format!("{}\n", line.as_ref())).collect();
        let mut command = tools::command("ip")?;
        command.args(["-netns", self.name(), "-batch", "-"]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().context("ip has no input")?.write_all(batch.as_bytes())?;
        let output = child.wait_with_output()?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "in {}: {}: ip {batch}", self.name(), complaint.trim());
        Ok(())
    }

    /// Sets a value below /proc/sys/net, such as `ipv4/ip_forward`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys/net").join(key);
        self.enter(|| fs::write(&path, value).with_context(|| format!("cannot write {value} to {}", path.display())))?
    }

    /// Runs a closure inside, on a thread of its own, and returns its value. Sockets that it opens
    /// stay in the namespace wherever they are used later. A panic in it is the caller's.
    pub fn enter<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> Result<T> {
        let file = File::open(self.path()).with_context(|| format!("namespace {} is gone", self.name()))?;
        let entered = thread::scope(|scope| {
            let thread = scope.spawn(move || setns(file, CloneFlags::CLONE_NEWNET).map(|()| inside()));
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        });
        entered.with_context(|| format!("cannot enter namespace {}", self.name()))
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        delete(&self.0);
    }
}

/// The names of the namespaces that a run of this library made and did not remove: their process
/// is dead.
pub fn stale() -> Vec<String> {
    let names = fs::read_dir(NAMES).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| maker(name, "pc-").is_some_and(is_dead)).collect()
}

/// Ends the processes of a namespace that nobody supervises any more, and deletes it.
pub fn remove_stale(name: &str) {
    if let Ok(pids) = tools::command("ip").and_then(|mut ip| checked(ip.args(["netns", "pids", name]))) {
        for pid in pids.lines().filter_map(|pid| pid.trim().parse().ok()) {
            // It may have ended by itself since it was listed.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
        }
    }
    delete(name);
}

/// The process that made a thing called `<prefix><pid>-…`.
pub(crate) fn maker(name: &str, prefix: &str) -> Option<u32> {
    name.strip_prefix(prefix)?.split('-').next()?.parse().ok()
}

/// Whether no process has this id.
pub(crate) fn is_dead(pid: u32) -> bool {
    !Path::new("/proc").join(pid.to_string()).exists()
}

/// Runs a command to its end and returns what it prints; an error carries its complaint.
pub(crate) fn checked(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn delete(name: &str) {
    // Another process that cleans up may have been faster.
    let _ = tools::command("ip").and_then(|mut ip| checked(ip.args(["netns", "del", name])));
}
