//! An index in mapped memory, from keys to slots: see [`gateway_common::table::index`].

use super::mapped::Mapped;
use gateway_common::table::Hash;
use gateway_common::table::index::{self, Bucket, Full};
use std::hint::black_box;

/// The index of a table.
#[derive(Debug)]
pub struct Index(pub Mapped<Bucket>);

impl Index {
    /// The slot of the key with this hash, for which `is_its` says that it is the key's.
    pub fn find(&self, hash: Hash, is_its: impl Fn(u32) -> bool) -> Option<u32> {
        index::find(&self.0, hash, is_its)
    }

    /// Looks at where a key is, or would be, and at nothing else, so that the lines of several keys come at once.
    pub fn anticipate(&self, hash: Hash) {
        black_box(index::touch(&self.0, hash));
    }

    /// Points a key at its slot, in place of the slot that it had.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn point(&self, hash: Hash, before: Option<u32>, slot: u32) -> Result<(), Full> {
        match before {
            Some(before) if index::repoint(&self.0, hash, before, slot) => Ok(()),
            _ => index::insert(&self.0, hash, slot),
        }
    }

    /// Removes a key, unless it points at another slot by now; whether it was removed.
    pub fn forget(&self, hash: Hash, slot: u32) -> bool {
        index::remove(&self.0, hash, slot)
    }

    /// How many entries there are.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.0.iter().map(|(_, bucket)| bucket.used()).sum()
    }
}
