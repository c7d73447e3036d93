//! Reading and changing bytes of a frame, checked.

use crate::packet::Tag;

/// A frame (or, on an interface without a link layer, a packet) whose bytes can be read with bounds checks.
pub trait Frame {
    /// Length in bytes, from the first byte of the outermost header.
    fn length(&self) -> usize;

    /// The `N` bytes at `offset`, or `None` if the frame does not hold all of them.
    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// The two bytes at `offset` in memory order, or `None` if the frame does not hold them.
    #[inline(always)]
    fn half(&self, offset: usize) -> Option<u16> {
        self.bytes(offset).map(u16::from_ne_bytes)
    }

    /// The four bytes at `offset` in memory order, or `None` if the frame does not hold all of them.
    #[inline(always)]
    fn word(&self, offset: usize) -> Option<u32> {
        self.bytes(offset).map(u32::from_ne_bytes)
    }

    /// The eight bytes at `offset` in memory order, or `None` if the frame does not hold all of them.
    #[inline(always)]
    fn double(&self, offset: usize) -> Option<u64> {
        self.bytes(offset).map(u64::from_ne_bytes)
    }

    /// The outermost tag, if it was taken out of the frame into the metadata.
    fn removed_tag(&self) -> Option<Tag>;

    /// The mark that a sender on this host has put on the packet; 0 if none did.
    fn mark(&self) -> u32;
}

/// A frame whose bytes can be changed, with bounds checks.
pub trait FrameMut: Frame {
    /// Writes the two bytes at `offset`, in memory order; `None` if the frame does not hold them.
    fn put_half(&mut self, offset: usize, value: u16) -> Option<()>;

    /// Writes the four bytes at `offset`, in memory order; `None` if the frame does not hold all of them.
    fn put_word(&mut self, offset: usize, value: u32) -> Option<()>;
}

impl FrameMut for [u8] {
    fn put_half(&mut self, offset: usize, value: u16) -> Option<()> {
        *self.get_mut(offset..)?.first_chunk_mut()? = value.to_ne_bytes();
        Some(())
    }

    fn put_word(&mut self, offset: usize, value: u32) -> Option<()> {
        *self.get_mut(offset..)?.first_chunk_mut()? = value.to_ne_bytes();
        Some(())
    }
}

impl Frame for [u8] {
    #[inline(always)]
    fn length(&self) -> usize {
        self.len()
    }

    #[inline(always)]
    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }

    #[inline(always)]
    fn removed_tag(&self) -> Option<Tag> {
        None
    }

    #[inline(always)]
    fn mark(&self) -> u32 {
        0
    }
}
