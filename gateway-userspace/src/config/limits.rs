//! What one source, or one session, may use.

use super::per_window;
use super::section::Section;
use super::value::Value;
use crate::policy::SessionLimits;
use crate::wire::parse_bit_rate;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// The kernel marks 64 places; with more of them in use too many destinations would share one.
const MOST_DESTINATIONS: u64 = 48;
/// In bits: slower than the first a page does not open, and the last is as fast as the kernel can count.
const SLOWEST: u64 = 64_000;
const FASTEST: u64 = 100_000_000_000;

/// Limits on packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitsConfig {
    /// Packets that one source may send to the gateway itself in a second; 0 for no limit.
    pub service_packets_per_second: u32,
    /// Those of every session.
    pub session: SessionLimits,
    /// How long a session that scans is held.
    pub quarantine: Duration,
    /// Denials that one CPU may answer in a second.
    pub answers_per_second: u32,
    /// How long apps that end with the daemon can be reached without it.
    pub lease: Duration,
}

impl LimitsConfig {
    /// Nanoseconds between two packets of one source to the gateway itself; 0 for no limit.
    #[must_use]
    pub fn service_interval(&self) -> u64 {
        1_000_000_000_u64.checked_div(self.service_packets_per_second.into()).unwrap_or_default()
    }

    /// How long a session that scans is held, in nanoseconds.
    #[must_use]
    pub fn quarantine_nanos(&self) -> u64 {
        nanos(self.quarantine)
    }

    /// How long the daemon's word counts, in nanoseconds.
    #[must_use]
    pub fn lease_nanos(&self) -> u64 {
        nanos(self.lease)
    }

    /// The answers that one CPU may give in one [`gateway_common::abi::EVENT_WINDOW`]; never 0.
    #[must_use]
    pub fn answers_per_window(&self) -> u32 {
        per_window(self.answers_per_second)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn limits(section: &mut Section<'_, '_>) -> LimitsConfig {
    let mut number = |key, most: u64, least: u64, default: u32| {
        let number = section.value(key).and_then(|value| value.integer(least..=most));
        number.and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
    };
    let service_packets_per_second = number("service_packets_per_second", 1_000_000, 0, 2_000);
    let new_flows_per_second = number("new_flows_per_second", 1_000_000, 0, 0);
    let destinations_per_second = number("destinations_per_second", MOST_DESTINATIONS, 0, 0);
    let answers_per_second = number("answers_per_second", 10_000_000, 10, 1_000);
    let bits = section.value("bandwidth").and_then(|value| bandwidth(&value)).unwrap_or_default();
    let lease = section.value("lease").and_then(|value| value.duration(SECOND..=DAY));
    let quarantine = section.value("quarantine").and_then(|value| value.duration(SECOND..=DAY));
    LimitsConfig {
        service_packets_per_second,
        session: SessionLimits { new_flows_per_second, destinations_per_second, bytes_per_second: bits / 8 },
        quarantine: quarantine.unwrap_or(5 * MINUTE),
        answers_per_second,
        lease: lease.unwrap_or(MINUTE),
    }
}

/// Bits in a second.
fn bandwidth(value: &Value<'_, '_>) -> Option<u64> {
    let text = value.text("100 Mbit/s")?;
    let Some(bits) = parse_bit_rate(text) else {
        let fix = "write a whole number and `kbit/s`, `Mbit/s` or `Gbit/s`, like `100 Mbit/s`";
        value.refuse(format!("`{text}` is not a bandwidth"), fix);
        return None;
    };
    let is_possible = (SLOWEST..=FASTEST).contains(&bits);
    if !is_possible {
        let fix = "choose one from 64 kbit/s to 100 Gbit/s, or remove the key for no limit";
        value.refuse(format!("`{text}` is out of bounds"), fix);
    }
    is_possible.then_some(bits)
}
