//! What the programs do with a packet after its judgement.

use crate::ground::Way;
use gateway_common::abi::{Interface, Settings};
use gateway_common::answer::{self, Answer, LONGEST};
use gateway_common::{Judgement, Packet, Verdict};
use gateway_userspace::dataplane::monitor::InterfaceCounters;

/// Codes of the XDP program.
pub const XDP_DROP: u32 = 1;
/// The frame goes on to the network stack.
pub const XDP_PASS: u32 = 2;
/// The frame goes back where it came from.
pub const XDP_TX: u32 = 3;
/// Codes of the TC program.
const TC_ACT_SHOT: u32 = 2;
/// The packet goes on, -1 as the kernel tells it.
const TC_ACT_UNSPEC: u32 = u32::MAX;

/// What the programs do with a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Pass,
    PassObserved,
    Drop,
    Answer,
}

impl Fate {
    /// What a packet's judgement comes to, where there are answers for everybody unless there are none at all.
    pub fn of(frame: &[u8], packet: &Packet, judgement: &Judgement, settings: &Settings) -> Self {
        if !matches!(judgement.verdict, Verdict::Drop(_)) {
            return Self::Pass;
        }
        if packet.guard.has(Interface::OBSERVE) {
            return Self::PassObserved;
        }
        let is_due = judgement.answer.is_due_on(&packet.guard) && answer::is_due(packet);
        let mut answer = Answer { bytes: [0; LONGEST], length: 0 };
        if is_due && settings.answers_per_window > 0 && answer::to(frame, packet, &mut answer).is_some() {
            return Self::Answer;
        }
        Self::Drop
    }

    /// What the program of a direction returns.
    pub fn code(self, way: Way) -> u32 {
        match (self, way) {
            (Self::Pass | Self::PassObserved, Way::In) => XDP_PASS,
            (Self::Pass | Self::PassObserved, Way::Out) => TC_ACT_UNSPEC,
            (Self::Drop, Way::In) => XDP_DROP,
            (Self::Drop | Self::Answer, Way::Out) => TC_ACT_SHOT,
            (Self::Answer, Way::In) => XDP_TX,
        }
    }

    /// The counters afterwards.
    pub fn counted(self, before: &InterfaceCounters, verdict: Verdict) -> InterfaceCounters {
        let mut after = before.clone();
        match verdict {
            Verdict::Forward => after.forward += 1,
            Verdict::ToHost => after.to_host += 1,
            Verdict::Drop(reason) if self == Self::PassObserved => *after.observed.entry(reason).or_default() += 1,
            Verdict::Drop(reason) => *after.drops.entry(reason).or_default() += 1,
        }
        after.rejected += u64::from(self == Self::Answer);
        after
    }
}
