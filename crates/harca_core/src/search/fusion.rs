//! Fuses the two ranked lists of a hybrid search into one.
//!
//! A leg is a list of (row, score), best first, each row once. Rows that one leg lacks get nothing from it: a leg
//! returns its best candidates, so what is missing ranks below all of them.
//!
//! The other score of a row may be known all the same, and counts by those methods that take each score by itself. Words add
//! to a row of the vector leg what they would in the keyword leg. Words count for less the farther a row of the keyword leg
//! is from the query by meaning: with `v` for how far its similarity lies below that of the last candidate, on the scale of
//! the vector leg, they count `1 − w · v` times, and not less than 0.

use std::collections::HashMap;
use std::hash::Hash;

/// How two legs become one score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// `w · vector + (1 − w) · keyword` over normalised scores (Bruch et al., "An Analysis of Fusion Functions for Hybrid
    /// Retrieval", 2023).
    Convex {
        /// What the scores of the vector leg are measured in.
        vector: Scale,
        /// What the scores of the keyword leg are measured in.
        keyword: Scale,
    },
    /// Weighted reciprocal rank with k = 60 (Cormack et al., "Reciprocal Rank Fusion", 2009).
    ReciprocalRank,
}

/// What the best row of the keyword leg is on [`Scale::Bound`], by its score and the bound.
#[must_use]
pub fn found(score: f64, bound: f64) -> f64 {
    (score / bound.max(score)).powf(BOUND_SHARE)
}

/// What the scores of a leg are measured in, so that they can be added to those of another one. A row that the leg lacks
/// has 0, and no row has less.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Their maximum.
    Maximum,
    /// The distance between their minimum, which becomes 0, and their maximum.
    MinMax,
    /// Their standard deviation, counted from their minimum.
    ZScore,
    /// The logistic function of their distance from their mean, in standard deviations.
    Sigmoid,
    /// A geometric mean of their maximum, for a quarter, and of what a score can be at most. A query whose best row has but few
    /// of its words, or not the telling ones, gets less than one that was found as it stands.
    Bound(f64),
    /// Six standard deviations of the scores of any two rows of the table, counted from the minimum; `None` where that is
    /// not known. Rows that stand out from the table get more than rows that are the best of many alike.
    Table(Option<f64>),
    /// How far the best row of a search stands above the background on average, counted from their minimum: the same in
    /// another unit, where the searches of the table have told it.
    Prominence(f64),
    /// [`Scale::Bound`], in what the best row of a search has of it on average.
    Found {
        /// The bound.
        bound: f64,
        /// What the best row has on average; above 0.
        typical: f64,
    },
}

impl Method {
    /// Whether what a row of the keyword leg brings is told by its own score and the highest one of the leg: then it does
    /// not matter which other rows are in the leg.
    #[must_use]
    pub fn keyword_by_own_score(self) -> bool {
        matches!(self, Self::Convex { keyword: Scale::Maximum | Scale::Bound(_) | Scale::Found { .. }, .. })
    }

    /// The score from which on a row that only the keyword leg has is fused into `fused` or more; the highest score of the
    /// leg is `highest`. None where that is not told by its own score, or no score is enough.
    #[must_use]
    pub fn keyword_score(self, fused: f64, vector_weight: f64, highest: f64) -> Option<f64> {
        let Self::Convex { keyword, .. } = self else { return None };
        let whole = self.keyword_by_own_score().then(|| whole(keyword, highest))?;
        let score = fused * whole / (1.0 - vector_weight.clamp(0.0, 1.0));
        score.is_finite().then_some(score)
    }
}

/// Standard deviations that are 1 in [`Scale::Table`]. With six, vector and keyword legs weigh about the same: over nine
/// collections, the best single weight is 0.53.
const TABLE_DEVIATIONS: f64 = 6.0;
/// What the best of a hundred candidates has in [`Scale::Table`], by the median of nine collections.
const TYPICAL_BEST: f64 = 0.36;

/// How much the bound counts in [`Scale::Bound`]: over collections and embedding models, a half to three quarters do equally
/// well; with more, queries of which nothing telling was found leave more to the other leg.
const BOUND_SHARE: f64 = 0.75;

/// The constant of reciprocal rank fusion, from its paper.
const RANK_CONSTANT: f64 = 60.0;

