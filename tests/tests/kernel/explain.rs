//! The dry run says what the programs then do, and leaves every table as it is.

use crate::frames::{CLIENT_MAC, Inside, SYN, frame};
use crate::ground::Way;
use crate::oracle::kernel::{KernelLife, Outcome};
use crate::oracle::sessions::Ruling;
use crate::parity::APPS;
use crate::scene::{INTERFACE, Scene, ZONE};
use crate::tables::{bytes, changed};
use crate::usual::{ALICE, ALICE_V6, FILES, VAULT, WEB, grant, small};
use aya::maps::{HashMap, Map, MapData};
use gateway_common::abi::{BudgetKey, Explained, Grant, Vlan, map};
use gateway_common::{DropReason, Packet, Verdict};
use gateway_tests::netns::Namespace;
use gateway_userspace::dataplane::attach::{GuardedInterface, InterfaceSettings, XdpChoice};
use gateway_userspace::dataplane::explain::{Basis, Connection, ExplainError, Explanation, Question};
use gateway_userspace::dataplane::{Explain as _, interfaces};
use gateway_userspace::policy::Step;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::BTreeMap;

/// How many frames from clients are explained, and then judged.
const CASES: usize = 12_000;
/// How many in one world.
const IN_A_WORLD: usize = 3_000;
/// In a few worlds a basis may be rare, by chance: there are more of them until each was met. So many at most.
const WORLDS: usize = 200;
/// How many are explained between two looks at all bytes.
const BETWEEN_LOOKS: usize = 500;
/// How many questions are asked of the usual world.
const QUESTIONS: usize = 10_000;

/// `XDP_DROP`.
const XDP_DROP: u32 = 1;

/// A packet of Alice's to `web`.
fn question() -> Question {
    Question {
        interface: INTERFACE,
        vlan: Vlan::default(),
        mac: Some(CLIENT_MAC),
        source: "10.77.0.2".parse().unwrap(),
        destination: "10.20.0.10".parse().unwrap(),
        protocol: Packet::TCP,
        source_port: 40_000,
        destination_port: 443,
        connection: Connection::New,
    }
}

fn compare(explained: &Explanation, ruling: &Ruling) -> Result<(), String> {
    let Explanation { verdict, token, app, opens, answered, .. } = *explained;
    let Ruling { verdict: wanted, token: session, app: place, opened, rejected, .. } = *ruling;
    let is_same = (verdict, token.map_or(0, |token| token.0), app.unwrap_or(0), opens, answered)
        == (wanted, session, place, opened, rejected);
    if is_same { Ok(()) } else { Err(format!("explained {explained:?}, oracle {ruling:?}")) }
}

