//! How an app's health check is stored: within the row of the app.

use super::words;
use crate::policy::HealthCheck;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Serialize, Deserialize)]
pub(super) struct HealthShape {
    check: String,
    every_ms: u64,
    timeout_ms: u64,
    failures: u8,
}

impl From<&HealthCheck> for HealthShape {
    fn from(health: &HealthCheck) -> Self {
        let HealthCheck { probe, every, timeout, failures } = health;
        let millis = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self { check: probe.to_string(), every_ms: millis(every), timeout_ms: millis(timeout), failures: *failures }
    }
}

impl TryFrom<HealthShape> for HealthCheck {
    type Error = String;

    fn try_from(shape: HealthShape) -> Result<Self, String> {
        let HealthShape { check, every_ms, timeout_ms, failures } = shape;
        let health = Self {
            probe: check.parse().map_err(words)?,
            every: Duration::from_millis(every_ms),
            timeout: Duration::from_millis(timeout_ms),
            failures,
        };
        match health.faults().first() {
            Some((key, fault)) => Err(format!("health check: `{key}` {fault}")),
            None => Ok(health),
        }
    }
}
