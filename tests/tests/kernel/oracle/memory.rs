//! What packets leave behind: flows, budgets, meters, fragments and sources, in the twin and in the oracle.

use super::tables::{Client, Connection, FirstFragment, FragmentName, Name, Oracle, Origin};
use super::transport::Inside;
use gateway_common::abi::{
    BudgetKey, FlowCopy, FlowKey, FragmentKey, Interface, ServiceKey, Session, SourceKey, Vlan, VlanKey,
};
use gateway_common::{Address, Tables as _, Word};
use gateway_userspace::dataplane::MemoryDataPlane;
use gateway_userspace::policy::{Capacities, SessionToken};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// An empty twin with the oracle's interfaces and services.
pub fn twin_of(oracle: &Oracle) -> MemoryDataPlane {
    let mut twin = MemoryDataPlane::new(Capacities {
        sessions: 64,
        flows: oracle.most_flows,
        app_prefixes: 256,
        app_ports: 1024,
        grants: 256,
        apps: 64,
        budgets: oracle.most_accounts,
        fragments: 100_000,
        sources: 100_000,
    });
    twin.settings.service_interval = oracle.service_interval;
    twin.settings.quarantine = oracle.quarantine;
    twin.settings.reset_mark = oracle.reset_mark;
    for guard in &oracle.guards {
        let flags = [
            (guard.has_link, Interface::LINK_LAYER),
            (guard.rejects, Interface::REJECT),
            (guard.observes, Interface::OBSERVE),
            (guard.tracks_fragments, Interface::TRACK_FRAGMENTS),
            (guard.admits_options, Interface::ADMIT_OPTIONS),
            (guard.admits_extensions, Interface::ADMIT_EXTENSIONS),
        ];
        let flags = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum();
        let row = |zone| Interface { zone, slot: guard.index, flags, reserved: 0 };
        twin.interfaces.insert(guard.index, row(guard.zone));
        for (&(outer, inner), zone) in &guard.vlans {
            let key = VlanKey { interface: guard.index, vlan: Vlan { outer, inner } };
            twin.vlans.insert(key, row(*zone));
        }
    }
    twin.services = services_of(oracle);
    twin.management.clone_from(&oracle.management);
    twin
}

/// The gateway's own addresses and services, as the tables have them.
pub fn services_of(oracle: &Oracle) -> BTreeMap<ServiceKey, u32> {
    let mut services = BTreeMap::new();
    for own in &oracle.own {
        services.insert(ServiceKey::own(Address::from(*own)), ServiceKey::OWN_ADDRESS);
    }
    for service in &oracle.services {
        let key = ServiceKey::new(Address::from(service.address), service.protocol, service.port);
        services.insert(key, if service.is_open { ServiceKey::OPEN } else { ServiceKey::MANAGEMENT });
    }
    services
}

/// How the memories of law and oracle differ.
pub fn differences(twin: &MemoryDataPlane, oracle: &Oracle) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |what: String, law: Vec<u64>, own: Vec<u64>| {
        if law != own {
            wrong.push(format!("{what}: law {law:x?}, oracle {own:x?}"));
        }
    };
    check("number of flows".into(), vec![twin.flow_keys().len() as u64], vec![oracle.flows.len() as u64]);
    for (name, flow) in &oracle.flows {
        let found = twin.flow(&key(name)).map_or(vec![], |flow| of_flow(flow.copy()));
        check(format!("{name:?}"), found, as_numbers(flow));
    }
    let budgets: Vec<(BudgetKey, u64)> = twin.budgets();
    let count = budgets.len() as u64;
    check("number of budgets".into(), vec![count], vec![oracle.accounts.len() as u64]);
    for (BudgetKey { token, app, .. }, _) in budgets {
        let own = oracle.accounts.get(&(token, app)).map_or(vec![], |account| vec![account.used, account.limit]);
        let law = twin.budget(&BudgetKey { token, app, reserved: 0 });
        let law = law.map_or(vec![], |budget| vec![budget.used.load(), budget.limit.load()]);
        check(format!("budget of {token:x} for {app}"), law, own);
    }
    for client in &oracle.clients {
        let flows = twin.flow_keys().into_iter().filter_map(|key| Some(twin.flow(&key)?.copy()));
        let law = twin.session_slot(SessionToken(client.token)).map_or(vec![], |slot| of_session(slot, flows));
        check(format!("{client:?}"), law, of_client(client));
    }
    for (name, first) in &oracle.fragments {
        let law = twin.fragments(&fragment_key(name));
        let law = law.map_or(vec![], |found| {
            let mut later: Vec<u64> = found.later.iter().map(Word::load).collect();
            later.retain(|stretch| *stretch != 0);
            later.sort_unstable();
            [vec![found.deadline.load(), found.first.load()], later].concat()
        });
        check(format!("{name:?}"), law, of_fragments(first));
    }
    for ((zone, origin), paid) in &oracle.sources {
        let key = SourceKey { source: source(*origin), zone: *zone, reserved: 0 };
        let law = twin.source(&key).map_or(vec![], |word| vec![word.load()]);
        check(format!("{origin:?} in {zone}"), law, vec![*paid]);
    }
    wrong
}

