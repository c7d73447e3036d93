//! What becomes of a packet, and what the law knows about it at that moment.

use crate::DropReason;
use crate::abi::Interface;
use crate::mutant::{self, Mutant::*};

/// The fate of one packet.
#[must_use = "a verdict that is not acted on lets the packet through"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Goes on: toward the app, or toward the client.
    Forward,
    /// For the gateway's own stack: one of its services, ARP or neighbour discovery.
    ToHost,
    /// Ends here.
    Drop(DropReason),
}

impl Verdict {
    /// How many different codes [`Verdict::code`] gives: the width of an interface's counter vector.
    pub const CODES: u32 = 128;
    /// Code of a denial that was answered; it counts for its reason, too.
    pub const REJECTED: u32 = 2;
    /// Added to the code of a drop that an interface only observed.
    pub const OBSERVED: u32 = 64;

    /// The verdict's place in the counter vector: 0 forward, 1 to host, 2 + number for drops.
    #[inline(always)]
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Forward => 0,
            Self::ToHost => 1,
            Self::Drop(reason) => 2_u32.saturating_add(reason as u32),
        }
    }

    /// The verdict with this code, if there is one.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::Forward),
            1 => Some(Self::ToHost),
            drop => DropReason::from_number(u8::try_from(drop.checked_sub(2)?).ok()?).map(Self::Drop),
        }
    }
}

const _: () = assert!(DropReason::LIMIT + 2 <= Verdict::OBSERVED as usize);

/// Which way a packet travels on a guarded interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Direction {
    /// From the client: ingress on the guarded interface.
    ToApp = 0,
    /// To the client: egress on the guarded interface.
    ToClient = 1,
}

/// A verdict, with what was found on the way to it.
#[must_use = "a judgement that is not acted on lets the packet through"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// The session's token, 0 if none was found.
    pub token: u64,
    /// The app's number, 0 if none was found.
    pub app: u32,
    /// Whether this packet opened a flow.
    pub opened: bool,
    /// Whether the sender may be told that the packet was dropped.
    pub answer: Answering,
}

/// Whether the sender of a dropped packet is told, as far as its session and the reason go. Of what kind the packet is,
/// and whether there is budget for one more answer, are other questions: see [`crate::answer::is_due`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Answering {
    /// No: it is not a session's, or not from where that session lives, or the reason is not answered.
    #[default]
    Never,
    /// On an interface that rejects.
    WhereRejecting,
    /// On every interface: a policy wants it.
    Always,
}

impl Answering {
    /// Whether an interface with these settings answers, unless it only observes.
    #[inline(always)]
    #[must_use]
    pub fn is_due_on(self, guard: &Interface) -> bool {
        match self {
            Self::Never => false,
            Self::WhereRejecting => guard.has(Interface::REJECT),
            Self::Always => !mutant::is(RefuseWhereRejecting) || guard.has(Interface::REJECT),
        }
    }
}

impl Judgement {
    /// A verdict about a frame of nobody in particular.
    #[inline(always)]
    pub const fn of(verdict: Verdict) -> Self {
        Self { verdict, token: 0, app: 0, opened: false, answer: Answering::Never }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn every_verdict_has_a_code_of_its_own() {
        let drops = DropReason::ALL.iter().map(|reason| Verdict::Drop(*reason).code());
        let mut codes: std::vec::Vec<u32> = drops.chain([Verdict::Forward.code(), Verdict::ToHost.code()]).collect();
        codes.sort_unstable();
        codes.dedup();
        assert!(codes.iter().all(|code| Verdict::from_code(*code).is_some_and(|verdict| verdict.code() == *code)));
        assert_eq!(Verdict::from_code(Verdict::CODES), None);
        assert_eq!(codes.len(), DropReason::ALL.len() + 2);
        assert!(codes.iter().all(|code| *code < Verdict::CODES));
    }
}
