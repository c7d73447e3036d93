//! The law's view of the maps.

use crate::clock;
use crate::maps::{
    APP_PREFIXES, APPS, BUDGETS, EPOCH, FLOWS, FRAGMENTS, GRANT_INDEX, GRANTS, INTERFACES, MANAGEMENT, OWN_FILTER,
    SERVICES, SESSION_FILTER, SESSION_INDEX, SESSIONS, SETTINGS, SOURCES, VLANS, layout,
};
use crate::report;
use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::maps::Array;
use aya_ebpf::maps::lpm_trie::Key;
use gateway_common::abi::{
    AppEntry, AppKey, AppPrefix, Budget, BudgetKey, Epoch, Flow, FlowKey, FragmentKey, Fragments, Grant, GrantKey,
    GrantSlot, Interface, InterfaceRow, ServiceKey, Session, SessionKey, Settings, SourceKey, VlanKey,
};
use gateway_common::table::flows::REACH;
use gateway_common::table::{Hash, Lines, filter, flows, index};
use gateway_common::{Address, KernelNanos, Tables, Word};

/// A flow that is not at home.
#[inline(never)]
fn flow_nearby(key: &FlowKey, hash: Hash) -> Option<&'static Flow> {
    flows::find::<REACH, _>(&FlowSlots, hash, key.words())
}

/// The guarded interface with this index.
#[inline(always)]
pub fn interface(index: u32) -> Option<Interface> {
    for step in 0..InterfaceRow::REACH {
        if let Some(found) = INTERFACES.get(InterfaceRow::place(index, step))?.guarded(index) {
            return Some(found);
        }
    }
    None
}

/// An array map as a table of so many lines.
pub struct Table<T: 'static>(pub &'static Array<T>, pub u32);

impl<T> Lines<T> for Table<T> {
    #[inline(always)]
    fn count(&self) -> u32 {
        self.1
    }

    #[inline(always)]
    fn line(&self, number: u32) -> Option<&T> {
        self.0.get(number)
    }
}

#[inline(always)]
fn session_filter() -> Table<Word> {
    Table(&SESSION_FILTER, layout().filter_words)
}

/// The flows. Not a [`Table`], because what is found must not end with it.
pub struct FlowSlots;

impl Lines<Flow> for FlowSlots {
    #[inline(always)]
    fn count(&self) -> u32 {
        layout().flow_slots
    }

    #[inline(always)]
    fn line(&self, number: u32) -> Option<&Flow> {
        FLOWS.get(number)
    }
}

/// The BPF maps.
///
/// Elements found stay mapped until the program ends (RCU). A preallocated hash may give an element to another key
/// meanwhile; what that could do is said where each value is used.
pub struct KernelTables;

impl Tables for KernelTables {
    type Ref<'a, V: 'a> = &'a V;

