//! A program that gives the packet at hand another key each time, and goes on to another program or sends it on.
//!
//! The keys lie in the order of their use in an array, so that reading them costs next to nothing: what is cold is what
//! the program behind has to look up. That the same program drives all contenders takes its cost out of the comparison.

use anyhow::{Result, ensure};
use gateway_tests::bpf::{Assembly, Condition, Helper, Kind, Map, Operation, Program, Register, Size};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use Register::{R0, R1, R2, R3, R4, R6, R7, R8};

/// Keys, and where they go in a frame.
pub struct Keys {
    map: Map,
    count: usize,
    /// Of each.
    size: usize,
    /// In the frame.
    offset: usize,
}

impl Keys {
    /// Keys of equal size, a power of two of them.
    pub fn new(offset: usize, keys: &[Vec<u8>]) -> Result<Self> {
        let size = keys.first().map_or(0, Vec::len);
        ensure!(keys.len().is_power_of_two() && size.is_multiple_of(4), "{} keys of {size} bytes", keys.len());
        let map = Map::array(size, keys.len())?;
        map.fill(&keys.concat())?;
        Ok(Self { map, count: keys.len(), size, offset })
    }
}

/// What becomes of a packet that has its key.
pub enum Then<'t> {
    /// It is judged by another program of the same kind.
    Run(&'t dyn AsFd),
    /// It leaves through the interface of this number, with these bytes at its beginning.
    Send(u32, &'t [u8]),
}

/// The program, with its place among the keys.
pub struct Driver {
    program: Program,
    /// Kept, because the kernel empties it when nobody holds it.
    _programs: Map,
}

/// Ports and destinations that were never used before: the number of the packet goes there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// As the key says.
    Known,
    /// Another one each time: the source port and the lower half of the destination of TCP over IPv4 count up.
    Fresh,
}

/// Offset of the lower half of the destination's address.
const DESTINATION: i16 = 32;
/// Offset of the source port of TCP over IPv4.
const SOURCE_PORT: i16 = 34;

/// No program makes more packets than this has bits for.
const PACKET_BITS: u32 = 24;

impl Driver {
    /// Loads it.
    pub fn new(kind: Kind, keys: &Keys, flow: Flow, then: &Then<'_>) -> Result<Self> {
        let (cursor, programs) = (Map::array(8, 1)?, Map::programs(1)?);
        if flow == Flow::Fresh {
            // No two programs count through the same numbers.
            static PROGRAMS: AtomicU64 = AtomicU64::new(0);
            cursor.fill(&(PROGRAMS.fetch_add(1, Ordering::Relaxed) << PACKET_BITS).to_ne_bytes())?;
        }
        // Where a packet's data is in its context, and where it ends.
        let (data, end) = match kind {
            Kind::Xdp => (0, 4),
            Kind::Tc => (76, 80),
        };
        let mut code = Assembly::new();
        code.with(Operation::Set, R6, R1).map_value(R7, &cursor)?;
        code.load(Size::Double, R8, R7, 0).with(Operation::Set, R1, R8).number(Operation::Add, R1, 1);
        code.store(Size::Double, R7, 0, R1).with(Operation::Set, R1, R8);
        code.number(Operation::And, R1, i32::try_from(keys.count - 1)?).look_up(&keys.map, "out")?;
        code.with(Operation::Set, R7, R0);
        code.load(Size::Word, R1, R6, data).load(Size::Word, R2, R6, end);
        code.with(Operation::Set, R3, R1).number(Operation::Add, R3, i32::try_from(keys.offset + keys.size)?);
        code.jump_if_both(Condition::Greater, R3, R2, "out");
        if let Then::Send(_, beginning) = then {
            code.store_bytes(R1, 0, beginning);
        }
        for word in (0..keys.size).step_by(4) {
            code.load(Size::Word, R4, R7, i16::try_from(word)?);
            code.store(Size::Word, R1, i16::try_from(keys.offset + word)?, R4);
        }
        if flow == Flow::Fresh {
            // Port 0 is nobody's: one bit is always set.
            code.with(Operation::Set, R4, R8).number(Operation::Or, R4, 1 << 15);
            code.store(Size::Half, R1, SOURCE_PORT, R4).number(Operation::ShiftRight, R8, 15);
            code.store(Size::Half, R1, DESTINATION, R8);
        }
        match then {
            Then::Run(program) => {
                programs.put_program(0, program.as_fd())?;
                code.with(Operation::Set, R1, R6).map(R2, &programs)?;
                code.number(Operation::Set, R3, 0).call(Helper::TailCall);
            }
            Then::Send(interface, _) => {
                code.number(Operation::Set, R1, i32::try_from(*interface)?).number(Operation::Set, R2, 0);
                code.call(Helper::Redirect).exit();
            }
        }
        code.label("out").exit_with(0);
        Ok(Self { program: Program::assembled(kind, &code)?, _programs: programs })
    }

    /// Runs it that many times over a frame: nanoseconds for each packet.
    pub fn nanoseconds(&self, frame: &[u8], packets: u32) -> Result<f64> {
        Ok(self.program.time_run(frame, packets)?.as_nanos() as f64)
    }

    /// Makes that many packets of a frame and sends them, so many at a time.
    pub fn send(&self, frame: &[u8], packets: u32, batch: u32) -> Result<()> {
        self.program.send(frame, packets, batch)
    }
}

/// A program that ends with a code at once.
pub fn constant(kind: Kind, code: i32) -> Result<Program> {
    Program::assembled(kind, Assembly::new().exit_with(code))
}
