//! An assembler for programs of some twenty instructions: names for codes, and labels for jumps. See RFC 9669.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::Map;

/// A register. A call takes its arguments from `R1` to `R5`, destroys them, and answers in `R0`; `R10` is the end of
/// the stack.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

/// How many bytes are loaded or stored.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Size {
    /// Four.
    Word = 0x00,
    /// Two.
    Half = 0x08,
    /// One.
    Byte = 0x10,
    /// Eight.
    Double = 0x18,
}

/// What is done with a register, in 64 bits.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Operation {
    Add = 0x00,
    Subtract = 0x10,
    Multiply = 0x20,
    Or = 0x40,
    And = 0x50,
    ShiftLeft = 0x60,
    ShiftRight = 0x70,
    Xor = 0xa0,
    Set = 0xb0,
}

/// When to jump.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Condition {
    Equal = 0x10,
    Greater = 0x20,
    NotEqual = 0x50,
}

/// A function of the kernel.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Helper {
    MapLookup = 1,
    TailCall = 12,
    Redirect = 23,
    FibLookup = 69,
}

/// A place in a program.
pub type Label = &'static str;

/// A program in the making.
#[derive(Clone, Debug, Default)]
pub struct Assembly {
    words: Vec<[u8; 8]>,
    labels: BTreeMap<Label, usize>,
    jumps: Vec<(usize, Label)>,
}

impl Assembly {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does something with a register and a number.
    pub fn number(&mut self, operation: Operation, to: Register, number: i32) -> &mut Self {
        self.word(0x07 | operation as u8, to, Register::R0, 0, number)
    }

    /// Does something with a register and another one.
    pub fn with(&mut self, operation: Operation, to: Register, from: Register) -> &mut Self {
        self.word(0x0f | operation as u8, to, from, 0, 0)
    }

    /// Brings the lower half of a register from network order into that of the host.
    pub fn from_network(&mut self, register: Register) -> &mut Self {
        self.word(0xdc, register, Register::R0, 0, 32)
    }

    /// Loads from an address and an offset.
    pub fn load(&mut self, size: Size, to: Register, from: Register, offset: i16) -> &mut Self {
        self.word(0x61 | size as u8, to, from, offset, 0)
    }

    /// Stores to an address and an offset.
    pub fn store(&mut self, size: Size, to: Register, offset: i16, from: Register) -> &mut Self {
        self.word(0x63 | size as u8, to, from, offset, 0)
    }

    /// Stores a number.
    pub fn store_number(&mut self, size: Size, to: Register, offset: i16, number: i32) -> &mut Self {
        self.word(0x62 | size as u8, to, Register::R0, offset, number)
    }

    /// Stores bytes, as many as fit at once.
    pub fn store_bytes(&mut self, to: Register, offset: i16, bytes: &[u8]) -> &mut Self {
        let mut at = offset;
        for piece in bytes.chunks(4) {
            match *piece {
                [a, b, c, d] => self.store_number(Size::Word, to, at, i32::from_ne_bytes([a, b, c, d])),
                _ => piece
                    .iter()
                    .zip(at..)
                    .fold(self.at(), |assembly, (byte, at)| assembly.store_number(Size::Byte, to, at, (*byte).into())),
            };
            at += 4;
        }
        self
    }

    /// The address of a map, for a call.
    pub fn map(&mut self, to: Register, map: &Map) -> Result<&mut Self> {
        self.wide(to, 1, map.number()?)
    }

    /// The address of the only value of an array.
    pub fn map_value(&mut self, to: Register, map: &Map) -> Result<&mut Self> {
        self.wide(to, 2, map.number()?)
    }

    /// Calls a function.
    pub fn call(&mut self, helper: Helper) -> &mut Self {
        self.word(0x85, Register::R0, Register::R0, 0, helper as i32)
    }

    /// Goes on elsewhere.
    pub fn jump(&mut self, label: Label) -> &mut Self {
        self.jumps.push((self.words.len(), label));
        self.word(0x05, Register::R0, Register::R0, 0, 0)
    }

    /// Goes on elsewhere if a register is so.
    pub fn jump_if(&mut self, condition: Condition, left: Register, right: i32, label: Label) -> &mut Self {
        self.jumps.push((self.words.len(), label));
        self.word(0x05 | condition as u8, left, Register::R0, 0, right)
    }

    /// Goes on elsewhere if two registers are so.
    pub fn jump_if_both(&mut self, condition: Condition, left: Register, right: Register, label: Label) -> &mut Self {
        self.jumps.push((self.words.len(), label));
        self.word(0x0d | condition as u8, left, right, 0, 0)
    }

    /// Names the place of the next instruction.
    pub fn label(&mut self, label: Label) -> &mut Self {
        self.labels.insert(label, self.words.len());
        self
    }

    /// Ends the program with a code.
    pub fn exit_with(&mut self, code: i32) -> &mut Self {
        self.number(Operation::Set, Register::R0, code).exit()
    }

    /// Ends the program with what is in `R0`.
    pub fn exit(&mut self) -> &mut Self {
        self.word(0x95, Register::R0, Register::R0, 0, 0)
    }

    /// The value of an array at the index in `R1`, in `R0`; if there is none it goes on elsewhere. The stack's first
    /// four bytes are used.
    pub fn look_up(&mut self, map: &Map, otherwise: Label) -> Result<&mut Self> {
        self.store(Size::Word, Register::R10, -4, Register::R1);
        self.with(Operation::Set, Register::R2, Register::R10).number(Operation::Add, Register::R2, -4);
        self.map(Register::R1, map)?.call(Helper::MapLookup);
        Ok(self.jump_if(Condition::Equal, Register::R0, 0, otherwise))
    }

    /// The instructions, with every jump knowing its way.
    pub(super) fn finish(&self) -> Result<Vec<[u8; 8]>> {
        let mut words = self.words.clone();
        for (from, label) in &self.jumps {
            let to = self.labels.get(label).with_context(|| format!("nothing is called `{label}`"))?;
            let way = i16::try_from(*to as i64 - *from as i64 - 1)?;
            words[*from][2..4].copy_from_slice(&way.to_ne_bytes());
        }
        Ok(words)
    }

    fn at(&mut self) -> &mut Self {
        self
    }

    fn wide(&mut self, to: Register, kind: u8, number: u32) -> Result<&mut Self> {
        let [a, b, c, d] = number.to_ne_bytes();
        self.words.push([0x18, to as u8 | (kind << 4), 0, 0, a, b, c, d]);
        self.words.push([0; 8]);
        Ok(self)
    }

    fn word(&mut self, code: u8, to: Register, from: Register, offset: i16, number: i32) -> &mut Self {
        let ([a, b, c, d], [low, high]) = (number.to_ne_bytes(), offset.to_ne_bytes());
        self.words.push([code, to as u8 | ((from as u8) << 4), low, high, a, b, c, d]);
        self
    }
}
