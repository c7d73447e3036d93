//! Looking tables up: what the law needs, and no more.

use crate::abi::{
    AppEntry, AppKey, Budget, BudgetKey, Flow, FlowKey, FragmentKey, Fragments, Grant, GrantKey, Interface, ServiceKey,
    Session, SessionKey, Settings, SourceKey, VlanKey,
};
use crate::table::flows::is_live;
use crate::{Address, KernelNanos, Word};
use core::ops::Deref;

/// The tables as the law sees them: BPF maps in the kernel, ordinary maps in the in-memory data plane.
pub trait Tables {
    /// A borrowed entry of a table that packets write; its fields are atomic because every CPU writes them.
    type Ref<'a, V: 'a>: Deref<Target = V>
    where
        Self: 'a;

    /// What holds for all interfaces.
    fn settings(&self) -> Settings;

    /// The number of the epoch: see [`crate::abi::Epoch`].
    fn epoch(&self) -> u64;

    /// Until when ways that flows remember may be used.
    fn watched_until(&self) -> KernelNanos {
        KernelNanos(0)
    }

    /// Until when the daemon's word counts.
    fn lease_until(&self) -> KernelNanos;

    /// The time, where `now` may be a tick old and that is not good enough.
    fn exactly(&self, now: KernelNanos) -> KernelNanos {
        now
    }

    /// Begins another epoch, because a packet took access away.
    fn begin_epoch(&self);

    /// The guarded interface with this index.
    fn interface(&self, index: u32) -> Option<Interface>;

    /// The VLAN, if its interface carries it.
    fn vlan(&self, key: &VlanKey) -> Option<&Interface>;

    /// The slot that the index names for this source. Its own key may differ: then the index entry was stale.
    fn session(&self, key: &SessionKey) -> Option<&Session>;

    /// Whether nobody at all is at this source, as far as can be told without looking far.
    fn is_nobody(&self, _: &SessionKey) -> bool {
        false
    }

    /// The flow with this key.
    fn flow(&self, key: &FlowKey) -> Option<Self::Ref<'_, Flow>>;

    /// The same, with the state that its slot had before the key was compared: as long as the slot has that, it is this
    /// flow's.
    fn flow_and_state(&self, key: &FlowKey) -> Option<(Self::Ref<'_, Flow>, u64)> {
        let flow = self.flow(key)?;
        let state = flow.state.load();
        if is_live(state) && flow.has_key(key.words()) { Some((flow, state)) } else { None }
    }

    /// The flow with this key in whatever zone and the state of its slot, if it does not take long to find it.
    fn flow_in_any_zone(&self, _: &FlowKey) -> Option<(Self::Ref<'_, Flow>, u64)> {
        None
    }

    /// Stores the flow that `begin` writes, in place of an older one with this key. False if the table refused it.
    fn open_flow(&self, key: &FlowKey, begin: impl Fn(&Flow)) -> bool;

    /// What is remembered of a fragmented packet.
    fn fragments(&self, key: &FragmentKey) -> Option<Self::Ref<'_, Fragments>>;

    /// Remembers a fragmented packet, in place of an older one with this key. Nothing depends on whether it could.
    fn remember_fragments(&self, key: &FragmentKey, deadline: u64, first: u64);

    /// Until when a source has paid for its packets to the gateway; a new source has paid nothing. `None` if the table
    /// refused it.
    fn source(&self, key: &SourceKey) -> Option<Self::Ref<'_, Word>>;

    /// What a session has used of an app's budget; a new entry has used nothing. `None` if the table refused it.
    fn budget(&self, key: &BudgetKey) -> Option<Self::Ref<'_, Budget>>;

    /// The block of the most specific prefix of the app set that holds the address.
    fn block(&self, app_set: u32, address: &Address) -> Option<u32>;

    /// The app at this port of the block.
    fn app(&self, key: &AppKey) -> Option<AppEntry>;

    /// The grant of this app in the allow-list.
    fn grant(&self, key: &GrantKey) -> Option<Grant>;

    /// Who may reach this service of the gateway, as the flags of [`ServiceKey`].
    fn service(&self, key: &ServiceKey) -> Option<u32>;

    /// Whether the source is in a management prefix.
    fn is_management(&self, source: &Address) -> bool;
}