#[test]
fn explanation_is_the_verdict_of_the_next_packet_and_changes_no_byte_of_any_table() {
    let mut seed = rand::random();
    println!("seed {seed}");
    let (mut tally, mut bases): (BTreeMap<u32, usize>, BTreeMap<&str, usize>) = Default::default();
    let (mut cases, mut looks, mut worlds) = (0, 0, 0);
    let is_met = |bases: &BTreeMap<&str, usize>| {
        let all = [Basis::ShortWay, Basis::Flow, Basis::Policy, Basis::Before];
        all.iter().all(|basis| bases.get(basis.label()).is_some_and(|count| *count > 5))
    };
    while worlds < WORLDS && (cases < CASES || !is_met(&bases)) {
        let mut life = KernelLife::new(seed).unwrap();
        worlds += 1;
        seed = seed.wrapping_add(1);
        let explainer = life.kernel.explainer().unwrap();
        explainer.load().unwrap();
        let (mut recent, until, mut is_late) = (Vec::new(), cases + IN_A_WORLD, false);
        while cases < until && !is_late {
            let mut arrived = None;
            let outcome = life.step_after(|shot| {
                arrived = Some(shot.frame.clone()).filter(|_| shot.way == Way::In);
                let explained = arrived.as_ref().map(|frame| explainer.explain_frame(INTERFACE, frame, 0).unwrap());
                explained.iter().for_each(|it| *bases.entry(it.basis.label()).or_default() += 1);
                move |ruling: &Ruling| explained.map_or(Ok(()), |explained| compare(&explained, ruling))
            });
            match (outcome.unwrap(), arrived) {
                (Outcome::Judged(verdict), Some(frame)) => {
                    cases += 1;
                    *tally.entry(verdict.code()).or_default() += 1;
                    recent.push(frame);
                }
                (Outcome::Late, _) => is_late = true,
                _ => {}
            }
            if recent.len() == BETWEEN_LOOKS {
                let before = bytes(life.kernel.pins());
                for (number, frame) in recent.drain(..).enumerate() {
                    let asked = if number % 2 == 0 { 0 } else { Explained::WITHOUT_FLOWS };
                    explainer.explain_frame(INTERFACE, &frame, asked).unwrap();
                }
                assert_eq!(changed(&before, &bytes(life.kernel.pins())), [""; 0]);
                looks += 1;
            }
        }
        if !is_late {
            life.compare().unwrap();
        }
    }
    println!("{cases} cases in {worlds} worlds: {tally:?}; {looks} looks: {bases:?}");
    assert!(tally.len() > 25, "only {} different verdicts", tally.len());
    assert!(tally[&Verdict::Forward.code()] > cases / 20);
    assert!(looks >= 4);
    assert!(cases >= CASES && is_met(&bases), "{cases} cases: {bases:?}");
}

fn draw(random: &mut StdRng) -> Question {
    const CLIENTS: [[&str; 2]; 3] = [["10.77.0.2", "fd77::2"], ["10.77.0.3", "fd77::3"], ["127.0.0.1", "::1"]];
    let family = usize::from(random.random_bool(0.4));
    let client = [0, 0, 0, 0, 0, 1, 2][random.random_range(0..7)];
    let echo = [Packet::ICMP, Packet::ICMPV6][family];
    Question {
        vlan: [Vlan::default(), Vlan { outer: 0, inner: 10 }][usize::from(random.random_bool(0.03))],
        mac: Some(if random.random_bool(0.97) { CLIENT_MAC } else { [2, 0, 0, 0, 0, 9] }),
        source: CLIENTS[client][family].parse().unwrap(),
        destination: APPS[[0, 0, 0, 1, 2, 3, 4][random.random_range(0..7)]][family].parse().unwrap(),
        protocol: [Packet::TCP, Packet::TCP, Packet::UDP, Packet::UDP, echo, Packet::SCTP, 47, 0]
            [random.random_range(0..8)],
        source_port: random.random_range(40_000..40_008),
        destination_port: [22, 53, 443, 443, 443, 0][random.random_range(0..6)],
        connection: if random.random_bool(0.5) { Connection::New } else { Connection::Open },
        ..question()
    }
}

/// A question about the first packet of a connection is what comes true where no flow is open; about another packet,
/// always. The twin says the same.
#[test]
fn questions_are_answered_as_the_packets_they_describe_are_judged() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut scene = Scene::usual();
    let explainer = scene.kernel.explainer().unwrap();
    let (mut forwarded, mut hidden) = (0, 0);
    for _ in 0..QUESTIONS {
        let asked = draw(&mut random);
        scene.twin.clock = gateway_userspace::dataplane::clock::boot();
        let explained = explainer.explain(&asked).unwrap();
        assert_eq!(explained, scene.twin.explain(&asked).unwrap(), "{asked:?}");
        let frame = asked.frame().unwrap();
        let shown = explainer.explain_frame(INTERFACE, &frame, 0).unwrap();
        let verdict = scene.judge(Way::In, &frame);
        assert_eq!(shown.verdict, verdict, "{asked:?}");
        if asked.connection == Connection::Open || !shown.flow {
            assert_eq!(explained, shown, "{asked:?}");
        } else {
            hidden += 1;
            assert!(!explained.flow && !matches!(explained.basis, Basis::Flow | Basis::ShortWay), "{asked:?}");
        }
        forwarded += usize::from(verdict == Verdict::Forward);
    }
    assert!(forwarded > QUESTIONS / 10, "only {forwarded} were forwarded");
    assert!(hidden > QUESTIONS / 50, "only {hidden} flows were hidden");
    assert_eq!(scene.kernel_flows(), scene.twin.flow_keys());
}

