//! The loaded programs on single frames, by `BPF_PROG_TEST_RUN`, beside the in-memory twin.
//!
//! After each frame the whole counter vector of the interface is compared.

use super::cast::Act;
use super::plane::{Counted, Plane};
use super::read::{Case, Sent, Turn, Way, World, corpus};
use super::twin::Twin;
use gateway_common::{DropReason, Verdict};
use gateway_userspace::dataplane::Program;
use gateway_userspace::dataplane::attach::XdpChoice;
use gateway_userspace::dataplane::monitor::InterfaceCounters;
use std::collections::HashSet;

/// `BPF_PROG_TEST_RUN` makes frames arrive on, and leave through, the loopback device.
const INTERFACE: u32 = 1;
/// A program's code for "go on": `XDP_PASS`, `TC_ACT_UNSPEC`.
const PASS: [u32; 2] = [2, u32::MAX];
/// Length of an Ethernet header.
const ETHERNET: usize = 14;

/// Kernel and twin.
struct Bench {
    plane: Plane,
    twin: Twin,
    before: Counted,
}

impl Bench {
    fn new() -> Self {
        let plane = Plane::load("lo", INTERFACE, XdpChoice::Generic);
        let before = plane.counted();
        Self { plane, twin: Twin::new(INTERFACE), before }
    }

    /// The beginning of a case, in both.
    fn begin(&mut self, world: World) {
        let steps = self.plane.begin(world);
        self.twin.begin(world, steps);
        self.before = self.plane.counted();
    }

    /// Something is done, to both.
    fn act(&mut self, act: Act) {
        let steps = self.plane.act(act);
        self.twin.act(act, steps);
        self.before = self.plane.counted();
    }

    /// Judges a frame in the kernel and in memory. Both must agree, on the verdict and on every counter.
    fn judge(&mut self, way: Way, frame: &[u8]) -> Result<Verdict, String> {
        let verdict = self.twin.judge(way, frame);
        let program = match way {
            Way::In => Program::Ingress,
            Way::Out => Program::Egress,
        };
        let mut out = vec![0; frame.len() + 256];
        let ran = self.plane.programs.test_run(program, frame, &mut out).map_err(|error| format!("{error:?}"))?;
        let after = self.plane.counted();
        let expected = counted(&self.before, verdict);
        if after != expected {
            let moved = moved(&self.before, &after);
            self.before = after;
            return Err(format!("the twin says {verdict:?}, the kernel counted {moved:?}"));
        }
        self.before = after;
        let passed = ran.code == PASS[usize::from(way == Way::Out)];
        if passed == matches!(verdict, Verdict::Drop(_)) {
            return Err(format!("code {} of the program for {verdict:?}", ran.code));
        }
        Ok(verdict)
    }

    /// Runs a case; `judge` is what is done about each packet.
    fn run(
        &mut self,
        case: &Case,
        mut judge: impl FnMut(&mut Self, &Sent) -> Result<(), String>,
    ) -> Result<(), String> {
        self.begin(case.world);
        for (number, turn) in case.turns.iter().enumerate() {
            match turn {
                Turn::Act(act) => self.act(*act),
                Turn::Packet(sent) => judge(self, sent)
                    .map_err(|problem| format!("{}: {}: turn {}: {problem}", case.place, case.name, number + 1))?,
            }
        }
        Ok(())
    }
}

/// The counters after a packet with this verdict.
pub fn counted(before: &Counted, verdict: Verdict) -> Counted {
    let mut after = before.clone();
    let counters = match verdict {
        Verdict::Drop(DropReason::InterfaceUnknown) => &mut after.unknown,
        _ => &mut after.interface,
    };
    match verdict {
        Verdict::Forward => counters.forward += 1,
        Verdict::ToHost => counters.to_host += 1,
        Verdict::Drop(reason) => *counters.drops.entry(reason).or_default() += 1,
    }
    after
}

