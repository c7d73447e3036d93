//! The keys of a transmitter, where its configuration says that they are.

use super::super::http::{self, Failure};
use super::{TransmitterDocument, configuration_url};
use crate::identity::jose::{Fetched, KeySet, Source};
use reqwest::Client;
use std::time::Duration;
use time::OffsetDateTime;

const PATIENCE: Duration = Duration::from_secs(10);

/// Fetches the key set of a transmitter. Its configuration is looked at each time, because keys move.
#[derive(Debug)]
pub struct TransmitterKeys {
    /// Who asks.
    pub client: Client,
    /// The transmitter.
    pub issuer: String,
}

impl TransmitterKeys {
    async fn ask(&self) -> Result<KeySet, Failure> {
        let body = http::send(self.client.get(configuration_url(&self.issuer)?), PATIENCE).await?;
        let document = TransmitterDocument::read(&body, &self.issuer)?;
        let body = http::send(self.client.get(document.jwks_uri), PATIENCE).await?;
        KeySet::parse(&body).map_err(|_| Failure::Malformed("a key set with a key that can be used"))
    }
}

impl Source for TransmitterKeys {
    type Item = KeySet;

    async fn fetch(&self, _: OffsetDateTime) -> Option<Fetched<KeySet>> {
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
