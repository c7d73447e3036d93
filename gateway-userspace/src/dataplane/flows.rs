//! The flows that programs open, in mapped memory: read as a whole, found by key, removed.

use super::mapped::Mapped;
use gateway_common::abi::{Flow, FlowCopy, FlowKey};
use gateway_common::table::Secrets;
use gateway_common::table::flows::{self, REACH};
use std::sync::Arc;

/// The table of flows. Clones share one mapping.
#[derive(Clone, Debug)]
pub struct FlowTable {
    slots: Arc<Mapped<Flow>>,
    secrets: Secrets,
}

impl FlowTable {
    /// The table in these slots.
    #[must_use]
    pub fn new(slots: Mapped<Flow>, secrets: Secrets) -> Self {
        Self { slots: Arc::new(slots), secrets }
    }

    /// Every flow. One that is opened or removed meanwhile may be missed.
    pub fn iter(&self) -> impl Iterator<Item = (FlowKey, FlowCopy)> + '_ {
        self.slots.iter().filter_map(|(_, slot)| flows::read(slot))
    }

    /// One flow.
    #[must_use]
    pub fn get(&self, key: &FlowKey) -> Option<FlowCopy> {
        let slot = flows::find::<REACH, _>(&*self.slots, key.hash(&self.secrets), key.words())?;
        flows::read(slot).filter(|(found, _)| found == key).map(|(_, copy)| copy)
    }

    /// Removes a flow, if it is there and the one that was begun then by this session. What it said at last.
    pub fn take(&self, key: &FlowKey, token: u64, opened_at: u64) -> Option<FlowCopy> {
        let is_it = |copy: &FlowCopy| copy.token == token && copy.opened_at == opened_at;
        flows::take::<REACH, _>(&*self.slots, key.hash(&self.secrets), key.words(), is_it)
    }

    /// Removes a flow, if it is there.
    pub fn remove(&self, key: &FlowKey) {
        flows::remove::<REACH, _>(&*self.slots, key.hash(&self.secrets), key.words());
    }

    /// Removes all that are there now.
    pub fn remove_all(&self) {
        self.iter().for_each(|(key, _)| self.remove(&key));
    }

    /// Writes a flow, in place of an older one with its key. Its next packet is judged anew. False if there is no room.
    pub fn put(&self, key: &FlowKey, copy: &FlowCopy) -> bool {
        flows::open::<REACH, _>(
            &*self.slots,
            key.hash(&self.secrets),
            key,
            |slot| {
                slot.write(copy);
                slot.stamp.store(0);
            },
            |_| {},
        )
    }
}
