//! The daemon. Reads its configuration, then does what `gateway_userspace::daemon` says.

use anyhow::{Context as _, Result, bail};
use clap::{CommandFactory as _, Parser, Subcommand};
use gateway_userspace::config::{Config, LogFormat};
use gateway_userspace::{daemon, urgency};
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Bad configuration, as `sysexits.h` numbers it. systemd is told not to start again after it.
const BAD_CONFIGURATION: u8 = 78;
/// The oldest kernel that has everything: TCX links came with it.
const OLDEST_KERNEL: (u32, u32) = (6, 6);

/// The Portcullis gateway: guards interfaces, decides who may reach what, and cuts when access ends.
#[derive(Parser)]
#[command(version, after_help = "Exit status: 0 stopped or done, 1 failed, 2 usage, 78 bad configuration.")]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/portcullis/portcullis.toml", global = true)]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Guard, and answer requests, until told to stop. What a call without a command does.
    Run,
    /// Check the configuration, and the files that it names, without touching anything.
    Check,
    /// Make another API token for everything, while the daemon is stopped, and write it to the state folder.
    AdminToken,
    /// Guard the interfaces that are there, without a daemon, and end: nobody reaches anything but management services. For
    /// the time before the network comes up. Does nothing while a daemon runs.
    Lock,
    /// Take every program off the interfaces and remove every table. From then on nothing is guarded.
    Unload,
    /// Write a completion script to the standard output.
    Completions {
        /// For this shell.
        shell: clap_complete::Shell,
    },
}

/// What it does, and how it has ended.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::Completions { shell }) = arguments.command {
        clap_complete::generate(shell, &mut Arguments::command(), "portcullisd", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    let config = match Config::load(&arguments.config) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let outcome = match arguments.command {
        Some(Command::Check) => check(&config),
        Some(Command::AdminToken) => admin_token(&config),
        Some(Command::Lock) => lock(&config),
        Some(Command::Unload) => unload(&config),
        Some(Command::Run | Command::Completions { .. }) | None => run(config),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullisd: {}", told(&error));
            let is_configuration = error.downcast_ref().is_some_and(daemon::DaemonError::is_configuration);
            ExitCode::from(if is_configuration { BAD_CONFIGURATION } else { 1 })
        }
    }
}

/// An error with those of its causes that it does not tell itself.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        told if told.contains(&cause) => text,
        told => format!("{told}: {cause}"),
    })
}

fn check(config: &Config) -> Result<()> {
    daemon::check(config)?;
    println!("the configuration is valid");
    Ok(())
}

fn admin_token(config: &Config) -> Result<()> {
    let path = daemon::admin_token(config)?;
    println!("the token is in `{}`", path.display());
    Ok(())
}

fn lock(config: &Config) -> Result<()> {
    require_root()?;
    require_kernel()?;
    start_log(config)?;
    match daemon::lock(config)? {
        daemon::Lock::ByDaemon => println!("a daemon is running, and guards; nothing was changed"),
        daemon::Lock::Of { guarded, missing, has_barrier } => {
            println!(
                "guarded without a daemon: {}",
                if guarded.is_empty() { "none".into() } else { guarded.join(", ") }
            );
            if !missing.is_empty() {
                let until =
                    if has_barrier { "they forward nothing until they are guarded" } else { "they will be open" };
                println!("not there yet: {}; {until}", missing.join(", "));
            }
        }
    }
    Ok(())
}

fn unload(config: &Config) -> Result<()> {
    require_root()?;
    daemon::unload(config)?;
    println!("nothing is guarded any more; the state in `{}` is untouched", config.state.display());
    Ok(())
}

fn run(config: Config) -> Result<()> {
    require_root()?;
    require_kernel()?;
    start_log(&config)?;
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        bail!("a provider of cryptography is installed already");
    }
    if let Err(error) = urgency::be_prompt() {
        tracing::info!(%error, "the system does not let the daemon's threads have short turns; under a flood it answers later");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(daemon::run(config))?;
    Ok(())
}

fn require_root() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("root is needed, to load programs into the kernel; use the systemd unit, or sudo");
    }
    Ok(())
}

fn require_kernel() -> Result<()> {
    let name = nix::sys::utsname::uname().context("the kernel does not tell its version")?;
    let release = name.release().to_string_lossy().into_owned();
    if is_too_old(&release) {
        let (major, minor) = OLDEST_KERNEL;
        bail!("Linux {major}.{minor} or newer is needed and this is {release}; on Debian 12 install it from backports");
    }
    Ok(())
}

fn is_too_old(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < OLDEST_KERNEL
}

fn start_log(config: &Config) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log.level).context("`log.level` is not a filter")?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.log.format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_before_the_oldest_are_refused_and_what_is_no_release_too() {
        for old in ["6.1.0-49-amd64", "5.15.0", "6.5.13", "4", "", "unknown"] {
            assert!(is_too_old(old), "{old}");
        }
        for new in ["6.6.0", "6.12.9+bpo-amd64", "6.18.44-fc-v669", "7.0"] {
            assert!(!is_too_old(new), "{new}");
        }
    }
}
