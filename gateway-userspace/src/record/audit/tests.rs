//! Trails in folders: whatever is done to the bytes is found, whatever happens to the daemon or the disk is survived.

use super::check::walk;
use super::folder::file_name;
use super::*;
use crate::core::{Actor, Done, Receipt};
use crate::identity::{ApiToken, Scope};
use crate::policy::gateway::tests::source;
use crate::policy::{
    AllowListId, EndCause, Factors, Gateway, Generation, HistoryEntry, Input, Regranted, Session, SessionToken, Source,
    Undo, UserName,
};
use crate::record::{AccessLog, Archive, Keepers, Metrics, Recorder, Sink};
use gateway_common::KernelNanos;
use proptest::prelude::*;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

/// For what happens by itself.
const SOON: Duration = Duration::from_secs(20);

fn at_once() -> Settings {
    Settings { gather: Duration::ZERO, retry: Duration::from_millis(5), ..Settings::default() }
}

fn start(folder: &Path, settings: Settings) -> AuditTrail {
    AuditTrail::start(folder, "gate", &Registry::new(), settings).unwrap()
}

fn said(trail: &AuditTrail, object: &str) {
    let (actor, object) = (Actor { name: "ops".into(), address: None }, object.to_owned());
    trail.put(Lot::one(kind::ADMIN, || Entry::admin(actor, "app_put", object, None, Detail::default())));
}

fn kept(trail: &AuditTrail) -> Head {
    assert!(trail.flush(SOON), "{:?}", trail.condition());
    trail.condition().kept.unwrap().head
}

/// A trail of so many entries beside the first ones, in files of so many bytes.
fn written(folder: &Path, entries: usize, file_size: u64) -> Head {
    let trail = start(folder, Settings { file_size, ..at_once() });
    for n in 0..entries {
        said(&trail, &format!("app-{n}"));
        // One batch each, so that files end where they should.
        let _ = kept(&trail);
    }
    kept(&trail)
}

fn checked(folder: &Path, head: Option<Head>) -> Report {
    verify(folder, head, &mut |_, _| {}).unwrap()
}

fn flaws(report: &Report) -> Vec<(String, u64, &'static str)> {
    report.flaws.iter().map(|found| (found.file.clone(), found.line, found.flaw.label())).collect()
}

fn entries(folder: &Path) -> Vec<Value> {
    let folder = Folder::at(folder);
    let texts = folder.files().unwrap().into_iter().map(|first| fs::read_to_string(folder.file(first)).unwrap());
    let lines = |text: String| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    texts.flat_map(lines).collect()
}

fn kinds(folder: &Path) -> Vec<String> {
    entries(folder).iter().map(|entry| entry["type"].as_str().unwrap().to_owned()).collect()
}

/// All files of a small trail, by name, and its head.
fn small() -> (Vec<(u64, Vec<u8>)>, Head) {
    let scratch = tempfile::tempdir().unwrap();
    let head = written(scratch.path(), 12, 900);
    let folder = Folder::at(scratch.path());
    let files = folder.files().unwrap();
    assert!(files.len() > 2, "{files:?}");
    (files.iter().map(|first| (*first, fs::read(folder.file(*first)).unwrap())).collect(), head)
}

fn laid_out(files: &[(u64, Vec<u8>)]) -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    for (first, bytes) in files {
        fs::write(scratch.path().join(file_name(*first)), bytes).unwrap();
    }
    scratch
}

/// The whole trail as lines, each with its file.
fn lines(files: &[(u64, Vec<u8>)]) -> Vec<(u64, Vec<u8>)> {
    let of = |(first, bytes): &(u64, Vec<u8>)| {
        bytes.split_inclusive(|byte| *byte == b'\n').map(|line| (*first, line.to_vec())).collect::<Vec<_>>()
    };
    files.iter().flat_map(of).collect()
}

