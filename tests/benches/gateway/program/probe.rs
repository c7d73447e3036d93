//! Three programs that do the least that is possible, which say how much of a cost is memory.
//!
//! The **bare probe** is the least that a gateway can do: one slot of an array by the client's number, and one bucket of a
//! cache line, compared; counted, and dropped. Two lines of memory for a packet, which can be on their way at the same
//! time, and are only read.
//!
//! The **counting probe** is the least that a gateway can do which knows what each flow has carried: a bit of a filter, and
//! of a slot as long as a flow's, in a table as long as that of flows, the key's line, which is compared, and the next one,
//! in which the packet is counted. No hash, no policy, no time, no check of the packet.
//!
//! The **working probe** is that, and [`WORK`] additions that nothing depends on. It says what memory costs a program that
//! has anything to do: the processor no longer comes to the next packet before the lines of this one have arrived, so that
//! it waits for each of them, where the other two wait for several at once.

use crate::measure::plane::{APP, GRANTED, client};
use anyhow::Result;
use gateway_tests::bpf::{Assembly, Condition, Kind, Map, Operation, Program, Register, Size};

use Register::{R0, R1, R2, R6, R7, R8, R9};

/// A cache line.
const LINE: usize = 64;
/// Entries of a bucket: client and app, then ports.
const ENTRY: usize = 16;
/// A flow in its table, and its counts in the second line.
const FLOW: usize = size_of::<gateway_common::abi::Flow>();
const COUNT: i16 = 64;
/// Less than the gateway does for a packet of a flow that it knows: with everything at hand they take less time.
const WORK: usize = 500;
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
    /// The bare one, with that many sessions, each with one grant.
    pub fn bare(sessions: usize) -> Result<Self> {
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
        Self::with([slots, grants], |code, [slots, grants]| find_grant(code, slots, grants, buckets))
    }

    /// The one that counts, with that many flows.
    pub fn counting(flows: usize) -> Result<Self> {
        Self::with_work(flows, 0)
    }

    /// The one that counts and works, with that many flows.
    pub fn working(flows: usize) -> Result<Self> {
        Self::with_work(flows, WORK)
    }

    fn with_work(flows: usize, work: usize) -> Result<Self> {
        let (words, slots) = ((flows / 8).next_power_of_two(), (2 * flows).next_power_of_two());
        let (filter, table) = (Map::array(8, words)?, Map::array(FLOW, slots)?);
        filter.fill(&vec![0xff; 8 * words])?;
        let mut bytes = vec![0; FLOW * slots];
        for number in 0..flows {
            // An odd factor: no two numbers meet.
            let slot = (number as u64).wrapping_mul(GOLDEN as u64) as usize & (slots - 1);
            bytes[slot * FLOW..][..4].copy_from_slice(&client(number).octets());
        }
        table.fill(&bytes)?;
        Self::with([filter, table], |code, [filter, table]| {
            count_flow(code, filter, words, table, slots)?;
            // Four chains, as much as the processor does at once.
            for register in [R1, R6, R7, R8].into_iter().cycle().take(work) {
                code.number(Operation::Add, register, 1);
            }
            code.jump("hit");
            Ok(())
        })
    }

    fn with(tables: [Map; 2], look: impl FnOnce(&mut Assembly, &[Map; 2]) -> Result<()>) -> Result<Self> {
        let counters = Map::per_cpu_array(8, 2)?;
        let mut code = Assembly::new();
        code.load(Size::Word, R6, R1, 0).load(Size::Word, R2, R1, 4);
        code.with(Operation::Set, R1, R6).number(Operation::Add, R1, 38);
        code.jump_if_both(Condition::Greater, R1, R2, "drop");
        // R7 is the client's address, R8 the number of its session.
        code.load(Size::Word, R7, R6, ADDRESSES).with(Operation::Set, R8, R7).from_network(R8);
        code.number(Operation::Subtract, R8, i32::from_be_bytes(client(0).octets()));
        look(&mut code, &tables)?;
        code.label("miss").number(Operation::Set, R1, MISSES as i32).jump("count");
        code.label("hit").number(Operation::Set, R1, HITS as i32);
        code.label("count").look_up(&counters, "drop")?;
        code.load(Size::Double, R1, R0, 0).number(Operation::Add, R1, 1).store(Size::Double, R0, 0, R1);
        code.label("drop").exit_with(DROP);
        Ok(Self { program: Program::assembled(Kind::Xdp, &code)?, counters, _tables: tables })
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

/// Goes to "hit" if slot and grant are there, and on, or to "miss", if not.
fn find_grant(code: &mut Assembly, slots: &Map, grants: &Map, buckets: usize) -> Result<()> {
    // R9 is what the grant's entry begins with.
    code.load(Size::Double, R9, R6, ADDRESSES);
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
    Ok(())
}

/// Goes on if the flow is there and was counted, and to "miss" if not.
fn count_flow(code: &mut Assembly, filter: &Map, words: usize, table: &Map, slots: usize) -> Result<()> {
    code.with(Operation::Set, R1, R8).number(Operation::And, R1, i32::try_from(words - 1)?).look_up(filter, "miss")?;
    code.load(Size::Double, R1, R0, 0).jump_if(Condition::Equal, R1, 0, "miss");
    code.with(Operation::Set, R1, R8).number(Operation::Multiply, R1, GOLDEN);
    code.number(Operation::And, R1, i32::try_from(slots - 1)?).look_up(table, "miss")?;
    code.load(Size::Word, R1, R0, 0).jump_if_both(Condition::NotEqual, R1, R7, "miss");
    code.load(Size::Double, R1, R0, COUNT).number(Operation::Add, R1, 1).store(Size::Double, R0, COUNT, R1);
    Ok(())
}
