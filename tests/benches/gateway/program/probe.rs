//! The least that a gateway can do: one slot of an array by the client's number, and one bucket of a cache line, compared;
//! counted, and dropped. Two lines of memory for a packet, which can be on their way at the same time. What is dearer has
//! to have a reason.

use crate::measure::plane::{APP, GRANTED, client};
use anyhow::Result;
use gateway_tests::bpf::{Assembly, Condition, Kind, Map, Operation, Program, Register, Size};

use Register::{R0, R1, R2, R6, R7, R8, R9};

/// A cache line.
const LINE: usize = 64;
/// Entries of a bucket: client and app, then ports.
const ENTRY: usize = 16;
/// Spreads numbers over the upper half of a product.
const GOLDEN: i32 = 0x61c8_8647;
/// Bits of a product that are thrown away.
const LOW_BITS: i32 = 20;
const ADDRESSES: i16 = 26;
const DROP: i32 = 1;

/// The program, and the counter of what it found.
pub struct Probe {
    program: Program,
    counters: Map,
    _tables: [Map; 2],
}

const MISSES: u32 = 0;
const HITS: u32 = 1;

impl Probe {
    /// With that many sessions, each with one grant.
    pub fn new(sessions: usize) -> Result<Self> {
        // Four entries a bucket, at most half of them used.
        let buckets = (sessions / 2).next_power_of_two();
        let (slots, grants) = (Map::array(LINE, sessions)?, Map::array(LINE, buckets)?);
        let (mut slot_bytes, mut grant_bytes) = (vec![0; sessions * LINE], vec![0; buckets * LINE]);
        for number in 0..sessions {
            let key = [client(number).octets(), APP.octets()].concat();
            slot_bytes[number * LINE..][..4].copy_from_slice(&key[..4]);
            let bucket = ((number as u64 * GOLDEN as u64) >> LOW_BITS) as usize & (buckets - 1);
            let bucket = &mut grant_bytes[bucket * LINE..][..LINE];
            // A bucket that is full keeps what it has: the packet of a session left out is a miss, and counted so.
            if let Some(free) = bucket.chunks_mut(ENTRY).find(|entry| entry[..8] == [0; 8]) {
                free[..8].copy_from_slice(&key);
                free[8..10].copy_from_slice(&GRANTED.to_be_bytes());
            }
        }
        slots.fill(&slot_bytes)?;
        grants.fill(&grant_bytes)?;
        let counters = Map::per_cpu_array(8, 2)?;
        let program = program(&slots, &grants, buckets, &counters)?;
        Ok(Self { program, counters, _tables: [slots, grants] })
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Packets whose session and grant were found.
    pub fn hits(&self) -> Result<u64> {
        self.counters.sum(HITS)
    }

    /// All packets.
    pub fn packets(&self) -> Result<u64> {
        Ok(self.hits()? + self.counters.sum(MISSES)?)
    }
}

fn program(slots: &Map, grants: &Map, buckets: usize, counters: &Map) -> Result<Program> {
    let first = i32::from_be_bytes(client(0).octets());
    let mut code = Assembly::new();
    code.load(Size::Word, R6, R1, 0).load(Size::Word, R2, R1, 4);
    code.with(Operation::Set, R1, R6).number(Operation::Add, R1, 38);
    code.jump_if_both(Condition::Greater, R1, R2, "drop");
    // R7 is the client's address, R8 the number of its session, R9 what its entry begins with.
    code.load(Size::Word, R7, R6, ADDRESSES).load(Size::Double, R9, R6, ADDRESSES);
    code.with(Operation::Set, R8, R7).from_network(R8).number(Operation::Subtract, R8, first);
    // Both lines are asked for before either is looked at.
    code.with(Operation::Set, R1, R8).look_up(slots, "miss")?;
    code.with(Operation::Set, R1, R8).with(Operation::Set, R8, R0).number(Operation::Multiply, R1, GOLDEN);
    code.number(Operation::ShiftRight, R1, LOW_BITS);
    code.number(Operation::And, R1, i32::try_from(buckets - 1)?).look_up(grants, "miss")?;
    code.load(Size::Word, R1, R8, 0).jump_if_both(Condition::NotEqual, R1, R7, "miss");
    code.load(Size::Half, R7, R6, ADDRESSES + 10);
    for entry in (0..LINE).step_by(ENTRY) {
        code.load(Size::Double, R1, R0, i16::try_from(entry)?);
        code.jump_if_both(Condition::Equal, R1, R9, ["first", "second", "third", "fourth"][entry / ENTRY]);
    }
    code.jump("miss");
    for (place, label) in ["first", "second", "third", "fourth"].into_iter().enumerate() {
        code.label(label).load(Size::Half, R1, R0, i16::try_from(place * ENTRY + 8)?);
        code.jump_if_both(Condition::Equal, R1, R7, "hit").jump("miss");
    }
    code.label("miss").number(Operation::Set, R1, MISSES as i32).jump("count");
    code.label("hit").number(Operation::Set, R1, HITS as i32);
    code.label("count").look_up(counters, "drop")?;
    code.load(Size::Double, R1, R0, 0).number(Operation::Add, R1, 1).store(Size::Double, R0, 0, R1);
    code.label("drop").exit_with(DROP);
    Program::assembled(Kind::Xdp, &code)
}
