//! The chain: how a line of the trail is sealed, and what a line that was read says of itself and of the one before.
//! Functions on bytes; no file and no clock.
//!
//! A line is one JSON object. Its first members are `seq`, `time` and `type`, its last two `prev`, which is the hash of the
//! line before, and `hash`. The hash is SHA-256 over the bytes of the line from its first brace up to, and without, the comma
//! before `"hash"`.

use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// What stands between the fields of an entry and its last two members.
const PREV: &[u8] = b",\"prev\":\"";
const HASH: &[u8] = b",\"hash\":\"";
const END: &[u8] = b"\"}";
/// Digits of a hash.
const DIGITS: usize = 64;

/// The types of entries that a file may begin with.
pub(in crate::record) const BEGUN: &str = "trail_began";
pub(in crate::record) const CONTINUED: &str = "file_begun";
pub(in crate::record) const BROKEN: &str = "chain_broken";

/// SHA-256 of a line.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first line of a chain has in the place of the hash of a line before.
    pub const NONE: Self = Self([0; 32]);

    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// From 64 hexadecimal digits, in small letters and no others: a line is sealed in one way only.
    fn read(digits: &[u8]) -> Option<Self> {
        let digits: &[u8; DIGITS] = digits.try_into().ok()?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self(hash))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The last entry of a trail: whoever keeps it knows later whether what led to it is still the same, written `SEQ:HASH`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

/// Something that is no head.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not a head: write the number of an entry, a colon, and the 64 digits of its hash")]
pub struct NotAHead(pub String);

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, hash } = self;
        write!(f, "{seq}:{hash}")
    }
}

impl FromStr for Head {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.trim().split_once(':').and_then(|(seq, hash)| {
            let hash = Hash::read(hash.to_ascii_lowercase().as_bytes())?;
            Some(Self { seq: number(seq.as_bytes())?, hash })
        });
        parts.ok_or_else(|| NotAHead(text.to_owned()))
    }
}

/// Seals what was appended to `lines` from there on: the JSON object of an entry, which becomes a whole line.
pub(super) fn seal(lines: &mut Vec<u8>, from: usize, prev: Hash) -> Hash {
    if lines.last() == Some(&b'}') {
        lines.pop();
    }
    lines.extend_from_slice(PREV);
    lines.extend_from_slice(prev.to_string().as_bytes());
    lines.push(b'"');
    let hash = Hash::of(lines.get(from..).unwrap_or_default());
    lines.extend_from_slice(HASH);
    lines.extend_from_slice(hash.to_string().as_bytes());
    lines.extend_from_slice(END);
    lines.push(b'\n');
    hash
}

/// What a line says of its place in the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Link<'l> {
    pub seq: u64,
    pub time: &'l str,
    pub kind: &'l str,
    pub prev: Hash,
    pub hash: Hash,
    /// Whether the hash is that of the line.
    pub is_own: bool,
}

impl<'l> Link<'l> {
    /// `None` if the line does not begin and end as every line does. `line` is without its end.
    pub fn read(line: &'l [u8]) -> Option<Self> {
        let rest = line.strip_suffix(END)?;
        let (rest, hash) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
        let sealed = rest.strip_suffix(HASH)?;
        let rest = sealed.strip_suffix(b"\"")?;
        let (rest, prev) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
        let fields = rest.strip_suffix(PREV)?;
        let (seq, fields) = until(fields.strip_prefix(b"{\"seq\":")?, b',')?;
        let (time, fields) = until(fields.strip_prefix(b"\"time\":\"")?, b'"')?;
        let (kind, _) = until(fields.strip_prefix(b",\"type\":\"")?, b'"')?;
        let (hash, prev) = (Hash::read(hash)?, Hash::read(prev)?);
        let is_own = Hash::of(sealed) == hash;
        let text = |bytes| std::str::from_utf8(bytes).ok();
        Some(Self { seq: number(seq)?, time: text(time)?, kind: text(kind)?, prev, hash, is_own })
    }

    /// The last entry, if this is it.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }
}

