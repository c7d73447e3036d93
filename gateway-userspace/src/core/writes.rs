//! What has to be stored of a change, and what a gateway is made of again.

use crate::dataplane::clock::WallClock;
use crate::policy::{Drafted, Fact, Gateway, NextIds, Restored, Session, TableSet};
use crate::store::{Counters, Stored, StoredPolicy, Write};

/// What a gateway is restored from: what was stored, and these of its sessions. No id is given out that is in the tables
/// that were found.
pub(crate) fn restored(stored: Stored, sessions: Vec<Session>, found: &TableSet) -> Restored {
    let Counters { next_app: _, next_app_set, next_allow_list, next_block } = stored.counters;
    let next_ids = NextIds { app_set: next_app_set, block: next_block, allow_list: next_allow_list };
    Restored {
        users: stored.users,
        groups: stored.groups,
        apps: stored.apps,
        app_ids: stored.app_ids,
        settings: stored.settings,
        answers: stored.answers,
        policy: stored.policy.map(|policy| policy.files).unwrap_or_default(),
        generation: stored.generation,
        sessions,
        next_ids: next_ids.above(found),
        now: WallClock::now().timestamp(),
    }
}

/// The numbers that are given out next, as they are stored.
pub(crate) fn counters(gateway: &Gateway) -> Counters {
    numbered(gateway.next_ids(), last_app(gateway))
}

/// The same, once a change is adopted.
pub(super) fn counters_after(gateway: &Gateway, drafted: &Drafted) -> Counters {
    let app = drafted.last_app().map_or(0, |id| id.0);
    numbered(drafted.next_ids(), last_app(gateway).max(app))
}

fn last_app(gateway: &Gateway) -> u32 {
    gateway.app_ids().values().map(|id| id.0).max().unwrap_or(0)
}

fn numbered(next: NextIds, last_app: u32) -> Counters {
    let NextIds { app_set, block, allow_list } = next;
    let next_app = last_app.saturating_add(1);
    Counters { next_app, next_app_set: app_set, next_allow_list: allow_list, next_block: block }
}

/// The writes of a change that `gateway` has not adopted yet.
pub(super) fn of(gateway: &Gateway, drafted: &Drafted) -> Vec<Write> {
    let mut writes: Vec<Write> = drafted.ended().map(Write::RemoveSession).collect();
    for fact in drafted.facts() {
        match fact {
            Fact::User(user) => writes.push(Write::PutUser(user.clone())),
            Fact::NoUser(name) => writes.push(Write::RemoveUser(name.clone())),
            Fact::Group(name) => writes.push(Write::PutGroup(name.clone())),
            Fact::NoGroup(name) => {
                let members = gateway.users().filter(|user| user.groups.contains(name));
                writes.extend(members.cloned().map(|mut user| {
                    user.groups.remove(name);
                    Write::PutUser(user)
                }));
                writes.push(Write::RemoveGroup(name.clone()));
            }
            Fact::App(app, id) => writes.push(Write::PutApp { app: app.clone(), id: *id }),
            Fact::NoApp(name) => writes.push(Write::RemoveApp(name.clone())),
            Fact::Policy(policy) => {
                let generation = drafted.generation().unwrap_or_else(|| gateway.generation());
                writes.push(Write::PutPolicy(StoredPolicy { generation, files: policy.files().to_vec() }));
            }
            Fact::Answer(name, addresses) => writes.push(Write::PutAnswer(name.clone(), addresses.clone())),
            Fact::Settings(settings) => writes.push(Write::PutSettings(settings.clone())),
        }
    }
    writes.extend(drafted.generation().map(Write::SetGeneration));
    writes
}
