//! The rows of a fused list that are on a page.

use crate::search::fusion::Fused;
use crate::search::refusal::Refusal;

/// What limit and offset add up to at most.
const MOST_ROWS: i64 = 10_000;

/// How many rows to give, and how many to pass over before; by default all of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Page {
    limit: Option<usize>,
    offset: usize,
}

impl Page {
    /// A page of `limit` rows after `offset` others; `None` is all rows, or none before.
    ///
    /// # Errors
    /// Where one of them is negative, or their sum is above 10,000.
    pub fn new(limit: Option<i32>, offset: Option<i32>) -> Result<Self, Refusal> {
        let sum = limit.zip(offset).map(|(limit, offset)| i64::from(limit) + i64::from(offset));
        let size = |rows: Option<i32>| rows.map(usize::try_from).transpose();
        match (size(limit), size(offset)) {
            (Ok(limit), Ok(offset)) if sum.is_none_or(|sum| sum <= MOST_ROWS) => {
                Ok(Self { limit, offset: offset.unwrap_or(0) })
            }
            _ => {
                let shown = |rows: Option<i32>| rows.map_or("<NULL>".to_owned(), |rows| rows.to_string());
                let message = format!("limit {} with offset {} is out of range", shown(limit), shown(offset));
                Err(Refusal::invalid(message)
                    .hint(format!("Neither may be negative, and their sum may be {MOST_ROWS} at most.")))
            }
        }
    }

    /// Whether no rows come before it by its offset.
    #[must_use]
    pub fn is_first(self) -> bool {
        self.offset == 0
    }

    /// How many rows have to be known before the page is; none where all of a list are on it.
    #[must_use]
    pub fn depth(self) -> Option<usize> {
        self.limit.map(|limit| limit + self.offset)
    }

    /// Whether so many rows fill it.
    #[must_use]
    pub fn is_full(self, rows: usize) -> bool {
        self.limit.is_some_and(|limit| rows >= limit)
    }

