//! Whatever a receiver does, it has every record in the end, and nobody else waits for it.

use super::*;
use crate::core::Actor;
use crate::record::{AccessLog, Archive, ArchiveSettings, Archived, AuditTrail, Keepers, Metrics, Recorder, Sink};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// For what happens by itself.
const SOON: Duration = Duration::from_secs(30);

/// How a receiver answers: by its turn, from 0 on, and the body.
type Answering = dyn Fn(usize, &str) -> (StatusCode, String) + Send + Sync;

/// A server on loopback that takes requests down.
#[derive(Clone)]
struct Collector {
    answering: Arc<Answering>,
    /// What was answered with success, and what was not.
    taken: Arc<Mutex<Vec<String>>>,
    refused: Arc<Mutex<Vec<String>>>,
    seen: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Collector {
    fn new(answering: impl Fn(usize, &str) -> (StatusCode, String) + Send + Sync + 'static) -> Self {
        let answering = Arc::new(answering);
        Self { answering, taken: Arc::default(), refused: Arc::default(), seen: Arc::default() }
    }

    fn good() -> Self {
        Self::new(|_, _| (StatusCode::OK, String::new()))
    }

    async fn listen(&self, address: &str) -> (String, JoinHandle<()>) {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(post(take)).with_state(self.clone());
        (url, tokio::spawn(async { axum::serve(listener, router).await.unwrap() }))
    }

    /// The objects of all that was taken, one a line.
    fn lines(&self) -> Vec<Value> {
        let taken = self.taken.lock().unwrap();
        taken.iter().flat_map(|body| body.lines()).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn sequences(&self) -> Vec<u64> {
        self.lines().iter().map(|line| line["sequence"].as_u64().unwrap()).collect()
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    let turn = collector.taken.lock().unwrap().len() + collector.refused.lock().unwrap().len();
    collector.seen.lock().unwrap().push(headers);
    let (status, answer) = (collector.answering)(turn, &body);
    let kept = if status.is_success() { &collector.taken } else { &collector.refused };
    kept.lock().unwrap().push(body);
    (status, answer)
}

/// An archive with records, and a folder for cursors.
struct Held {
    scratch: TempDir,
    archive: Archive,
    recorder: Recorder,
}

impl Held {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap(), 1 << 30, 1_000)
    }

    fn at(scratch: TempDir, keep_bytes: u64, segment: u64) -> Self {
        let metrics = Metrics::new().unwrap();
        let folder = scratch.path().join("records");
        let settings = ArchiveSettings { folder, keep: Duration::from_secs(86_400), keep_bytes, segment };
        let archive = Archive::start(settings, metrics.clone()).unwrap();
        let log = AccessLog::start(Sink::Nowhere).unwrap();
        let keepers = Keepers { log, archive: archive.clone(), audit: AuditTrail::none() };
        let recorder = Recorder::keeping(metrics, keepers, None);
        Self { scratch, archive, recorder }
    }

    fn record(&self, count: usize) {
        for n in 0..count {
            self.recorder.admin(&Actor::local(), "app_put", &format!("app-{n}"));
        }
        self.archive.flush();
    }

    fn folder(&self) -> std::path::PathBuf {
        self.scratch.path().join("export")
    }

    /// Starts an export from the oldest record on, in batches of ten.
    fn export(&self, destination: Destination) -> Running {
        self.start(ExportSettings { begin: Begin::Oldest, ..settings(destination) })
    }

    fn start(&self, settings: ExportSettings) -> Running {
        // One registry for each: a test starts several, one after the other.
        let registry = prometheus::Registry::new();
        let origin = Origin { gateway: "gate-1".into() };
        let (exports, tasks) = start(&[settings], &self.archive, &self.folder(), &registry, origin).unwrap();
        Running { exports, tasks, registry }
    }
}

fn settings(destination: Destination) -> ExportSettings {
    ExportSettings { name: "siem".into(), destination, types: Vec::new(), begin: Begin::Now, batch: 10 }
}

fn lines(url: &str) -> Destination {
    let url = url.parse().unwrap();
    Destination::Http(HttpSettings { url, form: Form::Json, token: None, tls: TlsSettings::default() })
}

struct Running {
    exports: Exports,
    tasks: Vec<JoinHandle<()>>,
    registry: prometheus::Registry,
}

impl Running {
    fn status(&self) -> ExportStatus {
        self.exports.status().remove(0)
    }

    /// As a daemon stops.
    async fn stop(self) {
        self.kill().await.keep();
    }

