//! What is kept is found again, whatever happens meanwhile.

use super::catalog::{Catalog, State};
use super::segment::Segment;
use super::*;
use crate::core::{Actor, Receipt};
use crate::policy::{AppName, SessionToken, UserName};
use crate::record::line::{Carried, FlowNames, Refused, What};
use crate::record::{AccessLog, AuditTrail, Keepers, Recorder, Sink, TrackedFlow};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::Path;
use std::time::Instant;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86_400);

fn settings(folder: &Path) -> ArchiveSettings {
    ArchiveSettings { folder: folder.join("records"), keep: 90 * DAY, keep_bytes: 1 << 30, segment: 1_000 }
}

fn start(settings: ArchiveSettings) -> (Archive, Metrics) {
    let metrics = Metrics::new().unwrap();
    (Archive::start(settings, metrics.clone()).unwrap(), metrics)
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_795_000_000 + seconds).unwrap()
}

fn names(user: &str, app: &str) -> FlowNames {
    FlowNames {
        session: SessionToken(0x8c4f_0e3a_91d2_b775),
        user: Some(UserName::new(user).unwrap()),
        app: Some(AppName::new(app).unwrap()),
        policies: Default::default(),
        alert: false,
        client: [10, 9, 0, 23].into(),
        client_port: 51_522,
        destination: [198, 51, 100, 34].into(),
        port: 443,
        protocol: 6,
        opened_by: "client",
        interface: Some("eth1".into()),
        zone: Some("branch".into()),
    }
}

fn flow_start(seconds: i64, user: &str, app: &str) -> Record {
    Record { time: at(seconds), what: What::FlowStart(names(user, app)) }
}

fn carried(seconds: i64, bytes: u64) -> Carried {
    Carried {
        opened_at: at(seconds - 60),
        last_seen: at(seconds - 1),
        to_app_packets: 4,
        to_app_bytes: bytes,
        to_client_packets: 8,
        to_client_bytes: 2 * bytes,
    }
}

fn flow_end(seconds: i64, user: &str, app: &str) -> Record {
    let (names, carried) = (names(user, app), carried(seconds, 100));
    Record {
        time: at(seconds),
        what: What::FlowEnd { names, outcome: "closed", incomplete: false, tcp: Some("fin"), carried },
    }
}

fn denied(seconds: i64, source: IpAddr, user: Option<&str>) -> Record {
    let refused = Refused {
        reason: "no_grant",
        source,
        mac: [2, 0, 0x5e, 0x10, 0, 0x17],
        destination: [198, 51, 100, 50].into(),
        port: 5_432,
        protocol: 6,
        direction: "to_app",
        interface: "eth1".into(),
        zone: None,
        observed: false,
        session: user.map(|_| SessionToken(7)),
        user: user.map(|user| UserName::new(user).unwrap()),
        app: AppName::new("vault").ok(),
        packets: 7,
        answered: None,
        policies: Some(Default::default()),
        alert: true,
        first: at(seconds - 5),
        last: at(seconds),
    };
    Record { time: at(seconds), what: What::Denied(refused) }
}

fn admin(object: &str) -> Record {
    let actor = Actor { name: "ci".into(), address: Some([192, 0, 2, 70].into()) };
    Record::admin(&actor, "app_put", object, None).of(at(0))
}

/// Puts records one by one, and waits until they are there.
fn put(archive: &Archive, records: Vec<Record>) {
    for record in records {
        assert!(archive.put(&Arc::new(record)));
    }
    archive.flush();
}

fn all(archive: &Archive) -> Vec<Archived> {
    pages(archive, &Filter::default())
}

/// Page after page: each is bounded in time, however large it may be.
fn pages(archive: &Archive, filter: &Filter) -> Vec<Archived> {
    let (mut from, mut items) = (PageFrom::After(0), Vec::new());
    loop {
        let mut page = archive.ask().unwrap().records(filter, from, 1_000).unwrap();
        items.append(&mut page.items);
        match page.next {
            Some(next) => from = next,
            None => return items,
        }
    }
}

fn sequences(archived: &[Archived]) -> Vec<u64> {
    archived.iter().map(|record| record.sequence).collect()
}

/// What is found of it, oldest first.
fn found(archive: &Archive, filter: Filter) -> Vec<u64> {
    sequences(&pages(archive, &filter))
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::yield_now();
    }
}

