//! What CPUs may do to each other in the tables of our own: every order of their loads, stores and exchanges is tried, up
//! to three switches between them in unfavourable places, as loom orders them (C11's rules, which are weaker than those of
//! the machines that the programs run on).

use gateway_common::abi::{
    AppEntry, AppKey, Budget, BudgetKey, Epoch, Flow, FlowKey, FragmentKey, Fragments, Grant, GrantKey, Interface,
    ServiceKey, Session, SessionKey, Settings, SourceKey, VlanKey, place, policy_word,
};
use gateway_common::forward::Kept;
use gateway_common::law::established;
use gateway_common::table::index::{self, Bucket};
use gateway_common::table::{Hash, Lines, Secrets, flows};
use gateway_common::{Address, Direction, DropReason, KernelNanos, Packet, Tables, Verdict, Word, law};
use loom::sync::Arc;
use loom::thread;

const SECRETS: Secrets = Secrets::new([3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43]);
const NOW: KernelNanos = KernelNanos(1_000_000_000);

fn check(race: impl Fn() + Sync + Send + 'static) {
    with_switches(3, race);
}

fn with_switches(most: usize, race: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(most);
    model.max_branches = 20_000;
    model.check(race);
}

/// A table of so few slots that everything collides.
struct Few<const REACH: u32, const N: usize>([Flow; N]);

impl<const REACH: u32, const N: usize> Few<REACH, N> {
    fn new() -> Self {
        Self(core::array::from_fn(|_| Flow::default()))
    }

    fn live(&self) -> Vec<(FlowKey, u64)> {
        let live = self.0.iter().filter(|slot| flows::is_live(slot.state.load()));
        live.map(|slot| (slot.read_key(), slot.token.load())).collect()
    }

    fn open(&self, number: u8) -> bool {
        flows::open::<REACH, _>(
            self,
            key(number).hash(&SECRETS),
            &key(number),
            |slot| {
                slot.token.store(number.into());
                slot.policy.store(number.into());
                slot.to_app.packets.store(1);
                slot.stamp.store(0);
            },
            |_| {},
        )
    }

    fn find(&self, number: u8) -> Option<&Flow> {
        flows::find::<REACH, _>(self, key(number).hash(&SECRETS), key(number).words())
    }
}

impl<const REACH: u32, const N: usize> Lines<Flow> for Few<REACH, N> {
    fn count(&self) -> u32 {
        N as u32
    }

    fn line(&self, number: u32) -> Option<&Flow> {
        self.0.get(number as usize)
    }
}

/// The flow to app `number`.
fn key(number: u8) -> FlowKey {
    FlowKey::new(Address::v4([10, 0, 0, 1]), Address::v4([10, 0, 1, number]), [7, 8], 1, Packet::TCP)
}

#[test]
fn reader_never_takes_what_another_flow_says_for_its_own() {
    check(|| {
        let table = Arc::new(Few::<1, 1>::new());
        assert!(table.open(1));
        let other = Arc::clone(&table);
        let writer = thread::spawn(move || other.open(2));
        if let Some(flow) = table.find(1) {
            let said = (flow.token.load(), flow.policy.load());
            if flow.has_key(key(1).words()) {
                assert_eq!(said, (1, 1));
            }
        }
        assert!(writer.join().unwrap());
        assert_eq!(table.live(), [(key(2), 2)]);
    });
}

#[test]
fn two_cpus_that_open_one_flow_leave_one_flow_with_the_traffic_of_both() {
    check(|| {
        let table = Arc::new(Few::<2, 2>::new());
        let other = Arc::clone(&table);
        let second = thread::spawn(move || other.open(1));
        let is_open = table.open(1);
        let is_open_too = second.join().unwrap();
        assert!(is_open && is_open_too);
        assert_eq!(table.live(), [(key(1), 1)]);
        // Opened again in the same slot, the later packet begins the flow anew.
        let packets = table.find(1).unwrap().to_app.packets.load();
        assert!((1..=2).contains(&packets), "{packets}");
    });
}

#[test]
fn two_flows_that_want_one_slot_leave_one_of_them_whole() {
    check(|| {
        let table = Arc::new(Few::<1, 1>::new());
        let other = Arc::clone(&table);
        let second = thread::spawn(move || other.open(2));
        let (first, second) = (table.open(1), second.join().unwrap());
        assert!(first || second);
        let live = table.live();
        assert!(live == [(key(1), 1)] || live == [(key(2), 2)], "{live:?}");
    });
}

#[test]
fn flow_that_the_daemon_removes_while_it_is_opened_is_there_whole_or_not() {
    check(|| {
        let table = Arc::new(Few::<2, 2>::new());
        assert!(table.open(1));
        let other = Arc::clone(&table);
        let daemon = thread::spawn(move || flows::remove::<2, _>(&*other, key(1).hash(&SECRETS), key(1).words()));
        assert!(table.open(2));
        if let Some((found, copy)) = flows::read(&table.0[0]) {
            assert_eq!(u64::from(found.app.0[15]), copy.token);
        }
        daemon.join().unwrap();
        assert_eq!(table.live(), [(key(2), 2)]);
    });
}

