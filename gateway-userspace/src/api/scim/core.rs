//! The core, as the routes know it.

use super::super::context::{Later, Shared};
use super::{Look, Scim, ScimClient, ScimService};
use crate::core::{Actor, Core, CoreError, Request};
use crate::identity::scim::{Decided, Operation, ScimError, ScimType};
use crate::policy::Refusal;
use axum::extract::FromRef;
use std::sync::Arc;

impl FromRef<Arc<Shared>> for Scim {
    fn from_ref(shared: &Arc<Shared>) -> Self {
        Self(Arc::new(shared.context.core.clone()))
    }
}

impl ScimService for Core {
    fn operate<'a>(&'a self, client: &'a ScimClient, operation: Operation) -> Later<'a, Result<Decided, ScimError>> {
        Box::pin(async move {
            let actor = Actor::provider(&client.provider, Some(client.address));
            let done = self.change(actor, Request::Scim(Box::new(operation))).await.map_err(refused)?;
            done.decided.ok_or_else(|| ScimError::status(500, "this is a defect of the gateway; its log says more"))
        })
    }

    fn look(&self, look: Look) -> Later<'_, Result<(), ScimError>> {
        Box::pin(async move { self.read(move |state| look(&state.directory)).await.map_err(refused) })
    }
}

fn refused(error: CoreError) -> ScimError {
    match error {
        CoreError::Scim(error) => error,
        CoreError::Refused(refusal @ Refusal::TableFull { .. }) => ScimError::status(409, refusal.to_string()),
        CoreError::Refused(refusal) => ScimError::of(ScimType::InvalidValue, refusal.to_string()),
        CoreError::Busy | CoreError::Stopped => ScimError::status(503, error.to_string()),
        other => {
            tracing::error!(error = %other, "a SCIM request failed");
            ScimError::status(503, "the gateway could not write its state; its log says why")
        }
    }
}