fn counted(metrics: &Metrics, kind: &str) -> f64 {
    let families = metrics.registry().gather();
    let family = families.iter().find(|family| family.name() == "portcullis_records_lost_total").unwrap();
    let is_meant = |metric: &&prometheus::proto::Metric| {
        let labels: Vec<_> = metric.get_label().iter().map(|label| label.value()).collect();
        labels == [kind, "archive"]
    };
    family.get_metric().iter().filter(is_meant).map(|metric| metric.get_counter().get_value()).sum()
}

fn keepers(log: AccessLog, archive: &Archive) -> Keepers {
    Keepers { log, archive: archive.clone(), audit: AuditTrail::none() }
}

fn four_full_segments_and_an_open_one(folder: &TempDir) -> Archive {
    let (archive, _) = start(ArchiveSettings { segment: 10, ..settings(folder.path()) });
    for part in 0..4 {
        put(&archive, (0..10).map(|n| flow_end(part * 10 + n, "ada", "crm")).collect());
    }
    put(&archive, vec![flow_end(99, "ada", "crm")]);
    archive
}

#[test]
fn every_record_comes_back_as_its_line_says() {
    let folder = TempDir::new().unwrap();
    let (archive, _) = start(settings(folder.path()));
    let update = What::FlowUpdate { names: names("ada", "crm"), so_far: carried(3, 9) };
    let v6: IpAddr = "2001:db8::7".parse().unwrap();
    let by_app = FlowNames { user: None, app: None, interface: None, zone: None, alert: true, ..names("ada", "crm") };
    let records = vec![
        flow_start(1, "ada", "crm"),
        Record {
            time: at(2),
            what: What::FlowStart(FlowNames { client: v6, protocol: 47, opened_by: "app", ..by_app }),
        },
        Record { time: at(3), what: update },
        flow_end(4, "ada", "crm"),
        denied(5, v6, None),
        denied(6, [10, 9, 0, 1].into(), Some("bob")),
        Record::login_failed("ada", v6, "refused").of(at(7)),
        admin("crm"),
        Record::lost(3, 4).of(at(8)),
    ];
    let lines: Vec<Value> = records.iter().map(|record| serde_json::to_value(record).unwrap()).collect();
    put(&archive, records);
    let archived = all(&archive);
    assert_eq!(sequences(&archived), (1..=9).collect::<Vec<_>>());
    for (archived, line) in archived.into_iter().zip(lines) {
        assert_eq!(Value::Object(archived.fields), line);
    }
}

#[test]
fn records_are_found_by_whatever_they_say() {
    let folder = TempDir::new().unwrap();
    let (archive, _) = start(settings(folder.path()));
    let v6: IpAddr = "a00:1::7".parse().unwrap();
    put(
        &archive,
        vec![
            flow_start(1, "ada", "crm"),
            flow_end(2, "ada", "crm"),
            flow_end(3, "bob", "crm"),
            flow_end(4, "ada", "wiki"),
            denied(5, v6, None),
            denied(6, [10, 9, 7, 1].into(), Some("bob")),
            admin("crm"),
        ],
    );
    let text = |text: &str| Some(text.to_owned());
    let net = |net: &str| Some(net.parse().unwrap());
    let cases = [
        (Filter { user: text("ada"), ..Filter::default() }, vec![1, 2, 4]),
        (Filter { user: text("ci"), ..Filter::default() }, vec![7]),
        (Filter { app: text("crm"), ..Filter::default() }, vec![1, 2, 3]),
        (Filter { app: text("crm"), user: text("ada"), kind: text("flow_end"), ..Filter::default() }, vec![2]),
        (Filter { session: Some(7), ..Filter::default() }, vec![6]),
        (Filter { client: net("10.9.0.23/32"), ..Filter::default() }, vec![1, 2, 3, 4]),
        (Filter { client: net("10.9.0.0/16"), ..Filter::default() }, vec![1, 2, 3, 4, 6]),
        (Filter { client: net("10.9.4.0/22"), ..Filter::default() }, vec![6]),
        (Filter { client: net("0.0.0.0/0"), ..Filter::default() }, vec![1, 2, 3, 4, 6, 7]),
        (Filter { client: net("::/0"), ..Filter::default() }, vec![5]),
        (Filter { destination: net("198.51.100.50/32"), ..Filter::default() }, vec![5, 6]),
        (Filter { port: Some(5_432), ..Filter::default() }, vec![5, 6]),
        (Filter { reason: text("no_grant"), ..Filter::default() }, vec![5, 6]),
        (Filter { outcome: text("closed"), ..Filter::default() }, vec![2, 3, 4]),
        (Filter { policy: text("nobody"), ..Filter::default() }, vec![]),
        (Filter { since: Some(at(3)), until: Some(at(5)), ..Filter::default() }, vec![3, 4]),
        (Filter { user: text("nobody"), ..Filter::default() }, vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(found(&archive, filter.clone()), expected, "{filter:?}");
    }
}

#[test]
fn what_somebody_typed_is_text_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let (archive, _) = start(settings(folder.path()));
    let hostile = [
        "a\nb\r\n{\"type\":\"login\"}".to_owned(),
        "nul\0inside".to_owned(),
        "'; DROP TABLE record; --".to_owned(),
        "\" OR 1=1 %_*?[".to_owned(),
        "x".repeat(64 * 1024),
        "\u{202e}\u{1b}[2J\u{fffd}".to_owned(),
        String::new(),
    ];
    let by = |name: &str| {
        let actor = Actor { name: name.to_owned(), address: None };
        Record::admin(&actor, "user_put", name, None).of(at(1))
    };
    put(&archive, hostile.iter().map(|text| by(text)).collect());
    for (sequence, text) in (1..).zip(&hostile) {
        assert_eq!(found(&archive, Filter { user: Some(text.clone()), ..Filter::default() }), [sequence], "{text:?}");
    }
    for (archived, text) in all(&archive).iter().zip(&hostile) {
        assert_eq!((&archived.fields["by"], &archived.fields["object"]), (&json!(text), &json!(text)));
    }
    for text in ["x", "'", "%", "[", "[]", "nul"] {
        let everywhere = Filter {
            policy: Some(text.to_owned()),
            reason: Some(text.to_owned()),
            outcome: Some(text.to_owned()),
            ..Filter::default()
        };
        assert!(found(&archive, everywhere).is_empty());
    }
}

