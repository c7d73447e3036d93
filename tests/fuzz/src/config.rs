//! The daemon's configuration.

use crate::place;
use gateway_userspace::config::{Config, ConfigErrors};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

const ORIGIN: &str = "/etc/portcullis/portcullis.toml";

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = Config::parse(text, Path::new(ORIGIN));
    match &read {
        Ok(config) => sound(config),
        Err(errors) => named(text, errors),
    }
    assert_eq!(Config::parse(text, Path::new(ORIGIN)), read, "read twice, and not the same");
}

/// What the rest of the daemon relies on.
fn sound(config: &Config) {
    let names: BTreeSet<&str> = config.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    assert!(!names.is_empty() && names.len() == config.interfaces.len(), "{names:?}");
    for interface in &config.interfaces {
        assert!((1..=15).contains(&interface.name.len()) && !interface.zone.is_empty(), "{interface:?}");
        let vlans: BTreeSet<_> = interface.vlans.iter().map(|vlan| vlan.vlan).collect();
        assert_eq!(vlans.len(), interface.vlans.len(), "{interface:?}");
        for vlan in &interface.vlans {
            assert!((1..=4094).contains(&vlan.vlan.inner) && vlan.vlan.outer <= 4094, "{vlan:?}");
            assert!(!vlan.zone.is_empty(), "{vlan:?}");
        }
    }
    assert!(!config.api.listen.is_empty());
    assert!(config.api.management.iter().all(|prefix| prefix.trunc() == *prefix), "host bits");
    assert_eq!(config.api.certificate.is_some(), config.api.key.is_some());
    assert!(config.login.listen.iter().all(|socket| !socket.ip().is_unspecified()));
    let (minute, month) = (Duration::from_secs(60), Duration::from_secs(30 * 86_400));
    assert!((minute..=month).contains(&config.login.session), "{:?}", config.login.session);
    assert!(config.services.iter().all(|service| service.port != 0 && !service.name.is_empty()));
    let capacity = config.capacity;
    assert!(capacity.sessions.min(capacity.flows).min(capacity.grants).min(capacity.budgets) >= 16, "{capacity:?}");
    assert!(config.records.events_per_window() >= 1);
    let paths = [Some(&config.state), Some(&config.bpffs), config.api.certificate.as_ref(), config.api.key.as_ref()];
    let paths = paths.into_iter().flatten().chain(&config.first_start.apps).chain(&config.first_start.policies);
    assert!(paths.clone().all(|path| path.is_absolute()), "{:?}", paths.collect::<Vec<_>>());
}

/// Every error has a place that is there, and says what is wrong.
pub fn named(text: &str, errors: &ConfigErrors) {
    assert!(!errors.errors.is_empty(), "refused for no reason");
    for error in &errors.errors {
        let found = error.place.unwrap_or_else(|| panic!("{error} is nowhere"));
        place::exists(text, found.line, found.column);
        assert!(!error.problem.is_empty() && !error.to_string().contains('\n'), "{error:?}");
    }
    let places: Vec<_> = errors.errors.iter().map(|error| error.place).collect();
    assert!(places.is_sorted(), "{errors}");
    assert_eq!(errors.to_string().lines().count(), errors.errors.len(), "{errors}");
}

pub fn seeds() -> Vec<Vec<u8>> {
    let files = [
        include_str!("../../../configs/portcullis.toml"),
        include_str!("../../../configs/demo/portcullis.toml"),
        include_str!("config/all.toml"),
        include_str!("config/wrong.toml"),
    ];
    files.map(|file| file.as_bytes().to_vec()).into()
}
