//! The tables of our own, one change after the other, beside ordinary maps; and how evenly keys are spread.

use gateway_common::abi::{Flow, FlowCopy, FlowKey, SessionKey};
use gateway_common::table::flows::{self, REACH};
use gateway_common::table::index::{self, Bucket};
use gateway_common::table::{Hash, Lines, Secrets, filter};
use gateway_common::{Address, Packet};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn secrets(seed: u64) -> Secrets {
    // SplitMix64.
    let mut state = seed;
    Secrets::new(core::array::from_fn(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }))
}

/// A table in ordinary memory.
struct Memory<T>(Vec<T>);

impl<T: Default> Memory<T> {
    fn of(lines: u32) -> Self {
        Self((0..lines).map(|_| T::default()).collect())
    }
}

impl<T> Lines<T> for Memory<T> {
    fn count(&self) -> u32 {
        self.0.len() as u32
    }

    fn line(&self, number: u32) -> Option<&T> {
        self.0.get(number as usize)
    }
}

fn index_of(keys: u32) -> Memory<Bucket> {
    Memory::of(index::buckets_for(keys))
}

fn flows_of(flows: u32) -> Memory<Flow> {
    Memory::of(flows::slots_for(flows))
}

/// The address of client `number` in a pool: they follow on each other, as addresses do.
fn client(number: u32) -> Address {
    Address::v4((0x0a00_0000 + number).to_be_bytes())
}

/// Connections from one client to one app, from ports that follow on each other, and then from the next client.
fn connection(number: u32) -> FlowKey {
    let ports = [(1_024 + number % 50_000) as u16, 443];
    FlowKey::new(client(number / 50_000), Address::v4([10, 20, 0, 1]), ports.map(u16::to_be), 1, Packet::TCP)
}

#[derive(Clone, Debug)]
enum Change {
    Insert(u64),
    Remove(u64),
    Repoint(u64),
}

fn change() -> impl Strategy<Value = Change> {
    let key = 0_u64..40;
    prop_oneof![
        2 => key.clone().prop_map(Change::Insert),
        1 => key.clone().prop_map(Change::Remove),
        1 => key.prop_map(Change::Repoint),
    ]
}

proptest! {
    #[test]
    fn index_is_a_map(seed: u64, changes in prop::collection::vec(change(), 0..200)) {
        let (secrets, table, mut model) = (secrets(seed), index_of(40), BTreeMap::new());
        let mut owner = Vec::new();
        for change in changes {
            match change {
                Change::Insert(key) if !model.contains_key(&key) => {
                    owner.push(key);
                    let slot = owner.len() as u32 - 1;
                    prop_assert_eq!(index::insert(&table, Hash::of(&secrets, &[key]), slot), Ok(()));
                    model.insert(key, slot);
                }
                Change::Remove(key) => {
                    let slot = model.remove(&key);
                    let hash = Hash::of(&secrets, &[key]);
                    prop_assert_eq!(index::remove(&table, hash, slot.unwrap_or(1_000)), slot.is_some());
                }
                Change::Repoint(key) => {
                    owner.push(key);
                    let slot = owner.len() as u32 - 1;
                    let before = model.get(&key).copied();
                    let hash = Hash::of(&secrets, &[key]);
                    prop_assert_eq!(index::repoint(&table, hash, before.unwrap_or(1_000), slot), before.is_some());
                    model.entry(key).and_modify(|known| *known = slot);
                }
                Change::Insert(_) => {}
            }
            for key in 0..40 {
                let found = index::find(&table, Hash::of(&secrets, &[key]), |slot| owner[slot as usize] == key);
                prop_assert_eq!(found, model.get(&key).copied());
            }
        }
    }

    #[test]
    fn flows_are_a_map_as_long_as_there_is_room(seed: u64, changes in prop::collection::vec((0_u32..60, any::<bool>()), 0..300)) {
        let (secrets, table, mut model) = (secrets(seed), flows_of(60), BTreeMap::new());
        for (at, (number, opens)) in changes.into_iter().enumerate() {
            let key = connection(number);
            let hash = key.hash(&secrets);
            if opens {
                let copy = FlowCopy { token: at as u64, last_seen: at as u64, ..FlowCopy::default() };
                let write = |slot: &Flow| {
                    slot.write(&copy);
                    slot.stamp.store(0);
                };
                prop_assert!(flows::open::<REACH, _>(&table, hash, &key, write));
                model.insert(number, copy);
            } else {
                flows::remove::<REACH, _>(&table, hash, key.words());
                model.remove(&number);
            }
            let live: BTreeSet<FlowKey> = table.0.iter().filter_map(flows::read).map(|(key, _)| key).collect();
            // Some may have had to give way in a crowded place; none is there that should not be.
            prop_assert!(live.iter().all(|key| model.keys().any(|number| connection(*number) == *key)));
            prop_assert!(live.len() * 10 >= model.len() * 9);
            let found = flows::find::<REACH, _>(&table, hash, key.words()).and_then(flows::read).map(|(_, copy)| copy);
            prop_assert_eq!(found, model.get(&number).copied());
        }
    }
}

