//! A program that forwards without any check: the kernel's routes and neighbours are asked, and the packet leaves.

use anyhow::Result;
use gateway_tests::bpf::{Assembly, Condition, Helper, Kind, Operation, Program, Register, Size};

use Register::{R0, R1, R2, R3, R4, R6, R7, R10};

/// `struct bpf_fib_lookup`, on the stack, and what is in it.
const QUERY: i16 = -64;
const FAMILY: i16 = QUERY;
const PROTOCOL: i16 = QUERY + 1;
const INTERFACE: i16 = QUERY + 8;
const SOURCE: i16 = QUERY + 16;
const DESTINATION: i16 = QUERY + 32;
const OWN_MAC: i16 = QUERY + 52;
const NEXT_MAC: i16 = QUERY + 58;
/// Offset of the interface in the context.
const ARRIVED_ON: i16 = 12;
/// In the frame.
const TIME_TO_LIVE: i16 = 22;
const CHECKSUM: i16 = 24;
const DROP: i32 = 1;

/// The program.
pub fn load() -> Result<Program> {
    let mut code = Assembly::new();
    code.with(Operation::Set, R6, R1).load(Size::Word, R7, R6, 0).load(Size::Word, R2, R6, 4);
    code.with(Operation::Set, R1, R7).number(Operation::Add, R1, 38);
    code.jump_if_both(Condition::Greater, R1, R2, "drop");
    for at in (QUERY..0).step_by(8) {
        code.store_number(Size::Double, R10, at, 0);
    }
    code.store_number(Size::Byte, R10, FAMILY, nix::libc::AF_INET);
    code.store_number(Size::Byte, R10, PROTOCOL, nix::libc::IPPROTO_TCP);
    code.load(Size::Word, R1, R6, ARRIVED_ON).store(Size::Word, R10, INTERFACE, R1);
    code.load(Size::Word, R1, R7, 26).store(Size::Word, R10, SOURCE, R1);
    code.load(Size::Word, R1, R7, 30).store(Size::Word, R10, DESTINATION, R1);
    code.with(Operation::Set, R1, R6).with(Operation::Set, R2, R10).number(Operation::Add, R2, QUERY.into());
    code.number(Operation::Set, R3, 64).number(Operation::Set, R4, 0).call(Helper::FibLookup);
    code.jump_if(Condition::NotEqual, R0, 0, "drop");
    for (from, to) in [(NEXT_MAC, 0), (OWN_MAC, 6)] {
        for at in [0, 2, 4] {
            code.load(Size::Half, R1, R10, from + at).store(Size::Half, R7, to + at, R1);
        }
    }
    // One hop less, and the checksum with it: RFC 1624.
    code.load(Size::Byte, R1, R7, TIME_TO_LIVE).number(Operation::Subtract, R1, 1);
    code.store(Size::Byte, R7, TIME_TO_LIVE, R1).load(Size::Half, R1, R7, CHECKSUM).number(Operation::Add, R1, 1);
    code.with(Operation::Set, R2, R1).number(Operation::ShiftRight, R2, 16).with(Operation::Add, R1, R2);
    code.store(Size::Half, R7, CHECKSUM, R1);
    code.load(Size::Word, R1, R10, INTERFACE).number(Operation::Set, R2, 0).call(Helper::Redirect).exit();
    code.label("drop").exit_with(DROP);
    Program::assembled(Kind::Xdp, &code)
}