#[test]
fn explanation_says_what_decided() {
    let mut scene = Scene::usual();
    let explainer = scene.kernel.explainer().unwrap();
    let explain = |question: Question| explainer.explain(&question).unwrap();
    let first = explain(question());
    let wanted = Explanation {
        verdict: Verdict::Forward,
        basis: Basis::Policy,
        token: Some(ALICE),
        app: Some(WEB),
        zone: ZONE,
        flow: false,
        opens: true,
        observed: false,
        answered: false,
    };
    assert_eq!(first, wanted);
    scene.forwards(&frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Tcp(40_000, 443, SYN), 0));
    let open = Question { connection: Connection::Open, ..question() };
    assert_eq!(explain(open), Explanation { basis: Basis::ShortWay, flow: true, opens: false, ..wanted });
    assert_eq!(explain(question()), wanted, "whatever is open, it is asked about another connection");
    let vault = Question { destination: "10.20.0.11".parse().unwrap(), destination_port: 22, ..question() };
    let no_grant = Verdict::Drop(DropReason::NoGrant);
    assert_eq!(explain(vault), Explanation { verdict: no_grant, app: Some(VAULT), opens: false, ..wanted });
    let stranger = Question { source: "10.77.0.9".parse().unwrap(), ..question() };
    let nobody = explain(stranger);
    assert_eq!((nobody.verdict, nobody.basis), (Verdict::Drop(DropReason::NoSession), Basis::Before));
    assert_eq!((nobody.token, nobody.app), (None, None));
    let elsewhere = explain(Question { mac: Some([2, 0, 0, 0, 0, 9]), ..question() });
    assert_eq!(elsewhere.verdict, Verdict::Drop(DropReason::SourceSpoofed));
    let other_vlan = Question { vlan: Vlan { outer: 0, inner: 10 }, ..question() };
    assert_eq!(explain(other_vlan).zone, 10);
    let portal = explain(Question { destination: "10.77.0.1".parse().unwrap(), ..question() });
    assert_eq!((portal.verdict, portal.basis), (Verdict::ToHost, Basis::Before));
    // After a change somewhere the law looks once more, and the flow is what it goes by.
    scene.apply([Step::EndSession(ALICE_V6)]);
    assert_eq!(explain(open), Explanation { basis: Basis::Flow, flow: true, opens: false, ..wanted });
    scene.apply([Step::EndSession(ALICE)]);
    assert_eq!(explain(open).verdict, Verdict::Drop(DropReason::SessionRevoked));
}

#[test]
fn explanation_says_what_the_interface_makes_of_a_denial() {
    let vault = Question { destination: "10.20.0.11".parse().unwrap(), destination_port: 22, ..question() };
    for (reject, observe) in [(false, false), (true, false), (false, true), (true, true)] {
        let scene = Scene::usual_where(InterfaceSettings { reject, observe, ..InterfaceSettings::default() });
        let told = scene.kernel.explainer().unwrap().explain(&vault).unwrap();
        assert_eq!((told.answered, told.observed), (reject && !observe, observe));
        assert_eq!(told, scene.twin.explain(&vault).unwrap());
    }
}

#[test]
fn explanations_emit_nothing_and_spend_nothing_of_limits_and_budgets() {
    let mut scene = Scene::usual();
    scene.apply([grant(1, FILES, Grant { budget: 100, ..Grant::UNLIMITED })]);
    scene.events();
    let explainer = scene.kernel.explainer().unwrap();
    let before = bytes(scene.kernel.pins());
    let files = Question { protocol: Packet::UDP, ..question() };
    for port in 0..50 {
        for connection in [Connection::New, Connection::Open] {
            let told = explainer.explain(&Question { connection, source_port: port, ..files }).unwrap();
            assert_eq!((told.verdict, told.app, told.opens), (Verdict::Forward, Some(FILES), true));
        }
        let denied = Question { destination_port: 22, source_port: port + 1, ..question() };
        assert_eq!(explainer.explain(&denied).unwrap().verdict, Verdict::Drop(DropReason::AppUnknown));
    }
    assert_eq!(changed(&before, &bytes(scene.kernel.pins())), [""; 0]);
    assert!(scene.events().is_empty());
}

