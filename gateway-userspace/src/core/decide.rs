//! From a request to what must be stored, applied and recorded.

use super::apply::Note;
use super::truth::Truth;
use super::{Actor, CoreError, Done, Login, Receipt, Request, State, Who, writes};
use crate::dataplane::clock::WallClock;
use crate::dataplane::{DataPlane, DataPlaneError, EndedSession, reconcile};
use crate::identity::{SecretHash, ServiceRefusal};
use crate::policy::{Changed, Drafted, EndCause, Ended, Input, Plan, Refusal, Selector, SessionToken, User, UserName};
use crate::record::{Cut, FlowEnds, Recorder};
use crate::store::{Store, StoredSession, Write};
use arcstr::ArcStr;
use gateway_common::KernelNanos;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::sync::watch;

/// How often what failed is tried again: to store what is in force, and to bring the tables to what should be there.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// Everything that the core's thread works with.
pub(super) struct Keeper {
    pub(super) state: State,
    pub(super) store: Box<dyn Store>,
    pub(super) plane: Box<dyn DataPlane>,
    pub(super) recorder: Recorder,
    pub(super) boot_id: ArcStr,
    /// What is in force but could not be stored yet.
    pub(super) unsaved: Vec<Write>,
    /// Whether the last write failed: until one succeeds, what it should have given may be on the disk.
    pub(super) in_doubt: bool,
    /// When that was last tried again.
    pub(super) tried: Instant,
    /// Set while the tables are neither as they were nor as they should be, because a plan failed and bringing them there
    /// did, too: when that is tried again. Until then plans only end sessions, because they start from what should be there.
    pub(super) torn: Option<Instant>,
    /// When the slots were last looked at, and how long not to look at them again.
    pub(super) looked: Instant,
    pub(super) looking: Duration,
    /// How far the tables have been looked at.
    pub(super) truth: Truth,
    /// When it was last looked at what has been used.
    pub(super) uses_looked: Instant,
    /// Tells that something may have changed.
    pub(super) changes: Arc<watch::Sender<()>>,
}

/// What has become of a plan.
struct Applied {
    /// The sessions that are known to have ended by it.
    ended: Vec<EndedSession>,
    /// Otherwise the tables have to be brought to what should be there.
    is_whole: bool,
}

/// Who asks, and since when.
pub(super) struct Asked<'a> {
    pub(super) actor: &'a Actor,
    /// When the request was taken up.
    pub(super) at: KernelNanos,
    /// How long it had waited then.
    waited: Duration,
    clock: WallClock,
    /// What they say about it.
    pub(super) note: Note,
}

impl<'a> Asked<'a> {
    /// The same, with what they say about it.
    pub(super) fn noting(&self, note: Note) -> Asked<'a> {
        let Self { actor, at, waited, clock, note: _ } = *self;
        Asked { actor, at, waited, clock, note }
    }

    /// When the request was taken up, on the wall clock.
    pub(super) fn wall(&self) -> OffsetDateTime {
        self.clock.at(self.at)
    }

    /// When the request was made.
    fn since(&self) -> KernelNanos {
        KernelNanos(self.at.0.saturating_sub(self.waited.as_nanos() as u64))
    }
}

impl Keeper {
    /// Does what is requested; it has waited for so long.
    pub(super) fn handle(&mut self, actor: &Actor, request: Request, waited: Duration) -> Result<Done, CoreError> {
        let asked = &Asked { actor, at: self.plane.now(), waited, clock: WallClock::now(), note: Note::default() };
        self.state.gateway.set_clock(asked.clock.timestamp());
        match request {
            Request::PutService { user, service } => self.put_service(asked, user, service),
            Request::RemoveService(name) => self.remove_service(asked, name),
            Request::PutApiToken(token) => {
                self.save(vec![Write::PutApiToken(token.clone())])?;
                self.recorder.token_changed(actor, "api_token_created", &token);
                self.state.accounts.tokens.insert(token.id.clone(), token);
                Ok(Done::default())
            }
            Request::RemoveApiToken(id) => {
                let removed = self.state.accounts.tokens.remove(&id);
                let removed = removed.ok_or_else(|| CoreError::UnknownApiToken(id.clone()))?;
                self.recorder.token_changed(actor, "api_token_revoked", &removed);
                self.save_what_is_in_force(vec![Write::RemoveApiToken(id)])?;
                Ok(Done::default())
            }
            Request::SetPassword { user, password } => {
                let known = self.state.gateway.user(&user).ok_or_else(|| Refusal::UnknownUser(user.clone()))?;
                self.may_have_a_password(known)?;
                self.save(vec![Write::PutPassword(user.clone(), password.clone())])?;
                self.recorder.admin(actor, "password_set", user.as_str());
                self.state.accounts.passwords.insert(user.clone(), password);
                self.end_all_of(asked, user)
            }
            Request::PutUser { user, password } => {
                let name = user.name.clone();
                if password.is_some() {
                    self.may_have_a_password(&user)?;
                }
                let also = password.clone().map(|hash| Write::PutPassword(name.clone(), hash)).into_iter().collect();
                let mut done = self.change(asked, Input::PutUser(user), also, None)?;
                if let Some(password) = password {
                    self.state.accounts.passwords.insert(name.clone(), password);
                    done.receipts.extend(self.end_all_of(asked, name)?.receipts);
                }
                Ok(done)
            }
            Request::Login(login) => self.login(asked, *login),
            Request::Renewed(renewed) => self.renewed(asked, renewed),
            Request::Signal(provider, order) => self.follow(asked, &provider, &order),
            Request::Scim(operation) => self.provision(asked, &operation),
            Request::Apply(apply) => self.apply_bundle(asked, *apply),
            Request::Confirm(generation) => self.confirm(asked, generation),
            Request::Policy(input) => {
                self.unless_unconfirmed(&input)?;
                self.policy(asked, input)
            }
        }
    }

