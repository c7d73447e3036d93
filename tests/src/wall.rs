//! A wall clock that says what one wants, for one process: libfaketime is loaded before it. Its other clocks are the real
//! ones.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::world::World;

/// As it is.
pub const HONEST: &str = "+0";
/// In the scratch directory of the world: what the clock says, as libfaketime writes it.
const FILE: &str = "wall";

/// The environment of a daemon, to be merged into its launch, with which the wall clock says what `jump` writes; until
/// then it is honest.
pub fn settings(world: &World) -> Result<BTreeMap<String, String>> {
    jump(world, HONEST)?;
    let settings = [
        ("LD_PRELOAD", library()?.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", format!("{{scratch}}/{FILE}")),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("NO_FAKE_STAT", "1".to_owned()),
    ];
    Ok(settings.map(|(name, value)| (name.to_owned(), value)).into())
}

/// The wall clock says something else from now on: `-60y` for sixty years less.
pub fn jump(world: &World, to: &str) -> Result<()> {
    // Renamed, because the daemon reads it all the time.
    let path = world.scratch().join(FILE);
    let next = path.with_extension("next");
    fs::write(&next, to)?;
    Ok(fs::rename(next, path)?)
}

fn library() -> Result<PathBuf> {
    let folders = fs::read_dir("/usr/lib")?.flatten().map(|entry| entry.path());
    let paths =
        folders.flat_map(|folder| ["faketime", "../faketime"].map(|name| folder.join(name).join("libfaketime.so.1")));
    paths.into_iter().find(|path| path.is_file()).context("no libfaketime: run `cargo xtask setup`")
}
