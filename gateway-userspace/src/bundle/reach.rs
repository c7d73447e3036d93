//! Which app is at an address: looked up in what the kernel's tables would hold.

use super::Findings;
use super::apps::Apps;
use super::case::Address;
use super::finding::Finding;
use crate::policy::compile::{Compiled, Uncompilable, compile};
use crate::policy::{App, AppId, AppName, AppSetId, Protocol};
use gateway_common::Packet;
use gateway_common::abi::{AppEntry, AppKey};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

const SET: AppSetId = AppSetId(1);

/// After so many contradictions the others are not looked for.
const MOST_CONTRADICTIONS: usize = 100;

/// The compiled apps.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    tables: Compiled,
    names: BTreeMap<AppId, AppName>,
}

impl Reach {
    /// Compiles apps. Those that contradict one before them are told, and left out.
    pub(super) fn of(apps: &Apps, findings: &mut Findings) -> Self {
        let mut left_out: BTreeSet<AppName> = BTreeSet::new();
        let numbered: Vec<(AppId, &App)> = (1..).map(AppId).zip(apps.models()).collect();
        for _ in 0..MOST_CONTRADICTIONS {
            let rest = numbered.iter().copied().filter(|(_, app)| !left_out.contains(&app.name));
            match compile(rest, SET, 1) {
                Ok(tables) => {
                    let names = numbered.iter().map(|(id, app)| (*id, app.name.clone())).collect();
                    return Self { tables, names };
                }
                Err(Uncompilable { app, problem }) => {
                    findings.errors.extend(contradiction(apps, &app, &problem.to_string()));
                    if !left_out.insert(app) {
                        break;
                    }
                }
            }
        }
        let message = "apps contradict each other in more places than are told here";
        findings.errors.push(Finding::about(Finding::WHOLE, message, "put the others right and check again"));
        Self::default()
    }

    /// The app that the kernel finds there: at the most specific prefix, its port before any port.
    pub(super) fn app_at(&self, address: &Address) -> Option<&AppName> {
        let block = self.block_at(address.ip)?;
        let (protocol, port) = number(address);
        let key = |port: u16| AppKey { block, port: port.to_be_bytes(), protocol, side: AppKey::SERVICE };
        let entry: &AppEntry = self.tables.ports.get(&key(port)).or_else(|| self.tables.ports.get(&key(0)))?;
        self.names.get(&AppId(entry.app()))
    }

    fn block_at(&self, ip: IpAddr) -> Option<u32> {
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let prefixes = (0..=longest).rev().filter_map(|length| IpNet::new(ip, length).ok());
        prefixes.map(|prefix| (SET, prefix.trunc())).find_map(|key| self.tables.prefixes.get(&key)).map(|block| block.0)
    }
}

fn contradiction(apps: &Apps, app: &AppName, problem: &str) -> Option<Finding> {
    let declared = apps.declared(app)?;
    Some(Finding::about(&*declared.file, format!("app `{app}`: {problem}"), "").at(declared.place))
}

fn number(address: &Address) -> (u8, u16) {
    match (address.protocol, address.ip) {
        (Protocol::Tcp, _) => (Packet::TCP, address.port),
        (Protocol::Udp, _) => (Packet::UDP, address.port),
        (Protocol::Sctp, _) => (Packet::SCTP, address.port),
        (Protocol::Icmp, IpAddr::V4(_)) => (Packet::ICMP, 0),
        (Protocol::Icmp, IpAddr::V6(_)) => (Packet::ICMPV6, 0),
        (Protocol::Ip(number), _) => (number, 0),
    }
}
