//! A latency histogram that several processes fill at once, made to lie in shared memory.
//!
//! Buckets are log-linear, as in HdrHistogram (G. Tene): each power of two is cut into 16 buckets of equal width, so
//! that a value is known to within 1/32 of itself from 64 ns to 137 s. The crates hdrhistogram and histogram keep their
//! counts on the heap of one process; this one is a plain block of numbers, and a block of zeros is an empty one.
//!
//! # Consistency
//!
//! [`Histogram::record`] takes no lock: it adds to a bucket, then to the sum, then raises the maximum, each atomically
//! and with relaxed ordering. A [`Snapshot`] taken meanwhile may hold a value in one of the three and not yet in the
//! others, and so may lag a few values behind per writing process. It does not contradict itself: its count and its
//! quantiles come from the buckets that it has copied. [`Histogram::reset`] zeroes number by number, and a value
//! recorded during it may be kept in part.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets of one power of two, as a power of two.
const SUB_BUCKET_BITS: u32 = 4;
/// The first bucket begins at 2⁶ ns.
const LOWEST_BITS: u32 = 6;
/// The last bucket ends at 2³⁷ ns.
const HIGHEST_BITS: u32 = 37;
const BUCKETS: usize = ((HIGHEST_BITS - LOWEST_BITS) as usize) << SUB_BUCKET_BITS;

/// Counts of values in nanoseconds; see the [module documentation](self).
///
/// 3,984 bytes with the alignment of a `u64` and a fixed layout.
#[repr(C)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// An empty histogram, all zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0), max: AtomicU64::new(0) }
    }

    /// Adds `count` values of `nanoseconds` each.
    ///
    /// Values below 64 ns count in the first bucket and values of 2³⁷ ns (137 s) or more in the last; sum and maximum
    /// are of the values as given. All numbers wrap at 2⁶⁴, which for the sum is 584 years.
    pub fn record(&self, nanoseconds: u64, count: u64) {
        if count == 0 {
            return;
        }
        self.buckets[bucket(nanoseconds)].fetch_add(count, Relaxed);
        self.sum.fetch_add(nanoseconds.wrapping_mul(count), Relaxed);
        // Most values are no new maximum: a load leaves the cache line shared.
        if nanoseconds > self.max.load(Relaxed) {
            self.max.fetch_max(nanoseconds, Relaxed);
        }
    }

    /// Copies the numbers as they are.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            buckets: std::array::from_fn(|i| self.buckets[i].load(Relaxed)),
            sum: self.sum.load(Relaxed),
            max: self.max.load(Relaxed),
        }
    }

    /// Forgets every value.
    pub fn reset(&self) {
        for number in self.buckets.iter().chain([&self.sum, &self.max]) {
            number.store(0, Relaxed);
        }
    }
}

/// The numbers of a [`Histogram`] at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    buckets: [u64; BUCKETS],
    sum: u64,
    max: u64,
}

impl Snapshot {
    /// The number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |count, bucket| count.wrapping_add(*bucket))
    }

    /// The sum of the values, in nanoseconds and exact.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The largest value, in nanoseconds and exact; 0 without values.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value that a share `q` of all values does not exceed, in nanoseconds: the smallest one with at least
    /// `q` × [`count`](Self::count) values up to it. `None` without values; `q` is taken to be between 0 and 1.
    ///
    /// It is the middle of that value's bucket, or the maximum where that is less: off by at most 1/32 of the value if
    /// that is between 64 ns and 2³⁷ ns. Smaller values pass for 64 to 68 ns, larger ones for about 135 s.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let count = self.count();
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0u64;
        let index = self.buckets.iter().position(|bucket| {
            seen = seen.wrapping_add(*bucket);
            seen >= rank
        })?;
        // The maximum of a value that is being recorded may still be missing.
        Some(if self.max == 0 { middle(index) } else { middle(index).min(self.max) })
    }
}

/// The bucket that counts `nanoseconds`.
fn bucket(nanoseconds: u64) -> usize {
    let value = nanoseconds.clamp(1 << LOWEST_BITS, (1 << HIGHEST_BITS) - 1);
    let octave = value.ilog2();
    let within = (value >> (octave - SUB_BUCKET_BITS)) as usize & ((1 << SUB_BUCKET_BITS) - 1);
    ((octave - LOWEST_BITS) as usize) << SUB_BUCKET_BITS | within
}

