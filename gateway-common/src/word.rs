//! A 64-bit word in memory that kernel and daemon share and that several CPUs write.
//!
//! On the host it is an `AtomicU64`. The BPF target's `core` and code generator know no relaxed atomic load or store,
//! but an aligned 64-bit access is one instruction there and never torn, so it is a volatile one; the addition becomes
//! `lock *(u64 *) += n`. Order between words is not promised: whoever reuses a slot waits instead.

#[cfg(target_arch = "bpf")]
use core::cell::UnsafeCell;
#[cfg(not(any(target_arch = "bpf", feature = "loom")))]
use core::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(all(feature = "loom", not(target_arch = "bpf")))]
use loom::sync::atomic::{AtomicU64, Ordering, fence};

/// A word that may change at any moment and is never torn. Additions are never lost.
#[cfg(not(target_arch = "bpf"))]
#[derive(Default, Debug)]
#[repr(transparent)]
pub struct Word(AtomicU64);

/// A word that may change at any moment and is never torn. Additions are never lost.
#[cfg(target_arch = "bpf")]
#[derive(Default, Debug)]
#[repr(transparent)]
pub struct Word(UnsafeCell<u64>);

#[cfg(not(target_arch = "bpf"))]
impl Word {
    /// The value now. What was written before it by [`Self::store`] on another CPU is visible too.
    #[inline(always)]
    #[must_use]
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Replaces the value, after everything that was written before.
    #[inline(always)]
    pub fn store(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    /// Adds `n`.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::AcqRel);
    }

    /// Takes the value, and leaves 0.
    #[must_use]
    pub fn take(&self) -> u64 {
        self.0.swap(0, Ordering::AcqRel)
    }

    /// Replaces `old` by `new`; false if it was not `old`. Whatever this CPU did before it every other CPU sees before
    /// what it does after it, and the other way round: the kernel calls that fully ordered.
    #[inline(always)]
    #[must_use]
    pub fn swap_if(&self, old: u64, new: u64) -> bool {
        fence(Ordering::SeqCst);
        let is_swapped = self.0.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire).is_ok();
        fence(Ordering::SeqCst);
        is_swapped
    }
}

// SAFETY: every access is a whole, aligned word (volatile, or the atomic addition), so sharing cannot tear it.
#[cfg(target_arch = "bpf")]
unsafe impl Sync for Word {}

#[cfg(target_arch = "bpf")]
impl Word {
    /// The value now.
    #[inline(always)]
    #[must_use]
    pub fn load(&self) -> u64 {
        // SAFETY: the reference keeps the memory mapped and it is aligned to 8 bytes; every other access is a whole
        // word too, so the volatile read sees one value that was really there.
        unsafe { self.0.get().read_volatile() }
    }

    /// Replaces the value.
    #[inline(always)]
    pub fn store(&self, value: u64) {
        // SAFETY: as for `load`; `UnsafeCell` permits the write through a shared reference.
        unsafe { self.0.get().write_volatile(value) }
    }

    /// Adds `n`.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        use core::intrinsics::{AtomicOrdering, atomic_xadd};
        // SAFETY: as for `store`; the addition is one atomic instruction.
        unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(self.0.get(), n) };
    }

    /// Replaces `old` by `new`; false if it was not `old`. Fully ordered, as an exchange that returns a value is in the
    /// kernel (`Documentation/atomic_t.txt`).
    #[inline(always)]
    #[must_use]
    pub fn swap_if(&self, old: u64, new: u64) -> bool {
        let found: u64;
        // The compiler's own needs 32-bit registers, with which the programs need more stack than there is.
        // SAFETY: as for `store`; the exchange is one atomic instruction, which reads and writes this word alone.
        unsafe {
            core::arch::asm!(
                "r0 = cmpxchg_64({place} + 0, r0, {new})",
                place = in(reg) self.0.get(),
                new = in(reg) new,
                inout("r0") old => found,
            );
        }
        found == old
    }
}

impl From<u64> for Word {
    #[inline(always)]
    fn from(value: u64) -> Self {
        #[cfg(not(target_arch = "bpf"))]
        return Self(AtomicU64::new(value));
        #[cfg(target_arch = "bpf")]
        return Self(UnsafeCell::new(value));
    }
}
