//! The sampler against exact reuse distances.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3_600_000_000;

fn key(n: u64) -> Key {
    Key::new(&n.to_le_bytes(), 7)
}

fn reference(n: u64, now: i64, ttl: i64, reach: u64) -> Reference {
    Reference { key: key(n), now, ttl, reach }
}

/// A stream of numbers, by the generator of Knuth's MMIX.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// A key by Zipf's law with the exponent 1, by rejection: the share of n is 1 / n.
    fn zipf(&mut self, keys: u64) -> u64 {
        loop {
            let n = ((keys as f64).ln() * self.below(1 << 30) as f64 / f64::from(1 << 30)).exp() as u64;
            if self.below(1 << 20) as f64 / f64::from(1 << 20) < (n as f64 * (1.0 + 1.0 / n as f64).ln()).recip() * 0.69
            {
                return n;
            }
        }
    }
}

/// Sums of numbers from the first on, in a tree (P. Fenwick, 1994).
struct Sums(Vec<i64>);

impl Sums {
    fn add(&mut self, place: usize, number: i64) {
        let mut at = place + 1;
        while at < self.0.len() {
            self.0[at] += number;
            at += at & at.wrapping_neg();
        }
    }

    fn below(&self, place: usize) -> i64 {
        let (mut at, mut sum) = (place, 0);
        while at > 0 {
            sum += self.0[at];
            at -= at & at.wrapping_neg();
        }
        sum
    }
}

/// The distance of each look-up; none where no cache hits.
fn exact(trace: &[(u64, i64)], ttl: i64) -> Vec<Option<u64>> {
    let mut asked: HashMap<u64, usize> = HashMap::new();
    let mut made: HashMap<u64, i64> = HashMap::new();
    // 1 where a key was asked for last.
    let mut latest = Sums(vec![0; trace.len() + 1]);
    let distance = |(at, (key, now)): (usize, &(u64, i64))| {
        let before = asked.insert(*key, at);
        let between = before.map(|before| (latest.below(at) - latest.below(before + 1)) as u64);
        before.into_iter().for_each(|before| latest.add(before, -1));
        latest.add(at, 1);
        let fresh = between.filter(|_| ttl == 0 || now - made[key] <= ttl);
        if fresh.is_none() {
            made.insert(*key, *now);
        }
        fresh
    };
    trace.iter().enumerate().map(distance).collect()
}

fn exact_ratio(distances: &[Option<u64>], entries: u64) -> f64 {
    distances.iter().filter(|distance| distance.is_some_and(|far| far < entries)).count() as f64
        / distances.len() as f64
}

fn sampled(trace: &[(u64, i64)], ttl: i64, halvings: u64, reach: u64) -> Box<ReuseSampler> {
    let sampler = Box::new(ReuseSampler::new(halvings));
    trace.iter().for_each(|(n, now)| sampler.look_up(&reference(*n, *now, ttl, reach)));
    sampler
}

fn worst(trace: &[(u64, i64)], sampler: &ReuseSampler, ttl: i64) -> f64 {
    let (curve, distances) = (sampler.curve(trace.len() as u64).unwrap(), exact(trace, ttl));
    let sizes = (8..16).flat_map(|power| [1 << power, 3 << (power - 1)]);
    sizes.map(|size| (curve.hit_ratio(size) - exact_ratio(&distances, size)).abs()).fold(0.0, f64::max)
}

#[test]
fn buckets_follow_each_other() {
    for place in 0..BUCKETS {
        assert!(first(place) < first(place + 1));
        assert_eq!(bucket(first(place)), place);
        assert_eq!(bucket(first(place + 1) - 1), place);
    }
    assert_eq!(first(BUCKETS), 1 << 32);
    assert_eq!(bucket(u64::MAX), BUCKETS - 1);
}

