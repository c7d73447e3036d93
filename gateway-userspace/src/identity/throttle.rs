//! How often a password may be guessed: per address and per user, each by the generic cell rate algorithm.
//!
//! A limit per user alone is a weapon: anybody could keep anybody out. So whoever has logged in from an address is
//! held, at that address, by the address's limit only. Memory is bounded: the entries with the least debt give way.

use crate::policy::UserName;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// What is admitted.
#[derive(Clone, Copy, Debug)]
pub struct ThrottleLimits {
    /// Attempts of one address at once.
    pub address_burst: u32,
    /// After those, one in this time.
    pub address_interval: Duration,
    /// Attempts on one user at once.
    pub user_burst: u32,
    /// After those, one in this time.
    pub user_interval: Duration,
    /// How many addresses, and how many users, are remembered at most.
    pub remembered: usize,
}

impl Default for ThrottleLimits {
    fn default() -> Self {
        Self {
            address_burst: 10,
            address_interval: Duration::from_secs(3),
            user_burst: 10,
            user_interval: Duration::from_secs(30),
            remembered: 16_384,
        }
    }
}

/// Too early. How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts; retry in {} s", .0.as_secs().saturating_add(1))]
pub struct RetryAfter(pub Duration);

/// Counts login attempts.
#[derive(Debug)]
pub struct Throttle {
    limits: ThrottleLimits,
    addresses: Cells<IpAddr>,
    users: Cells<UserName>,
    known: Cells<(IpAddr, UserName)>,
}

impl Throttle {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(limits: ThrottleLimits) -> Self {
        let cells = limits.remembered;
        Self { limits, addresses: Cells::new(cells), users: Cells::new(cells), known: Cells::new(cells) }
    }

    /// Counts an attempt, before the password is looked at. `user` is `None` if the name cannot be one.
    ///
    /// # Errors
    /// If it came too early.
    pub fn attempt(&mut self, peer: IpAddr, user: Option<&UserName>, now: Instant) -> Result<(), RetryAfter> {
        let address = holder(peer);
        let ThrottleLimits { address_burst, address_interval, user_burst, user_interval, .. } = self.limits;
        self.addresses.take(address, address_burst, address_interval, now)?;
        match user {
            Some(user) if !self.known.holds(&(address, user.clone())) => {
                self.users.take(user.clone(), user_burst, user_interval, now)
            }
            _ => Ok(()),
        }
    }

    /// Notes that a user logged in from an address.
    pub fn succeeded(&mut self, peer: IpAddr, user: &UserName, now: Instant) {
        // The most recent logins are remembered longest, because the time is what the table evicts by.
        self.known.put((holder(peer), user.clone()), now, now);
    }
}

/// Who holds an address: an IPv6 host has its whole /64.
fn holder(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// For each key, the time at which its bucket is full again.
#[derive(Debug)]
struct Cells<K> {
    times: HashMap<K, Instant>,
    capacity: usize,
}

impl<K: Hash + Eq + Clone> Cells<K> {
    fn new(capacity: usize) -> Self {
        Self { times: HashMap::new(), capacity }
    }

    fn holds(&self, key: &K) -> bool {
        self.times.contains_key(key)
    }

    fn take(&mut self, key: K, burst: u32, interval: Duration, now: Instant) -> Result<(), RetryAfter> {
        let full_at = self.times.get(&key).map_or(now, |time| now.max(*time)) + interval;
        let allowed_from = full_at.checked_sub(interval * burst).unwrap_or(now);
        if allowed_from > now {
            return Err(RetryAfter(allowed_from - now));
        }
        self.put(key, full_at, now);
        Ok(())
    }

    fn put(&mut self, key: K, time: Instant, now: Instant) {
        if self.times.len() >= self.capacity && !self.times.contains_key(&key) {
            self.make_room(now);
        }
        self.times.insert(key, time);
    }

    fn make_room(&mut self, now: Instant) {
        let full = self.times.len();
        self.times.retain(|_, time| *time > now);
        if self.times.len() < full {
            return;
        }
        let least = self.times.iter().min_by_key(|(_, time)| **time).map(|(key, _)| key.clone());
        least.map(|key| self.times.remove(&key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ThrottleLimits = ThrottleLimits {
        address_burst: 3,
        address_interval: Duration::from_secs(1),
        user_burst: 2,
        user_interval: Duration::from_secs(10),
        remembered: 4,
    };

    fn user(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_gets_its_burst_and_then_its_rate() {
        let (mut throttle, start) = (Throttle::new(LIMITS), Instant::now());
        for _ in 0..3 {
            assert_eq!(throttle.attempt(address("192.0.2.1"), None, start), Ok(()));
        }
        let refused = throttle.attempt(address("192.0.2.1"), None, start);
        assert_eq!(refused, Err(RetryAfter(Duration::from_secs(1))));
        assert_eq!(throttle.attempt(address("192.0.2.2"), None, start), Ok(()));
        assert_eq!(throttle.attempt(address("192.0.2.1"), None, start + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn a_user_is_limited_across_addresses_but_not_where_they_have_logged_in() {
        let (mut throttle, now) = (Throttle::new(LIMITS), Instant::now());
        throttle.succeeded(address("192.0.2.9"), &user("ada"), now);
        for last in 1..=2 {
            let peer = IpAddr::from([192, 0, 2, last]);
            assert_eq!(throttle.attempt(peer, Some(&user("ada")), now), Ok(()));
        }
        let refused = throttle.attempt(address("192.0.2.3"), Some(&user("ada")), now);
        assert_eq!(refused, Err(RetryAfter(Duration::from_secs(10))));
        assert_eq!(throttle.attempt(address("192.0.2.9"), Some(&user("ada")), now), Ok(()));
    }

    #[test]
    fn an_ipv6_host_cannot_change_its_address_within_its_prefix_to_guess_more() {
        let (mut throttle, now) = (Throttle::new(LIMITS), Instant::now());
        for host in 1..=3_u16 {
            let peer = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host]);
            assert_eq!(throttle.attempt(peer, None, now), Ok(()));
        }
        assert!(throttle.attempt(address("2001:db8::4"), None, now).is_err());
        assert_eq!(throttle.attempt(address("2001:db8:0:1::1"), None, now), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_the_heaviest_guesser_stays_remembered() {
        let (mut throttle, now) = (Throttle::new(LIMITS), Instant::now());
        for _ in 0..3 {
            throttle.attempt(address("192.0.2.1"), None, now).unwrap();
        }
        for last in 2..=100 {
            throttle.attempt(IpAddr::from([192, 0, 2, last]), None, now).unwrap();
        }
        assert!(throttle.addresses.times.len() <= 4);
        assert!(throttle.attempt(address("192.0.2.1"), None, now).is_err());
    }
}
