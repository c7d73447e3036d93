//! The loaded programs, and the interfaces that they guard.

use super::attach::{self, Attached, GuardedInterface, Held, are_pinned};
use super::barrier::Barrier;
use super::constants::Constants;
use super::device::xdp_program;
use super::netlink::Links;
use super::ports::{AppInterface, AppSide, Ports};
use super::rows::Rows;
use super::{DataPlaneError, ignore_missing, load, table};
use aya::Ebpf;
use aya::maps::{HashMap, MapData};
use aya::programs::SchedClassifier;
use aya::programs::tc::TcAttachType;
use gateway_common::abi::{Interface, VlanKey, map};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Programs in the kernel. Dropping them leaves what is attached attached.
pub struct Programs {
    ebpf: Ebpf,
    interfaces: Rows,
    vlans: HashMap<MapData, VlanKey, Interface>,
    /// What the tables of interfaces should say; nothing until it was written as a whole.
    told: Option<Told>,
    constants: Constants,
    ports: Ports,
    app_side: AppSide,
    apps: Vec<AppInterface>,
    barrier: Option<Barrier>,
    held: Held,
    folder: PathBuf,
    pins: PathBuf,
}

/// Rows of interfaces and VLANs.
#[derive(Default)]
struct Told {
    interfaces: BTreeMap<u32, Interface>,
    vlans: BTreeMap<VlanKey, Interface>,
}

/// A program, for running it on a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// That of what clients send.
    Ingress,
    /// That of what is sent to them.
    Egress,
}

/// An interface that has lost something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Missing {
    /// Its number.
    pub index: u32,
    /// A program, and not only the pin of its link.
    pub is_open: bool,
}

impl Programs {
    pub(super) fn new(
        ebpf: Ebpf,
        interfaces: Rows,
        vlans: HashMap<MapData, VlanKey, Interface>,
        constants: Constants,
        ports: Ports,
        folder: PathBuf,
        pins: PathBuf,
    ) -> Self {
        let (told, app_side, apps, barrier, held) = (None, AppSide::default(), Vec::new(), None, Held::new());
        Self { ebpf, interfaces, vlans, told, constants, ports, app_side, apps, barrier, held, folder, pins }
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
        self.apps = self.app_side.present();
        let (attached, links) = attach::attach(&mut self.ebpf, &self.folder, interfaces, &self.apps, &mut self.held)?;
        self.renew_ports(interfaces)?;
        // The barrier closes before programs go: an interface that comes back from another namespace has its number still.
        self.let_through(&interfaces.iter().map(|guarded| guarded.index).collect::<Vec<_>>())?;
        attach::detach_others(&self.folder, &self.pins, &links, &mut self.held)?;
        Ok(attached)
    }