/// Files of lines; a file without a line is not there.
fn files(lines: &[(u64, Vec<u8>)]) -> Vec<(u64, Vec<u8>)> {
    let mut files: Vec<(u64, Vec<u8>)> = Vec::new();
    for (first, line) in lines {
        match files.iter_mut().find(|(known, _)| known == first) {
            Some((_, bytes)) => bytes.extend_from_slice(line),
            None => files.push((*first, line.clone())),
        }
    }
    files
}

/// Where a line stands: its file's name, and its number there.
fn place(lines: &[(u64, Vec<u8>)], at: usize) -> (String, u64) {
    let first = lines[at].0;
    let number = lines[..=at].iter().filter(|(file, _)| *file == first).count();
    (file_name(first), number as u64)
}

#[test]
fn a_trail_begins_with_the_gateway_goes_on_in_other_files_and_is_verified() {
    let (files, head) = small();
    let scratch = laid_out(&files);
    let report = checked(scratch.path(), Some(head));
    assert!(report.is_whole(), "{report:?}");
    assert_eq!((report.head, report.begins, report.files), (Some(head), Some(Beginning::Trail), files.len()));
    let found = entries(scratch.path());
    assert_eq!((&found[0]["type"], &found[0]["gateway"]), (&"trail_began".into(), &"gate".into()));
    assert_eq!(report.entries, found.len() as u64);
    let seqs: Vec<_> = found.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=found.len() as u64).collect::<Vec<_>>());
    // Older files may be moved away: the rest verifies, and also tells the head of the last one that is gone.
    let later = laid_out(&files[1..]);
    let report = checked(later.path(), None);
    assert!(report.is_whole() && report.begins == Some(Beginning::Later), "{report:?}");
    let old = laid_out(&files[..1]);
    let old = checked(old.path(), None).head;
    assert_eq!(checked(later.path(), old).compared, Some(Compared::Same));
    let first = files[1].0;
    let older = Head { seq: 1, hash: head.hash };
    assert_eq!(checked(later.path(), Some(older)).compared, Some(Compared::Before(first)));
}

#[test]
fn an_empty_folder_is_no_trail() {
    let scratch = tempfile::tempdir().unwrap();
    assert!(!checked(scratch.path(), None).is_whole());
    assert!(verify(&scratch.path().join("nowhere"), None, &mut |_, _| {}).is_err());
}

