//! Somebody else writes into the tables: it is found within a second, put right, counted and said.

use anyhow::{Context as _, Result, ensure};
use aya::maps::lpm_trie::Key;
use aya::maps::{HashMap, LpmTrie, Map, MapData};
use gateway_common::Address;
use gateway_common::abi::{AppEntry, AppKey, AppPrefix, GrantSlot, Session, SessionKey, map, place};
use gateway_common::table::Secrets;
use gateway_common::table::index::{self, Bucket};
use gateway_tests::{Gate, wait_until, world::at};
use gateway_userspace::dataplane::mapped::Mapped;
use std::time::{Duration, Instant};

use crate::forward::{mapped, pins};
use crate::record::sum;
use crate::scene::{Apps, SOON, V4, goes_on, is_kept_out, reaches, stream};

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

    let pin = |name: &str| -> Result<MapData> { Ok(MapData::from_pin(pins(&gate)?.join(name))?) };
    let open =
        || -> Result<HashMap<MapData, AppKey, AppEntry>> { Ok(HashMap::try_from(Map::HashMap(pin(map::APPS)?))?) };
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
    let mut prefixes: LpmTrie<MapData, AppPrefix, u32> = LpmTrie::try_from(Map::LpmTrie(pin(map::APP_PREFIXES)?))?;
    let (found, block) = prefixes.iter().flatten().next().context("no prefix")?;
    let everywhere = Key::new(32, AppPrefix { address: [0; 16], ..found.data() });
    let again: LpmTrie<MapData, AppPrefix, u32> = LpmTrie::try_from(Map::LpmTrie(pin(map::APP_PREFIXES)?))?;
    is_undone(&gate, || Ok(prefixes.insert(&everywhere, block, 0)?), || again.get(&everywhere, 0).is_err())?;
    reaches(client, V4.crm());
    is_kept_out(client, V4.vault());
    Ok(())
}

fn secrets(gate: &Gate) -> Result<Secrets> {
    let map = MapData::from_pin(pins(gate)?.join(map::SECRETS))?;
    let secrets: aya::maps::Array<MapData, Secrets> = aya::maps::Array::try_from(Map::Array(map))?;
    Ok(secrets.get(&0, 0)?)
}
