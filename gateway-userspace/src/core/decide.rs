//! From a request to what must be stored, applied and recorded.

use super::{Actor, CoreError, Done, Login, Receipt, Request, State};
use crate::dataplane::clock::WallClock;
use crate::dataplane::{DataPlane, EndedSession, reconcile};
use crate::policy::{Changed, EndCause, Gateway, Input, NextIds, Selector, SessionToken, UserName};
use crate::record::Recorder;
use crate::store::{Counters, Store, StoredPolicy, StoredSession, Write};
use gateway_common::KernelNanos;
use std::time::{Duration, Instant};

/// Everything that the core's thread works with.
pub(super) struct Keeper {
    pub(super) state: State,
    pub(super) store: Box<dyn Store>,
    pub(super) plane: Box<dyn DataPlane>,
    pub(super) recorder: Recorder,
    pub(super) boot_id: String,
    /// What is in force but could not be stored yet.
    pub(super) unsaved: Vec<Write>,
    /// When that was last tried again.
    pub(super) tried: Instant,
}

impl Keeper {
    pub(super) fn handle(&mut self, actor: &Actor, request: Request) -> Result<Done, CoreError> {
        match request {
            Request::PutApiToken(token) => {
                self.save(vec![Write::PutApiToken(token.clone())])?;
                self.recorder.admin(actor, "api_token_created", &token.id.to_string());
                self.state.accounts.tokens.insert(token.id.clone(), token);
                Ok(Done::default())
            }
            Request::RemoveApiToken(id) => {
                let removed = self.state.accounts.tokens.remove(&id);
                removed.ok_or_else(|| CoreError::UnknownApiToken(id.clone()))?;
                self.recorder.admin(actor, "api_token_revoked", &id.to_string());
                self.save_what_is_in_force(vec![Write::RemoveApiToken(id)])?;
                Ok(Done::default())
            }
            Request::SetPassword { user, password } => {
                if self.state.gateway.user(&user).is_none() {
                    return Err(crate::policy::Refusal::UnknownUser(user).into());
                }
                self.save(vec![Write::PutPassword(user.clone(), password.clone())])?;
                self.recorder.admin(actor, "password_set", user.as_str());
                self.state.accounts.passwords.insert(user.clone(), password);
                self.end_all_of(actor, user)
            }
            Request::PutUser { user, password } => {
                let name = user.name.clone();
                let mut also = Vec::new();
                also.extend(password.clone().map(|hash| Write::PutPassword(name.clone(), hash)));
                let mut done = self.change(actor, Input::PutUser(user), also, None)?;
                if let Some(password) = password {
                    self.state.accounts.passwords.insert(name.clone(), password);
                    done.receipts.extend(self.end_all_of(actor, name)?.receipts);
                }
                Ok(done)
            }
            Request::Login(login) => {
                let Login { token, secret, user, source, factors, deadline } = login;
                let input = Input::Login { token, user, source, factors, deadline };
                let done = self.change(actor, input, Vec::new(), Some(&secret))?;
                self.state.accounts.session_secrets.insert(token, secret);
                Ok(done)
            }
            Request::Policy(Input::RemoveUser(name)) => {
                let done = self.change(actor, Input::RemoveUser(name.clone()), Vec::new(), None)?;
                self.state.accounts.passwords.remove(&name);
                Ok(done)
            }
            Request::Policy(input) => self.change(actor, input, Vec::new(), None),
        }
    }

    /// A new password ends what was begun with the old one.
    fn end_all_of(&mut self, actor: &Actor, user: UserName) -> Result<Done, CoreError> {
        let input = Input::End { which: Selector::User(user), cause: EndCause::PasswordChanged };
        self.change(actor, input, Vec::new(), None)
    }

