//! What the corpus as a whole has to have.

use super::read::{Turn, corpus};
use gateway_common::{DropReason, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// Reasons that no frame causes by itself: a daemon that is gone, and a table of flows that refuses an entry, which it does
/// not in practice.
const NOT_BY_A_FRAME: [DropReason; 2] = [DropReason::LeaseExpired, DropReason::FlowTableFull];

#[test]
fn there_are_at_least_150_attacks_and_each_family_has_an_honest_neighbour() {
    let corpus = corpus();
    let mut families: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for case in &corpus {
        families.entry(&case.family).or_default()[usize::from(case.is_attack)] += 1;
    }
    println!("{families:#?}");
    let attacks: usize = families.values().map(|[_, attacks]| attacks).sum();
    assert!(attacks >= 150, "only {attacks} attacks");
    let lonely: Vec<_> = families.iter().filter(|(_, [honest, attacks])| *honest == 0 || *attacks == 0).collect();
    assert!(lonely.is_empty(), "without a neighbour: {lonely:?}");
}

#[test]
fn each_reason_that_a_frame_can_cause_is_reached() {
    let corpus = corpus();
    let turns = corpus.iter().flat_map(|case| &case.turns);
    let reached: BTreeSet<DropReason> = turns
        .filter_map(|turn| match turn {
            Turn::Packet(sent) => Some(sent.expected),
            Turn::Act(_) => None,
        })
        .filter_map(|verdict| match verdict {
            Verdict::Drop(reason) => Some(reason),
            Verdict::Forward | Verdict::ToHost => None,
        })
        .collect();
    let missing: Vec<_> =
        DropReason::ALL.iter().filter(|reason| !reached.contains(reason) && !NOT_BY_A_FRAME.contains(reason)).collect();
    assert!(missing.is_empty(), "no packet is dropped for {missing:?}");
}

#[test]
fn each_attack_is_dropped_at_some_point_and_each_honest_case_passes_at_some_point() {
    for case in corpus() {
        let mut verdicts = case.turns.iter().filter_map(|turn| match turn {
            Turn::Packet(sent) => Some(sent.expected),
            Turn::Act(_) => None,
        });
        let is_as_it_says = verdicts.any(|verdict| matches!(verdict, Verdict::Drop(_)) == case.is_attack);
        assert!(is_as_it_says, "{}: {}", case.place, case.name);
    }
}

#[test]
fn cases_of_a_family_have_different_names_and_each_has_a_packet_that_can_be_sent() {
    let mut names = BTreeSet::new();
    for case in corpus() {
        assert!(names.insert((case.family.clone(), case.name.clone())), "{}: {} again", case.place, case.name);
        let mut packets = 0;
        for turn in &case.turns {
            if let Turn::Packet(sent) = turn {
                packets += 1;
                assert!((15..=1_514).contains(&sent.frame.len()), "{}: {} bytes", case.place, sent.frame.len());
            }
        }
        assert!(packets > 0, "{}: {} has no packet", case.place, case.name);
    }
}