#[test]
fn numbers_go_on_from_segment_to_segment_and_from_daemon_to_daemon() {
    let folder = TempDir::new().unwrap();
    for daemon in 0..3 {
        let (archive, _) = start(ArchiveSettings { segment: 10, ..settings(folder.path()) });
        for part in 0..5 {
            put(&archive, (0..5).map(|n| flow_end(daemon * 100 + part * 10 + n, "ada", "crm")).collect());
        }
        let expected = u64::try_from((daemon + 1) * 25).unwrap();
        assert_eq!(sequences(&all(&archive)), (1..=expected).collect::<Vec<_>>());
    }
    let files = std::fs::read_dir(folder.path().join("records")).unwrap();
    let segments = files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|it| it == "sqlite"));
    assert!((7..=9).contains(&segments.count()));
}

#[test]
fn full_segments_are_sealed_and_found_alike() {
    let folder = TempDir::new().unwrap();
    let archive = four_full_segments_and_an_open_one(&folder);
    let (_, shared) = archive.parts.as_ref().unwrap();
    let states = || shared.catalog.all().unwrap().into_iter().map(|entry| entry.state).collect::<Vec<_>>();
    wait_for("all but the open one are sealed", || {
        states() == [[State::Sealed; 4].as_slice(), &[State::Open]].concat()
    });
    let sealed = shared.catalog.all().unwrap()[0].path.clone();
    assert!(!Path::new(&format!("{}-wal", sealed.display())).exists(), "a sealed segment is one file");
    let user = Filter { user: Some("ada".into()), ..Filter::default() };
    assert_eq!(found(&archive, user), (1..=41).collect::<Vec<_>>());
}

