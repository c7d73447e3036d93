//! The corpus on a wire, behind native and behind generic XDP.
//!
//! A client's packet is sent from the client's end. A packet toward the client is put on `guard0` itself, where the TC
//! program judges what leaves, so that the gateway's stack does not tidy it up before. After each packet the whole
//! counter vector is compared. At the end of each case one more packet is sent each way: when these have arrived, so has
//! all that passed before them, and what has arrived must be exactly what was to pass: at the gateway's stack, at the
//! app's host, and at the client.

use super::bench::{counted, moved, nothing_of};
use super::cast::{Act, CLIENT_MAC};
use super::hosts::{self, Hosts, SOON, is_in_a_vlan, list, masked, without_link_layer};
use super::plane::{Counted, Plane};
use super::read::{Case, Sent, Turn, Way, World, corpus};
use anyhow::{Context as _, Result, ensure};
use gateway_common::Verdict;
use gateway_tests::{Namespace, wait_until};
use gateway_userspace::dataplane::attach::XdpChoice;
use std::collections::BTreeSet;

const GATEWAY_MAC: [u8; 6] = [2, 0x77, 0, 0, 0, 1];

/// What decides on the gateway.
pub trait Gateway {
    /// Makes the beginning of a case.
    fn begin(&mut self, world: World) -> Result<()>;
    /// Something is done.
    fn act(&mut self, act: Act) -> Result<()>;
    /// Makes sure that the interface is configured, at the end of a case.
    fn end(&mut self, world: World);
    /// What was counted so far.
    fn counted(&self) -> Counted;
}

impl Gateway for Plane {
    fn begin(&mut self, world: World) -> Result<()> {
        Self::begin(self, world);
        Ok(())
    }

    fn act(&mut self, act: Act) -> Result<()> {
        Self::act(self, act);
        Ok(())
    }

    fn end(&mut self, world: World) {
        self.configure(world);
    }

    fn counted(&self) -> Counted {
        Self::counted(self)
    }
}

#[test]
fn each_case_comes_out_as_expected_behind_native_xdp_and_what_is_dropped_arrives_nowhere() -> Result<()> {
    run(XdpChoice::Native)
}

#[test]
fn each_case_comes_out_as_expected_behind_generic_xdp_and_what_is_dropped_arrives_nowhere() -> Result<()> {
    run(XdpChoice::Generic)
}

fn run(mode: XdpChoice) -> Result<()> {
    let hosts = hosts::connect()?;
    let [client, gateway, app] = &hosts;
    let taps = Hosts::new([client, gateway, app])?;
    let plane = guard(gateway, mode)?;
    Wire::new(taps, plane).run_all(&corpus())
}

/// Puts the programs on the gateway's interface.
pub fn guard(gateway: &Namespace, mode: XdpChoice) -> Result<Plane> {
    gateway.enter(|| -> Result<Plane> {
        let index = nix::net::if_::if_nametoindex("guard0")?;
        let mut plane = Plane::load("guard0", index, mode);
        plane.guard()?;
        Ok(plane)
    })?
}

/// So that silence means something: without the programs, the same packets are seen at the gateway's stack and at the
/// client, and many a packet that is to be dropped reaches the app's host.
#[test]
fn without_the_programs_each_packet_arrives_and_is_seen() -> Result<()> {
    let hosts = hosts::connect()?;
    let [client, gateway, app] = &hosts;
    let taps = Hosts::new([client, gateway, app])?;
    let (mut unseen, mut reached, mut to_be_dropped) = (Vec::new(), Vec::new(), BTreeSet::new());
    for case in corpus() {
        for turn in &case.turns {
            let Turn::Packet(sent) = turn else { continue };
            let (from, to) = match sent.way {
                Way::In => (&taps.client, &taps.guard),
                Way::Out => (&taps.guard, &taps.client),
            };
            let packet = without_link_layer(&sent.frame).to_vec();
            // The network stack itself does not take a tag that is cut.
            if packet.is_empty() {
                continue;
            }
            ensure!(from.send(&sent.frame)?, "{}: the frame did not leave", case.place);
            let seen = to.until("the packet", |arrived| *arrived == packet);
            unseen.extend(seen.err().map(|problem| format!("{}: {}: {problem:#}", case.place, case.name)));
            if sent.way == Way::In && matches!(sent.expected, Verdict::Drop(_)) {
                to_be_dropped.insert(masked(&packet));
            }
        }
        reached.extend(taps.app.drain()?);
    }
    nothing_of(&unseen);
    let [last, _] = sentinels(0);
    taps.client.send(&last.frame)?;
    let last = masked(without_link_layer(&last.frame));
    reached.extend(taps.app.until("the last packet", |packet| masked(packet) == last)?);
    let reached: BTreeSet<Vec<u8>> = reached.iter().map(|packet| masked(packet)).collect();
    let leaked = to_be_dropped.intersection(&reached).count();
    println!("of {} different packets that are to be dropped, {leaked} reached the app's host", to_be_dropped.len());
    ensure!(leaked > 100, "only {leaked} packets reached the app's host");
    Ok(())
}

/// The hosts, and what decides on the gateway.
pub struct Wire<G> {
    hosts: Hosts,
    gateway: G,
    sentinel: u32,
    sent: usize,
    arrived: usize,
}

/// What is to arrive.
#[derive(Default)]
struct Expected {
    at_the_gateway: Vec<Vec<u8>>,
    at_the_app: Vec<Vec<u8>>,
    at_the_client: Vec<Vec<u8>>,
}

impl<G: Gateway> Wire<G> {
    pub fn new(hosts: Hosts, gateway: G) -> Self {
        Self { hosts, gateway, sentinel: 0, sent: 0, arrived: 0 }
    }

