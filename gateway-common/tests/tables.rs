//! The tables of our own, one change after the other, beside ordinary maps; and how evenly keys are spread.

use gateway_common::abi::{Denial, DenialKey, Flow, FlowCopy, FlowKey, SessionKey};
use gateway_common::table::denials::{self, Noted, Taken};
use gateway_common::table::flows::{self, REACH};
use gateway_common::table::index::{self, Bucket};
use gateway_common::table::{Hash, Lines, Secrets, filter};
use gateway_common::{Address, Packet};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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

/// Begins a flow that was seen then.
fn seen_at(at: u32) -> impl Fn(&Flow) {
    move |slot| {
        slot.last_seen.store(at.into());
        slot.stamp.store(0);
    }
}

/// To whom it does not matter which flow gives way.
fn nobody(_: &Flow) {}

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
                prop_assert!(flows::open::<REACH, _>(&table, hash, &key, write, nobody));
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
        assert!(flows::open::<REACH, _>(&table, key.hash(&secrets), &key, seen_at(number), nobody));
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
    let gone = Cell::new(0);
    let open = |number: u32| {
        let key = connection(number);
        flows::open::<REACH, _>(&table, key.hash(&secrets), &key, seen_at(number), |_| gone.set(gone.get() + 1))
    };
    assert!((0..REACH + 3).all(open));
    let live: BTreeSet<FlowKey> = table.0.iter().filter_map(flows::read).map(|(key, _)| key).collect();
    assert_eq!(live, (3..REACH + 3).map(connection).collect());
    assert_eq!(gone.get(), 3);
}

#[test]
fn slot_whose_stamp_is_held_is_left_alone() {
    let secrets = secrets(7);
    let table = Memory::of(REACH);
    let open = |number: u32| {
        let key = connection(number);
        flows::open::<REACH, _>(&table, key.hash(&secrets), &key, |slot| slot.stamp.store(0), nobody)
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

/// Somebody at address `number` is denied.
fn denial(number: u32) -> DenialKey {
    DenialKey { source: client(number), destination: client(1), port: 22, reason: 20, ..DenialKey::default() }
}

fn note(table: &Memory<Denial>, key: &DenialKey, cpu: u32, at: u64, is_answered: bool) -> Noted {
    denials::note(table, denials::home(key, &secrets(7), cpu, table.count()), key, at, is_answered)
}

fn take_all(table: &Memory<Denial>) -> Vec<Taken> {
    table.0.iter().filter_map(denials::take).collect()
}

#[test]
fn denials_of_a_kind_are_added_up_until_they_are_taken() {
    let table = Memory::of(64);
    let key = denial(2);
    assert_eq!(note(&table, &key, 0, 100, false), Noted::New);
    assert_eq!(note(&table, &key, 0, 101, true), Noted::Known);
    assert_eq!(note(&table, &denial(3), 0, 102, false), Noted::New);
    let mut taken = take_all(&table);
    taken.sort_by_key(|taken| taken.key);
    let expected = Taken { key, packets: 2, answered: 1, first: 100, last: 101 };
    assert_eq!(taken, [expected, Taken { key: denial(3), packets: 1, answered: 0, first: 102, last: 102 }]);
    assert_eq!(take_all(&table), []);
    // The next one begins anew.
    assert_eq!(note(&table, &key, 0, 200, false), Noted::New);
    assert_eq!(take_all(&table), [Taken { key, packets: 1, answered: 0, first: 200, last: 200 }]);
}

#[test]
fn denials_that_differ_in_anything_are_kept_apart() {
    let like = denial(2);
    let others = [
        DenialKey { source: client(3), ..like },
        DenialKey { destination: client(3), ..like },
        DenialKey { token: 1, ..like },
        DenialKey { interface: 1, ..like },
        DenialKey { port: 23, ..like },
        DenialKey { protocol: 6, ..like },
        DenialKey { reason: 21, ..like },
        DenialKey { mac: [0, 0, 0, 0, 0, 1], ..like },
        DenialKey { direction: 1, ..like },
        DenialKey { flags: DenialKey::OBSERVED, ..like },
        DenialKey { app: 1, ..like },
        DenialKey { zone: 1, ..like },
    ];
    // All of them have the same home.
    for other in others {
        let table = Memory::of(64);
        let home = denials::home(&like, &secrets(7), 0, table.count());
        assert_eq!(denials::note(&table, home, &like, 1, false), Noted::New);
        assert_eq!(denials::note(&table, home, &other, 1, false), Noted::New, "{other:?}");
        assert_eq!(take_all(&table).len(), 2);
    }
}

#[test]
fn a_kind_for_which_there_is_no_room_is_refused_and_others_are_still_added_up() {
    let table = Memory::of(denials::REACH);
    let noted: Vec<Noted> = (0..5).map(|number| note(&table, &denial(number), 0, 1, false)).collect();
    assert_eq!(noted, [Noted::New, Noted::New, Noted::New, Noted::New, Noted::NoRoom]);
    assert_eq!(note(&table, &denial(2), 0, 2, false), Noted::Known);
}

#[test]
fn denials_to_several_ports_have_slots_of_their_own() {
    let table = Memory::of(64);
    for number in 0..1_000 {
        // Whether there is room does not matter here.
        let _ = note(&table, &denial(number), 0, 1, false);
        let _ = note(&table, &DenialKey { port: 0, ..denial(number) }, 0, 1, false);
    }
    let (exact, several) = table.0.split_at(56);
    assert!(exact.iter().filter_map(denials::take).all(|taken| taken.key.port == 22));
    assert_eq!(several.iter().filter_map(denials::take).filter(|taken| taken.key.port == 0).count(), 8);
}

#[test]
fn a_slot_whose_writer_is_gone_is_freed_with_what_is_in_it() {
    let table: Memory<Denial> = Memory::of(64);
    assert_eq!(note(&table, &denial(1), 0, 1, false), Noted::New);
    let slot = table.0.iter().find(|slot| slot.packets.load() != 0).unwrap();
    // As somebody leaves it who dies between the exchange and the store.
    let busy = slot.state.load() - 1;
    slot.state.store(busy);
    assert_eq!((denials::take(slot), denials::busy(slot)), (None, Some(busy)));
    denials::free_stuck(slot, busy);
    assert_eq!(denials::busy(slot), None);
    assert_eq!(take_all(&table).iter().map(|taken| taken.packets).sum::<u64>(), 1);
}

#[test]
fn no_denial_is_lost_or_invented_while_cpus_add_and_the_daemon_takes() {
    const EACH: u64 = 300_000;
    let table = Memory::of(24);
    let (refused, taken, is_over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let count = |found: Vec<Taken>| found.iter().map(|taken| taken.packets).sum::<u64>();
    std::thread::scope(|scope| {
        let cpus: Vec<_> = (0..3)
            .map(|cpu| {
                let (table, refused) = (&table, &refused);
                scope.spawn(move || {
                    for at in 0..EACH {
                        let key = denial((at * 7 + u64::from(cpu)) as u32 % 11);
                        if note(table, &key, cpu, at, false) == Noted::NoRoom {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                taken.fetch_add(count(take_all(&table)), Ordering::Relaxed);
            }
        });
        cpus.into_iter().for_each(|cpu| cpu.join().unwrap());
        is_over.store(true, Ordering::Relaxed);
    });
    let left = count(take_all(&table));
    assert_eq!(taken.into_inner() + left + refused.into_inner(), 3 * EACH);
}