#[test]
fn pages_follow_each_other_whatever_is_added_and_removed_meanwhile() {
    let folder = TempDir::new().unwrap();
    let (archive, _) = start(ArchiveSettings { segment: 20, ..settings(folder.path()) });
    put(&archive, (0..100).map(|n| flow_end(n, if n % 2 == 0 { "ada" } else { "bob" }, "crm")).collect());
    let filter = Filter { user: Some("ada".into()), ..Filter::default() };
    let (mut from, mut seen) = (PageFrom::Before(u64::MAX), Vec::new());
    loop {
        let page = archive.ask().unwrap().records(&filter, from, 7).unwrap();
        assert!(page.items.len() <= 7);
        seen.extend(sequences(&page.items));
        put(&archive, vec![flow_end(500, "ada", "crm"), flow_end(500, "bob", "crm")]);
        match page.next {
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!(seen, (1..=100).rev().filter(|number| number % 2 == 1).collect::<Vec<_>>());
    // Whoever follows finds what was added, in order.
    let page = archive.ask().unwrap().records(&filter, PageFrom::After(100), 3).unwrap();
    assert_eq!((sequences(&page.items), page.next), (vec![101, 103, 105], Some(PageFrom::After(105))));
}

#[test]
fn who_reached_what_is_added_up_over_segments() {
    let folder = TempDir::new().unwrap();
    let (archive, _) = start(ArchiveSettings { segment: 4, ..settings(folder.path()) });
    for seconds in [100, 200, 300] {
        let records = vec![
            flow_start(seconds - 60, "ada", "crm"),
            flow_end(seconds, "ada", "crm"),
            flow_end(seconds + 7, "bob", "crm"),
            flow_start(seconds, "ada", "wiki"),
            denied(seconds, [10, 9, 0, 1].into(), Some("eve")),
        ];
        put(&archive, records);
    }
    let reached = |filter: Filter| archive.ask().unwrap().reached(&filter).unwrap();
    let of = |user: &str, app: &str| (Some(user.to_owned()), Some(app.to_owned()));
    let crm = reached(Filter { app: Some("crm".into()), ..Filter::default() });
    let [(ada, sum), (bob, _)] = &crm[..] else { panic!("{crm:?}") };
    assert_eq!((ada, bob), (&of("ada", "crm"), &of("bob", "crm")));
    assert_eq!((sum.first, sum.last), (Some(at(40)), Some(at(299))));
    assert_eq!((sum.connections, sum.to_app_bytes, sum.to_client_bytes, sum.denied), (3, 300, 600, 0));
    let by_ada = reached(Filter { user: Some("ada".into()), since: Some(at(150)), ..Filter::default() });
    let connections: Vec<_> = by_ada.iter().map(|(key, sum)| (key.clone(), sum.connections)).collect();
    assert_eq!(connections, [(of("ada", "crm"), 2), (of("ada", "wiki"), 2)]);
    let vault = reached(Filter { app: Some("vault".into()), ..Filter::default() });
    let [(_, eve)] = &vault[..] else { panic!("{vault:?}") };
    assert_eq!((eve.connections, eve.denied, eve.first), (0, 21, None));
    let denials = archive.ask().unwrap().denied(&Filter { reason: Some("no_grant".into()), ..Filter::default() });
    let denials = denials.unwrap();
    let [(key, sum)] = &denials[..] else { panic!("{denials:?}") };
    assert_eq!((key.user.as_deref(), key.port, key.reason.as_str()), (Some("eve"), 5_432, "no_grant"));
    assert_eq!((sum.packets, sum.first, sum.last), (21, at(95), at(300)));
}

#[test]
fn what_happened_is_added_up_over_segments_and_what_is_missing_is_said() {
    let folder = TempDir::new().unwrap();
    let (archive, _) = start(ArchiveSettings { segment: 4, ..settings(folder.path()) });
    put(
        &archive,
        vec![flow_end(0, "ada", "crm"), denied(10, [10, 9, 0, 1].into(), Some("eve")), admin("crm"), admin("wiki")],
    );
    let failed = Record::login_failed("ada", [10, 9, 0, 1].into(), "refused").of(at(20));
    put(&archive, vec![failed, denied(30, [10, 9, 0, 2].into(), Some("eve")), Record::lost(3, 4).of(at(40))]);
    let digest = |since: Option<i64>| archive.ask().unwrap().digest(since.map(at), None).unwrap();
    let all = digest(None);
    let counts: Vec<_> = all.records.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(counts, [("admin", 2), ("denied", 2), ("flow_end", 1), ("login_failed", 1), ("lost", 1)]);
    let [(key, sum)] = &all.denied[..] else { panic!("{:?}", all.denied) };
    assert_eq!(
        (key.user.as_deref(), key.app.as_deref(), sum.packets, sum.observed),
        (Some("eve"), Some("vault"), 14, 0)
    );
    assert_eq!((sum.first, sum.last), (at(5), at(30)));
    let events: Vec<_> = all.events.iter().map(|(key, (count, _))| (key.what.as_deref().unwrap(), *count)).collect();
    assert_eq!(events, [("app_put", 2), ("refused", 1)]);
    assert_eq!((all.lost_events, all.lost_records, all.damaged), (3, 4, 0));
    assert_eq!((all.oldest, all.first, all.last), (Some(at(0)), Some(at(0)), Some(at(40))));
    let late = digest(Some(25));
    assert_eq!((late.records.len(), late.denied[0].1.packets, late.oldest), (2, 7, Some(at(0))));
    assert_eq!((all.enforced.len(), all.enforced.percentile(50)), (0, None));
}

#[test]
fn records_are_found_by_one_of_their_policies() {
    use crate::policy::gateway::tests::{app, source};
    use crate::policy::{Capacities, Factors, Gateway, Input, Source, User};
    use gateway_common::KernelNanos;
    use gateway_common::abi::{FlowCopy, FlowKey};
    let folder = TempDir::new().unwrap();
    let (archive, metrics) = start(settings(folder.path()));
    let recorder = Recorder::keeping(metrics, keepers(AccessLog::start(Sink::Nowhere).unwrap(), &archive), None);
    let (mut gateway, user) = (Gateway::new(Capacities::default()), UserName::new("ada").unwrap());
    let source = Source { zone_name: "lan".into(), ..source(1) };
    let policy =
        "@id(\"one\") permit (principal, action, resource); @id(\"two\") permit (principal, action, resource);";
    let login = Input::Login {
        token: SessionToken(7),
        user: user.clone(),
        source,
        proof: Factors::default().into(),
        deadline: KernelNanos::NEVER,
    };
    let put_policy = Input::put_policy(policy, None).unwrap();
    for input in [Input::PutUser(User::new(user)), Input::PutApp(app("crm", "10.0.0.2/32")), put_policy, login] {
        gateway.handle(input, KernelNanos(1)).unwrap();
    }
    recorder.knows(&gateway);
    let number = gateway.app_ids().values().next().unwrap().0;
    let copy = FlowCopy { token: 7, app: number.into(), ..FlowCopy::default() };
    recorder.flow_goes_on(&FlowKey { protocol: 6, ..FlowKey::default() }, &TrackedFlow { copy, interface: 0, told: 0 });
    recorder.finish();
    for (policy, is_found) in [("one", true), ("two", true), ("on", false), ("[\"one\",\"two\"]", false)] {
        let filter = Filter { policy: Some(policy.into()), ..Filter::default() };
        assert_eq!(found(&archive, filter).len(), usize::from(is_found), "{policy}");
    }
    let archived = all(&archive);
    assert_eq!(archived[0].fields["policies"], json!(["one", "two"]));
    assert_eq!((&archived[0].fields["zone"], &archived[0].fields["user"]), (&json!("lan"), &json!("ada")));
}

/// A folder as it was at this moment, whatever the writer is about to do: what a crash leaves.
fn image(folder: &Path) -> TempDir {
    let image = TempDir::new().unwrap();
    std::fs::create_dir(image.path().join("records")).unwrap();
    for file in std::fs::read_dir(folder.join("records")).unwrap() {
        let file = file.unwrap();
        // SQLite makes the index of its log anew.
        if !file.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(file.path(), image.path().join("records").join(file.file_name())).unwrap();
        }
    }
    image
}

#[test]
fn a_daemon_that_is_killed_loses_nothing_that_was_committed_and_the_open_segment_goes_on() {
    let folder = TempDir::new().unwrap();
    let (archive, _) = start(ArchiveSettings { segment: 25, ..settings(folder.path()) });
    for part in 0..10 {
        put(&archive, (0..10).map(|n| flow_end(part * 10 + n, "ada", "crm")).collect());
        let killed = image(folder.path());
        let (after, _) = start(ArchiveSettings { segment: 25, ..settings(killed.path()) });
        put(&after, vec![flow_end(1_000, "bob", "crm")]);
        let committed = u64::try_from((part + 1) * 10).unwrap();
        assert_eq!(sequences(&all(&after)), (1..=committed + 1).collect::<Vec<_>>());
    }
}

/// A power cut leaves any part of what was written since the last commit.
#[test]
fn wherever_the_log_of_the_open_segment_is_cut_off_whole_transactions_are_left() {
    let folder = TempDir::new().unwrap();
    let (archive, _) = start(settings(folder.path()));
    for part in 0..4 {
        put(&archive, (0..5).map(|n| flow_end(part * 10 + n, "ada", "crm")).collect());
    }
    let whole = image(folder.path());
    let log = catalog::path(&whole.path().join("records"), 1).display().to_string() + "-wal";
    let length = std::fs::metadata(&log).unwrap().len();
    let mut left = Vec::new();
    for cut in (0..=length).rev().step_by(1_031) {
        let torn = image(whole.path());
        let log = catalog::path(&torn.path().join("records"), 1).display().to_string() + "-wal";
        std::fs::OpenOptions::new().write(true).open(log).unwrap().set_len(cut).unwrap();
        let (after, _) = start(settings(torn.path()));
        put(&after, vec![flow_end(1_000, "bob", "crm")]);
        let found = sequences(&all(&after));
        assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>(), "cut at {cut}");
        assert_eq!((found.len() - 1) % 5, 0, "a transaction is there or not: cut at {cut} of {length}: {found:?}");
        left.push(found.len());
    }
    assert!(left.first() == Some(&21) && left.is_sorted_by(|a, b| a >= b), "{left:?}");
}

