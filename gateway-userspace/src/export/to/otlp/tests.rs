//! Collectors that take, refuse, and are not there.

use super::*;
use crate::export::TlsSettings;
use crate::export::form::samples::{denied, flow_end, origin};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceRequest};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prometheus::IntCounter;
use std::sync::Mutex;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(10);

/// What a collector was asked.
struct Asked {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A collector that answers as it is told.
struct Collector {
    settings: OtlpSettings,
    asked: mpsc::UnboundedReceiver<Asked>,
    serving: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn collector(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Collector {
    // As the daemon does at its start; another test may have done so.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (asks, asked) = mpsc::unbounded_channel();
    let serve = move |uri: Uri, headers: HeaderMap, body: Bytes| {
        asks.send(Asked { path: uri.path().to_owned(), headers, body }).unwrap();
        std::future::ready(answer())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/below", listener.local_addr().unwrap()).parse().unwrap();
    let settings = OtlpSettings { url, token: None, headers: Vec::new(), metrics: None, tls: TlsSettings::default() };
    let serving = tokio::spawn(async move {
        axum::serve(listener, Router::new().fallback(serve)).await.unwrap();
    });
    Collector { settings, asked, serving }
}

fn part(rejected: i64, message: &str) -> Vec<u8> {
    let partial_success =
        Some(ExportLogsPartialSuccess { rejected_log_records: rejected, error_message: message.into() });
    ExportLogsServiceResponse { partial_success }.encode_to_vec()
}

async fn send(collector: &Collector) -> Result<(), Failure> {
    let mut sender = Sender::new("otel", &collector.settings, Arc::new(origin())).unwrap();
    sender.send(&[flow_end(), denied()]).await
}

#[tokio::test]
async fn records_are_posted_with_what_the_collector_wants_to_know() {
    let scratch = tempfile::tempdir().unwrap();
    let (token, key) = (scratch.path().join("token"), scratch.path().join("key"));
    std::fs::write(&token, "secret\n").unwrap();
    std::fs::write(&key, "team-7\n").unwrap();
    let mut collector = collector(|| StatusCode::OK.into_response()).await;
    collector.settings.token = Some(token.clone());
    collector.settings.headers = vec![("x-api-key".parse().unwrap(), key.clone())];
    send(&collector).await.unwrap();
    let Asked { path, headers, body } = collector.asked.recv().await.unwrap();
    assert_eq!(path, "/below/v1/logs");
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert!(headers["authorization"] == "Bearer secret" && headers["x-api-key"] == "team-7", "{headers:?}");
    let request = ExportLogsServiceRequest::decode(body).unwrap();
    assert_eq!(request.resource_logs[0].scope_logs[0].log_records.len(), 2);
    // What is in the files may change, and may become unusable.
    let mut sender = Sender::new("otel", &collector.settings, Arc::new(origin())).unwrap();
    std::fs::write(&key, "team-8").unwrap();
    sender.send(&[flow_end()]).await.unwrap();
    assert_eq!(collector.asked.recv().await.unwrap().headers["x-api-key"], "team-8");
    std::fs::remove_file(&key).unwrap();
    let refused = sender.send(&[flow_end()]).await.unwrap_err();
    assert!(matches!(&refused, Failure::Unauthorized(what) if what.contains("/key`")), "{refused}");
    std::fs::write(&key, "two\nlines").unwrap();
    assert!(matches!(Sender::new("otel", &collector.settings, Arc::new(origin())), Err(SetupError::Unusable { .. })));
}

#[tokio::test]
async fn records_that_were_rejected_have_not_been_taken() {
    let rejects = collector(|| part(1, "too\nold").into_response()).await;
    let refused = send(&rejects).await.unwrap_err();
    assert_eq!(refused, Failure::Refused("1 of them were rejected: too\\nold".into()));
    let warns = collector(|| part(0, "deprecated").into_response()).await;
    assert_eq!(send(&warns).await, Ok(()));
    let babbles = collector(|| "{\"partialSuccess\":{}}".into_response()).await;
    let refused = send(&babbles).await.unwrap_err();
    assert!(matches!(&refused, Failure::Contradictory(what) if what.contains("partialSuccess")), "{refused}");
}

#[test]
fn a_warning_is_told_once_until_it_is_another() {
    let mut warned = Warned::none_yet("otel");
    for (message, expected) in [("", ""), ("old", ": old"), ("", ": old"), ("older", ": older")] {
        assert_eq!(warned.taken(0, message), Ok(()));
        assert_eq!(warned.said, expected);
    }
    assert!(warned.taken(1, "older").is_err());
}

#[tokio::test]
async fn a_collector_that_is_busy_says_for_how_long() {
    for status in [429, 502, 503, 504] {
        let status = StatusCode::from_u16(status).unwrap();
        let busy = collector(move || (status, [("retry-after", "7")], "later").into_response()).await;
        let expected = format!("status {}: later", status.as_u16());
        let retry_after = Some(Duration::from_secs(7));
        assert_eq!(send(&busy).await, Err(Failure::Busy { what: expected, retry_after }));
    }
    let refuses = collector(|| StatusCode::BAD_REQUEST.into_response()).await;
    assert_eq!(send(&refuses).await, Err(Failure::Refused("status 400".into())));
    let shut = collector(|| StatusCode::UNAUTHORIZED.into_response()).await;
    assert_eq!(send(&shut).await, Err(Failure::Unauthorized("status 401".into())));
}

#[tokio::test]
async fn a_collector_that_is_not_there_is_a_failure() {
    let gone = collector(|| StatusCode::OK.into_response()).await;
    gone.serving.abort();
    let failure = tokio::time::timeout(SOON, async {
        loop {
            if let Err(failure) = send(&gone).await {
                break failure;
            }
        }
    });
    assert!(matches!(failure.await.unwrap(), Failure::Unreachable(_)));
}

#[tokio::test]
async fn metrics_are_pushed_in_time_and_what_is_not_taken_is_counted_and_comes_with_the_next() {
    let registry = Registry::new();
    let counter = IntCounter::new("portcullis_things_total", "Things.").unwrap();
    registry.register(Box::new(counter.clone())).unwrap();
    let answers = Arc::new(Mutex::new(vec![StatusCode::OK, StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE]));
    let told = Arc::clone(&answers);
    let answer = move || told.lock().unwrap().pop().unwrap_or(StatusCode::OK).into_response();
    let mut collector = collector(answer).await;
    collector.settings.metrics = Some(Duration::from_millis(20));
    let of = |name| IntCounter::new(name, "Pushes.").unwrap();
    let (sent, dropped) = (of("sent"), of("dropped"));
    let pushes = Pushes { sent: sent.clone(), dropped: dropped.clone() };
    let pusher = Pusher::new("otel", &collector.settings, &Arc::new(origin()), &registry, || pushes);
    let pushing = tokio::spawn(pusher.unwrap().unwrap().run());
    let mut values = Vec::new();
    while values.len() < 3 {
        counter.inc();
        let asked = tokio::time::timeout(SOON, collector.asked.recv()).await.unwrap().unwrap();
        assert_eq!(asked.path, "/below/v1/metrics");
        let request = ExportMetricsServiceRequest::decode(asked.body).unwrap();
        let metric = request.resource_metrics[0].scope_metrics[0].metrics[0].clone();
        assert_eq!(metric.name, "portcullis_things_total");
        let Some(opentelemetry_proto::tonic::metrics::v1::metric::Data::Sum(sum)) = metric.data else { panic!() };
        values.push((sum.data_points[0].value, sum.data_points[0].start_time_unix_nano));
    }
    // The third is answered after the second has been counted.
    assert!(dropped.get() == 1 && sent.get() >= 1, "{} {}", dropped.get(), sent.get());
    assert!(values.iter().all(|(_, start)| *start == values[0].1 && *start > 0), "{values:?}");
    pushing.abort();
}

#[tokio::test]
async fn no_metrics_are_pushed_unless_they_are_wanted() {
    let collector = collector(|| StatusCode::OK.into_response()).await;
    let pushes = || panic!("nothing is to be counted");
    let none = Pusher::new("otel", &collector.settings, &Arc::new(origin()), &Registry::new(), pushes).unwrap();
    assert!(none.is_none());
}