    /// What policy is asked for, with what goes with it elsewhere.
    pub(super) fn policy(&mut self, asked: &Asked<'_>, input: Input) -> Result<Done, CoreError> {
        match (self.provisioned(&input), input) {
            (Some(removal), _) => self.provision(asked, &removal),
            (None, Input::RemoveUser(name)) => self.remove_user(asked, &name, Vec::new()),
            (None, input @ Input::End { .. }) => self.end(asked, input),
            (None, input) => self.change(asked, input, Vec::new(), None),
        }
    }

    fn login(&mut self, asked: &Asked<'_>, login: Login) -> Result<Done, CoreError> {
        let Login { token, secret, who, source, proof, deadline } = login;
        let (user, kept, before) = match who {
            Who::Known(user) => (user, None, Done::default()),
            Who::Service(name, credential) => (self.welcome_service(asked, name, &credential)?, None, Done::default()),
            Who::Arrived(arrived) => {
                let (arrival, kept) = *arrived;
                let (user, done) = self.arrive(asked, arrival)?;
                (user, Some(kept), done)
            }
        };
        self.may_be_at(&user, &source)?;
        let input = Input::Login { token, user, source, proof, deadline };
        let also = kept.clone().map(|kept| Write::PutProviderSession(token, kept)).into_iter().collect();
        let mut done = self.change(asked, input, also, Some(&secret))?;
        self.state.accounts.session_secrets.insert(token, secret);
        self.state.accounts.provider_sessions.extend(kept.map(|kept| (token, kept)));
        done.receipts.extend(before.receipts);
        Ok(done)
    }

    /// Removes a user, with what they prove who they are by.
    pub(super) fn remove_user(
        &mut self,
        asked: &Asked<'_>,
        name: &UserName,
        mut also: Vec<Write>,
    ) -> Result<Done, CoreError> {
        let subject = self.state.accounts.identities.subject(name);
        also.extend(subject.map(|(provider, subject)| Write::RemoveIdentity(provider.clone(), subject.into())));
        let done = self.change(asked, Input::RemoveUser(name.clone()), also, None);
        if self.state.gateway.user(name).is_none() {
            self.state.accounts.passwords.remove(name);
            self.state.accounts.services.remove(name);
            self.state.accounts.identities.unbind(name);
        }
        done
    }

    /// Whoever comes from a provider proves there who they are, and a service by what is its own.
    fn may_have_a_password(&self, user: &User) -> Result<(), CoreError> {
        if let Some(provider) = &user.provider {
            return Err(Refusal::Managed(user.name.clone(), provider.clone()).into());
        }
        match self.state.accounts.services.contains(&user.name) {
            true => Err(ServiceRefusal::NoPassword(user.name.clone()).into()),
            false => Ok(()),
        }
    }

    /// A new password ends what was begun with the old one.
    fn end_all_of(&mut self, asked: &Asked<'_>, user: UserName) -> Result<Done, CoreError> {
        let input = Input::End { which: Selector::User(user), cause: EndCause::PasswordChanged };
        self.change(asked, input, Vec::new(), None)
    }

