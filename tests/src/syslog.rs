//! Real receivers of syslog: rsyslog and syslog-ng, with a configuration as an operator would write it, and nothing of the
//! system's own.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    netns::Namespace,
    process::{Process, wait_until},
    tools,
};

/// For its start.
const SOON: Duration = Duration::from_secs(20);

/// Who made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Make {
    /// rsyslog.
    Rsyslog,
    /// syslog-ng.
    SyslogNg,
}

/// Where it listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listening {
    /// At this port of TCP.
    Tcp(u16),
    /// At this one of UDP.
    Udp(u16),
}

/// A receiver at work. Dropping ends it at once, as a crash would.
#[derive(Debug)]
pub struct LogReceiver {
    /// Its process.
    pub process: Process,
    log: PathBuf,
}

impl LogReceiver {
    /// Starts one on a host with this configuration, in a folder for its files, and waits until it listens. It appends
    /// what it receives to `log`, as the configuration says.
    pub fn start(
        make: Make,
        host: &Namespace,
        folder: &Path,
        config: &str,
        listening: Listening,
        log: &Path,
    ) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let file = folder.join("receiver.conf");
        fs::write(&file, config)?;
        let name = if make == Make::Rsyslog { "rsyslogd" } else { "syslog-ng" };
        let program = tools::unpacked(name).or_else(|| tools::find(name));
        let program = program.with_context(|| format!("`{name}` is not installed: run `cargo xtask setup`"))?;
        let mut command = host.command(&program)?;
        command.envs(tools::libraries(&program)).current_dir(folder);
        match make {
            // In the foreground.
            Make::Rsyslog => command.args(["-n", "-f"]).arg(&file).arg("-i").arg(folder.join("pid")),
            Make::SyslogNg => {
                command.args(["--foreground", "--no-caps", "--stderr", "--cfgfile"]).arg(&file);
                command.arg("--pidfile").arg(folder.join("pid")).arg("--control").arg(folder.join("ctl"));
                command.arg("--persist-file").arg(folder.join("persist"))
            }
        };
        if let Some(modules) = modules(make, &program) {
            let option = if make == Make::Rsyslog { "-M" } else { "--module-path" };
            command.arg(option).arg(modules);
        }
        let process = Process::spawn(command, &folder.join("output"))?;
        let receiver = Self { process, log: log.to_owned() };
        wait_until("a receiver that listens", SOON, || is_there(host, listening).ok()?.then_some(()))
            .with_context(|| receiver.process.output())?;
        Ok(receiver)
    }

    /// The whole lines that it has written so far.
    pub fn lines(&self) -> Vec<String> {
        // It is made with the first.
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.split('\n').filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}

/// Where its modules are, if it was unpacked: it would look for them among those of the system.
fn modules(make: Make, program: &Path) -> Option<PathBuf> {
    let libraries = program.ancestors().nth(2)?.join("lib");
    program.starts_with(tools::target_dir()).then_some(())?;
    // One has them below the name of the architecture, the other below that of its version.
    let folder = if make == Make::Rsyslog { libraries.clone() } else { libraries.join("syslog-ng") };
    let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let mut candidates = entries.map(|path| if make == Make::Rsyslog { path.join("rsyslog") } else { path });
    let has = if make == Make::Rsyslog { "imtcp.so" } else { "libafsocket.so" };
    candidates.find(|path| path.join(has).is_file())
}

/// Whether somebody listens there, by the table of the host's sockets.
fn is_there(host: &Namespace, listening: Listening) -> Result<bool> {
    let (table, port, state) = match listening {
        Listening::Tcp(port) => ("tcp", port, "0A"),
        Listening::Udp(port) => ("udp", port, "07"),
    };
    let port = format!(":{port:04X}");
    for table in [format!("/proc/net/{table}"), format!("/proc/net/{table}6")] {
        let sockets = host.run(&["cat", &table])?;
        let mut rows = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        if rows.any(|row| row.get(1).is_some_and(|at| at.ends_with(&port)) && row.get(3) == Some(&state)) {
            return Ok(true);
        }
    }
    Ok(false)
}
