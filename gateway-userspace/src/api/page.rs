//! Pages of a list that is ordered by key. The cursor is the last key of the page before: entries that come and go
//! meanwhile neither repeat others nor hide them.

use crate::wire::Page;
use serde::Deserialize;
use utoipa::IntoParams;

const USUAL: usize = 100;
const MOST: usize = 1000;

/// Which page.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Where the page before ended: its `next_cursor`.
    pub cursor: Option<String>,
    /// How many entries at most: 1 to 1000, usually 100.
    pub limit: Option<usize>,
}

impl PageQuery {
    /// The page of what comes in the order of its keys.
    pub fn page<'a, E: 'a, T>(
        &self,
        entries: impl Iterator<Item = E>,
        key: impl Fn(&E) -> String,
        shape: impl Fn(E) -> T,
    ) -> Page<T> {
        let limit = self.limit.unwrap_or(USUAL).clamp(1, MOST);
        let after = |entry: &E| self.cursor.as_ref().is_none_or(|cursor| key(entry) > *cursor);
        let mut rest = entries.filter(after).peekable();
        let (mut items, mut last) = (Vec::new(), None);
        while items.len() < limit {
            let Some(entry) = rest.next() else { break };
            last = Some(key(&entry));
            items.push(shape(entry));
        }
        Page { items, next_cursor: last.filter(|_| rest.peek().is_some()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let all: Vec<_> = (0..25).map(|n| format!("{n:02}")).collect();
        let (mut query, mut seen) = (PageQuery { cursor: None, limit: Some(10) }, Vec::new());
        loop {
            let page = query.page(all.iter(), |name| (*name).clone(), Clone::clone);
            assert!(page.items.len() <= 10);
            seen.extend(page.items);
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
    }
}
