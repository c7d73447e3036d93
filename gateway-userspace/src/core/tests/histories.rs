//! Whatever the data plane does to plans: nobody is let through who should not be, at any step, and in the end the tables
//! are as they should be.

use super::chaos::{Chaos, Fate, Permitted, beyond, permitted};
use super::*;
use crate::core::decide::Keeper;
use crate::core::truth::Truth;
use crate::dataplane::reconcile;
use crate::policy::gateway::tests::{HOUR, NOW, app, beginning, inputs, login, policy};
use crate::policy::{Refusal, SessionLimits};
use crate::store::record::{Reader, Table, rows};
use gateway_common::abi::Session;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Something happens.
#[derive(Clone, Debug)]
struct Moment {
    input: Input,
    /// What becomes of the plans that follow.
    fates: Vec<Fate>,
    disk_is_full: bool,
    restarts: bool,
}

fn moments(most_fates: usize) -> impl Strategy<Value = Moment> {
    let fate = prop_oneof![
        1 => Just(Fate::Late),
        4 => any::<u8>().prop_map(Fate::Fails),
        2 => any::<u8>().prop_map(Fate::Dies),
        1 => Just(Fate::Twice),
        1 => Just(Fate::Unread),
    ];
    let fates = prop::collection::vec(fate, 0..=most_fates);
    (inputs(), fates, prop::bool::weighted(0.15), prop::bool::weighted(0.1))
        .prop_map(|(input, fates, disk_is_full, restarts)| Moment { input, fates, disk_is_full, restarts })
}

/// Tables that hold no more than what happens needs, or not even that.
fn capacities() -> impl Strategy<Value = Capacities> {
    (2..6_usize, 4..12_usize, 4..12_usize, 4..16_usize).prop_map(|(sessions, app_prefixes, app_ports, grants)| {
        Capacities { sessions, app_prefixes, app_ports, grants, ..Capacities::default() }
    })
}

struct World {
    chaos: Chaos,
    disk: Disk,
    recorder: Recorder,
    keeper: Keeper,
    tokens: u64,
    /// What was meant since the tables last said what is meant.
    lawful: Vec<Permitted>,
}

impl World {
    fn new(capacities: Capacities) -> Self {
        let (chaos, disk) = (Chaos::new(capacities, NOW), Disk::default());
        let recorder = Recorder::new(Metrics::new().unwrap(), AccessLog::start(Sink::Nowhere).unwrap(), None);
        let state = State {
            gateway: Gateway::new(capacities),
            accounts: Accounts::default(),
            directory: Default::default(),
            history: Default::default(),
        };
        let keeper = keeper(state, &disk, &chaos, &recorder);
        let mut world = Self { chaos, disk, recorder, keeper, tokens: 0, lawful: vec![Permitted::new()] };
        // One app around the others: whoever is judged by a part of the tables reaches these by its grant.
        let around = Input::PutApp(app("mail", "10.0.0.0/8"));
        let logins = [("ada", 1), ("bob", 2), ("eve", 3)].map(|(name, host)| login(0, name, host));
        for input in beginning().into_iter().chain([around]).chain(logins) {
            // Not all of it fits into the smallest tables.
            let _ = world.asks(&input);
        }
        world
    }

    fn gateway(&self) -> &Gateway {
        &self.keeper.state.gateway
    }

    fn live(&self) -> Vec<SessionToken> {
        let mut live: Vec<_> = self.gateway().sessions().map(|session| session.token).collect();
        live.sort_unstable();
        live
    }

    /// The same for sessions that are there: no token is used twice.
    fn named(&mut self, input: &Input) -> Input {
        match input.clone() {
            Input::Login { user, source, proof, .. } => {
                self.tokens += 1;
                let deadline = self.keeper.plane.now().after(HOUR);
                Input::Login { token: SessionToken(self.tokens), user, source, proof, deadline }
            }
            Input::End { which: Selector::Session(token), cause } => {
                let live = self.live();
                let which = live.get(token.0 as usize % live.len().max(1)).copied().unwrap_or(token);
                Input::End { which: Selector::Session(which), cause }
            }
            other => other,
        }
    }

