//! The names of interfaces by number. The system is asked once a second at most: records name them by the hundred
//! thousand.

use arcstr::ArcStr;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// For how long a name counts: interfaces are renamed now and then.
const FRESH: Duration = Duration::from_secs(1);
/// More interfaces than that are forgotten together.
const MOST: usize = 256;

thread_local! {
    static KNOWN: RefCell<HashMap<u32, (ArcStr, Instant)>> = RefCell::default();
}

/// The name of an interface, or its number if it has gone.
pub(super) fn interface(index: u32) -> ArcStr {
    KNOWN.with_borrow_mut(|known| {
        let now = Instant::now();
        if let Some((name, at)) = known.get(&index)
            && now.duration_since(*at) < FRESH
        {
            return name.clone();
        }
        let name = crate::dataplane::interface_name(index).unwrap_or_else(|| index.to_string());
        let name = ArcStr::from(name);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(index, (name.clone(), now));
        name
    })
}
