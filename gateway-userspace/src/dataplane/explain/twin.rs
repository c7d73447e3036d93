//! The same questions to the in-memory twin: for tests of those who ask.

use super::{Explain, ExplainError, Explanation, Question};
use crate::dataplane::MemoryDataPlane;
use gateway_common::{Packet, rehearsal};
use std::sync::{Mutex, PoisonError};

impl MemoryDataPlane {
    /// What the law would say of a packet now.
    ///
    /// # Errors
    /// If there is no such packet.
    pub fn explain(&self, question: &Question) -> Result<Explanation, ExplainError> {
        let asked = question.connection.asked();
        self.explain_frame(question.interface, &question.frame()?, asked)
    }

    /// The same for a frame as it arrives, with the questions of [`gateway_common::abi::Explained`].
    ///
    /// # Errors
    /// Never: as for [`Explainer::explain_frame`](super::Explainer::explain_frame).
    pub fn explain_frame(&self, interface: u32, frame: &[u8], asked: u32) -> Result<Explanation, ExplainError> {
        let asked = asked | self.full();
        rehearsal::ingress(frame, &mut Packet::default(), self, (interface, asked), self.clock);
        Explanation::of(&self.answer())
    }
}

impl Explain for Mutex<MemoryDataPlane> {
    fn explain(&self, question: &Question) -> Result<Explanation, ExplainError> {
        self.lock().unwrap_or_else(PoisonError::into_inner).explain(question)
    }
}
