//! Finds the weights and parameters of a search that suit a table, by queries whose right answers are known.
//!
//! What is tuned is little, and it is held towards what was there before: with a hundred judged queries, the best of
//! many settings is best by chance as much as by merit.

use std::collections::HashMap;
use std::hash::Hash;

use crate::search::fusion::{self, Legs, Method};

/// Weights of the vector leg that are compared: 0, 0.05, … 1.
pub const WEIGHTS: usize = 21;
/// Parts that queries are cut into for cross-validation.
const FOLDS: usize = 5;
/// How far below the weight of other queries that of exact terms is expected, in steps.
const EXACT_BELOW: usize = 9;
/// What a step away from the present parameters of BM25 costs, in queries that turn from 0 to 1; its square counts.
/// Chosen, as are the next, by halves of nine collections with three embedding models (docs/SEARCH_QUALITY.md), and
/// not lower than this: one query that turns from 0.5 to 0.9 would pay for three steps of k1 and two of b.
const PARAMETER_PRICE: f64 = 0.032;
/// What a step away from the present weight costs.
const WEIGHT_PRICE: f64 = 0.03;
/// What a step of the weight of exact terms away from where it is expected costs.
const EXACT_PRICE: f64 = 0.02;

/// The weight of a place in `0..WEIGHTS`.
#[must_use]
pub fn weight(place: usize) -> f64 {
    place as f64 / (WEIGHTS - 1) as f64
}

/// Normalised discounted cumulative gain of a ranked list at 10, with the gain 2^grade − 1 (Burges et al., "Learning to
/// Rank using Gradient Descent", 2005): from 0 to 1, and 0 when nothing is relevant.
#[must_use]
pub fn ndcg<Id: Eq + Hash>(ranked: &[Id], grades: &HashMap<Id, f64>) -> f64 {
    let gain = |grade: f64| grade.exp2() - 1.0;
    let discounted = |gains: &mut dyn Iterator<Item = f64>| -> f64 {
        gains.take(10).enumerate().map(|(place, gain)| gain / (place as f64 + 2.0).log2()).sum()
    };
    let mut ideal: Vec<f64> = grades.values().filter(|grade| **grade > 0.0).map(|grade| gain(*grade)).collect();
    ideal.sort_by(|a, b| b.total_cmp(a));
    let best = discounted(&mut ideal.into_iter());
    if best <= 0.0 {
        return 0.0;
    }
    let grade = |id: &Id| grades.get(id).copied().unwrap_or(0.0).max(0.0);
    discounted(&mut ranked.iter().map(|id| gain(grade(id)))) / best
}

/// The nDCG at 10 of two fused legs for each of some weights of the vector leg.
#[must_use]
pub fn weight_curve<Id: Clone + Eq + Hash + Ord>(
    legs: Legs<'_, Id>,
    method: Method,
    grades: &HashMap<Id, f64>,
    weights: impl IntoIterator<Item = f64>,
) -> Vec<f64> {
    let at = |weight: f64| {
        let ranked: Vec<Id> = fusion::fuse(legs, weight, method).into_iter().map(|row| row.id).collect();
        ndcg(&ranked, grades)
    };
    weights.into_iter().map(at).collect()
}

/// What is known of some judged queries.
pub struct Judged {
    /// How much each query is one for an exact term, from 0 to 1: its weight is that much of the way from the weight
    /// of other queries to that of exact terms.
    pub exactness: Vec<f64>,
    /// The parameters that were tried, as places of k1 and b on their grids.
    pub parameters: Vec<(usize, usize)>,
    /// For each query, each of `parameters` and each of [`WEIGHTS`] weights, in this order: the measure.
    pub curves: Vec<f64>,
}

/// What a search is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// An element of [`Judged::parameters`].
    pub parameters: usize,
    /// Place of the weight of queries without an exact term.
    pub weight: usize,
    /// Place of the weight of queries for an exact term.
    pub exact: usize,
}

/// What tuning has found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuned {
    /// What suits all queries best.
    pub setting: Setting,
    /// The mean measure of queries, each by the setting that suits those of the other folds best.
    pub validated: f64,
}

impl Judged {
    /// Finds the setting that suits the queries, held towards `present`; none when the parts do not fit together.
    #[must_use]
    pub fn tune(&self, present: Setting) -> Option<Tuned> {
        let queries = self.exactness.len();
        if queries == 0
            || present.parameters >= self.parameters.len()
            || present.weight.max(present.exact) >= WEIGHTS
            || self.curves.len() != self.parameters.len() * queries * WEIGHTS
        {
            return None;
        }
        let all: Vec<usize> = (0..queries).collect();
        let mut sum = 0.0;
        for fold in 0..FOLDS.min(queries) {
            let (held, rest): (Vec<usize>, Vec<usize>) = all.iter().partition(|query| **query % FOLDS == fold);
            let setting = self.best(if rest.is_empty() { &held } else { &rest }, present);
            sum += held.iter().map(|query| self.measure(*query, setting)).sum::<f64>();
        }
        Some(Tuned { setting: self.best(&all, present), validated: sum / queries as f64 })
    }

