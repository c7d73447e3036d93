//! Captured packets as Wireshark reads them: the blocks of pcapng (draft-ietf-opsawg-pcapng) that a capture is made of, written
//! and taken apart.
//!
//! Only what is needed: one section, little-endian, time stamps in nanoseconds. Whoever reads one takes whole blocks, and looks
//! into those that say what was lost.

use std::fmt;
use std::str::FromStr;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

const END: u16 = 0;
const COMMENT: u16 = 1;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const SHB_USERAPPL: u16 = 4;
const EPB_FLAGS: u16 = 2;
const EPB_VERDICT: u16 = 7;
const ISB_IFDROP: u16 = 5;
const ISB_FILTERACCEPT: u16 = 6;
const ISB_USRDELIV: u16 = 8;

/// Time stamps are in units of ten to the power of minus nine.
const NANOSECONDS: u8 = 9;
/// Longest comment, in bytes: a packet may concern many policies.
const LONGEST_COMMENT: usize = 4_096;
/// No block of ours is longer.
const LONGEST_BLOCK: usize = 1 << 20;
/// Its type, and its length at either end.
const FRAME: usize = 12;

/// What frames begin with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// An Ethernet header.
    Ethernet,
    /// The IP header.
    Raw,
}

/// The program that decided, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// An XDP program, with this action.
    Xdp(u64),
    /// A TC program, likewise.
    Tc(u64),
}

/// A packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'p> {
    /// The number of its interface in the section.
    pub interface: u32,
    /// When, in nanoseconds since 1970.
    pub at: u64,
    /// How long it is.
    pub length: u32,
    /// Its first bytes.
    pub bytes: &'p [u8],
    /// What there is to say of it.
    pub comment: &'p str,
    /// Whether it has arrived there, or was to leave.
    pub is_inbound: bool,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of the packets of an interface that were wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// All of them.
    pub matched: u64,
    /// Those that were captured.
    pub captured: u64,
    /// Those beyond the rate.
    pub over_rate: u64,
    /// Those for which the gateway had no room.
    pub no_room: u64,
    /// Those that the reader was too slow for.
    pub too_slow: u64,
}

impl Tally {
    /// How many were not captured.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.over_rate.saturating_add(self.no_room).saturating_add(self.too_slow)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { matched, captured, over_rate, no_room, too_slow } = self;
        write!(f, "matched={matched} captured={captured} over_rate={over_rate} no_room={no_room} too_slow={too_slow}")
    }
}

impl FromStr for Tally {
    type Err = NotACapture;

    fn from_str(text: &str) -> Result<Self, NotACapture> {
        let mut words = text.split(' ');
        let mut number = |name: &str| {
            let value = words.next()?.strip_prefix(name)?.strip_prefix('=')?;
            value.parse().ok()
        };
        let mut tally = || {
            Some(Self {
                matched: number("matched")?,
                captured: number("captured")?,
                over_rate: number("over_rate")?,
                no_room: number("no_room")?,
                too_slow: number("too_slow")?,
            })
        };
        tally().ok_or(NotACapture("a tally that is none"))
    }
}

/// The beginning of a capture.
#[must_use]
pub fn section(comment: &str) -> Vec<u8> {
    let mut block = Block::of(SECTION);
    block.word(BYTE_ORDER);
    block.halves(1, 0);
    // How long the section is: nobody knows.
    block.double(u64::MAX);
    block.text(COMMENT, comment);
    block.text(SHB_USERAPPL, concat!("Portcullis ", env!("CARGO_PKG_VERSION")));
    block.done()
}

/// An interface. They are numbered in their order, from 0.
#[must_use]
pub fn interface(name: &str, link: Link, longest: u32) -> Vec<u8> {
    let mut block = Block::of(INTERFACE);
    let link = match link {
        Link::Ethernet => 1,
        Link::Raw => 101,
    };
    block.halves(link, 0);
    block.word(longest);
    block.text(IF_NAME, name);
    block.option(IF_TSRESOL, &[NANOSECONDS]);
    block.done()
}

