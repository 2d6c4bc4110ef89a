//! How far a search leans on meaning: the weight of the vector leg of a query, from what kind of query it is and how rare
//! its words are.
//!
//! Features of the two result lists have no part in it: learned on some collections, they did no better on others than a
//! fixed weight (docs/SEARCH_QUALITY.md). What they tell of scores is in the [scales](crate::search::fusion::Scale).

/// A word that so many documents have is looked for in order to find these.
const HANDFUL: f64 = 4.0;
/// How fast that falls with their number; a word in four handfuls of documents is an eighth as telling.
const FALL: f64 = 1.5;

/// How rare the rarest word of a query is, by how many documents have each: 1 when a handful do at most, falling with the
/// power of 1.5 of their number; 0 when none has any.
#[must_use]
pub fn rarity(documents: impl IntoIterator<Item = u64>) -> f64 {
    let rarest = documents.into_iter().filter(|documents| *documents > 0).min();
    rarest.map_or(0.0, |documents| (HANDFUL / documents as f64).min(1.0).powf(FALL))
}

/// How much a query is one for an exact term, from 0 to 1: as far as its rarest word is [rare](rarity) and it is probably one of
/// keywords.
#[must_use]
pub fn exactness(rarity: f64, keyword: f64) -> f64 {
    (rarity * keyword).clamp(0.0, 1.0)
}

/// A probability as far from 0 or 1 as that is taken for it.
const NEXT_TO_CERTAIN: f64 = 0.05;

/// A type that a query may be of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kind {
    /// How probable it is, from 0 to 1.
    pub probability: f64,
    /// The weight of the vector leg for queries of this type, from 0 to 1.
    pub weight: f64,
    /// The same for those with an exact term.
    pub exact_weight: f64,
}

/// The weight of the vector leg for a query: the mean of the types' weights by their probabilities, each as much that of
/// exact terms as the query's rarest word is rare. Half when nothing is probable.
///
/// An argmax would jump where the classifier doubts; the mean moves with the doubt, and leaves out what is next to certain.
#[must_use]
pub fn vector_weight(kinds: &[Kind], rarity: f64) -> f64 {
    // One of the types is more probable than that, however many there are.
    let margin = NEXT_TO_CERTAIN.min(0.5 / kinds.len() as f64);
    let total: f64 = kinds.iter().map(|kind| kind.probability).sum();
    let share = |kind: &Kind| ((kind.probability / total - margin) / (1.0 - 2.0 * margin)).clamp(0.0, 1.0);
    let shares: f64 = kinds.iter().map(share).sum();
    if !(total > 0.0 && shares > 0.0) {
        return 0.5;
    }
    let weight = |kind: &Kind| (1.0 - rarity) * kind.weight + rarity * kind.exact_weight;
    kinds.iter().map(|kind| share(kind) * weight(kind)).sum::<f64>() / shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rarity_falls_with_the_number_of_documents() {
        assert_eq!(rarity([3, 100]), 1.0);
        assert_eq!(rarity([0, 16, 100]), 0.125);
        assert_eq!(rarity([0]), 0.0);
        assert_eq!(rarity([]), 0.0);
    }

    #[test]
    fn a_query_for_an_exact_term_has_a_rare_word_and_no_grammar() {
        assert_eq!(exactness(1.0, 1.0), 1.0);
        assert_eq!(exactness(0.125, 0.5), 0.0625);
        assert_eq!(exactness(0.0, 1.0), 0.0);
        assert_eq!(exactness(1.0, 0.0), 0.0);
    }

    #[test]
    fn doubt_and_rarity_move_the_weight() {
        let keyword = |probability| Kind { probability, weight: 0.5, exact_weight: 0.1 };
        let semantic = |probability| Kind { probability, weight: 0.7, exact_weight: 0.7 };
        assert_eq!(vector_weight(&[keyword(1.0), semantic(0.0)], 0.0), 0.5);
        assert_eq!(vector_weight(&[keyword(1.0), semantic(0.0)], 1.0), 0.1);
        assert!((vector_weight(&[keyword(0.5), semantic(0.5)], 1.0) - 0.4).abs() < 1e-12);
        assert!((vector_weight(&[keyword(0.5), semantic(0.5)], 0.25) - 0.55).abs() < 1e-12);
        assert!((vector_weight(&[keyword(0.725), semantic(0.275)], 0.0) - 0.55).abs() < 1e-12);
        for probability in [0.95, 0.97, 1.0] {
            let kinds = [keyword(probability), semantic(1.0 - probability)];
            assert!((vector_weight(&kinds, 1.0) - 0.1).abs() < 1e-12);
        }
        let many = vec![keyword(0.01); 100];
        assert!((vector_weight(&many, 0.0) - 0.5).abs() < 1e-12);
        assert_eq!(vector_weight(&[keyword(0.0)], 1.0), 0.5);
        assert_eq!(vector_weight(&[], 1.0), 0.5);
    }

    proptest! {
        #[test]
        fn a_weight_lies_between_those_it_is_made_of(
            kinds in prop::collection::vec((0.0f64..=1.0, 0.0f64..=1.0, 0.0f64..=1.0), 1..8),
            rarity in 0.0f64..=1.0,
        ) {
            let kinds: Vec<Kind> =
                kinds.into_iter().map(|(probability, weight, exact_weight)| Kind { probability, weight, exact_weight }).collect();
            let all = kinds.iter().flat_map(|kind| [kind.weight, kind.exact_weight]).chain([0.5]);
            let (low, high) = all.fold((1.0f64, 0.0f64), |(low, high), weight| (low.min(weight), high.max(weight)));
            let found = vector_weight(&kinds, rarity);
            prop_assert!((low - 1e-9..=high + 1e-9).contains(&found));
        }
    }
}