    /// The measure of a query under a setting.
    fn measure(&self, query: usize, setting: Setting) -> f64 {
        let exactness = self.exactness[query].clamp(0.0, 1.0);
        let place = (1.0 - exactness) * setting.weight as f64 + exactness * setting.exact as f64;
        let start = (query * self.parameters.len() + setting.parameters) * WEIGHTS;
        self.curves[start + place.round() as usize]
    }

    /// What suits some queries best.
    fn best(&self, queries: &[usize], present: Setting) -> Setting {
        let surface = Surface::new(self, queries);
        let (k1, b) = self.parameters[present.parameters];
        let square = |from: usize, to: usize| (from.abs_diff(to) as f64).powi(2);
        let mut best = (f64::NEG_INFINITY, present);
        for (parameters, place) in self.parameters.iter().enumerate() {
            for weight in 0..WEIGHTS {
                for exact in 0..WEIGHTS {
                    let price = PARAMETER_PRICE * (square(place.0, k1) + square(place.1, b))
                        + WEIGHT_PRICE * square(weight, present.weight)
                        + EXACT_PRICE * square(exact, weight.saturating_sub(EXACT_BELOW));
                    let value = surface.smooth(parameters, weight, exact) - price / queries.len() as f64;
                    if value > best.0 {
                        best = (value, Setting { parameters, weight, exact });
                    }
                }
            }
        }
        best.1
    }
}

/// The mean measure of some queries for every setting.
struct Surface {
    means: Vec<f64>,
    /// For each of the parameters, those that are a step away from it, by k1 and by b.
    neighbours: Vec<[Vec<usize>; 2]>,
}

impl Surface {
    fn new(judged: &Judged, queries: &[usize]) -> Self {
        let settings = judged.parameters.len() * WEIGHTS * WEIGHTS;
        let mean = |n: usize| {
            let setting =
                Setting { parameters: n / WEIGHTS / WEIGHTS, weight: n / WEIGHTS % WEIGHTS, exact: n % WEIGHTS };
            queries.iter().map(|query| judged.measure(*query, setting)).sum::<f64>() / queries.len() as f64
        };
        let means = (0..settings).map(mean).collect();
        let places = &judged.parameters;
        let near = |a: (usize, usize), step: fn((usize, usize), (usize, usize)) -> bool| {
            (0..places.len()).filter(|n| step(a, places[*n])).collect::<Vec<usize>>()
        };
        let neighbours = places
            .iter()
            .map(|a| {
                [
                    near(*a, |a, b| a.0.abs_diff(b.0) == 1 && a.1 == b.1),
                    near(*a, |a, b| a.0 == b.0 && a.1.abs_diff(b.1) == 1),
                ]
            })
            .collect();
        Self { means, neighbours }
    }

    fn mean(&self, parameters: usize, weight: usize, exact: usize) -> f64 {
        self.means[(parameters * WEIGHTS + weight) * WEIGHTS + exact]
    }

