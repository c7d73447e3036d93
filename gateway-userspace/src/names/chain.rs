//! Which records of an answer belong to the name that was asked for.
//!
//! An answer may hold records of other names, by mistake or on purpose. Only what the chain of aliases leads to counts.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// As many aliases are followed as resolvers usually follow.
const MOST_ALIASES: usize = 16;

/// One record of an answer. Names are lower case, and without a dot at their end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Link {
    /// A name is another one (CNAME).
    Alias {
        /// The name.
        name: String,
        /// The other one.
        target: String,
        /// For so long.
        ttl: Duration,
    },
    /// A name has an address.
    Address {
        /// The name.
        name: String,
        /// The address.
        address: IpAddr,
        /// For so long.
        ttl: Duration,
    },
}

/// The addresses that an answer says `name` to have, and how long all of that holds.
/// Empty, if the aliases lead to none, or in a circle.
#[must_use]
pub fn follow(name: &str, links: &[Link]) -> (BTreeSet<IpAddr>, Duration) {
    let (mut at, mut holds) = (name, Duration::MAX);
    for _ in 0..=MOST_ALIASES {
        let mut found = BTreeSet::new();
        for link in links {
            if let Link::Address { name, address, ttl } = link
                && name == at
            {
                found.insert(*address);
                holds = holds.min(*ttl);
            }
        }
        if !found.is_empty() {
            return (found, holds);
        }
        let alias = links.iter().find_map(|link| match link {
            Link::Alias { name, target, ttl } if name == at => Some((target, *ttl)),
            _ => None,
        });
        let Some((target, ttl)) = alias else { break };
        (at, holds) = (target, holds.min(ttl));
    }
    (BTreeSet::new(), holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(name: &str, target: &str, ttl: u64) -> Link {
        Link::Alias { name: name.into(), target: target.into(), ttl: Duration::from_secs(ttl) }
    }

    fn address(name: &str, address: &str, ttl: u64) -> Link {
        Link::Address { name: name.into(), address: address.parse().unwrap(), ttl: Duration::from_secs(ttl) }
    }

    fn check(links: &[Link], addresses: &[&str], ttl: Option<u64>) {
        let (found, holds) = follow("wiki.example.net", links);
        assert_eq!(found, addresses.iter().map(|address| address.parse().unwrap()).collect(), "{links:?}");
        assert_eq!(holds, ttl.map_or(Duration::MAX, Duration::from_secs), "{links:?}");
    }

    #[test]
    fn only_what_the_aliases_of_the_name_lead_to_counts() {
        let wiki = "wiki.example.net";
        check(&[], &[], None);
        check(&[address(wiki, "192.0.2.1", 60), address(wiki, "192.0.2.2", 30)], &["192.0.2.1", "192.0.2.2"], Some(30));
        check(&[address("other.example.net", "192.0.2.1", 60)], &[], None);
        let links = [
            alias("b.example.net", "c.example.net", 20),
            alias(wiki, "b.example.net", 40),
            address("c.example.net", "192.0.2.3", 50),
            address("evil.example.net", "192.0.2.66", 1),
        ];
        check(&links, &["192.0.2.3"], Some(20));
    }

    #[test]
    fn aliases_in_a_circle_lead_nowhere() {
        check(&[alias("wiki.example.net", "b", 9), alias("b", "wiki.example.net", 8)], &[], Some(8));
        let long: Vec<_> = (0..20).map(|n| alias(&format!("n{n}"), &format!("n{}", n + 1), 5)).collect();
        let links = [vec![alias("wiki.example.net", "n0", 5), address("n20", "192.0.2.1", 5)], long].concat();
        check(&links, &[], Some(5));
    }
}