#[test]
fn a_full_table_of_budgets_is_explained_as_such() {
    let mut scene = Scene::usual();
    scene.apply([grant(1, FILES, Grant { budget: 10_000, ..Grant::UNLIMITED })]);
    let explainer = scene.kernel.explainer().unwrap();
    let files = Question { protocol: Packet::UDP, ..question() };
    assert_eq!(explainer.explain(&files).unwrap().verdict, Verdict::Forward);
    let pinned = MapData::from_pin(scene.kernel.pins().join(map::BUDGETS)).unwrap();
    let mut budgets: HashMap<_, BudgetKey, [u64; 2]> = HashMap::try_from(Map::HashMap(pinned)).unwrap();
    for token in 1..=small().budgets as u64 {
        budgets.insert(BudgetKey { token, app: FILES, reserved: 0 }, [0; 2], 0).unwrap();
    }
    assert_eq!(explainer.explain(&files).unwrap().verdict, Verdict::Drop(DropReason::BudgetTableFull));
    let packet = frame(CLIENT_MAC, "10.77.0.2", "10.20.0.10", Inside::Udp(40_000, 443), 0);
    assert_eq!(scene.run(Way::In, &packet), XDP_DROP, "the program does not let it pass either");
}

/// The interface is that of the question, in the namespace of whoever asks, and up or down.
#[test]
fn the_interface_of_a_question_is_the_one_that_it_names() {
    let host = Namespace::new("explain").unwrap();
    host.ip(&["link add name clients0 type veth peer name clients1"]).unwrap();
    let asked = host.enter(|| {
        let mut scene = Scene::usual();
        let index = interfaces::number("clients0").unwrap();
        let clients = GuardedInterface {
            name: "clients0".into(),
            index,
            zone: 7,
            zone_name: "clients".into(),
            has_link_layer: true,
            mode: XdpChoice::Generic,
            settings: InterfaceSettings::default(),
            vlans: Vec::new(),
        };
        scene.programs.configure(&[clients]).unwrap();
        let explainer = scene.kernel.explainer().unwrap();
        let portal = Question { destination: "10.77.0.1".parse().unwrap(), ..question() };
        [index, INTERFACE].map(|interface| explainer.explain(&Question { interface, ..portal }).unwrap())
    });
    let [on_it, on_another] = asked.unwrap();
    assert_eq!((on_it.verdict, on_it.zone), (Verdict::ToHost, 7));
    assert_eq!(on_another.verdict, Verdict::Drop(DropReason::InterfaceUnknown));
}

#[test]
fn what_cannot_be_explained_says_why() {
    let scene = Scene::usual();
    let explainer = scene.kernel.explainer().unwrap();
    let nowhere = explainer.explain(&Question { interface: 4_000_000, ..question() });
    assert!(matches!(nowhere, Err(ExplainError::Interface(4_000_000))), "{nowhere:?}");
    let families = explainer.explain(&Question { destination: "fd20::10".parse().unwrap(), ..question() });
    assert!(matches!(families, Err(ExplainError::Families { .. })), "{families:?}");
    let late = scene.kernel.explainer().unwrap();
    std::fs::remove_file(scene.kernel.pins().join("FLOWS")).unwrap();
    let gone = late.explain(&question());
    assert!(matches!(gone, Err(ExplainError::Table("FLOWS"))), "{gone:?}");
    assert!(!scene.kernel.pins().join("FLOWS").exists(), "no other one is made in its place");
    assert!(explainer.explain(&question()).is_ok(), "who has it goes on");
}