    fn asks(&mut self, input: &Input) -> Result<(), CoreError> {
        let input = self.named(input);
        let before = self.live();
        let mut twin = self.gateway().clone();
        if twin.handle(input.clone(), self.keeper.plane.now()).is_ok() {
            self.lawful.push(permitted(&twin.tables()));
        }
        let is_login = matches!(input, Input::Login { .. });
        let last = SessionToken(self.tokens);
        let outcome = self.keeper.handle(&Actor::local(), request(input), Duration::ZERO);
        self.is_lawful();
        let is_dead = self.chaos.with(|inside| inside.is_dead);
        assert!(!(is_login && outcome.is_err() && self.live().contains(&last)), "refused, and logged in");
        let is_acknowledged = match &outcome {
            Ok(_) => true,
            // In force all the same, but for what gives access: that is not.
            Err(CoreError::Store(_)) => !is_login,
            Err(_) => false,
        };
        if is_acknowledged && !is_dead {
            let after = self.live();
            let ended: Vec<_> = before.into_iter().filter(|token| !after.contains(token)).collect();
            // What is not stored first has not been begun: the tables may be torn as before.
            if outcome.is_err() && ended.is_empty() && self.keeper.torn.is_some() {
                return outcome.map(drop);
            }
            self.chaos.with(|inside| inside.revoked.extend(ended));
            self.is_as_meant();
        }
        outcome.map(drop)
    }

    /// Nothing was let through that was not meant, and nobody is back whose end was acknowledged.
    fn is_lawful(&mut self) {
        self.lawful.push(permitted(&self.gateway().tables()));
        let (seen, risen) = self.chaos.with(|inside| {
            inside.look();
            (std::mem::take(&mut inside.seen), std::mem::take(&mut inside.risen))
        });
        for state in &seen {
            assert_eq!(beyond(state, &self.lawful), None, "is let through");
        }
        assert!(risen.is_empty(), "{risen:?}: ended, and live again");
        if self.chaos.tables() == self.gateway().tables() {
            self.lawful.drain(..self.lawful.len() - 1);
        }
    }

    fn is_as_meant(&self) {
        let meant = self.gateway().tables();
        assert_eq!(self.chaos.tables(), meant);
        self.chaos.with(|inside| {
            for (token, entry) in &meant.sessions {
                assert_eq!(inside.plane.session(*token), Seen::Entry(entry.clone()));
                assert_eq!(inside.plane.session_slot(*token).unwrap().state.load(), Session::LIVE);
            }
        });
    }

    /// The daemon starts with what is stored and what is in the tables, again and again, until it runs.
    fn restarts(&mut self) {
        self.disk.fill(false);
        while !self.starts() {}
    }

    fn starts(&mut self) -> bool {
        self.chaos.with(|inside| inside.is_dead = false);
        let mut stored = self.disk.load().unwrap();
        let Ok(found) = self.chaos.actual() else { return false };
        let has_ended = |token| {
            let is_over = |state| state != Session::LIVE;
            self.chaos.with(|inside| inside.plane.session_slot(token).is_some_and(|slot| is_over(slot.state.load())))
        };
        let sessions = std::mem::take(&mut stored.sessions).into_iter().map(|stored| stored.session);
        let (ended, sessions): (Vec<_>, Vec<_>) = sessions.partition(|session| has_ended(session.token));
        let restored = crate::core::restored(stored, sessions, &found);
        let (capacities, now) = (self.chaos.capacities(), self.chaos.now());
        let (gateway, _) = Gateway::restore(restored, capacities, SessionLimits::default(), now).unwrap();
        let gone = ended.iter().map(|session| Write::RemoveSession(session.token));
        let changes: Vec<_> = gone.chain([Write::SetCounters(crate::core::counters(&gateway))]).collect();
        self.disk.clone().commit(&changes).unwrap();
        let state = State {
            gateway,
            accounts: Accounts::default(),
            directory: Default::default(),
            history: Default::default(),
        };
        self.keeper = keeper(state, &self.disk, &self.chaos, &self.recorder);
        let wanted = self.gateway().tables();
        let reconciled = reconcile(&mut self.chaos, &wanted);
        self.is_lawful();
        match reconciled {
            Ok(()) => self.is_as_meant(),
            Err(DataPlaneError::Full { table, .. }) => panic!("there is no room in {table} to start"),
            Err(_) => {}
        }
        reconciled.is_ok()
    }

    fn lives(&mut self, moment: &Moment) {
        self.chaos.with(|inside| inside.fates = moment.fates.iter().copied().collect());
        self.disk.fill(moment.disk_is_full);
        let _ = self.asks(&moment.input);
        if moment.restarts || self.chaos.with(|inside| inside.is_dead) {
            self.restarts();
        }
        self.passes();
        if self.chaos.with(|inside| inside.is_dead) {
            self.restarts();
        }
        self.is_lawful();
    }

