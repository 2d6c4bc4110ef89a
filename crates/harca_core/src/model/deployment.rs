//! Which models of a database are to answer, and which of them answers a given query.
//!
//! The active model answers. A challenger may be compared with it on live traffic: as an A/B test or a canary it answers a
//! share of the queries, as a shadow it runs beside the active one and is only recorded. Which queries are in the share
//! follows from a hash of their text alone, so that the same query goes to the same model in every session, on every
//! replica and after a restart, and a larger share holds all of a smaller one.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How a challenger takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// It answers its share, for as long as the comparison takes.
    AbTest,
    /// It answers a small share, before it is activated.
    Canary,
    /// It runs for its share and never answers.
    Shadow,
}

impl Comparison {
    /// The comparison of this name: `ab`, `canary` or `shadow`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "ab" => Some(Self::AbTest),
            "canary" => Some(Self::Canary),
            "shadow" => Some(Self::Shadow),
            _ => None,
        }
    }

    /// Whether the challenger's answers are given to whoever asks.
    #[must_use]
    pub fn answers(self) -> bool {
        self != Self::Shadow
    }
}

/// A share of all queries, chosen by their text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// From 0, none, to 1, all.
    pub share: f64,
    /// Makes the choice of one comparison independent of that of another.
    pub salt: u64,
}

impl Share {
    /// The share of the queries for a comparison with `model`.
    #[must_use]
    pub fn of(share: f64, model: &str) -> Self {
        Self { share, salt: xxh3_64_with_seed(model.as_bytes(), 0) }
    }

    /// Whether a query with these bytes is in it.
    #[must_use]
    pub fn holds(&self, query: &[u8]) -> bool {
        // 2⁶⁴ values; as a real number the hash is right to 2⁻⁵³ of them, which no share can tell.
        self.share >= 1.0 || (xxh3_64_with_seed(query, self.salt) as f64) < self.share * u64::MAX as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_share_is_one_of_many_queries() {
        for share in [0.0, 0.1, 0.5, 0.9, 1.0] {
            let share = Share::of(share, "query_type 1");
            let held = (0..20_000).filter(|n| share.holds(format!("query {n}").as_bytes())).count();
            assert!((held as f64 / 20_000.0 - share.share).abs() < 0.015, "{held} of {}", share.share);
        }
    }

    #[test]
    fn comparisons_choose_independently() {
        let [one, two] = ["one 1", "two 1"].map(|model| Share::of(0.5, model));
        let both =
            (0..20_000).map(|n| format!("query {n}")).filter(|q| one.holds(q.as_bytes()) && two.holds(q.as_bytes()));
        assert!((both.count() as f64 / 20_000.0 - 0.25).abs() < 0.015);
    }

    #[test]
    fn the_choice_is_the_same_everywhere() {
        // A literal: it must not change from one version to the next while a comparison runs.
        let share = Share::of(0.5, "query_type 1");
        let choice: Vec<bool> = (0..12).map(|n| share.holds(format!("query {n}").as_bytes())).collect();
        assert_eq!(choice, [true, true, false, true, true, true, false, true, true, true, false, true]);
    }

    #[test]
    fn names_are_those_of_the_sql() {
        assert_eq!(Comparison::named("canary"), Some(Comparison::Canary));
        assert_eq!(Comparison::named("Canary"), None);
        assert!(Comparison::AbTest.answers() && !Comparison::Shadow.answers());
    }

    proptest! {
        #[test]
        fn a_larger_share_holds_the_smaller_one(query in any::<Vec<u8>>(), a in 0.0f64..=1.0, b in 0.0f64..=1.0) {
            let held = Share::of(a.min(b), "m").holds(&query);
            prop_assert!(!held || Share::of(a.max(b), "m").holds(&query));
        }
    }
}
