use super::*;
use crate::core::Receipt;
use crate::policy::gateway::tests::source;
use crate::policy::{
    Capacities, EndCause, Factor, GroupName, HistoryEntry, Input, SessionToken, Source, Undo, User, UserName,
};
use crate::record::{AccessLog, Sink};
use prometheus::TextEncoder;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

const NOW: KernelNanos = KernelNanos(1_000);
const CROWD: u32 = 100_000;
/// What the daemon counts itself may have as many series as this, whoever uses it.
const MOST: usize = 200;

/// A gateway with as many people, each with a session.
fn crowded(people: u32) -> Gateway {
    let mut gateway = Gateway::new(Capacities { sessions: CROWD as usize, ..Capacities::default() });
    gateway.handle(Input::PutGroup(GroupName::new("staff").unwrap()), NOW).unwrap();
    for number in 0..people {
        let name = UserName::new(&format!("user{number}")).unwrap();
        let groups = [GroupName::new("staff").unwrap()].into();
        gateway.handle(Input::PutUser(User { groups, ..User::new(name.clone()) }), NOW).unwrap();
        let source = Source { address: Ipv4Addr::from(0x0A00_0000 | number).into(), ..source(0) };
        let (token, proof) = (SessionToken(u64::from(number) + 1), [Factor::Password].into());
        let deadline = NOW.after(3_600_000_000_000);
        gateway.handle(Input::Login { token, user: name, source, proof, deadline }, NOW).unwrap();
    }
    gateway
}

/// What a scrape says when this many people have logged in and half of them have been thrown out.
fn scrape(people: u32) -> String {
    let metrics = Metrics::new().unwrap();
    let recorder = Recorder::new(metrics.clone(), AccessLog::start(Sink::Nowhere).unwrap(), None);
    let gateway = crowded(people);
    metrics.watch(&recorder, Guarding::default()).unwrap();
    metrics.watch_health(&Health::default()).unwrap();
    metrics.state(&gateway);
    for (number, session) in gateway.sessions().take(people as usize / 2).enumerate() {
        metrics.logged_in("permitted");
        recorder.login_failed(session.user.as_str(), session.source.address, "refused");
        metrics.revoked(&Receipt {
            session: session.clone(),
            cause: EndCause::Revoked,
            by: session.user.to_string(),
            requested_at: OffsetDateTime::UNIX_EPOCH,
            enforced_after: Duration::from_micros(number as u64),
            last_packet_at: None,
            last_packet_after_request_nanos: Some(1_000),
            flows_cut: 1,
        });
    }
    TextEncoder::new().encode_to_string(&metrics.registry().gather()).unwrap()
}

/// The names and labels of all series.
fn series(text: &str) -> BTreeSet<&str> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect()
}

#[test]
fn a_hundred_thousand_people_make_no_series_that_ten_do_not() {
    let (few, many) = (scrape(10), scrape(CROWD));
    assert!(many.contains(&format!("portcullis_sessions {CROWD}\n")), "{many}");
    assert!(many.contains("portcullis_revocation_seconds_count 50000\n"), "{many}");
    assert!(!many.contains("user"), "{many}");
    assert_eq!(series(&few), series(&many));
    assert!(series(&many).len() <= MOST, "{} series", series(&many).len());
    // A larger number has more digits, and that is all: a scrape is written in the same memory.
    assert!(many.len() < few.len() + series(&many).len() * 10, "{} bytes, and {} with few", many.len(), few.len());
}

#[test]
fn a_change_that_nobody_has_confirmed_shows_and_so_does_when_it_was() {
    let metrics = Metrics::new().unwrap();
    let told = |metrics: &Metrics| (metrics.policy_changed.get(), metrics.unconfirmed.get());
    metrics.history(&History::default());
    assert_eq!(told(&metrics), (0, 0));
    let at = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(60);
    let entry = |confirm_until| HistoryEntry {
        generation: Gateway::new(Capacities::default()).generation(),
        at,
        author: String::new(),
        message: String::new(),
        action: String::new(),
        object: String::new(),
        confirm_until,
        undo: Undo::default(),
    };
    metrics.history(&History::of(vec![entry(Some(at + Duration::from_secs(300)))], |_| NOW));
    assert_eq!(told(&metrics), (60, 1));
    metrics.history(&History::of(vec![entry(None)], |_| NOW));
    assert_eq!(told(&metrics), (60, 0));
}