/// What the legs of a search have found.
#[derive(Debug)]
pub struct Legs<'a, Id> {
    /// The vector leg, best first.
    pub vector: &'a [(Id, f64)],
    /// The keyword leg, best first.
    pub keyword: &'a [(Id, f64)],
    /// Scores by words of rows of the vector leg, as far as they have any and are known; those of rows that the keyword leg
    /// has as well are passed over.
    pub words_of_vector: &'a [(Id, f64)],
    /// Similarities of rows of the keyword leg, as far as they have any and are known; those of rows that the vector leg has
    /// as well are passed over.
    pub similarities_of_keyword: &'a [(Id, f64)],
}

impl<Id> Clone for Legs<'_, Id> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Id> Copy for Legs<'_, Id> {}

impl<'a, Id> Legs<'a, Id> {
    /// Two legs of which no more is known.
    #[must_use]
    pub fn new(vector: &'a [(Id, f64)], keyword: &'a [(Id, f64)]) -> Self {
        Self { vector, keyword, words_of_vector: &[], similarities_of_keyword: &[] }
    }
}

/// One row of the fused list.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused<Id> {
    /// The row.
    pub id: Id,
    /// The fused score, from 0; at most 1 by the scales that are bounded, which [`Scale::ZScore`], [`Scale::Table`],
    /// [`Scale::Prominence`] and [`Scale::Found`] are not.
    pub score: f64,
    /// Place in the vector leg, from 1.
    pub vector_rank: Option<u32>,
    /// Place in the keyword leg, from 1.
    pub keyword_rank: Option<u32>,
    /// Similarity: in the vector leg, or as it is known of a row of the keyword leg.
    pub vector_score: Option<f64>,
    /// Score by words: in the keyword leg, or as it is known of a row of the vector leg.
    pub keyword_score: Option<f64>,
    /// What the vector leg's score is on its scale, or `1 / (60 + rank)`: before the weight, from 0.
    pub vector_normalised: Option<f64>,
    /// The same of the keyword leg; of a row that is far by meaning, what is left of it.
    pub keyword_normalised: Option<f64>,
}

/// Fuses two legs, best first; equal scores are ordered by the row's id, so that pages never overlap.
///
/// `vector_weight` is from 0 (keyword only) to 1 (vector only). Scores need only be comparable within their leg, higher
/// is better.
#[must_use]
pub fn fuse<Id: Clone + Eq + Hash + Ord>(legs: Legs<'_, Id>, vector_weight: f64, method: Method) -> Vec<Fused<Id>> {
    let Legs { vector, keyword, words_of_vector, similarities_of_keyword } = legs;
    let weight = vector_weight.clamp(0.0, 1.0);
    let mut rows: HashMap<&Id, Fused<Id>> = HashMap::with_capacity(vector.len() + keyword.len());
    let (vector_part, keyword_part) = match method {
        Method::Convex { vector: vector_scale, keyword: keyword_scale } => {
            (scaled(vector, vector_scale), scaled(keyword, keyword_scale))
        }
        Method::ReciprocalRank => (by_rank(vector.len()), by_rank(keyword.len())),
    };
    for (rank, ((id, score), part)) in vector.iter().zip(vector_part).enumerate() {
        let row = rows.entry(id).or_insert_with(|| empty(id));
        row.vector_rank = Some(rank as u32 + 1);
        row.vector_score = Some(*score);
        row.vector_normalised = Some(part);
        row.score += weight * part;
    }
    for (rank, ((id, score), part)) in keyword.iter().zip(keyword_part).enumerate() {
        let row = rows.entry(id).or_insert_with(|| empty(id));
        row.keyword_rank = Some(rank as u32 + 1);
        row.keyword_score = Some(*score);
        row.keyword_normalised = Some(part);
        row.score += (1.0 - weight) * part;
    }
    let high = highest(keyword);
    for (id, score) in words_of_vector {
        if let Some(row) = rows.get_mut(id).filter(|row| row.keyword_score.is_none()) {
            row.keyword_score = Some(*score);
            if let Method::Convex { keyword: scale, .. } = method
                && method.keyword_by_own_score()
                && !keyword.is_empty()
            {
                let part = share(*score, whole(scale, high));
                row.keyword_normalised = Some(part);
                row.score += (1.0 - weight) * part;
            }
        }
    }
    let far = Far::of(vector, method);
    for (id, similarity) in similarities_of_keyword {
        if let Some(row) = rows.get_mut(id).filter(|row| row.vector_score.is_none()) {
            row.vector_score = Some(*similarity);
            if let Some(far) = &far {
                let left = (1.0 - weight * far.below(*similarity)).max(0.0);
                row.keyword_normalised = row.keyword_normalised.map(|part| left * part);
                row.score *= left;
            }
        }
    }
    let mut fused: Vec<_> = rows.into_values().collect();
    order(&mut fused);
    fused
}