/// The counters that have moved.
pub fn moved(before: &Counted, after: &Counted) -> Vec<String> {
    let rows = |counters: &InterfaceCounters| {
        let mut rows = vec![("forward".to_owned(), counters.forward), ("to_host".to_owned(), counters.to_host)];
        rows.push(("rejected".to_owned(), counters.rejected));
        rows.extend(counters.drops.iter().map(|(reason, packets)| (reason.label().to_owned(), *packets)));
        rows.extend(
            counters.observed.iter().map(|(reason, packets)| (format!("observed {}", reason.label()), *packets)),
        );
        rows
    };
    let all = |counted: &Counted| [rows(&counted.interface), rows(&counted.unknown)].concat();
    let pairs = all(before).into_iter().zip(all(after));
    pairs.filter(|(then, now)| then.1 != now.1).map(|(then, now)| format!("{} +{}", then.0, now.1 - then.1)).collect()
}

/// Fails with all that went wrong.
#[track_caller]
pub fn nothing_of(problems: &[String]) {
    assert!(problems.is_empty(), "{} cases:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn each_case_comes_out_as_expected_in_the_loaded_programs_and_in_the_twin() {
    let mut bench = Bench::new();
    let mut problems = Vec::new();
    for case in corpus() {
        let result = bench.run(&case, |bench, sent| match bench.judge(sent.way, &sent.frame)? {
            found if found == sent.expected => Ok(()),
            found => Err(format!("{found:?} instead of {:?}", sent.expected)),
        });
        problems.extend(result.err());
    }
    nothing_of(&problems);
}

#[test]
fn each_packet_cut_at_every_byte_is_judged_alike_by_both_and_passes_only_if_the_packet_is_whole() {
    let mut bench = Bench::new();
    let (mut seen, mut problems, mut cuts) = (HashSet::new(), Vec::new(), 0);
    for case in corpus() {
        let result = bench.run(&case, |bench, sent| {
            if seen.insert((case.world, sent.way, sent.frame.clone())) {
                for length in shortest(sent)..sent.frame.len() {
                    let cut = &sent.frame[..length];
                    let verdict = bench.judge(sent.way, cut).map_err(|problem| format!("{length} bytes: {problem}"))?;
                    if !matches!(verdict, Verdict::Drop(_)) && !holds_its_packet(cut) {
                        return Err(format!("{length} of {} bytes: {verdict:?}", sent.frame.len()));
                    }
                    cuts += 1;
                }
            }
            bench.judge(sent.way, &sent.frame).map(|_| ())
        });
        problems.extend(result.err());
    }
    nothing_of(&problems);
    println!("{cuts} cuts");
    assert!(cuts > 10_000, "only {cuts} cuts were judged");
}

/// How short a frame the kernel runs a program on: no less than an Ethernet header and a byte, and toward the client no
/// less than the IP header that the EtherType announces. On the wire there is no such limit.
fn shortest(sent: &Sent) -> usize {
    match (sent.way, &sent.frame[12..14]) {
        (Way::Out, [0x08, 0x00]) => ETHERNET + 20,
        (Way::Out, [0x86, 0xdd]) => ETHERNET + 40,
        _ => ETHERNET + 1,
    }
}

/// Whether a frame holds all of the packet in it, as the packet itself says.
fn holds_its_packet(frame: &[u8]) -> bool {
    let mut at = 12;
    let word = |at: usize| frame.get(at..at + 2).map(|bytes| usize::from(u16::from_be_bytes([bytes[0], bytes[1]])));
    while let Some(0x8100 | 0x88a8) = word(at) {
        at += 4;
    }
    let body = at + 2;
    let length = match word(at) {
        Some(0x0800) => word(body + 2),
        Some(0x86dd) => word(body + 4).map(|payload| payload + 40),
        Some(0x0806) => Some(28),
        _ => None,
    };
    length.is_some_and(|length| frame.len() >= body + length)
}
