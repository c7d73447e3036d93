//! The core's thread: one request at a time, those that take access away first.

use super::decide::{Keeper, RETRY, takes_access_away};
use super::truth::{self, Truth};
use super::{Actor, CoreError, Done, Request, State};
use crate::dataplane::DataPlane;
use crate::dataplane::clock::WallClock;
use crate::identity::scim::Action;
use crate::policy::{EndCause, Input, Selector};
use crate::record::Recorder;
use crate::store::Store;
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that may wait. One more is refused as busy.
const QUEUE: usize = 1024;
/// The longest time without looking at the clock.
const TICK: Duration = Duration::from_millis(100);
/// The slots are looked at as often, for sessions that have touched a trip-wire and have no receipt yet; but for no more
/// than this part of the time, because that takes the longer the more sessions there are.
const LOOKING_SHARE: u32 = 50;

type Question = Box<dyn FnOnce(&State) + Send>;

enum Message {
    /// Since when it waits, too.
    Change(Actor, Box<Request>, Instant, oneshot::Sender<Result<Done, CoreError>>),
    Read(Question),
}

/// The way to the core. Cheap to clone.
#[derive(Clone)]
pub struct Core {
    /// What takes access away. Served first, so that a flood of logins delays no revocation.
    urgent: mpsc::Sender<Message>,
    ordinary: mpsc::Sender<Message>,
    changes: Arc<watch::Sender<()>>,
}

impl Core {
    /// Asks for a change, and waits until it is in force and stored.
    ///
    /// # Errors
    /// If it is refused, or could not be stored or applied; see [`CoreError`] for what is in force then.
    pub async fn change(&self, actor: Actor, request: Request) -> Result<Done, CoreError> {
        let queue = if is_urgent(&request) { &self.urgent } else { &self.ordinary };
        let (answer, answered) = oneshot::channel();
        put(queue, Message::Change(actor, Box::new(request), Instant::now(), answer))?;
        answered.await.map_err(|_| CoreError::Stopped)?
    }

    /// Looks at the state. The closure runs on the core's thread and must be quick.
    ///
    /// # Errors
    /// If too many requests are waiting, or the daemon is shutting down.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, CoreError> {
        ask(&self.ordinary, look).await
    }

    /// Looks at the state before ordinary requests are served: for finding out who asks, which comes before whatever
    /// they may want to revoke.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_first<T: Send + 'static>(
        &self,
        look: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, CoreError> {
        ask(&self.urgent, look).await
    }

    /// Tells when something may have changed, since it last told so or, at first, since this was called.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Wakes whoever waits for a change: something has, beside the state.
    pub fn stir(&self) {
        self.changes.send_replace(());
    }
}

async fn ask<T: Send + 'static>(
    queue: &mpsc::Sender<Message>,
    look: impl FnOnce(&State) -> T + Send + 'static,
) -> Result<T, CoreError> {
    let (answer, answered) = oneshot::channel();
    let question: Question = Box::new(move |state| {
        // Whoever asked may have given up meanwhile.
        let _ = answer.send(look(state));
    });
    put(queue, Message::Read(question))?;
    answered.await.map_err(|_| CoreError::Stopped)
}

fn put(queue: &mpsc::Sender<Message>, message: Message) -> Result<(), CoreError> {
    queue.try_send(message).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => CoreError::Busy,
        mpsc::error::TrySendError::Closed(_) => CoreError::Stopped,
    })
}

fn is_urgent(request: &Request) -> bool {
    match request {
        Request::RemoveApiToken(_) | Request::RemoveService(_) | Request::Signal(..) => true,
        // Most of what a provider does to somebody who is there already may take access away.
        Request::Scim(operation) => !matches!(operation.action, Action::Create(_)),
        Request::PutUser { user, .. } => !user.is_active(),
        Request::Policy(input) => takes_access_away(input),
        Request::Login(_)
        | Request::Renewed(_)
        | Request::SetPassword { .. }
        | Request::PutService { .. }
        | Request::Apply(_)
        | Request::Confirm(_)
        | Request::PutApiToken(_) => false,
    }
}

