//! Logins at providers that have begun here and whose answer has not come yet. Bounded, and each for a while.

use crate::identity::SecretHash;
use crate::identity::oidc::{DevicePending, Pending};
use crate::policy::ProviderName;
use std::collections::BTreeMap;
use std::net::IpAddr;
use time::OffsetDateTime;

/// Most of all clients, and of one.
const MOST: usize = 16_384;
const MOST_OF_ONE: usize = 16;

/// A login that has begun.
pub(super) struct Begun<P> {
    pub provider: ProviderName,
    /// Where from.
    pub peer: IpAddr,
    /// What is bound to it beside the address: a cookie of the browser.
    pub binding: Option<SecretHash>,
    pub expires_at: OffsetDateTime,
    pub pending: P,
}

/// Logins by what they are found by.
pub(super) struct SignIns<P>(BTreeMap<String, Begun<P>>);

/// In a browser, by the `state` that comes back.
pub(super) type BrowserSignIns = SignIns<Pending>;
/// By device code, by an id that the client is given.
pub(super) type DeviceSignIns = SignIns<DevicePending>;

/// Nobody else may begin one now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl<P> Default for SignIns<P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<P> SignIns<P> {
    /// Keeps one. Those that are worth nothing any more go; of one client the oldest gives way.
    pub fn keep(&mut self, key: String, begun: Begun<P>, now: OffsetDateTime) -> Result<(), TooMany> {
        self.0.retain(|_, known| known.expires_at > now);
        let of_peer = self.0.iter().filter(|(_, known)| known.peer == begun.peer);
        let of_peer: Vec<_> = of_peer.map(|(key, known)| (known.expires_at, key.clone())).collect();
        if of_peer.len() >= MOST_OF_ONE
            && let Some((_, oldest)) = of_peer.iter().min()
        {
            self.0.remove(oldest);
        }
        if self.0.len() >= MOST {
            return Err(TooMany);
        }
        self.0.insert(key, begun);
        Ok(())
    }

    /// Takes one away: its answer counts once.
    pub fn take(&mut self, key: &str, now: OffsetDateTime) -> Option<Begun<P>> {
        self.0.remove(key).filter(|begun| begun.expires_at > now)
    }

    /// Puts one back that goes on.
    pub fn put_back(&mut self, key: String, begun: Begun<P>) {
        self.0.insert(key, begun);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn begun(peer: u8, seconds: i64) -> Begun<()> {
        let provider = ProviderName::new("corp").unwrap();
        let expires_at = NOW + time::Duration::seconds(seconds);
        Begun { provider, peer: [10, 0, 0, peer].into(), binding: None, expires_at, pending: () }
    }

    #[test]
    fn an_answer_counts_once_and_not_too_late() {
        let mut logins = SignIns::default();
        logins.keep("a".into(), begun(1, 10), NOW).unwrap();
        logins.keep("b".into(), begun(1, 10), NOW).unwrap();
        assert!(logins.take("a", NOW).is_some() && logins.take("a", NOW).is_none());
        assert!(logins.take("b", NOW + time::Duration::seconds(10)).is_none());
    }

    #[test]
    fn one_client_pushes_out_its_own_and_nobody_else_s() {
        let mut logins = SignIns::default();
        logins.keep("other".into(), begun(2, 1), NOW).unwrap();
        for number in 0..=MOST_OF_ONE {
            logins.keep(number.to_string(), begun(1, 10 + number as i64), NOW).unwrap();
        }
        assert!(
            logins.take("0", NOW).is_none() && logins.take("1", NOW).is_some() && logins.take("other", NOW).is_some()
        );
    }
}
