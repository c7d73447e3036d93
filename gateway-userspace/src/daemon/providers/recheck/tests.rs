//! Whom it is time to ask about, what an answer means, and who waits for whom.

use super::*;
use crate::api::{Link, ProviderSettings};
use crate::core::start;
use crate::dataplane::MemoryDataPlane;
use crate::identity::Accounts;
use crate::identity::jose::TokenRefusal;
use crate::identity::oidc::tests::liar::{Liar, Lie, Raw};
use crate::identity::oidc::{Proven, Provider, Settings};
use crate::policy::gateway::tests::{NOW, login};
use crate::policy::{Capacities, Gateway, Input, User, UserName};
use crate::record::{AccessLog, Recorder, Sink};
use crate::store::FileStore;
use futures_util::FutureExt as _;
use secrecy::ExposeSecret as _;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Sender, channel};
use tempfile::TempDir;
use tokio::task::yield_now;

const EVERY: Duration = Duration::from_millis(10);

fn name(name: &str) -> ProviderName {
    ProviderName::new(name).unwrap()
}

fn entry(theirs: Settings) -> ProviderEntry {
    let settings = ProviderSettings {
        title: String::new(),
        mfa_acr: Vec::new(),
        claims_groups: true,
        group_names: BTreeMap::new(),
        may_be_new: true,
        link: Link::None,
        recheck: Some(EVERY),
        home: theirs.redirect_uri.clone(),
        scim_token: None,
    };
    ProviderEntry::new(settings, Provider::new(theirs).unwrap())
}

fn kept(provider: &str) -> ProviderSession {
    let (refresh_token, id_token) = (Some("refresh-0".into()), Some("before".into()));
    ProviderSession { provider: name(provider), subject: "u-1".into(), sid: None, refresh_token, id_token }
}