    /// Lets policy decide, and carries out what follows.
    fn change(
        &mut self,
        actor: &Actor,
        input: Input,
        also: Vec<Write>,
        secret: Option<&crate::identity::SecretHash>,
    ) -> Result<Done, CoreError> {
        let clock = WallClock::now();
        let requested_at = self.plane.now();
        let undo = needs_copy(&input).then(|| self.state.gateway.clone());
        let before = self.state.gateway.next_ids();
        let changed = self.state.gateway.handle(input.clone(), requested_at)?;
        let mut writes = writes(&self.state.gateway, &input, &changed, undo.as_ref());
        writes.extend(also);
        if self.state.gateway.next_ids() != before {
            writes.push(Write::SetCounters(counters(&self.state.gateway)));
        }
        if let (Some(session), Some(secret)) = (&changed.opened, secret) {
            writes.push(Write::PutSession(StoredSession {
                session: session.clone(),
                boot_id: self.boot_id.clone(),
                secret: *secret,
                wall_deadline: clock.at(session.deadline),
            }));
        }
        let done = if gives_access(&input, &changed) {
            if let Err(error) = self.save(writes) {
                self.take_back(undo, &changed);
                return Err(error);
            }
            match self.enforce(actor, &changed, requested_at, clock) {
                Err(error) if changed.opened.is_some() => {
                    self.take_back(undo, &changed);
                    let opened = changed.opened.iter().map(|session| Write::RemoveSession(session.token)).collect();
                    self.save_what_is_in_force(opened)?;
                    return Err(error);
                }
                outcome => outcome?,
            }
        } else {
            let done = self.enforce(actor, &changed, requested_at, clock);
            let saved = self.save_what_is_in_force(writes);
            let done = done?;
            if let Err(error) = saved {
                // It is in force all the same, so it is recorded all the same.
                self.recorder.changed(actor, &self.state.gateway, &input, &done);
                return Err(error);
            }
            done
        };
        self.recorder.changed(actor, &self.state.gateway, &input, &done);
        Ok(done)
    }

    /// Applies the plan, and makes the receipts.
    fn enforce(
        &mut self,
        actor: &Actor,
        changed: &Changed,
        requested_at: KernelNanos,
        clock: WallClock,
    ) -> Result<Done, CoreError> {
        let ended = match self.plane.apply(&changed.plan) {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "a plan could not be applied; reconciling");
                self.reconcile().inspect_err(|_| self.recorder.metrics().data_plane_failed())?;
                Vec::new()
            }
        };
        let mut receipts = Vec::new();
        for end in &changed.ended {
            self.state.accounts.session_secrets.remove(&end.session.token);
            let found = ended.iter().find(|found| found.token == end.session.token).copied();
            let found = found.unwrap_or_else(|| unseen(end.session.token, self.plane.now()));
            let cut = self.recorder.cut(end.session.token);
            self.plane.reset_flows(&cut.connections);
            self.plane.forget_flows(&cut.keys);
            let receipt = Receipt {
                session: end.session.clone(),
                cause: end.cause,
                by: actor.name.clone(),
                requested_at: clock.at(requested_at),
                enforced_after: Duration::from_nanos(found.enforced_at.since(requested_at)),
                last_packet_at: found.last_forwarded.map(|at| clock.at(at)),
                last_packet_after_request_nanos: found.last_forwarded.map(|at| signed(at, requested_at)),
                flows_cut: cut.open,
            };
            self.recorder.metrics().revoked(receipt.enforced_after);
            receipts.push(receipt);
        }
        for regranted in changed.regranted.iter().filter(|regranted| !regranted.lost.is_empty()) {
            let cut = self.recorder.cut_apps(regranted.token, &regranted.lost);
            self.plane.reset_flows(&cut.connections);
            self.plane.forget_flows(&cut.keys);
        }
        for (policy, fault) in &changed.faults {
            tracing::warn!(policy, fault, "a policy could not be evaluated; whoever it concerned was denied");
        }
        Ok(Done {
            opened: changed.opened.clone(),
            receipts,
            regranted: changed.regranted.clone(),
            generation: changed.generation,
        })
    }

    fn reconcile(&mut self) -> Result<(), CoreError> {
        Ok(reconcile(self.plane.as_mut(), self.state.gateway.tables())?)
    }

    /// Puts the gateway back to what is stored, after a failed write of something that gives access.
    fn take_back(&mut self, undo: Option<Gateway>, changed: &Changed) {
        match undo {
            Some(gateway) => self.state.gateway = gateway,
            None => {
                let tokens = changed.opened.iter().map(|session| session.token);
                for token in tokens.collect::<Vec<SessionToken>>() {
                    let input = Input::End { which: Selector::Session(token), cause: EndCause::Revoked };
                    let now = self.plane.now();
                    if let Err(error) = self.state.gateway.handle(input, now) {
                        tracing::error!(%error, "a refused login could not be taken back");
                    }
                }
            }
        }
        // Whatever the change had ended (an older session at the same source, sessions past their deadline) is over in
        // the state or comes back with it; the tables follow.
        if let Err(error) = self.reconcile() {
            tracing::error!(%error, "the data plane could not be reconciled");
        }
    }

    /// Stores a batch that is not in force yet, with whatever could not be stored before.
    pub(super) fn save(&mut self, writes: Vec<Write>) -> Result<(), CoreError> {
        let kept = self.unsaved.len();
        let outcome = self.save_what_is_in_force(writes);
        if outcome.is_err() {
            self.unsaved.truncate(kept);
        }
        outcome
    }

    /// Stores a batch that is in force already. If that fails it is tried again until it succeeds: nothing that was
    /// taken away comes back with a restart.
    fn save_what_is_in_force(&mut self, writes: Vec<Write>) -> Result<(), CoreError> {
        self.unsaved.extend(writes);
        if self.unsaved.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.store.commit(&self.unsaved) {
            tracing::error!(%error, unsaved = self.unsaved.len(), "the store failed");
            self.recorder.metrics().store_failed();
            return Err(error.into());
        }
        self.unsaved.clear();
        Ok(())
    }
}

