use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::classify::classification::{Classification, Scores};
use crate::text::language::Language;

fn answer(label: usize, confidence: f32) -> Classification {
    let rest = (1.0 - confidence) / 3.0;
    let scores: [f32; 4] = std::array::from_fn(|i| if i == label { confidence } else { rest });
    Classification::from_scores(Scores::new(&scores), Language::English)
}

fn owner(model: &str) -> Owner {
    Owner { database: 5, role: Role::Active, since: 7, model: model.into(), identity: "aa".into() }
}

/// Blocks that live as long as the process, as those in shared memory do; what keeps them is found by the leak checker.
fn arms(count: usize) -> &'static [Arm] {
    static KEPT: Mutex<Vec<&[Arm]>> = Mutex::new(Vec::new());
    let arms: &'static [Arm] = Box::leak((0..count).map(|_| Arm::default()).collect());
    KEPT.lock().unwrap().push(arms);
    arms
}

#[test]
fn what_processes_count_comes_together() {
    let arms = arms(2);
    for part in 0..3 {
        let claim = Claim::of(arms, &owner("m 1"), 100).unwrap();
        let mut tally = Tally::default();
        assert!(tally.is_empty());
        for _ in 0..10 {
            tally.count(&answer(part, 0.9), part == 0);
            tally.compare(0, part);
        }
        claim.block().unwrap().add(&tally);
        claim.block().unwrap().record(10, Duration::from_micros(50));
    }
    let block = arms.iter().find_map(|arm| Some((arm.tag().owner()?, arm.counts()))).unwrap();
    let (found, counts) = block;
    assert_eq!((found.model.as_str(), found.database, found.role, found.since), ("m 1", 5, Role::Active, 7));
    assert_eq!(&counts.answers.classes[..4], [10, 10, 10, 0]);
    assert_eq!(
        (counts.answers.count(), counts.runs.count(), counts.answers.bins[8] + counts.answers.bins[9]),
        (30, 10, 30)
    );
    assert!((counts.answers.confidences().sum - 27.0).abs() < 1e-3);
    assert!((counts.answers.confidences().sum_of_squares - 24.3).abs() < 1e-3);
    assert_eq!(counts.agreement[..4], [10, 10, 10, 0]);
    assert_eq!((counts.latency.count(), counts.latency.sum()), (30, 150_000));
}

#[test]
fn the_block_that_was_used_longest_ago_is_taken() {
    let arms = arms(2);
    let one = Claim::of(arms, &owner("one 1"), 100).unwrap();
    let two = Claim::of(arms, &owner("two 1"), 200).unwrap();
    let mut tally = Tally::default();
    tally.count(&answer(0, 0.5), true);
    two.block().unwrap().add(&tally);
    assert!(one.used(300).is_some());
    let three = Claim::of(arms, &owner("three 1"), 400).unwrap();
    assert!(one.block().is_some() && two.block().is_none());
    assert_eq!(three.block().unwrap().counts().answers.count(), 0);
    assert!(Claim::of(&[] as &'static [Arm], &owner("one 1"), 0).is_none());
}

#[test]
fn a_long_name_is_cut_between_two_characters() {
    let arms = arms(1);
    Claim::of(arms, &owner(&format!("a{}", "あ".repeat(60))), 1).unwrap();
    assert_eq!(arms[0].tag().owner().unwrap().model, format!("a{}", "あ".repeat(42)));
}

#[test]
fn threads_agree_on_a_block() {
    for round in 0..500 {
        let arms = arms(8);
        let start = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let start = &start;
                scope.spawn(move || {
                    let mut tally = Tally::default();
                    tally.count(&answer(1, 0.7), false);
                    start.wait();
                    // Two owners, so that the first free block is not the same for all.
                    let owner = owner(if (thread + round) % 2 == 0 { "m 1" } else { "m 2" });
                    let claim = std::iter::repeat_with(|| Claim::of(arms, &owner, 1)).flatten().next();
                    claim.unwrap().block().unwrap().add(&tally);
                });
            }
        });
        let counts: Vec<u64> =
            arms.iter().filter(|arm| arm.tag().owner().is_some()).map(|arm| arm.counts().answers.count()).collect();
        assert_eq!(counts, [2, 2], "round {round}");
    }
}

#[test]
fn windows_follow_each_other() {
    let health = Health::default();
    let add = |label: usize, count: u64| {
        for _ in 0..count {
            let mut one = Answers::default();
            one.add(&answer(label, 0.9));
            health.add(&one, 1000);
        }
        let (first, recent) = health.windows();
        (first.map(|first| first.classes[..2].to_vec()), recent.classes[..2].to_vec())
    };
    assert_eq!(add(0, 999), (None, vec![999, 0]));
    assert_eq!(add(0, 1), (Some(vec![1000, 0]), vec![0, 0]));
    assert_eq!(add(1, 600), (Some(vec![1000, 0]), vec![0, 600]));
    assert_eq!(add(1, 400), (Some(vec![1000, 0]), vec![0, 1000]));
    assert_eq!(add(0, 1000), (Some(vec![1000, 0]), vec![1000, 0]));
    assert_eq!(add(1, 300), (Some(vec![1000, 0]), vec![1000, 300]));
    health.reset_windows();
    assert_eq!(health.windows(), (None, Answers::default()));
    health.fail(Reason::Inference, 44);
    assert_eq!(health.failures(), (1, 44, Some(Reason::Inference)));
}
