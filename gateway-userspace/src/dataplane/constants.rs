//! What holds for all packets as long as the tables live, or the daemon does: settings, and what hashes are made with.

use super::{DataPlaneError, table};
use aya::Pod;
use aya::maps::{Array, MapData};
use gateway_common::abi::Settings;
use gateway_common::table::Secrets;

/// Both maps, and what they should say.
pub(super) struct Constants {
    pub(super) settings: Constant<Settings>,
    /// The programs have theirs in their own code; these are for whoever takes the tables over.
    pub(super) secrets: Constant<Secrets>,
}

/// A map of one entry that the daemon alone writes.
pub(super) struct Constant<T: Pod> {
    map: Array<MapData, T>,
    name: &'static str,
    wanted: T,
}

impl Constants {
    /// Writes once more what somebody else has changed; how many entries that were.
    pub(super) fn put_right(&mut self) -> Result<usize, DataPlaneError> {
        Ok(usize::from(self.settings.put_right()?) + usize::from(self.secrets.put_right()?))
    }
}

impl<T: Pod + PartialEq> Constant<T> {
    /// Writes it.
    pub(super) fn new(mut map: Array<MapData, T>, name: &'static str, wanted: T) -> Result<Self, DataPlaneError> {
        map.set(0, wanted, 0).map_err(table(name))?;
        Ok(Self { map, name, wanted })
    }

    fn put_right(&mut self) -> Result<bool, DataPlaneError> {
        let is_other = self.map.get(&0, 0).map_err(table(self.name))? != self.wanted;
        if is_other {
            self.map.set(0, self.wanted, 0).map_err(table(self.name))?;
        }
        Ok(is_other)
    }
}