/// Two buckets, and what the slots that they lead to are.
struct Pair {
    buckets: [Bucket; 2],
    slots: [Word; 3],
}

impl Lines<Bucket> for Pair {
    fn count(&self) -> u32 {
        2
    }

    fn line(&self, number: u32) -> Option<&Bucket> {
        self.buckets.get(number as usize)
    }
}

#[test]
fn key_that_stays_is_found_whatever_else_comes_and_goes() {
    check(|| {
        let hash = |key: u64| Hash::of(&SECRETS, &[key]);
        let pair = Pair { buckets: Default::default(), slots: [1.into(), 2.into(), 1.into()] };
        index::insert(&pair, hash(1), 0).unwrap();
        let table = Arc::new(pair);
        let other = Arc::clone(&table);
        let writer = thread::spawn(move || {
            index::insert(&*other, hash(2), 1).unwrap();
            assert!(index::repoint(&*other, hash(1), 0, 2));
            assert!(index::remove(&*other, hash(2), 1));
        });
        let found = index::find(&*table, hash(1), |slot| table.slots[slot as usize].load() == 1);
        assert!(matches!(found, Some(0 | 2)), "{found:?}");
        writer.join().unwrap();
        assert_eq!(index::find(&*table, hash(2), |_| true), None);
    });
}

/// A gateway with one session, one app and one slot for flows.
struct World {
    epoch: Word,
    session: Session,
    flows: Few<1, 1>,
}

impl World {
    fn new() -> Self {
        let [high, low] = CLIENT.words();
        let session = Session {
            state: Session::LIVE.into(),
            policy: policy_word(1, 1).into(),
            token: 77.into(),
            deadline: u64::MAX.into(),
            source: [high.into(), low.into()],
            place: place(1, 1).into(),
            authenticated_at: NOW.0.into(),
            ..Session::default()
        };
        Self { epoch: Epoch::ACCESS.into(), session, flows: Few::new() }
    }

    fn judge(&self, flags: u8, port: u8) -> Verdict {
        let mut packet = Packet::default();
        law::ingress(&segment(flags, port)[..], &mut packet, self, 1, NOW).verdict
    }

    /// Has the flow to the app remember its way, if it takes the short way.
    fn keep(&self) {
        let frame = segment(Packet::ACK, 80);
        if let Ok(found) = established::to_app(&frame[..], &mut Packet::default(), self, 1, NOW) {
            found.keep(Kept::from_word(7), Direction::ToApp);
        }
    }

    fn revoke(&self) {
        self.session.state.store(Session::REVOKED);
        self.epoch.add(Epoch::ACCESS);
    }

    /// Another flow takes the one slot.
    fn is_stolen_by(&self, begin: impl Fn(&Flow)) -> bool {
        let stolen = FlowKey::new(CLIENT, Address::v4([10, 0, 9, 9]), [7, 8], 1, Packet::TCP);
        flows::open::<1, _>(&self.flows, stolen.hash(&SECRETS), &stolen, begin, |_| {})
    }
}

const CLIENT: Address = Address::v4([10, 0, 0, 1]);

/// A TCP segment without payload, from the client to port `port` of the app.
fn segment(flags: u8, port: u8) -> [u8; 54] {
    let mut frame = [0; 54];
    frame[12] = 8;
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0, 0, 64, Packet::TCP]);
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 1, 1]);
    frame[34..38].copy_from_slice(&[0x30, 0x39, 0, port]);
    frame[46] = 0x50;
    frame[47] = flags;
    frame
}

impl Tables for World {
    type Ref<'a, V: 'a> = &'a V;

    fn settings(&self) -> Settings {
        Settings::default()
    }

    fn epoch(&self) -> u64 {
        self.epoch.load()
    }

    fn watched_until(&self) -> KernelNanos {
        KernelNanos::NEVER
    }

    fn lease_until(&self) -> KernelNanos {
        KernelNanos::NEVER
    }

    fn begin_epoch(&self) {
        self.epoch.add(Epoch::ACCESS);
    }

    fn interface(&self, _: u32) -> Option<Interface> {
        Some(Interface { zone: 1, flags: Interface::LINK_LAYER, ..Interface::default() })
    }

    fn vlan(&self, _: &VlanKey) -> Option<&Interface> {
        None
    }

    fn session(&self, _: &SessionKey) -> Option<&Session> {
        Some(&self.session)
    }

    fn flow(&self, key: &FlowKey) -> Option<&Flow> {
        flows::find::<1, _>(&self.flows, key.hash(&SECRETS), key.words())
    }

    fn flow_and_state(&self, key: &FlowKey) -> Option<(&Flow, u64)> {
        flows::at_home::<1, _>(&self.flows, key.hash(&SECRETS), |flow| flow.has_key(key.words()))
    }

    fn open_flow(&self, key: &FlowKey, begin: impl Fn(&Flow)) -> bool {
        flows::open::<1, _>(&self.flows, key.hash(&SECRETS), key, begin, |_| {})
    }

