//! Asking the kernel: the dry run of the loaded law, over the maps that the programs use.
//!
//! An object of its own, loaded at the first question. Its pinned maps are those of the programs; those that are not pinned
//! are its own, so that what it writes while it runs is never in a packet's way. Where the kernel refuses the program, or
//! never is asked, nothing else depends on it.

use super::{Explain, ExplainError, Explanation, Question};
use crate::dataplane::{DataPlaneError, load, table};
use crate::policy::Capacities;
use aya::Ebpf;
use aya::maps::{HashMap, MapData, MapError};
use aya::programs::{ProgramError, TestRun as _, TestRunOptions};
use gateway_common::abi::{BudgetKey, Explained, map};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The kernel's number of a map, by the name of its pin.
type Numbers = Vec<(&'static str, u32)>;

/// The dry run of the programs whose maps are pinned in a folder.
pub struct Explainer {
    pins: PathBuf,
    capacities: Capacities,
    /// The maps at the beginning.
    maps: Numbers,
    /// One run at a time: they share what they write to.
    asked: Mutex<Option<Asked>>,
}

/// The loaded program.
struct Asked {
    ebpf: Ebpf,
    budgets: HashMap<MapData, BudgetKey, [u64; 2]>,
}

impl Explainer {
    /// Loads nothing yet; remembers which maps are meant.
    ///
    /// # Errors
    /// If one of them is not there.
    pub(in crate::dataplane) fn new(pins: &Path, capacities: Capacities) -> Result<Self, DataPlaneError> {
        let maps = load::PINNED.iter().map(|name| Ok((*name, number(pins, name).map_err(table(name))?)));
        Ok(Self { pins: pins.to_owned(), capacities, maps: maps.collect::<Result<_, _>>()?, asked: Mutex::default() })
    }

    /// Loads the program, if that has not been done.
    ///
    /// # Errors
    /// If the kernel refuses it, or the maps are others.
    pub fn load(&self) -> Result<(), ExplainError> {
        self.with(|_| Ok(()))
    }

    /// What the law would say of a frame as it arrives on an interface, with the questions of [`Explained`].
    ///
    /// # Errors
    /// If the kernel refuses to load or run the program.
    pub fn explain_frame(&self, interface: u32, frame: &[u8], asked: u32) -> Result<Explanation, ExplainError> {
        self.with(|program| {
            let answer = program.ask(interface, frame, asked)?;
            // That needs a look at the whole table, so it is taken only where it matters.
            if answer.has(Explained::BUDGET_BEGINS) && program.budgets.keys().count() >= self.capacities.budgets {
                return Explanation::of(&program.ask(interface, frame, asked | Explained::BUDGETS_FULL)?);
            }
            Explanation::of(&answer)
        })
    }

    /// How many instructions the verifier looked at to accept the program.
    ///
    /// # Errors
    /// If it cannot be loaded, or the kernel does not tell.
    pub fn verified_instructions(&self) -> Result<u32, ExplainError> {
        self.with(|program| {
            let info = program.program()?.info().map_err(load::refused(load::EXPLAIN))?;
            Ok(info.verified_instruction_count().unwrap_or_default())
        })
    }

    fn with<T>(&self, ask: impl FnOnce(&Asked) -> Result<T, ExplainError>) -> Result<T, ExplainError> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match &*asked {
            Some(program) => ask(program),
            None => ask(asked.insert(self.open()?)),
        }
    }

    fn open(&self) -> Result<Asked, ExplainError> {
        // Before, because what is not pinned would be made, and afterwards, because it may have been meanwhile.
        self.look_at_maps()?;
        let mut ebpf = load::dry_run(&self.pins, &self.capacities)?;
        self.look_at_maps()?;
        let budgets = load::take(&mut ebpf, map::BUDGETS)?;
        Ok(Asked { ebpf, budgets })
    }

    fn look_at_maps(&self) -> Result<(), ExplainError> {
        let is_other = |(name, known): &&(&'static str, u32)| number(&self.pins, name).ok() != Some(*known);
        self.maps.iter().find(is_other).map_or(Ok(()), |(name, _)| Err(ExplainError::Table(name)))
    }
}

impl Asked {
    fn program(&self) -> Result<&aya::programs::Xdp, DataPlaneError> {
        let missing = DataPlaneError::Incomplete(load::EXPLAIN);
        match self.ebpf.program(load::EXPLAIN) {
            Some(aya::programs::Program::Xdp(program)) => Ok(program),
            _ => Err(missing),
        }
    }

    /// Runs the program on a frame, with the question in front of it.
    fn ask(&self, interface: u32, frame: &[u8], asked: u32) -> Result<Explained, ExplainError> {
        let data = [&Explained::asking(asked).to_bytes(), frame].concat();
        let mut out = vec![0; data.len()];
        let context = context(data.len(), interface);
        let options = TestRunOptions {
            data_in: Some(&data),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::new()
        };
        match self.program()?.test_run(options) {
            Ok(_) => Ok(Explained::from_bytes(out.first_chunk().ok_or(ExplainError::Silent)?)),
            Err(error) if is_no_device(&error) => Err(ExplainError::Interface(interface)),
            Err(error) => Err(load::refused(load::EXPLAIN)(error).into()),
        }
    }
}

impl Explain for Explainer {
    fn explain(&self, question: &Question) -> Result<Explanation, ExplainError> {
        self.explain_frame(question.interface, &question.frame()?, question.connection.asked())
    }
}

/// A `struct xdp_md`: begin and end of the packet, counted from that of its metadata, where the metadata begins, the
/// interface and its queue, and another interface. Linux 5.14 takes it.
fn context(length: usize, interface: u32) -> [u8; 24] {
    let mut bytes = [0; 24];
    let fields = [Explained::LENGTH as u32, length as u32, 0, interface, 0, 0];
    for (piece, field) in bytes.chunks_exact_mut(4).zip(fields) {
        piece.copy_from_slice(&field.to_ne_bytes());
    }
    bytes
}

fn is_no_device(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(error) if error.io_error.raw_os_error() == Some(nix::libc::ENODEV))
}

fn number(pins: &Path, name: &str) -> Result<u32, MapError> {
    Ok(MapData::from_pin(pins.join(name))?.info()?.id())
}