/// A session that was in force by intent and not in the tables: it forwarded nothing.
fn unseen(token: SessionToken, now: KernelNanos) -> EndedSession {
    EndedSession { token, enforced_at: now, last_forwarded: None }
}

fn signed(at: KernelNanos, from: KernelNanos) -> i64 {
    let difference = i128::from(at.0) - i128::from(from.0);
    i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
}

/// Whether a failed write can only be undone by going back to a copy. Sessions are undone by ending them: there may be
/// very many, and logins are frequent.
fn needs_copy(input: &Input) -> bool {
    match input {
        Input::Login { .. } | Input::End { .. } | Input::RemoveUser(_) | Input::Tick => false,
        // Disabling only takes away, and what takes away is not undone.
        Input::PutUser(user) => user.enabled,
        _ => true,
    }
}

/// Whether a change must be stored before it is in force: it gives somebody access, or is neither to give nor to take.
fn gives_access(input: &Input, changed: &Changed) -> bool {
    let Changed { opened, ended, regranted, .. } = changed;
    let gains = regranted.iter().any(|session| !session.gained.is_empty());
    let loses = !ended.is_empty() || regranted.iter().any(|session| !session.lost.is_empty());
    opened.is_some() || gains || !(loses || takes_access_away(input))
}

/// Whether an input is there to take access away, from sessions or from those who might begin one.
pub(super) fn takes_access_away(input: &Input) -> bool {
    match input {
        Input::End { .. } | Input::RemoveUser(_) | Input::RemoveGroup(_) | Input::RemoveApp(_) => true,
        Input::PutUser(user) => !user.enabled,
        Input::PutApp(app) => !app.enabled,
        Input::Login { .. } | Input::PutGroup(_) | Input::PutPolicy { .. } | Input::Tick => false,
    }
}

/// The numbers that are given out next, as they are stored.
pub(crate) fn counters(gateway: &Gateway) -> Counters {
    let NextIds { app_set, block, allow_list } = gateway.next_ids();
    let next_app = gateway.app_ids().values().map(|id| id.0).max().unwrap_or(0).saturating_add(1);
    Counters { next_app, next_app_set: app_set, next_allow_list: allow_list, next_block: block }
}

/// What has to be stored of a change.
fn writes(gateway: &Gateway, input: &Input, changed: &Changed, before: Option<&Gateway>) -> Vec<Write> {
    let mut writes: Vec<Write> = changed.ended.iter().map(|ended| Write::RemoveSession(ended.session.token)).collect();
    match input {
        Input::PutUser(user) => writes.push(Write::PutUser(user.clone())),
        Input::RemoveUser(name) => writes.push(Write::RemoveUser(name.clone())),
        Input::PutGroup(name) => writes.push(Write::PutGroup(name.clone())),
        Input::RemoveGroup(name) => {
            let members = before.into_iter().flat_map(Gateway::users).filter(|user| user.groups.contains(name));
            let members = members.filter_map(|user| gateway.user(&user.name));
            writes.extend(members.cloned().map(Write::PutUser));
            writes.push(Write::RemoveGroup(name.clone()));
        }
        Input::PutApp(app) => {
            if let Some((id, app)) = gateway.app(&app.name) {
                writes.push(Write::PutApp { app: app.clone(), id });
            }
        }
        Input::RemoveApp(name) => writes.push(Write::RemoveApp(name.clone())),
        Input::PutPolicy { text, .. } => {
            writes.push(Write::PutPolicy(StoredPolicy { generation: gateway.generation(), text: text.clone() }));
        }
        Input::Login { .. } | Input::End { .. } | Input::Tick => {}
    }
    writes.extend(changed.generation.map(Write::SetGeneration));
    writes
}
