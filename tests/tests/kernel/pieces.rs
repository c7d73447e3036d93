//! Frames taken to pieces: fragments of a packet, and options and extension headers put into one.

use crate::frames::ETHERNET;

/// A part of the packet in a frame: so many bytes of what follows its IP header, with more to come or not.
pub fn fragment(whole: &[u8], identification: u32, part: std::ops::Range<usize>, more: bool) -> Vec<u8> {
    let place = (part.start / 8) as u16;
    if whole[12] == 0x08 {
        let mut frame = whole[..ETHERNET + 20].to_vec();
        frame.extend(&whole[ETHERNET + 20..][part]);
        frame[ETHERNET + 4..ETHERNET + 6].copy_from_slice(&(identification as u16).to_be_bytes());
        frame[ETHERNET + 6..ETHERNET + 8].copy_from_slice(&(place | u16::from(more) << 13).to_be_bytes());
        frame[ETHERNET + 3] = (frame.len() - ETHERNET) as u8;
        return frame;
    }
    let mut header = vec![0, 0];
    header.extend((place << 3 | u16::from(more)).to_be_bytes());
    header.extend(identification.to_be_bytes());
    let mut short = whole[..ETHERNET + 40].to_vec();
    short.extend(&whole[ETHERNET + 40..][part]);
    short[ETHERNET + 5] = (short.len() - ETHERNET - 40) as u8;
    with_extension(&short, 44, &header)
}

/// The IPv4 packet in a frame with these options, a multiple of four bytes.
pub fn with_options(whole: &[u8], options: &[u8]) -> Vec<u8> {
    let mut frame = whole.to_vec();
    frame.splice(ETHERNET + 20..ETHERNET + 20, options.iter().copied());
    frame[ETHERNET] += (options.len() / 4) as u8;
    frame[ETHERNET + 3] += options.len() as u8;
    frame
}

/// The IPv6 packet in a frame with one more extension header of this kind, right behind the IP header. Its first byte,
/// which says what follows, is filled in.
pub fn with_extension(whole: &[u8], kind: u8, header: &[u8]) -> Vec<u8> {
    let mut frame = whole.to_vec();
    frame.splice(ETHERNET + 40..ETHERNET + 40, header.iter().copied());
    frame[ETHERNET + 40] = std::mem::replace(&mut frame[ETHERNET + 6], kind);
    frame[ETHERNET + 5] += header.len() as u8;
    frame
}