    /// As it is killed.
    async fn kill(self) -> Exports {
        for task in self.tasks {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        self.exports
    }

    async fn until(&self, what: &str, is_so: impl Fn(&ExportStatus) -> bool) {
        wait_for(what, || is_so(&self.status())).await;
    }

    fn sum(&self, family: &str) -> f64 {
        let families = self.registry.gather();
        let found = families.iter().find(|found| found.name() == family).unwrap();
        found.get_metric().iter().map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value()).sum()
    }
}

async fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < SOON, "{what} has not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn token(scratch: &Path) -> PathBuf {
    let path = scratch.join("token");
    std::fs::write(&path, "s3cret\n").unwrap();
    path
}

#[tokio::test]
async fn every_record_arrives_once_and_in_order_while_all_is_well() {
    let (held, collector) = (Held::new(), Collector::good());
    held.record(25);
    let (url, _serving) = collector.listen("127.0.0.1:0").await;
    let running = held.export(lines(&url));
    running.until("all of it", |status| status.after == Some(25)).await;
    held.record(3);
    running.until("the rest", |status| status.after == Some(28) && status.behind == 0).await;
    assert_eq!(collector.sequences(), (1..=28).collect::<Vec<_>>());
    let first = &collector.lines()[0];
    assert_eq!((&first["gateway"], &first["object"]), (&json!("gate-1"), &json!("app-0")));
    assert_eq!((running.status().sent, running.status().lag, running.status().failing), (28, 0.0, None));
    assert_eq!(running.sum("portcullis_export_records_total"), 28.0);
    assert_eq!(running.sum("portcullis_export_failures_total"), 0.0);
}

#[tokio::test]
async fn a_new_export_begins_with_what_comes_unless_it_is_told_otherwise() {
    let (held, collector) = (Held::new(), Collector::good());
    held.record(5);
    let (url, _serving) = collector.listen("127.0.0.1:0").await;
    let running = held.start(settings(lines(&url)));
    running.until("its beginning", |status| status.after == Some(5)).await;
    held.record(2);
    running.until("both", |status| status.after == Some(7)).await;
    assert_eq!(collector.sequences(), [6, 7]);
}

