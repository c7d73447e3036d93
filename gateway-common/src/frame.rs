//! Reading bytes of a frame, checked.

/// A frame (or, on an interface without a link layer, a packet) whose bytes can be read with bounds checks.
pub trait Frame {
    /// Length in bytes, from the first byte of the outermost header.
    fn length(&self) -> usize;

    /// The `N` bytes at `offset`, or `None` if the frame does not hold all of them.
    fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
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
}
