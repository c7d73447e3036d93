//! Apps and policies change.

use super::Gateway;
use super::clock::Decided;
use super::draft::{Draft, Fact, NewAppSet};
use super::judge::{Judge, World};
use super::moves::Pass;
use crate::policy::cedar::PolicySet;
use crate::policy::change::{AppProblem, Refusal};
use crate::policy::compile::{Compiled, Located, Uncompilable, check, compile, is_same, locate};
use crate::policy::model::{App, AppId, AppName, AppSetId, Generation};
use std::collections::BTreeMap;

impl Gateway {
    pub(super) fn put_app(&mut self, draft: &mut Draft, app: &App) -> Result<(), Refusal> {
        check(app).map_err(|problem| Refusal::App { app: app.name.clone(), problem })?;
        let before = self.apps.get(&app.name);
        if before == Some(app) {
            return Ok(());
        }
        let compiles_as_before = before.is_some_and(|before| is_same(before, app));
        let id = self.app_id(&app.name)?;
        let mut apps = self.apps.clone();
        apps.insert(app.name.clone(), app.clone());
        let mut app_ids = self.app_ids.clone();
        app_ids.insert(app.name.clone(), id);
        if !compiles_as_before {
            draft.app_set = Some(self.app_set_of(&apps, &app_ids).map_err(|found| blame(found, &app.name))?);
        }
        self.move_all_under(draft, World { apps: &apps, app_ids: &app_ids, ..self.world() })?;
        draft.facts.push(Fact::App(app.clone(), id));
        Ok(())
    }

    pub(super) fn remove_app(&mut self, draft: &mut Draft, name: &AppName) -> Result<(), Refusal> {
        let mut apps = self.apps.clone();
        if apps.remove(name).is_none() {
            return Err(Refusal::UnknownApp(name.clone()));
        }
        draft.app_set = Some(self.app_set_of(&apps, &self.app_ids).map_err(|found| blame(found, name))?);
        self.move_all_under(draft, World { apps: &apps, ..self.world() })?;
        draft.facts.push(Fact::NoApp(name.clone()));
        Ok(())
    }

    pub(super) fn put_policy(
        &mut self,
        draft: &mut Draft,
        policy: &PolicySet,
        if_match: Option<Generation>,
    ) -> Result<(), Refusal> {
        self.expect(if_match)?;
        if *policy == self.policy {
            return Ok(());
        }
        self.move_all_under(draft, World { policy, ..self.world() })?;
        draft.facts.push(Fact::Policy(Box::new(policy.clone())));
        Ok(())
    }

    /// Refuses what was made for another generation than the one in force.
    ///
    /// # Errors
    /// [`Refusal::GenerationMismatch`].
    pub fn expect(&self, generation: Option<Generation>) -> Result<(), Refusal> {
        match generation {
            Some(expected) if expected != self.generation => {
                Err(Refusal::GenerationMismatch { expected, found: self.generation })
            }
            _ => Ok(()),
        }
    }

    /// Decides all sessions anew under other apps or policies.
    pub(super) fn move_all_under(&self, draft: &mut Draft, world: World<'_>) -> Result<(), Refusal> {
        let mut judge = Judge::default();
        draft.decided = Some(Decided::under(world.policy, world.now));
        self.draft_move_all(draft, Pass::new(&mut judge, world))?;
        draft.judge = Some(judge);
        draft.bumps_generation = true;
        Ok(())
    }

    /// The number of an app: its own, or the next free one.
    pub(super) fn app_id(&self, name: &AppName) -> Result<AppId, Refusal> {
        self.app_numbers().of(name)
    }

    /// The numbers of apps, and those that are free.
    pub(super) fn app_numbers(&self) -> AppNumbers<'_> {
        let last = self.app_names.last_key_value().map_or(0, |(id, _)| id.0);
        AppNumbers { known: &self.app_ids, last, most: self.capacities.apps }
    }

    pub(super) fn app_set_of(
        &self,
        apps: &BTreeMap<AppName, App>,
        app_ids: &BTreeMap<AppName, AppId>,
    ) -> Result<NewAppSet, Trouble> {
        self.app_set_at(&locate(apps.values(), &self.answers), app_ids)
    }

    /// The app set of apps whose names lead where they lead.
    pub(super) fn app_set_at(
        &self,
        located: &Located<'_>,
        app_ids: &BTreeMap<AppName, AppId>,
    ) -> Result<NewAppSet, Trouble> {
        let used_up = |_: u32| Trouble::Refused(Refusal::NumbersUsedUp("app sets"));
        let id = AppSetId(self.next_app_set);
        let compiled = numbered(located, app_ids, id, self.next_block).map_err(Trouble::App)?;
        match id.0.max(compiled.next_block) {
            u32::MAX => Err(used_up(u32::MAX)),
            _ => Ok(NewAppSet { id, compiled }),
        }
    }
}

/// Gives numbers to apps that have none.
pub(super) struct AppNumbers<'n> {
    known: &'n BTreeMap<AppName, AppId>,
    last: u32,
    most: usize,
}

impl AppNumbers<'_> {
    /// The number of an app: its own, or the next free one.
    pub(super) fn of(&mut self, name: &AppName) -> Result<AppId, Refusal> {
        if let Some(known) = self.known.get(name) {
            return Ok(*known);
        }
        let id = self.last.checked_add(1).ok_or(Refusal::NumbersUsedUp("apps"))?;
        // The table of app counters is an array that begins at 0, which is no app.
        let needed = usize::try_from(id).unwrap_or(usize::MAX).saturating_add(1);
        if needed > self.most {
            return Err(Refusal::TableFull { table: "apps", needed, capacity: self.most });
        }
        self.last = id;
        Ok(AppId(id))
    }
}

fn numbered(
    located: &Located<'_>,
    app_ids: &BTreeMap<AppName, AppId>,
    set: AppSetId,
    next_block: u32,
) -> Result<Compiled, Uncompilable> {
    let known = located.apps.values().filter_map(|app| Some((*app_ids.get(&app.name)?, app.as_ref())));
    compile(known, set, next_block)
}

/// Why an app set could not be made.
pub(super) enum Trouble {
    App(Uncompilable),
    Refused(Refusal),
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::App(Uncompilable { app, problem }) => Self::App { app, problem },
            Trouble::Refused(refusal) => refusal,
        }
    }
}

/// Of two apps that claim the same, the one that has just been given is told.
fn blame(trouble: Trouble, given: &AppName) -> Refusal {
    match trouble.into() {
        Refusal::App { app, problem: AppProblem::Ambiguous { prefix, service, other } } if other == *given => {
            let problem = AppProblem::Ambiguous { prefix, service, other: app };
            Refusal::App { app: given.clone(), problem }
        }
        refusal => refusal,
    }
}
