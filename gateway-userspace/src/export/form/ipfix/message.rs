//! Messages: a header, and sets of templates or of records that are described by one.

use super::{Described, Template, fields};
use crate::record::Archived;

/// The longest message may not be shorter: every record fits into it.
pub(crate) const LEAST: usize = 1_024;
const VERSION: u16 = 10;
/// The number of a set of templates.
const TEMPLATES: u16 = 2;
const HEADER: usize = 16;
const SET_HEADER: usize = 4;

/// What says something to one collector, over one connection.
pub(in crate::export) struct Exporter {
    domain: u32,
    enterprise: u32,
    largest: usize,
    /// Records that have been said so far, which every message begins with.
    pub(super) sequence: u32,
}

impl Exporter {
    /// `largest` is the length of a message, at most.
    pub fn new(domain: u32, enterprise: u32, largest: usize) -> Self {
        Self { domain, enterprise, largest: largest.clamp(LEAST, u16::MAX.into()), sequence: 0 }
    }

    /// Messages that say what records are made of, in this second.
    pub fn templates(&self, at: u32) -> Vec<Vec<u8>> {
        let mut messages = Messages::new(self);
        for template in Template::ALL {
            let mut bytes = Vec::new();
            let fields: Vec<_> = fields::of(template).collect();
            bytes.extend(template.id().to_be_bytes());
            bytes.extend(length(fields.len()).to_be_bytes());
            fields.iter().for_each(|field| field.specify(self.enterprise, &mut bytes));
            messages.put(TEMPLATES, &bytes, 0);
        }
        let (messages, _) = messages.finish(at);
        messages
    }

    /// Messages with all of these that are flows.
    pub fn messages(&mut self, records: &[Archived], at: u32) -> Vec<Vec<u8>> {
        let mut messages = Messages::new(self);
        for described in records.iter().filter_map(Described::of) {
            let mut bytes = Vec::new();
            fields::of(described.template).for_each(|field| field.put(&described, &mut bytes));
            messages.put(described.template.id(), &bytes, 1);
        }
        let (messages, sequence) = messages.finish(at);
        self.sequence = sequence;
        messages
    }
}

/// Messages that are being made.
struct Messages {
    domain: u32,
    largest: usize,
    sequence: u32,
    finished: Vec<Message>,
    message: Message,
}

#[derive(Default)]
struct Message {
    sets: Vec<(u16, Vec<u8>)>,
    records: u32,
}

impl Message {
    fn length(&self) -> usize {
        HEADER + self.sets.iter().map(|(_, bytes)| SET_HEADER + bytes.len()).sum::<usize>()
    }
}

impl Messages {
    fn new(exporter: &Exporter) -> Self {
        let Exporter { domain, largest, sequence, enterprise: _ } = *exporter;
        Self { domain, largest, sequence, finished: Vec::new(), message: Message::default() }
    }

    /// Adds something to a set of this number, in another message if there is no room.
    fn put(&mut self, set: u16, bytes: &[u8], records: u32) {
        if self.message.length() + SET_HEADER + bytes.len() > self.largest && !self.message.sets.is_empty() {
            self.finished.push(std::mem::take(&mut self.message));
        }
        match self.message.sets.last_mut() {
            Some((id, content)) if *id == set => content.extend(bytes),
            _ => self.message.sets.push((set, bytes.to_vec())),
        }
        self.message.records += records;
    }

    /// Their bytes, and the number of records that have been said then.
    fn finish(mut self, at: u32) -> (Vec<Vec<u8>>, u32) {
        if !self.message.sets.is_empty() {
            self.finished.push(self.message);
        }
        let mut sequence = self.sequence;
        let mut bytes = |message: &Message| {
            let mut bytes = Vec::with_capacity(message.length());
            bytes.extend(VERSION.to_be_bytes());
            bytes.extend(length(message.length()).to_be_bytes());
            bytes.extend(at.to_be_bytes());
            bytes.extend(sequence.to_be_bytes());
            bytes.extend(self.domain.to_be_bytes());
            for (id, content) in &message.sets {
                bytes.extend(id.to_be_bytes());
                bytes.extend(length(SET_HEADER + content.len()).to_be_bytes());
                bytes.extend(content);
            }
            sequence = sequence.wrapping_add(message.records);
            bytes
        };
        let messages = self.finished.iter().map(&mut bytes).collect();
        (messages, sequence)
    }
}

/// What is longer than a message can be has been kept out before.
fn length(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}
