//! The law and the oracle agree over more than a million frames, and so do their memories afterwards; and the programs in
//! the kernel count what the oracle says.

use crate::oracle::kernel::{KernelLife, Outcome};
use crate::oracle::life::{Life, Tally, lacks};
use gateway_common::Verdict;

const WORLDS: u64 = 220;
const FRAMES_IN_A_WORLD: usize = 10_000;
const FRAMES_IN_THE_KERNEL: usize = 20_000;
const FRAMES_IN_A_KERNEL_WORLD: usize = 2_500;

fn live_through(seed: u64) -> Tally {
    let mut life = Life::new(seed);
    for _ in 0..FRAMES_IN_A_WORLD {
        life.step().unwrap();
    }
    life.compare().unwrap();
    life.tally
}

fn seed() -> u64 {
    let seed: u64 = std::env::var("SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("seed {seed}");
    seed
}

#[test]
fn law_and_oracle_agree_on_a_million_frames_and_on_what_they_leave_behind() {
    let seed = seed();
    let started = std::time::Instant::now();
    let half = |odd: u64| {
        let mut all = Tally::new();
        for world in (0..WORLDS).filter(|world| world % 2 == odd) {
            live_through(seed.wrapping_add(world)).into_iter().for_each(|(code, n)| *all.entry(code).or_default() += n);
        }
        all
    };
    let [mut tally, other] = std::thread::scope(|scope| {
        let halves = [scope.spawn(|| half(0)), scope.spawn(|| half(1))];
        halves.map(|half| half.join().unwrap())
    });
    other.into_iter().for_each(|(code, n)| *tally.entry(code).or_default() += n);
    println!("{} frames in {:?}: {tally:?}", WORLDS * FRAMES_IN_A_WORLD as u64, started.elapsed());
    assert_eq!(lacks(&tally), Vec::<String>::new());
}

#[test]
fn kernel_and_oracle_agree_on_every_counter_and_flow_while_tables_change_and_time_runs() {
    let mut seed = seed();
    let mut verdicts = Vec::new();
    while verdicts.len() < FRAMES_IN_THE_KERNEL {
        let mut life = KernelLife::new(seed).unwrap();
        seed = seed.wrapping_add(1);
        let until = verdicts.len() + FRAMES_IN_A_KERNEL_WORLD;
        let mut is_late = false;
        while verdicts.len() < until && !is_late {
            match life.step().unwrap() {
                Outcome::Judged(verdict) => verdicts.push(verdict),
                Outcome::Skipped => {}
                Outcome::Late => is_late = true,
            }
        }
        if !is_late {
            life.compare().unwrap();
        }
    }
    let mut tally = Tally::new();
    verdicts.iter().for_each(|verdict| *tally.entry(verdict.code()).or_default() += 1);
    println!("{tally:?}");
    let forwarded = verdicts.iter().filter(|verdict| **verdict == Verdict::Forward).count();
    assert!(forwarded > FRAMES_IN_THE_KERNEL / 20, "only {forwarded} were forwarded");
}
