//! The dry run: the same law over the same tables, of which none is written.
//!
//! What the law may write to, it gets a copy of. What would make a new entry is only asked whether there is room for one.
//! So whatever the law does, it does to [`Copies`], and its answer is what a packet would get at that moment. No rule
//! is here.

mod copies;

use crate::abi::{
    AppEntry, AppKey, Budget, BudgetKey, Explained, Flow, FlowKey, FragmentKey, Fragments, Grant, GrantKey, Interface,
    ServiceKey, Session, SessionKey, Settings, SourceKey, VlanKey,
};
use crate::law::{self, established};
use crate::{Address, Answering, Frame, Judgement, KernelNanos, Packet, Tables, Word, answer};

pub use copies::Copies;

/// Tables that can be asked for what they would otherwise make anew.
pub trait Rehearse: Tables {
    /// Where the dry run writes; nobody else does meanwhile. From the tables, because a program in the kernel passes five
    /// arguments to its functions and no more.
    fn copies(&self) -> Option<&Copies>;

    /// As [`Tables::flow_and_state`], if there is a way that takes less stack.
    #[inline(always)]
    fn known_flow(&self, key: &FlowKey) -> Option<(Self::Ref<'_, Flow>, u64)> {
        self.flow_and_state(key)
    }

    /// Whether a flow with this key would find a place.
    fn has_room_for_flow(&self, key: &FlowKey) -> bool;

    /// Until when a source has paid, if it is known.
    fn known_source(&self, key: &SourceKey) -> Option<Self::Ref<'_, Word>>;

    /// What a session has used of an app's budget, if it has used any.
    fn known_budget(&self, key: &BudgetKey) -> Option<Self::Ref<'_, Budget>>;
}

/// Tables, seen through copies.
#[derive(Debug)]
pub struct Rehearsal<'r, T>(&'r T);

/// What [`law::ingress`] would say of a frame that arrives on a guarded interface. `asked` are the questions of
/// [`Explained`], and the answer is in the copies.
#[inline(always)]
pub fn ingress<F: Frame + ?Sized, T: Rehearse>(
    frame: &F,
    packet: &mut Packet,
    tables: &T,
    (interface, asked): (u32, u32),
    now: KernelNanos,
) {
    let tables = Rehearsal(tables);
    tables.begin(asked);
    let judgement = match established::to_app(frame, packet, &tables, interface, now) {
        Ok(found) => {
            tables.note(Explained::SHORT_WAY);
            found.judgement()
        }
        Err(_) => law::whole_ingress(frame, packet, &tables, interface, now),
    };
    tables.answer(&judgement, packet);
}

impl<T: Rehearse> Rehearsal<'_, T> {
    #[inline(always)]
    fn begin(&self, asked: u32) {
        if let Some(copies) = self.0.copies() {
            copies.notes.store((asked & Explained::QUESTIONS).into());
        }
    }

    #[cfg_attr(target_arch = "bpf", inline(never))]
    #[cfg_attr(not(target_arch = "bpf"), inline(always))]
    fn answer(&self, judgement: &Judgement, packet: &Packet) {
        let Judgement { verdict, token, app, opened, answer } = *judgement;
        if opened {
            self.note(Explained::OPENS);
        }
        if answer != Answering::Never && answer::is_due(packet) {
            self.note(Explained::ANSWERABLE);
        }
        if answer == Answering::Always {
            self.note(Explained::REFUSED);
        }
        let (zone, guard, notes) = (packet.guard.zone, packet.guard.flags, self.notes());
        let answer = Explained { mark: Explained::ANSWERED, verdict: verdict.code(), token, app, zone, guard, notes };
        if let Some(copies) = self.0.copies() {
            for (own, word) in copies.answer.iter().zip(answer.to_words()) {
                own.store(word);
            }
        }
    }

    #[inline(always)]
    fn notes(&self) -> u32 {
        self.0.copies().map_or(0, |copies| copies.notes.load() as u32)
    }

    #[inline(always)]
    fn note(&self, note: u32) {
        if let Some(copies) = self.0.copies() {
            copies.notes.store((self.notes() | note).into());
        }
    }

    #[inline(always)]
    fn is_asked(&self, question: u32) -> bool {
        self.notes() & question != 0
    }

    /// A copy of the flow with this key, if there is one.
    #[cfg_attr(target_arch = "bpf", inline(never))]
    #[cfg_attr(not(target_arch = "bpf"), inline(always))]
    fn copied(&self, key: &FlowKey) -> Option<&Flow> {
        if self.is_asked(Explained::WITHOUT_FLOWS) {
            return None;
        }
        let (flow, state) = self.0.known_flow(key)?;
        let copy = &self.0.copies()?.flow;
        copies::flow(&flow, copy);
        copy.state.store(state);
        // Half of one and half of another, if its slot changed hands meanwhile.
        if flow.state.load() != state {
            return None;
        }
        self.note(Explained::FLOW);
        Some(copy)
    }
}

