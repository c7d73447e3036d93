//! From apps to the tables of one app set.
//!
//! The kernel takes the block of the most specific prefix and asks no other, so the block of a prefix holds everything
//! that is reachable there: what its own apps claim, and what enclosing prefixes claim unless that is overridden. On
//! one prefix a single port wins over a range, and a range over "any port". What apps may open toward clients stands
//! in the same blocks, on a side of its own, by the same rules. Equal blocks are stored once.

mod check;
mod flatten;
mod names;

pub use check::check;
pub(in crate::policy) use flatten::protocol_number;
pub use names::{AddressRefusal, Located, locate};

use super::change::AppProblem;
use super::model::{App, AppId, AppName, AppSetId, BlockId};
use super::table::TableSet;
use gateway_common::abi::{AppEntry, AppKey};
use ipnet::IpNet;
use std::collections::{BTreeMap, HashMap};

/// An app that cannot be compiled, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uncompilable {
    /// Which.
    pub app: AppName,
    /// Why.
    pub problem: AppProblem,
}

/// The tables of one app set.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Compiled {
    /// Prefixes and their blocks.
    pub prefixes: BTreeMap<(AppSetId, IpNet), BlockId>,
    /// Ports of the blocks.
    pub ports: BTreeMap<AppKey, AppEntry>,
    /// The first block id that is still free.
    pub next_block: u32,
}

impl Compiled {
    /// Puts the entries into the tables.
    pub fn add_to(&self, tables: &mut TableSet) {
        tables.app_prefixes.extend(self.prefixes.iter().map(|(key, block)| (*key, *block)));
        tables.apps.extend(self.ports.iter().map(|(key, app)| (*key, *app)));
    }
}

/// Whether two definitions of an app lead to the same entries.
#[must_use]
pub fn is_same(one: &App, other: &App) -> bool {
    let App { name, description: _, prefixes, names, within, services, opens, outlasts_daemon, .. } = one;
    let App { trip_wire: _, budget: _, labels: _, health: _, enabled: _, .. } = one;
    let places = |app: &App| (app.prefixes == *prefixes, app.names == *names, app.within == *within);
    let of_one = (name, services, opens, outlasts_daemon, one.is_armed());
    of_one == (&other.name, &other.services, &other.opens, &other.outlasts_daemon, other.is_armed())
        && places(other) == (true, true, true)
}

/// Compiles apps, of which each has passed [`check`]. Blocks are numbered from `next_block`.
///
/// # Errors
/// If two apps claim the same destination equally.
pub fn compile<'a>(
    apps: impl IntoIterator<Item = (AppId, &'a App)>,
    set: AppSetId,
    next_block: u32,
) -> Result<Compiled, Uncompilable> {
    let mut builder = Builder { compiled: Compiled { next_block, ..Compiled::default() }, blocks: HashMap::new() };
    for (prefix, content) in flatten::flatten(apps)? {
        let block = builder.block(content);
        builder.compiled.prefixes.insert((set, prefix), block);
    }
    Ok(builder.compiled)
}

struct Builder {
    compiled: Compiled,
    /// INVARIANT: one block for each content.
    blocks: HashMap<flatten::Content, BlockId>,
}

impl Builder {
    fn block(&mut self, content: flatten::Content) -> BlockId {
        if let Some(known) = self.blocks.get(&content) {
            return *known;
        }
        let block = BlockId(self.compiled.next_block);
        self.compiled.next_block = self.compiled.next_block.saturating_add(1);
        for (place, app) in content.iter() {
            let flatten::Place { side, protocol, port } = *place;
            let key = AppKey { block: block.0, port: port.to_be_bytes(), protocol, side };
            self.compiled.ports.insert(key, *app);
        }
        self.blocks.insert(content, block);
        block
    }
}

#[cfg(test)]
mod tests;
