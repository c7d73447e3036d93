//! Receivers that take messages of syslog (RFC 5424): by datagrams (RFC 5426), and over connections by TCP (RFC 6587) or
//! TLS (RFC 5425).

mod message;

use super::stream::Stream;
use super::unreachable;
use crate::export::settings::{Endpoint, Form, Framing, SyslogSettings, SyslogWay};
use crate::export::{Failure, Origin, SetupError, form};
use crate::record::Archived;
use message::Head;
use std::sync::Arc;

/// Sends messages.
pub(in crate::export) struct Sender {
    way: Way,
    facility: u8,
    form: Form,
    origin: Arc<Origin>,
}

enum Way {
    Datagrams(Datagrams),
    Stream(Box<Stream>, Framing),
}

struct Datagrams {
    endpoint: Endpoint,
    most: usize,
    /// Whether it has been said that messages are cut.
    has_cut: bool,
}

impl Sender {
    /// # Errors
    /// As of [`super::Receiver::new`].
    pub fn new(settings: &SyslogSettings, origin: Arc<Origin>) -> Result<Self, SetupError> {
        let SyslogSettings { endpoint, way, facility, form } = settings;
        let way = match way {
            SyslogWay::Udp { most } => {
                Way::Datagrams(Datagrams { endpoint: endpoint.clone(), most: *most, has_cut: false })
            }
            SyslogWay::Stream(framing, tls) => Way::Stream(Box::new(Stream::new(endpoint, tls.as_ref())?), *framing),
        };
        Ok(Self { way, facility: *facility, form: *form, origin })
    }

    /// # Errors
    /// If it is not known that the receiver's system has all of it; of datagrams, if they could not be sent.
    pub async fn send(&mut self, records: &[Archived]) -> Result<(), Failure> {
        let Self { way, facility, form, origin } = self;
        let head = |record| Head { facility: *facility, origin, record, cut_from: None };
        match way {
            Way::Stream(stream, framing) => {
                let (mut batch, mut message) = (Vec::new(), Vec::new());
                for record in records {
                    message.clear();
                    head(record).put(&mut message);
                    text(*form, origin, record, &mut message)?;
                    frame(*framing, &message, &mut batch);
                }
                stream.send(batch).await
            }
            Way::Datagrams(datagrams) => {
                // For each batch: the name may mean another address by now.
                let socket = super::datagrams(&datagrams.endpoint).await.map_err(unreachable)?;
                let mut message = Vec::new();
                for record in records {
                    message.clear();
                    text(*form, origin, record, &mut message)?;
                    let message = datagrams.fit(head(record), &message);
                    socket.send(&message).await.map_err(unreachable)?;
                }
                Ok(())
            }
        }
    }
}

impl Datagrams {
    /// A message that is not too long: what does not fit is cut off its text, which its head says then.
    fn fit(&mut self, head: Head<'_>, text: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        head.put(&mut message);
        if message.len().saturating_add(text.len()) <= self.most {
            message.extend_from_slice(text);
            return message;
        }
        if !self.has_cut {
            self.has_cut = true;
            tracing::warn!(
                address = %self.endpoint,
                bytes = text.len(),
                sequence = head.record.sequence,
                "records that are too long for a datagram are cut; raise `datagram_bytes`, or use TLS"
            );
        }
        message.clear();
        Head { cut_from: Some(text.len()), ..head }.put(&mut message);
        let mut room = self.most.saturating_sub(message.len()).min(text.len());
        // Not within a character: its further bytes begin with the bits 10.
        while text.get(room).is_some_and(|byte| byte & 0xc0 == 0x80) {
            room = room.saturating_sub(1);
        }
        message.extend_from_slice(text.get(..room).unwrap_or_default());
        message
    }
}

fn text(form: Form, origin: &Origin, record: &Archived, message: &mut Vec<u8>) -> Result<(), Failure> {
    form::put(form, origin, record, message).map_err(|error| Failure::Refused(error.to_string()))
}

/// No form has an end of line in it, so that both ways are whole.
fn frame(framing: Framing, message: &[u8], batch: &mut Vec<u8>) {
    match framing {
        Framing::Counted => {
            batch.extend_from_slice(message.len().to_string().as_bytes());
            batch.push(b' ');
            batch.extend_from_slice(message);
        }
        Framing::Lines => {
            batch.extend_from_slice(message);
            batch.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests;
