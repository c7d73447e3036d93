//! The denials that programs have added up, in mapped memory: taken out kind by kind.

use super::mapped::Mapped;
use gateway_common::abi::Denial;
use gateway_common::table::denials::{self, Taken};

/// The table of denials.
pub struct DenialTable {
    slots: Mapped<Denial>,
}

/// Slots that were being written when the table was looked at last, with the states that said so.
#[derive(Debug, Default)]
pub struct Written(Vec<(u32, u64)>);

impl DenialTable {
    /// The table in these slots.
    #[must_use]
    pub const fn new(slots: Mapped<Denial>) -> Self {
        Self { slots }
    }

    /// Takes all that is there. A slot that is still being written as it was the last time belongs to nobody any more: a
    /// program writes for less than a microsecond, a daemon that was killed never finishes. It is freed.
    pub fn take(&self, written: &mut Written) -> Vec<Taken> {
        let mut now = Vec::new();
        let taken = self.slots.iter().filter_map(|(number, slot)| {
            if let Some(state) = denials::busy(slot) {
                now.push((number, state));
            }
            denials::take(slot)
        });
        let taken = taken.collect();
        let is_stuck = |it: &&(u32, u64)| written.0.contains(it);
        for (number, state) in now.iter().filter(is_stuck) {
            if let Some(slot) = self.slots.get(*number) {
                denials::free_stuck(slot, *state);
            }
        }
        written.0 = now;
        taken
    }
}