fn state(sessions: impl IntoIterator<Item = (u64, &'static str)>) -> State {
    let sessions = sessions.into_iter().map(|(token, provider)| (SessionToken(token), kept(provider)));
    let accounts = Accounts { provider_sessions: sessions.collect(), ..Accounts::default() };
    State {
        gateway: Gateway::new(Capacities::default()),
        accounts,
        directory: Default::default(),
        history: Default::default(),
    }
}

fn core(state: State, metrics: &Metrics, folder: &TempDir) -> Core {
    let store = Box::new(FileStore::open(&folder.path().join("state.redb")).unwrap());
    let plane = Box::new(MemoryDataPlane::new(Capacities::default()));
    let recorder = Recorder::new(metrics.clone(), AccessLog::start(Sink::Nowhere).unwrap(), None);
    start(state, store, plane, recorder, "boot".into()).unwrap().0
}

/// A core that answers nobody until the sender is dropped, and cannot be asked for more.
fn busy_core(state: State, metrics: &Metrics, folder: &TempDir) -> (Core, Sender<()>) {
    let core = core(state, metrics, folder);
    let (sender, held) = channel::<()>();
    let hold = core.read(move |_| held.recv().ok()).now_or_never();
    assert!(hold.is_none());
    while core.read(|_| ()).now_or_never().is_none() {}
    (core, sender)
}

#[tokio::test]
async fn a_core_that_is_too_busy_to_say_which_sessions_there_are_is_asked_again() {
    let (metrics, folder) = (Metrics::new().unwrap(), tempfile::tempdir().unwrap());
    let (core, _held) = busy_core(state([]), &metrics, &folder);
    let (name, entry) = (name("corp"), entry(Liar::start().settings()));
    let asker = Asker { name: &name, entry: &entry, core: &core, metrics: &metrics };
    let has_ended = asker.keep_asking(EVERY).now_or_never().is_some();
    assert!(!has_ended, "nobody is asked about any more");
}

#[tokio::test]
async fn what_a_provider_has_said_waits_for_a_core_that_is_busy() {
    let (metrics, folder) = (Metrics::new().unwrap(), tempfile::tempdir().unwrap());
    let mut state = state([(7, "corp")]);
    let kim = User::new(UserName::new("kim").unwrap());
    for input in [Input::PutUser(kim), login(7, "kim", 1)] {
        state.gateway.handle(input, NOW).unwrap();
    }
    let (core, held) = busy_core(state, &metrics, &folder);
    let (name, entry) = (name("corp"), entry(Liar::start().settings()));
    let asker = Asker { name: &name, entry: &entry, core: &core, metrics: &metrics };
    let (token, session) = (SessionToken(7), kept("corp"));
    let deed = Deed::GoOn(Box::new(Renewed { token, arrival: entry.arrival(&name, &proven()).ok(), session }));
    let mut done = Box::pin(asker.has_done(token, &deed));
    assert!((&mut done).now_or_never().is_none(), "it is given up");
    drop(held);
    assert!(done.await);
    assert_eq!(core.read(|state| state.gateway.users().len()).await.unwrap(), 2);
}

#[tokio::test]
async fn a_provider_that_is_silent_keeps_no_other_from_being_asked_again_and_again() {
    let (metrics, folder) = (Metrics::new().unwrap(), tempfile::tempdir().unwrap());
    let (silent, honest) = (Liar::start(), Liar::start());
    silent.lie(Some(Lie::Raw("", Raw::Silence)));
    // It says only that the session goes on.
    honest.lie(Some(Lie::Answer(|answer| drop(answer.as_object_mut().unwrap().remove("id_token")))));
    let patient = Settings { timeout: Duration::from_secs(600), ..silent.settings() };
    let providers = [(name("a"), entry(patient)), (name("b"), entry(honest.settings()))].into_iter().collect();
    let core = core(state([(1, "a"), (2, "b")]), &metrics, &folder);
    let asked_again = async {
        while honest.asked("/token") < 2 {
            yield_now().await;
        }
    };
    tokio::select! {
        () = renew(providers, core, metrics.clone()) => panic!("nobody is asked about any more"),
        in_time = tokio::time::timeout(Duration::from_secs(60), asked_again) => in_time.unwrap(),
    }
    assert!(silent.asked("/.well-known/openid-configuration") > 0);
}

#[tokio::test]
async fn once_a_provider_is_away_nobody_else_is_asked_about_and_who_is_on_the_way_arrives() {
    let begun = Arc::new(AtomicUsize::new(0));
    let ask = |token: SessionToken| {
        let begun = Arc::clone(&begun);
        async move {
            begun.fetch_add(1, Ordering::Relaxed);
            if token == SessionToken(20) {
                return Outcome::Away;
            }
            for _ in 0..token.0 {
                yield_now().await;
            }
            Outcome::Known
        }
    };
    let answers = pass((1..=1_000).map(SessionToken).collect(), ask).await;
    assert_eq!(answers.len(), begun.load(Ordering::Relaxed), "one was given up on its way");
    assert!((20..20 + AT_ONCE).contains(&answers.len()), "{}", answers.len());
    assert_eq!(answers.iter().filter(|(_, outcome)| *outcome == Outcome::Away).count(), 1);
}

/// What is done about an answer.
#[derive(PartialEq, Debug)]
enum Does {
    /// The session ends.
    End,
    /// It goes on, with these tokens, and with what its user is called if that is known anew.
    Keep(String, String, Option<String>),
}

fn done(entry: &ProviderEntry, answer: Result<Refreshed, RefreshError>) -> (Outcome, &'static str, Option<Does>) {
    let label = label(&answer);
    let (outcome, deed) = meaning(entry, SessionToken(7), kept("corp"), answer);
    let deed = deed.map(|deed| match deed.request(SessionToken(7)) {
        Request::Policy(Input::End { which: Selector::Sessions(tokens), cause: EndCause::ProviderRefused }) => {
            assert_eq!(tokens, [SessionToken(7)].into());
            Does::End
        }
        Request::Renewed(Renewed { token: SessionToken(7), arrival, session }) => {
            let text = |secret: Option<secrecy::SecretString>| secret.unwrap().expose_secret().to_owned();
            let called = arrival.map(|arrival| arrival.name.to_string());
            Does::Keep(text(session.refresh_token), text(session.id_token), called)
        }
        other => panic!("{other:?}"),
    });
    (outcome, label, deed)
}

fn proven() -> Proven {
    Proven {
        subject: "u-1".into(),
        sid: None,
        username: "ada".into(),
        display_name: "Ada".into(),
        groups: Vec::new(),
        attributes: Default::default(),
        link: None,
        acr: None,
        amr: BTreeSet::new(),
        mfa: false,
        auth_time: None,
        expires_at: OffsetDateTime::UNIX_EPOCH,
        refresh_token: None,
        id_token: "after".into(),
    }
}

#[tokio::test]
async fn what_a_provider_has_given_to_ask_with_is_kept_and_only_what_is_about_the_person_ends_a_session() {
    let entry = entry(Liar::start().settings());
    let answer = |token: Option<&str>, proven| Ok(Refreshed { refresh_token: token.map(Into::into), proven });
    let kept = |token: &str, id: &str, called: Option<&str>| {
        Some(Does::Keep(token.to_owned(), id.to_owned(), called.map(str::to_owned)))
    };
    let (known, unclear, away) = (Outcome::Known, Outcome::Unclear, Outcome::Away);
    let (new, wrong) = (Some("refresh-1"), Refusal::Token(TokenRefusal::AudienceWrong));
    let (down, no) = (Refusal::ProviderUnreachable, Refusal::RequestRefused);
    for (answer, outcome, label, deed) in [
        (answer(new, Ok(Some(proven()))), known, "goes_on", kept("refresh-1", "after", Some("ada"))),
        (answer(None, Ok(Some(proven()))), known, "goes_on", kept("refresh-0", "after", Some("ada"))),
        (answer(None, Ok(None)), known, "goes_on", kept("refresh-0", "before", None)),
        (answer(new, Err(Refusal::SubjectChanged)), known, "subject_changed", Some(Does::End)),
        (answer(new, Err(Refusal::ClaimRequired)), known, "claim_required", Some(Does::End)),
        (answer(None, Err(Refusal::ClaimRequired)), known, "claim_required", Some(Does::End)),
        (answer(new, Err(wrong)), unclear, "audience_wrong", kept("refresh-1", "before", None)),
        (answer(new, Err(down)), away, "provider_unreachable", kept("refresh-1", "before", None)),
        (answer(None, Err(wrong)), unclear, "audience_wrong", None),
        (Err(RefreshError::Ended), known, "ended", Some(Does::End)),
        (Err(RefreshError::Unreachable(down)), away, "provider_unreachable", None),
        (Err(RefreshError::Refused(no)), unclear, "request_refused", None),
    ] {
        assert_eq!(done(&entry, answer), (outcome, label, deed));
    }
}

#[test]
fn a_look_goes_through_a_part_of_the_sessions_and_all_are_found_by_and_by() {
    let count = 2 * PART as u64 + 1;
    let state = state((1..=count).map(|token| (token, if token % 2 == 0 { "a" } else { "b" })));
    let (mut due, now) = (Due::default(), Instant::now());
    for known in [PART, 2 * PART, 2 * PART] {
        due.take_up(part(&state, &name("a"), due.from), now);
        assert_eq!(due.at.len(), known / 2);
    }
    assert!(due.at.keys().all(|token| token.0 % 2 == 0));
    assert_eq!(due.from, SessionToken(0), "the next look begins anew");
}

#[test]
fn a_session_is_asked_about_when_it_is_time_and_forgotten_when_it_has_ended() {
    let (mut due, start) = (Due::default(), Instant::now());
    let (minute, second) = (Duration::from_secs(60), Duration::from_secs(1));
    let take_up = |due: &mut Due, tokens: &[u64], first| {
        due.take_up(part(&state(tokens.iter().map(|token| (*token, "a"))), &name("a"), due.from), first);
    };
    let by = |due: &Due, now| due.by(now).iter().map(|token| token.0).collect::<Vec<_>>();
    take_up(&mut due, &[1, 2, 3], start + minute);
    take_up(&mut due, &[1, 2, 3], start + minute * 9);
    assert!(by(&due, start + minute - second).is_empty());
    assert_eq!(by(&due, start + minute), [1, 2, 3]);
    let now = start + minute;
    due.again(vec![(SessionToken(1), Outcome::Away), (SessionToken(2), Outcome::Known)], now, minute);
    assert_eq!(by(&due, now), [3], "nobody was asked about it yet");
    assert_eq!(by(&due, now + RETRY), [3, 1], "who has waited longest comes first");
    assert_eq!(by(&due, now + minute), [3, 1, 2]);
    take_up(&mut due, &[1, 9], now + minute);
    assert_eq!(by(&due, now + minute), [1, 9]);
}
