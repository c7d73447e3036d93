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
    /// are there. One that has another name now is guarded as before: whoever renames it opens nothing.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn look(&self, programs: &mut Programs, wanted: &[Wanted]) -> Result<Look, DataPlaneError> {
        let guarded = self.interfaces();
        // Each name is asked for once: it takes three system calls.
        let there = wanted.iter().filter_map(|wanted| Some((interfaces::number(&wanted.name)?, wanted)));
        let there: Vec<(u32, &Wanted)> = there.collect();
        let renamed = renamed(&guarded, &there);
        let present = there.iter().map(|(index, wanted)| (*index, &wanted.name));
        let present = present.chain(renamed.iter().map(|renamed| (renamed.index, &renamed.name)));
        if !present.eq(guarded.iter().map(|guarded| (guarded.index, &guarded.name))) {
            let there: Vec<Wanted> = there.into_iter().map(|(_, wanted)| wanted.clone()).collect();
            for GuardedInterface { index, name, .. } in &renamed {
                tracing::warn!(
                    index,
                    name,
                    "a guarded interface has another name, and is guarded as before; name it so in the configuration"
                );
            }
            self.set(programs, interfaces::find(&there)?.into_iter().chain(renamed).collect())?;
            return Ok(Look::Changed);
        }
        let missing = programs.missing(&guarded)?;
        if !missing.is_empty() {
            tracing::error!(
                ?missing,
                "somebody has taken programs off guarded interfaces, or removed their pins; putting them back"
            );
            // Behind the barrier, as far as there is one, where packets would pass unjudged.
            let is_open = |number: u32| missing.iter().any(|missing| missing.is_open && missing.index == number);
            let through: Vec<u32> = guarded.iter().map(|guarded| guarded.index).filter(|it| !is_open(*it)).collect();
            programs.let_through(&through)?;
            self.set(programs, guarded)?;
            return Ok(Look::PutBack(missing.len()));
        }
        if programs.app_side_has_moved() {
            self.set(programs, guarded)?;
            tracing::warn!("interfaces that face apps have come or gone");
        }
        Ok(Look::AsBefore)
    }
}

/// Those that are guarded, and are there under names that nobody has asked for.
fn renamed(guarded: &[GuardedInterface], there: &[(u32, &Wanted)]) -> Vec<GuardedInterface> {
    let is_wanted = |guarded: &&GuardedInterface| there.iter().any(|(index, _)| *index == guarded.index);
    let named = |guarded: &GuardedInterface| {
        let name = interfaces::name(guarded.index)?;
        Some(GuardedInterface { name, ..guarded.clone() })
    };
    guarded.iter().filter(|guarded| !is_wanted(guarded)).filter_map(named).collect()
}