#[test]
fn what_is_on_the_disk_is_carried_on_after_a_restart() {
    let scratch = tempfile::tempdir().unwrap();
    let before = written(scratch.path(), 3, 1 << 20);
    let trail = start(scratch.path(), at_once());
    trail.started();
    let after = kept(&trail);
    assert_eq!(after.seq, before.seq + 1);
    assert!(checked(scratch.path(), Some(before)).is_whole());
    assert_eq!(trail.condition().flaws, []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_byte_that_is_changed_is_found_where_it_is(at in any::<prop::sample::Index>(), with in 1_u8..) {
        let (files, _) = small();
        let all = lines(&files);
        let total: usize = all.iter().map(|(_, line)| line.len()).sum();
        let mut left = at.index(total);
        let mut changed = all.clone();
        let line = changed.iter().position(|(_, line)| {
            let is_here = left < line.len();
            if !is_here { left -= line.len(); }
            is_here
        }).unwrap();
        changed[line].1[left] ^= with;
        let scratch = laid_out(&self::files(&changed));
        let report = checked(scratch.path(), None);
        prop_assert!(!report.is_whole());
        let (file, number) = place(&all, line);
        prop_assert_eq!((&report.flaws[0].file, report.flaws[0].line), (&file, number), "{:?}", report);
    }

    #[test]
    fn any_line_that_is_removed_repeated_or_moved_is_found_where_that_shows(
        at in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(), what in 0..3
    ) {
        let (files, head) = small();
        let all = lines(&files);
        let (at, to) = (at.index(all.len()), to.index(all.len()));
        let mut changed = all.clone();
        // The first place that is not as it was; what is behind the end shows by the head alone.
        let first = match what {
            0 => { changed.remove(at); at }
            1 => { let line = (changed[to].0, all[at].1.clone()); changed.insert(to, line); to }
            _ => {
                let (one, other) = (at.min(to), at.max(to));
                let line = changed[one].1.clone();
                changed[one].1 = changed[other].1.clone();
                changed[other].1 = line;
                one
            }
        };
        let (moved, is_same) = (laid_out(&self::files(&changed)), changed == all);
        let report = checked(moved.path(), Some(head));
        prop_assert_eq!(report.is_whole(), is_same, "{:?}", report);
        if is_same { return Ok(()); }
        let is_at_the_end = first == changed.len();
        prop_assert_eq!(report.flaws.is_empty(), is_at_the_end, "{:?}", report);
        if is_at_the_end {
            prop_assert_eq!(report.compared, Some(Compared::CutOff(head.seq - 1)));
        } else {
            // Of two equal lines it is the second that is not in its place.
            let is_repeated = what == 1 && at == to;
            let expected = place(&changed, if is_repeated { first + 1 } else { first });
            let found = (report.flaws[0].file.clone(), report.flaws[0].line);
            prop_assert_eq!(found, expected, "{:?}", report);
        }
    }

    #[test]
    fn any_end_that_is_cut_off_is_found_by_the_head(left in any::<prop::sample::Index>()) {
        let (files, head) = small();
        let all = lines(&files);
        let left = 1 + left.index(all.len() - 1);
        let scratch = laid_out(&self::files(&all[..left]));
        let report = checked(scratch.path(), None);
        prop_assert!(report.is_whole(), "without a head nobody can tell: {:?}", report);
        let report = checked(scratch.path(), Some(head));
        prop_assert!(!report.is_whole());
        prop_assert_eq!(report.compared, Some(Compared::CutOff(left as u64)));
    }

    #[test]
    fn an_entry_that_is_forged_with_its_hash_is_found_at_the_next_one(at in any::<prop::sample::Index>()) {
        let (files, head) = small();
        let all = lines(&files);
        let at = at.index(all.len());
        let mut changed = all.clone();
        let text = String::from_utf8(all[at].1.clone()).unwrap();
        let prev = text.split_once("\"prev\":\"").unwrap().1[..64].to_owned();
        let mut line = text.split_once(",\"prev\"").unwrap().0.replace("ops", "eve").replace("gate", "gape").into_bytes();
        line.push(b'}');
        chain::seal(&mut line, 0, format!("1:{prev}").parse::<Head>().unwrap().hash);
        changed[at].1 = line;
        let scratch = laid_out(&self::files(&changed));
        let report = checked(scratch.path(), Some(head));
        prop_assert!(!report.is_whole());
        if at + 1 == all.len() {
            prop_assert!(matches!(report.compared, Some(Compared::Other(_))), "{:?}", report);
        } else {
            let (file, line) = place(&all, at + 1);
            prop_assert_eq!(flaws(&report), [(file, line, "replaced")]);
        }
    }

    #[test]
    fn whatever_bytes_are_in_a_folder_they_are_read_to_their_end(
        bytes in prop::collection::vec(prop::sample::select(b"{}\n\",:0afseqtimehashprev\x00\xff".to_vec()), 0..400)
    ) {
        let scratch = laid_out(&[(1, bytes.clone())]);
        let file = Folder::at(scratch.path()).open(1).unwrap();
        let end = walk(file, 1, &mut Default::default(), 0, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        prop_assert_eq!(end.whole + end.rest, bytes.len() as u64);
    }

    #[test]
    fn whatever_is_in_a_name_an_entry_is_one_line_of_json(name in any::<String>(), user in any::<String>()) {
        let scratch = tempfile::tempdir().unwrap();
        let trail = start(scratch.path(), at_once());
        said(&trail, &name);
        trail.put(Lot::one(kind::LOGIN_FAILED, {
            let user = user.clone();
            move || Entry::login_failed(user, [10, 0, 0, 1].into(), "refused", 0)
        }));
        let head = kept(&trail);
        prop_assert_eq!(head.seq, 3);
        let found = entries(scratch.path());
        prop_assert_eq!(&found[1]["object"], &Value::from(name));
        let told = UserName::new(&user).map_or_else(|_| "(not a name)".to_owned(), |name| name.to_string());
        prop_assert_eq!(&found[2]["user"], &Value::from(told));
        prop_assert!(checked(scratch.path(), Some(head)).is_whole());
    }
}

#[test]
fn a_daemon_that_dies_at_any_byte_of_a_write_goes_on_from_the_last_whole_line() {
    let (files, _) = small();
    let (last, whole) = files.last().unwrap();
    let all = &files[..files.len() - 1];
    // Not before the first line of the file: that is there with the file or not at all.
    let first_line = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for length in first_line..whole.len() {
        let mut cut = all.to_vec();
        cut.push((*last, whole[..length].to_vec()));
        let scratch = laid_out(&cut);
        let trail = start(scratch.path(), at_once());
        trail.started();
        let head = kept(&trail);
        let report = checked(scratch.path(), Some(head));
        assert!(report.is_whole() && trail.condition().flaws.is_empty(), "{length}: {report:?}");
        let rest = whole[..length].rsplit(|byte| *byte == b'\n').next().unwrap();
        let aside = scratch.path().join(format!("{}.unfinished-1", file_name(*last)));
        let told = kinds(scratch.path());
        let expected: &[&str] =
            if rest.is_empty() { &["daemon_started"] } else { &["unfinished_line", "daemon_started"] };
        assert!(told.ends_with(&expected.iter().map(ToString::to_string).collect::<Vec<_>>()), "{length}: {told:?}");
        assert_eq!(fs::read(aside).unwrap_or_default(), rest, "{length}");
    }
}

#[test]
fn a_trail_that_was_tampered_with_is_left_as_it_is_and_a_new_chain_says_so() {
    let (files, head) = small();
    for at in 0..files.len() {
        let mut changed = files.clone();
        let half = changed[at].1.len() / 2;
        changed[at].1[half] ^= 1;
        let scratch = laid_out(&changed);
        let (name, is_last) = (file_name(files[at].0), at + 1 == files.len());
        let before = checked(scratch.path(), None);
        let trail = start(scratch.path(), at_once());
        let find = || trail.condition().flaws.first().cloned();
        let deadline = Instant::now() + SOON;
        while find().is_none() && Instant::now() < deadline {
            said(&trail, "meanwhile");
            let _ = kept(&trail);
        }
        let found = find().expect("it is found");
        assert_eq!((&found.file, found.line), (&before.flaws[0].file, before.flaws[0].line));
        let _ = kept(&trail);
        // Not a byte of it was written over.
        assert!(fs::read(scratch.path().join(&name)).unwrap().starts_with(&changed[at].1));
        let all = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path());
        let texts: String = all.map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()).collect();
        let told = if is_last { "chain_broken" } else { "break_found" };
        assert!(texts.contains(&format!("\"type\":\"{told}\"")), "{at}: {told}");
        assert!(!checked(scratch.path(), Some(head)).is_whole());
        if is_last {
            // What is moved away as evidence leaves a chain that verifies.
            files.iter().for_each(|(first, _)| fs::remove_file(scratch.path().join(file_name(*first))).unwrap());
            let report = checked(scratch.path(), None);
            assert!(report.is_whole() && report.begins == Some(Beginning::Break), "{report:?}");
        }
    }
}

