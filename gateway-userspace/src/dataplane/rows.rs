//! Tables about interfaces in mapped memory: a row for each, near the place that its index gives.

use super::mapped::Mapped;
use gateway_common::abi::{Interface, InterfaceRow};
use std::collections::BTreeMap;

/// The rows of such a table.
#[derive(Debug)]
pub struct Rows(pub Mapped<InterfaceRow>);

impl Rows {
    fn places(&self, index: u32) -> impl Iterator<Item = (u32, &InterfaceRow)> {
        let numbers = (0..InterfaceRow::REACH).map(move |step| InterfaceRow::place(index, step));
        numbers.filter_map(|number| Some((number, self.0.get(number)?)))
    }

    /// The row of an interface, or a free one for it, with its number. `None` if there is none within reach.
    #[must_use]
    pub fn row(&self, index: u32) -> Option<(u32, &InterfaceRow)> {
        let with = |wanted| self.places(index).find(|(_, row)| row.index() == wanted);
        with(index).or_else(|| with(0))
    }

    /// Frees the row of an interface, if it has one; which that was.
    pub fn remove(&self, index: u32) -> Option<u32> {
        let (number, row) = self.places(index).find(|(_, row)| row.index() == index)?;
        row.who.store(0);
        Some(number)
    }

    /// Frees every row but the one of each of these interfaces; how many those were.
    pub fn remove_others<V>(&self, wanted: &BTreeMap<u32, V>) -> usize {
        let is_other = |(number, row): &(u32, &InterfaceRow)| {
            let index = row.index();
            index != 0 && !(wanted.contains_key(&index) && self.row(index).is_some_and(|(its, _)| its == *number))
        };
        self.0.iter().filter(is_other).map(|(_, row)| row.who.store(0)).count()
    }

    /// The guarded interfaces in these rows, by their index.
    pub fn guarded(&self) -> impl Iterator<Item = (u32, Interface)> + '_ {
        let used = self.0.iter().map(|(_, row)| (row, row.index())).filter(|(_, index)| *index != 0);
        used.filter_map(|(row, index)| Some((index, row.guarded(index)?)))
    }
}
