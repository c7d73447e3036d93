//! Somebody else writes into the tables: it is found within a second, put right, counted and said.

use anyhow::{Context as _, Result, ensure};
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData};
use gateway_common::abi::{
    AppEntry, AppKey, AppPrefix, Epoch, GrantSlot, Interface, InterfaceRow, ServiceKey, Session, SessionKey, Settings,
    Vlan, VlanKey, map, place,
};
use gateway_common::table::Secrets;
use gateway_common::table::index::{self, Bucket};
use gateway_common::{Address, Word};
use gateway_tests::{Gate, gate::POLICIES, wait_until, world::at};
use gateway_userspace::dataplane::mapped::Mapped;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::forward::{mapped, pins};
use crate::record::sum;
use crate::scene::{Apps, SOON, V4, goes_on, is_kept_out, on, reaches, stream};

/// In which it has to be found, by a machine that has other things to do.
const AT_ONCE: Duration = Duration::from_secs(1);
const PATIENCE: u32 = 3;

/// What was done is undone, in time, and counted.
fn is_undone(gate: &Gate, tamper: impl FnOnce() -> Result<()>, is_right: impl Fn() -> bool) -> Result<()> {
    let before = repairs(gate)?;
    tamper()?;
    let began = Instant::now();
    wait_until("the table to be put right", SOON, || is_right().then_some(()))?;
    let took = began.elapsed();
    ensure!(took < AT_ONCE * PATIENCE, "{took:?}");
    wait_until("it to be counted", SOON, || (repairs(gate).ok()? > before).then_some(()))
}

fn repairs(gate: &Gate) -> Result<f64> {
    Ok(sum(&gate.api.get("/metrics")?.text, "portcullis_map_repairs_total "))
}

fn live(slots: &Mapped<Session>) -> Result<(u32, &Session)> {
    slots.iter().find(|(_, slot)| slot.state.load() == Session::LIVE).context("no session")
}

#[test]
fn a_session_that_was_given_more_time_or_another_place_or_was_hidden_is_as_it_was() -> Result<()> {
    let gate = Gate::open()?;
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(client, V4.crm())?;
    let slots: Mapped<Session> = mapped(&gate, map::SESSIONS)?;
    let (_, session) = live(&slots)?;
    let (deadline, place) = (session.deadline.load(), session.place.load());
    let longer = || {
        session.deadline.store(u64::MAX);
        Ok(())
    };
    is_undone(&gate, longer, || session.deadline.load() == deadline)?;
    let elsewhere = || {
        session.place.store(place + 1);
        Ok(())
    };
    is_undone(&gate, elsewhere, || session.place.load() == place)?;
    let buckets: Mapped<Bucket> = mapped(&gate, map::SESSION_INDEX)?;
    let count = || buckets.iter().map(|(_, bucket)| bucket.used()).sum::<usize>();
    let secrets = secrets(&gate)?;
    let hash = SessionKey::new((place >> 32) as u32, Address::from(V4.client)).hash(&secrets);
    let (number, _) = live(&slots)?;
    let hide = || {
        ensure!(index::remove(&buckets, hash, number), "alice is not where she should be");
        Ok(())
    };
    is_undone(&gate, hide, || count() == 1)?;
    goes_on(&going)?;
    reaches(client, V4.crm());
    ensure!(gate.daemon.log().contains("were not as they should be, and have been put right"), "{}", gate.daemon.log());
    Ok(())
}

#[test]
fn a_session_that_nobody_opened_is_nobodys() -> Result<()> {
    let gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    is_kept_out(&gate.world.client2, V4.crm());
    let slots: Mapped<Session> = mapped(&gate, map::SESSIONS)?;
    let (_, alice) = live(&slots)?;
    // In a slot that was never used.
    let forged = slots.get(40).context("no slot")?;
    let interface = gate.world.gateway.enter(|| nix::net::if_::if_nametoindex("guard1"))??;
    let zone = gateway_userspace::dataplane::interfaces::zone_number("guard1");
    let [high, low] = Address::from(at::CLIENT2).words();
    let forge = || {
        let [own_high, own_low] = &forged.source;
        own_high.store(high);
        own_low.store(low);
        forged.token.store(0xbad);
        forged.place.store(place(zone, interface));
        forged.policy.store(alice.policy.load());
        forged.deadline.store(u64::MAX);
        forged.authenticated_at.store(alice.authenticated_at.load());
        forged.state.store(Session::LIVE);
        Ok(())
    };
    is_undone(&gate, forge, || forged.state.load() != Session::LIVE)?;
    is_kept_out(&gate.world.client2, V4.crm());
    Ok(())
}