    #[inline(always)]
    fn settings(&self) -> Settings {
        // An array of one entry always has it.
        SETTINGS.get(0).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn epoch(&self) -> u64 {
        // An array of one entry always has it; 0 is no epoch, so nothing would be remembered.
        EPOCH.get(0).map_or(0, |epoch| epoch.number.load())
    }

    #[inline(always)]
    fn watched_until(&self) -> KernelNanos {
        KernelNanos(EPOCH.get(0).map_or(0, |epoch| epoch.watched_until.load()))
    }

    #[inline(always)]
    fn lease_until(&self) -> KernelNanos {
        KernelNanos(EPOCH.get(0).map_or(0, |epoch| epoch.lease_until.load()))
    }

    #[inline(always)]
    fn exactly(&self, _: KernelNanos) -> KernelNanos {
        clock()
    }

    #[inline(always)]
    fn begin_epoch(&self) {
        if let Some(epoch) = EPOCH.get(0) {
            epoch.number.add(Epoch::ACCESS);
        }
    }

    #[inline(always)]
    fn interface(&self, index: u32) -> Option<Interface> {
        interface(index)
    }

    #[inline(always)]
    fn vlan(&self, key: &VlanKey) -> Option<&Interface> {
        // SAFETY: as for `interface`.
        unsafe { VLANS.get(key) }
    }

    #[inline(never)]
    fn session(&self, key: &SessionKey) -> Option<&Session> {
        let is_its = |slot| SESSIONS.get(slot).is_some_and(|session| session.belongs_to(key));
        let hash = key.hash(&layout().secrets);
        if !filter::may_hold(&session_filter(), hash) {
            return None;
        }
        let slot = index::find(&Table(&SESSION_INDEX, layout().session_buckets), hash, is_its)?;
        SESSIONS.get(slot)
    }

    #[inline(always)]
    fn is_nobody(&self, key: &SessionKey) -> bool {
        !filter::may_hold(&session_filter(), key.hash(&layout().secrets))
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey) -> Option<&Flow> {
        let hash = key.hash(&layout().secrets);
        match flows::at_home::<REACH, _>(&FlowSlots, hash, |flow| flow.has_key(key.words())) {
            Some((flow, _)) => Some(flow),
            None => flow_nearby(key, hash),
        }
    }

    #[inline(always)]
    fn flow_and_state(&self, key: &FlowKey) -> Option<(&Flow, u64)> {
        let hash = key.hash(&layout().secrets);
        let is_it = |flow: &Flow| flow.has_key(key.words());
        if let Some(found) = flows::at_home::<REACH, _>(&FlowSlots, hash, is_it) {
            return Some(found);
        }
        let flow = flow_nearby(key, hash)?;
        let state = flow.state.load();
        if flows::is_live(state) && is_it(flow) { Some((flow, state)) } else { None }
    }

    #[inline(always)]
    fn flow_in_any_zone(&self, key: &FlowKey) -> Option<(&Flow, u64)> {
        flows::at_home::<REACH, _>(&FlowSlots, key.hash(&layout().secrets), |flow| flow.is_between(key.words()))
    }

    #[inline(always)]
    fn open_flow(&self, key: &FlowKey, begin: impl Fn(&Flow)) -> bool {
        let gives_way = |flow: &Flow| report::gives_way(flow, flow.has_key(key.words()));
        flows::open::<REACH, _>(&FlowSlots, key.hash(&layout().secrets), key, begin, gives_way)
    }

    #[inline(always)]
    fn fragments(&self, key: &FragmentKey) -> Option<&Fragments> {
        // SAFETY: every field is a word. An element that changed hands describes another packet, whose ports may be
        // granted while this one's are not: the same sender and destination cannot be meant then, so what it lets
        // through is a fragment that no first one belongs to, which its receiver throws away.
        unsafe { FRAGMENTS.get(key) }
    }

    #[inline(never)]
    fn remember_fragments(&self, key: &FragmentKey, deadline: u64, first: u64) {
        let memory = Fragments { deadline: deadline.into(), first: first.into(), ..Fragments::default() };
        // Without memory the later fragments are dropped, which is what a full table means.
        let _ = FRAGMENTS.insert(key, &memory, 0);
    }

    #[inline(never)]
    fn source(&self, key: &SourceKey) -> Option<&Word> {
        // SAFETY: one word. An element that changed hands charges another source for one packet.
        if let Some(paid) = unsafe { SOURCES.get(key) } {
            return Some(paid);
        }
        // Another CPU may have been faster: then its entry is found.
        let _ = SOURCES.insert(key, Word::default(), BPF_NOEXIST.into());
        // SAFETY: as above.
        unsafe { SOURCES.get(key) }
    }

    #[inline(never)]
    fn budget(&self, key: &BudgetKey) -> Option<&Budget> {
        // SAFETY: words. An entry is removed only when its session has ended.
        if let Some(budget) = unsafe { BUDGETS.get(key) } {
            return Some(budget);
        }
        // Another CPU may have been faster: then its entry is found.
        let _ = BUDGETS.insert(key, Budget::default(), BPF_NOEXIST.into());
        // SAFETY: as above.
        unsafe { BUDGETS.get(key) }
    }

    #[inline(always)]
    fn block(&self, app_set: u32, address: &Address) -> Option<u32> {
        let data = AppPrefix { app_set: app_set.to_be_bytes(), address: address.0 };
        APP_PREFIXES.get(Key::new(160, data)).copied()
    }

    #[inline(always)]
    fn app(&self, key: &AppKey) -> Option<AppEntry> {
        // SAFETY: a u32 read whole. Numbers of blocks and apps are not reused while a program could hold them.
        unsafe { APPS.get(key) }.copied()
    }

    #[inline(never)]
    fn grant(&self, key: &GrantKey) -> Option<Grant> {
        let is_its = |slot| GRANTS.get(slot).is_some_and(|grant| grant.key.load() == key.word());
        let slot = index::find(&Table(&GRANT_INDEX, layout().grant_buckets), key.hash(&layout().secrets), is_its)?;
        GRANTS.get(slot).map(GrantSlot::read)
    }

    #[inline(always)]
    fn service(&self, key: &ServiceKey) -> Option<u32> {
        if !filter::may_hold(&Table(&OWN_FILTER, ServiceKey::FILTER_WORDS), key.address_hash(&layout().secrets)) {
            return None;
        }
        // SAFETY: a u32 read whole.
        unsafe { SERVICES.get(key) }.copied()
    }

    #[inline(always)]
    fn is_management(&self, source: &Address) -> bool {
        MANAGEMENT.get(Key::new(128, source.0)).is_some()
    }
}
