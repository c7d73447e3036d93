//! The law's view of the maps.

use crate::maps::{
    APP_PREFIXES, APPS, BUDGETS, FLOWS, FRAGMENTS, GRANTS, INTERFACES, MANAGEMENT, NEW_FLOW, SERVICES, SESSION_INDEX,
    SESSIONS, SETTINGS, SOURCES, VLANS,
};
use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::maps::lpm_trie::Key;
use gateway_common::abi::{
    AppEntry, AppKey, AppPrefix, Budget, BudgetKey, Flow, FlowKey, FragmentKey, Fragments, Grant, GrantKey, Interface,
    ServiceKey, Session, SessionKey, Settings, SourceKey, VlanKey,
};
use gateway_common::{Address, Direction, Tables, Word};

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
    fn interface(&self, index: u32) -> Option<&Interface> {
        // SAFETY: plain integers; an entry is written once per attach and removed only after the program is detached.
        unsafe { INTERFACES.get(index) }
    }

    #[inline(always)]
    fn vlan(&self, key: &VlanKey) -> Option<&Interface> {
        // SAFETY: as for `interface`.
        unsafe { VLANS.get(key) }
    }

    #[inline(always)]
    fn session(&self, key: &SessionKey) -> Option<&Session> {
        // SAFETY: a u32 read whole. If the element changed hands the slot belongs to another key, which the law checks.
        let slot = unsafe { SESSION_INDEX.get(key) }?;
        SESSIONS.get(*slot)
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey) -> Option<&Flow> {
        // SAFETY: fields that change are atomic; `token` and `opened_at` are written before the element is linked. An
        // element that changed hands names another token or policy, so it speaks for no packet of this session, or it
        // is another flow of the same session, judged under the same policy: then one packet is counted there.
        unsafe { FLOWS.get(key) }
    }

    #[inline(always)]
    fn open_flow(&self, key: &FlowKey, direction: Direction, begin: impl FnOnce(&mut Flow)) -> bool {
        let Some(scratch) = NEW_FLOW.get_ptr_mut(direction as u32) else { return false };
        // SAFETY: this CPU's own element, used by one program alone, which is not interrupted by another run of itself
        // on its CPU.
        let flow = unsafe { &mut *scratch };
        begin(flow);
        FLOWS.insert(key, &*flow, 0).is_ok()
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

    #[inline(always)]
    fn grant(&self, key: &GrantKey) -> Option<&Grant> {
        // SAFETY: plain integers. Grants of a list are removed only when no session has named the list for a while.
        unsafe { GRANTS.get(key) }
    }

    #[inline(always)]
    fn service(&self, key: &ServiceKey) -> Option<u32> {
        // SAFETY: a u32 read whole.
        unsafe { SERVICES.get(key) }.copied()
    }

    #[inline(always)]
    fn is_management(&self, source: &Address) -> bool {
        MANAGEMENT.get(Key::new(128, source.0)).is_some()
    }
}
