//! The names behind the numbers that the kernel reports.
//!
//! There may be a million sessions, and few kinds of them: what is known of one is kept once for all that have the same
//! user, zone and decisions.

use crate::core::Receipt;
use crate::policy::{AppId, AppName, Decision, Gateway, Permitted, Session, SessionToken, UserName};
use arcstr::ArcStr;
use serde::{Serialize, Serializer};
use slab::Slab;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// How many sessions that have ended keep their names: their last records come a little later.
const REMEMBERED: usize = 4096;

/// Users, apps and policies by token and number.
#[derive(Default)]
pub(super) struct Names {
    sessions: BTreeMap<SessionToken, u32>,
    kinds: Kinds,
    /// Those that have ended and keep their names: in the order in which they did, and to be looked up.
    ended: VecDeque<SessionToken>,
    over: HashSet<SessionToken>,
    apps: HashMap<u32, AppName>,
}

/// What a token stands for.
pub(super) struct Named {
    pub(super) user: UserName,
    /// The name of the zone it is in.
    pub(super) zone_name: ArcStr,
    permitted: Arc<Permitted>,
}

/// The policies that determined something: they are looked up when somebody wants to know them.
#[derive(Clone, Default)]
pub(super) struct Policies(Option<(Arc<Permitted>, AppName, Effect)>);

#[derive(Clone, Copy)]
enum Effect {
    Permit,
    Forbid,
}

impl Policies {
    /// Their names.
    pub(super) fn names(&self) -> &[String] {
        let Some((permitted, app, effect)) = &self.0 else { return &[] };
        let decision = match effect {
            Effect::Permit => permitted.get(app),
            Effect::Forbid => permitted.denied().get(app),
        };
        decision.map_or(&[], |decision| &decision.policies)
    }
}

impl Serialize for Policies {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.names().serialize(to)
    }
}

impl Names {
    pub(super) fn learn(&mut self, gateway: &Gateway) {
        let Self { sessions, kinds, .. } = self;
        *sessions = gateway.sessions().map(|session| (session.token, kinds.take(session))).collect();
        self.learn_apps(gateway);
    }

    pub(super) fn opened(&mut self, session: &Session) {
        self.name(session);
    }

    /// About these sessions something was decided otherwise.
    pub(super) fn redecided(&mut self, gateway: &Gateway, tokens: &[SessionToken]) {
        let sessions = tokens.iter().filter_map(|token| gateway.session(*token));
        sessions.for_each(|session| self.name(session));
    }

    pub(super) fn ended(&mut self, receipts: &[Receipt]) {
        for receipt in receipts {
            self.ended.push_back(receipt.session.token);
            self.over.insert(receipt.session.token);
        }
        while self.ended.len() > REMEMBERED {
            let Some(token) = self.ended.pop_front() else { break };
            self.over.remove(&token);
            if let Some(kind) = self.sessions.remove(&token) {
                self.kinds.give_back(kind);
            }
        }
    }

    fn name(&mut self, session: &Session) {
        let kind = self.kinds.take(session);
        if let Some(before) = self.sessions.insert(session.token, kind) {
            self.kinds.give_back(before);
        }
    }

    pub(super) fn learn_apps(&mut self, gateway: &Gateway) {
        self.apps = gateway.app_ids().iter().map(|(name, AppId(id))| (*id, name.clone())).collect();
    }

    /// Whether a session has ended.
    pub(super) fn is_over(&self, token: u64) -> bool {
        let token = SessionToken(token);
        self.over.contains(&token) || !self.sessions.contains_key(&token)
    }

    pub(super) fn session(&self, token: u64) -> Option<&Named> {
        self.kinds.get(*self.sessions.get(&SessionToken(token))?)
    }

    pub(super) fn app(&self, app: u32) -> Option<&AppName> {
        self.apps.get(&app)
    }

    pub(super) fn apps(&self) -> impl Iterator<Item = (u32, &AppName)> {
        self.apps.iter().map(|(id, name)| (*id, name))
    }