/// The middle of a bucket, in nanoseconds.
fn middle(bucket: usize) -> u64 {
    let octave = LOWEST_BITS + (bucket >> SUB_BUCKET_BITS) as u32;
    let width = 1u64 << (octave - SUB_BUCKET_BITS);
    (1 << octave) + width * (bucket as u64 & ((1 << SUB_BUCKET_BITS) - 1)) + width / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEAST: u64 = 1 << LOWEST_BITS;
    const MOST: u64 = (1 << HIGHEST_BITS) - 1;

    /// Values of every magnitude.
    fn values() -> impl Strategy<Value = u64> {
        (0u32..64, any::<u64>()).prop_map(|(shift, value)| value >> shift)
    }

    #[test]
    fn zeros_are_an_empty_histogram() {
        assert_eq!((size_of::<Histogram>(), align_of::<Histogram>()), (3984, align_of::<u64>()));
        let histogram = Histogram::new();
        assert!(histogram.buckets.iter().chain([&histogram.sum, &histogram.max]).all(|n| n.load(Relaxed) == 0));
        let snapshot = histogram.snapshot();
        assert_eq!((snapshot.count(), snapshot.sum(), snapshot.max()), (0, 0, 0));
        assert_eq!(snapshot.quantile(0.5), None);
    }

    #[test]
    fn buckets_follow_each_other_without_gap() {
        let mut last = bucket(LEAST);
        assert_eq!((last, bucket(0), bucket(MOST), bucket(u64::MAX)), (0, 0, BUCKETS - 1, BUCKETS - 1));
        for value in LEAST..100_000 {
            let next = bucket(value);
            assert!(next == last || next == last + 1, "{value}");
            last = next;
        }
        for index in 0..BUCKETS {
            assert_eq!(bucket(middle(index)), index);
        }
    }

    #[test]
    fn values_out_of_range_are_counted_at_its_ends() {
        let histogram = Histogram::new();
        histogram.record(3, 2);
        assert_eq!(histogram.snapshot().quantile(1.0), Some(3));
        histogram.record(1 << 50, 1);
        let snapshot = histogram.snapshot();
        assert_eq!((snapshot.count(), snapshot.sum(), snapshot.max()), (3, 6 + (1 << 50), 1 << 50));
        assert_eq!((snapshot.quantile(0.0), snapshot.quantile(1.0)), (Some(66), Some(middle(BUCKETS - 1))));
    }

    #[test]
    fn no_value_of_many_threads_is_lost() {
        let histogram = Histogram::new();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let histogram = &histogram;
                scope.spawn(move || (0..10_000).for_each(|i| histogram.record(thread * 10_000 + i, 1)));
            }
        });
        let snapshot = histogram.snapshot();
        assert_eq!((snapshot.count(), snapshot.sum(), snapshot.max()), (40_000, 39_999 * 20_000, 39_999));
        histogram.reset();
        assert_eq!(histogram.snapshot(), Histogram::new().snapshot());
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_sorted_values(
            records in prop::collection::vec((values(), 1u64..4), 1..200),
            q in 0.0f64..=1.0,
        ) {
            let histogram = Histogram::new();
            let mut sorted = Vec::new();
            for &(value, count) in &records {
                histogram.record(value, count);
                sorted.extend(std::iter::repeat_n(value, count as usize));
            }
            sorted.sort_unstable();
            let snapshot = histogram.snapshot();
            prop_assert_eq!(snapshot.count(), sorted.len() as u64);
            prop_assert_eq!(snapshot.max(), sorted[sorted.len() - 1]);
            prop_assert_eq!(snapshot.sum(), sorted.iter().fold(0u64, |sum, v| sum.wrapping_add(*v)));
            for q in [0.0, q, 0.5, 0.99, 1.0] {
                let rank = ((q * sorted.len() as f64).ceil() as usize).max(1);
                let exact = sorted[rank - 1];
                let found = snapshot.quantile(q).unwrap();
                let clamped = exact.clamp(LEAST, MOST);
                // A maximum of 0 may be one that is missing yet.
                prop_assert!(found <= snapshot.max() || snapshot.max() == 0);
                prop_assert!(
                    found.abs_diff(clamped) <= clamped / 32 || found == snapshot.max() && exact < LEAST,
                    "{found} for {exact}"
                );
            }
        }
    }
}
