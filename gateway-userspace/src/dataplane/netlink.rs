//! Questions to the kernel by netlink, one request and one answer; and how to read what it says unasked.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use std::os::fd::{AsRawFd as _, OwnedFd};

/// The kernel answers at once; whoever waits for this long has been forgotten.
const PATIENCE: TimeVal = TimeVal::new(1, 0);
/// Longer than any answer to these questions.
pub(super) const LONGEST: usize = 65_536;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// The bits of an attribute's type that are not flags.
const TYPE: u16 = 0x3fff;
/// Lengths of `struct nlmsghdr`, of `struct genlmsghdr` and of an attribute's header.
const HEADER: usize = 16;
const GENERIC: usize = 4;
const ATTRIBUTE: usize = 4;
/// The kernel's family of links, their question (`RTM_GETLINK`), and the length of `struct ifinfomsg`.
const GET_LINK: u16 = 18;
const LINK: usize = 16;
/// The family that knows the others (`GENL_ID_CTRL`), its question and attributes.
const CONTROL: Family = Family(16);
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

/// A family of questions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Family(u16);

/// A connection to the kernel, in the network namespace of the thread that opened it.
struct Connection(OwnedFd);

impl Connection {
    fn open(protocol: SockProtocol) -> nix::Result<Self> {
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &PATIENCE)?;
        Ok(Self(socket))
    }

    /// What follows the header of the answer to a question.
    fn ask(&self, kind: u16, question: &[u8]) -> nix::Result<Vec<u8>> {
        let length = u32::try_from(HEADER + question.len()).map_err(|_| Errno::EMSGSIZE)?;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend([kind, REQUEST].map(u16::to_ne_bytes).concat());
        message.extend([0; 8]);
        message.extend(question);
        send(self.0.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut answer = vec![0; LONGEST];
        let received = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        answer.truncate(received);
        understand(&answer)
    }
}

/// What `rtnetlink` says of interfaces.
pub(super) struct Links(Connection);

impl Links {
    pub(super) fn open() -> nix::Result<Self> {
        Connection::open(SockProtocol::NetlinkRoute).map(Self)
    }

    /// The hardware type of an interface (`ARPHRD_…`) and its attributes.
    pub(super) fn get(&self, index: u32) -> nix::Result<(u16, Vec<u8>)> {
        let mut question = vec![0; LINK];
        question.splice(4..8, index.to_ne_bytes());
        let answer = self.0.ask(GET_LINK, &question)?;
        let (link, attributes) = answer.split_at_checked(LINK).ok_or(Errno::EBADMSG)?;
        let hardware = link.get(2..4).and_then(|bytes| bytes.try_into().ok()).ok_or(Errno::EBADMSG)?;
        Ok((u16::from_ne_bytes(hardware), attributes.to_vec()))
    }
}

/// Generic netlink.
pub(super) struct GenericNetlink(Connection);

impl GenericNetlink {
    pub(super) fn open() -> nix::Result<Self> {
        Connection::open(SockProtocol::NetlinkGeneric).map(Self)
    }

    /// The family of that name.
    pub(super) fn family(&self, name: &str) -> nix::Result<Family> {
        let name = [name.as_bytes(), &[0]].concat();
        let answer = self.ask(CONTROL, GET_FAMILY, &attribute(FAMILY_NAME, &name))?;
        let id = attributes(&answer).find(|(kind, _)| *kind == FAMILY_ID).and_then(|(_, id)| id.try_into().ok());
        id.map(|id| Family(u16::from_ne_bytes(id))).ok_or(Errno::EBADMSG)
    }

    /// The attributes of the answer.
    pub(super) fn ask(&self, Family(family): Family, question: u8, attributes: &[u8]) -> nix::Result<Vec<u8>> {
        let answer = self.0.ask(family, &[&[question, 1, 0, 0], attributes].concat())?;
        answer.get(GENERIC..).map(<[u8]>::to_vec).ok_or(Errno::EBADMSG)
    }
}

/// A message that nobody asked for.
pub(super) struct Message<'m> {
    pub(super) kind: u16,
    /// What follows the header.
    pub(super) body: &'m [u8],
}

/// The messages in a datagram; one that is cut off has no body, and is the last.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let [l0, l1, l2, l3, k0, k1] = *bytes.first_chunk()?;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let body = bytes.get(HEADER..length).unwrap_or_default();
        bytes = bytes.get(length.max(HEADER).next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind: u16::from_ne_bytes([k0, k1]), body })
    })
}