fn until(bytes: &[u8], end: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == end)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// Digits without leading zeros, and not too many.
fn number(digits: &[u8]) -> Option<u64> {
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == digits).then_some(number)
}

/// What is wrong with a line, or with what should follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// It does not begin and end as a line does.
    Unreadable,
    /// It is not what its hash says.
    Changed,
    /// It is what its hash says, and not what follows the line before: one of the two was replaced.
    Replaced,
    /// Entries are missing before it, from the one number to the other.
    Missing(u64, u64),
    /// An entry of this number stands where a later one is expected.
    OutOfPlace(u64),
    /// It is the first of its file, and its number is another than the file's name says.
    Misnamed(u64),
    /// It is the first of its file, and of no type that a file begins with.
    NoBeginning,
    /// It begins a chain anew, because the daemon found the one before broken.
    Restarted,
    /// It has no end.
    Unfinished,
    /// There is no line in the file, or no file.
    Empty,
    /// Its file was longer or shorter than the daemon had left it.
    Resized,
}

impl Flaw {
    /// Its name in entries of the trail, the API and JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Changed => "changed",
            Self::Replaced => "replaced",
            Self::Missing(..) => "missing",
            Self::OutOfPlace(_) => "out_of_place",
            Self::Misnamed(_) => "misnamed",
            Self::NoBeginning => "no_beginning",
            Self::Restarted => "restarted",
            Self::Unfinished => "unfinished",
            Self::Empty => "empty",
            Self::Resized => "resized",
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("this is no entry: the line was changed, or something was inserted"),
            Self::Changed => f.write_str("the line was changed after it was written"),
            Self::Replaced => {
                f.write_str("it does not follow the entry before it: that one was changed and given a new hash, or this one was put in its place")
            }
            Self::Missing(from, to) if from == to => {
                write!(f, "entry {from} is missing before it: it was removed or moved")
            }
            Self::Missing(from, to) => write!(f, "the entries {from} to {to} are missing before it: they were removed or moved"),
            Self::OutOfPlace(expected) => write!(
                f,
                "entry {expected} is expected here: this one was repeated or moved, or another was inserted before it"
            ),
            Self::Misnamed(seq) => {
                write!(f, "the file begins with entry {seq}, which is not what its name says: entries were removed, or it was renamed")
            }
            Self::NoBeginning => f.write_str("no file begins with such an entry: those before it were removed"),
            Self::Restarted => {
                f.write_str("the chain begins anew: the daemon found the one before it broken, which this entry tells more of")
            }
            Self::Unfinished => {
                f.write_str("the line has no end: a crash or somebody cut it off; the daemon moves it aside when it starts")
            }
            Self::Empty => f.write_str("the file has no line: what was in it was removed"),
            Self::Resized => f.write_str("the file was longer or shorter than the daemon had left it: somebody else wrote to it"),
        }
    }
}

/// What the next line should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Expected {
    seq: u64,
    /// `None` after a line that is not what was written.
    prev: Option<Hash>,
    /// So many lines before it could not be believed: each may have been one of the chain, or not.
    doubtful: u64,
}

/// Follows a chain from line to line.
#[derive(Clone, Debug, Default)]
pub(super) struct Follower {
    expected: Option<Expected>,
    /// What the name of a file says, whose first line comes next.
    name: Option<u64>,
}

impl Follower {
    /// A file begins, of this name.
    pub fn begins(&mut self, name: u64) {
        self.name = Some(name);
    }

