//! `portcullis policy check`: what it does, in this process, and the program by itself.

use super::large;
use crate::measure::row::Row;
use anyhow::{Result, ensure};
use gateway_tests::gate::binary;
use gateway_tests::process::memory;
use gateway_userspace::bundle;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

pub fn measure(size: usize, rounds: usize) -> Result<Vec<Row>> {
    let folder = Folder::new(size)?;
    let (mut read, mut tried, mut program, mut peak) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let began = Instant::now();
        let loaded = bundle::read(&folder.0)?;
        read.push(millis(began.elapsed()));
        ensure!(loaded.bundle.policy.len() == size && loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let began = Instant::now();
        let trials = loaded.trials();
        tried.push(millis(began.elapsed()));
        ensure!(trials.len() == size / 100 && trials.iter().all(bundle::Trial::passed), "a case failed");
        drop(trials);
        drop(loaded);
        let (took, kilobytes) = checked(&folder.0)?;
        program.push(took);
        peak.push(kilobytes);
    }
    let row = |case, metric, unit, values| Row::new(case, metric, unit, values).size(size);
    Ok(vec![
        row("bundle", "read from the disk and checked", "ms", read),
        row("bundle", "cases tried", "ms", tried),
        row("portcullis policy check", "from start to end", "ms", program),
        row("portcullis policy check", "resident at most", "kB", peak),
    ])
}

/// How long the program takes, and the most memory that it had.
fn checked(folder: &Path) -> Result<(f64, f64)> {
    let program = binary("portcullis")?;
    let began = Instant::now();
    let mut child = Command::new(program).args(["policy", "check"]).arg(folder).stdout(Stdio::null()).spawn()?;
    let mut peak = 0;
    loop {
        // What has ended has no memory any more.
        peak = memory(child.id(), "VmHWM").unwrap_or_default().max(peak);
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "the bundle is not valid");
            return Ok((millis(began.elapsed()), peak as f64));
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// A bundle on the disk, which is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(size: usize) -> Result<Self> {
        let folder = Self(env::temp_dir().join(format!("portcullis-bundle-{size}-{}", std::process::id())));
        for (path, text) in large::bundle(size) {
            let path = folder.0.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&folder.0))?;
            fs::write(path, text)?;
        }
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
