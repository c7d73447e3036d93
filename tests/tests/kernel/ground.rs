//! What tests of the loaded programs stand on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Both directions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// From the client.
    In,
    /// To the client.
    Out,
}

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A BPF file system of its own, gone when dropped.
pub struct Bpffs(PathBuf);

impl Bpffs {
    /// Mounts one.
    pub fn mount() -> Self {
        let name = format!("portcullis-test-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        let status = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&path).status().unwrap();
        assert!(status.success(), "these tests need root, to mount a BPF file system");
        Self(path)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}