    /// What lets a session reach an app.
    pub(super) fn permit(&self, token: u64, app: u32) -> Option<&Decision> {
        self.session(token)?.permitted.get(self.app(app)?)
    }

    /// What keeps a session from an app; nothing, if that is what happens by default.
    pub(super) fn denial(&self, token: u64, app: u32) -> Option<&Decision> {
        self.session(token)?.permitted.denied().get(self.app(app)?)
    }

    /// The policies that let a session reach an app.
    pub(super) fn permits(&self, token: u64, app: u32) -> Policies {
        self.policies(token, app, Effect::Permit)
    }

    /// The policies that keep it from one.
    pub(super) fn forbids(&self, token: u64, app: u32) -> Policies {
        self.policies(token, app, Effect::Forbid)
    }

    fn policies(&self, token: u64, app: u32, effect: Effect) -> Policies {
        let known = self.session(token).zip(self.app(app));
        Policies(known.map(|(named, app)| (Arc::clone(&named.permitted), app.clone(), effect)))
    }
}

/// What sessions have in common, with the number of sessions that do.
#[derive(Default)]
struct Kinds {
    kinds: Slab<(Named, u32)>,
    /// By user, zone and the place of the decisions in memory: no other decisions are there while the kind is known.
    by_content: HashMap<(UserName, ArcStr, usize), u32>,
}

impl Kinds {
    fn get(&self, kind: u32) -> Option<&Named> {
        self.kinds.get(kind as usize).map(|(named, _)| named)
    }

    /// The kind of a session, for one more of them.
    fn take(&mut self, session: &Session) -> u32 {
        let named = Named {
            user: session.user.clone(),
            zone_name: session.source.zone_name.clone(),
            permitted: Arc::clone(&session.permitted),
        };
        let kinds = &mut self.kinds;
        let kind = *self.by_content.entry(content(&named)).or_insert_with(|| {
            // There are no more kinds than sessions, and their slots in the kernel have 32 bits.
            u32::try_from(kinds.insert((named, 0))).unwrap_or(u32::MAX)
        });
        if let Some((_, sessions)) = kinds.get_mut(kind as usize) {
            *sessions += 1;
        }
        kind
    }

    fn give_back(&mut self, kind: u32) {
        let Some((named, sessions)) = self.kinds.get_mut(kind as usize) else { return };
        *sessions -= 1;
        if *sessions == 0 {
            self.by_content.remove(&content(named));
            self.kinds.remove(kind as usize);
        }
    }
}

fn content(named: &Named) -> (UserName, ArcStr, usize) {
    (named.user.clone(), named.zone_name.clone(), Arc::as_ptr(&named.permitted) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::gateway::tests::source;
    use crate::policy::{AllowListId, Factors};
    use gateway_common::KernelNanos;

    fn session(token: u64, user: &str, permitted: &Arc<Permitted>) -> Session {
        Session {
            token: SessionToken(token),
            user: UserName::new(user).unwrap(),
            source: source(1),
            factors: Factors::default(),
            assurance: Arc::default(),
            authenticated_at: KernelNanos(1),
            deadline: KernelNanos::NEVER,
            permitted: Arc::clone(permitted),
            allow_list: AllowListId(0),
        }
    }

    #[test]
    fn sessions_of_a_kind_share_what_is_known_and_the_last_one_takes_it_along() {
        let (mut names, one, two) = (Names::default(), Arc::default(), Arc::default());
        for session in [session(1, "ada", &one), session(2, "ada", &one), session(3, "eve", &one)] {
            names.opened(&session);
        }
        assert_eq!((names.kinds.kinds.len(), names.kinds.by_content.len()), (2, 2));
        names.opened(&session(3, "eve", &two));
        names.opened(&session(1, "eve", &two));
        assert_eq!((names.kinds.kinds.len(), names.kinds.by_content.len()), (2, 2));
        names.opened(&session(2, "eve", &two));
        assert_eq!((names.kinds.kinds.len(), names.kinds.by_content.len()), (1, 1));
        assert_eq!(names.session(2).map(|named| named.user.as_str()), Some("eve"));
    }
}