#[test]
fn grants_ports_and_prefixes_that_were_added_or_removed_are_as_they_were() -> Result<()> {
    let gate = Gate::open()?;
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    reaches(client, V4.crm());
    let grants: Mapped<GrantSlot> = mapped(&gate, map::GRANTS)?;
    let (_, grant) = grants.iter().find(|(_, slot)| slot.key.load() != 0).context("no grant")?;
    let key = grant.key.load();
    let shorten = || {
        grant.deadline.store(1);
        Ok(())
    };
    is_undone(&gate, shorten, || {
        grants.iter().any(|(_, slot)| slot.key.load() == key && slot.deadline.load() == u64::MAX)
    })?;
    reaches(client, V4.crm());

    let open = || -> Result<HashMap<MapData, AppKey, AppEntry>> {
        Ok(HashMap::try_from(Map::HashMap(pin(&gate, map::APPS)?))?)
    };
    let ports = || {
        let mut all: Vec<(AppKey, AppEntry)> = open().ok()?.iter().flatten().collect();
        all.sort();
        Some(all)
    };
    let before = ports().context("no ports")?;
    let (key, entry) = *before.first().context("no port")?;
    let move_port = || {
        let mut ports = open()?;
        ports.remove(&key)?;
        Ok(ports.insert(AppKey { port: 4_444_u16.to_be_bytes(), ..key }, entry, 0)?)
    };
    is_undone(&gate, move_port, || ports().as_ref() == Some(&before))?;
    let mut prefixes: LpmTrie<MapData, AppPrefix, u32> =
        LpmTrie::try_from(Map::LpmTrie(pin(&gate, map::APP_PREFIXES)?))?;
    let (found, block) = prefixes.iter().flatten().next().context("no prefix")?;
    let everywhere = Key::new(32, AppPrefix { address: [0; 16], ..found.data() });
    let again: LpmTrie<MapData, AppPrefix, u32> = LpmTrie::try_from(Map::LpmTrie(pin(&gate, map::APP_PREFIXES)?))?;
    is_undone(&gate, || Ok(prefixes.insert(&everywhere, block, 0)?), || again.get(&everywhere, 0).is_err())?;
    reaches(client, V4.crm());
    is_kept_out(client, V4.vault());
    Ok(())
}

#[test]
fn services_that_were_opened_closed_or_hidden_are_as_they_were() -> Result<()> {
    let gate = Gate::open()?;
    let open = || -> Result<HashMap<MapData, ServiceKey, u32>> {
        Ok(HashMap::try_from(Map::HashMap(pin(&gate, map::SERVICES)?))?)
    };
    let services = || {
        let mut all: Vec<(ServiceKey, u32)> = open().ok()?.iter().flatten().collect();
        all.sort();
        Some(all)
    };
    let before = services().context("no services")?;
    let (api, _) = *before.iter().find(|(_, flags)| *flags == ServiceKey::MANAGEMENT).context("no API")?;
    let is_as_it_was = || services().as_ref() == Some(&before);
    is_undone(&gate, || Ok(open()?.insert(api, ServiceKey::OPEN, 0)?), is_as_it_was)?;
    let somewhere = ServiceKey { port: 4_444_u16.to_be_bytes(), ..api };
    is_undone(&gate, || Ok(open()?.insert(somewhere, ServiceKey::OPEN, 0)?), is_as_it_was)?;
    is_undone(&gate, || Ok(open()?.remove(&api)?), is_as_it_was)?;

    let filter: Mapped<Word> = mapped(&gate, map::OWN_FILTER)?;
    let bits = || filter.iter().map(|(_, word)| word.load()).collect::<Vec<_>>();
    let before = bits();
    let hide = || {
        filter.iter().for_each(|(_, word)| word.store(0));
        Ok(())
    };
    is_undone(&gate, hide, || bits() == before)?;
    let slow = || {
        filter.iter().for_each(|(_, word)| word.store(u64::MAX));
        Ok(())
    };
    is_undone(&gate, slow, || bits() == before)
}