#[test]
fn a_damaged_segment_is_set_aside_and_the_others_are_searched() {
    let folder = TempDir::new().unwrap();
    let archive = four_full_segments_and_an_open_one(&folder);
    let (_, shared) = archive.parts.as_ref().unwrap();
    let sealed = |catalog: &Catalog| catalog.all().unwrap().iter().filter(|entry| entry.state == State::Sealed).count();
    wait_for("all are sealed", || sealed(&shared.catalog) == 4);
    let damage = |first: u64| {
        let path = catalog::path(&folder.path().join("records"), first);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4_096..].fill(0xa5);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    // One that is read while the daemon runs, and one that the next daemon meets.
    let path = damage(11);
    let expected: Vec<u64> = (1..=10).chain(21..=41).collect();
    let user = Filter { user: Some("ada".into()), ..Filter::default() };
    assert_eq!(found(&archive, user.clone()), expected);
    let aside = format!("{}.damaged", path.display());
    assert!(!path.exists() && Path::new(&aside).exists());
    drop(archive);
    std::fs::write(catalog::path(&folder.path().join("records"), 21), b"no database at all").unwrap();
    let (archive, _) = start(ArchiveSettings { segment: 10, ..settings(folder.path()) });
    put(&archive, vec![flow_end(100, "ada", "crm")]);
    assert_eq!(found(&archive, user), (1..=10).chain(31..=42).collect::<Vec<_>>());
}

