//! What may happen to frames on the way: options, extension headers and tags that nobody expected, and broken bytes.

use super::link::Tag;
use super::scripts::Shot;
use super::world::World;

impl World {
    /// Changes a frame a little, or a lot.
    pub fn bend(&mut self, shot: &mut Shot) {
        match self.dice.below(10) {
            0 => shot.frame.truncate(self.dice.below(shot.frame.len() + 1)),
            1 => shot.frame.resize(shot.frame.len() + self.dice.below(30), 0),
            2..=5 => self.stretch(shot),
            6 => self.tag(shot),
            7 => self.unplug(shot),
            8 => self.trim(shot),
            _ => {}
        }
        if self.dice.one_in(2) {
            self.break_bytes(&mut shot.frame);
        }
    }

    /// Changes some bytes near the headers.
    fn break_bytes(&mut self, frame: &mut [u8]) {
        for _ in 0..1 + self.dice.below(2) {
            if !frame.is_empty() {
                let at = self.dice.below(frame.len().min(110));
                let byte = self.dice.next() as u8;
                frame[at] = if self.dice.one_in(2) { frame[at] ^ (1 << (byte % 8)) } else { byte };
            }
        }
    }

    /// One tag more, or beside the frame, or a priority tag.
    fn tag(&mut self, shot: &mut Shot) {
        let kind = self.dice.pick(&[0x8100, 0x8100, 0x88a8, 0x9100]);
        let tag = Tag(kind, self.dice.pick(&[0, 0, 0, 5, 7, 100, 4095]));
        if self.dice.one_in(4) && shot.interface != 4 {
            shot.beside = Some(tag);
        } else if shot.frame.len() > 12 {
            let priority = self.dice.next() as u16 & 0xf000;
            let bytes = [tag.0.to_be_bytes(), (tag.1 | priority).to_be_bytes()].concat();
            shot.frame.splice(12..12, bytes);
        }
    }

    /// To another interface, or to a group.
    fn unplug(&mut self, shot: &mut Shot) {
        if self.dice.one_in(3) && !shot.frame.is_empty() {
            shot.frame[0] |= 1;
        } else {
            shot.interface = 1 + self.dice.below(5) as u32;
        }
    }

    /// A shorter packet whose header says so.
    fn trim(&mut self, shot: &mut Shot) {
        let Some(at) = network(shot) else { return };
        let (field, header) = if shot.frame[at] >> 4 == 4 { (at + 2, 20) } else { (at + 4, 40) };
        if let Some(payload) = shot.frame.len().checked_sub(at + header + 1) {
            let cut = 1 + self.dice.below(payload.min(40) + 1);
            shot.frame.truncate(shot.frame.len() - cut);
            add(&mut shot.frame[field..field + 2], 0_usize.wrapping_sub(cut));
        }
    }

    /// IPv4 options or IPv6 extension headers, in the right place.
    fn stretch(&mut self, shot: &mut Shot) {
        let Some(at) = network(shot) else { return };
        let frame = &mut shot.frame;
        if frame[at] >> 4 == 4 && frame.len() >= at + 20 {
            let mut options = Vec::new();
            while self.dice.one_in(3) || options.is_empty() {
                options.extend(self.dice.pick(&[
                    &[1][..],
                    &[1, 1, 1],
                    &[148, 4, 0, 0],
                    &[0],
                    &[148, 3, 0],
                    &[7, 3, 0],
                ]));
            }
            if self.dice.one_in(8) {
                // About as many as may be.
                options = vec![1; 8 + self.dice.below(5)];
                options.extend([0; 3]);
            }
            options.resize(options.len().next_multiple_of(4), self.dice.pick(&[0, 1]));
            options.truncate(40);
            frame[at] = 0x45 + (options.len() / 4) as u8;
            add(&mut frame[at + 2..at + 4], options.len());
            frame.splice(at + 20..at + 20, options);
        } else if frame[at] >> 4 == 6 && frame.len() >= at + 40 {
            for _ in 0..self.dice.pick(&[1, 1, 1, 2, 2, 3]) {
                let kind = self.dice.pick(&[0, 0, 60, 60, 60, 60, 44, 44, 43, 50, 51, 59, 135, 139, 140]);
                let next = frame[at + 6];
                let header = if kind == 44 { self.atom(next) } else { self.options(kind, next) };
                frame[at + 6] = kind;
                add(&mut frame[at + 4..at + 6], header.len());
                frame.splice(at + 40..at + 40, header);
            }
        }
    }

    fn atom(&mut self, next: u8) -> Vec<u8> {
        let place = if self.dice.one_in(3) { self.dice.pick(&[1, 8, 9]) } else { 0 };
        vec![next, 0, 0, place, 0, 0, 0, 1]
    }

    fn options(&mut self, kind: u8, next: u8) -> Vec<u8> {
        let mut header = vec![next, 0];
        while header.len() < 4 || self.dice.one_in(2) {
            let alert: &[u8] = if kind == 0 || self.dice.one_in(8) { &[5, 2, 0, 0] } else { &[1, 2, 0, 0] };
            header.extend(self.dice.pick(&[&[0][..], &[1, 0], &[1, 2, 0, 0], alert, alert, &[1, 4, 0, 0, 0, 0]]));
        }
        if self.dice.one_in(12) {
            let long = [1, 26].into_iter().chain([0; 26]).collect::<Vec<u8>>();
            header.extend(self.dice.pick(&[&[0xc2, 4, 0, 1, 0, 0][..], &[1, 200], &[1], &long, &long]));
        }
        // PadN to a multiple of 8.
        match header.len().next_multiple_of(8) - header.len() {
            0 => {}
            1 => header.push(0),
            missing => {
                header.extend([1, missing as u8 - 2]);
                header.resize(header.len() + missing - 2, 0);
            }
        }
        header[1] = (header.len() / 8 - 1) as u8;
        header
    }
}

/// Where the IP header begins, if there is one.
fn network(shot: &Shot) -> Option<usize> {
    let frame = &shot.frame;
    if shot.interface == 4 {
        return (!frame.is_empty()).then_some(0);
    }
    let mut at = 12;
    while matches!(frame.get(at..at + 2)?, [0x81, 0] | [0x88, 0xa8]) {
        at += 4;
    }
    (matches!(frame.get(at..at + 2)?, [0x08, 0] | [0x86, 0xdd]) && frame.len() > at + 2).then_some(at + 2)
}

/// Adds to a 16-bit number in network order.
fn add(bytes: &mut [u8], more: usize) {
    let sum = u16::from_be_bytes([bytes[0], bytes[1]]).wrapping_add(more as u16);
    bytes.copy_from_slice(&sum.to_be_bytes());
}