/// Multiplies the scores of fused rows by what else speaks for them, and orders them anew; rows without a factor keep
/// their score.
pub fn boost<Id: Eq + Hash + Ord>(fused: &mut [Fused<Id>], factors: &HashMap<Id, f64>) {
    for row in &mut *fused {
        row.score *= factors.get(&row.id).filter(|factor| factor.is_finite()).unwrap_or(&1.0);
    }
    order(fused);
}

fn order<Id: Ord>(fused: &mut [Fused<Id>]) {
    fused.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
}

fn empty<Id: Clone>(id: &Id) -> Fused<Id> {
    Fused {
        id: id.clone(),
        score: 0.0,
        vector_rank: None,
        keyword_rank: None,
        vector_score: None,
        keyword_score: None,
        vector_normalised: None,
        keyword_normalised: None,
    }
}

/// How far below the vector leg a similarity is, where its scale measures that.
struct Far {
    low: f64,
    unit: f64,
}

impl Far {
    fn of<Id>(vector: &[(Id, f64)], method: Method) -> Option<Self> {
        let Method::Convex { vector: scale, .. } = method else { return None };
        let (low, high, unit) = (lowest(vector), highest(vector), unit(scale)?);
        (low <= high && unit > 0.0).then_some(Self { low, unit })
    }

    /// From 0. What the vector index has missed, nearer than its last row, counts as that.
    fn below(&self, similarity: f64) -> f64 {
        let below = (self.low - similarity) / self.unit;
        if below.is_finite() { below.max(0.0) } else { 0.0 }
    }
}

/// What each place of a leg brings to the fused score.
fn by_rank(rows: usize) -> Vec<f64> {
    (0..rows).map(|rank| 1.0 / (RANK_CONSTANT + rank as f64 + 1.0)).collect()
}

/// What each row of a leg brings to the fused score: its score on a scale.
fn scaled<Id>(leg: &[(Id, f64)], scale: Scale) -> Vec<f64> {
    let finite = || leg.iter().map(|(_, s)| *s).filter(|s| s.is_finite());
    let (low, high) = (lowest(leg), highest(leg));
    let count = finite().count() as f64;
    let mean = finite().sum::<f64>() / count;
    // The mean of equal scores may be off in its last digit.
    let deviation = if high > low { (finite().map(|s| (s - mean).powi(2)).sum::<f64>() / count).sqrt() } else { 0.0 };
    let above_low = |score: f64, unit: f64| if unit > 0.0 { (score - low) / unit } else { 1.0 };
    let value = |score: f64| match scale {
        Scale::Maximum | Scale::Bound(_) | Scale::Found { .. } => share(score, whole(scale, high)),
        Scale::MinMax => above_low(score, high - low),
        Scale::ZScore => above_low(score, deviation),
        Scale::Sigmoid if deviation > 0.0 => 1.0 / (1.0 + ((mean - score) / deviation).exp()),
        Scale::Sigmoid => 0.5,
        Scale::Prominence(_) | Scale::Table(_) => match unit(scale) {
            Some(unit) => above_low(score, unit),
            None => TYPICAL_BEST * above_low(score, high - low),
        },
    };
    // A vector of zeros has no cosine: such a row stays in its leg, and brings nothing.
    leg.iter().map(|(_, score)| if score.is_finite() { value(*score) } else { 0.0 }).collect()
}

/// What distances from the lowest score are measured in, on a scale that does not hang on the scores of the leg.
fn unit(scale: Scale) -> Option<f64> {
    match scale {
        Scale::Prominence(spread) => Some(spread),
        Scale::Table(Some(deviation)) if deviation > 0.0 => Some(TABLE_DEVIATIONS * deviation),
        _ => None,
    }
}

/// The highest score of a leg.
fn highest<Id>(leg: &[(Id, f64)]) -> f64 {
    leg.iter().map(|(_, score)| *score).filter(|score| score.is_finite()).fold(f64::NEG_INFINITY, f64::max)
}