    /// Which of these interfaces do not carry the programs any more, or carry them by links whose pins are gone.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn missing(&self, interfaces: &[GuardedInterface]) -> Result<Vec<Missing>, DataPlaneError> {
        let [ingress, egress, stripped] = [load::INGRESS, load::EGRESS, load::STRIPPED].map(|name| self.number(name));
        let links = Links::open().map_err(DataPlaneError::Devices)?;
        let mut missing = Vec::new();
        for guarded in interfaces {
            let xdp = match xdp_program(&links, guarded.index) {
                Ok(number) => number,
                // Gone: that is for others to see.
                Err(Errno::ENODEV) => continue,
                Err(error) => return Err(DataPlaneError::Devices(error)),
            };
            let is_on = |hook, number: Option<u32>| {
                // The interface is asked for by its name: gone meanwhile, or another one by now, is missing.
                let programs = SchedClassifier::query_tcx(&guarded.name, hook).map(|(_, programs)| programs);
                programs.is_ok_and(|programs| programs.iter().any(|program| Some(program.id()) == number))
            };
            let is_guarded = xdp.is_some()
                && xdp == ingress
                && is_on(TcAttachType::Egress, egress)
                && (!guarded.has_link_layer || is_on(TcAttachType::Ingress, stripped));
            if !is_guarded || !are_pinned(&self.folder, guarded) {
                missing.push(Missing { index: guarded.index, is_open: !is_guarded });
            }
        }
        Ok(missing)
    }

    /// The kernel's number of a program.
    fn number(&self, name: &str) -> Option<u32> {
        Some(self.ebpf.program(name)?.info().ok()?.id())
    }

    /// Keeps what the barrier lets through to these interfaces, until the next [`Programs::guard`].
    ///
    /// # Errors
    /// If the barrier cannot be raised.
    pub fn let_through(&mut self, guarded: &[u32]) -> Result<(), DataPlaneError> {
        self.barrier.as_mut().map_or(Ok(()), |barrier| barrier.raise(guarded))
    }

    /// Names the barrier that lets interfaces through once they are guarded, for the next [`Programs::guard`].
    pub fn stand_behind(&mut self, barrier: Option<Barrier>) {
        self.barrier = barrier;
    }

    /// Names the interfaces that face apps, for the next [`Programs::guard`].
    pub fn face_apps(&mut self, app_side: AppSide) {
        self.app_side = app_side;
    }

    /// Whether the interfaces that face apps are others than those that carry the program.
    #[must_use]
    pub fn app_side_has_moved(&self) -> bool {
        self.app_side.present() != self.apps
    }

    /// The interfaces that packets may be redirected to.
    #[must_use]
    pub fn targets(&self) -> Vec<u32> {
        self.ports.targets()
    }

    /// Looks what the interfaces that forward in XDP are able to do now.
    ///
    /// # Errors
    /// If the kernel does not tell, or a table cannot be written.
    pub fn renew_ports(&mut self, interfaces: &[GuardedInterface]) -> Result<(), DataPlaneError> {
        self.ports.renew(interfaces, &self.apps)
    }

    /// Tells the programs about these interfaces, without attaching anything.
    ///
    /// # Errors
    /// If there are too many, or the table cannot be written.
    pub fn configure(&mut self, interfaces: &[GuardedInterface]) -> Result<(), DataPlaneError> {
        // What an earlier daemon has written, if nothing else is known: a counter goes on where it was.
        let known = self.told.take().map_or_else(|| self.interfaces.guarded().collect(), |told| told.interfaces);
        let told = tell(interfaces, &known)?;
        self.write(&told)?;
        self.told = Some(told);
        Ok(())
    }

    /// Writes once more what somebody else has changed in the table of interfaces; how many rows that were.
    ///
    /// # Errors
    /// If there is no room.
    pub fn put_rows_right(&self) -> Result<usize, DataPlaneError> {
        self.told.as_ref().map_or(Ok(0), |told| self.write_interfaces(&told.interfaces))
    }

    /// The same for VLANs and for what holds for all interfaces, which have to be asked for by system calls.
    ///
    /// # Errors
    /// If a table cannot be read or written.
    pub fn put_right(&mut self) -> Result<usize, DataPlaneError> {
        let told = self.told.take();
        let vlans = told.as_ref().map_or(Ok(0), |told| self.write_vlans(&told.vlans));
        self.told = told;
        Ok(vlans? + self.constants.put_right()?)
    }

    fn write(&mut self, told: &Told) -> Result<(), DataPlaneError> {
        // Whose VLANs are unknown is guarded all the same: what comes with another tag is dropped.
        self.write_interfaces(&told.interfaces)?;
        self.write_vlans(&told.vlans).map(drop)
    }

    fn write_interfaces(&self, wanted: &BTreeMap<u32, Interface>) -> Result<usize, DataPlaneError> {
        // First, because a row that is in the way hides another one, or takes its place.
        let mut count = self.interfaces.remove_others(wanted);
        for (index, interface) in wanted {
            let too_many = || DataPlaneError::TooManyInterfaces(wanted.len());
            let (_, row) = self.interfaces.row(*index).ok_or_else(too_many)?;
            if row.guarded(*index) != Some(*interface) {
                row.write_guarded(*index, interface);
                count += 1;
            }
        }
        Ok(count)
    }

    fn write_vlans(&mut self, wanted: &BTreeMap<VlanKey, Interface>) -> Result<usize, DataPlaneError> {
        let known: BTreeMap<VlanKey, Interface> = self.vlans.iter().flatten().collect();
        let mut count = 0;
        for key in known.keys().filter(|key| !wanted.contains_key(key)) {
            ignore_missing(self.vlans.remove(key)).map_err(table(map::VLANS))?;
            count += 1;
        }
        for (key, row) in wanted.iter().filter(|(key, row)| known.get(key) != Some(row)) {
            self.vlans.insert(key, row, 0).map_err(table(map::VLANS))?;
            count += 1;
        }
        Ok(count)
    }

    /// Runs a program on one frame by `BPF_PROG_TEST_RUN`. Returns its code; every effect on the tables is real.
    ///
    /// # Errors
    /// If the kernel refuses to run it.
    pub fn test_run(&mut self, program: Program, frame: &[u8], out: &mut [u8]) -> Result<Ran, DataPlaneError> {
        use aya::programs::{TestRun as _, TestRunOptions};
        let options = TestRunOptions { data_in: Some(frame), data_out: Some(out), ..TestRunOptions::new() };
        let (program, run) = match program {
            Program::Ingress => (load::INGRESS, load::xdp(&mut self.ebpf, load::INGRESS)?.test_run(options)),
            Program::Egress => (load::EGRESS, load::classifier(&mut self.ebpf, load::EGRESS)?.test_run(options)),
        };
        let result = run.map_err(|source| DataPlaneError::Program { program, source: Box::new(source) })?;
        Ok(Ran { code: result.return_value, length: result.data_size_out as usize })
    }

    /// Runs a program on one frame again and again. Returns what one run took, as the kernel measured it.
    ///
    /// # Errors
    /// If the kernel refuses to run it.
    pub fn time_run(&mut self, program: Program, frame: &[u8], repeat: u32) -> Result<Duration, DataPlaneError> {
        use aya::programs::{TestRun as _, TestRunOptions};
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        let (program, run) = match program {
            Program::Ingress => (load::INGRESS, load::xdp(&mut self.ebpf, load::INGRESS)?.test_run(options)),
            Program::Egress => (load::EGRESS, load::classifier(&mut self.ebpf, load::EGRESS)?.test_run(options)),
        };
        Ok(run.map_err(|source| DataPlaneError::Program { program, source: Box::new(source) })?.duration)
    }

    /// How many instructions the verifier looked at to accept each program, by name.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn verified_instructions(&self) -> Result<BTreeMap<String, u32>, DataPlaneError> {
        let count = |(name, program): (&str, &aya::programs::Program)| {
            let told = program.info().map(|info| info.verified_instruction_count().unwrap_or_default());
            let refused = |source| DataPlaneError::Attach { interface: name.to_owned(), source: Box::new(source) };
            Ok((name.to_owned(), told.map_err(refused)?))
        };
        let is_loaded = |(name, _): &(&str, _)| load::PROGRAMS.contains(name);
        self.ebpf.programs().filter(is_loaded).map(count).collect()
    }
}