/// The key under which the data plane has the flow.
pub fn key(name: &Name) -> FlowKey {
    FlowKey {
        client: name.client.into(),
        app: name.app.into(),
        client_port: name.client_port.to_be_bytes(),
        app_port: name.app_port.to_be_bytes(),
        zone: name.zone,
        protocol: name.protocol,
        reserved: [0; 7],
    }
}

/// The fields of a flow, in their order.
pub fn as_numbers(flow: &Connection) -> Vec<u64> {
    let ends = [(flow.client_closed, 1), (flow.app_closed, 2), (flow.reset, 4), (flow.by_app, 8)];
    let ends: u64 = ends.iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum();
    let policy = u64::from(flow.policy.0) << 32 | u64::from(flow.policy.1);
    let flags = u64::from(flow.has_budget) | u64::from(flow.outlasts_daemon) << 1;
    let app = u64::from(flow.app_number) | flags << 32;
    let [from_client, from_app] = flow.progress.map(|(behind, ack)| u64::from(behind) << 32 | u64::from(ack));
    let mut all = vec![flow.token, policy, flow.deadline, app, ends, flow.opened_at, flow.last_seen];
    all.extend(flow.carried);
    all.extend([from_client, from_app]);
    all
}

/// The fields of a flow as the tables have it, in their order.
pub fn of_flow(flow: FlowCopy) -> Vec<u64> {
    let FlowCopy { token, policy, deadline, app, ends, opened_at, last_seen, .. } = flow;
    let carried = [flow.to_app_packets, flow.to_app_bytes, flow.to_client_packets, flow.to_client_bytes];
    let progress = [flow.client_progress, flow.app_progress];
    [&[token, policy, deadline, app, ends, opened_at, last_seen][..], &carried, &progress].concat()
}

/// What packets leave in a session, in the order of [`of_session`].
pub fn of_client(client: &Client) -> Vec<u64> {
    let mut all = vec![client.standing as u64 + 1, client.quarantined_until, client.flows_paid];
    all.extend(client.bytes_paid);
    all.extend([client.window, client.tried, client.last_forwarded]);
    all.push(client.dropped);
    all
}

/// The same of a session in the tables, where what took the short way stands in its flow.
pub fn of_session(session: &Session, flows: impl Iterator<Item = FlowCopy>) -> Vec<u64> {
    let l = &session.limits;
    let last_seen = flows.filter(|flow| flow.token == session.token()).map(|flow| flow.last_seen).max();
    let last_forwarded = Word::from(session.last_forwarded.load().max(last_seen.unwrap_or_default()));
    let words = [
        &session.state,
        &session.quarantined_until,
        &l.flows_paid,
        &l.bytes_paid[0],
        &l.bytes_paid[1],
        &l.window,
        &l.tried,
        &last_forwarded,
        &session.dropped,
    ];
    words.map(|word| word.load()).to_vec()
}

fn fragment_key(name: &FragmentName) -> FragmentKey {
    FragmentKey {
        source: name.from.into(),
        destination: name.to.into(),
        zone: name.zone,
        identification: name.id,
        protocol: name.protocol.unwrap_or(0),
        direction: u8::from(name.is_to_client),
        reserved: [0; 6],
    }
}

fn of_fragments(first: &FirstFragment) -> Vec<u64> {
    let (from, to) = first.inside.ports();
    let echo = match (first.inside, first.protocol) {
        (Inside::Request(_), 1) => 8,
        (Inside::Request(_), _) => 128,
        (Inside::Reply(_), 1) => 0,
        (Inside::Reply(_), _) => 129,
        _ => 0,
    };
    let word = u64::from(from) << 48
        | u64::from(to) << 32
        | u64::from(first.end) << 16
        | u64::from(first.protocol) << 8
        | echo;
    let later = first.later.iter().map(|(start, end)| u64::from(*start) << 32 | u64::from(*end));
    [first.until, word].into_iter().chain(later).collect()
}

fn source(origin: Origin) -> Address {
    let mut bytes = [0; 16];
    match origin {
        Origin::V4(v4) => return Address::from(IpAddr::from(v4)),
        Origin::V6(first) => bytes[..8].copy_from_slice(&first),
        Origin::Mac(mac) => bytes[10..].copy_from_slice(&mac),
    }
    Address(bytes)
}
