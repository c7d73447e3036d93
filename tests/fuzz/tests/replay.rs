//! Everything that was ever worth keeping, once more: the committed corpora and the seeds, through the same functions.

use gateway_fuzz::TARGETS;
use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// The folder of the corpora.
fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn replay(name: &str) {
    let target = gateway_fuzz::target(name).unwrap();
    for (number, seed) in (target.seeds)().iter().enumerate() {
        assert!(catch_unwind(|| (target.run)(seed)).is_ok(), "seed {number} of {name}");
    }
    let inputs = entries(&corpus().join(name));
    assert!(!inputs.is_empty(), "no corpus of {name}; make one by `cargo xtask cover {name} --merge`");
    for path in inputs {
        let input = fs::read(&path).unwrap();
        assert!(catch_unwind(|| (target.run)(&input)).is_ok(), "{}", path.display());
    }
}

macro_rules! replays {
    ($($name:ident)+) => {
        $(#[test] fn $name() { replay(stringify!($name)); })+

        #[test]
        fn every_target_is_replayed_and_has_a_corpus() {
            let known: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
            assert_eq!(known, BTreeSet::from([$(stringify!($name).to_owned()),+]));
            let folders = entries(&corpus());
            let folders = folders.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
            assert_eq!(folders.collect::<BTreeSet<_>>(), known);
        }
    };
}

replays! { api apps bundle config event law policy state store text wire }

#[test]
fn the_corpora_are_small() {
    let sizes = TARGETS.iter().flat_map(|target| entries(&corpus().join(target.name)));
    let bytes: u64 = sizes.map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(bytes < 1 << 20, "{bytes} bytes; make them smaller by `cargo xtask cover --merge`");
}