    /// So much time that whatever is due again is done.
    fn passes(&mut self) {
        self.keeper.torn = self.keeper.torn.map(|_| Instant::now());
        self.keeper.tick();
        self.keeper.truth = Truth::new(Instant::now());
        self.keeper.look();
    }

    /// The daemon goes on by itself, and nothing fails any more.
    fn is_left_alone(&mut self) {
        self.chaos.with(|inside| inside.fates.clear());
        self.disk.fill(false);
        for _ in 0..100 {
            self.passes();
            self.is_lawful();
            if self.chaos.tables() == self.gateway().tables() {
                return;
            }
        }
        self.is_as_meant();
    }
}

fn keeper(state: State, disk: &Disk, chaos: &Chaos, recorder: &Recorder) -> Keeper {
    Keeper::new(state, Box::new(disk.clone()), Box::new(chaos.clone()), recorder.clone(), "boot".into())
}

fn request(input: Input) -> Request {
    match input {
        Input::Login { token, user, source, proof, deadline } => {
            let secret = SecretHash::from_bytes([0; 32]);
            let who = Who::Known(user);
            Request::Login(Box::new(Login { token, secret, who, source, proof, deadline }))
        }
        other => Request::Policy(other),
    }
}

/// What a state file would hold after these writes.
pub fn kept(written: &[Write]) -> Stored {
    let mut kept: BTreeMap<(&str, String), Vec<u8>> = BTreeMap::new();
    for row in written.iter().flat_map(|write| rows(write).unwrap()) {
        match row.value {
            Some(value) => drop(kept.insert((row.table.0, row.key), value)),
            None => drop(kept.remove(&(row.table.0, row.key))),
        }
    }
    let mut reader = Reader::default();
    kept.iter().for_each(|((table, key), value)| reader.take(Table(table), key, value).unwrap());
    reader.finish().unwrap()
}

#[test]
fn a_session_ends_although_the_tables_can_be_brought_to_nothing_else() {
    let mut world = World::new(Capacities::default());
    // Neither this plan can be applied, nor can the tables be read after it.
    world.chaos.with(|inside| inside.fates = [Fate::Fails(0), Fate::Unread].into());
    world.asks(&policy("")).unwrap_err();
    let first = world.live()[0];
    let end = Input::End { which: Selector::Session(first), cause: EndCause::Revoked };
    world.chaos.with(|inside| inside.fates = [Fate::Late, Fate::Unread].into());
    world.keeper.handle(&Actor::local(), request(end), Duration::ZERO).unwrap_err();
    assert!(!world.chaos.tables().sessions.contains_key(&first));
    assert_ne!(world.chaos.tables(), world.gateway().tables());
    world.is_left_alone();
}

#[test]
fn no_session_is_led_to_a_part_of_what_it_is_to_be_judged_by() {
    for part in (0..=u8::MAX).step_by(5) {
        let mut world = World::new(Capacities::default());
        world.chaos.with(|inside| inside.fates = [Fate::Fails(part), Fate::Unread, Fate::Unread].into());
        world.asks(&Input::PutApp(app("wiki", "10.4.0.0/16"))).unwrap_err();
        world.passes();
        world.is_lawful();
        world.is_left_alone();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nobody_is_let_through_beyond_what_is_meant_whatever_fails(
        capacities in capacities(),
        history in prop::collection::vec(moments(4), 1..24),
    ) {
        let mut world = World::new(capacities);
        history.iter().for_each(|moment| world.lives(moment));
        world.is_left_alone();
        let meant = world.gateway().tables();
        prop_assert!(Plan::between(&world.chaos.tables(), &meant).is_empty());
    }

    #[test]
    fn what_has_no_room_is_refused_before_the_first_write_and_nothing_else_ever_lacks_it(
        capacities in capacities(),
        history in prop::collection::vec(inputs(), 1..24),
    ) {
        let mut world = World::new(capacities);
        for input in history {
            let (before, steps) = (world.chaos.tables(), world.chaos.with(|inside| inside.steps));
            match world.asks(&input) {
                Ok(()) => {}
                Err(CoreError::Refused(Refusal::TableFull { .. })) => {
                    prop_assert_eq!(world.chaos.with(|inside| inside.steps), steps);
                    prop_assert_eq!(world.chaos.tables(), before);
                }
                Err(CoreError::Refused(_)) => prop_assert_eq!(world.chaos.tables(), before),
                Err(error) => prop_assert!(false, "{}", error),
            }
            world.restarts();
        }
    }
}