/// What follows the header of a message, or the error that it is.
fn understand(message: &[u8]) -> nix::Result<Vec<u8>> {
    let ([length, ..], _) = message.as_chunks::<4>() else { return Err(Errno::EBADMSG) };
    let whole = usize::try_from(u32::from_ne_bytes(*length)).ok().and_then(|length| message.get(..length));
    let (whole, kind) = whole.zip(message.get(4..6)).ok_or(Errno::EBADMSG)?;
    if kind == ERROR.to_ne_bytes() {
        let code = whole.get(HEADER..).and_then(|rest| rest.first_chunk()).map(|code| i32::from_ne_bytes(*code));
        return Err(code.map_or(Errno::EBADMSG, |code| Errno::from_raw(code.saturating_neg())));
    }
    whole.get(HEADER..).map(<[u8]>::to_vec).ok_or(Errno::EBADMSG)
}

/// An attribute.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(ATTRIBUTE + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [length, kind].map(u16::to_ne_bytes).concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// An attribute that holds others.
pub(super) fn nested(kind: u16, inside: &[u8]) -> Vec<u8> {
    attribute(kind | NESTED, inside)
}

/// The attributes that follow one another, as type and value; what is cut off ends the list.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [l0, l1, k0, k1] = *bytes.first_chunk::<ATTRIBUTE>()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = bytes.get(ATTRIBUTE..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]) & TYPE, value))
    })
}

/// What is inside the attribute of that type; nothing if there is none.
pub(super) fn inside(bytes: &[u8], wanted: u16) -> &[u8] {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_written_and_what_is_cut_off_is_left_out() {
        let bytes = [attribute(1, b"abc"), nested(2, &attribute(7, &[9])), attribute(3, b"")].concat();
        let read: Vec<_> = attributes(&bytes).collect();
        assert_eq!(read[0], (1, &b"abc"[..]));
        assert_eq!((read[1].0, inside(read[1].1, 7)), (2, &[9][..]));
        assert_eq!(read[2], (3, &[][..]));
        for end in 0..bytes.len() {
            assert!(attributes(&bytes[..end]).count() <= 3);
        }
        // Lengths that make no sense.
        for length in [0_u16, 1, 3, 200] {
            assert_eq!(attributes(&[length.to_ne_bytes(), [1, 0]].concat()).count(), 0);
        }
    }

    #[test]
    fn the_kernel_knows_its_families_and_says_no_to_others() {
        let kernel = GenericNetlink::open().unwrap();
        assert_ne!(kernel.family("netdev").unwrap(), kernel.family("ethtool").unwrap());
        assert_eq!(kernel.family("no such family").unwrap_err(), Errno::ENOENT);
    }

    #[test]
    fn messages_of_a_datagram_are_read_one_after_the_other_and_one_that_is_cut_off_has_no_body() {
        let message = |kind: u16, body: &[u8]| {
            let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend([0; 10]);
            bytes.extend(body);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let datagram = [message(7, b"abcde"), message(8, b""), message(9, b"xy")].concat();
        let read: Vec<_> = messages(&datagram).map(|message| (message.kind, message.body)).collect();
        assert_eq!(read, [(7, &b"abcde"[..]), (8, b""), (9, b"xy")]);
        for end in 0..datagram.len() {
            let read: Vec<_> = messages(&datagram[..end]).map(|message| message.body.len()).collect();
            let whole = [21, 40, 58].iter().filter(|whole| end >= **whole).count();
            assert!(read.len() <= whole + 1 && read.iter().skip(whole).all(|length| *length == 0), "{end}");
        }
        // Lengths that make no sense.
        for length in [0_u32, 1, 15, u32::MAX] {
            let bytes = [length.to_ne_bytes(), [1, 0, 0, 0]].concat();
            assert_eq!(messages(&bytes).map(|message| message.body.len()).collect::<Vec<_>>(), [0]);
        }
    }

    #[test]
    fn an_interface_is_described_and_one_that_is_not_there_is_not() {
        let kernel = Links::open().unwrap();
        let loopback = nix::net::if_::if_nametoindex("lo").unwrap();
        let (hardware, attributes) = kernel.get(loopback).unwrap();
        // `ARPHRD_LOOPBACK`, and `IFLA_IFNAME`.
        assert_eq!((hardware, inside(&attributes, 3)), (772, &b"lo\0"[..]));
        assert_eq!(kernel.get(0x7fff_fffe).unwrap_err(), Errno::ENODEV);
    }

    #[test]
    fn no_message_is_too_short_to_be_refused() {
        for length in 0..24_u32 {
            let mut message = vec![0; length as usize];
            assert!(understand(&message).is_err() || length >= 16);
            if length >= 4 {
                message[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
                assert!(understand(&message).is_err());
            }
        }
    }
}
