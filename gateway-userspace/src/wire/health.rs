//! Health checks of apps, and what they have found.

use super::problem::FieldError;
use super::quantity::{parse_time, written_time};
use crate::health;
use crate::policy;
use crate::wire::Moment;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// How the gateway finds out whether an app answers: what it tries, by itself or with its times. It grants and denies
/// nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum HealthCheck {
    /// `443/tcp`: a TCP connection opens. `https://wiki.example.net/healthz`: the answer has a status from 200 to 399.
    Check(String),
    /// The same with its times.
    Timed(TimedHealthCheck),
}

/// A health check with its times.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TimedHealthCheck {
    /// What is tried: `443/tcp`, `https://wiki.example.net/healthz`.
    pub check: String,
    /// How often, at each address: `5 s` to `1 h`, usually `30 s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// How long an answer may take: `100 ms` to `30 s`, and less than `every`; usually `5 s`, or half of `every`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// After how many failures in a row an address is down: 1 to 10, usually 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u64>,
}

/// Not derived, because what is derived for alternatives says of a typo only that none of them matches.
impl<'de> Deserialize<'de> for HealthCheck {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = HealthCheck;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a health check like `443/tcp`, or an object with `check`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<HealthCheck, E> {
                Ok(HealthCheck::Check(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HealthCheck, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(map)).map(HealthCheck::Timed)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl From<&policy::HealthCheck> for HealthCheck {
    fn from(health: &policy::HealthCheck) -> Self {
        let policy::HealthCheck { probe, every, timeout, failures } = health;
        if health.is_usual() {
            return Self::Check(probe.to_string());
        }
        Self::Timed(TimedHealthCheck {
            check: probe.to_string(),
            every: Some(written_time(*every)),
            timeout: Some(written_time(*timeout)),
            failures: Some(u64::from(*failures)),
        })
    }
}

impl HealthCheck {
    /// The check that is meant.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field below `health`.
    pub fn into_model(self) -> Result<policy::HealthCheck, Vec<FieldError>> {
        let (check, place, every, timeout, failures) = match self {
            Self::Check(check) => (check, "health", None, None, None),
            Self::Timed(TimedHealthCheck { check, every, timeout, failures }) => {
                (check, "health.check", every, timeout, failures)
            }
        };
        let mut errors = Vec::new();
        let probe = check.parse().map_err(|error| errors.push(FieldError::at(place, error))).ok();
        let every = time("every", every, policy::HealthCheck::USUAL_EVERY, &mut errors);
        let usual = policy::HealthCheck::usual_timeout(every);
        let timeout = time("timeout", timeout, usual, &mut errors);
        let failures = failures.unwrap_or(policy::HealthCheck::USUAL_FAILURES.into());
        // What does not fit is out of bounds as well.
        let failures = u8::try_from(failures).unwrap_or(u8::MAX);
        let times =
            policy::HealthCheck { every, timeout, failures, ..policy::HealthCheck::of(policy::Probe::Connection(1)) };
        // One that could not be read has been told of, and has its usual value here.
        errors.extend(times.faults().into_iter().map(|(key, fault)| FieldError::at(format!("health.{key}"), fault)));
        match probe {
            Some(probe) if errors.is_empty() => Ok(policy::HealthCheck { probe, ..times }),
            _ => Err(errors),
        }
    }
}

fn time(field: &str, text: Option<String>, usual: Duration, errors: &mut Vec<FieldError>) -> Duration {
    let Some(text) = text else { return usual };
    parse_time(&text).unwrap_or_else(|| {
        let problem =
            format!("`{text}` is not a time; write a whole number and a unit, like `500 ms`, `30 s` or `5 m`");
        errors.push(FieldError::at(format!("health.{field}"), problem));
        usual
    })
}

/// What the health check of an app has found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AppHealth {
    /// `up`; `partly`, some addresses answer and some do not; `down`, none does; `unknown`, not tried often enough, or there
    /// is no address to try.
    pub state: String,
    /// Since when; while it is down, since the first attempt that failed. Left out while it is unknown.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<OffsetDateTime>,
    /// What was found at each address that is tried.
    pub addresses: Vec<AddressHealth>,
}

/// What was found at an address of an app.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AddressHealth {
    /// The address.
    pub address: String,
    /// `up`, `down` or `unknown`.
    pub state: String,
    /// Since when; while it is down, since the first attempt that failed.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<OffsetDateTime>,
    /// When it was last tried.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub tried_at: Option<OffsetDateTime>,
    /// How long the last answer took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_ms: Option<u64>,
    /// Why the last attempt failed: `refused`, `timeout`, `unreachable`, `closed`, `certificate`, `tls`, `status`, `answer` or
    /// `other`. Left out if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The same, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl AppHealth {
    /// The shape of what was found. `now` says what time the boot clock's moments are.
    #[must_use]
    pub fn of(found: &health::Found, now: Moment) -> Self {
        let health::Found { state, since, addresses } = found;
        Self {
            state: state.label().to_owned(),
            since: since.map(|since| now.wall_of(since)),
            addresses: addresses.iter().map(|address| AddressHealth::of(address, now)).collect(),
        }
    }
}

impl AddressHealth {
    fn of(found: &health::FoundAt, now: Moment) -> Self {
        let health::FoundAt { address, state, since, tried_at, took, failure } = found;
        Self {
            address: address.to_string(),
            state: state.label().to_owned(),
            since: since.map(|since| now.wall_of(since)),
            tried_at: tried_at.map(|at| now.wall_of(at)),
            answered_ms: took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            error: failure.as_ref().map(|failure| failure.kind.label().to_owned()),
            detail: failure.as_ref().map(|failure| failure.detail.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<policy::HealthCheck, String> {
        let shape: HealthCheck = serde_json::from_str(json).map_err(|error| error.to_string())?;
        shape.into_model().map_err(|errors| super::super::Invalid(errors).to_string())
    }

    #[test]
    fn a_check_is_read_and_written_back_in_one_spelling() {
        for (json, written) in [
            (r#""443/tcp""#, r#""443/tcp""#),
            (r#"{"check":"443/tcp"}"#, r#""443/tcp""#),
            (r#"{"check":"443/tcp","every":"30s","timeout":"5000 ms","failures":3}"#, r#""443/tcp""#),
            (
                r#"{"check":"http://a.example/","every":"5 s"}"#,
                r#"{"check":"http://a.example/","every":"5 s","timeout":"2500 ms","failures":3}"#,
            ),
            (
                r#"{"check":"1/tcp","every":"1 h","timeout":"100 ms","failures":10}"#,
                r#"{"check":"1/tcp","every":"1 h","timeout":"100 ms","failures":10}"#,
            ),
        ] {
            let health = read(json).unwrap();
            let shape = HealthCheck::from(&health);
            assert_eq!(serde_json::to_string(&shape).unwrap(), written);
            assert_eq!(read(written), Ok(health));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_field() {
        for (json, expected) in [
            (r#""443/udp""#, "health: `443/udp` is not a health check; write a TCP port like `443/tcp`"),
            (r#"{"check":"x"}"#, "health.check: `x` is not a health check"),
            (r#"{"check":"1/tcp","every":"4 s"}"#, "health.every: is out of bounds; choose a time from 5 s to 1 h"),
            (r#"{"check":"1/tcp","every":"61 m"}"#, "health.every: is out of bounds"),
            (r#"{"check":"1/tcp","every":"often"}"#, "health.every: `often` is not a time; write a whole number"),
            (r#"{"check":"1/tcp","timeout":"99 ms"}"#, "health.timeout: is out of bounds"),
            (r#"{"check":"1/tcp","timeout":"31 s","every":"1 m"}"#, "health.timeout: is out of bounds"),
            (r#"{"check":"1/tcp","timeout":"5 s","every":"5 s"}"#, "health.timeout: is not less than the time between"),
            (r#"{"check":"1/tcp","failures":0}"#, "health.failures: is out of bounds; choose one from 1 to 10"),
            (r#"{"check":"1/tcp","failures":257}"#, "health.failures: is out of bounds"),
            (r#"{"check":"x","failures":11}"#, "health.failures: is out of bounds"),
            (r#"{"check":"x","failures":11}"#, "health.check: `x` is not a health check"),
            (r#"{"chekc":"1/tcp"}"#, "unknown field `chekc`, expected one of `check`"),
            ("{}", "missing field `check`"),
            ("7", "expected a health check like `443/tcp`"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
