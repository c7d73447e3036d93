//! What of a transmitter's configuration its events are judged by: its keys, which are where that says that they are, and
//! the members of subjects without which it is not understood.

use super::super::http::{self, Failure};
use super::{TransmitterDocument, configuration_url};
use crate::identity::jose::{Fetched, KeySet, Source};
use reqwest::Client;
use std::collections::BTreeSet;
use std::time::Duration;
use time::OffsetDateTime;

const PATIENCE: Duration = Duration::from_secs(10);

/// What a transmitter's events are judged by.
#[derive(Debug)]
pub struct Published {
    /// What they are signed with.
    pub keys: KeySet,
    /// The members of a complex subject without which it is not understood.
    pub critical: BTreeSet<String>,
}

impl AsRef<KeySet> for Published {
    fn as_ref(&self) -> &KeySet {
        &self.keys
    }
}

/// Fetches the key set of a transmitter. Its configuration is looked at each time, because keys move.
#[derive(Debug)]
pub struct TransmitterKeys {
    /// Who asks.
    pub client: Client,
    /// The transmitter.
    pub issuer: String,
}

impl TransmitterKeys {
    async fn ask(&self) -> Result<Published, Failure> {
        let body = http::send(self.client.get(configuration_url(&self.issuer)?), PATIENCE).await?;
        let document = TransmitterDocument::read(&body, &self.issuer)?;
        let body = http::send(self.client.get(document.jwks_uri), PATIENCE).await?;
        let wrong = |_| Failure::Malformed("a key set with a key that can be used");
        Ok(Published { keys: KeySet::parse(&body).map_err(wrong)?, critical: document.critical_subject_members })
    }
}

impl Source for TransmitterKeys {
    type Item = Published;

    async fn fetch(&self, _: OffsetDateTime) -> Option<Fetched<Published>> {
        match self.ask().await {
            Ok(item) => Some(Fetched { item, max_age: None }),
            Err(failure) => {
                let (issuer, reason) = (self.issuer.as_str(), failure.label());
                tracing::warn!(issuer, reason, %failure, "keys of the transmitter could not be fetched");
                None
            }
        }
    }
}