#[test]
fn index_takes_as_many_keys_as_it_is_made_for_without_moving_any() {
    const KEYS: u32 = 300_000;
    for seed in 0..4 {
        let (secrets, table) = (secrets(seed), index_of(KEYS));
        for number in 0..KEYS {
            let hash = SessionKey::new(1, client(number)).hash(&secrets);
            index::insert(&table, hash, number).unwrap();
        }
        let fullest = table.0.iter().map(Bucket::used).max().unwrap();
        assert!(fullest <= 7, "a bucket of {fullest}");
        for number in 0..KEYS {
            let key = SessionKey::new(1, client(number));
            assert_eq!(index::find(&table, key.hash(&secrets), |slot| slot == number), Some(number));
        }
    }
}

#[test]
fn most_flows_are_at_home_and_all_find_room() {
    const FLOWS: u32 = 200_000;
    let (secrets, table) = (secrets(7), flows_of(FLOWS));
    for number in 0..FLOWS {
        let key = connection(number);
        assert!(flows::open::<REACH, _>(&table, key.hash(&secrets), &key, |slot| {
            slot.last_seen.store(number.into());
            slot.stamp.store(0);
        }));
    }
    let is_there = |number: &u32| {
        let key = connection(*number);
        flows::find::<REACH, _>(&table, key.hash(&secrets), key.words()).is_some()
    };
    let is_at_home = |number: &u32| {
        let key = connection(*number);
        flows::at_home::<REACH, _>(&table, key.hash(&secrets), |flow| flow.has_key(key.words())).is_some()
    };
    let (there, at_home) = ((0..FLOWS).filter(is_there).count(), (0..FLOWS).filter(is_at_home).count());
    assert!(there as u32 >= FLOWS - FLOWS / 2_000, "{there} of {FLOWS}");
    assert!(at_home as u32 >= FLOWS * 7 / 10, "{at_home} of {FLOWS}");
}

#[test]
fn flow_that_was_silent_longest_gives_way_where_there_is_no_room() {
    let secrets = secrets(7);
    let table = Memory::of(REACH);
    let open = |number: u32| {
        let key = connection(number);
        flows::open::<REACH, _>(&table, key.hash(&secrets), &key, |slot| {
            slot.last_seen.store(number.into());
            slot.stamp.store(0);
        })
    };
    assert!((0..REACH + 3).all(open));
    let live: BTreeSet<FlowKey> = table.0.iter().filter_map(flows::read).map(|(key, _)| key).collect();
    assert_eq!(live, (3..REACH + 3).map(connection).collect());
}

#[test]
fn slot_whose_stamp_is_held_is_left_alone() {
    let secrets = secrets(7);
    let table = Memory::of(REACH);
    let open = |number: u32| {
        let key = connection(number);
        flows::open::<REACH, _>(&table, key.hash(&secrets), &key, |slot| slot.stamp.store(0))
    };
    assert!((0..REACH).all(open));
    // The oldest is being written about.
    table.0[0].stamp.store(Flow::HELD);
    assert!(!open(99));
    assert_eq!(table.0[0].read_key(), connection(0));
    table.0[0].stamp.store(5);
    assert!(open(99));
    assert_eq!(table.0[0].read_key(), connection(99));
}

#[test]
fn filter_finds_every_key_and_one_stranger_in_eight() {
    const KEYS: u32 = 50_000;
    let (secrets, filter) = (secrets(7), Memory::of(filter::words_for(KEYS)));
    let hash = |number| SessionKey::new(1, client(number)).hash(&secrets);
    for number in 0..KEYS {
        filter::set(&filter, filter::bit(hash(number), filter.count()), true);
    }
    assert!((0..KEYS).all(|number| filter::may_hold(&filter, hash(number))));
    let strangers = (KEYS..2 * KEYS).filter(|number| filter::may_hold(&filter, hash(*number))).count();
    assert!(strangers as u32 <= KEYS / 7, "{strangers}");
    filter::set(&filter, filter::bit(hash(5), filter.count()), false);
    assert!(!filter::may_hold(&filter, hash(5)));
}

#[test]
fn keys_that_collide_under_one_set_of_secrets_do_not_under_another() {
    let places =
        |seed| (0..1_000).map(|number| connection(number).hash(&secrets(seed)).first(1_000)).collect::<Vec<_>>();
    let same = places(1).iter().zip(places(2)).filter(|(a, b)| **a == *b).count();
    assert!(same < 20, "{same}");
}

#[test]
fn keys_are_their_words() {
    let key = connection(77_777);
    assert_eq!(FlowKey::from_words(*key.words()), key);
    assert_eq!(key.client, client(1));
    assert_eq!((key.client_port, key.app_port), ((1_024 + 27_777_u16).to_be_bytes(), 443_u16.to_be_bytes()));
    assert_eq!((key.zone, key.protocol, key.reserved), (1, Packet::TCP, [0; 7]));
}