#[test]
fn management_is_for_those_that_the_configuration_names() -> Result<()> {
    let gate = Gate::open()?;
    let open = || -> Result<LpmTrie<MapData, [u8; 16], u32>> {
        Ok(LpmTrie::try_from(Map::LpmTrie(pin(&gate, map::MANAGEMENT)?))?)
    };
    let prefixes = || {
        let found = open().ok()?;
        let mut all: Vec<_> =
            found.iter().flatten().map(|(key, value)| (key.prefix_len(), key.data(), value)).collect();
        all.sort_unstable();
        Some(all)
    };
    let before = prefixes().context("no prefixes")?;
    let is_as_it_was = || prefixes().as_ref() == Some(&before);
    let everybody = Key::new(0, [0; 16]);
    is_undone(&gate, || Ok(open()?.insert(&everybody, 1, 0)?), is_as_it_was)?;
    let (length, data, _) = *before.first().context("no prefix")?;
    is_undone(&gate, || Ok(open()?.remove(&Key::new(length, data))?), is_as_it_was)
}

#[test]
fn an_interface_that_was_told_to_observe_or_forgotten_or_doubled_drops_as_before() -> Result<()> {
    let gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    let rows: Mapped<InterfaceRow> = mapped(&gate, map::INTERFACES)?;
    let all = || rows.iter().map(|(_, row)| (row.who.load(), row.what.load())).collect::<Vec<_>>();
    let guarded = || all().into_iter().filter(|(who, _)| who >> 32 != 0).collect::<Vec<_>>();
    let before = guarded();
    let is_as_it_was = || guarded() == before;
    let interface = gate.world.gateway.enter(|| nix::net::if_::if_nametoindex("guard0"))??;
    let (number, row) = rows.iter().find(|(_, row)| row.index() == interface).context("guard0 is not guarded")?;
    let was = row.guarded(interface).context("guard0 is not guarded")?;
    let observe = || {
        row.write_guarded(interface, &Interface { flags: was.flags | Interface::OBSERVE, ..was });
        Ok(())
    };
    is_undone(&gate, observe, is_as_it_was)?;
    let count_elsewhere = || {
        row.write_guarded(interface, &Interface { zone: was.zone + 1, slot: was.slot + 1, ..was });
        Ok(())
    };
    is_undone(&gate, count_elsewhere, is_as_it_was)?;
    let forget = || {
        row.who.store(0);
        Ok(())
    };
    is_undone(&gate, forget, is_as_it_was)?;
    let double = || {
        let behind = rows.get((number + 7) % InterfaceRow::ROWS).context("no row")?;
        behind.write_guarded(interface, &was);
        rows.get((number + 99) % InterfaceRow::ROWS).context("no row")?.write_guarded(interface + 99, &was);
        Ok(())
    };
    is_undone(&gate, double, is_as_it_was)?;
    is_kept_out(&gate.world.client, V4.crm());
    Ok(())
}

#[test]
fn a_vlan_that_nobody_configured_is_not_carried() -> Result<()> {
    let gate = Gate::with(on("guard1", "[[interface.vlan]]\nid = 7\nzone = \"guests\""))?;
    let open = || -> Result<HashMap<MapData, VlanKey, Interface>> {
        Ok(HashMap::try_from(Map::HashMap(pin(&gate, map::VLANS)?))?)
    };
    let vlans = || Some(open().ok()?.iter().flatten().collect::<BTreeMap<VlanKey, Interface>>());
    let before = vlans().context("no VLANs")?;
    let is_as_it_was = || vlans().as_ref() == Some(&before);
    let (key, row) = before.first_key_value().context("no VLAN")?;
    let other = VlanKey { vlan: Vlan { outer: 0, inner: 8 }, ..*key };
    is_undone(&gate, || Ok(open()?.insert(other, *row, 0)?), is_as_it_was)?;
    let elsewhere = Interface { zone: row.zone + 1, ..*row };
    is_undone(&gate, || Ok(open()?.insert(key, elsewhere, 0)?), is_as_it_was)?;
    is_undone(&gate, || Ok(open()?.remove(key)?), is_as_it_was)
}

