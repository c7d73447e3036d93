//! The generations of apps, policies and settings: who made them and why, and what each has changed, so that it can be
//! undone.
//!
//! Kept is what was there before, not what is there now: a change of one app costs one app. Who is in a group is nobody's
//! to bring back, and no undoing enables an app that has been switched off.

use super::bundle::{Bundle, Declared};
use super::cedar::{PolicyError, PolicyFile};
use super::gateway::{Fact, Gateway};
use super::model::{App, AppName, Generation, Settings};
use gateway_common::KernelNanos;
use std::collections::{BTreeMap, VecDeque};
use time::OffsetDateTime;

/// How many generations are remembered, and how many bytes of text with them.
const MOST: usize = 100;
const MOST_BYTES: usize = 16 << 20;

/// One generation.
#[derive(Clone, PartialEq, Debug)]
pub struct HistoryEntry {
    /// Its number.
    pub generation: Generation,
    /// When it began.
    pub at: OffsetDateTime,
    /// Who made it.
    pub author: String,
    /// Why, in their words.
    pub message: String,
    /// What they did, as the access log calls it, and to what.
    pub action: String,
    /// To what.
    pub object: String,
    /// Until when it has to be confirmed; `None` if it is, or need not be.
    pub confirm_until: Option<OffsetDateTime>,
    /// What was there before.
    pub undo: Undo,
}

/// What was there before a change, of what has changed.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Undo {
    /// Apps; `None` where there was none.
    pub apps: BTreeMap<AppName, Option<App>>,
    /// Texts of files of policies; `None` where there was none.
    pub files: BTreeMap<String, Option<String>>,
    /// Settings.
    pub settings: Option<Settings>,
}

/// What is remembered, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct History {
    entries: VecDeque<HistoryEntry>,
    waiting: Option<Waiting>,
}

/// That a generation waits for being confirmed.
#[derive(Clone, Debug)]
struct Waiting {
    /// Until when, on the boot clock.
    until: KernelNanos,
    /// What was in force before, ready to be put in force.
    back: Option<Box<Bundle>>,
}

impl Undo {
    /// What undoes these facts, which the gateway has not learned yet.
    #[must_use]
    pub fn of(gateway: &Gateway, facts: &[Fact]) -> Self {
        let mut undo = Self::default();
        for fact in facts {
            match fact {
                Fact::App(app, _) => {
                    let before = gateway.app(&app.name).map(|(_, app)| app.clone());
                    let is_off = |before: &App| *app == App { enabled: false, ..before.clone() };
                    if !before.as_ref().is_some_and(is_off) {
                        undo.apps.insert(app.name.clone(), before);
                    }
                }
                Fact::NoApp(name) => {
                    undo.apps.insert(name.clone(), gateway.app(name).map(|(_, app)| app.clone()));
                }
                Fact::Policy(policy) => undo.files = Self::of_files(gateway, policy.files()),
                Fact::Settings(_) => undo.settings = Some(gateway.settings().clone()),
                Fact::User(_) | Fact::NoUser(_) | Fact::Group(_) | Fact::NoGroup(_) | Fact::Answer(..) => {}
            }
        }
        undo
    }

    fn of_files(gateway: &Gateway, after: &[PolicyFile]) -> BTreeMap<String, Option<String>> {
        let texts = |files: &[PolicyFile]| -> BTreeMap<String, String> {
            files.iter().map(|file| (file.name.clone(), file.text.clone())).collect()
        };
        let (before, after) = (texts(gateway.policy().files()), texts(after));
        let gone = before.iter().filter(|(name, text)| after.get(*name) != Some(*text));
        let mut files: BTreeMap<_, _> = gone.map(|(name, text)| (name.clone(), Some(text.clone()))).collect();
        files.extend(after.into_keys().filter(|name| !before.contains_key(name)).map(|name| (name, None)));
        files
    }

    /// Whether nothing has to be undone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn apply(&self, to: &mut Declared) {
        for (name, before) in &self.apps {
            match before {
                Some(app) => {
                    let is_off = to.apps.get(name).is_some_and(|app| !app.enabled);
                    to.apps.insert(name.clone(), App { enabled: app.enabled && !is_off, ..app.clone() });
                }
                None => drop(to.apps.remove(name)),
            }
        }
        for (name, before) in &self.files {
            match before {
                Some(text) => drop(to.files.insert(name.clone(), text.clone())),
                None => drop(to.files.remove(name)),
            }
        }
        if let Some(settings) = &self.settings {
            to.settings = settings.clone();
        }
    }

    /// How many bytes of text there are.
    fn size(&self) -> usize {
        let apps = self.apps.values().flatten().map(|app| app.description.len().saturating_add(256));
        apps.chain(self.files.values().flatten().map(String::len)).fold(0, usize::saturating_add)
    }
}

