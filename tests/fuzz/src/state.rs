//! The state file as a whole, when bytes of it were changed or are missing: it is opened or refused, and what can be
//! read is what was written.

use crate::bytes::Bytes;
use gateway_userspace::policy::{Generation, GroupName, PolicyFile, User, UserName};
use gateway_userspace::store::{FileStore, Store as _, StoreError, StoredPolicy, Write};
use std::path::PathBuf;
use std::sync::LazyLock;

/// An honest file.
static HONEST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let mut store = FileStore::open(&path).unwrap();
    let user = |n: usize| User {
        display_name: "x".repeat(n),
        groups: [GroupName::new("staff").unwrap()].into(),
        ..User::new(UserName::new(&format!("user{n}")).unwrap())
    };
    store.commit(&(0..40).map(|n| Write::PutUser(user(n))).collect::<Vec<_>>()).unwrap();
    for generation in 1..=3 {
        let policy = StoredPolicy {
            generation: Generation(generation),
            files: vec![PolicyFile::alone("permit(principal,action,resource);")],
        };
        store.commit(&[Write::PutPolicy(policy), Write::SetGeneration(Generation(generation))]).unwrap();
    }
    drop(store);
    std::fs::read(path).unwrap()
});

/// Each change is a place (two bytes, in words of the page that the third byte names, from the beginning), what is
/// done there, and a byte.
pub fn run(input: &[u8]) {
    let mut file = HONEST.clone();
    let mut changes = Bytes(input);
    while !changes.is_empty() {
        let page = usize::from(changes.byte()) * 4_096;
        let place = page + usize::from(u16::from_be_bytes(changes.array()) & 0xfff);
        match (changes.byte() % 8, changes.byte()) {
            (0, _) => file.truncate(place),
            (1, length) => file.iter_mut().skip(place).take(length.into()).for_each(|byte| *byte = 0),
            (2, bit) => file.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1 << (bit % 8)),
            (_, value) => file.iter_mut().skip(place).take(1).for_each(|byte| *byte = value),
        }
    }
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let path = folder.path().join("state");
    std::fs::write(&path, &file).unwrap();
    match FileStore::open(&path).and_then(|store| store.load()) {
        Ok(stored) => assert!(stored.users.len() <= 40 && stored.generation.0 <= 3, "{stored:?}"),
        Err(StoreError::Damaged { problem, .. }) => assert!(!problem.is_empty()),
        Err(error) => assert!(error.to_string().contains("state"), "{error}"),
    }
}

/// A file system without a disk, where there is one.
fn memory() -> PathBuf {
    let shm = PathBuf::from("/dev/shm");
    if shm.is_dir() { shm } else { std::env::temp_dir() }
}

pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        vec![],
        vec![0, 0, 0, 0, 0],
        vec![0, 0, 9, 3, 1],
        vec![0, 0, 64, 2, 0, 0, 0, 128, 2, 0],
        vec![1, 0, 0, 1, 255],
        vec![2, 0, 16, 3, 7],
        vec![3, 1, 0, 2, 3],
        vec![8, 0, 0, 0, 0],
    ]
}