/// What a run of a program on a frame has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ran {
    /// The program's code.
    pub code: u32,
    /// How long the frame is afterwards.
    pub length: usize,
}

/// What the tables are to say about these interfaces. Whoever is `known` keeps the row of its counters.
fn tell(interfaces: &[GuardedInterface], known: &BTreeMap<u32, Interface>) -> Result<Told, DataPlaneError> {
    let mut free: Vec<u32> = (0..Interface::LIMIT - 1).rev().collect();
    let mut slots = BTreeMap::new();
    for guarded in interfaces {
        // No two have the same, whatever was found.
        let kept = known.get(&guarded.index).and_then(|row| free.iter().position(|slot| *slot == row.slot));
        slots.extend(kept.map(|at| (guarded.index, free.remove(at))));
    }
    let mut told = Told::default();
    for guarded in interfaces {
        let too_many = || DataPlaneError::TooManyInterfaces(interfaces.len());
        let slot = slots.remove(&guarded.index).or_else(|| free.pop()).ok_or_else(too_many)?;
        let link_layer = if guarded.has_link_layer { Interface::LINK_LAYER } else { 0 };
        let flags = link_layer | guarded.settings.flags();
        let row = Interface { zone: guarded.zone, slot, flags, reserved: 0 };
        told.interfaces.insert(guarded.index, row);
        for vlan in &guarded.vlans {
            let key = VlanKey { interface: guarded.index, vlan: vlan.vlan };
            told.vlans.insert(key, Interface { zone: vlan.zone, ..row });
        }
    }
    Ok(told)
}
