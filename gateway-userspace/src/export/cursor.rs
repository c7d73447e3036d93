//! How far an export has come, in a file of its own that is replaced as a whole.

use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What the file says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The number of the last record that the receiver has taken.
    after: u64,
}

/// The file of a cursor.
pub(super) struct CursorFile {
    path: PathBuf,
}

/// What is known of how far an export has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// So far.
    After(u64),
    /// It has never run.
    New,
    /// The file cannot be understood: nobody knows.
    Unreadable,
}

impl CursorFile {
    /// In this folder, for the export of this name.
    pub fn of(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(format!("{name}.cursor")) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// # Errors
    /// If the file is there and cannot be read.
    pub fn read(&self) -> io::Result<Found> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::New),
            Err(error) => return Err(error),
        };
        Ok(serde_json::from_slice(&text).map_or(Found::Unreadable, |Kept { after }| Found::After(after)))
    }

    /// Keeps it: afterwards the disk has this cursor, or the one before.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write(&self, after: u64) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let unfinished = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        serde_json::to_writer(&mut file, &Kept { after })?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.path)?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_what_was_written_last_or_says_that_nobody_knows() {
        let scratch = tempfile::tempdir().unwrap();
        let cursor = CursorFile::of(&scratch.path().join("export"), "siem");
        assert_eq!(cursor.read().unwrap(), Found::New);
        for after in [0, 7, u64::MAX] {
            cursor.write(after).unwrap();
            assert_eq!(cursor.read().unwrap(), Found::After(after));
        }
        let whole = fs::read(cursor.path()).unwrap();
        for length in 0..whole.len() - 2 {
            fs::write(cursor.path(), &whole[..length]).unwrap();
            assert_eq!(cursor.read().unwrap(), Found::Unreadable, "{length}");
        }
        fs::write(cursor.path(), "{\"after\":-1}").unwrap();
        assert_eq!(cursor.read().unwrap(), Found::Unreadable);
    }
}
