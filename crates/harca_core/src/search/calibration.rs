//! What a table's searches tell of its legs, without judgements: how each leg sees the other's best row, and how far the best
//! rows stand out. From their means come the weight of the vector leg and what scores are measured in.
//!
//! How good an embedding model is for a table is not seen in the table. It is seen in its searches: where the best row by
//! meaning has many of the query's words, meaning and words agree, and meaning can be trusted with what words do not say;
//! where the best row by words is near the query, words alone would do. The best weight differs by the table and its model
//! far more than by the query (docs/SEARCH_QUALITY.md), so the means count, and no single query does.
//!
//! - [`Observation`]: one search. [`Means`]: many. [`Calibration`]: what a search goes by.
//! - [`shared`]: where processes keep it together. [`saved`]: how it comes through a restart.

use serde::{Deserialize, Serialize};

use super::fusion;

pub mod saved;
pub mod shared;

/// Standard deviations above the background that count; a table of alike rows has them without end.
const MOST_DEVIATIONS: f64 = 6.0;

/// Searches that the means remember: a later one counts as one in so many.
pub const MEMORY: u64 = 1000;

/// Searches before a table goes by them.
pub const FEWEST: u64 = 20;

/// What the weight has to move by, so that searches go by another one.
const STEP: f64 = 0.01;

/// What a unit has to move by, as a share of it.
const UNIT_STEP: f64 = 0.1;

/// The best rows of both legs of one search, each as both legs see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BestRows {
    /// The score of the best row by meaning in the vector leg.
    pub similarity: f64,
    /// That of the best row by words.
    pub similarity_of_best_by_words: f64,
    /// Mean and standard deviation of the scores of any rows of the table.
    pub background: (f64, f64),
    /// The score of the best row by words in the keyword leg.
    pub words: f64,
    /// That of the best row by meaning; 0 where it has no word of the query.
    pub words_of_best_by_meaning: f64,
    /// What no row exceeds.
    pub bound: f64,
}

/// What one search has shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// How far the best row by words stands above the background, as a share of the best row by meaning.
    pub nearness: f64,
    /// The BM25 score of the best row by meaning, as a share of that of the best row by words.
    pub wording: f64,
    /// How many standard deviations the best row by meaning stands above the background, 6 at most.
    pub prominence: f64,
    /// The same as a difference of scores.
    pub spread: f64,
    /// What the best row by words is on the scale [`Bound`](super::fusion::Scale::Bound): from 0 to 1.
    pub found: f64,
}

impl Observation {
    /// Of the best rows of a search; none where they tell nothing.
    #[must_use]
    pub fn of(best: &BestRows) -> Option<Self> {
        let (mean, deviation) = best.background;
        let spread = best.similarity - mean;
        let seen = Self {
            nearness: ((best.similarity_of_best_by_words - mean) / spread).clamp(-1.0, 1.0),
            wording: (best.words_of_best_by_meaning / best.words).clamp(0.0, 1.0),
            prominence: (spread / deviation).min(MOST_DEVIATIONS),
            spread,
            found: fusion::found(best.words, best.bound),
        };
        let sound = spread > 0.0
            && deviation > 0.0
            && best.words > 0.0
            && seen.prominence > 0.0
            && seen.found > 0.0
            && seen.numbers().iter().all(|n| n.is_finite());
        sound.then_some(seen)
    }

    fn numbers(self) -> [f64; 5] {
        [self.nearness, self.wording, self.prominence, self.spread, self.found]
    }

    fn from_numbers([nearness, wording, prominence, spread, found]: [f64; 5]) -> Self {
        Self { nearness, wording, prominence, spread, found }
    }
}

/// The means of what searches have shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Means {
    /// How many searches.
    pub searches: u64,
    /// Their means; of the latest ones, once they are more than [`MEMORY`].
    pub of: Observation,
}

impl Default for Means {
    fn default() -> Self {
        Self { searches: 0, of: Observation::from_numbers([0.0; 5]) }
    }
}

impl Means {
    /// With one search more.
    #[must_use]
    pub fn with(self, seen: &Observation) -> Self {
        let searches = self.searches.saturating_add(1);
        let share = 1.0 / searches.min(MEMORY) as f64;
        let (old, new) = (self.of.numbers(), seen.numbers());
        let of = Observation::from_numbers(std::array::from_fn(|n| old[n] + share * (new[n] - old[n])));
        Self { searches, of }
    }

