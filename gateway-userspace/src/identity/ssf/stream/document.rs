//! What a transmitter says of itself and of its streams. Members that are not understood are ignored, as the
//! framework demands.

use super::super::http::Failure;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;
use url::Url;

/// `/.well-known/ssf-configuration`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TransmitterDocument {
    /// Who it is: letter by letter the `iss` of its events.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_uri: Url,
    /// How it delivers.
    #[serde(default)]
    pub delivery_methods_supported: Vec<String>,
    /// Where streams are configured.
    pub configuration_endpoint: Option<Url>,
    /// Where a verification event is asked for.
    pub verification_endpoint: Option<Url>,
    /// The members of a complex subject without which it is not understood.
    #[serde(default)]
    pub critical_subject_members: BTreeSet<String>,
}

impl TransmitterDocument {
    /// Reads the document of an issuer. A document of another, or with an endpoint that is not `https`, is none.
    ///
    /// # Errors
    /// If it is not one.
    pub fn read(body: &[u8], issuer: &str) -> Result<Self, Failure> {
        let document: Self =
            serde_json::from_slice(body).map_err(|_| Failure::Malformed("a transmitter configuration"))?;
        if document.issuer != issuer {
            return Err(Failure::Malformed("the configuration of this issuer"));
        }
        if document.endpoints().any(|url| url.scheme() != "https") {
            return Err(Failure::Malformed("a configuration in which every endpoint is `https`"));
        }
        Ok(document)
    }

    fn endpoints(&self) -> impl Iterator<Item = &Url> {
        let optional = [&self.configuration_endpoint, &self.verification_endpoint];
        std::iter::once(&self.jwks_uri).chain(optional.into_iter().flatten())
    }
}

/// A stream's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StreamDocument {
    /// Its name at the transmitter.
    pub stream_id: String,
    /// Who its events are from.
    pub iss: String,
    /// For whom they are.
    pub aud: Audience,
    /// How they come.
    pub delivery: DeliveryDocument,
    /// Those that the transmitter can send.
    #[serde(default)]
    pub events_supported: Vec<String>,
    /// In seconds, how often a verification event may be asked for at most.
    #[serde(default)]
    pub min_verification_interval: u64,
}

/// One receiver, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// How events come. The authorization header, which a transmitter may repeat, is not read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeliveryDocument {
    /// A URN.
    pub method: String,
    /// Where to, or where from.
    pub endpoint_url: Option<Url>,
}

impl StreamDocument {
    /// Reads the configuration of a stream of this issuer, for this audience.
    ///
    /// # Errors
    /// If it is not one.
    pub fn read(body: &[u8], issuer: &str, audience: &str) -> Result<Self, Failure> {
        let wrong = Failure::Malformed("the configuration of a stream for this audience; see `audience`");
        let stream: Self = serde_json::from_slice(body).map_err(|_| Failure::Malformed("a stream configuration"))?;
        if stream.is_of(issuer, audience) { Ok(stream) } else { Err(wrong) }
    }

    /// Those of a list that are of this issuer, for this audience.
    ///
    /// # Errors
    /// If it is not a list of streams.
    pub fn read_list(body: &[u8], issuer: &str, audience: &str) -> Result<Vec<Self>, Failure> {
        let list: Vec<Self> = serde_json::from_slice(body).map_err(|_| Failure::Malformed("a list of streams"))?;
        Ok(list.into_iter().filter(|stream| stream.is_of(issuer, audience)).collect())
    }

    fn is_of(&self, issuer: &str, audience: &str) -> bool {
        let is_ours = match &self.aud {
            Audience::One(one) => one == audience,
            Audience::Several(several) => several.iter().any(|one| one == audience),
        };
        let is_safe = self.delivery.endpoint_url.as_ref().is_none_or(|url| url.scheme() == "https");
        is_ours && is_safe && self.iss == issuer
    }

    /// How often a verification event may be asked for at most.
    #[must_use]
    pub const fn min_verification_interval(&self) -> Duration {
        Duration::from_secs(self.min_verification_interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ISSUER: &str = "https://tr.example";

    fn transmitter(changes: &Value) -> Result<TransmitterDocument, Failure> {
        let mut document = json!({"issuer": ISSUER, "jwks_uri": "https://tr.example/keys", "spec_version": "1_0"});
        document.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        TransmitterDocument::read(document.to_string().as_bytes(), ISSUER)
    }

    #[test]
    fn a_configuration_of_another_issuer_or_with_an_insecure_endpoint_is_refused() {
        assert!(transmitter(&json!({"verification_endpoint": "https://other.example/verify", "new": 1})).is_ok());
        for changes in [
            json!({"issuer": "https://tr.example/"}),
            json!({"jwks_uri": "http://tr.example/keys"}),
            json!({"verification_endpoint": "ftp://tr.example/verify"}),
            json!({"configuration_endpoint": "http://tr.example/streams"}),
            json!({"configuration_endpoint": "nonsense"}),
        ] {
            assert!(transmitter(&changes).is_err());
        }
    }

    fn stream(aud: &Value, endpoint: &str) -> Result<StreamDocument, Failure> {
        let delivery = json!({"method": "urn:ietf:rfc:8936", "endpoint_url": endpoint});
        let document = json!({"stream_id": "s1", "iss": ISSUER, "aud": aud, "delivery": delivery});
        StreamDocument::read(document.to_string().as_bytes(), ISSUER, "gate")
    }

    #[test]
    fn a_stream_is_ours_if_it_is_for_our_audience_and_safe() {
        assert!(stream(&json!("gate"), "https://tr.example/poll").is_ok());
        assert!(stream(&json!(["other", "gate"]), "https://tr.example/poll").is_ok());
        assert!(stream(&json!("other"), "https://tr.example/poll").is_err());
        assert!(stream(&json!("gate"), "http://tr.example/poll").is_err());
    }
}
