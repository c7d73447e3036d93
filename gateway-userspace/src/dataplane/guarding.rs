//! Keeping the guard up while interfaces come and go: a re-created interface has another number and carries no program.

use super::attach::{Attached, GuardedInterface};
use super::interfaces::{self, Wanted};
use super::{DataPlaneError, Programs};
use std::sync::{Arc, PoisonError, RwLock};

/// What is guarded now. Cheap to clone; everybody sees the same.
#[derive(Clone, Default)]
pub struct Guarding(Arc<RwLock<Now>>);

/// What a look at the interfaces has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// Nothing is different.
    AsBefore,
    /// Interfaces have come or gone.
    Changed,
    /// So many had lost their programs, and have them again.
    PutBack(usize),
}

#[derive(Default)]
struct Now {
    guarded: Vec<GuardedInterface>,
    attached: Vec<Attached>,
}

impl Guarding {
    /// The interfaces that are guarded.
    #[must_use]
    pub fn interfaces(&self) -> Vec<GuardedInterface> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).guarded.clone()
    }

    /// How they are guarded.
    #[must_use]
    pub fn attached(&self) -> Vec<Attached> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).attached.clone()
    }

    /// The number of the zone of the interface with this number; 0 if it is not guarded.
    #[must_use]
    pub fn zone(&self, interface: u32) -> u32 {
        let now = self.0.read().unwrap_or_else(PoisonError::into_inner);
        now.guarded.iter().find(|guarded| guarded.index == interface).map_or(0, |guarded| guarded.zone)
    }

    /// Guards these interfaces.
    ///
    /// # Errors
    /// If the kernel refuses; then what was guarded before is still what this says.
    pub fn set(&self, programs: &mut Programs, guarded: Vec<GuardedInterface>) -> Result<(), DataPlaneError> {
        let attached = programs.guard(&guarded)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Now { guarded, attached };
        Ok(())
    }

    /// Looks what the interfaces that forward in XDP are able to do now.
    ///
    /// # Errors
    /// If the kernel does not tell, or a table cannot be written.
    pub fn look_at_ports(&self, programs: &mut Programs) -> Result<(), DataPlaneError> {
        programs.renew_ports(&self.interfaces())
    }

    /// Looks whether the interfaces are still the ones that are guarded, and carry the programs; if not, guards those that
    /// are there.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn look(&self, programs: &mut Programs, wanted: &[Wanted]) -> Result<Look, DataPlaneError> {
        let numbers: Vec<u32> = self.interfaces().iter().map(|guarded| guarded.index).collect();
        let present: Vec<u32> = wanted.iter().filter_map(|wanted| interfaces::number(&wanted.name)).collect();
        let missing = if numbers == present { programs.missing(&self.interfaces())? } else { Vec::new() };
        if !missing.is_empty() {
            tracing::error!(
                ?missing,
                "somebody has taken programs off guarded interfaces, or removed their pins; putting them back"
            );
            // Behind the barrier, as far as there is one, where packets would pass unjudged.
            let is_open = |number: &u32| missing.iter().any(|missing| missing.is_open && missing.index == *number);
            programs.let_through(&numbers.iter().copied().filter(|it| !is_open(it)).collect::<Vec<_>>())?;
            self.set(programs, self.interfaces())?;
            return Ok(Look::PutBack(missing.len()));
        }
        if numbers == present {
            if programs.app_side_has_moved() {
                self.set(programs, self.interfaces())?;
                tracing::warn!("interfaces that face apps have come or gone");
            }
            return Ok(Look::AsBefore);
        }
        let there: Vec<Wanted> =
            wanted.iter().filter(|wanted| interfaces::number(&wanted.name).is_some()).cloned().collect();
        self.set(programs, interfaces::find(&there)?)?;
        Ok(Look::Changed)
    }
}
