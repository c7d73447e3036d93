//! Streams at a transmitter: where its documents are, what they say, and what a stream of ours has to be like. The
//! requests are in the child module [`manage`].

mod document;
mod keys;
mod manage;

pub use document::{StreamDocument, TransmitterDocument};
pub use keys::{Published, TransmitterKeys};
pub use manage::Manager;

use super::http::Failure;
use super::signal::Kind;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::Url;

const PUSH: &str = "urn:ietf:rfc:8935";
const POLL: &str = "urn:ietf:rfc:8936";
/// A stream of this gateway is told from others of the same receiver by this.
const DESCRIPTION: &str = "Portcullis";

/// How events are to come.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// The transmitter pushes them.
    Push {
        /// Where to.
        endpoint: Url,
        /// What it shows: the whole `Authorization` header.
        authorization: Option<SecretString>,
    },
    /// The gateway polls them.
    Poll,
}

impl Wanted {
    const fn method(&self) -> &'static str {
        match self {
            Self::Push { .. } => PUSH,
            Self::Poll => POLL,
        }
    }

    /// What a stream is created or updated with: those of the transmitter's events that do something here.
    fn properties(&self, supported: &[String]) -> Value {
        let mut delivery = json!({ "method": self.method() });
        if let Self::Push { endpoint, authorization } = self {
            delivery["endpoint_url"] = json!(endpoint.as_str());
            if let Some(authorization) = authorization {
                delivery["authorization_header"] = json!(authorization.expose_secret());
            }
        }
        let wanted = Kind::ALL.into_iter().filter(|kind| kind.is_wanted()).map(Kind::uri);
        let wanted: Vec<String> = wanted.filter(|uri| supported.is_empty() || supported.contains(uri)).collect();
        json!({ "delivery": delivery, "events_requested": wanted, "description": DESCRIPTION })
    }

    /// Whether a stream delivers in this way, to this place.
    fn is_met_by(&self, stream: &StreamDocument) -> bool {
        let to = stream.delivery.endpoint_url.as_ref();
        stream.delivery.method == self.method()
            && match self {
                Self::Push { endpoint, .. } => to == Some(endpoint),
                Self::Poll => to.is_some(),
            }
    }
}

/// Where a transmitter's configuration is: `/.well-known/ssf-configuration` goes between host and path of the issuer.
///
/// # Errors
/// If the issuer is not an `https` URL without query and fragment.
pub fn configuration_url(issuer: &str) -> Result<Url, Failure> {
    let wrong = Failure::Malformed("an issuer: it is not an `https` URL");
    let mut url = Url::parse(issuer).map_err(|_| wrong.clone())?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if url.scheme() != "https" || !url.has_host() || !plain || url.password().is_some() {
        return Err(wrong);
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("/.well-known/ssf-configuration{path}"));
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_stands_between_host_and_path_of_the_issuer() {
        for (issuer, expected) in [
            ("https://tr.example", "https://tr.example/.well-known/ssf-configuration"),
            ("https://tr.example/", "https://tr.example/.well-known/ssf-configuration"),
            ("https://tr.example:8443/a", "https://tr.example:8443/.well-known/ssf-configuration/a"),
            ("https://tr.example/a/b/", "https://tr.example/.well-known/ssf-configuration/a/b"),
        ] {
            assert_eq!(configuration_url(issuer).unwrap().as_str(), expected);
        }
        for issuer in
            ["http://tr.example", "tr.example", "https://tr.example/?a", "https://tr.example/#a", "https://u@t"]
        {
            assert!(configuration_url(issuer).is_err(), "{issuer}");
        }
    }

    #[test]
    fn only_events_that_do_something_are_requested_and_only_those_that_are_supported() {
        let all = Wanted::Poll.properties(&[]);
        let requested = all["events_requested"].as_array().unwrap();
        assert!(requested.contains(&json!(Kind::SessionRevoked.uri())));
        assert!(!requested.contains(&json!(Kind::SessionPresented.uri())));
        assert_eq!(all["delivery"], json!({"method": POLL}));
        let supported = [Kind::SessionRevoked.uri(), Kind::OptIn.uri()];
        assert_eq!(Wanted::Poll.properties(&supported)["events_requested"], json!([Kind::SessionRevoked.uri()]));
    }

    #[test]
    fn a_push_stream_says_where_to_and_with_which_header() {
        let endpoint: Url = "https://gate.example/ssf/corp".parse().unwrap();
        let wanted = Wanted::Push { endpoint, authorization: Some(SecretString::from("Bearer canary")) };
        assert!(!format!("{wanted:?}").contains("canary"));
        let delivery = &wanted.properties(&[])["delivery"];
        let expected = json!({
            "method": PUSH,
            "endpoint_url": "https://gate.example/ssf/corp",
            "authorization_header": "Bearer canary",
        });
        assert_eq!(delivery, &expected);
    }
}
