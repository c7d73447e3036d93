//! Array maps in the daemon's memory: what programs read is written by a store, not by a system call.
//!
//! The only unsafe code of the data plane lives here.

use gateway_common::table::Lines;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::AsFd;
use std::ptr::NonNull;

/// What an array map may hold to be mapped: a value made of [`gateway_common::Word`]s and of nothing else.
///
/// # Safety
/// Any bit pattern is a valid value, every access is a whole word's, and the size is a multiple of 8, so that it is the
/// array's stride, too.
pub unsafe trait MadeOfWords: Sync {}

macro_rules! made_of_words {
    ($($type:ty),+) => {
        $(
            const _: () = assert!(size_of::<$type>().is_multiple_of(8));
            // SAFETY: `repr(C)`, of words and arrays of words; the size was just looked at.
            unsafe impl MadeOfWords for $type {}
        )+
    };
}
made_of_words!(
    gateway_common::abi::Session,
    gateway_common::abi::Flow,
    gateway_common::abi::Denial,
    gateway_common::abi::CaptureOrder,
    gateway_common::abi::GrantSlot,
    gateway_common::abi::InterfaceRow,
    gateway_common::abi::Epoch,
    gateway_common::Word,
    gateway_common::table::index::Bucket
);

/// An array map, mapped.
#[derive(Debug)]
pub struct Mapped<T: MadeOfWords> {
    base: NonNull<T>,
    count: u32,
    of: PhantomData<T>,
}

// SAFETY: the mapping belongs to this value alone, and it is made of words that may be written from anywhere.
unsafe impl<T: MadeOfWords> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T: MadeOfWords> Sync for Mapped<T> {}

impl<T: MadeOfWords> Mapped<T> {
    /// Maps the array map behind `fd`, of `count` values.
    ///
    /// # Errors
    /// If the kernel refuses to map it: it may be another map than was said.
    pub fn open(fd: impl AsFd, count: u32) -> nix::Result<Self> {
        let length = NonZeroUsize::new(count as usize * size_of::<T>()).ok_or(nix::errno::Errno::EINVAL)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice; nothing else is there. The kernel refuses one that
        // is longer than the map.
        let base = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, fd, 0) }?.cast::<T>();
        Ok(Self { base, count, of: PhantomData })
    }

    /// One of the values; `None` beyond the last.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&T> {
        if number >= self.count {
            return None;
        }
        // SAFETY: within the mapping (checked above), which lives as long as `self`; aligned, because a mapping begins at a
        // page and the size is a multiple of the alignment; any bit pattern is a value, and each access is a word's.
        Some(unsafe { self.base.add(number as usize).as_ref() })
    }

    /// The numbers of at most so many from this one on, and the number to go on with, if there are more.
    #[must_use]
    pub fn part(&self, from: u32, most: usize) -> (Range<u32>, Option<u32>) {
        let end = from.saturating_add(u32::try_from(most).unwrap_or(u32::MAX)).min(self.count);
        (from..end, Some(end).filter(|end| *end < self.count))
    }

    /// All of them, with their numbers.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u32, &T)> {
        (0..self.count).filter_map(|number| Some((number, self.get(number)?)))
    }
}

impl<T: MadeOfWords> Lines<T> for Mapped<T> {
    fn count(&self) -> u32 {
        self.count
    }

    fn line(&self, number: u32) -> Option<&T> {
        self.get(number)
    }
}

impl<T: MadeOfWords> Drop for Mapped<T> {
    fn drop(&mut self) {
        let bytes = self.count as usize * size_of::<T>();
        // SAFETY: the mapping made in `open`, unmapped once; no reference into it outlives `self`.
        if let Err(error) = unsafe { munmap(self.base.cast(), bytes) } {
            tracing::warn!(%error, "a table could not be unmapped");
        }
    }
}
