//! When a page is known, although not all rows with words of the query have been read.
//!
//! The keyword leg reads the rows that can score above a floor, and lowers the floor until no other row can change the page.
//! What a row has to score for that is told by the last row of the page. Rows of the vector leg have their score by words
//! whether they are among the candidates of the keyword leg or not, so that what is left is in neither leg; and what such a
//! row is by meaning never adds to what its words bring.

use std::collections::HashMap;
use std::hash::Hash;

use super::fusion::{self, Fused, Legs, Method};
use super::paging::Page;

/// The part of a score that computing it forth and back may change, and much more.
const ROUNDING: f64 = 1e-9;

/// How the page is made of both legs.
#[derive(Debug, Clone, Copy)]
pub struct Pages<'a, Id> {
    /// The weight of the vector leg.
    pub vector_weight: f64,
    /// How the legs are fused.
    pub method: Method,
    /// What the scores of rows are multiplied by that have been read and are boosted.
    pub factors: &'a HashMap<Id, f64>,
    /// What the score of any row is multiplied by at most.
    pub most_factor: f64,
    /// The page.
    pub page: Page,
    /// The row after which it begins.
    pub after: Option<(f64, Id)>,
}

impl<Id: Copy + Eq + Hash + Ord> Pages<'_, Id> {
    /// The rows of both legs, fused and boosted.
    fn fused(&self, legs: Legs<'_, Id>) -> Vec<Fused<Id>> {
        let mut fused = fusion::fuse(legs, self.vector_weight, self.method);
        if !self.factors.is_empty() {
            fusion::boost(&mut fused, self.factors);
        }
        fused
    }

    /// The rows of the page; of rows in both legs alone with `both_legs`.
    #[must_use]
    pub fn of(&self, legs: Legs<'_, Id>, both_legs: bool) -> Vec<Fused<Id>> {
        self.page.of(self.fused(legs), both_legs, self.after)
    }

    /// The score by words above which rows may change the page: with all of these read, it is that of all rows. `None` where
    /// any row may.
    ///
    /// The keyword leg has the best of the rows that were read, those above some floor among them; with equal scores the lower
    /// id comes first. For pages of rows of either leg, by a method for which the score of a row tells what it brings.
    #[must_use]
    pub fn needed(&self, legs: Legs<'_, Id>) -> Option<f64> {
        if self.page.depth() == Some(0) {
            return Some(f64::INFINITY);
        }
        let page = self.of(legs, false);
        let (highest, least) = (legs.keyword.first()?.1, page.last()?.score);
        if !self.page.is_full(page.len()) {
            return None;
        }
        // What is fused is measured in the highest score of the leg: a higher one would change it all.
        let score = self.method.keyword_score(least / self.most_factor, self.vector_weight, highest);
        // Computed back from what is fused, it is off in its last digits: a row that comes to the same must not be above it.
        Some(score.map_or(highest, |score| (score * (1.0 - ROUNDING)).min(highest)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::search::fusion::Scale;

    fn ranked(mut rows: Vec<(u32, f64)>, most: usize) -> Vec<(u32, f64)> {
        rows.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        rows.truncate(most);
        rows
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]
        #[test]
        fn a_page_with_what_is_needed_is_that_of_all_rows(
            // For each row its score by words, of a few values so that some are equal, its similarity, and its boost.
            rows in prop::collection::vec((0u32..12, 0u32..40, prop::option::weighted(0.3, 0u32..4)), 1..40),
            candidates in 1usize..12,
            floors in prop::collection::vec(0u32..12, 1..5),
            read_below in any::<u64>(),
            vector_weight in 0.0f64..=1.0,
            bound in prop::option::of(0.1f64..20.0),
            limit in 0i32..8,
            offset in 0i32..4,
            after in prop::option::weighted(0.2, (0.0f64..1.0, 0u32..40)),
            // What the vector index has missed, and rows without an embedding.
            missed in any::<u64>(),
            without in any::<u64>(),
        ) {
            let words: Vec<(u32, f64)> = (0..).zip(&rows).filter(|(_, row)| row.0 > 0).map(|(id, row)| (id, f64::from(row.0))).collect();
            let similar: Vec<(u32, f64)> = (0..)
                .zip(&rows)
                .map(|(id, row)| (id, f64::from(row.1) / 40.0))
                .filter(|(id, _)| without >> id & 1 == 0)
                .collect();
            let vector = ranked(similar.iter().copied().filter(|(id, _)| missed >> id & 1 == 0).collect(), candidates);
            let nearest: HashSet<u32> = vector.iter().map(|(id, _)| *id).collect();
            let factors: HashMap<u32, f64> =
                (0..).zip(&rows).filter_map(|(id, row)| Some((id, 1.0 + f64::from(row.2?) / 4.0))).collect();
            let pages = Pages {
                vector_weight,
                method: Method::Convex {
                    vector: Scale::Table(Some(0.1)),
                    keyword: bound.map_or(Scale::Maximum, Scale::Bound),
                },
                factors: &factors,
                most_factor: 1.75,
                page: Page::new(Some(limit), Some(offset)).unwrap(),
                after,
            };
            let all = ranked(words.clone(), candidates);
            let words_of_vector: Vec<(u32, f64)> = words.iter().copied().filter(|(id, _)| nearest.contains(id)).collect();
            let known = Legs {
                vector: &vector,
                keyword: &all,
                words_of_vector: &words_of_vector,
                similarities_of_keyword: &similar,
            };
            let expected = pages.of(known, false);
            let mut floors: Vec<f64> = floors.into_iter().map(f64::from).chain([0.0]).collect();
            floors.sort_by(|a, b| b.total_cmp(a));
            for floor in floors {
                // Rows may have been read that do not reach the floor.
                let read = words.iter().copied().filter(|(id, score)| *score > floor || read_below >> id & 1 == 1);
                let keyword = ranked(read.collect(), candidates);
                let known = Legs { keyword: &keyword, ..known };
                if floor == 0.0 || pages.needed(known).is_some_and(|needed| needed > floor) {
                    let page = pages.of(known, false);
                    let told = |page: &[Fused<u32>]| page.iter().map(|row| (row.id, row.score, row.keyword_score)).collect::<Vec<_>>();
                    prop_assert_eq!(told(&page), told(&expected), "floor {}", floor);
                    break;
                }
            }
        }
    }
}
