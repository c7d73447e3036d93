//! Tables about interfaces in mapped memory: a row for each, near the place that its index gives.

use super::mapped::Mapped;
use gateway_common::abi::{Interface, InterfaceRow};

/// The rows of such a table.
#[derive(Debug)]
pub struct Rows(pub Mapped<InterfaceRow>);

impl Rows {
    fn places(&self, index: u32) -> impl Iterator<Item = &InterfaceRow> {
        (0..InterfaceRow::REACH).filter_map(move |step| self.0.get(InterfaceRow::place(index, step)))
    }

    /// The row of an interface, or a free one for it. `None` if there is none within reach.
    #[must_use]
    pub fn row(&self, index: u32) -> Option<&InterfaceRow> {
        let with = |wanted| self.places(index).find(|row| row.index() == wanted);
        with(index).or_else(|| with(0))
    }

    /// Frees the row of an interface, if it has one.
    pub fn remove(&self, index: u32) {
        if let Some(row) = self.row(index) {
            row.who.store(0);
        }
    }

    /// The guarded interfaces in these rows, by their index.
    pub fn guarded(&self) -> impl Iterator<Item = (u32, Interface)> + '_ {
        let used = self.0.iter().map(|(_, row)| (row, row.index())).filter(|(_, index)| *index != 0);
        used.filter_map(|(row, index)| Some((index, row.guarded(index)?)))
    }
}