#[test]
fn who_writes_to_the_trail_or_removes_it_while_the_daemon_runs_is_noticed_with_the_next_entry() {
    let spoil: [fn(&Path); 3] = [
        |file| fs::write(file, [fs::read(file).unwrap(), b"more\n".to_vec()].concat()).unwrap(),
        |file| fs::write(file, b"").unwrap(),
        |file| fs::remove_file(file).unwrap(),
    ];
    for spoil in spoil {
        let scratch = tempfile::tempdir().unwrap();
        let trail = start(scratch.path(), at_once());
        said(&trail, "before");
        let before = kept(&trail);
        spoil(&scratch.path().join(file_name(1)));
        said(&trail, "after");
        let _ = kept(&trail);
        assert_eq!(trail.condition().flaws.len(), 1);
        let first = before.seq + 1;
        let text = fs::read_to_string(scratch.path().join(file_name(first))).unwrap();
        assert!(text.contains("chain_broken") && text.contains("\"object\":\"after\""), "{text}");
    }
}

#[test]
fn a_full_disk_makes_entries_wait_and_what_is_too_much_is_counted_and_told() {
    let scratch = tempfile::tempdir().unwrap();
    let room = Arc::new(AtomicUsize::new(usize::MAX));
    let folder = Folder { path: scratch.path().to_owned(), room: Some(Arc::clone(&room)) };
    let registry = Registry::new();
    let settings = Settings { waiting: 50, ..at_once() };
    let trail = AuditTrail::start_in(folder, "gate", &registry, settings).unwrap();
    said(&trail, "before");
    let before = kept(&trail);
    // Not even a line fits.
    room.store(100, Ordering::SeqCst);
    (0..80).for_each(|n| said(&trail, &format!("app-{n}")));
    assert!(!trail.flush(Duration::from_millis(50)));
    let condition = trail.condition();
    assert_eq!((condition.kept.unwrap().head, condition.waiting, condition.lost), (before, 50, 30));
    // What did not fit stands behind the end, and is no entry.
    assert!(checked(scratch.path(), Some(before)).entries <= before.seq);
    room.store(usize::MAX, Ordering::SeqCst);
    assert!(trail.flush(SOON));
    let head = kept(&trail);
    assert!(checked(scratch.path(), Some(head)).is_whole());
    let found = entries(scratch.path());
    let told: Vec<_> = found.iter().filter(|entry| entry["type"] == "entries_lost").collect();
    assert_eq!((told.len(), &told[0]["entries"]), (1, &serde_json::json!({ "admin": 30 })));
    let kept: Vec<_> = found.iter().filter(|entry| entry["type"] == "admin").map(|entry| &entry["object"]).collect();
    assert_eq!((kept.len(), kept[1], kept[50]), (51, &"app-0".into(), &"app-49".into()));
    assert_eq!((trail.condition().waiting, trail.condition().flaws.len()), (0, 0));
}