/// Starts the core on a thread of its own. It runs until every [`Core`] is gone.
///
/// # Errors
/// If the thread cannot be started.
pub fn start(
    state: State,
    store: Box<dyn Store>,
    plane: Box<dyn DataPlane>,
    recorder: Recorder,
    boot_id: ArcStr,
) -> std::io::Result<(Core, std::thread::JoinHandle<()>)> {
    let (urgent, mut urgent_messages) = mpsc::channel(QUEUE);
    let (ordinary, mut messages) = mpsc::channel(QUEUE);
    let mut keeper = Keeper::new(state, store, plane, recorder, boot_id);
    let changes = Arc::clone(&keeper.changes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let thread = std::thread::Builder::new().name("core".into()).spawn(move || {
        runtime.block_on(async {
            let mut ticked = Instant::now();
            loop {
                // However many messages wait.
                if ticked.elapsed() >= TICK {
                    keeper.tick();
                    ticked = Instant::now();
                }
                keeper.look();
                let wait = keeper.until_next_deadline().min(TICK.saturating_sub(ticked.elapsed()));
                let wait = wait.min(keeper.truth.rests());
                let message = tokio::select! {
                    biased;
                    message = urgent_messages.recv() => message,
                    message = messages.recv() => message,
                    () = tokio::time::sleep(wait) => {
                        if keeper.until_next_deadline().is_zero() {
                            keeper.tick();
                            ticked = Instant::now();
                        }
                        continue;
                    }
                };
                match message {
                    Some(message) => keeper.serve(message),
                    None => break,
                }
            }
            let uses = keeper.uses(|_, _| true);
            if keeper.save(uses).is_err() {
                tracing::error!("what could not be stored is lost with this stop; enforcement is as it was");
            }
        });
    })?;
    Ok((Core { urgent, ordinary, changes }, thread))
}

impl Keeper {
    pub(super) fn new(
        state: State,
        store: Box<dyn Store>,
        plane: Box<dyn DataPlane>,
        recorder: Recorder,
        boot_id: ArcStr,
    ) -> Self {
        let now = Instant::now();
        let (unsaved, in_doubt, torn, truth) = (Vec::new(), false, None, Truth::new(now));
        let (tried, looked, looking, uses_looked) = (now, now, Duration::ZERO, now);
        let changes = Arc::new(watch::Sender::new(()));
        Self {
            state,
            store,
            plane,
            recorder,
            boot_id,
            unsaved,
            in_doubt,
            tried,
            torn,
            looked,
            looking,
            truth,
            uses_looked,
            changes,
        }
    }

    fn serve(&mut self, message: Message) {
        match message {
            Message::Change(actor, request, since, answer) => {
                let outcome = self.handle(&actor, *request, since.elapsed());
                if outcome.is_ok() {
                    self.changes.send_replace(());
                }
                // Whoever asked may have given up meanwhile; the change stands.
                let _ = answer.send(outcome);
            }
            Message::Read(question) => question(&self.state),
        }
        self.tell_metrics();
    }

    fn tell_metrics(&self) {
        self.recorder.metrics().state(&self.state.gateway);
        self.recorder.metrics().history(&self.state.history);
    }

    fn until_next_deadline(&self) -> Duration {
        let gateway = &self.state.gateway;
        let over = gateway.next_deadline().map(|deadline| Duration::from_nanos(deadline.since(self.plane.now())));
        let look = gateway.next_look_at_the_clock().map(|look| {
            let left = look.duration_since(WallClock::now().timestamp());
            left.try_into().unwrap_or(Duration::ZERO)
        });
        let undone = self.state.history.undone_at().map(|at| Duration::from_nanos(at.since(self.plane.now())));
        over.into_iter().chain(look).chain(undone).min().unwrap_or(TICK)
    }

    /// Whether a session is over, or policies may see another time than before.
    fn is_due(&mut self) -> bool {
        let gateway = &mut self.state.gateway;
        gateway.set_clock(WallClock::now().timestamp());
        let over = gateway.next_deadline().is_some_and(|deadline| deadline.has_passed(self.plane.now()));
        over || gateway.is_behind_the_clock()
    }

    /// Ends what is past its deadline or was revoked by the kernel, cleans up, and tries again what could not be stored.
    pub(super) fn tick(&mut self) {
        // Here and nowhere else: this thread is the one that takes access away, and when it hangs, on a disk say, nobody does.
        let found = self.plane.renew_lease();
        truth::note(self.recorder.metrics(), Ok(found));
        self.recorder.metrics().alive(self.plane.now());
        if self.torn.is_some_and(|again| Instant::now() >= again) {
            match self.reconcile() {
                Ok(()) => tracing::info!("the tables are as they should be again"),
                Err(error) => tracing::error!(%error, "the tables are not as they should be, and it is tried again"),
            }
        }
        if self.is_due()
            && let Err(error) = self.handle(&Actor::local(), Request::Policy(Input::Tick), Duration::ZERO)
        {
            tracing::error!(%error, "what comes with the time could not be carried out; it is tried again");
        }
        self.undo_what_was_not_confirmed();
        if self.looked.elapsed() >= self.looking {
            self.end_those_who_touched_a_trip_wire();
        }
        if self.unsaved.is_empty() {
            // Until then the slots of ended sessions are what tells a restarted daemon that they have ended.
            self.plane.sweep();
        }
        if !self.is_saved() && self.tried.elapsed() >= RETRY {
            self.tried = Instant::now();
            if self.save(Vec::new()).is_ok() {
                tracing::info!("the store works again; everything is saved");
            }
        }
        self.store_uses();
        self.tell_metrics();
    }
}

impl Keeper {
    /// The kernel has ended them already; what is left is the receipt, the record, and to store it.
    fn end_those_who_touched_a_trip_wire(&mut self) {
        let began = Instant::now();
        let revoked = self.plane.revoked_in_kernel();
        self.looked = Instant::now();
        self.looking = (self.looked - began) * LOOKING_SHARE;
        for token in revoked {
            let Some(user) = self.state.gateway.session(token).map(|session| session.user.clone()) else { continue };
            tracing::warn!(session = %token, %user, "a session has touched a trip-wire and is over");
            let input = Input::End { which: Selector::Session(token), cause: EndCause::TripWire };
            if let Err(error) = self.handle(&Actor::local(), Request::Policy(input), Duration::ZERO) {
                tracing::error!(%error, session = %token, "its end could not be stored; the kernel forwards nothing for it");
            }
        }
    }
}

impl Actor {
    /// The daemon itself.
    #[must_use]
    pub fn local() -> Self {
        Self { name: "local".into(), address: None }
    }
}