#[tokio::test]
async fn a_receiver_that_is_down_gets_everything_when_it_comes_back() {
    let (held, collector) = (Held::new(), Collector::good());
    held.record(15);
    // A port at which nobody listens, and somebody will.
    let (url, serving) = collector.listen("127.0.0.1:0").await;
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    let running = held.export(lines(&url));
    running.until("a failure", |status| status.failing.is_some()).await;
    held.record(10);
    running.until("more that waits", |status| status.behind == 25 && status.lag > 0.0).await;
    let (failure, _) = running.status().failing.unwrap();
    assert_eq!(failure.label(), "unreachable");
    assert!(running.sum("portcullis_export_lag_seconds") > 0.0);
    let _serving = collector.listen(url.trim_start_matches("http://")).await;
    running.until("all of it", |status| status.after == Some(25) && status.failing.is_none()).await;
    assert_eq!(collector.sequences(), (1..=25).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_refused_or_not_answered_in_time_is_sent_again_all_of_it() {
    let answers = |turn, _: &str| match turn {
        0 => (StatusCode::INTERNAL_SERVER_ERROR, "out of\nsorts".to_owned()),
        1 => (StatusCode::UNAUTHORIZED, String::new()),
        2 => {
            std::thread::sleep(to::http::PATIENCE * 2);
            (StatusCode::TOO_MANY_REQUESTS, String::new())
        }
        _ => (StatusCode::OK, String::new()),
    };
    let (held, collector) = (Held::new(), Collector::new(answers));
    held.record(12);
    let (url, _serving) = collector.listen("127.0.0.1:0").await;
    let running = held.export(lines(&url));
    let mut told = BTreeSet::new();
    let begun = Instant::now();
    while running.status().after != Some(12) {
        assert!(begun.elapsed() < SOON);
        told.extend(running.status().failing.map(|(failure, _)| failure.to_string()));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let expected = [
        "did not take it in time",
        "does not let the gateway in: status 401",
        r"refuses it: status 500: out of\nsorts",
    ];
    assert_eq!(told.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    assert_eq!(collector.sequences(), (1..=12).collect::<Vec<_>>());
    assert_eq!(running.sum("portcullis_export_failures_total"), 3.0);
    let bodies = collector.refused.lock().unwrap();
    assert!(bodies.iter().all(|body| *body == collector.taken.lock().unwrap()[0]), "the same batch each time");
}

#[tokio::test]
async fn an_export_goes_on_after_a_stop_and_repeats_after_a_crash() {
    let (held, collector) = (Held::new(), Collector::good());
    held.record(20);
    let (url, _serving) = collector.listen("127.0.0.1:0").await;
    let running = held.export(lines(&url));
    running.until("all of it", |status| status.after == Some(20)).await;
    running.stop().await;
    held.record(5);
    let running = held.export(lines(&url));
    running.until("the rest", |status| status.after == Some(25)).await;
    assert_eq!(collector.sequences(), (1..=25).collect::<Vec<_>>());
    // The cursor of 20 is on the disk, and no later one, as when the daemon dies before it is written.
    drop(running.kill().await);
    cursor::CursorFile::of(&held.folder(), "siem").write(20).unwrap();
    let running = held.export(lines(&url));
    running.until("the rest again", |status| status.after == Some(25) && status.sent == 5).await;
    assert_eq!(collector.sequences()[25..], [21, 22, 23, 24, 25]);
    running.stop().await;
    std::fs::write(held.folder().join("siem.cursor"), "{\"aft").unwrap();
    let running = held.export(lines(&url));
    running.until("everything again", |status| status.sent == 25).await;
    running.stop().await;
}

#[tokio::test]
async fn a_cursor_of_another_archive_begins_with_the_oldest_record() {
    let (held, collector) = (Held::new(), Collector::good());
    held.record(4);
    cursor::CursorFile::of(&held.folder(), "siem").write(1_000).unwrap();
    let (url, _serving) = collector.listen("127.0.0.1:0").await;
    let running = held.start(settings(lines(&url)));
    running.until("all of it", |status| status.sent == 4).await;
    assert_eq!(collector.sequences(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_disk_that_takes_no_cursor_keeps_no_record_from_its_receiver() {
    let (held, collector) = (Held::new(), Collector::good());
    held.record(12);
    // Where the folder should be is a file.
    std::fs::write(held.folder(), "").unwrap();
    let (url, _serving) = collector.listen("127.0.0.1:0").await;
    let running = held.export(lines(&url));
    running.until("all of it", |status| status.sent == 12).await;
    std::fs::remove_file(held.folder()).unwrap();
    let cursor = cursor::CursorFile::of(&held.folder(), "siem");
    held.record(1);
    wait_for("the cursor on the disk", || cursor.read().unwrap() == cursor::Found::After(13)).await;
}

#[tokio::test]
async fn what_the_archive_has_given_up_is_counted_and_the_rest_arrives() {
    let scratch = tempfile::tempdir().unwrap();
    let (held, collector) = (Held::at(scratch, 1, 10), Collector::good());
    cursor::CursorFile::of(&held.folder(), "siem").write(0).unwrap();
    for _ in 0..5 {
        held.record(10);
    }
    wait_for("retention", || held.archive.extent().is_some_and(|extent| extent.start > 1 && extent.end == 51)).await;
    let (url, _serving) = collector.listen("127.0.0.1:0").await;
    let running = held.start(settings(lines(&url)));
    running.until("the rest", |status| status.after == Some(50)).await;
    let (sequences, missed) = (collector.sequences(), running.status().missed);
    assert!(missed > 0 && sequences.iter().copied().eq(missed + 1..=50), "{missed}: {sequences:?}");
    assert_eq!(running.sum("portcullis_export_missed_total"), missed as f64);
}

/// An archive of segments with ten records each, of which the second is closed for good, and where that is.
async fn held_in_segments() -> (Held, PathBuf) {
    let held = Held::at(tempfile::tempdir().unwrap(), 1 << 30, 10);
    for _ in 0..5 {
        held.record(10);
    }
    let path = held.scratch.path().join("records/records-0000000000000011.sqlite");
    // Byte 18 of a file of SQLite: it has no log beside it any more.
    wait_for("it is sealed", || std::fs::read(&path).is_ok_and(|file| file.get(18) == Some(&1))).await;
    (held, path)
}

#[tokio::test]
async fn records_that_cannot_be_read_now_wait_and_are_seen_to_wait() {
    let ((held, path), collector) = (held_in_segments().await, Collector::good());
    let away = held.scratch.path().join("away");
    std::fs::rename(&path, &away).unwrap();
    std::fs::create_dir(&path).unwrap();
    let (url, _serving) = collector.listen("127.0.0.1:0").await;
    let running = held.export(lines(&url));
    running.until("what can be read", |status| status.after == Some(10)).await;
    running.until("the rest to wait", |status| status.behind == 40 && status.lag > 1.0).await;
    assert!(running.sum("portcullis_export_lag_seconds") > 0.0);
    assert_eq!((running.status().after, running.status().missed), (Some(10), 0));
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(&away, &path).unwrap();
    running.until("all of it", |status| status.after == Some(50) && status.lag == 0.0).await;
    assert_eq!(collector.sequences(), (1..=50).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_in_a_damaged_segment_is_counted_also_in_the_midst_of_a_batch() {
    for batch in [10, 100] {
        let ((held, path), collector) = (held_in_segments().await, Collector::good());
        std::fs::write(&path, vec![0xa5; 20_000]).unwrap();
        let (url, _serving) = collector.listen("127.0.0.1:0").await;
        let running = held.start(ExportSettings { begin: Begin::Oldest, batch, ..settings(lines(&url)) });
        running.until("the rest", |status| status.after == Some(50)).await;
        assert_eq!(collector.sequences(), (1..=10).chain(21..=50).collect::<Vec<_>>());
        assert_eq!((running.status().missed, running.sum("portcullis_export_missed_total")), (10, 10.0), "{batch}");
        running.stop().await;
    }
}

#[tokio::test]
async fn only_the_types_that_are_asked_for_are_passed_on() {
    let (held, collector) = (Held::new(), Collector::good());
    held.record(3);
    held.recorder.login_failed("mallory", [10, 0, 0, 9].into(), "refused");
    held.record(30);
    let (url, _serving) = collector.listen("127.0.0.1:0").await;
    let types = vec!["login_failed"];
    let running = held.start(ExportSettings { types, begin: Begin::Oldest, ..settings(lines(&url)) });
    running.until("the end", |status| status.after == Some(34)).await;
    assert_eq!(collector.sequences(), [4]);
    assert_eq!(collector.lines()[0]["user"], "mallory");
}

#[tokio::test]
async fn splunk_is_believed_only_if_it_says_success() {
    let answers = |turn, _: &str| match turn {
        0 => (StatusCode::OK, r#"{"text":"Incorrect index","code":7}"#.to_owned()),
        1 => (StatusCode::OK, "<html>welcome</html>".to_owned()),
        _ => (StatusCode::OK, r#"{"text":"Success","code":0}"#.to_owned()),
    };
    let (held, collector) = (Held::new(), Collector::new(answers));
    held.record(2);
    let (url, _serving) = collector.listen("127.0.0.1:0").await;
    let url = format!("{url}/services/collector/event").parse().unwrap();
    let (index, token) = (Some("gate".to_owned()), token(held.scratch.path()));
    let running = held.export(Destination::Splunk(SplunkSettings { url, index, token, tls: TlsSettings::default() }));
    running.until("both", |status| status.after == Some(2)).await;
    let seen = collector.seen.lock().unwrap();
    assert!(seen.len() == 3 && seen.iter().all(|headers| headers["authorization"] == "Splunk s3cret"), "{seen:?}");
    let event = &collector.lines()[4];
    assert_eq!((&event["host"], &event["sourcetype"]), (&json!("gate-1"), &json!("portcullis:admin")));
    assert_eq!((&event["index"], &event["event"]["object"]), (&json!("gate"), &json!("app-0")));
    let time = event["time"].as_f64().unwrap();
    let told = event["event"]["time"].as_str().unwrap();
    let told = time::OffsetDateTime::parse(told, &time::format_description::well_known::Rfc3339).unwrap();
    assert!((time - told.unix_timestamp_nanos() as f64 / 1e9).abs() < 1e-5, "{event}");
}

#[tokio::test]
async fn elastic_is_believed_only_if_it_answers_for_each_record() {
    let created = |statuses: &[u16]| {
        let items: Vec<_> = statuses.iter().map(|status| json!({ "create": { "status": status } })).collect();
        (StatusCode::OK, json!({ "errors": false, "items": items }).to_string())
    };
    let answers = move |turn, _: &str| match turn {
        // It says that there were no errors, each time.
        0 => created(&[201]),
        1 => created(&[201, 400]),
        2 => created(&[201, 429]),
        3 => (StatusCode::OK, "{}".to_owned()),
        // The first has been there since the attempt before.
        _ => created(&[409, 201]),
    };
    let (held, collector) = (Held::new(), Collector::new(answers));
    held.record(2);
    let (url, _serving) = collector.listen("127.0.0.1:0").await;
    let settings = ElasticSettings {
        url: format!("{url}/es/").parse().unwrap(),
        index: "gate".into(),
        token: Some(token(held.scratch.path())),
        tls: TlsSettings::default(),
    };
    let running = held.export(Destination::Elastic(settings));
    running.until("both", |status| status.after == Some(2)).await;
    assert_eq!(running.sum("portcullis_export_failures_total"), 4.0);
    let bodies: BTreeSet<_> = collector.taken.lock().unwrap().iter().cloned().collect();
    assert_eq!(bodies.len(), 1, "the same each time, with the same ids");
    let lines = collector.lines();
    let [operation, document] = &lines[..2] else { panic!("{lines:?}") };
    assert_eq!(operation["create"]["_index"], "gate");
    assert!(operation["create"]["_id"].as_str().unwrap().starts_with("gate-1-1-"), "{operation}");
    assert_eq!(document["@timestamp"], document["time"]);
    assert_eq!(collector.seen.lock().unwrap()[0]["authorization"], "ApiKey s3cret");
}

#[tokio::test]
async fn a_token_is_read_anew_and_one_that_is_gone_is_a_failure_that_says_so() {
    let (held, collector) = (Held::new(), Collector::good());
    let (url, _serving) = collector.listen("127.0.0.1:0").await;
    let path = token(held.scratch.path());
    let Destination::Http(settings) = lines(&url) else { unreachable!() };
    let running = held.export(Destination::Http(HttpSettings { token: Some(path.clone()), ..settings }));
    std::fs::remove_file(&path).unwrap();
    held.record(1);
    running.until("a failure", |status| status.failing.is_some()).await;
    let told = running.status().failing.unwrap().0.to_string();
    assert!(told.contains("does not let the gateway in") && told.contains("token`: No such file"), "{told}");
    std::fs::write(&path, "renewed").unwrap();
    running.until("the record", |status| status.sent == 1).await;
    assert_eq!(collector.seen.lock().unwrap()[0]["authorization"], "Bearer renewed");
}

#[tokio::test]
async fn one_that_cannot_be_set_up_says_which_and_why() {
    let missing = PathBuf::from("/nowhere/token");
    let url: url::Url = "https://127.0.0.1/".parse().unwrap();
    let tls = TlsSettings { ca: Some("/nowhere/ca".into()), identity: None };
    let splunk = SplunkSettings { url: url.clone(), index: None, token: missing, tls: TlsSettings::default() };
    let http = HttpSettings { url, form: Form::Json, token: None, tls };
    for (destination, file) in [(Destination::Splunk(splunk), "token"), (Destination::Http(http), "ca")] {
        let told = check(&[settings(destination)]).unwrap_err().to_string();
        assert_eq!(told, format!("export `siem`: `/nowhere/{file}`: No such file or directory (os error 2)"));
    }
}

/// The records that the documentation shows, one of each type.
fn examples() -> Vec<Archived> {
    let page = include_str!("../../../docs/reference/records.md");
    let lines = page.lines().filter(|line| line.starts_with("{\"time\":"));
    let fields = lines.map(|line| serde_json::from_str(line).unwrap());
    fields.zip(1..).map(|(fields, sequence)| Archived { sequence, fields }).collect()
}

#[test]
fn every_example_of_a_record_is_an_event_of_the_schema_that_leaves_nothing_out() {
    let origin = Origin { gateway: "gate-1".into() };
    let mut classes = BTreeSet::new();
    for record in examples() {
        let event = form::ocsf::event(&origin, &record);
        classes.insert(event["class_uid"].as_u64().unwrap());
        let class = event["class_uid"].as_u64().unwrap();
        assert_eq!(event["type_uid"], class * 100 + event["activity_id"].as_u64().unwrap());
        assert_eq!(event["metadata"]["sequence"], record.sequence);
        let text = event.to_string();
        for (field, value) in record.fields.iter().filter(|(field, _)| !matches!(field.as_str(), "type" | "protocol")) {
            let is_there = match value {
                // In milliseconds, or as it is.
                Value::String(moment) if moment.ends_with('Z') && moment.contains('T') => {
                    let format = &time::format_description::well_known::Rfc3339;
                    let millis =
                        time::OffsetDateTime::parse(moment, format).unwrap().unix_timestamp_nanos() / 1_000_000;
                    text.contains(&millis.to_string()) || text.contains(moment.as_str())
                }
                Value::Array(items) => items.iter().all(|item| item == "password" || text.contains(&item.to_string())),
                other => text.contains(&other.to_string()),
            };
            assert!(is_there, "{field} of {} is not in {event}", record.kind());
        }
    }
    assert_eq!(classes, BTreeSet::from([0, 3002, 3003, 3004, 4001]));
}
