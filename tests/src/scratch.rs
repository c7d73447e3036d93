//! The files of one world: a private directory with a BPF file system of its own, so that worlds
//! that run at the same time cannot meet each other's pins. Whatever else is mounted in it goes with it.

use std::{
    env,
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::geteuid,
};

use crate::{
    netns::{checked, is_dead, maker},
    tools,
};

const PREFIX: &str = "portcullis-";
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A directory that is removed, with its BPF file system, when dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes `portcullis-<pid>-<counter>` among the temporary files.
    pub fn new() -> Result<Self> {
        let scratch = Self(create()?);
        let pins = scratch.bpffs();
        fs::create_dir(&pins)?;
        mount(Some("bpf"), &pins, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
            .with_context(|| format!("cannot mount a BPF file system on {}", pins.display()))?;
        Ok(scratch)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The mount point of the BPF file system.
    pub fn bpffs(&self) -> PathBuf {
        self.0.join("bpf")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes the directories that dead processes left.
pub fn remove_stale() {
    for entry in fs::read_dir(env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let stale = name.to_str().and_then(|name| maker(name, PREFIX)).is_some_and(is_dead);
        // Anyone may put a directory of this name there; only our own is ours to remove.
        let ours = entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == geteuid().as_raw());
        if stale && ours {
            remove(&entry.path());
        }
    }
}

fn create() -> Result<PathBuf> {
    loop {
        let counter = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("{PREFIX}{}-{counter}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            // Left by an earlier process of the same id.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
}

fn remove(path: &Path) {
    // The last one first: it may lie on another.
    for point in mounted_below(path).iter().rev() {
        unmount(point);
    }
    let _ = fs::remove_dir_all(path);
}

/// Takes a file system off. Detached, because a process that is being killed may still hold it; a loop device below it
/// goes with the last one.
pub(crate) fn unmount(point: &Path) {
    // One that is frozen would stay so for ever, with whoever waits for it.
    thaw(point);
    // It may never have been mounted.
    let _ = umount2(point, MntFlags::MNT_DETACH);
}

/// Lets a file system go on that was frozen.
pub(crate) fn thaw(point: &Path) {
    // Most are not frozen.
    let _ = tools::command("fsfreeze").and_then(|mut thaw| checked(thaw.arg("--unfreeze").arg(point)));
}

/// What is mounted in a directory, in the order in which it was.
fn mounted_below(path: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    points.filter(|point| point.starts_with(path)).collect()
}
