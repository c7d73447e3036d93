//! A disk of its own below the daemon's state folder: a file system in an image, which can be full, broken, or frozen.
//!
//! All of it lies in the scratch directory of a world, and goes with it.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::statvfs::statvfs;

use crate::{
    netns::checked,
    scratch::{thaw, unmount},
    tools,
    world::World,
};

/// How large the file system is, mostly. btrfs makes none that is smaller than 16 MB.
const SIZE: u64 = 32 << 20;

/// Which file system, on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Copy on write: where it is full, what is there cannot be overwritten either.
    Btrfs,
    /// ext4 on a medium that can promise more room than it has: the file system takes a write, and fails when it is to be
    /// on the disk. Without a journal, which would end it for good when it cannot be written.
    Thin,
    /// ext4, which becomes read-only when it finds itself damaged.
    Ext4,
    /// ext4 on a medium that can be copied in one moment.
    Copied,
}

/// A disk, mounted where the daemon of a world keeps its state. Dropping takes it away.
#[derive(Debug)]
pub struct Disk {
    medium: Medium,
    /// The folder with the image.
    below: PathBuf,
    point: PathBuf,
}

/// A disk that answers nothing. Dropping thaws it.
#[derive(Debug)]
pub struct Frozen<'a>(&'a Disk);

impl Disk {
    /// Makes one in the world, before its daemon is started.
    pub fn new(world: &World, medium: Medium) -> Result<Self> {
        Self::of(world, medium, SIZE)
    }

    /// One of so many bytes.
    pub fn of(world: &World, medium: Medium, size: u64) -> Result<Self> {
        let disk = Self { medium, below: world.scratch().join("disk"), point: world.scratch().join("state") };
        fs::create_dir(&disk.below)?;
        fs::create_dir(&disk.point)?;
        if matches!(medium, Medium::Thin | Medium::Copied) {
            // Copy on write, again: what it has no room for it cannot overwrite, and clones of a file are of one moment.
            let outer = world.scratch().join("disk.img");
            File::create_new(&outer)?.set_len(2 * size)?;
            make("mkfs.btrfs", &["--quiet", "--mixed"], &outer)?;
            mount(&["-o", "loop"], &outer, &disk.below)?;
        }
        File::create_new(disk.image())?.set_len(size)?;
        match medium {
            Medium::Btrfs => make("mkfs.btrfs", &["--quiet", "--mixed"], &disk.image())?,
            Medium::Thin => make("mkfs.ext4", &["-q", "-O", "^has_journal"], &disk.image())?,
            Medium::Ext4 | Medium::Copied => make("mkfs.ext4", &["-q"], &disk.image())?,
        }
        disk.mount()?;
        Ok(disk)
    }

    /// Uses all that is free, to the last block.
    pub fn fill(&self) -> Result<()> {
        let mut ballast = File::create(self.ballast())?;
        loop {
            let before = ballast.metadata()?.len();
            for block in [vec![1; 1 << 20], vec![1; 4096]] {
                loop {
                    match ballast.write_all(&block).and_then(|()| ballast.sync_data()) {
                        Ok(()) => {}
                        Err(error) if error.kind() == ErrorKind::StorageFull => break,
                        Err(error) => bail!("{}: {error}", self.ballast().display()),
                    }
                }
            }
            // What has been overwritten a moment ago is free only now.
            self.sync()?;
            if ballast.metadata()?.len() == before {
                return Ok(());
            }
        }
    }

    /// Uses what is free but for so many bytes, or a few less.
    pub fn leave(&self, bytes: u64) -> Result<()> {
        let mut ballast = File::create(self.ballast())?;
        loop {
            let disk = statvfs(&self.point)?;
            if disk.blocks_available() * disk.fragment_size() <= bytes {
                return Ok(());
            }
            ballast.write_all(&[1; 64 << 10])?;
            ballast.sync_all()?;
        }
    }

    /// Gives back what was used.
    pub fn free(&self) -> Result<()> {
        fs::remove_file(self.ballast())?;
        self.sync()
    }

    /// The file system finds itself damaged, and is read-only from then on.
    pub fn fail(&self) -> Result<()> {
        let device =
            checked(tools::command("losetup")?.args(["--noheadings", "--output", "NAME", "-j"]).arg(self.image()))?;
        let name = Path::new(device.trim()).file_name().context("no loop device")?;
        Ok(fs::write(Path::new("/sys/fs/ext4").join(name).join("trigger_fs_error"), "1")?)
    }

    /// Repairs it, as an operator would, while the daemon runs.
    pub fn repair(&self) -> Result<()> {
        self.unmount()?;
        // It ends with 1 where it has repaired something.
        let status = tools::command("fsck.ext4")?.args(["-p", "-f"]).arg(self.image()).output()?.status;
        ensure!(matches!(status.code(), Some(0 | 1)), "fsck: {status}");
        self.mount()
    }

    /// Takes it off. It can be mounted again.
    pub fn unmount(&self) -> Result<()> {
        checked(tools::command("umount")?.arg(&self.point)).map(drop)
    }

    /// Lets nobody write, until what is returned is dropped: whoever tries is held. It has to be dropped before a
    /// process is waited for that is held so, because that cannot be killed.
    pub fn freeze(&self) -> Result<Frozen<'_>> {
        checked(tools::command("fsfreeze")?.arg("--freeze").arg(&self.point))?;
        Ok(Frozen(self))
    }

    /// Copies its medium as it is at this moment, and mounts the copy at another place, whose path is returned: what
    /// would be there if the power had been cut.
    pub fn cut(&self, number: usize) -> Result<PathBuf> {
        ensure!(matches!(self.medium, Medium::Copied | Medium::Thin), "this disk cannot be copied in one moment");
        let copy = self.below.join(format!("cut-{number}"));
        checked(tools::command("cp")?.arg("--reflink=always").arg(self.image()).arg(&copy))?;
        let point = self.point.with_file_name(format!("cut-{number}"));
        fs::create_dir(&point)?;
        mount(&["-o", "loop"], &copy, &point)?;
        Ok(point)
    }

    /// Removes what `cut` has made.
    pub fn forget(&self, cut: &Path) -> Result<()> {
        unmount(cut);
        fs::remove_dir(cut)?;
        Ok(fs::remove_file(self.below.join(cut.file_name().context("no name")?))?)
    }

    /// btrfs gives nothing back before that is on its disk.
    fn sync(&self) -> Result<()> {
        let folder = self.ballast().with_file_name("");
        checked(tools::command("sync")?.arg("--file-system").arg(folder)).map(drop)
    }

    fn image(&self) -> PathBuf {
        self.below.join("image")
    }

    fn ballast(&self) -> PathBuf {
        let folder = if self.medium == Medium::Thin { &self.below } else { &self.point };
        folder.join("ballast")
    }

    /// Mounts it where the state is.
    pub fn mount(&self) -> Result<()> {
        let options = if self.medium == Medium::Ext4 { "loop,errors=remount-ro" } else { "loop" };
        mount(&["-o", options], &self.image(), &self.point)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.point);
        unmount(&self.below);
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        thaw(&self.0.point);
    }
}

fn make(program: &str, options: &[&str], image: &Path) -> Result<()> {
    checked(tools::command(program)?.args(options).arg(image)).map(drop)
}

fn mount(options: &[&str], what: &Path, point: &Path) -> Result<()> {
    checked(tools::command("mount")?.args(options).arg(what).arg(point)).map(drop)
}
