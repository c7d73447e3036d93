//! The plan of a draft. Written by hand, not by difference: it costs what changes, not what there is.

use super::Gateway;
use super::draft::Draft;
use super::lists::entries;
use crate::policy::model::AllowListId;
use crate::policy::plan::{Plan, Step};

impl Gateway {
    pub(super) fn plan(&self, draft: &Draft) -> Plan {
        let (added, dead) = self.lists.difference(&draft.lists);
        let mut steps: Vec<Step> = draft.ended.keys().map(|token| Step::EndSession(*token)).collect();
        if let Some(new) = &draft.app_set {
            steps.extend(new.compiled.ports.iter().map(|(key, app)| Step::PutApp(*key, *app)));
            let prefixes = new.compiled.prefixes.iter();
            steps.extend(prefixes.map(|((set, prefix), block)| Step::PutAppPrefix(*set, *prefix, *block)));
        }
        let grants = added.iter().flat_map(|(id, grants)| entries(*id, grants));
        steps.extend(grants.map(|(key, grant)| Step::PutGrant(key, grant)));
        self.add_updates(draft, &mut steps);
        steps.extend(draft.opened.iter().map(|session| Step::OpenSession(session.token, self.entry(session))));
        let grants = dead.iter().flat_map(|(id, grants)| entries(*id, grants));
        steps.extend(grants.map(|(key, _)| Step::RemoveGrant(key)));
        if draft.app_set.is_some() {
            // One app set is in force at a time, so whatever is there belongs to the old one.
            let prefixes = self.tables.app_prefixes.keys();
            steps.extend(prefixes.map(|(set, prefix)| Step::RemoveAppPrefix(*set, *prefix)));
            steps.extend(self.tables.apps.keys().map(|key| Step::RemoveApp(*key)));
        }
        Plan { steps }
    }

    /// Updates of sessions, those that lose something first. A new app set is for all of them.
    fn add_updates(&self, draft: &Draft, steps: &mut Vec<Step>) {
        steps.reserve_exact(if draft.app_set.is_some() { self.sessions.len() } else { draft.moved.len() });
        for losers in [true, false] {
            match &draft.app_set {
                Some(_) => self.add_updates_of_all(draft, losers, steps),
                None => {
                    let moved = draft.moved.iter().filter(|moved| moved.loses == losers);
                    steps.extend(moved.filter_map(|moved| {
                        let session = self.sessions.at(moved.slot)?;
                        self.update(draft, session, moved.allow_list)
                    }));
                }
            }
        }
    }

    /// Both the sessions and those of them that move are in the order of their slots.
    fn add_updates_of_all(&self, draft: &Draft, losers: bool, steps: &mut Vec<Step>) {
        let mut moved = draft.moved.iter().peekable();
        for (slot, session) in self.sessions.as_stored().filter(|(_, session)| !draft.ends(session.token)) {
            let moves = moved.next_if(|moved| moved.slot == slot);
            if moves.is_some_and(|moves| moves.loses) == losers {
                steps.extend(self.update(draft, session, moves.map_or(session.allow_list, |moves| moves.allow_list)));
            }
        }
    }

    fn update(&self, draft: &Draft, session: &super::Session, allow_list: AllowListId) -> Option<Step> {
        let mut entry = self.entry(session);
        entry.app_set = draft.app_set.as_ref().map_or(entry.app_set, |set| set.id);
        entry.allow_list = allow_list;
        // Under another list only: by other policies the same may be granted.
        let is_news = draft.app_set.is_some() || allow_list != session.allow_list;
        is_news.then_some(Step::UpdateSession(session.token, entry))
    }
}