    /// Looks at the next line, which is without its end. After a flaw it goes on with what the line says of itself.
    pub fn follow<'l>(&mut self, line: &'l [u8]) -> (Option<Link<'l>>, Option<Flaw>) {
        let name = self.name.take();
        let Some(link) = Link::read(line) else {
            self.doubt();
            return (None, Some(Flaw::Unreadable));
        };
        if !link.is_own {
            self.doubt();
            return (Some(link), Some(Flaw::Changed));
        }
        let flaw = match (name, self.expected) {
            (Some(_), Some(_)) if link.kind == BROKEN && link.prev == Hash::NONE => Some(Flaw::Restarted),
            (_, Some(expected)) => misplaced(&link, expected),
            (Some(_), None) => (!begins_a_file(&link)).then_some(Flaw::NoBeginning),
            (None, None) => None,
        };
        let flaw = flaw.or_else(|| name.filter(|name| *name != link.seq).map(|_| Flaw::Misnamed(link.seq)));
        let flaw = flaw.or_else(|| (name.is_some() && !begins_a_file(&link)).then_some(Flaw::NoBeginning));
        if !matches!(flaw, Some(Flaw::OutOfPlace(_))) {
            let seq = link.seq.saturating_add(1);
            self.expected = Some(Expected { seq, prev: Some(link.hash), doubtful: 0 });
        }
        (Some(link), flaw)
    }

    /// A line is there whose number and hash nobody knows.
    fn doubt(&mut self) {
        if let Some(expected) = &mut self.expected {
            expected.doubtful = expected.doubtful.saturating_add(1);
            expected.prev = None;
        }
    }
}

fn begins_a_file(link: &Link<'_>) -> bool {
    match link.kind {
        BEGUN | BROKEN => link.prev == Hash::NONE,
        CONTINUED => true,
        _ => false,
    }
}

fn misplaced(link: &Link<'_>, expected: Expected) -> Option<Flaw> {
    let latest = expected.seq.saturating_add(expected.doubtful);
    if link.seq > latest {
        return Some(Flaw::Missing(latest, link.seq - 1));
    }
    if link.seq < expected.seq {
        return Some(Flaw::OutOfPlace(expected.seq));
    }
    expected.prev.filter(|prev| *prev != link.prev).map(|_| Flaw::Replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(json: &str, prev: Hash) -> (Vec<u8>, Hash) {
        let mut line = b"the line before\n".to_vec();
        let from = line.len();
        line.extend_from_slice(json.as_bytes());
        let hash = seal(&mut line, from, prev);
        (line.split_off(from), hash)
    }

    #[test]
    fn a_line_says_what_it_was_sealed_with() {
        let (line, hash) = sealed(r#"{"seq":7,"time":"T","type":"login","user":"a"}"#, Hash::of(b"x"));
        let link = Link::read(line.strip_suffix(b"\n").unwrap()).unwrap();
        assert_eq!(link, Link { seq: 7, time: "T", kind: "login", prev: Hash::of(b"x"), hash, is_own: true });
        let text = String::from_utf8(line.clone()).unwrap();
        let (hashed, _) = text.split_once(",\"hash\"").unwrap();
        assert_eq!(Hash::of(hashed.as_bytes()), hash);
        let json: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((json["user"].as_str(), json["hash"].as_str()), (Some("a"), Some(hash.to_string().as_str())));
    }

    #[test]
    fn a_head_is_read_as_it_is_written_and_nothing_else_is() {
        let head = Head { seq: 12, hash: Hash::of(b"y") };
        assert_eq!(head.to_string().parse(), Ok(head));
        assert_eq!(format!(" {}\n", head.to_string().to_uppercase()).parse(), Ok(head));
        for wrong in
            ["", "12", "12:", "x:00", "012:00", &format!("1:{}", "0".repeat(63)), &format!("-1:{}", Hash::NONE)]
        {
            assert_eq!(wrong.parse::<Head>(), Err(NotAHead(wrong.to_owned())));
        }
    }

    #[test]
    fn what_is_no_line_is_none_however_near_it_comes() {
        let (line, _) = sealed(r#"{"seq":7,"time":"T","type":"login"}"#, Hash::NONE);
        let line = line.strip_suffix(b"\n").unwrap();
        for end in 0..line.len() {
            assert_eq!(Link::read(&line[..end]), None);
            assert!(Link::read(&line[end..]).is_none() || end == 0);
        }
        let (leading_zero, _) = sealed(r#"{"seq":07,"time":"T","type":"login"}"#, Hash::NONE);
        assert_eq!(Link::read(leading_zero.strip_suffix(b"\n").unwrap()), None);
    }
}
