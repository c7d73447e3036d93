//! A directory becomes texts. Links, other things than files, and what is too much are refused, never followed or read.

use super::finding::Finding;
use super::layout::{is_hidden, kind};
use super::{Files, Findings};
use std::fs::{self, DirEntry, File};
use std::io::{self, Read as _};
use std::path::Path;

/// The most bytes of one file.
const LARGEST_FILE: u64 = 16 << 20;
/// The most bytes of all files together.
const LARGEST_BUNDLE: u64 = 64 << 20;
/// The most entries of all folders together.
const MOST_ENTRIES: usize = 100_000;
/// The most folders within each other.
const DEEPEST: usize = 16;

/// The files of a bundle.
pub(super) fn gather(directory: &Path, findings: &mut Findings) -> Files {
    let mut walk = Walk { files: Files::new(), findings, entries: 0, bytes: 0 };
    walk.folder(directory, "", 0);
    walk.files
}

struct Walk<'f> {
    files: Files,
    findings: &'f mut Findings,
    entries: usize,
    bytes: u64,
}

impl Walk<'_> {
    /// `path` is that in the bundle, with a `/` at its end unless it is empty.
    fn folder(&mut self, folder: &Path, path: &str, depth: usize) {
        if depth > DEEPEST {
            return self.refuse(path, format!("lies in more than {DEEPEST} folders"), "move it further up");
        }
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<DirEntry>>>);
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(path, &error),
        };
        for entry in entries {
            self.entries = self.entries.saturating_add(1);
            if self.entries > MOST_ENTRIES {
                if self.entries == MOST_ENTRIES.saturating_add(1) {
                    let message = format!("has more than {MOST_ENTRIES} files and folders");
                    self.refuse("", message, "name the directory of a bundle");
                }
                return;
            }
            self.entry(&entry, path, depth);
        }
    }

    fn entry(&mut self, entry: &DirEntry, folder: &str, depth: usize) {
        let name = entry.file_name();
        let shown = name.to_string_lossy();
        if is_hidden(&shown) {
            return;
        }
        let path = format!("{folder}{shown}");
        if name.to_str().is_none() {
            return self.refuse(&path, "has a name that is not UTF-8", "rename it");
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => self.folder(&entry.path(), &format!("{path}/"), depth.saturating_add(1)),
            Ok(kind) if kind.is_file() => self.file(&entry.path(), path),
            // One that leads to a folder leads to whatever is in that.
            Ok(kind) if kind.is_symlink() && is_besides(&entry.path(), &path) => {}
            Ok(kind) if kind.is_symlink() => {
                self.refuse(&path, "is a symbolic link, and links are not followed", "put the file itself here");
            }
            Ok(_) => self.refuse(&path, "is neither a file nor a folder", "remove it"),
            Err(error) => self.unreadable(&path, &error),
        }
    }

    fn file(&mut self, file: &Path, path: String) {
        match kind(&path) {
            Ok(None) => return,
            Ok(Some(_)) => {}
            Err(finding) => return self.findings.errors.push(*finding),
        }
        let bytes = match bounded(file) {
            Ok(bytes) => bytes,
            Err(error) => return self.unreadable(&path, &error),
        };
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > LARGEST_FILE {
            return self.refuse(&path, format!("is larger than {} MiB", LARGEST_FILE >> 20), "split it");
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > LARGEST_BUNDLE {
            return self.refuse(
                &path,
                format!("makes the bundle larger than {} MiB", LARGEST_BUNDLE >> 20),
                "split the bundle",
            );
        }
        match String::from_utf8(bytes) {
            Ok(text) => drop(self.files.insert(path, text)),
            Err(error) => {
                let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
                let line = good.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
                self.refuse(&path, format!("is not UTF-8 in line {line}"), "save it as UTF-8");
            }
        }
    }

    fn unreadable(&mut self, path: &str, error: &io::Error) {
        self.refuse(path, format!("cannot be read: {error}"), "name a directory that exists and that you may read");
    }

    fn refuse(&mut self, path: &str, message: impl Into<String>, hint: &str) {
        let path = if path.is_empty() { Finding::WHOLE } else { path.trim_end_matches('/') };
        self.findings.errors.push(Finding::about(path, message, hint));
    }
}

/// Whether a link leads to a file that would not be read, were it here.
fn is_besides(link: &Path, path: &str) -> bool {
    matches!(kind(path), Ok(None)) && fs::metadata(link).is_ok_and(|target| target.is_file())
}

/// At most a byte more than there may be.
fn bounded(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(LARGEST_FILE.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn gathered(prepare: impl FnOnce(&Path)) -> (Vec<String>, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        prepare(directory.path());
        let mut findings = Findings::default();
        let files = gather(directory.path(), &mut findings);
        let mut errors: Vec<_> = findings.errors.iter().map(ToString::to_string).collect();
        errors.sort();
        (files.into_keys().collect(), errors)
    }

    #[test]
    fn files_are_read_from_their_places_and_what_is_hidden_is_not() {
        let (files, errors) = gathered(|path| {
            for folder in ["policies/eu", ".git", "apps"] {
                fs::create_dir_all(path.join(folder)).unwrap();
            }
            for file in ["bundle.toml", "policies/eu/erp.cedar", ".git/x.toml", "apps/erp.toml", "README.md", "LICENSE"]
            {
                fs::write(path.join(file), "").unwrap();
            }
        });
        assert_eq!(files, ["apps/erp.toml", "bundle.toml", "policies/eu/erp.cedar"]);
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn what_cannot_be_read_as_it_stands_is_refused() {
        let (files, errors) = gathered(|path| {
            symlink("/etc/passwd", path.join("a.cedar")).unwrap();
            symlink(path, path.join("loop")).unwrap();
            symlink("/etc/passwd", path.join("README.md")).unwrap();
            fs::write(path.join("b.cedar"), b"// ok\n\xff").unwrap();
            fs::write(path.join("c.toml"), "").unwrap();
            fs::File::create(path.join("d.cedar")).unwrap().set_len(LARGEST_FILE + 1).unwrap();
            fs::create_dir(path.join("e.cedar")).unwrap();
        });
        assert!(files.is_empty(), "{files:?}");
        assert_eq!(
            errors,
            [
                "a.cedar: is a symbolic link, and links are not followed",
                "b.cedar: is not UTF-8 in line 2",
                "c.toml: is not a file of a bundle",
                "d.cedar: is larger than 16 MiB",
                "loop: is a symbolic link, and links are not followed",
            ]
        );
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let mut findings = Findings::default();
        gather(Path::new("/nonexistent/bundle"), &mut findings);
        assert!(findings.errors[0].to_string().starts_with(".: cannot be read: "), "{:?}", findings.errors);
    }

    #[test]
    fn folders_within_folders_have_an_end() {
        let (_, errors) = gathered(|path| {
            let deep = (0..=DEEPEST).fold(path.join("policies"), |path, _| path.join("x"));
            fs::create_dir_all(deep).unwrap();
        });
        assert!(errors[0].contains("lies in more than 16 folders"), "{errors:?}");
    }
}
