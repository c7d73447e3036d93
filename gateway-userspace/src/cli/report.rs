//! The report on a period: figures from what the API tells, and the page that shows them.

mod figures;
mod odd;
mod page;

pub(super) use figures::{Figures, Gathered};
pub(super) use page::page;