fn session(token: u64) -> Session {
    let source = Source { mac: Some([2, 0, 0, 0, 0, 1]), ..source(1) };
    Session {
        token: SessionToken(token),
        user: UserName::new("ada").unwrap(),
        source,
        factors: Factors::default(),
        assurance: Arc::default(),
        authenticated_at: KernelNanos(1),
        deadline: KernelNanos(1),
        permitted: Arc::default(),
        allow_list: AllowListId(0),
    }
}

fn receipt(token: u64) -> Receipt {
    Receipt {
        session: session(token),
        cause: EndCause::Revoked,
        by: "ops".into(),
        requested_at: OffsetDateTime::UNIX_EPOCH,
        enforced_after: Duration::from_micros(84),
        last_packet_at: None,
        last_packet_after_request_nanos: Some(-1_500),
        flows_cut: 3,
    }
}

fn recorder(trail: &AuditTrail) -> Recorder {
    let log = AccessLog::start(Sink::Nowhere).unwrap();
    let keepers = Keepers { log, archive: Archive::none(), audit: trail.clone() };
    Recorder::keeping(Metrics::new().unwrap(), keepers, None)
}

fn actor() -> Actor {
    Actor { name: "ops".into(), address: Some([192, 0, 2, 9].into()) }
}

#[test]
fn a_hundred_thousand_ends_at_once_are_all_kept_and_the_core_does_not_wait_for_them() {
    let scratch = tempfile::tempdir().unwrap();
    let trail = start(scratch.path(), Settings { waiting: 1_000, ..at_once() });
    let _ = kept(&trail);
    let receipts = (1..=100_000).map(receipt).collect();
    let input = Input::End { which: crate::policy::Selector::All, cause: EndCause::Revoked };
    recorder(&trail).changed(
        &actor(),
        &Gateway::new(Default::default()),
        &input,
        &Done { receipts, ..Done::default() },
    );
    let head = kept(&trail);
    assert_eq!((head.seq, trail.condition().waiting, trail.condition().lost), (100_001, 0, 0));
    assert!(checked(scratch.path(), Some(head)).is_whole());
}