#[test]
fn a_loop_over_more_keys_than_there_is_room_for_never_hits() {
    let trace: Vec<(u64, i64)> = (0..60_000).map(|at| (at % 12_000, 0)).collect();
    let curve = sampled(&trace, 0, 4, 100_000).curve(60_000).unwrap();
    assert!(curve.hit_ratio(9_000) < 0.01, "{}", curve.hit_ratio(9_000));
    assert!((curve.hit_ratio(15_000) - 0.8).abs() < 0.01, "{}", curve.hit_ratio(15_000));
}

#[test]
fn a_sample_of_a_zipf_load_has_its_curve() {
    for (seed, halvings, keys) in [(1, 2, 20_000), (2, 3, 50_000), (3, 4, 50_000), (4, 0, 50_000)] {
        let mut draw = Draw(seed);
        let trace: Vec<(u64, i64)> = (0..100_000).map(|_| (draw.zipf(keys), 0)).collect();
        let sampler = sampled(&trace, 0, halvings, 1 << 40);
        let error = worst(&trace, &sampler, 0);
        assert!(error < 0.05, "1 in 2^{halvings} of {keys} keys: {error}");
    }
}

#[test]
fn a_scan_between_loops_pushes_them_apart() {
    // Two thousand hot keys, each of them asked for in turns with twice as many that never come again.
    let mut cold = 1_000_000;
    let mut trace = Vec::new();
    for at in 0..30_000 {
        trace.push((at % 2_000, 0));
        trace.extend([(cold, 0), (cold + 1, 0)]);
        cold += 2;
    }
    let curve = sampled(&trace, 0, 3, 1 << 20).curve(trace.len() as u64).unwrap();
    assert!(curve.hit_ratio(4_000) < 0.01, "{}", curve.hit_ratio(4_000));
    assert!((curve.hit_ratio(8_000) - 28.0 / 90.0).abs() < 0.04, "{}", curve.hit_ratio(8_000));
}

#[test]
fn keys_out_of_reach_go_and_the_share_stays() {
    // New keys for ever: without a reach, the share would halve and halve.
    let trace: Vec<(u64, i64)> = (0..400_000).map(|at| (if at % 2 == 0 { at % 1_000 } else { at }, 0)).collect();
    let sampler = sampled(&trace, 0, 2, 8_000);
    assert_eq!(sampler.halvings.load(Relaxed), 2);
    let ratio = sampler.curve(400_000).unwrap().hit_ratio(4_000);
    assert!((ratio - 0.5).abs() < 0.02, "{ratio}");
    assert!(sampled(&trace, 0, 2, 1 << 40).halvings.load(Relaxed) > 4);
}

#[test]
fn an_answer_past_its_time_is_no_hit_of_any_cache() {
    let trace: Vec<(u64, i64)> = (0..40_000).map(|at| (at as u64 % 1_000, at * 3_600_000)).collect();
    // A round takes an hour: of each key every second look-up finds its answer too old, or just in time.
    let curve = |ttl| sampled(&trace, ttl, 0, 1 << 20).curve(40_000).unwrap().hit_ratio(100_000);
    assert!(curve(HOUR - 1) < 0.001);
    assert!((curve(HOUR) - 0.5).abs() < 0.03, "{}", curve(HOUR));
    assert!((curve(0) - 39.0 / 40.0).abs() < 0.001);
}

#[test]
fn too_few_look_ups_say_nothing() {
    assert_eq!(ReuseSampler::new(0).curve(1 << 20), None);
    let few_keys: Vec<(u64, i64)> = (0..10_000).map(|at| (at % 50, 0)).collect();
    assert_eq!(sampled(&few_keys, 0, 0, 1 << 20).curve(10_000), None);
    let few: Vec<(u64, i64)> = (0..900).map(|at| (at, 0)).collect();
    let sampler = sampled(&few, 0, 0, 1 << 20);
    assert_eq!(sampler.curve(900), None);
    (0..200).for_each(|n| sampler.look_up(&reference(n, 0, 0, 1 << 20)));
    assert!(sampler.curve(1_100).is_some());
    sampler.reset(0);
    assert_eq!(sampler.curve(0), None);
    assert_eq!((sampler.len(), sampler.claimed.load(Relaxed)), (0, 0));
}

