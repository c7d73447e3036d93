//! Many records of one event, which wait as one: made when they are written, by whoever writes them, if that can be.

use super::kind::Kind;
use super::line::Record;
use crate::core::Receipt;
use crate::policy::Regranted;
use std::sync::Arc;
use time::OffsetDateTime;

/// Cheap to clone.
#[derive(Clone)]
pub(super) enum Lot {
    /// The ends of sessions.
    Ends(OffsetDateTime, Arc<[Receipt]>),
    /// What sessions have gained and lost.
    Regranted(OffsetDateTime, Arc<Vec<Regranted>>),
    /// The ends of flows, in words already: nobody could name them later.
    FlowEnds(Arc<[Arc<Record>]>),
}

impl Lot {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ends(_, receipts) => receipts.len(),
            Self::Regranted(_, changes) => changes.len(),
            Self::FlowEnds(ends) => ends.len(),
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Ends(..) => Kind::SessionEnd,
            Self::Regranted(..) => Kind::Regranted,
            Self::FlowEnds(_) => Kind::FlowEnd,
        }
    }

    /// One of them.
    pub(super) fn record(&self, at: usize) -> Option<Arc<Record>> {
        let made = match self {
            Self::Ends(time, receipts) => Record::session_end(receipts.get(at)?).of(*time),
            Self::Regranted(time, changes) => Record::regranted(changes.get(at)?).of(*time),
            Self::FlowEnds(ends) => return ends.get(at).cloned(),
        };
        Some(Arc::new(made))
    }
}