#[test]
fn what_the_recorder_is_told_is_told_with_all_that_it_means_and_without_a_secret() {
    let scratch = tempfile::tempdir().unwrap();
    let trail = start(scratch.path(), at_once());
    let (recorder, actor, gateway) = (recorder(&trail), actor(), Gateway::new(Default::default()));
    let (token, secret) = ApiToken::issue("ci".into(), [Scope::AuditRead].into(), OffsetDateTime::UNIX_EPOCH, None);
    recorder.token_changed(&actor, "api_token_created", &token);
    // A password that was typed where the name belongs.
    recorder.login_failed("Canary pass phrase!", [10, 0, 0, 1].into(), "refused");
    recorder.admin_refused("ci", [192, 0, 2, 9].into(), "GET /v1/users".into(), "scope");
    let opened = Some(session(7));
    let login = Input::Tick;
    recorder.changed(&actor, &gateway, &login, &Done { opened, ..Done::default() });
    let app = |name: &str| crate::policy::AppName::new(name).unwrap();
    let regranted = Regranted {
        token: SessionToken(7),
        user: UserName::new("ada").unwrap(),
        gained: [app("crm")].into(),
        lost: [app("wiki")].into(),
    };
    let done = Done { regranted: Arc::new(vec![regranted]), generation: Some(Generation(4)), ..Done::default() };
    recorder.changed(&actor, &gateway, &Input::RemoveApp(app("wiki")), &done);
    let entry = HistoryEntry {
        generation: Generation(5),
        at: OffsetDateTime::UNIX_EPOCH,
        author: "ops".into(),
        message: "NET-417\nand \"more\"".into(),
        action: "bundle_applied".into(),
        object: "bundle".into(),
        confirm_until: None,
        undo: Undo::default(),
    };
    let names = crate::policy::Names { added: vec!["crm".into()], ..Default::default() };
    let difference = crate::policy::Difference { apps: names, ..Default::default() };
    recorder.generation_began(&actor, &entry, difference);
    let head = kept(&trail);
    assert!(checked(scratch.path(), Some(head)).is_whole());
    let text = fs::read_to_string(scratch.path().join(file_name(1))).unwrap();
    for canary in [secrecy::ExposeSecret::expose_secret(&secret), &format!("{:?}", token.secret_hash), "Canary"] {
        assert!(!text.contains(canary), "{canary}");
    }
    let found = entries(scratch.path());
    let expected = [
        ("trail_began", "gateway", "gate"),
        ("admin", "action", "api_token_created"),
        ("login_failed", "user", "(not a name)"),
        ("admin_refused", "operation", "GET /v1/users"),
        ("login", "session", "0000000000000007"),
        ("admin", "object", "wiki"),
        ("regranted", "because", "app_removed"),
        ("generation_began", "message", "NET-417\nand \"more\""),
    ];
    for ((kind, field, value), entry) in expected.into_iter().zip(&found) {
        assert_eq!((&entry["type"], &entry[field]), (&kind.into(), &value.into()), "{entry}");
    }
    assert_eq!(found[1]["scopes"], serde_json::json!(["audit:read"]));
    assert_eq!((&found[6]["lost"][0]["app"], &found[6]["generation"]), (&"wiki".into(), &4.into()));
    assert_eq!(found[7]["apps"], serde_json::json!({ "added": ["crm"] }));
}

