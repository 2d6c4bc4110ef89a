//! Fuses the two ranked lists of a hybrid search into one.
//!
//! A leg is a list of (row, score), best first, each row once. Rows that one leg lacks get nothing from it: a leg
//! returns its best candidates, so what is missing ranks below all of them.

use std::collections::HashMap;
use std::hash::Hash;

/// How two legs become one score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// `w · vector + (1 − w) · keyword` over normalised scores: vector scores by their minimum and maximum, keyword
    /// scores by their maximum (Bruch et al., "An Analysis of Fusion Functions for Hybrid Retrieval", 2023).
    #[default]
    Convex,
    /// Weighted reciprocal rank with k = 60 (Cormack et al., "Reciprocal Rank Fusion", 2009).
    ReciprocalRank,
}

/// The constant of reciprocal rank fusion, from its paper.
const RANK_CONSTANT: f64 = 60.0;

/// One row of the fused list.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused<Id> {
    /// The row.
    pub id: Id,
    /// The fused score, from 0 to 1 for [`Method::Convex`].
    pub score: f64,
    /// Place in the vector leg, from 1.
    pub vector_rank: Option<u32>,
    /// Place in the keyword leg, from 1.
    pub keyword_rank: Option<u32>,
    /// Score in the vector leg, as the leg gave it.
    pub vector_score: Option<f64>,
    /// Score in the keyword leg, as the leg gave it.
    pub keyword_score: Option<f64>,
}

/// The weight of the vector leg for a query: the mean of the types' weights by their probabilities.
///
/// `probabilities` and `weights` are parallel; the result is from 0 to 1 when the weights are. An argmax would jump
/// where the classifier doubts; the mean moves with the doubt.
#[must_use]
pub fn expected_weight(probabilities: &[f32], weights: &[f32]) -> f32 {
    let total: f32 = probabilities.iter().sum();
    if total <= 0.0 {
        return 0.5;
    }
    probabilities.iter().zip(weights).map(|(p, w)| p * w).sum::<f32>() / total
}

/// Fuses two legs, best first; equal scores are ordered by the row's id, so that pages never overlap.
///
/// `vector_weight` is from 0 (keyword only) to 1 (vector only). Scores need only be comparable within their leg, higher
/// is better.
#[must_use]
pub fn fuse<Id: Clone + Eq + Hash + Ord>(
    vector: &[(Id, f64)],
    keyword: &[(Id, f64)],
    vector_weight: f64,
    method: Method,
) -> Vec<Fused<Id>> {
    let weight = vector_weight.clamp(0.0, 1.0);
    let mut rows: HashMap<&Id, Fused<Id>> = HashMap::with_capacity(vector.len() + keyword.len());
    let vector_part = parts(vector, method, min_max);
    let keyword_part = parts(keyword, method, by_maximum);
    for (rank, ((id, score), part)) in vector.iter().zip(vector_part).enumerate() {
        let row = rows.entry(id).or_insert_with(|| empty(id));
        row.vector_rank = Some(rank as u32 + 1);
        row.vector_score = Some(*score);
        row.score += weight * part;
    }
    for (rank, ((id, score), part)) in keyword.iter().zip(keyword_part).enumerate() {
        let row = rows.entry(id).or_insert_with(|| empty(id));
        row.keyword_rank = Some(rank as u32 + 1);
        row.keyword_score = Some(*score);
        row.score += (1.0 - weight) * part;
    }
    let mut fused: Vec<_> = rows.into_values().collect();
    fused.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    fused
}

fn empty<Id: Clone>(id: &Id) -> Fused<Id> {
    Fused { id: id.clone(), score: 0.0, vector_rank: None, keyword_rank: None, vector_score: None, keyword_score: None }
}

/// What each row of a leg brings to the fused score, from 0 to 1.
fn parts<Id>(leg: &[(Id, f64)], method: Method, normalise: fn(f64, f64, f64) -> f64) -> Vec<f64> {
    let finite = || leg.iter().map(|(_, s)| *s).filter(|s| s.is_finite());
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    leg.iter()
        .enumerate()
        .map(|(rank, (_, score))| match method {
            Method::Convex if score.is_finite() => normalise(*score, low, high),
            // A vector of zeros has no cosine: such a row stays in its leg, and brings nothing.
            Method::Convex => 0.0,
            Method::ReciprocalRank => 1.0 / (RANK_CONSTANT + rank as f64 + 1.0),
        })
        .collect()
}