    /// The weight of the vector leg that suits them, from 0.05 to 0.95.
    ///
    /// Fitted over collections and embedding models: each coefficient moves the weight towards the leg that the other one
    /// agrees with. Where the best rows by words are far from the query by meaning, the legs speak of different things, and
    /// words are trusted.
    #[must_use]
    pub fn weight(&self) -> f64 {
        let Observation { nearness, wording, prominence, .. } = self.of;
        let apart = (LEAST_NEARNESS - nearness).max(0.0);
        (0.22 + 1.25 * (wording - nearness) + 0.1 * prominence - 3.0 * apart).clamp(0.05, 0.95)
    }
}

/// The mean nearness below which legs count as speaking of different things.
const LEAST_NEARNESS: f64 = 0.7;

/// What the searches of a table go by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The weight of the vector leg.
    pub weight: f64,
    /// What the scores of the vector leg are measured in: how far the best row stands above the background, on average.
    pub spread: f64,
    /// The same of the keyword leg: what the best row is on the scale [`Bound`](super::fusion::Scale::Bound), on average.
    pub found: f64,
    /// How many searches it rests on.
    pub searches: u64,
    /// Since when, in microseconds.
    pub since: i64,
}

impl Calibration {
    /// What searches go by after these means: the former one, as long as they are about what it rests on, so that weights
    /// and scores stay the same from search to search. None for too few searches.
    #[must_use]
    pub fn after(former: Option<Self>, means: &Means, now: i64) -> Option<Self> {
        if means.searches < FEWEST {
            return former;
        }
        let weight = means.weight();
        let moved = |unit: f64, former: f64| (unit - former).abs() > UNIT_STEP * former;
        let same = former.is_some_and(|former| {
            (weight - former.weight).abs() <= STEP
                && !moved(means.of.spread, former.spread)
                && !moved(means.of.found, former.found)
        });
        if same {
            return former;
        }
        Some(Self { weight, spread: means.of.spread, found: means.of.found, searches: means.searches, since: now })
    }
}

/// Whether a search may be one for an exact term, by how probable that type is, how many documents the rarest of its words
/// has, and the scores of the keyword leg, best first: words find what it is after, and it says nothing of the embeddings.
#[must_use]
pub fn may_be_exact(keyword: f64, rarest: Option<u64>, scores: impl IntoIterator<Item = f64>) -> bool {
    let mut scores = scores.into_iter().peekable();
    let high = scores.peek().copied().unwrap_or(0.0);
    let stands_alone = scores.take(FEW_ROWS + 1).filter(|score| *score >= high / 2.0).count() <= FEW_ROWS;
    keyword >= LEAST_KEYWORD && (stands_alone || rarest.is_some_and(|rarest| rarest <= FEW_DOCUMENTS))
}