    /// Lets policy decide, and carries out what follows.
    pub(super) fn change(
        &mut self,
        asked: &Asked<'_>,
        input: Input,
        mut also: Vec<Write>,
        secret: Option<&SecretHash>,
    ) -> Result<Done, CoreError> {
        let drafted = self.state.gateway.draft(&input, asked.at)?;
        let entry = self.entry(asked, &input, &drafted);
        also.extend(self.noted(entry.as_ref()));
        let begun = entry.map(|entry| self.beginning(asked, entry, &drafted));
        if gives_access(&input, &drafted) {
            let writes = self.writes(&drafted, also, secret.map(|secret| (secret, asked.clock)));
            // Nothing has changed yet, and if this fails nothing does.
            self.save(writes)?;
            let applied = self.apply(drafted.plan());
            let changed = self.state.gateway.adopt(drafted);
            self.begun(asked, begun);
            let opened = changed.opened.as_ref().map(|session| session.token);
            let done = match (self.settle(asked, changed, applied), opened) {
                (Err(error), Some(token)) => {
                    self.take_back(token);
                    self.save_what_is_in_force(vec![Write::RemoveSession(token)])?;
                    return Err(error);
                }
                (outcome, _) => outcome?,
            };
            self.recorder.changed(asked.actor, &self.state.gateway, &input, &done);
            return Ok(done);
        }
        // What takes access away is in force before anything else is thought about.
        let applied = self.apply(drafted.plan());
        let writes = self.writes(&drafted, also, None);
        let changed = self.state.gateway.adopt(drafted);
        self.begun(asked, begun);
        let done = self.settle(asked, changed, applied);
        let saved = self.save_what_is_in_force(writes);
        let done = done?;
        // Stored or not, it is in force, so it is recorded.
        self.recorder.changed(asked.actor, &self.state.gateway, &input, &done);
        saved.map(|()| done)
    }

    /// What has to be stored of a change that has not been adopted yet.
    fn writes(&self, drafted: &Drafted, also: Vec<Write>, secret: Option<(&SecretHash, WallClock)>) -> Vec<Write> {
        let gateway = &self.state.gateway;
        let mut writes = writes::of(gateway, drafted);
        writes.extend(also);
        if drafted.next_ids() != gateway.next_ids() {
            writes.push(Write::SetCounters(writes::counters_after(gateway, drafted)));
        }
        if let (Some(session), Some((secret, clock))) = (drafted.opened(), secret) {
            writes.push(Write::PutSession(StoredSession {
                session: session.clone(),
                boot_id: self.boot_id.clone(),
                secret: *secret,
                wall_deadline: clock.at(session.deadline),
            }));
        }
        writes
    }

    /// Applies a plan; of one that starts from other tables than there are what ends sessions, which is right wherever it
    /// starts from.
    fn apply(&mut self, plan: &Plan) -> Applied {
        let is_torn = self.torn.is_some();
        let applied = if is_torn { self.plane.apply(&plan.ends()) } else { self.plane.apply(plan) };
        let failed = |error: &DataPlaneError| tracing::error!(%error, "a plan could not be applied; reconciling");
        let applied = applied.inspect_err(failed);
        Applied { is_whole: !is_torn && applied.is_ok(), ended: applied.unwrap_or_default() }
    }

    /// After a plan was applied, or was not: makes the receipts, and ends the flows that nobody may use any more.
    fn settle(&mut self, asked: &Asked<'_>, changed: Changed, applied: Applied) -> Result<Done, CoreError> {
        let Applied { ended, is_whole } = applied;
        if !is_whole {
            self.reconcile()?;
        }
        let ended: HashMap<SessionToken, EndedSession> = ended.into_iter().map(|end| (end.token, end)).collect();
        let mut ends = FlowEnds::default();
        let receipts = changed.ended.into_iter().map(|end| {
            let found = ended.get(&end.session.token).copied();
            self.receipt(asked, end, found, &mut ends)
        });
        let receipts = receipts.collect();
        for regranted in changed.regranted.iter().filter(|regranted| !regranted.lost.is_empty()) {
            let cut = self.recorder.cut_apps(regranted.token, &regranted.lost, &mut ends);
            self.forget(&cut);
        }
        self.recorder.flows_cut(ends);
        for (policy, fault) in &changed.faults {
            tracing::warn!(policy, fault, "a policy could not be evaluated; whoever it concerned was denied");
        }
        if let Some(refusal) = changed.cramped {
            tracing::error!(%refusal, "what policies permit from now on does not fit; whoever would lose something has lost all");
        }
        let Changed { opened, regranted, redecided, generation, .. } = changed;
        Ok(Done { opened, receipts, regranted: Arc::new(regranted), redecided, generation, decided: None })
    }

