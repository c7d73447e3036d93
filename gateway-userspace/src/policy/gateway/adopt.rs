//! Carrying a draft out.

use super::Gateway;
use super::draft::{Draft, Drafted, Fact};
use super::moves::Move;
use crate::policy::change::{Changed, Ended};
use crate::policy::model::{Generation, SessionToken};

impl Gateway {
    /// Carries out what was drafted last. Nothing else may have been adopted since.
    pub fn adopt(&mut self, drafted: Drafted) -> Changed {
        let Drafted { plan, generation, next_ids: _, draft } = drafted;
        let Draft { ended, moved, regranted, opened, lists, faults, facts, judge, app_set, .. } = draft;
        let Draft { decided, cramped, .. } = draft;
        self.tables.apply_rules(&plan);
        self.lists.commit(&lists);
        if let Some(new) = app_set {
            self.app_set = new.id;
            self.next_app_set = new.id.0.saturating_add(1);
            self.next_block = new.compiled.next_block;
        }
        if judge.is_some() {
            self.faults.clear();
        }
        self.faults.extend(faults.clone());
        self.judge = judge.unwrap_or(std::mem::take(&mut self.judge));
        if let Some(decided) = decided {
            (self.clock.decided, self.clock.is_mixed) = (decided, false);
        }
        facts.into_iter().for_each(|fact| self.learn(fact));
        let ended = ended.into_iter().filter_map(|(token, cause)| {
            let session = self.sessions.take(token)?;
            Some(Ended { session, cause })
        });
        let ended = ended.collect();
        let redecided = moved.into_iter().filter_map(|moved| self.regrant(moved)).collect();
        if let Some(session) = &opened {
            self.sessions.put(session.clone());
        }
        if let Some(generation) = generation {
            self.generation = generation;
        }
        Changed { plan, opened, ended, regranted, redecided, generation, faults, cramped }
    }

    fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::User(user) => drop(self.users.insert(user.name.clone(), user)),
            Fact::NoUser(name) => drop(self.users.remove(&name)),
            Fact::Group(name) => drop(self.groups.insert(name)),
            Fact::NoGroup(name) => {
                self.groups.remove(&name);
                for user in self.users.values_mut() {
                    user.groups.remove(&name);
                }
            }
            Fact::App(app, id) => {
                self.app_ids.insert(app.name.clone(), id);
                self.app_names.insert(id, app.name.clone());
                self.apps.insert(app.name.clone(), app);
            }
            Fact::NoApp(name) => drop(self.apps.remove(&name)),
            Fact::Policy(policy) => self.policy = *policy,
            Fact::Answer(name, addresses) if addresses.is_empty() => drop(self.answers.remove(&name)),
            Fact::Answer(name, addresses) => drop(self.answers.insert(name, addresses)),
            Fact::Settings(settings) => {
                self.settings = settings;
                self.clock.now = self.now_in(&self.settings.timezone);
            }
        }
    }

    fn regrant(&mut self, moved: Move) -> Option<SessionToken> {
        let session = self.sessions.at_mut(moved.slot)?;
        session.permitted = moved.permitted;
        session.allow_list = moved.allow_list;
        Some(session.token)
    }
}

impl Drafted {
    /// The generation that will be in force, if it changes.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        self.generation
    }
}
