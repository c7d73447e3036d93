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
        let lines = form::lines(self.form, &self.origin, records);
        self.stream.send(lines.map_err(|error| Failure::Refused(error.to_string()))?).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::Endpoint;
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn each_record_is_a_line_whatever_is_in_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::parse(&listener.local_addr().unwrap().to_string(), None).unwrap();
        let settings = LinesSettings { endpoint, form: Form::Json, tls: None };
        let mut sender = Sender::new(&settings, Arc::new(Origin { gateway: "gw1".into() })).unwrap();
        let user = "a\nb\r\u{85}\u{2028}\u{1b}[2J\"\\";
        let fields = json!({ "type": "login", "user": user }).as_object().cloned().unwrap();
        let records = [1, 2].map(|sequence| Archived { sequence, fields: fields.clone() });
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(listener.accept().await.unwrap().0).lines();
            (lines.next_line().await.unwrap(), lines.next_line().await.unwrap(), lines)
        });
        sender.send(&records).await.unwrap();
        let (first, second, _open) = reader.await.unwrap();
        for (line, sequence) in [(first, 1), (second, 2)] {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            assert_eq!(line, json!({ "gateway": "gw1", "sequence": sequence, "type": "login", "user": user }));
        }
    }
}
