//! Argon2 off the async threads: two at a time, a short queue, and then a refusal.
//!
//! On two threads that keep their memory: what is given back after each hash the allocator keeps, for every thread that
//! had some, and a burst of logins left 400 MB behind.

use super::password::{Memory, PasswordHash, PasswordProblem};
use crate::urgency;
use secrecy::SecretString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, oneshot};

/// Each takes 19 MiB and a core for 40 ms.
const AT_ONCE: usize = 2;
/// At 40 ms each, the last in the queue waits less than a second.
const QUEUE: usize = 32;

/// Checks and hashes passwords.
#[derive(Clone, Debug)]
pub struct Verifier {
    places: Arc<Semaphore>,
    work: Sender<Work>,
}

type Work = Box<dyn FnOnce(&mut Memory) + Send>;

/// Why a password was neither checked nor hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// Too many are waiting.
    #[error("too many logins at once; retry in a second")]
    Full,
    /// The runtime is shutting down.
    #[error("the gateway is shutting down")]
    Stopped,
    /// The new password is not good enough.
    #[error(transparent)]
    Password(#[from] PasswordProblem),
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new(AT_ONCE, QUEUE)
    }
}

impl Verifier {
    /// One that works on `at_once` passwords while `queue` more wait.
    #[must_use]
    pub fn new(at_once: usize, queue: usize) -> Self {
        // Now, so that the first login of an unknown user does not take twice as long.
        let _ = PasswordHash::of_nobody();
        let (work, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..at_once {
            let waiting = Arc::clone(&waiting);
            let started = std::thread::Builder::new().name("passwords".into()).spawn(move || serve(&waiting));
            if let Err(error) = started {
                tracing::error!(%error, "a thread for passwords cannot be started; logins wait longer");
            }
        }
        Self { places: Arc::new(Semaphore::new(at_once + queue)), work }
    }

    /// Whether a password is the one with this hash. Without a hash it takes the same time to say no.
    ///
    /// # Errors
    /// If too many are waiting.
    pub async fn verify(&self, password: SecretString, hash: Option<PasswordHash>) -> Result<bool, VerifierError> {
        self.run(move |memory| {
            let known = hash.is_some();
            let matches = hash.as_ref().unwrap_or(PasswordHash::of_nobody()).verify_in(memory, &password);
            matches && known
        })
        .await
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// If it is not good enough, or too many are waiting.
    pub async fn hash(&self, password: SecretString) -> Result<PasswordHash, VerifierError> {
        Ok(self.run(move |memory| PasswordHash::hash_in(memory, &password)).await??)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, VerifierError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| VerifierError::Full)?;
        let (answer, answered) = oneshot::channel();
        // The place goes with the work: a caller who hangs up frees no core that is still busy.
        let work = Box::new(move |memory: &mut Memory| {
            let _place = place;
            if !answer.is_closed() {
                // Whoever asked may have given up meanwhile.
                let _ = answer.send(work(memory));
            }
        });
        self.work.send(work).map_err(|_| VerifierError::Stopped)?;
        answered.await.map_err(|_| VerifierError::Stopped)
    }
}

/// Works until every verifier is gone.
fn serve(waiting: &Mutex<Receiver<Work>>) {
    if let Err(error) = urgency::be_patient() {
        tracing::info!(%error, "the threads for passwords are as urgent as those that take access away");
    }
    let mut memory = Memory::default();
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        if catch_unwind(AssertUnwindSafe(|| work(&mut memory))).is_err() {
            tracing::error!("a password could not be checked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_is_right_and_nobody_s_never_is() {
        let verifier = Verifier::default();
        let hash = verifier.hash("correct horse battery".into()).await.unwrap();
        assert_eq!(verifier.verify("correct horse battery".into(), Some(hash.clone())).await, Ok(true));
        assert_eq!(verifier.verify("correct horse".into(), Some(hash)).await, Ok(false));
        assert_eq!(verifier.verify("correct horse battery".into(), None).await, Ok(false));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_recovers() {
        let verifier = Verifier::new(1, 0);
        let held = Arc::clone(&verifier.places).try_acquire_owned().unwrap();
        assert_eq!(verifier.verify("x".into(), None).await, Err(VerifierError::Full));
        drop(held);
        assert_eq!(verifier.verify("x".into(), None).await, Ok(false));
    }
}
