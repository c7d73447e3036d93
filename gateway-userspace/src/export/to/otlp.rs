//! A collector that speaks OpenTelemetry's protocol by HTTP, with bodies in protobuf: records, and what the daemon counts.

use super::http::{Post, below, told};
use crate::export::form::otlp as form;
use crate::export::metrics::Pushes;
use crate::export::settings::OtlpSettings;
use crate::export::{Failure, Origin, SetupError};
use crate::record::Archived;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prometheus::Registry;
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

const KIND: &str = "application/x-protobuf";

/// Sends records.
pub(in crate::export) struct Sender {
    post: Post,
    origin: Arc<Origin>,
    warned: Warned,
}

/// What the collector of an export has warned of last.
struct Warned {
    export: String,
    said: String,
}

impl Sender {
    /// # Errors
    /// As of [`super::Receiver::new`].
    pub fn new(name: &str, settings: &OtlpSettings, origin: Arc<Origin>) -> Result<Self, SetupError> {
        Ok(Self { post: post(settings, "v1/logs")?, origin, warned: Warned::none_yet(name) })
    }

    /// # Errors
    /// If the collector does not say that it has taken all of it.
    pub async fn send(&mut self, records: &[Archived]) -> Result<(), Failure> {
        let request = form::logs(&self.origin, records, OffsetDateTime::now_utc());
        let answer = self.post.send(KIND, request.encode_to_vec()).await?;
        let answer = understood::<ExportLogsServiceResponse>(&answer)?;
        let part = answer.partial_success.unwrap_or_default();
        self.warned.taken(part.rejected_log_records, &part.error_message)
    }
}

/// Sends what the daemon counts, from time to time. What is not taken is dropped: the next push has all of it.
pub(in crate::export) struct Pusher {
    name: String,
    post: Post,
    every: Duration,
    origin: Arc<Origin>,
    registry: Registry,
    pushes: Pushes,
    warned: Warned,
}

impl Pusher {
    /// `None` if no metrics are wanted.
    ///
    /// # Errors
    /// As of [`super::Receiver::new`].
    pub fn new(
        name: &str,
        settings: &OtlpSettings,
        origin: &Arc<Origin>,
        registry: &Registry,
        pushes: impl FnOnce() -> Pushes,
    ) -> Result<Option<Self>, SetupError> {
        let Some(every) = settings.metrics else { return Ok(None) };
        let post = post(settings, "v1/metrics")?;
        let (origin, registry, warned) = (Arc::clone(origin), registry.clone(), Warned::none_yet(name));
        Ok(Some(Self { name: name.to_owned(), post, every, origin, registry, pushes: pushes(), warned }))
    }

    pub async fn run(mut self) {
        let start = OffsetDateTime::now_utc();
        let mut due = interval(self.every);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, when hardly anything has been counted.
        due.tick().await;
        let mut known = None;
        loop {
            due.tick().await;
            match self.push(start).await {
                Ok(()) => {
                    self.pushes.sent.inc();
                    if known.take().is_some() {
                        tracing::info!(export = self.name, "it takes metrics again");
                    }
                }
                Err(failure) => {
                    self.pushes.dropped.inc();
                    if known.as_ref() != Some(&failure) {
                        tracing::warn!(export = self.name, %failure, "a receiver does not take metrics: the next ones are sent in time");
                    }
                    known = Some(failure);
                }
            }
        }
    }

    async fn push(&mut self, start: OffsetDateTime) -> Result<(), Failure> {
        let registry = self.registry.clone();
        // Counters of the kernel are read for it.
        let Ok(families) = spawn_blocking(move || registry.gather()).await else { return Ok(()) };
        let request = form::metrics(&self.origin, &families, start, OffsetDateTime::now_utc());
        let answer = self.post.send(KIND, request.encode_to_vec()).await?;
        let answer = understood::<ExportMetricsServiceResponse>(&answer)?;
        let part = answer.partial_success.unwrap_or_default();
        self.warned.taken(part.rejected_data_points, &part.error_message)
    }
}

fn post(settings: &OtlpSettings, path: &str) -> Result<Post, SetupError> {
    let OtlpSettings { url, token, headers, tls, metrics: _ } = settings;
    Post::new(below(url, path), token.clone().map(|path| ("Bearer", path)), headers.clone(), tls)
}

fn understood<T: Message + Default>(answer: &[u8]) -> Result<T, Failure> {
    let unlike = |_| Failure::Contradictory(format!("it does not answer in protobuf{}", told(answer)));
    T::decode(answer).map_err(unlike)
}

impl Warned {
    fn none_yet(export: &str) -> Self {
        Self { export: export.to_owned(), said: String::new() }
    }

    /// A message without anything that was rejected is a warning, and all has been taken. It is told again only when it is
    /// another: a collector repeats it with each batch.
    fn taken(&mut self, rejected: i64, message: &str) -> Result<(), Failure> {
        let said = told(message.as_bytes());
        if rejected > 0 {
            return Err(Failure::Refused(format!("{rejected} of them were rejected{said}")));
        }
        if !said.is_empty() && said != self.said {
            let export = self.export.as_str();
            tracing::warn!(export, said = said.trim_start_matches(": "), "a collector has taken everything, and warns");
            self.said = said;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
