//! All that the programs could write, byte for byte.

use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, PerCpuArray};
use gateway_common::Word;
use gateway_common::abi::{Cpu, map};
use gateway_userspace::dataplane::mapped::Mapped;
use std::collections::BTreeMap;
use std::path::Path;

/// Entries of every pinned table but the ring buffer, whose records the gate of events counts.
pub type Bytes = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

/// What the tables pinned in this folder hold.
pub fn bytes(pins: &Path) -> Bytes {
    let mut all = Bytes::new();
    for name in [
        map::EPOCH,
        map::INTERFACES,
        map::SESSION_INDEX,
        map::SESSION_FILTER,
        map::SESSIONS,
        map::FLOWS,
        map::OWN_FILTER,
        map::GRANT_INDEX,
        map::GRANTS,
        map::DENIALS,
    ] {
        all.insert((name, Vec::new()), mapped(pins, name));
    }
    one::<128>(pins, map::SECRETS, &mut all);
    one::<32>(pins, map::SETTINGS, &mut all);
    hash::<8, 16>(pins, map::VLANS, &mut all);
    hash::<48, 48>(pins, map::FRAGMENTS, &mut all);
    hash::<24, 8>(pins, map::SOURCES, &mut all);
    hash::<24, 4>(pins, map::SERVICES, &mut all);
    hash::<8, 4>(pins, map::APPS, &mut all);
    hash::<16, 16>(pins, map::BUDGETS, &mut all);
    trie::<16>(pins, map::MANAGEMENT, &mut all);
    trie::<20>(pins, map::APP_PREFIXES, &mut all);
    per_cpu::<{ size_of::<Cpu>() }>(pins, map::CPU, &mut all);
    per_cpu::<8>(pins, map::VERDICTS, &mut all);
    per_cpu::<32>(pins, map::APP_TRAFFIC, &mut all);
    per_cpu::<24>(pins, map::EVENT_GATE, &mut all);
    per_cpu::<48>(pins, map::UNRECORDED, &mut all);
    all
}

/// The tables in which two moments differ.
pub fn changed(before: &Bytes, after: &Bytes) -> Vec<&'static str> {
    let is_other = |one: &Bytes, other: &Bytes| -> Vec<&'static str> {
        one.iter().filter(|(key, value)| other.get(key) != Some(value)).map(|((name, _), _)| *name).collect()
    };
    let mut names = [is_other(before, after), is_other(after, before)].concat();
    names.sort_unstable();
    names.dedup();
    names
}

fn pinned(pins: &Path, name: &str) -> MapData {
    MapData::from_pin(pins.join(name)).unwrap()
}

fn mapped(pins: &Path, name: &str) -> Vec<u8> {
    let map = pinned(pins, name);
    let info = map.info().unwrap();
    let words: Mapped<Word> = Mapped::open(map.fd(), info.max_entries() * info.value_size() / 8).unwrap();
    words.iter().flat_map(|(_, word)| word.load().to_ne_bytes()).collect()
}

fn one<const V: usize>(pins: &Path, name: &'static str, all: &mut Bytes) {
    let map: Array<_, [u8; V]> = Array::try_from(Map::Array(pinned(pins, name))).unwrap();
    all.insert((name, Vec::new()), map.get(&0, 0).unwrap().to_vec());
}

fn hash<const K: usize, const V: usize>(pins: &Path, name: &'static str, all: &mut Bytes) {
    let data = pinned(pins, name);
    let is_lru = [map::FRAGMENTS, map::SOURCES].contains(&name);
    let map = if is_lru { Map::LruHashMap(data) } else { Map::HashMap(data) };
    let map: HashMap<_, [u8; K], [u8; V]> = HashMap::try_from(map).unwrap();
    all.extend(map.iter().map(Result::unwrap).map(|(key, value)| ((name, key.to_vec()), value.to_vec())));
}

fn trie<const K: usize>(pins: &Path, name: &'static str, all: &mut Bytes) {
    let map: LpmTrie<_, [u8; K], u32> = LpmTrie::try_from(Map::LpmTrie(pinned(pins, name))).unwrap();
    for (key, value) in map.iter().map(Result::unwrap) {
        let key = [&key.prefix_len().to_ne_bytes()[..], &key.data()].concat();
        all.insert((name, key), value.to_ne_bytes().to_vec());
    }
}

fn per_cpu<const V: usize>(pins: &Path, name: &'static str, all: &mut Bytes) {
    let map: PerCpuArray<_, [u8; V]> = PerCpuArray::try_from(Map::PerCpuArray(pinned(pins, name))).unwrap();
    for place in 0..map.len() {
        let cpus = map.get(&place, 0).unwrap();
        all.insert((name, place.to_ne_bytes().to_vec()), cpus.iter().flatten().copied().collect());
    }
}
