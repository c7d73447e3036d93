//! Many records of one event: made when they are written, by whoever writes them.

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
}

impl Lot {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ends(_, receipts) => receipts.len(),
            Self::Regranted(_, changes) => changes.len(),
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Ends(..) => Kind::SessionEnd,
            Self::Regranted(..) => Kind::Regranted,
        }
    }

    /// One of them.
    pub(super) fn record(&self, at: usize) -> Option<Record> {
        match self {
            Self::Ends(time, receipts) => receipts.get(at).map(|receipt| Record::session_end(receipt).of(*time)),
            Self::Regranted(time, changes) => changes.get(at).map(|changed| Record::regranted(changed).of(*time)),
        }
    }
}