    /// The receipt of a session that has ended; its flows end too.
    fn receipt(&mut self, asked: &Asked<'_>, end: Ended, found: Option<EndedSession>, ends: &mut FlowEnds) -> Receipt {
        let Ended { session, cause } = end;
        let (since, Asked { actor, clock, .. }) = (asked.since(), asked);
        self.state.accounts.session_secrets.remove(&session.token);
        self.state.accounts.provider_sessions.remove(&session.token);
        let found = found.unwrap_or_else(|| unseen(session.token, self.plane.now()));
        let cut = self.recorder.cut(session.token, ends);
        self.forget(&cut);
        // What took the short way stands in its flow, not with the session.
        let last = found.last_forwarded.max(cut.last_seen);
        let receipt = Receipt {
            session,
            cause,
            by: actor.name.clone(),
            requested_at: clock.at(since),
            enforced_after: Duration::from_nanos(found.enforced_at.since(since)),
            last_packet_at: last.map(|at| clock.at(at)),
            last_packet_after_request_nanos: last.map(|last| signed(last, since)),
            flows_cut: cut.open,
        };
        self.recorder.metrics().revoked(&receipt);
        receipt
    }

    fn forget(&mut self, cut: &Cut) {
        self.plane.reset_flows(&cut.connections);
        self.plane.forget_flows(&cut.keys);
    }

    /// Brings the tables to what should be there, whatever is. If that fails, it is tried again until it does not.
    pub(super) fn reconcile(&mut self) -> Result<(), CoreError> {
        let began = Instant::now();
        let reconciled = reconcile(self.plane.as_mut(), &self.state.gateway.tables());
        self.torn = reconciled.is_err().then(|| Instant::now() + RETRY.max(began.elapsed()));
        Ok(reconciled.inspect_err(|_| self.recorder.metrics().data_plane_failed())?)
    }

    /// Ends a session that was stored and could not be opened. Whatever else the login had ended is over.
    fn take_back(&mut self, token: SessionToken) {
        let input = Input::End { which: Selector::Session(token), cause: EndCause::Revoked };
        if let Err(error) = self.state.gateway.handle(input, self.plane.now()) {
            tracing::error!(%error, "a refused login could not be taken back");
        }
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
            self.recorder.metrics().unsaved(kept);
        }
        outcome
    }

    /// Whether the disk has what is in force, and nothing else.
    pub(super) fn is_saved(&self) -> bool {
        self.unsaved.is_empty() && !self.in_doubt
    }

    /// Stores a batch that is in force already. If that fails it is tried again until it succeeds: nothing that was
    /// taken away comes back with a restart.
    pub(super) fn save_what_is_in_force(&mut self, writes: Vec<Write>) -> Result<(), CoreError> {
        self.unsaved.extend(writes);
        if self.is_saved() {
            return Ok(());
        }
        let outcome = self.store.commit(&self.unsaved);
        self.in_doubt = outcome.is_err();
        if let Err(error) = outcome {
            tracing::error!(%error, unsaved = self.unsaved.len(), "the store failed");
            self.recorder.metrics().store_failed();
            self.recorder.metrics().unsaved(self.unsaved.len());
            return Err(error.into());
        }
        self.unsaved.clear();
        self.recorder.metrics().unsaved(0);
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

/// Whether a change must be stored before it is in force: it gives somebody access, or is neither to give nor to take.
fn gives_access(input: &Input, drafted: &Drafted) -> bool {
    // What comes with the time waits for no disk: it follows from what is stored, whenever that is read again.
    if matches!(input, Input::Tick) {
        return false;
    }
    let gains = || drafted.regranted().iter().any(|session| !session.gained.is_empty());
    let loses = || drafted.ended().len() != 0 || drafted.regranted().iter().any(|session| !session.lost.is_empty());
    drafted.opened().is_some() || gains() || !(takes_access_away(input) || loses())
}

/// Whether an input is there to take access away, from sessions or from those who might begin one.
pub(super) fn takes_access_away(input: &Input) -> bool {
    match input {
        Input::End { .. } | Input::RemoveUser(_) | Input::RemoveGroup(_) | Input::RemoveApp(_) => true,
        Input::PutUser(user) => !user.is_active(),
        Input::PutApp(app) => !app.enabled,
        Input::Login { .. } | Input::PutGroup(_) | Input::Members { .. } | Input::PutPolicy { .. } => false,
        Input::Apply { .. } | Input::Resolved(_) | Input::Tick => false,
    }
}