#[test]
fn whoever_passes_records_on_waits_for_a_segment_that_cannot_be_read_now_and_passes_over_one_that_is_damaged() {
    let folder = TempDir::new().unwrap();
    let archive = four_full_segments_and_an_open_one(&folder);
    let path = catalog::path(&folder.path().join("records"), 11);
    let (_, shared) = archive.parts.as_ref().unwrap();
    wait_for("it is sealed", || shared.catalog.state(11) == Some(State::Sealed));
    let following = || sequences(&archive.after(5, 100).unwrap());
    let away = folder.path().join("away");
    std::fs::rename(&path, &away).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(following(), (6..=10).collect::<Vec<_>>());
    let told = archive.after(10, 100).unwrap_err();
    assert!(matches!(&told, SearchError::Unreadable { path: told, .. } if *told == path), "{told}");
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(&away, &path).unwrap();
    assert_eq!(following(), (6..=41).collect::<Vec<_>>());
    std::fs::write(&path, vec![0xa5; 20_000]).unwrap();
    assert_eq!(following(), (6..=10).chain(21..=41).collect::<Vec<_>>());
}

#[test]
fn a_damaged_open_segment_is_set_aside_and_its_numbers_are_not_used_again() {
    let folder = TempDir::new().unwrap();
    let (archive, _) = start(settings(folder.path()));
    put(&archive, (0..10).map(|n| flow_end(n, "ada", "crm")).collect());
    drop(archive);
    let broken = image(folder.path());
    let path = catalog::path(&broken.path().join("records"), 1);
    std::fs::write(&path, vec![0x5a; 20_000]).unwrap();
    std::fs::remove_file(format!("{}-wal", path.display())).unwrap();
    let (archive, metrics) = start(settings(broken.path()));
    put(&archive, vec![flow_end(100, "ada", "crm")]);
    let next = settings(broken.path()).gap() + 1;
    assert_eq!(sequences(&all(&archive)), [next]);
    assert_eq!(counted(&metrics, "flow_end"), 0.0);
    // The same for a segment of a version to come.
    drop(archive);
    let path = catalog::path(&broken.path().join("records"), next);
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let (archive, _) = start(settings(broken.path()));
    put(&archive, vec![flow_end(101, "ada", "crm")]);
    assert_eq!(sequences(&all(&archive)), [next + settings(broken.path()).gap()]);
}