impl History {
    /// What was stored. If a generation waits for being confirmed, it does until then.
    #[must_use]
    pub fn of(entries: Vec<HistoryEntry>, until: impl Fn(OffsetDateTime) -> KernelNanos) -> Self {
        let waiting = entries.iter().rev().find_map(|entry| entry.confirm_until);
        let waiting = waiting.map(|wall| Waiting { until: until(wall), back: None });
        Self { entries: entries.into(), waiting }
    }

    /// The generations, the newest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &HistoryEntry> + ExactSizeIterator {
        self.entries.iter().rev()
    }

    /// One generation.
    #[must_use]
    pub fn entry(&self, generation: Generation) -> Option<&HistoryEntry> {
        self.entries.iter().find(|entry| entry.generation == generation)
    }

    /// The generation that has to be confirmed, if there is one. It is the newest in which anything changed that can be
    /// undone, because nothing else is put in force meanwhile.
    #[must_use]
    pub fn unconfirmed(&self) -> Option<&HistoryEntry> {
        self.entries.iter().rev().find(|entry| entry.confirm_until.is_some())
    }

    /// What was in force in a generation, from what is in force now. `None` if nobody remembers.
    #[must_use]
    pub fn back_to(&self, generation: Generation, now: &Bundle) -> Option<Declared> {
        let oldest = self.entries.front()?;
        if generation.0.saturating_add(1) < oldest.generation.0 {
            return None;
        }
        let mut found = now.declared();
        self.entries().take_while(|entry| entry.generation > generation).for_each(|entry| entry.undo.apply(&mut found));
        Some(found)
    }

    /// The generations that are too many once this one is remembered, too.
    pub fn too_many_with(&self, entry: &HistoryEntry) -> Vec<Generation> {
        let mut bytes = entry.undo.size();
        let newest_first = self.entries.iter().rev().enumerate();
        let too_many = newest_first.filter(|(newer, entry)| {
            bytes = bytes.saturating_add(entry.undo.size());
            newer.saturating_add(2) > MOST || bytes > MOST_BYTES
        });
        too_many.map(|(_, entry)| entry.generation).collect()
    }

    /// A generation has begun. It goes back to what was in force before unless it is confirmed until then.
    pub fn begin(&mut self, entry: HistoryEntry, unless_confirmed: Option<(KernelNanos, Box<Bundle>)>) {
        self.remember(entry);
        if let Some((until, back)) = unless_confirmed {
            self.waiting = Some(Waiting { until, back: Some(back) });
        }
    }

    /// Until when the generation that waits for it has to be confirmed, on the boot clock.
    #[must_use]
    pub fn undone_at(&self) -> Option<KernelNanos> {
        self.waiting.as_ref().map(|waiting| waiting.until)
    }

    /// Waits until then.
    pub fn postpone(&mut self, until: KernelNanos) {
        self.waiting.iter_mut().for_each(|waiting| waiting.until = until);
    }

    /// What the generation that waits goes back to, with what has been switched off since.
    ///
    /// # Errors
    /// If nobody remembers it, or it is not valid any more.
    pub fn former(&self, now: &Bundle) -> Result<Bundle, Vec<PolicyError>> {
        let generation = self.unconfirmed().map(|entry| Generation(entry.generation.0.saturating_sub(1)));
        let mut back = match self.waiting.as_ref().and_then(|waiting| waiting.back.clone()) {
            Some(back) => *back,
            None => generation.and_then(|to| self.back_to(to, now)).unwrap_or_else(|| now.declared()).parsed()?,
        };
        for (name, app) in &mut back.apps {
            app.enabled &= now.apps.get(name).is_none_or(|now| now.enabled);
        }
        Ok(back)
    }

    /// Remembers a generation, and forgets what is too much.
    fn remember(&mut self, entry: HistoryEntry) {
        let too_many = self.too_many_with(&entry);
        self.entries.retain(|entry| !too_many.contains(&entry.generation));
        self.entries.push_back(entry);
    }

    /// No generation waits for being confirmed any more, but for this one.
    pub fn confirm_all_but(&mut self, generation: Option<Generation>) {
        let others = self.entries.iter_mut().filter(|entry| Some(entry.generation) != generation);
        others.for_each(|entry| entry.confirm_until = None);
        if self.unconfirmed().is_none() {
            self.waiting = None;
        }
    }
}

#[cfg(test)]
mod tests;