fn min_max(score: f64, low: f64, high: f64) -> f64 {
    if high > low { (score - low) / (high - low) } else { 1.0 }
}

fn by_maximum(score: f64, _low: f64, high: f64) -> f64 {
    if high > 0.0 { (score / high).max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(fused: &[Fused<u32>]) -> Vec<u32> {
        fused.iter().map(|f| f.id).collect()
    }

    #[test]
    fn the_weight_chooses_the_leg() {
        let vector = [(1, 0.9), (2, 0.5), (3, 0.1)];
        let keyword = [(3, 4.0), (4, 2.0)];
        assert_eq!(ids(&fuse(&vector, &keyword, 1.0, Method::Convex)), [1, 2, 3, 4]);
        assert_eq!(ids(&fuse(&vector, &keyword, 0.0, Method::Convex)), [3, 4, 1, 2]);
        let half = fuse(&vector, &keyword, 0.5, Method::Convex);
        assert_eq!(half[0].score, 0.5);
        let three = half.iter().find(|f| f.id == 3).unwrap();
        assert_eq!((three.vector_rank, three.keyword_rank), (Some(3), Some(1)));
        assert_eq!((three.vector_score, three.keyword_score), (Some(0.1), Some(4.0)));
    }

    #[test]
    fn reciprocal_rank_adds_both_places() {
        let fused = fuse(&[(1, 0.9), (2, 0.8)], &[(2, 1.0)], 0.5, Method::ReciprocalRank);
        assert_eq!(ids(&fused), [2, 1]);
        assert!((fused[0].score - 0.5 * (1.0 / 62.0 + 1.0 / 61.0)).abs() < 1e-12);
    }

    #[test]
    fn an_empty_leg_and_scores_that_are_not_numbers_are_harmless() {
        assert!(fuse::<u32>(&[], &[], 0.5, Method::Convex).is_empty());
        let fused = fuse(&[(1, f64::NAN), (2, 0.5)], &[], 0.5, Method::Convex);
        assert_eq!(ids(&fused), [2, 1]);
    }

    #[test]
    fn equal_scores_are_ordered_by_id() {
        let fused = fuse(&[(9, 1.0), (3, 1.0), (5, 1.0)], &[], 0.5, Method::Convex);
        assert_eq!(ids(&fused), [3, 5, 9]);
    }

    #[test]
    fn doubt_moves_the_weight() {
        assert_eq!(expected_weight(&[1.0, 0.0], &[0.2, 0.8]), 0.2);
        assert!((expected_weight(&[0.5, 0.5], &[0.2, 0.8]) - 0.5).abs() < 1e-6);
        assert_eq!(expected_weight(&[], &[]), 0.5);
    }

    proptest! {
        #[test]
        fn every_row_appears_once_and_in_order(
            vector in prop::collection::btree_map(0u32..50, -1.0f64..1.0, 0..30),
            keyword in prop::collection::btree_map(0u32..50, 0.0f64..9.0, 0..30),
            weight in 0.0f64..=1.0,
        ) {
            let mut legs = [Vec::from_iter(vector), Vec::from_iter(keyword)];
            legs.iter_mut().for_each(|leg| leg.sort_by(|a, b| b.1.total_cmp(&a.1)));
            let fused = fuse(&legs[0], &legs[1], weight, Method::Convex);
            let mut expected: Vec<u32> = legs.concat().iter().map(|h| h.0).collect();
            expected.sort_unstable();
            expected.dedup();
            let mut found = ids(&fused);
            found.sort_unstable();
            prop_assert_eq!(found, expected);
            prop_assert!(fused.windows(2).all(|w| w[0].score >= w[1].score));
            prop_assert!(fused.iter().all(|f| (0.0..=1.0 + 1e-9).contains(&f.score)));
        }
    }
}