#[test]
fn a_segment_that_was_only_begun_to_be_made_is_made() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("records")).unwrap();
    let path = catalog::path(&folder.path().join("records"), 1);
    std::fs::write(&path, b"").unwrap();
    let (archive, _) = start(settings(folder.path()));
    put(&archive, vec![flow_end(1, "ada", "crm")]);
    assert_eq!(sequences(&all(&archive)), [1]);
}

#[test]
fn what_cannot_be_written_waits_and_is_written_when_there_is_room_again() {
    let folder = TempDir::new().unwrap();
    // Where the folder should be, there is a file.
    let place = folder.path().join("records");
    std::fs::write(&place, b"").unwrap();
    let (archive, metrics) = start(settings(folder.path()));
    assert!(archive.put(&Arc::new(flow_end(1, "ada", "crm"))));
    let is_closed = || matches!(archive.after(0, 1), Err(SearchError::Closed));
    assert!(is_closed());
    std::fs::remove_file(&place).unwrap();
    wait_for("it is written", || archive.after(0, 1).is_ok_and(|found| found.len() == 1));
    assert_eq!(counted(&metrics, "flow_end"), 0.0);
}

#[test]
fn a_folder_that_is_away_for_a_while_is_not_begun_anew_and_goes_on_when_it_is_back() {
    let folder = TempDir::new().unwrap();
    let (archive, metrics) = start(settings(folder.path()));
    put(&archive, vec![flow_end(1, "ada", "crm")]);
    let (there, away) = (folder.path().join("records"), folder.path().join("away"));
    std::fs::rename(&there, &away).unwrap();
    let is_failing = || {
        let (_, shared) = archive.parts.as_ref().unwrap();
        shared.failing.load(Ordering::Relaxed)
    };
    wait_for("it is noticed", is_failing);
    assert!(archive.put(&Arc::new(flow_end(2, "ada", "crm"))));
    assert!(!there.exists());
    std::fs::rename(&away, &there).unwrap();
    wait_for("it goes on", || all(&archive).len() == 2);
    assert_eq!((sequences(&all(&archive)), counted(&metrics, "flow_end")), (vec![1, 2], 0.0));
}

#[test]
fn a_daemon_that_stops_while_nothing_can_be_written_does_not_wait_and_counts_what_is_lost() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("records"), b"").unwrap();
    let (archive, metrics) = start(settings(folder.path()));
    for n in 0..20_000 {
        assert!(archive.put(&Arc::new(flow_end(n, "ada", "crm"))));
    }
    assert!(archive.put(&Arc::new(admin("crm"))));
    let began = Instant::now();
    archive.flush();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!((counted(&metrics, "flow_end"), counted(&metrics, "admin")), (20_000.0, 1.0));
}

#[test]
fn when_the_queue_is_full_what_matters_least_is_lost_first() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("records"), b"").unwrap();
    let (archive, metrics) = start(settings(folder.path()));
    let log = AccessLog::start(Sink::Nowhere).unwrap();
    let recorder = Recorder::keeping(metrics.clone(), keepers(log, &archive), None);
    // More than the queue and one transaction hold, so that nothing is taken out meanwhile.
    for n in 0..80_000 {
        recorder.write(flow_start(n, "ada", "crm"));
    }
    let starts = counted(&metrics, "flow_start");
    assert!(starts > 0.0);
    for n in 0..80_000 {
        recorder.write(flow_end(n, "ada", "crm"));
    }
    let ends = counted(&metrics, "flow_end");
    assert!(ends > 0.0 && ends < 80_000.0, "ends are taken where starts are not: {ends}");
    for n in 0..100 {
        recorder.write(admin(&n.to_string()));
    }
    assert_eq!(counted(&metrics, "admin"), 0.0);
    std::fs::remove_file(folder.path().join("records")).unwrap();
    let last = Filter { kind: Some("admin".into()), ..Filter::default() };
    wait_for("what was taken is written", || {
        archive.ask().unwrap().records(&last, PageFrom::After(0), 200).is_ok_and(|page| page.items.len() == 100)
    });
    let written = all(&archive).len() as f64;
    assert_eq!(written + starts + counted(&metrics, "flow_end"), 160_100.0, "what is not there was counted");
}

