//! The loaded programs, and the interfaces that they guard.

use super::attach::{Attached, GuardedInterface};
use super::{DataPlaneError, ignore_missing, load, table};
use aya::Ebpf;
use aya::maps::{HashMap, MapData};
use gateway_common::abi::{Interface, map};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Programs in the kernel. Dropping them leaves what is attached attached.
pub struct Programs {
    ebpf: Ebpf,
    interfaces: HashMap<MapData, u32, Interface>,
    folder: PathBuf,
    pins: PathBuf,
}

impl Programs {
    pub(super) fn new(
        ebpf: Ebpf,
        interfaces: HashMap<MapData, u32, Interface>,
        folder: PathBuf,
        pins: PathBuf,
    ) -> Self {
        Self { ebpf, interfaces, folder, pins }
    }

    /// The loaded object, for its logger.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Makes the programs guard exactly these interfaces, replacing older programs without a gap.
    ///
    /// # Errors
    /// If an interface does not exist or the kernel refuses.
    pub fn guard(&mut self, interfaces: &[GuardedInterface]) -> Result<Vec<Attached>, DataPlaneError> {
        self.configure(interfaces)?;
        super::attach::attach(&mut self.ebpf, &self.folder, &self.pins, interfaces)
    }

    /// Tells the programs about these interfaces, without attaching anything.
    ///
    /// # Errors
    /// If there are too many, or the table cannot be written.
    pub fn configure(&mut self, interfaces: &[GuardedInterface]) -> Result<(), DataPlaneError> {
        let known: BTreeMap<u32, Interface> = self.interfaces.iter().flatten().collect();
        let mut free: Vec<u32> = (0..Interface::LIMIT - 1).rev().collect();
        free.retain(|slot| !known.iter().any(|(index, row)| row.slot == *slot && guards(interfaces, *index)));
        for guarded in interfaces {
            let slot = match known.get(&guarded.index) {
                Some(row) => row.slot,
                None => free.pop().ok_or(DataPlaneError::TooManyInterfaces(interfaces.len()))?,
            };
            let flags = if guarded.has_link_layer { Interface::LINK_LAYER } else { 0 };
            let row = Interface { zone: guarded.zone, slot, flags, reserved: 0 };
            self.interfaces.insert(guarded.index, row, 0).map_err(table(map::INTERFACES))?;
        }
        for index in known.keys().filter(|index| !guards(interfaces, **index)) {
            ignore_missing(self.interfaces.remove(index)).map_err(table(map::INTERFACES))?;
        }
        Ok(())
    }

    /// Runs a program on one frame by `BPF_PROG_TEST_RUN`. Returns its code; every effect on the tables is real.
    ///
    /// # Errors
    /// If the kernel refuses to run it.
    pub fn test_run(&mut self, ingress: bool, frame: &[u8]) -> Result<u32, DataPlaneError> {
        use aya::programs::{TestRun as _, TestRunOptions};
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
        let (program, run) = if ingress {
            (load::INGRESS, load::ingress(&mut self.ebpf)?.test_run(options))
        } else {
            (load::EGRESS, load::egress(&mut self.ebpf)?.test_run(options))
        };
        let result = run.map_err(|source| DataPlaneError::Program { program, source: Box::new(source) })?;
        Ok(result.return_value)
    }
}

fn guards(interfaces: &[GuardedInterface], index: u32) -> bool {
    interfaces.iter().any(|guarded| guarded.index == index)
}
