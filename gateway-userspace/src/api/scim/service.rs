//! What the routes need: the directory, and somebody who carries operations out.

use super::super::context::Later;
use crate::identity::scim::{Decided, Directory, Operation, ScimError};
use crate::policy::ProviderName;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The provider that a request comes from. Access control puts it into the request's extensions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScimClient {
    /// Which provider.
    pub provider: ProviderName,
    /// Where the request came from.
    pub address: IpAddr,
}

/// A look at the directory. It is short: whoever decides about access waits for it.
pub type Look = Box<dyn FnOnce(&Directory) + Send>;

/// Carries operations out.
pub trait ScimService: Send + Sync {
    /// Decides about an operation and carries it out. It is done when the kernel has been told.
    ///
    /// # Errors
    /// If it is refused, or cannot be done now.
    fn operate<'a>(&'a self, client: &'a ScimClient, operation: Operation) -> Later<'a, Result<Decided, ScimError>>;

    /// Looks at the directory.
    ///
    /// # Errors
    /// If that cannot be done now.
    fn look(&self, look: Look) -> Later<'_, Result<(), ScimError>>;
}

/// The directory, for the routes.
#[derive(Clone)]
pub struct Scim(pub Arc<dyn ScimService>);

impl fmt::Debug for Scim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scim")
    }
}

impl Scim {
    /// What is seen in the directory.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Directory) -> T + Send + 'static,
    ) -> Result<T, ScimError> {
        let (sender, receiver) = oneshot::channel();
        let look = Box::new(move |directory: &Directory| drop(sender.send(look(directory))));
        self.0.look(look).await?;
        receiver.await.map_err(|_| unavailable())
    }
}

/// The directory cannot be asked now.
fn unavailable() -> ScimError {
    ScimError::status(503, "the gateway cannot answer now; try again")
}
