//! Receivers that take lines over a connection: Logstash, Vector, Fluent Bit, and others.

use super::stream::Stream;
use crate::export::form;
use crate::export::settings::{Form, LinesSettings};
use crate::export::{Failure, Origin, SetupError};
use crate::record::Archived;
use std::sync::Arc;

/// Sends lines.
pub(in crate::export) struct Sender {
    stream: Stream,
    form: Form,
    origin: Arc<Origin>,
}

impl Sender {
    /// # Errors
    /// As of [`super::Receiver::new`].
    pub fn new(settings: &LinesSettings, origin: Arc<Origin>) -> Result<Self, SetupError> {
        let LinesSettings { endpoint, form, tls } = settings;
        Ok(Self { stream: Stream::new(endpoint, tls.as_ref())?, form: *form, origin })
    }

    /// # Errors
    /// If it is not known that the receiver's system has all of it.
    pub async fn send(&mut self, records: &[Archived]) -> Result<(), Failure> {
        let mut lines = Vec::new();
        for record in records {
            form::put(self.form, &self.origin, record, &mut lines)
                .map_err(|error| Failure::Refused(error.to_string()))?;
            lines.push(b'\n');
        }
        self.stream.send(lines).await
    }
}