impl<T: Rehearse> Tables for Rehearsal<'_, T> {
    type Ref<'a, V: 'a>
        = &'a V
    where
        Self: 'a;

    #[inline(always)]
    fn settings(&self) -> Settings {
        self.0.settings()
    }

    #[inline(always)]
    fn epoch(&self) -> u64 {
        self.0.epoch()
    }

    #[inline(always)]
    fn watched_until(&self) -> KernelNanos {
        self.0.watched_until()
    }

    #[inline(always)]
    fn lease_until(&self) -> KernelNanos {
        self.0.lease_until()
    }

    #[inline(always)]
    fn exactly(&self, now: KernelNanos) -> KernelNanos {
        self.0.exactly(now)
    }

    /// Nothing was taken away.
    #[inline(always)]
    fn begin_epoch(&self) {}

    #[inline(always)]
    fn interface(&self, index: u32) -> Option<Interface> {
        self.0.interface(index)
    }

    #[inline(always)]
    fn vlan(&self, key: &VlanKey) -> Option<&Interface> {
        self.0.vlan(key)
    }

    #[cfg_attr(target_arch = "bpf", inline(never))]
    fn session(&self, key: &SessionKey) -> Option<&Session> {
        let copy = &self.0.copies()?.session;
        copies::session(self.0.session(key)?, copy);
        Some(copy)
    }

    #[inline(always)]
    fn is_nobody(&self, key: &SessionKey) -> bool {
        self.0.is_nobody(key)
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey) -> Option<&Flow> {
        self.copied(key)
    }

    #[inline(always)]
    fn flow_and_state(&self, key: &FlowKey) -> Option<(&Flow, u64)> {
        self.copied(key).map(|flow| (flow, flow.state.load()))
    }

    #[inline(always)]
    fn open_flow(&self, key: &FlowKey, _: impl Fn(&Flow)) -> bool {
        self.0.has_room_for_flow(key)
    }

    #[inline(always)]
    fn fragments(&self, key: &FragmentKey) -> Option<&Fragments> {
        let copy = &self.0.copies()?.fragments;
        copies::fragments(&*self.0.fragments(key)?, copy);
        Some(copy)
    }

    #[inline(always)]
    fn remember_fragments(&self, _: &FragmentKey, _: u64, _: u64) {}

    #[inline(always)]
    fn source(&self, key: &SourceKey) -> Option<&Word> {
        let copy = &self.0.copies()?.source;
        copy.store(self.0.known_source(key).map_or(0, |paid| paid.load()));
        Some(copy)
    }

    #[cfg_attr(target_arch = "bpf", inline(never))]
    fn budget(&self, key: &BudgetKey) -> Option<&Budget> {
        let copy = &self.0.copies()?.budget;
        if let Some(known) = self.0.known_budget(key) {
            copies::budget(&known, copy);
            return Some(copy);
        }
        self.note(Explained::BUDGET_BEGINS);
        if self.is_asked(Explained::BUDGETS_FULL) {
            return None;
        }
        copies::budget(&Budget::default(), copy);
        Some(copy)
    }

    #[inline(always)]
    fn block(&self, app_set: u32, address: &Address) -> Option<u32> {
        self.note(Explained::JUDGED);
        self.0.block(app_set, address)
    }

    #[inline(always)]
    fn app(&self, key: &AppKey) -> Option<AppEntry> {
        self.0.app(key)
    }

    #[inline(always)]
    fn grant(&self, key: &GrantKey) -> Option<Grant> {
        self.0.grant(key)
    }

    #[inline(always)]
    fn service(&self, key: &ServiceKey) -> Option<u32> {
        self.0.service(key)
    }

    #[inline(always)]
    fn is_management(&self, source: &Address) -> bool {
        self.0.is_management(source)
    }
}
