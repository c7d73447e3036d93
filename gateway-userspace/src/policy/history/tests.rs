use super::*;
use crate::policy::gateway::tests::{NOW, app, beginning, bundles, policy};
use crate::policy::{Capacities, Input, PolicySet};
use proptest::prelude::*;

fn gateway() -> Gateway {
    let mut gateway = Gateway::new(Capacities::default());
    beginning().into_iter().for_each(|input| drop(gateway.handle(input, NOW).unwrap()));
    gateway
}

/// Takes an input, and notes what undoes it.
fn take(gateway: &mut Gateway, history: &mut History, input: &Input) -> bool {
    let Ok(drafted) = gateway.draft(input, NOW) else { return false };
    let Some(generation) = drafted.generation() else { return false };
    let undo = Undo::of(gateway, drafted.facts());
    gateway.adopt(drafted);
    if !undo.is_empty() {
        history.remember(entry(generation.0, undo));
    }
    true
}

fn entry(generation: u64, undo: Undo) -> HistoryEntry {
    HistoryEntry {
        generation: Generation(generation),
        at: OffsetDateTime::UNIX_EPOCH,
        author: "ada".into(),
        message: String::new(),
        action: "bundle_applied".into(),
        object: "bundle".into(),
        confirm_until: None,
        undo,
    }
}

#[test]
fn an_app_that_was_switched_off_stays_off_whatever_is_undone() {
    let (mut gateway, mut history) = (gateway(), History::default());
    let before = gateway.generation();
    take(&mut gateway, &mut history, &Input::PutApp(app("wiki", "10.9.0.0/16")));
    let off = App { enabled: false, ..app("wiki", "10.9.0.0/16") };
    take(&mut gateway, &mut history, &Input::PutApp(off));
    assert_eq!(history.entries().len(), 1, "the switch is nothing to be undone");
    let back = history.back_to(before, &gateway.bundle()).unwrap();
    let wiki = &back.apps[&AppName::new("wiki").unwrap()];
    assert_eq!((wiki.enabled, wiki.prefixes.first().unwrap().to_string()), (false, "10.2.0.0/16".into()));
}

#[test]
fn an_app_that_was_switched_on_is_off_again_when_that_is_undone() {
    let (mut gateway, mut history) = (gateway(), History::default());
    let off = App { enabled: false, ..app("wiki", "10.2.0.0/16") };
    take(&mut gateway, &mut history, &Input::PutApp(off.clone()));
    let before = gateway.generation();
    take(&mut gateway, &mut history, &Input::PutApp(App { enabled: true, ..off.clone() }));
    assert_eq!(history.entries().len(), 1);
    assert_eq!(history.back_to(before, &gateway.bundle()).unwrap().apps[&off.name], off);
}

#[test]
fn what_nobody_remembers_is_not_made_up() {
    let (mut gateway, mut history) = (gateway(), History::default());
    assert_eq!(history.back_to(gateway.generation(), &gateway.bundle()), None);
    let known = gateway.generation();
    take(&mut gateway, &mut history, &policy("permit (principal, action, resource);"));
    assert!(history.back_to(known, &gateway.bundle()).is_some());
    assert_eq!(history.back_to(Generation(known.0 - 1), &gateway.bundle()), None);
}

#[test]
fn the_oldest_generations_are_forgotten() {
    let mut history = History::default();
    for generation in 1..=250 {
        let large = (generation % 40 == 0).then(|| ("p.cedar".to_owned(), Some("x".repeat(MOST_BYTES))));
        history.remember(entry(generation, Undo { files: large.into_iter().collect(), ..Undo::default() }));
        assert!(history.entries().len() <= MOST);
    }
    let kept: Vec<u64> = history.entries().map(|entry| entry.generation.0).collect();
    assert_eq!((kept.first(), kept.last(), kept.len()), (Some(&250), Some(&201), 50));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was put in force one after the other, each of the generations is found again.
    #[test]
    fn every_generation_is_found_again(changes in prop::collection::vec(bundles(), 1..8)) {
        let (mut gateway, mut history) = (gateway(), History::default());
        let mut were = vec![(gateway.generation(), gateway.bundle())];
        for bundle in changes {
            let input = Input::Apply { bundle: Box::new(bundle), if_match: None };
            if take(&mut gateway, &mut history, &input) {
                were.push((gateway.generation(), gateway.bundle()));
            }
        }
        for (generation, bundle) in were.iter().filter(|_| history.entries().len() != 0) {
            let found = history.back_to(*generation, &gateway.bundle()).unwrap();
            prop_assert_eq!(&found.apps, &bundle.apps);
            prop_assert_eq!(&found.settings, &bundle.settings);
            let files = found.parsed().unwrap().policy;
            prop_assert!(files == bundle.policy || bundle.policy == PolicySet::empty());
        }
    }
}