#[test]
fn who_finds_it_claimed_goes_on() {
    let sampler = ReuseSampler::new(0);
    sampler.claimed.store(1, Relaxed);
    sampler.look_up(&reference(1, 0, 0, 1));
    assert_eq!((sampler.lookups.load(Relaxed), sampler.len()), (0, 0));
}

#[test]
fn damaged_memory_is_no_panic() {
    let sampler = ReuseSampler::new(u64::MAX);
    let words = [&sampler.lookups, &sampler.len, &sampler.cold];
    words.into_iter().chain(&sampler.distances).for_each(|word| word.store(u64::MAX / 300, Relaxed));
    (0..100_000).for_each(|n| sampler.look_up(&reference(n, i64::MIN, 1, u64::MAX)));
    let _ = sampler.curve(0).map(|curve| curve.hit_ratio(u64::MAX));
}

#[test]
fn processes_that_meet_lose_look_ups_and_nothing_else() {
    let sampler = ReuseSampler::new(0);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let sampler = &sampler;
            scope.spawn(move || {
                let mut draw = Draw(seed);
                (0..20_000).for_each(|_| sampler.look_up(&reference(draw.zipf(1_500), 0, 0, 1 << 20)));
            });
        }
    });
    let counted = sampler.distances.iter().map(|count| count.load(Relaxed)).sum::<u64>() + sampler.cold.load(Relaxed);
    assert_eq!(counted, sampler.lookups.load(Relaxed));
    assert!(sampler.len() <= 1_500 && counted <= 80_000);
    let names: std::collections::HashSet<u64> =
        sampler.keys[..sampler.len()].iter().map(|key| key.load(Relaxed)).collect();
    assert_eq!(names.len(), sampler.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// With every key sampled and room for all of them, the counts are exact, bucket by bucket.
    #[test]
    fn without_sampling_it_is_exact(
        keys in 1u64..1_500, len in 1usize..3_000, seed: u64, ttl in prop::sample::select(vec![0, 50, 1_000]),
    ) {
        let mut draw = Draw(seed);
        let trace: Vec<(u64, i64)> = (0..len).map(|at| (draw.below(keys).min(draw.below(keys)), at as i64)).collect();
        let sampler = sampled(&trace, ttl, 0, 1 << 40);
        let mut expected = vec![0; BUCKETS];
        let distances = exact(&trace, ttl);
        distances.iter().flatten().for_each(|far| expected[bucket(*far)] += 1);
        let found: Vec<u64> = sampler.distances.iter().map(|count| count.load(Relaxed)).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(sampler.cold.load(Relaxed), distances.iter().filter(|far| far.is_none()).count() as u64);
        if let Some(curve) = sampler.curve(len as u64) {
            for place in 0..60 {
                let size = first(place);
                prop_assert!((curve.hit_ratio(size) - exact_ratio(&distances, size)).abs() < 1e-12);
            }
        }
    }

    /// More room never hits less, and no curve leaves 0 to 1, whatever is counted beside it.
    #[test]
    fn a_curve_rises(keys in 100u64..9_000, seed: u64, halvings in 0u64..3, all in 0u64..20_000) {
        let mut draw = Draw(seed);
        let trace: Vec<(u64, i64)> = (0..8_000).map(|_| (draw.below(keys), 0)).collect();
        if let Some(curve) = sampled(&trace, 0, halvings, 1 << 20).curve(all) {
            let ratios: Vec<f64> = (0..30).map(|power| curve.hit_ratio(1 << power)).collect();
            prop_assert!(ratios.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12), "{:?}", ratios);
            prop_assert!(ratios.iter().all(|ratio| (0.0..=1.0 + 1e-12).contains(ratio)), "{:?}", ratios);
        }
    }
}