    /// Runs cases, and fails with all that went wrong.
    pub fn run_all(&mut self, cases: &[Case]) -> Result<()> {
        let mut problems = Vec::new();
        for case in cases {
            if let Err(problem) = self.run(case) {
                problems.push(format!("{}: {}: {problem:#}", case.place, case.name));
            }
        }
        println!("{} cases, {} packets sent, {} to pass and arrived", cases.len(), self.sent, self.arrived);
        nothing_of(&problems);
        Ok(())
    }

    /// Runs a case. Whatever comes of it, the next one begins anew.
    fn run(&mut self, case: &Case) -> Result<()> {
        self.gateway.begin(case.world)?;
        let mut expected = Expected::default();
        let run = self.take_turns(case, &mut expected);
        let arrived = self.all_that_arrived(case.world);
        run?;
        let arrived = arrived?;
        for (where_, found, expected) in [
            ("at the gateway's stack", &arrived.at_the_gateway, &expected.at_the_gateway),
            ("at the app's host", &arrived.at_the_app, &expected.at_the_app),
            ("at the client", &arrived.at_the_client, &expected.at_the_client),
        ] {
            ensure!(found == expected, "{where_} arrived {} instead of {}", list(found), list(expected));
        }
        self.arrived += expected.at_the_gateway.len() + expected.at_the_client.len();
        Ok(())
    }

    fn take_turns(&mut self, case: &Case, expected: &mut Expected) -> Result<()> {
        for (number, turn) in case.turns.iter().enumerate() {
            match turn {
                Turn::Act(act) => self.gateway.act(*act)?,
                Turn::Packet(sent) => {
                    self.judge(sent).with_context(|| format!("turn {}", number + 1))?;
                    expected.note(sent);
                }
            }
        }
        Ok(())
    }

    /// Sends a packet, waits until it was judged, and compares all counters.
    fn judge(&mut self, sent: &Sent) -> Result<()> {
        let before = self.gateway.counted();
        let left = match sent.way {
            Way::In => self.hosts.client.send(&sent.frame)?,
            Way::Out => self.hosts.guard.send(&sent.frame)?,
        };
        self.sent += 1;
        let after = wait_until("the packet to be judged", SOON, || {
            let after = self.gateway.counted();
            (after.sum() > before.sum()).then_some(after)
        })?;
        ensure!(
            after == counted(&before, sent.expected),
            "{:?} instead of {:?}",
            moved(&before, &after),
            sent.expected
        );
        let is_dropped_here = sent.way == Way::Out && matches!(sent.expected, Verdict::Drop(_));
        ensure!(left != is_dropped_here, "the frame {} its host", if left { "left" } else { "did not leave" });
        Ok(())
    }

    /// Sends the last packets of a case and waits for them; what arrived before them.
    fn all_that_arrived(&mut self, world: World) -> Result<Expected> {
        self.gateway.end(world);
        self.sentinel += 1;
        let last = sentinels(self.sentinel);
        for sent in &last {
            self.judge(sent).context("the packet at the end of the case")?;
        }
        let [inward, outward] = last.map(|sent| without_link_layer(&sent.frame).to_vec());
        let at_the_gateway = self.hosts.guard.until("the last packet at the gateway", |packet| *packet == inward)?;
        let forwarded = masked(&inward);
        let at_the_app =
            self.hosts.app.until("the last packet at the app's host", |packet| masked(packet) == forwarded)?;
        let at_the_client = self.hosts.client.until("the last packet at the client", |packet| *packet == outward)?;
        Ok(Expected {
            at_the_gateway,
            at_the_app: at_the_app.iter().map(|packet| masked(packet)).collect(),
            at_the_client,
        })
    }
}

impl Expected {
    /// What a packet adds to what is to arrive.
    fn note(&mut self, sent: &Sent) {
        let packet = without_link_layer(&sent.frame).to_vec();
        match (sent.way, sent.expected) {
            (_, Verdict::Drop(_)) => {}
            (Way::Out, _) => self.at_the_client.push(packet),
            (Way::In, verdict) => {
                // The gateway has no interface for a VLAN here, so its stack goes no further with it.
                if verdict == Verdict::Forward && !is_in_a_vlan(&sent.frame) {
                    self.at_the_app.push(masked(&packet));
                }
                self.at_the_gateway.push(packet);
            }
        }
    }
}

/// The packets at the end of a case: UDP from a session that is there in each of them, and an answer of the portal.
pub fn sentinels(number: u32) -> [Sent; 2] {
    let header = |protocol: u8, source: [u8; 4], destination: [u8; 4], length: u8| {
        let mut header = vec![0x45, 0, 0, 20 + length, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        header.extend(source);
        header.extend(destination);
        let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        header[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
        header
    };
    let ethernet = |to: [u8; 6], from: [u8; 6]| [&to[..], &from, &[8, 0]].concat();
    let mut inward = ethernet(GATEWAY_MAC, CLIENT_MAC);
    inward.extend(header(17, [10, 77, 0, 200], [10, 20, 0, 20], 12));
    inward.extend([0x30, 0x39, 0, 9, 0, 12, 0, 0]);
    inward.extend(number.to_be_bytes());
    let mut outward = ethernet(CLIENT_MAC, GATEWAY_MAC);
    outward.extend(header(6, [10, 77, 0, 1], [10, 77, 0, 200], 20));
    outward.extend([1, 0xbb, 0x30, 0x39]);
    outward.extend(number.to_be_bytes());
    outward.extend([0, 0, 0, 0, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    let sent = |way, frame| Sent { way, expected: Verdict::Forward, frame };
    [sent(Way::In, inward), sent(Way::Out, outward)]
}
