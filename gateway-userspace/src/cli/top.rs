//! The gateway as it works: rates from two readings of its counters, and the latest of what it records. Rates and the screen
//! are plain functions of readings; who asks and who types is in `command/top`.

mod rates;
mod screen;
mod words;

pub(super) use rates::{Rates, Reading};
pub(super) use screen::{Key, Screen};
pub(super) use words::words;
