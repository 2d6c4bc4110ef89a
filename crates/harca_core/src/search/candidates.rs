//! Which documents a search by words looks at: so many as it can afford, those first that can score high.
//!
//! Every document with any word of a query has a score, and a common word alone is in half a table. Such a word moves
//! the scores of documents that are there for another one, and brings none of its own unless it meets a second word in
//! them: what has several words of the query ranks before what has one.

/// Words that are too common to be looked up alone and are paired with one another; the pairs of more would be many.
const PAIRED: usize = 8;

/// A way into the documents; a search looks at the union of its units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Those with this term.
    One(usize),
    /// Those with both terms.
    Both(usize, usize),
}

/// The units that a search for terms can afford, the rarest first.
///
/// `documents` says how many documents have each term, `total` how many there are, and `most` how many may be looked
/// at. The counts of the units are summed up as if they shared no document, and those of pairs estimated as if words met
/// by chance: what is really looked at may be more or less, and the search has to stop at `most` by itself. A table
/// that is small enough is looked at as a whole. At least the rarest unit is always among the answer, unless there are
/// no terms.
#[must_use]
pub fn units(documents: &[u64], total: u64, most: u64) -> Vec<Unit> {
    let mut terms: Vec<(u64, usize)> = documents.iter().copied().zip(0..).collect();
    terms.sort_unstable();
    let singles: Vec<(f64, Unit)> = terms.iter().map(|&(count, term)| (count as f64, Unit::One(term))).collect();
    let mut left = most as f64;
    if total <= most {
        left = f64::INFINITY;
    }
    let alone = afford(&singles, &mut left);
    let common = &terms[alone..];
    let common = &common[..common.len().min(PAIRED)];
    let mut pairs: Vec<(f64, Unit)> = Vec::new();
    for (i, &(a, first)) in common.iter().enumerate() {
        for &(b, second) in &common[..i] {
            pairs.push((a as f64 * b as f64 / total.max(1) as f64, Unit::Both(second, first)));
        }
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let together = afford(&pairs, &mut left);
    let mut units: Vec<Unit> = singles[..alone].iter().chain(&pairs[..together]).map(|(_, unit)| *unit).collect();
    if units.is_empty() {
        units.extend(pairs.first().or(singles.first()).map(|(_, unit)| *unit));
    }
    units
}

/// How many of the units, the rarest first, `left` pays for; takes their price from it.
fn afford(units: &[(f64, Unit)], left: &mut f64) -> usize {
    let paid = units.iter().take_while(|(price, _)| {
        let enough = price <= left;
        *left -= if enough { *price } else { 0.0 };
        enough
    });
    paid.count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Unit::{Both, One};
    use super::*;

    #[test]
    fn rare_terms_stand_alone_and_common_ones_together() {
        let documents = [400_000, 12, 300_000, 3_000, 30_000];
        assert_eq!(units(&documents, 1_000_000, 20_000), [One(1), One(3), Both(4, 2)]);
        assert_eq!(units(&documents, 1_000_000, 1_000_000), [One(1), One(3), One(4), One(2), One(0)]);
        assert_eq!(units(&documents, 1_000_000, 100), [One(1)]);
    }

    #[test]
    fn a_small_table_is_looked_at_as_a_whole() {
        assert_eq!(units(&[900, 800, 700], 1_000, 1_000), [One(2), One(1), One(0)]);
    }

    #[test]
    fn something_is_always_looked_at() {
        assert_eq!(units(&[500_000], 1_000_000, 1_000), [One(0)]);
        assert_eq!(units(&[500_000, 400_000], 1_000_000, 1_000), [Both(1, 0)]);
        assert_eq!(units(&[], 1_000_000, 1_000), []);
        assert_eq!(units(&[5], 0, 0), [One(0)]);
    }

    proptest! {
        #[test]
        fn the_price_is_bounded(
            documents in prop::collection::vec(0u64..1_000_000, 0..40),
            most in 0u64..200_000,
        ) {
            let total = 1_000_000;
            let units = units(&documents, total, most);
            let price = |unit: &Unit| match *unit {
                One(term) => documents[term] as f64,
                Both(a, b) => documents[a] as f64 * documents[b] as f64 / total as f64,
            };
            let sum: f64 = units.iter().map(price).sum();
            prop_assert!(units.len() == 1 || sum <= most as f64 * (1.0 + 1e-9));
            prop_assert_eq!(units.is_empty(), documents.is_empty());
            let mut seen = std::collections::HashSet::new();
            for unit in units {
                let key = match unit { One(a) => (a, a), Both(a, b) => (a.min(b), a.max(b)) };
                prop_assert!(seen.insert(key) && (matches!(unit, One(_)) || key.0 != key.1));
            }
        }
    }
}