    /// The mean, half of it that of the settings around it: a peak that stands alone is chance.
    fn smooth(&self, parameters: usize, weight: usize, exact: usize) -> f64 {
        let step = |place: usize, by: isize| place.saturating_add_signed(by).min(WEIGHTS - 1);
        let mut around = Vec::with_capacity(8);
        for by in [-1, 1] {
            around.push(self.mean(parameters, step(weight, by), exact));
            around.push(self.mean(parameters, weight, step(exact, by)));
        }
        around.extend(self.neighbours[parameters].iter().flatten().map(|other| self.mean(*other, weight, exact)));
        (self.mean(parameters, weight, exact) + around.iter().sum::<f64>() / around.len() as f64) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRESENT: Setting = Setting { parameters: 0, weight: 11, exact: 2 };

    /// Queries whose measure falls with the distance of their weight from the best one, which `best` gives.
    fn judged(
        exactness: Vec<f64>,
        parameters: Vec<(usize, usize)>,
        best: impl Fn(usize, usize) -> (f64, f64),
    ) -> Judged {
        let mut curves = Vec::new();
        for query in 0..exactness.len() {
            for setting in 0..parameters.len() {
                let (height, peak) = best(setting, query);
                curves.extend((0..WEIGHTS).map(|place| height - 0.5 * (weight(place) - peak).abs()));
            }
        }
        Judged { exactness, parameters, curves }
    }

    #[test]
    fn ndcg_by_hand() {
        let grades = HashMap::from([("a", 1.0), ("b", 2.0), ("c", 0.0)]);
        assert_eq!(ndcg(&["b", "a"], &grades), 1.0);
        let found = ndcg(&["c", "a", "x", "b"], &grades);
        let expected = (1.0 / 3f64.log2() + 3.0 / 5f64.log2()) / (3.0 + 1.0 / 3f64.log2());
        assert!((found - expected).abs() < 1e-12);
        assert_eq!(ndcg(&["c"], &HashMap::from([("c", 0.0)])), 0.0);
        let far: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        assert_eq!(ndcg(&far, &HashMap::from([("10".to_owned(), 1.0)])), 0.0);
    }

    #[test]
    fn a_curve_follows_the_weight() {
        let vector = [(1, 0.9), (2, 0.1)];
        let keyword = [(2, 5.0), (3, 4.0)];
        let curve =
            weight_curve(Legs::new(&vector, &keyword), Method::ReciprocalRank, &HashMap::from([(1, 1.0)]), [0.0, 1.0]);
        assert!(curve[0] < curve[1] && curve[1] == 1.0, "{curve:?}");
    }

    #[test]
    fn weights_and_parameters_are_found() {
        let exactness = (0..60).map(|query| f64::from(query % 3 == 0)).collect();
        let places = vec![(1, 1), (1, 2), (2, 1), (2, 2)];
        let judged = judged(exactness, places, |setting, query| {
            (if setting == 3 { 0.9 } else { 0.6 }, if query % 3 == 0 { 0.05 } else { 0.7 })
        });
        let tuned = judged.tune(PRESENT).unwrap();
        assert_eq!(tuned.setting, Setting { parameters: 3, weight: 14, exact: 1 });
        assert!((tuned.validated - 0.9).abs() < 0.05, "{tuned:?}");
    }

    #[test]
    fn what_makes_no_difference_stays_as_it_is() {
        let judged = judged(vec![0.0; 40], vec![(1, 1), (2, 1)], |_, _| (0.5, 0.55));
        assert_eq!(judged.tune(PRESENT).unwrap().setting, PRESENT);
        let flat = Judged { curves: vec![0.5; judged.curves.len()], ..judged };
        assert_eq!(flat.tune(PRESENT).unwrap().setting, PRESENT);
    }

    #[test]
    fn one_lucky_query_moves_nothing_far() {
        let judged = judged(vec![0.0; 50], vec![(1, 1), (4, 3)], |setting, query| {
            (if setting == 1 && query == 7 { 0.9 } else { 0.5 }, 0.5)
        });
        assert_eq!(judged.tune(PRESENT).unwrap().setting.parameters, 0);
    }

    #[test]
    fn parts_that_do_not_fit_give_nothing() {
        let fit = judged(vec![0.0; 3], vec![(0, 0)], |_, _| (0.5, 0.5));
        assert!(fit.tune(Setting { parameters: 1, ..PRESENT }).is_none());
        assert!(fit.tune(Setting { weight: WEIGHTS, ..PRESENT }).is_none());
        assert!(Judged { exactness: vec![0.0; 2], ..fit }.tune(PRESENT).is_none());
        assert!(Judged { exactness: vec![], parameters: vec![(0, 0)], curves: vec![] }.tune(PRESENT).is_none());
    }

    proptest! {
        #[test]
        fn a_measure_lies_between_0_and_1(
            ranked in prop::collection::vec(0u8..30, 0..30),
            grades in prop::collection::hash_map(0u8..30, -1.0f64..10.0, 0..30),
        ) {
            let mut seen = std::collections::HashSet::new();
            let ranked: Vec<u8> = ranked.into_iter().filter(|id| seen.insert(*id)).collect();
            prop_assert!((0.0..=1.0 + 1e-12).contains(&ndcg(&ranked, &grades)));
        }

        #[test]
        fn a_setting_is_always_one_of_those_tried(
            exactness in prop::collection::vec(0.0f64..=1.0, 1..20),
            seed in 0u64..1000,
        ) {
            let noise = |n: usize| ((n as u64 + 1).wrapping_mul(seed + 7919) % 997) as f64 / 997.0;
            let judged = judged(exactness, vec![(0, 0), (0, 1)], |setting, query| (noise(setting * 31 + query), noise(query)));
            let tuned = judged.tune(PRESENT).unwrap();
            prop_assert!(tuned.setting.parameters < 2 && tuned.setting.weight.max(tuned.setting.exact) < WEIGHTS);
            prop_assert!(tuned.validated <= 1.0);
        }
    }
}