/// The lowest score of a leg.
fn lowest<Id>(leg: &[(Id, f64)]) -> f64 {
    leg.iter().map(|(_, score)| *score).filter(|score| score.is_finite()).fold(f64::INFINITY, f64::min)
}

/// What scores are divided by on a scale that takes each by itself.
fn whole(scale: Scale, high: f64) -> f64 {
    match scale {
        Scale::Bound(bound) => between(high, bound),
        Scale::Found { bound, typical } => typical * between(high, bound),
        _ => high,
    }
}

fn share(score: f64, whole: f64) -> f64 {
    if whole > 0.0 && score.is_finite() { (score / whole).max(0.0) } else { 0.0 }
}

/// What a score is measured in by [`Scale::Bound`].
fn between(high: f64, bound: f64) -> f64 {
    let (high, bound) = (high.max(0.0), bound.max(high));
    high.powf(1.0 - BOUND_SHARE) * bound.powf(BOUND_SHARE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The plain recipe.
    const CONVEX: Method = Method::Convex { vector: Scale::MinMax, keyword: Scale::Maximum };

    fn ids(fused: &[Fused<u32>]) -> Vec<u32> {
        fused.iter().map(|f| f.id).collect()
    }

    #[test]
    fn the_weight_chooses_the_leg() {
        let vector = [(1, 0.9), (2, 0.5), (3, 0.1)];
        let keyword = [(3, 4.0), (4, 2.0)];
        assert_eq!(ids(&fuse(Legs::new(&vector, &keyword), 1.0, CONVEX)), [1, 2, 3, 4]);
        assert_eq!(ids(&fuse(Legs::new(&vector, &keyword), 0.0, CONVEX)), [3, 4, 1, 2]);
        let half = fuse(Legs::new(&vector, &keyword), 0.5, CONVEX);
        assert_eq!(half[0].score, 0.5);
        let three = half.iter().find(|f| f.id == 3).unwrap();
        assert_eq!((three.vector_rank, three.keyword_rank), (Some(3), Some(1)));
        assert_eq!((three.vector_score, three.keyword_score), (Some(0.1), Some(4.0)));
    }

    #[test]
    fn reciprocal_rank_adds_both_places() {
        let fused = fuse(Legs::new(&[(1, 0.9), (2, 0.8)], &[(2, 1.0)]), 0.5, Method::ReciprocalRank);
        assert_eq!(ids(&fused), [2, 1]);
        assert!((fused[0].score - 0.5 * (1.0 / 62.0 + 1.0 / 61.0)).abs() < 1e-12);
    }

    #[test]
    fn a_score_is_the_weighted_sum_of_what_the_legs_say() {
        let fused = fuse(Legs::new(&[(1, 0.9), (2, 0.5)], &[(2, 4.0), (3, 1.0)]), 0.25, CONVEX);
        let parts: Vec<_> = fused.iter().map(|f| (f.id, f.vector_normalised, f.keyword_normalised)).collect();
        assert_eq!(parts, [(2, Some(0.0), Some(1.0)), (1, Some(1.0), None), (3, None, Some(0.25))]);
        for f in fused {
            let sum = 0.25 * f.vector_normalised.unwrap_or(0.0) + 0.75 * f.keyword_normalised.unwrap_or(0.0);
            assert_eq!(f.score, sum);
        }
    }

    #[test]
    fn a_row_of_the_vector_leg_has_its_score_by_words_although_the_other_leg_lacks_it() {
        let (vector, keyword) = ([(1, 0.9), (2, 0.5), (4, 0.4)], [(2, 4.0), (3, 1.0)]);
        let words_of_vector = [(1, 0.5), (2, 9.0), (5, 1.0)];
        let legs = Legs { words_of_vector: &words_of_vector, ..Legs::new(&vector, &keyword) };
        let fused = fuse(legs, 0.5, CONVEX);
        let parts: Vec<_> =
            fused.iter().map(|f| (f.id, f.keyword_rank, f.keyword_score, f.keyword_normalised)).collect();
        let expected = [
            (2, Some(1), Some(4.0), Some(1.0)),
            (1, None, Some(0.5), Some(0.125)),
            (3, Some(2), Some(1.0), Some(0.25)),
            (4, None, None, None),
        ];
        for row in expected {
            assert!(parts.contains(&row), "{row:?}: {parts:?}");
        }
        assert_eq!(fused.len(), 4);
        let by_rank = fuse(legs, 0.5, Method::ReciprocalRank);
        let one = by_rank.iter().find(|f| f.id == 1).unwrap();
        assert_eq!((one.keyword_score, one.keyword_normalised), (Some(0.5), None), "ranks are those of the leg");
        assert_eq!(one.score, 0.5 / 61.0);
    }

    #[test]
    fn words_count_for_less_in_a_row_that_is_far_by_meaning() {
        let (vector, keyword) = ([(1, 0.9), (2, 0.5)], [(3, 4.0), (4, 4.0), (5, 4.0), (6, 4.0), (2, 1.0)]);
        let similarities = [(3, 0.3), (4, -9.0), (5, 0.7), (2, -9.0), (9, 0.0)];
        let legs = Legs { similarities_of_keyword: &similarities, ..Legs::new(&vector, &keyword) };
        for scale in [Scale::Prominence(0.4), Scale::Table(Some(0.4 / 6.0))] {
            let fused = fuse(legs, 0.5, Method::Convex { vector: scale, keyword: Scale::Maximum });
            let of = |id| fused.iter().find(|f| f.id == id).unwrap();
            for (id, similarity, left) in
                [(3, Some(0.3), 0.75), (4, Some(-9.0), 0.0), (5, Some(0.7), 1.0), (6, None, 1.0)]
            {
                let row = of(id);
                assert_eq!((row.vector_score, row.vector_rank, row.vector_normalised), (similarity, None, None));
                assert!((row.keyword_normalised.unwrap() - left).abs() < 1e-12, "{row:?}");
                assert!((row.score - 0.5 * left).abs() < 1e-12, "{row:?}");
            }
            assert_eq!(of(2).vector_score, Some(0.5), "the leg has it");
            assert_eq!(fused.len(), 6);
        }
        for method in [CONVEX, Method::ReciprocalRank] {
            let (with, without) = (fuse(legs, 0.5, method), fuse(Legs::new(&vector, &keyword), 0.5, method));
            assert!(
                with.iter().zip(&without).all(|(a, b)| (a.id, a.score) == (b.id, b.score)),
                "the recipe as it is known"
            );
        }
    }

    #[test]
    fn a_boost_reorders() {
        let mut fused = fuse(Legs::new(&[(1, 0.9), (2, 0.8), (3, 0.1)], &[]), 1.0, CONVEX);
        boost(&mut fused, &HashMap::from([(2, 1.5), (1, f64::NAN), (9, 4.0)]));
        assert_eq!(ids(&fused), [2, 1, 3]);
        assert!((fused[0].score - 1.5 * 0.875).abs() < 1e-9);
        assert_eq!(fused[1].score, 1.0);
    }

    #[test]
    fn an_empty_leg_and_scores_that_are_not_numbers_are_harmless() {
        assert!(fuse::<u32>(Legs::new(&[], &[]), 0.5, CONVEX).is_empty());
        let fused = fuse(Legs::new(&[(1, f64::NAN), (2, 0.5)], &[]), 0.5, CONVEX);
        assert_eq!(ids(&fused), [2, 1]);
    }

    #[test]
    fn each_scale_by_hand() {
        let leg = [(1, 8.0), (2, 4.0), (3, 0.0)];
        let deviation = (32.0_f64 / 3.0).sqrt();
        let middle = 1.0 / (1.0 + (4.0 / deviation).exp());
        for (scale, expected) in [
            (Scale::Maximum, [1.0, 0.5, 0.0]),
            (Scale::MinMax, [1.0, 0.5, 0.0]),
            (Scale::ZScore, [8.0 / deviation, 4.0 / deviation, 0.0]),
            (Scale::Sigmoid, [1.0 - middle, 0.5, middle]),
            (Scale::Bound(128.0), [0.125, 0.0625, 0.0]),
            (Scale::Table(Some(2.0)), [8.0 / 12.0, 4.0 / 12.0, 0.0]),
            (Scale::Table(None), [0.36, 0.18, 0.0]),
            (Scale::Prominence(4.0), [2.0, 1.0, 0.0]),
            (Scale::Found { bound: 128.0, typical: 0.25 }, [0.5, 0.25, 0.0]),
        ] {
            let found = scaled(&leg, scale);
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{scale:?}: {found:?}");
        }
    }

    #[test]
    fn a_leg_of_equal_scores_has_a_place_on_every_scale() {
        for score in [-1.0, 0.0, 1.0] {
            let scales = [Scale::Maximum, Scale::MinMax, Scale::ZScore, Scale::Sigmoid];
            for scale in scales.into_iter().chain([Scale::Bound(5.0), Scale::Table(None), Scale::Table(Some(0.1))]) {
                let found = scaled(&[(1, score), (2, score)], scale);
                assert!(found[0] == found[1] && (0.0..=1.0).contains(&found[0]), "{scale:?}: {found:?}");
            }
        }
        // The mean of three tenths is not a tenth.
        let leg = [1, 2, 3].map(|id| (id, 0.1));
        assert_eq!((scaled(&leg, Scale::Sigmoid), scaled(&leg, Scale::ZScore)), (vec![0.5; 3], vec![1.0; 3]));
    }

    #[test]
    fn the_score_that_is_needed_in_the_keyword_leg_is_that_of_a_row_with_the_fused_score() {
        for keyword in [Scale::Maximum, Scale::Bound(9.0), Scale::Bound(1.0), Scale::Found { bound: 9.0, typical: 0.6 }]
        {
            let method = Method::Convex { vector: Scale::Table(Some(0.1)), keyword };
            let fused = fuse(Legs::new(&[(1, 0.9), (2, 0.5)], &[(1, 4.0), (3, 2.5), (4, 1.5)]), 0.3, method);
            let score = fused.iter().find(|row| row.id == 3).unwrap().score;
            assert!((method.keyword_score(score, 0.3, 4.0).unwrap() - 2.5).abs() < 1e-9);
            assert_eq!(method.keyword_score(score, 1.0, 4.0), None);
            assert!(method.keyword_by_own_score());
        }
        assert_eq!(Method::ReciprocalRank.keyword_score(0.5, 0.5, 1.0), None);
        assert!(!Method::Convex { vector: Scale::Maximum, keyword: Scale::ZScore }.keyword_by_own_score());
    }

    #[test]
    fn equal_scores_are_ordered_by_id() {
        let fused = fuse(Legs::new(&[(9, 1.0), (3, 1.0), (5, 1.0)], &[]), 0.5, CONVEX);
        assert_eq!(ids(&fused), [3, 5, 9]);
    }

    fn scale() -> impl Strategy<Value = Scale> {
        prop_oneof![
            Just(Scale::Maximum),
            Just(Scale::MinMax),
            Just(Scale::ZScore),
            Just(Scale::Sigmoid),
            (0.0f64..20.0).prop_map(Scale::Bound),
            prop::option::of(0.0f64..1.0).prop_map(Scale::Table),
            (0.0f64..1.0).prop_map(Scale::Prominence),
            (0.0f64..20.0, 0.01f64..1.0).prop_map(|(bound, typical)| Scale::Found { bound, typical }),
        ]
    }

    proptest! {
        #[test]
        fn every_row_appears_once_and_in_order(
            vector in prop::collection::btree_map(0u32..50, -1.0f64..1.0, 0..30),
            keyword in prop::collection::btree_map(0u32..50, 0.0f64..9.0, 0..30),
            other in prop::collection::btree_map(0u32..50, -1.0f64..1.0, 0..30),
            weight in 0.0f64..=1.0,
            vector_scale in scale(),
            keyword_scale in scale(),
        ) {
            let mut legs = [Vec::from_iter(vector), Vec::from_iter(keyword)];
            legs.iter_mut().for_each(|leg| leg.sort_by(|a, b| b.1.total_cmp(&a.1)));
            let method = Method::Convex { vector: vector_scale, keyword: keyword_scale };
            let other = Vec::from_iter(other);
            let known = Legs { words_of_vector: &other, similarities_of_keyword: &other, ..Legs::new(&legs[0], &legs[1]) };
            let fused = fuse(known, weight, method);
            let mut expected: Vec<u32> = legs.concat().iter().map(|h| h.0).collect();
            expected.sort_unstable();
            expected.dedup();
            let mut found = ids(&fused);
            found.sort_unstable();
            prop_assert_eq!(found, expected);
            prop_assert!(fused.windows(2).all(|w| w[0].score >= w[1].score));
            prop_assert!(fused.iter().all(|f| f.score >= 0.0 && f.score.is_finite()));
            let plain = fuse(Legs::new(&legs[0], &legs[1]), weight, CONVEX);
            prop_assert!(plain.iter().all(|f| f.score <= 1.0 + 1e-9));
        }
    }
}