/// A type as probable as that may be the type.
const LEAST_KEYWORD: f64 = 0.3;
/// A word in so many documents may be a code or a name.
const FEW_DOCUMENTS: u64 = 10;
/// Rows with half of the best score or more, if they are what the query is after.
const FEW_ROWS: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEEN: Observation = Observation { nearness: 0.8, wording: 0.7, prominence: 4.5, spread: 0.3, found: 0.6 };

    #[test]
    fn a_search_shows_how_each_leg_sees_the_best_row_of_the_other() {
        let best = BestRows {
            similarity: 0.9,
            similarity_of_best_by_words: 0.7,
            background: (0.5, 0.1),
            words: 8.0,
            words_of_best_by_meaning: 2.0,
            bound: 128.0,
        };
        let seen = Observation::of(&best).unwrap();
        let expected = [0.5, 0.25, 4.0, 0.4, 0.125];
        assert!(seen.numbers().iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{seen:?}");
        assert_eq!(Observation::of(&BestRows { background: (0.5, 0.01), ..best }).unwrap().prominence, 6.0);
        assert_eq!(Observation::of(&BestRows { background: (0.95, 0.1), ..best }), None, "below the background");
        assert_eq!(Observation::of(&BestRows { words: 0.0, ..best }), None, "nothing found by words");
        assert_eq!(Observation::of(&BestRows { background: (0.5, 0.0), ..best }), None, "all rows are alike");
        assert_eq!(Observation::of(&BestRows { similarity: f64::NAN, ..best }), None);
    }

    #[test]
    fn the_weight_goes_to_the_leg_that_the_other_agrees_with() {
        let weight = |of| Means { searches: 50, of }.weight();
        assert!((weight(SEEN) - 0.545).abs() < 1e-12);
        assert!(weight(Observation { wording: 0.9, ..SEEN }) > weight(SEEN));
        assert!(weight(Observation { nearness: 0.9, ..SEEN }) < weight(SEEN));
        assert!(weight(Observation { nearness: 0.5, ..SEEN }) < weight(SEEN), "legs that speak of different things");
        assert_eq!(weight(Observation { wording: 0.0, nearness: 0.4, ..SEEN }), 0.05);
    }

    #[test]
    fn a_calibration_comes_after_some_searches_and_stays_while_they_say_the_same() {
        let mut means = Means::default();
        let mut calibration = None;
        for n in 1..FEWEST {
            means = means.with(&SEEN);
            calibration = Calibration::after(calibration, &means, n as i64);
            assert_eq!(calibration, None);
        }
        means = means.with(&SEEN);
        let first = Calibration::after(calibration, &means, 20).unwrap();
        assert!((first.weight - means.weight()).abs() < 1e-12);
        assert_eq!((first.searches, first.since), (FEWEST, 20));
        means = means.with(&Observation { wording: 0.8, ..SEEN });
        assert_eq!(Calibration::after(Some(first), &means, 21), Some(first));
        for _ in 0..20 {
            means = means.with(&Observation { wording: 0.8, ..SEEN });
        }
        let second = Calibration::after(Some(first), &means, 41).unwrap();
        assert!(second.weight > first.weight + STEP);
        assert_eq!(second.searches, 41);
        let wider = Means { of: Observation { spread: 0.4, ..first_means(&first) }, searches: 50 };
        assert_eq!(Calibration::after(Some(first), &wider, 50).unwrap().spread, 0.4);
    }

    fn first_means(of: &Calibration) -> Observation {
        Observation { spread: of.spread, found: of.found, ..SEEN }
    }

    #[test]
    fn what_may_be_an_exact_term_tells_nothing() {
        let many = || [9.0, 8.0, 7.0, 6.0, 5.0, 1.0];
        assert!(may_be_exact(0.9, Some(3), many()));
        assert!(!may_be_exact(0.9, Some(300), many()));
        assert!(may_be_exact(0.9, Some(300), [9.0, 8.0, 7.0, 6.0, 4.0, 4.0]), "a few rows stand alone");
        assert!(!may_be_exact(0.1, Some(3), many()), "a question with a rare word");
        assert!(may_be_exact(0.9, None, []));
    }

    proptest! {
        #[test]
        fn means_lie_among_what_was_seen_and_give_a_weight(
            all in prop::collection::vec((-1.0f64..1.0, 0.0f64..1.0, 0.0f64..6.0, 0.01f64..2.0, 0.1f64..1.0), 1..60),
        ) {
            let all: Vec<Observation> = all
                .into_iter()
                .map(|(nearness, wording, prominence, spread, found)| Observation { nearness, wording, prominence, spread, found })
                .collect();
            let means = all.iter().fold(Means::default(), |means, seen| means.with(seen));
            prop_assert_eq!(means.searches, all.len() as u64);
            for n in 0..5 {
                let values = || all.iter().map(|seen| seen.numbers()[n]);
                let mean = values().sum::<f64>() / all.len() as f64;
                prop_assert!((means.of.numbers()[n] - mean).abs() < 1e-9);
            }
            prop_assert!((0.05..=0.95).contains(&means.weight()));
        }

        #[test]
        fn a_stream_of_one_kind_moves_the_means_no_faster_than_their_memory(ahead in 0u64..3000, stream in 0u64..50) {
            let before = (0..ahead).fold(Means::default(), |means, _| means.with(&SEEN));
            let other = Observation { wording: 0.2, ..SEEN };
            let after = (0..stream).fold(before, |means, _| means.with(&other));
            let most = stream as f64 / (ahead + stream).clamp(1, MEMORY) as f64;
            prop_assert!(ahead == 0 || before.of.wording - after.of.wording <= 0.5 * most + 1e-9);
        }

        #[test]
        fn no_numbers_do_harm(numbers in prop::array::uniform8(prop::num::f64::ANY)) {
            let [similarity, similarity_of_best_by_words, mean, deviation, words, words_of_best_by_meaning, bound, _] = numbers;
            let background = (mean, deviation);
            let best = BestRows { similarity, similarity_of_best_by_words, background, words, words_of_best_by_meaning, bound };
            if let Some(seen) = Observation::of(&best) {
                let means = Means::default().with(&seen);
                prop_assert!((0.05..=0.95).contains(&means.weight()));
                prop_assert!(seen.spread > 0.0 && seen.found > 0.0 && seen.found <= 1.0, "{:?}", seen);
            }
        }
    }
}