    fn fragments(&self, _: &FragmentKey) -> Option<&Fragments> {
        None
    }

    fn remember_fragments(&self, _: &FragmentKey, _: u64, _: u64) {}

    fn source(&self, _: &SourceKey) -> Option<&Word> {
        None
    }

    fn budget(&self, _: &BudgetKey) -> Option<&Budget> {
        None
    }

    fn block(&self, _: u32, _: &Address) -> Option<u32> {
        Some(1)
    }

    fn app(&self, _: &AppKey) -> Option<AppEntry> {
        Some(AppEntry::new(1, false))
    }

    fn grant(&self, _: &GrantKey) -> Option<Grant> {
        Some(Grant::UNLIMITED)
    }

    fn service(&self, _: &ServiceKey) -> Option<u32> {
        None
    }

    fn is_management(&self, _: &Address) -> bool {
        false
    }
}

#[test]
fn no_packet_passes_after_the_revocation_is_done_whatever_was_judged_meanwhile() {
    check(|| {
        let world = Arc::new(World::new());
        let other = Arc::clone(&world);
        let cpu = thread::spawn(move || other.judge(Packet::SYN, 80));
        world.revoke();
        // Opened before, or while, or after.
        let during = world.judge(Packet::ACK, 80);
        assert_eq!(during, Verdict::Drop(DropReason::SessionRevoked));
        let _ = cpu.join().unwrap();
        assert_eq!(world.judge(Packet::ACK, 80), Verdict::Drop(DropReason::SessionRevoked));
    });
}

#[test]
fn flow_that_is_renewed_while_another_takes_its_slot_leaves_nothing_in_it() {
    with_switches(2, || {
        let world = Arc::new(World::new());
        assert_eq!(world.judge(Packet::SYN, 80), Verdict::Forward);
        // A policy under which everything is judged anew.
        world.session.policy.store(policy_word(2, 1));
        world.epoch.add(Epoch::ACCESS);
        let other = Arc::clone(&world);
        let cpu = thread::spawn(move || {
            other.is_stolen_by(|slot| {
                slot.token.store(99);
                slot.policy.store(99);
                slot.deadline.store(99);
                slot.stamp.store(0);
            })
        });
        // With a single slot, which is being written, there may be no room.
        let judged = world.judge(Packet::ACK, 80);
        assert!(matches!(judged, Verdict::Forward | Verdict::Drop(DropReason::FlowTableFull)), "{judged:?}");
        let is_taken = cpu.join().unwrap();
        let slot = &world.flows.0[0];
        if slot.token.load() == 99 {
            assert!(is_taken);
            assert_eq!((slot.policy.load(), slot.deadline.load(), slot.stamp.load()), (99, 99, 0));
        }
    });
}

#[test]
fn way_that_is_remembered_while_another_flow_takes_the_slot_is_not_the_others() {
    with_switches(2, || {
        let world = Arc::new(World::new());
        assert_eq!(world.judge(Packet::SYN, 80), Verdict::Forward);
        let other = Arc::clone(&world);
        let cpu = thread::spawn(move || {
            other.is_stolen_by(|slot| {
                slot.token.store(99);
                slot.to_app.way.store(0);
                // Of the same epoch.
                slot.stamp.store(Epoch::ACCESS);
            })
        });
        world.keep();
        let is_taken = cpu.join().unwrap();
        let slot = &world.flows.0[0];
        assert_eq!(slot.token.load() == 99, is_taken);
        // Of two that want to write the slot, neither may get to it.
        let way = slot.to_app.way.load();
        assert!(way == 0 || way == 7 && !is_taken, "{way} {is_taken}");
        assert_eq!(slot.stamp.load(), Epoch::ACCESS);
    });
}

#[test]
fn way_that_is_remembered_while_access_is_taken_away_lets_nothing_pass_afterwards() {
    with_switches(2, || {
        let world = Arc::new(World::new());
        assert_eq!(world.judge(Packet::SYN, 80), Verdict::Forward);
        let other = Arc::clone(&world);
        let cpu = thread::spawn(move || other.keep());
        world.revoke();
        assert_eq!(world.judge(Packet::ACK, 80), Verdict::Drop(DropReason::SessionRevoked));
        cpu.join().unwrap();
        assert_eq!(world.judge(Packet::ACK, 80), Verdict::Drop(DropReason::SessionRevoked));
    });
}

#[test]
fn way_that_becomes_another_one_while_it_is_remembered_is_of_the_epoch_before_it_was_asked_for() {
    with_switches(2, || {
        let world = Arc::new(World::new());
        assert_eq!(world.judge(Packet::SYN, 80), Verdict::Forward);
        let other = Arc::clone(&world);
        // A way may have become another one while the other is being remembered.
        let cpu = thread::spawn(move || other.epoch.add(1));
        world.keep();
        cpu.join().unwrap();
        let slot = &world.flows.0[0];
        let (stamp, way) = (slot.stamp.load(), slot.to_app.way.load());
        assert!(way == 7 && (Epoch::ACCESS..=Epoch::ACCESS + 1).contains(&stamp), "{stamp} {way}");
    });
}
