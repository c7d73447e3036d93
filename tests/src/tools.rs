//! Where the programs of the operating system are. The search is wider than `PATH`: `su` leaves
//! root without the sbin directories, cargo's own directory is missing where Rust came without
//! rustup, and `cargo xtask setup` unpacks some tools below `target/tools` instead of installing
//! the services around them.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

/// The workspace's target directory, or where it would be.
pub fn target_dir() -> PathBuf {
    if let Some(dir) = env::var_os("CARGO_TARGET_DIR") {
        return PathBuf::from(dir);
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).join("target")
}

/// Where cargo installs programs.
pub fn cargo_bin_dir() -> PathBuf {
    cargo_home().join("bin")
}

/// Cargo's home directory.
pub fn cargo_home() -> PathBuf {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .unwrap_or_else(|| PathBuf::from(".cargo"))
}

/// The directories searched, in order.
pub fn search_path() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = env::var_os("PATH").iter().flat_map(env::split_paths).collect();
    for extra in ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"] {
        dirs.push(PathBuf::from(extra));
    }
    dirs.push(cargo_bin_dir());
    dirs.push(target_dir().join("tools/usr/bin"));
    dirs
}

/// The path of a program, if it is installed.
pub fn find(program: &str) -> Option<PathBuf> {
    search_path().into_iter().map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// A command for `program`; an error that says what to run where the program is missing.
pub fn command(program: &str) -> Result<Command> {
    let path = find(program).with_context(|| format!("`{program}` is not installed: run `cargo xtask setup`"))?;
    Ok(Command::new(path))
}

/// A service that was unpacked: the system's own may be without the modules that tests need.
pub fn unpacked(service: &str) -> Option<PathBuf> {
    let path = target_dir().join("tools/usr/sbin").join(service);
    path.is_file().then_some(path)
}

/// What a program needs in its environment to find the libraries that were unpacked with it; nothing if it is installed.
pub fn libraries(program: &Path) -> Option<(&'static str, PathBuf)> {
    let unpacked = target_dir().join("tools");
    let name = program.file_name()?;
    program.starts_with(&unpacked).then(|| ("LD_LIBRARY_PATH", unpacked.join("usr/lib").join(name)))
}