#[test]
fn the_oldest_segments_go_when_they_are_too_old_or_there_are_too_many() {
    let folder = TempDir::new().unwrap();
    let now = (OffsetDateTime::now_utc() - at(0)).whole_seconds();
    let day = 86_400;
    let (archive, _) = start(ArchiveSettings { segment: 10, keep: 30 * DAY, ..settings(folder.path()) });
    for age in [90, 40, 20, 0] {
        put(&archive, (0..10).map(|_| flow_end(now - age * day, "ada", "crm")).collect());
    }
    put(&archive, vec![flow_end(now, "ada", "crm")]);
    let (_, shared) = archive.parts.as_ref().unwrap();
    let first = || shared.catalog.all().unwrap().first().map(|entry| entry.extent.first);
    wait_for("what is older than 30 days is gone", || first() == Some(21));
    assert_eq!(sequences(&all(&archive)), (21..=41).collect::<Vec<_>>());
    let bytes = shared.catalog.holding().bytes;
    shared.catalog.retain(bytes - 1, i64::MIN);
    assert_eq!(sequences(&all(&archive)), (31..=41).collect::<Vec<_>>());
    shared.catalog.retain(0, i64::MAX);
    assert_eq!(sequences(&all(&archive)), [41], "the open one stays");
    assert_eq!(shared.catalog.holding().segments, 1);
}

#[test]
fn no_more_than_a_few_search_at_once() {
    let folder = TempDir::new().unwrap();
    let (archive, _) = start(settings(folder.path()));
    let mut asking: Vec<_> = (0..4).map(|_| archive.ask().unwrap()).collect();
    assert!(matches!(archive.ask(), Err(SearchError::Busy)));
    asking.pop();
    assert!(archive.ask().is_ok());
    assert!(matches!(Archive::none().ask(), Err(SearchError::Off)));
}

#[test]
fn a_search_sees_what_is_committed_while_more_is_being_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("one.sqlite");
    let mut segment = Segment::open(&path, 1, at(0)).unwrap();
    let records: Vec<_> = (0..100).map(|n| Arc::new(flow_end(n, "ada", "crm"))).collect();
    segment.append(&records).unwrap();
    let reader = super::segment::read(&path, false).unwrap();
    let count = || reader.query_row("SELECT count(*) FROM records", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(), 100);
    segment.append(&records).unwrap();
    assert_eq!(count(), 200);
}

/// What the reference tells people to do with their own tool.
#[test]
fn the_view_shows_texts_addresses_and_times() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("one.sqlite");
    let mut segment = Segment::open(&path, 1, at(0)).unwrap();
    let v6: IpAddr = "2001:db8::7".parse().unwrap();
    segment.append(&[Arc::new(flow_end(4, "ada", "crm")), Arc::new(denied(5, v6, None))]).unwrap();
    let reader = super::segment::read(&path, false).unwrap();
    let row = |sequence: i64, columns: &str| {
        let question = format!("SELECT {columns} FROM records WHERE sequence = {sequence}");
        let read = |row: &rusqlite::Row<'_>| (0..5).map(|at| row.get::<_, Option<String>>(at)).collect();
        let row: Vec<Option<String>> = reader.query_row(&question, [], read).unwrap();
        row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>()
    };
    let flow = row(1, "time, session, user, client, first");
    assert_eq!(flow[1..4], ["8c4f0e3a91d2b775", "ada", "10.9.0.23"]);
    assert_eq!((flow[0].len(), &flow[0][19..]), (27, ".000000Z"));
    assert!(flow[4] < flow[0], "{flow:?}");
    let refused = row(2, "client, mac, reason, user, type");
    assert_eq!(refused, ["2001:0db8:0000:0000:0000:0000:0000:0007", "02005e100017", "no_grant", "", "denied"]);
}

#[test]
fn many_records_of_one_event_are_all_kept() {
    let folder = TempDir::new().unwrap();
    let (archive, _) = start(settings(folder.path()));
    let changed = |n: u64| crate::policy::Regranted {
        token: SessionToken(n),
        user: UserName::new("ada").unwrap(),
        gained: Arc::from([]),
        lost: Arc::from([AppName::new("crm").unwrap()]),
    };
    let lot = Lot::Regranted(at(1), Arc::new((0..20_000).map(changed).collect()));
    assert!(archive.put_lot(&lot));
    put(&archive, vec![admin("crm")]);
    assert_eq!(sequences(&all(&archive)), (1..=20_001).collect::<Vec<_>>());
    assert_eq!(found(&archive, Filter { session: Some(19_999), ..Filter::default() }), [20_000]);
    let none: Arc<[Receipt]> = Arc::from([]);
    assert!(archive.put_lot(&Lot::Ends(at(2), none)));
}
