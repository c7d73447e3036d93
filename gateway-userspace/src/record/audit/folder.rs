//! The folder of a trail: which files are its, and how they are made, appended to and put aside. What is in them is never
//! written over: a file grows at its end, and goes back only to where it was before a write that failed.

use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const ENDING: &str = "jsonl";
/// Digits that a name has at least.
const DIGITS: usize = 8;
/// Unfinished ends of one file that are put aside, at most.
const MOST_ASIDE: u32 = 10_000;

/// Where a trail is.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub path: PathBuf,
    /// How much room the disk has, where a test says so.
    #[cfg(test)]
    pub room: Option<std::sync::Arc<std::sync::atomic::AtomicUsize>>,
}

/// A file is not as long as it was when it was last written.
#[derive(Debug, thiserror::Error)]
pub(super) enum AppendError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Somebody else has been there.
    #[error("it has {found} bytes and should have {expected}")]
    Otherwise { expected: u64, found: u64 },
}

impl Folder {
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            #[cfg(test)]
            room: None,
        }
    }

    /// Makes it, if it is not there. What it is in is not made: its disk may not be mounted.
    pub fn make(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    /// The names of its files, in order: each is the number of its first entry.
    pub fn files(&self) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            found.extend(entry?.file_name().to_str().and_then(number));
        }
        found.sort_unstable();
        Ok(found)
    }

    pub fn file(&self, first: u64) -> PathBuf {
        self.path.join(file_name(first))
    }

    pub fn open(&self, first: u64) -> io::Result<File> {
        // Something else by that name, a pipe say, would be waited for.
        let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(self.file(first))?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(Errno::EINVAL.into()) }
    }

    /// Makes a file with its first lines: it is there with all of them or not at all.
    pub fn create(&self, first: u64, lines: &[u8]) -> io::Result<()> {
        let (unborn, path) = (self.path.join(format!("{}.new", file_name(first))), self.file(first));
        if path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unborn)?;
        self.write(&mut file, lines)?;
        file.sync_all()?;
        fs::rename(unborn, path)?;
        self.sync()
    }

    /// Appends lines to a file that has this length, and waits until the disk has them. After a failure the file may have
    /// more than before, and [`Self::cut`] brings it back.
    pub fn append(&self, first: u64, expected: u64, lines: &[u8]) -> Result<(), AppendError> {
        let mut file = OpenOptions::new().append(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(self.file(first))?;
        let found = file.metadata()?.len();
        if found != expected {
            return Err(AppendError::Otherwise { expected, found });
        }
        self.write(&mut file, lines)?;
        Ok(file.sync_data()?)
    }

    /// Takes off what a failed write has left behind the first `length` bytes.
    pub fn cut(&self, first: u64, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(self.file(first))?;
        if file.metadata()?.len() > length {
            file.set_len(length)?;
            file.sync_all()?;
        }
        Ok(())
    }

    /// Moves what is behind the first `length` bytes of a file into another one; its name.
    pub fn put_aside(&self, first: u64, length: u64) -> io::Result<String> {
        let mut rest = Vec::new();
        let mut file = self.open(first)?;
        file.seek(SeekFrom::Start(length))?;
        file.read_to_end(&mut rest)?;
        let name = |n| format!("{}.unfinished-{n}", file_name(first));
        // One that a start before this one made and did not get further with is as good.
        let is_it = |n: &u32| match fs::read(self.path.join(name(*n))) {
            Ok(there) => there == rest,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let free = (1..=MOST_ASIDE).find(is_it).ok_or(io::ErrorKind::AlreadyExists)?;
        let mut aside =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(self.path.join(name(free)))?;
        self.write(&mut aside, &rest)?;
        aside.sync_all()?;
        self.sync()?;
        self.cut(first, length)?;
        Ok(name(free))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    #[cfg(not(test))]
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// With as much room as the test leaves: what fits is written before the rest is refused, as a disk does it.
    #[cfg(test)]
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        use std::sync::atomic::Ordering;
        let Some(room) = &self.room else { return file.write_all(bytes) };
        let left = room.load(Ordering::SeqCst);
        let fits = left.min(bytes.len());
        file.write_all(&bytes[..fits])?;
        room.store(left - fits, Ordering::SeqCst);
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

/// The name of the file whose first entry has this number.
pub(super) fn file_name(first: u64) -> String {
    format!("{first:0DIGITS$}.{ENDING}")
}

/// What a name says, if it is one that [`file_name`] makes.
fn number(name: &str) -> Option<u64> {
    let first = name.strip_suffix(ENDING)?.strip_suffix('.')?.parse().ok()?;
    (file_name(first) == name).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_made_are_read() {
        for first in [1, 99_999_999, 100_000_000, u64::MAX] {
            assert_eq!(number(&file_name(first)), Some(first));
        }
        for other in
            ["1.jsonl", "00000001.jsonl.new", "00000001.jsonl.unfinished-1", "000000001.jsonl", "+0000001.jsonl"]
        {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn a_file_that_somebody_else_wrote_to_is_not_appended_to() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::at(scratch.path());
        folder.create(1, b"one\n").unwrap();
        folder.append(1, 4, b"two\n").unwrap();
        assert!(matches!(folder.append(1, 4, b"2\n"), Err(AppendError::Otherwise { expected: 4, found: 8 })));
        assert!(folder.create(1, b"").is_err());
        assert_eq!(folder.put_aside(1, 4).unwrap(), "00000001.jsonl.unfinished-1");
        folder.append(1, 4, b"three").unwrap();
        assert_eq!(folder.put_aside(1, 4).unwrap(), "00000001.jsonl.unfinished-2");
        assert_eq!(fs::read(folder.file(1)).unwrap(), b"one\n");
        assert_eq!(folder.files().unwrap(), [1]);
    }
}
