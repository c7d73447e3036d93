//! The names behind the numbers that the kernel reports.

use crate::core::Done;
use crate::policy::{AppId, AppName, Decision, Gateway, Input, Session, SessionToken, UserName};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// How many sessions that have ended keep their names: their last records come a little later.
const REMEMBERED: usize = 4096;

/// Users, apps and policies by token and number.
#[derive(Default)]
pub(super) struct Names {
    sessions: HashMap<SessionToken, Named>,
    ended: VecDeque<SessionToken>,
    apps: HashMap<u32, AppName>,
}

/// What a token stands for.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) user: UserName,
    /// The number of the zone it is in.
    pub(super) zone: u32,
    permitted: Arc<BTreeMap<AppName, Decision>>,
}

impl Names {
    pub(super) fn learn(&mut self, gateway: &Gateway) {
        for session in gateway.sessions() {
            self.name(session);
        }
        self.learn_apps(gateway);
    }

    pub(super) fn follow(&mut self, gateway: &Gateway, input: &Input, done: &Done) {
        if let Some(session) = &done.opened {
            self.name(session);
        }
        let regranted = done.regranted.iter().filter_map(|changed| gateway.session(changed.token));
        regranted.for_each(|session| self.name(session));
        for receipt in &done.receipts {
            self.ended.push_back(receipt.session.token);
        }
        while self.ended.len() > REMEMBERED {
            if let Some(token) = self.ended.pop_front() {
                self.sessions.remove(&token);
            }
        }
        if matches!(input, Input::PutApp(_)) {
            self.learn_apps(gateway);
        }
    }

    fn name(&mut self, session: &Session) {
        let named =
            Named { user: session.user.clone(), zone: session.source.zone, permitted: Arc::clone(&session.permitted) };
        self.sessions.insert(session.token, named);
    }

    fn learn_apps(&mut self, gateway: &Gateway) {
        self.apps = gateway.app_ids().iter().map(|(name, AppId(id))| (*id, name.clone())).collect();
    }

    pub(super) fn session(&self, token: u64) -> Option<&Named> {
        self.sessions.get(&SessionToken(token))
    }

    pub(super) fn app(&self, app: u32) -> Option<&AppName> {
        self.apps.get(&app)
    }

    pub(super) fn apps(&self) -> impl Iterator<Item = (u32, &AppName)> {
        self.apps.iter().map(|(id, name)| (*id, name))
    }

    /// The policies that let a session reach an app.
    pub(super) fn policies(&self, token: u64, app: u32) -> Vec<String> {
        let decision = self.app(app).and_then(|app| self.session(token)?.permitted.get(app));
        decision.map(|decision| decision.policies.clone()).unwrap_or_default()
    }
}
