//! What an interface and its driver are able to do, as the kernel says.

use super::netlink::{GenericNetlink, Links, attribute, attributes, inside, nested};
use nix::errno::Errno;

/// Question and attributes of the family `netdev`.
const DEV_GET: u8 = 1;
const DEV_IFINDEX: u16 = 1;
const DEV_XDP_FEATURES: u16 = 3;
/// `NETDEV_XDP_ACT_NDO_XMIT`, and the same for frames in several buffers.
const SENDS: u64 = 4;
const SENDS_PARTS: u64 = 64;
/// Question and attributes of the family `ethtool`.
const FEATURES_GET: u8 = 11;
const FEATURES_HEADER: u16 = 1;
const HEADER_DEV_INDEX: u16 = 1;
const FEATURES_ACTIVE: u16 = 4;
const BITSET_BITS: u16 = 3;
const BIT_NAME: u16 = 2;
const BIT_VALUE: u16 = 3;
const BITSET_NOMASK: u16 = 1;
/// The features that take tags out of frames.
const STRIPPING: [&[u8]; 2] = [b"rx-vlan-hw-parse\0", b"rx-vlan-stag-hw-parse\0"];
/// `IFLA_ADDRESS` and `IFLA_MTU`.
const LINK_ADDRESS: u16 = 1;
const LINK_MTU: u16 = 4;
/// `IFLA_XDP`, and in it `IFLA_XDP_PROG_ID`.
const LINK_XDP: u16 = 43;
const XDP_PROGRAM: u16 = 4;
/// `ARPHRD_ETHER`.
const ETHERNET: u16 = 1;

/// What an interface is able to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Abilities {
    /// It can send what an XDP program redirects to it.
    pub sends: bool,
    /// Also frames that lie in several buffers.
    pub sends_parts: bool,
    /// It takes tags out of frames before an XDP program sees them.
    pub strips_tags: bool,
}

/// What an interface with a link layer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Link {
    /// Its hardware address.
    pub mac: [u8; 6],
    /// The longest packet that it carries, in bytes.
    pub mtu: u32,
}

/// Asks what interfaces are, and what they are able to do.
pub(super) struct Devices {
    kernel: GenericNetlink,
    links: Links,
}

impl Devices {
    pub(super) fn open() -> nix::Result<Self> {
        Ok(Self { kernel: GenericNetlink::open()?, links: Links::open()? })
    }

    /// What the interface with this number is; `None` if it has no link layer.
    pub(super) fn link(&self, index: u32) -> nix::Result<Option<Link>> {
        let (hardware, attributes) = self.links.get(index)?;
        if hardware != ETHERNET {
            return Ok(None);
        }
        let mac = inside(&attributes, LINK_ADDRESS).try_into().map_err(|_| Errno::EBADMSG)?;
        let mtu = inside(&attributes, LINK_MTU).try_into().map_err(|_| Errno::EBADMSG)?;
        Ok(Some(Link { mac, mtu: u32::from_ne_bytes(mtu) }))
    }

    /// What the interface with this number is able to do.
    pub(super) fn abilities(&self, index: u32) -> nix::Result<Abilities> {
        let netdev = self.kernel.family("netdev")?;
        let answer = self.kernel.ask(netdev, DEV_GET, &attribute(DEV_IFINDEX, &index.to_ne_bytes()))?;
        let features = inside(&answer, DEV_XDP_FEATURES).try_into().map_err(|_| Errno::EBADMSG)?;
        let features = u64::from_ne_bytes(features);
        let ethtool = self.kernel.family("ethtool")?;
        let header = attribute(HEADER_DEV_INDEX, &index.to_ne_bytes());
        let answer = self.kernel.ask(ethtool, FEATURES_GET, &nested(FEATURES_HEADER, &header))?;
        let active = inside(&answer, FEATURES_ACTIVE);
        Ok(Abilities {
            sends: features & SENDS != 0,
            sends_parts: features & SENDS_PARTS != 0,
            strips_tags: set_bits(active).any(|name| STRIPPING.contains(&name)),
        })
    }
}

/// The names of the bits that are set in a set: with a mask all are listed and some have a value, without those that are
/// listed are set.
fn set_bits(set: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_list = attributes(set).any(|(kind, _)| kind == BITSET_NOMASK);
    let has_value = |bit| attributes(bit).any(|(kind, _)| kind == BIT_VALUE);
    let set = attributes(inside(set, BITSET_BITS)).map(|(_, bit)| bit).filter(move |bit| is_list || has_value(bit));
    set.map(|bit| inside(bit, BIT_NAME))
}

/// The number of the XDP program on an interface, if there is one.
pub(super) fn xdp_program(links: &Links, index: u32) -> nix::Result<Option<u32>> {
    let (_, attributes) = links.get(index)?;
    let number = inside(inside(&attributes, LINK_XDP), XDP_PROGRAM).try_into();
    Ok(number.ok().map(u32::from_ne_bytes))
}