/// A packet of an interface that was named before.
#[must_use]
pub fn packet(packet: &Packet<'_>) -> Vec<u8> {
    let Packet { interface, at, length, bytes, comment, is_inbound, verdict } = *packet;
    let mut block = Block::of(PACKET);
    block.word(interface);
    block.time(at);
    block.word(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    block.word(length);
    block.padded(bytes);
    block.text(COMMENT, comment);
    block.option(EPB_FLAGS, &if is_inbound { 1_u32 } else { 2 }.to_le_bytes());
    let (kind, action) = match verdict {
        Verdict::Tc(action) => (1, action),
        Verdict::Xdp(action) => (2, action),
    };
    let [a, b, c, d, e, f, g, h] = action.to_le_bytes();
    block.option(EPB_VERDICT, &[kind, a, b, c, d, e, f, g, h]);
    block.done()
}

/// What became of the packets of an interface so far.
#[must_use]
pub fn statistics(interface: u32, at: u64, tally: &Tally) -> Vec<u8> {
    let mut block = Block::of(STATISTICS);
    block.word(interface);
    block.time(at);
    block.text(COMMENT, &tally.to_string());
    block.option(ISB_IFDROP, &tally.lost().to_le_bytes());
    block.option(ISB_FILTERACCEPT, &tally.matched.to_le_bytes());
    block.option(ISB_USRDELIV, &tally.captured.to_le_bytes());
    block.done()
}

/// A block in the making.
struct Block(Vec<u8>);

impl Block {
    fn of(kind: u32) -> Self {
        let mut block = Self(Vec::with_capacity(256));
        block.word(kind);
        // The length, when it is known.
        block.word(0);
        block
    }

    fn halves(&mut self, first: u16, second: u16) {
        self.0.extend(first.to_le_bytes());
        self.0.extend(second.to_le_bytes());
    }

    fn word(&mut self, word: u32) {
        self.0.extend(word.to_le_bytes());
    }

    fn double(&mut self, double: u64) {
        self.0.extend(double.to_le_bytes());
    }

    /// The upper half comes first, whatever the byte order.
    fn time(&mut self, at: u64) {
        self.word((at >> 32) as u32);
        self.word(at as u32);
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.halves(code, length);
        self.padded(value.get(..length.into()).unwrap_or(value));
    }

    /// A text without what a terminal would obey, and not too long.
    fn text(&mut self, code: u16, text: &str) {
        let mut plain: String =
            text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
        if plain.len() > LONGEST_COMMENT {
            plain.truncate(plain.floor_char_boundary(LONGEST_COMMENT));
            plain.push('…');
        }
        self.option(code, plain.as_bytes());
    }

    fn done(mut self) -> Vec<u8> {
        self.halves(END, 0);
        let length = u32::try_from(self.0.len().saturating_add(4)).unwrap_or(u32::MAX);
        self.word(length);
        if let Some(place) = self.0.get_mut(4..8) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        self.0
    }
}

/// What is not a capture of this gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this is no capture: {0}")]
pub struct NotACapture(&'static str);

/// Takes a capture apart as it comes, into whole blocks.
#[derive(Debug, Default)]
pub struct Blocks {
    pending: Vec<u8>,
    at: usize,
    has_begun: bool,
}

/// What a block is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// An interface, of this name.
    Interface(String),
    /// A packet, of so many captured bytes.
    Packet(u32),
    /// What became of the packets of this interface.
    Statistics(u32, Tally),
    /// Something else.
    Other,
}

impl Blocks {
    /// More of it has come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.drain(..std::mem::take(&mut self.at));
        self.pending.extend(bytes);
    }

    /// The next block that is whole.
    ///
    /// # Errors
    /// If it is none.
    pub fn next_block(&mut self) -> Result<Option<(What, &[u8])>, NotACapture> {
        let rest = self.pending.get(self.at..).unwrap_or_default();
        let (Some(kind), Some(length)) = (word(rest, 0), word(rest, 4)) else { return Ok(None) };
        if !std::mem::replace(&mut self.has_begun, true) && kind != SECTION {
            return Err(NotACapture("it does not begin with a section"));
        }
        let length = length as usize;
        if !(FRAME..=LONGEST_BLOCK).contains(&length) || !length.is_multiple_of(4) {
            return Err(NotACapture("a block has a length that none can have"));
        }
        let Some(block) = rest.get(..length) else { return Ok(None) };
        if word(block, length.saturating_sub(4)) != Some(length as u32) {
            return Err(NotACapture("the two lengths of a block differ"));
        }
        self.at = self.at.saturating_add(length);
        Ok(Some((what(kind, block)?, block)))
    }
}