#[test]
fn every_type_has_its_label() {
    let kinds: std::collections::BTreeSet<_> = kind::ALL.into_iter().collect();
    assert_eq!(kinds.len(), kind::ALL.len());
    let entry = Entry::DaemonStopped { process: 1 };
    let json = serde_json::to_value(entry::Body { time: OffsetDateTime::UNIX_EPOCH, entry: &entry }).unwrap();
    assert_eq!(json["type"], entry.kind());
}

#[test]
fn entries_are_found_from_the_newest_on_page_by_page_across_files() {
    let (files, head) = small();
    let scratch = laid_out(&files);
    let trail = start(scratch.path(), at_once());
    assert_eq!(kept(&trail), head);
    let mut look = Look { limit: 3, ..Look::default() };
    let mut seqs = Vec::new();
    loop {
        let looked = trail.look(&look).unwrap();
        assert!(looked.lines.len() <= 3);
        seqs.extend(
            looked.lines.iter().map(|line| serde_json::from_str::<Value>(line.get()).unwrap()["seq"].as_u64().unwrap()),
        );
        let Some(next) = looked.next else { break };
        look.before = Some(next.to_string().parse().unwrap());
    }
    assert_eq!(seqs, (1..=head.seq).rev().collect::<Vec<_>>());
    let only = |look: Look| trail.look(&Look { limit: 100, ..look }).unwrap().lines.len();
    assert_eq!(only(Look { kind: Some("admin".into()), ..Look::default() }), 12);
    assert_eq!(only(Look { by: Some("ops".into()), ..Look::default() }), 12);
    assert_eq!(only(Look { by: Some("eve".into()), ..Look::default() }), 0);
    assert_eq!(only(Look { since: Some(OffsetDateTime::now_utc() + Duration::from_secs(60)), ..Look::default() }), 0);
    assert_eq!(only(Look { until: Some(OffsetDateTime::UNIX_EPOCH), ..Look::default() }), 0);
    // Places that nobody was given lead nowhere, or somewhere in the trail, and never beyond its end.
    for place in ["0-0", "1-1", "1-99999999", "99-5", &format!("1-{}", u64::MAX)] {
        let before = Some(place.parse().unwrap());
        assert!(trail.look(&Look { limit: 100, before, ..Look::default() }).unwrap().lines.len() as u64 <= head.seq);
    }
    assert!("x".parse::<Place>().is_err() && "1".parse::<Place>().is_err() && "-1-2".parse::<Place>().is_err());
}

#[test]
fn a_million_entries_are_verified_within_a_minute_also_without_optimization() {
    const MANY: u64 = 1_000_000;
    let scratch = tempfile::tempdir().unwrap();
    let path: PathBuf = scratch.path().join(file_name(1));
    let mut lines = Vec::new();
    let mut prev = Hash::NONE;
    for seq in 1..=MANY {
        let from = lines.len();
        let kind = if seq == 1 { "trail_began" } else { "admin" };
        lines.extend_from_slice(
            format!(r#"{{"seq":{seq},"time":"2026-03-02T08:00:00Z","type":"{kind}","by":"ops","object":"app"}}"#)
                .as_bytes(),
        );
        prev = chain::seal(&mut lines, from, prev);
    }
    fs::write(path, &lines).unwrap();
    let (began, mut told) = (Instant::now(), 0);
    let report = verify(scratch.path(), None, &mut |_, _| told += 1).unwrap();
    let took = began.elapsed();
    assert_eq!((report.entries, report.head, report.is_whole()), (MANY, Some(Head { seq: MANY, hash: prev }), true));
    assert!(told > 100 && took < Duration::from_secs(60), "{told} {took:?}");
    println!("{MANY} entries, {} bytes: {took:?}", lines.len());
}