    /// The rows of a fused list, in its order, that are on the page.
    ///
    /// With `both_legs`, rows that one leg alone has found do not count. `after` is the score and the id of a row, which
    /// need not be among them: only rows behind that place count, whose score is lower, or the same with a higher id.
    #[must_use]
    pub fn of<Id: Ord>(self, fused: Vec<Fused<Id>>, both_legs: bool, after: Option<(f64, Id)>) -> Vec<Fused<Id>> {
        let found = |row: &Fused<Id>| !both_legs || row.vector_rank.is_some() && row.keyword_rank.is_some();
        let behind = |row: &Fused<Id>| {
            after.as_ref().is_none_or(|(score, id)| row.score < *score || row.score == *score && row.id > *id)
        };
        let counting = fused.into_iter().filter(|row| found(row) && behind(row));
        counting.skip(self.offset).take(self.limit.unwrap_or(usize::MAX)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::search::fusion::{Legs, Method, Scale, fuse};

    fn page(limit: impl Into<Option<i32>>, offset: impl Into<Option<i32>>) -> Page {
        Page::new(limit.into(), offset.into()).unwrap()
    }

    fn list(vector: &[(u32, f64)], keyword: &[(u32, f64)]) -> Vec<Fused<u32>> {
        fuse(Legs::new(vector, keyword), 0.5, Method::Convex { vector: Scale::Maximum, keyword: Scale::Maximum })
    }

    fn ids(rows: &[Fused<u32>]) -> Vec<u32> {
        rows.iter().map(|row| row.id).collect()
    }

    #[test]
    fn limits_and_offsets_that_no_search_answers() {
        for (limit, offset, shown) in [
            (Some(-1), Some(0), "limit -1 with offset 0"),
            (Some(10), Some(-1), "limit 10 with offset -1"),
            (Some(10), Some(i32::MAX), "limit 10 with offset 2147483647"),
            (Some(i32::MAX), Some(i32::MAX), "limit 2147483647 with offset 2147483647"),
            (Some(i32::MIN), Some(i32::MIN), "limit -2147483648 with offset -2147483648"),
            (Some(9_999), Some(2), "limit 9999 with offset 2"),
            (Some(-1), None, "limit -1 with offset <NULL>"),
            (None, Some(-1), "limit <NULL> with offset -1"),
        ] {
            let refusal = Page::new(limit, offset).unwrap_err();
            let hint = "Neither may be negative, and their sum may be 10000 at most.";
            assert_eq!(refusal, Refusal::invalid(format!("{shown} is out of range")).hint(hint));
        }
        // As with null as one of them nothing is known of the sum.
        for (limit, offset) in [(0, 0), (10_000, 0), (0, 10_000), (9_999, 1)] {
            assert!(Page::new(Some(limit), Some(offset)).is_ok());
        }
        for (limit, offset) in [(None, None), (None, Some(i32::MAX)), (Some(i32::MAX), None)] {
            assert!(Page::new(limit, offset).is_ok());
        }
    }

    #[test]
    fn the_place_after_a_row_is_by_score_and_id() {
        let rows = || list(&[(1, 8.0), (2, 4.0), (3, 4.0), (4, 4.0), (5, 2.0)], &[]);
        assert_eq!(ids(&rows()), [1, 2, 3, 4, 5]);
        let behind = |score, id| ids(&page(None, None).of(rows(), false, Some((score, id))));
        assert_eq!(behind(0.25, 3), [4, 5]);
        assert_eq!(behind(0.25, 9), [5]);
        assert_eq!(behind(0.3, 9), [2, 3, 4, 5]);
        assert_eq!(behind(f64::MAX, 0), [1, 2, 3, 4, 5]);
        assert!(behind(0.0, 0).is_empty());
        assert_eq!(ids(&page(1, 1).of(rows(), false, Some((0.25, 2)))), [4]);
    }

    #[test]
    fn ids_are_compared_as_bytes() {
        let rows = fuse(Legs::new(&[("a", 1.0), ("B", 1.0), ("é", 1.0)], &[]), 1.0, Method::ReciprocalRank);
        let place = (rows[0].score, rows[0].id);
        let behind = page(None, None).of(rows, false, Some(place));
        assert_eq!(behind.iter().map(|row| row.id).collect::<Vec<_>>(), ["B", "é"]);
        let alike = fuse(Legs::new(&[("a", 1.0), ("B", 1.0), ("é", 1.0)], &[]), 0.0, Method::ReciprocalRank);
        let behind = page(None, None).of(alike, false, Some((0.0, "B")));
        assert_eq!(behind.iter().map(|row| row.id).collect::<Vec<_>>(), ["a", "é"]);
    }

    #[test]
    fn rows_of_both_legs_are_paged_among_themselves() {
        let rows = || list(&[(1, 8.0), (2, 4.0), (3, 2.0)], &[(3, 9.0), (2, 3.0), (4, 1.0)]);
        assert_eq!(ids(&page(None, None).of(rows(), true, None)), [3, 2]);
        assert_eq!(ids(&page(1, 1).of(rows(), true, None)), [2]);
        assert!(page(10, 2).of(rows(), true, None).is_empty());
    }

    proptest! {
        #[test]
        fn pages_follow_one_another_by_offset_and_by_place(
            scores in prop::collection::btree_map(0u32..60, 0u8..6, 0..50),
            size in 1i32..9,
        ) {
            let mut leg: Vec<(u32, f64)> = scores.into_iter().map(|(id, score)| (id, f64::from(score))).collect();
            leg.sort_by(|a, b| b.1.total_cmp(&a.1));
            let all = list(&leg, &[]);
            let (mut by_offset, mut by_place) = (Vec::new(), Vec::new());
            let mut place = None;
            for number in 0..=50 / size {
                by_offset.extend(page(size, number * size).of(all.clone(), false, None));
                let next = page(size, None).of(all.clone(), false, place);
                place = next.last().map(|row| (row.score, row.id)).or(place);
                by_place.extend(next);
            }
            prop_assert_eq!(&by_offset, &all);
            prop_assert_eq!(&by_place, &all);
        }
    }
}