fn what(kind: u32, block: &[u8]) -> Result<What, NotACapture> {
    let text = |from, code| option(block, from, code).map(|value| String::from_utf8_lossy(value).into_owned());
    Ok(match kind {
        SECTION if word(block, 8) != Some(BYTE_ORDER) => return Err(NotACapture("it is in another byte order")),
        INTERFACE => What::Interface(text(16, IF_NAME).ok_or(NotACapture("an interface has no name"))?),
        PACKET => What::Packet(word(block, 20).ok_or(NotACapture("a packet is too short"))?),
        STATISTICS => {
            let interface = word(block, 8).ok_or(NotACapture("statistics are too short"))?;
            What::Statistics(interface, text(20, COMMENT).unwrap_or_default().parse()?)
        }
        _ => What::Other,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// The value of an option of a block, whose options begin there.
fn option(block: &[u8], from: usize, wanted: u16) -> Option<&[u8]> {
    let mut rest = block.get(from..block.len().checked_sub(4)?)?;
    while let Some((head, more)) = rest.split_first_chunk::<4>() {
        let [a, b, c, d] = *head;
        let (code, length) = (u16::from_le_bytes([a, b]), usize::from(u16::from_le_bytes([c, d])));
        if code == END {
            break;
        }
        if code == wanted {
            return more.get(..length);
        }
        rest = more.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALLY: Tally = Tally { matched: 10, captured: 4, over_rate: 3, no_room: 2, too_slow: 1 };

    fn capture() -> Vec<u8> {
        let seen = Packet {
            interface: 0,
            at: 0x0102_0304_0506_0708,
            length: 1_500,
            bytes: b"12345",
            comment: "why",
            is_inbound: true,
            verdict: Verdict::Xdp(1),
        };
        let parts = [section("all"), interface("eth1", Link::Ethernet, 256), packet(&seen), statistics(0, 9, &TALLY)];
        parts.concat()
    }

    fn taken_apart(bytes: &[u8], at_once: usize) -> Result<Vec<What>, NotACapture> {
        let (mut blocks, mut found, mut whole) = (Blocks::default(), Vec::new(), Vec::new());
        for piece in bytes.chunks(at_once) {
            blocks.push(piece);
            while let Some((what, block)) = blocks.next_block()? {
                found.push(what);
                whole.extend(block);
            }
        }
        assert!(bytes.starts_with(&whole));
        Ok(found)
    }

    #[test]
    fn a_packet_is_written_as_the_draft_says() {
        let bytes = capture();
        let from = section("all").len() + interface("eth1", Link::Ethernet, 256).len();
        let expected = [
            [6, 0, 0, 0, 76, 0, 0, 0],
            [0, 0, 0, 0, 4, 3, 2, 1],
            [8, 7, 6, 5, 5, 0, 0, 0],
            [0xdc, 5, 0, 0, b'1', b'2', b'3', b'4'],
            [b'5', 0, 0, 0, 1, 0, 3, 0],
            [b'w', b'h', b'y', 0, 2, 0, 4, 0],
            [1, 0, 0, 0, 7, 0, 9, 0],
            [2, 1, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0],
            [76, 0, 0, 0, 5, 0, 0, 0],
        ];
        assert_eq!(bytes[from..from + 80], expected.concat());
    }

    #[test]
    fn what_was_written_is_taken_apart_whatever_pieces_it_comes_in() {
        let expected = [What::Other, What::Interface("eth1".into()), What::Packet(5), What::Statistics(0, TALLY)];
        for at_once in [1, 3, 4, 50, 10_000] {
            assert_eq!(taken_apart(&capture(), at_once).unwrap(), expected, "{at_once}");
        }
        let cut = capture();
        assert_eq!(taken_apart(&cut[..cut.len() - 1], 7).unwrap(), expected[..3]);
    }

    #[test]
    fn what_is_no_capture_is_refused() {
        let (whole, second) = (capture(), section("all").len());
        let bent = |at: usize, value: u8| {
            let mut bytes = whole.clone();
            bytes[at] = value;
            taken_apart(&bytes, 100).unwrap_err().to_string()
        };
        for (at, value, said) in [
            (0, 1, "begin with a section"),
            (8, 1, "byte order"),
            (4, 1, "length that none can have"),
            (6, 255, "length that none can have"),
            (second - 4, 0, "lengths of a block differ"),
            (second + 16, 99, "has no name"),
        ] {
            assert!(bent(at, value).contains(said), "{at}: {}", bent(at, value));
        }
        assert!("matched=1 captured=x".parse::<Tally>().is_err());
    }

    #[test]
    fn a_terminal_obeys_nothing_in_a_comment_and_long_ones_are_cut() {
        let block = section("a\u{1b}[31m\nb");
        assert_eq!(option(&block, 24, COMMENT), Some("a\u{fffd}[31m\u{fffd}b".as_bytes()));
        let long = section(&"é".repeat(70_000));
        let comment = String::from_utf8(option(&long, 24, COMMENT).unwrap().to_vec()).unwrap();
        assert!(comment.ends_with("é…") && comment.len() <= LONGEST_COMMENT + 3, "{}", comment.len());
    }
}