#[test]
fn settings_and_secrets_are_the_daemons() -> Result<()> {
    let gate = Gate::open()?;
    let before: Settings = array(&gate, map::SETTINGS)?.get(&0, 0)?;
    let other = Settings { reset_mark: before.reset_mark ^ 6, answers_per_window: u32::MAX, quarantine: 0, ..before };
    let change = || Ok(array(&gate, map::SETTINGS)?.set(0, other, 0)?);
    let settings = || array::<Settings>(&gate, map::SETTINGS).ok()?.get(&0, 0).ok();
    is_undone(&gate, change, || settings() == Some(before))?;

    let before = secrets(&gate)?;
    let change = || Ok(array(&gate, map::SECRETS)?.set(0, Secrets::new([7; 13]), 0)?);
    is_undone(&gate, change, || secrets(&gate).is_ok_and(|now| now == before))?;
    // Whoever takes the tables over finds everything where it is.
    V4.alice(&gate)?;
    Ok(())
}

#[test]
fn an_epoch_that_was_turned_back_is_over_and_a_lease_is_no_longer_than_the_daemons() -> Result<()> {
    let gate = Gate::open()?;
    let client = &gate.world.client;
    let _apps = Apps::start(&gate.world, V4)?;
    V4.alice(&gate)?;
    let going = stream(client, V4.crm())?;
    let epochs: Mapped<Epoch> = mapped(&gate, map::EPOCH)?;
    let epoch = epochs.get(0).context("no epoch")?;
    let (before, lease) = (epoch.number.load(), epoch.lease_until.load());
    // By then the daemon has seen that number.
    wait_until("a tick", SOON, || (epoch.lease_until.load() != lease).then_some(()))?;
    let turn_back = || {
        epoch.number.store(Epoch::ACCESS);
        Ok(())
    };
    is_undone(&gate, turn_back, || epoch.number.load() >= before + Epoch::ACCESS)?;
    let for_ever = || {
        epoch.lease_until.store(u64::MAX);
        Ok(())
    };
    is_undone(&gate, for_ever, || epoch.lease_until.load() < u64::MAX)?;
    goes_on(&going)
}

#[test]
fn what_the_daemon_itself_changes_is_nobody_elses() -> Result<()> {
    let gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    let alice = V4.alice(&gate)?;
    let going = stream(&gate.world.client, V4.crm())?;
    V4.bob(&gate)?;
    gate.put_policy(&format!("{POLICIES}\nforbid (principal in Group::\"ops\", action, resource);"))?.ok()?;
    gate.world.gateway.ip(&["address add 10.99.0.1/32 dev lo"])?;
    let added = ServiceKey::own("10.99.0.1".parse::<std::net::IpAddr>()?.into());
    let services: HashMap<MapData, ServiceKey, u32> = HashMap::try_from(Map::HashMap(pin(&gate, map::SERVICES)?))?;
    wait_until("the address to be the gateway's own", SOON, || services.get(&added, 0).ok())?;
    let epoch: Mapped<Epoch> = mapped(&gate, map::EPOCH)?;
    let lease = || epoch.get(0).map(|epoch| epoch.lease_until.load());
    // A second of the daemon's ticks: two looks at everything.
    let then = lease().context("no epoch")? + 1_000_000_000;
    wait_until("a second to pass", SOON, || (lease()? > then).then_some(()))?;
    goes_on(&going)?;
    alice.api.post("/v1/logout")?.ok()?;
    ensure!(repairs(&gate)? == 0.0, "{}", gate.daemon.log());
    Ok(())
}

fn pin(gate: &Gate, name: &str) -> Result<MapData> {
    Ok(MapData::from_pin(pins(gate)?.join(name))?)
}

fn array<T: aya::Pod>(gate: &Gate, name: &str) -> Result<Array<MapData, T>> {
    Ok(Array::try_from(Map::Array(pin(gate, name)?))?)
}

fn secrets(gate: &Gate) -> Result<Secrets> {
    Ok(array(gate, map::SECRETS)?.get(&0, 0)?)
}
