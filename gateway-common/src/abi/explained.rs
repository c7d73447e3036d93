//! What the dry run is asked, and what it answers: bytes in front of the packet, so that no table is written.

/// In front of a packet, as its metadata: beside the packet what is asked, and in its place the answer. Whoever runs the
/// program finds it at the beginning of the frame that comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Explained {
    /// [`Explained::ASKED`], or [`Explained::ANSWERED`].
    pub mark: u32,
    /// The answer: [`crate::Verdict::code`].
    pub verdict: u32,
    /// The session's token, 0 if none was found.
    pub token: u64,
    /// The app's number, 0 if none was found.
    pub app: u32,
    /// The zone of the interface, or of the VLAN on it.
    pub zone: u32,
    /// The flags of the interface: see [`super::Interface`].
    pub guard: u32,
    /// [`Explained::WITHOUT_FLOWS`] and its neighbours.
    pub notes: u32,
}

impl Explained {
    /// Its length in front of the packet: what the kernel takes for metadata since 4.15.
    pub const LENGTH: usize = 32;
    /// In `mark`: a question. "pcex".
    pub const ASKED: u32 = 0x7063_6578;
    /// In `mark`: an answer. "pcan".
    pub const ANSWERED: u32 = 0x7063_616e;

    /// Asked: no flow is found, so the packet is judged as one that begins a connection.
    pub const WITHOUT_FLOWS: u32 = 1;
    /// Asked: the table of budgets takes no new one. A program cannot find out without trying.
    pub const BUDGETS_FULL: u32 = 1 << 1;
    /// All that can be asked.
    pub const QUESTIONS: u32 = Self::WITHOUT_FLOWS | Self::BUDGETS_FULL;

    /// The short way decided.
    pub const SHORT_WAY: u32 = 1 << 2;
    /// The flow that the packet belongs to is in the table, whether it counts or not.
    pub const FLOW: u32 = 1 << 3;
    /// The policy of the session was asked.
    pub const JUDGED: u32 = 1 << 4;
    /// The packet would open a flow.
    pub const OPENS: u32 = 1 << 5;
    /// The denial would be answered, if the budget of answers has room, and the interface rejects or [`Self::REFUSED`].
    pub const ANSWERABLE: u32 = 1 << 6;
    /// The packet would be the first that counts for a budget.
    pub const BUDGET_BEGINS: u32 = 1 << 7;
    /// A refusal decided, which is told on every interface.
    pub const REFUSED: u32 = 1 << 8;

    /// A question.
    #[must_use]
    pub const fn asking(notes: u32) -> Self {
        Self { mark: Self::ASKED, verdict: 0, token: 0, app: 0, zone: 0, guard: 0, notes }
    }

    /// Whether a note was made.
    #[must_use]
    pub const fn has(&self, note: u32) -> bool {
        self.notes & note != 0
    }

    /// As it lies in front of the packet: words in the byte order of the host.
    #[inline(always)]
    #[must_use]
    pub const fn to_words(self) -> [u64; 4] {
        let Self { mark, verdict, token, app, zone, guard, notes } = self;
        [both(mark, verdict), token, both(app, zone), both(guard, notes)]
    }

    /// What lies in front of a packet.
    #[inline(always)]
    #[must_use]
    pub const fn from_words([first, token, third, fourth]: [u64; 4]) -> Self {
        let ([mark, verdict], [app, zone], [guard, notes]) = (halves(first), halves(third), halves(fourth));
        Self { mark, verdict, token, app, zone, guard, notes }
    }

    /// As bytes in memory order.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        for (piece, word) in bytes.chunks_exact_mut(8).zip(self.to_words()) {
            piece.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// From bytes in memory order.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Self {
        let (pieces, _) = bytes.as_chunks::<8>();
        let mut words = [0; 4];
        for (word, piece) in words.iter_mut().zip(pieces) {
            *word = u64::from_ne_bytes(*piece);
        }
        Self::from_words(words)
    }
}

#[inline(always)]
const fn both(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

#[inline(always)]
const fn halves(word: u64) -> [u32; 2] {
    [(word >> 32) as u32, word as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_survives_its_way_in_front_of_a_packet() {
        let answer = Explained {
            mark: Explained::ANSWERED,
            verdict: 2,
            token: u64::MAX - 1,
            app: 3,
            zone: 4,
            guard: 5,
            notes: Explained::JUDGED | Explained::OPENS,
        };
        assert_eq!(Explained::from_bytes(&answer.to_bytes()), answer);
        assert_eq!(&answer.to_bytes()[8..16], (u64::MAX - 1).to_ne_bytes());
        assert!(answer.has(Explained::OPENS) && !answer.has(Explained::FLOW));
    }
}
