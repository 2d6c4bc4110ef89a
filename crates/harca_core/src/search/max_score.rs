//! Which documents a search by words has to look at: those that can still be among the best.
//!
//! Every document with any word of a query has a score, and a common word alone is in half a table. But what a document
//! can score at most is told by which of the words it has, before it is read: the sum of what each can bring. Once enough
//! documents are known to score higher than that, all with no more of the words than these can be left out. This is
//! MaxScore (Turtle and Flood, "Query evaluation: strategies and optimizations", 1995) for an index that can find
//! documents by a boolean condition and knows nothing of frequencies: a GIN index. [Marks](super::frequency_marks) in the
//! index tell it something of these, and of the lengths of documents.
//!
//! A search goes in passes, each of which looks at all documents that can score above a *floor*. The first floor is high,
//! where the documents with the rarest words and with most of the words are; [`MaxScore::next`] lowers it until what is
//! needed, the score of the last row of a page, is above it. What has not been looked at scores no more than the floor.

mod condition;

pub use condition::Condition;

use super::frequency_marks::THRESHOLDS;
use super::length_classes::Lengths;

/// Terms whose combinations are told apart, those that can bring most.
const COMBINED: usize = 8;
/// Combinations that are told apart at most, levels of terms among them.
const MOST_COMBINATIONS: usize = 1024;
/// Bounds of all classes of lengths at most, and classes at least, if any.
const MOST_BOUNDS: usize = 2048;
const FEWEST_CLASSES: usize = 5;
/// Documents that a pass may be expected to find at least: it takes about as long to read them as for the rest of it.
const PASS: f64 = 50.0;
/// So many entries in the lists of an index give it one document more.
const ENTRIES: f64 = 256.0;
/// The same of the lists of lengths, each entry of which is held against the rest of a condition.
const LENGTH_ENTRIES: f64 = 32.0;
/// Documents that the first pass may be expected to find for each that is wanted.
const PER_WANTED: f64 = 5.0;
/// So many times as many documents as before may a further pass be expected to find.
const GROWTH: f64 = 16.0;
/// What is left of the documents that were too many.
const FRACTION: f64 = 4.0;
/// What rounding may make of a sum of scores.
const ROUNDING: f64 = 1e-9;

/// A way to find documents with a term, and what the term can bring to the score of those that are not found by a higher
/// level of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// What it brings at most.
    pub most: f64,
    /// How many documents are found, as far as is known.
    pub documents: f64,
}

/// What a query looks for: a word or a phrase.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Ways to find it. The first one finds all documents that have it; each further one finds a part of those of the one
    /// before, and all to which the term brings more than the one before can.
    pub levels: Vec<Level>,
}

impl Term {
    /// A term whose frequency in a document only the document tells.
    #[must_use]
    pub fn new(most: f64, documents: u64) -> Self {
        Self { levels: vec![Level { most, documents: documents as f64 }] }
    }

    /// A term of which an index tells whether a document has it as often as a [threshold](THRESHOLDS);
    /// `most` is what it brings at most to documents that have it no more than so often, or any number of times.
    #[must_use]
    pub fn by_frequency(most: impl Fn(Option<u32>) -> f64, documents: u64) -> Self {
        // How many have it that often is not known; of the words of texts, about so many.
        const SHARES: [f64; THRESHOLDS.len() + 1] = [1.0, 0.2, 0.08, 0.02];
        let least = THRESHOLDS.iter().copied().map(Some).chain([None]);
        let levels = least
            .zip(SHARES)
            .map(|(next, share)| Level { most: most(next.map(|next| next - 1)), documents: documents as f64 * share });
        Self { levels: levels.collect() }
    }

    /// What it brings to most documents at most.
    fn usual(&self) -> f64 {
        self.levels.first().map_or(0.0, |level| level.most)
    }

    /// How many documents have it.
    fn documents(&self) -> f64 {
        self.levels.first().map_or(0.0, |level| level.documents)
    }

    fn most(&self) -> f64 {
        self.levels.iter().map(|level| level.most).fold(0.0, f64::max)
    }
}

/// What comes after a pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Next {
    /// Nothing: no document that was not looked at can score what is needed.
    Done,
    /// A pass with this floor.
    Pass(f64),
    /// Nothing, although there may be more: another pass would look at too many documents.
    TooMany,
}

/// The bounds of a query's documents.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxScore {
    /// By the length of the documents, from the shortest on, whose bounds are the highest.
    classes: Vec<Class>,
    /// All bounds of all of them, from the highest on.
    bounds: Vec<f64>,
    total: f64,
}

/// Documents of some lengths.
#[derive(Debug, Clone, PartialEq)]
struct Class {
    lengths: Lengths,
    /// The terms, by how much they can bring, with their places in the query.
    terms: Vec<(usize, Term)>,
    /// What the terms from a place on can bring together.
    together: Vec<f64>,
    /// For combinations of the first terms, what they can bring, from the most on, and the share of the documents that is
    /// expected to have these or better ones.
    combinations: Vec<(f64, f64)>,
}

/// Groups of neighbouring classes, whose documents are looked at as if all were as short as the shortest of them.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cuts {
    /// The places of the last classes of the first and the second group; the last group ends with the last class.
    lasts: [Option<usize>; 2],
    /// How many documents are expected, and what finding them costs beside, in documents.
    cost: f64,
}

impl MaxScore {
    /// For the terms of a query, in a table of `total` documents, of which an index does not tell how long they are.
    #[must_use]
    pub fn new(terms: Vec<Term>, total: u64) -> Self {
        Self::by_length([(Lengths::ALL, terms)], total)
    }

    /// For documents whose lengths an index tells: classes of these from the shortest on, all together all documents, each
    /// with the terms of the query in the same order.
    #[must_use]
    pub fn by_length(classes: impl IntoIterator<Item = (Lengths, Vec<Term>)>, total: u64) -> Self {
        let total = (total as f64).max(1.0);
        let classes: Vec<Class> =
            classes.into_iter().map(|(lengths, terms)| Class::new(lengths, terms, total)).collect();
        let all = classes.iter().flat_map(|class| &class.combinations);
        let mut bounds: Vec<f64> = all.map(|(bound, _)| *bound).collect();
        bounds.sort_by(|a, b| b.total_cmp(a));
        bounds.dedup();
        Self { classes, bounds, total }
    }

    /// How many classes of lengths may be told apart for so many terms with so many levels each; with many terms, a class would
    /// take longer than it saves.
    #[must_use]
    pub fn most_classes(levels: impl IntoIterator<Item = usize>) -> usize {
        let combinations: usize = levels.into_iter().take(COMBINED).map(|levels| levels + 1).product();
        Some(MOST_BOUNDS / combinations.max(1)).filter(|most| *most >= FEWEST_CLASSES).unwrap_or(1)
    }

    /// What no document's score exceeds.
    #[must_use]
    pub fn most(&self) -> f64 {
        self.shortest().map_or(0.0, |class| class.together[0])
    }

    /// Those of the highest bounds.
    fn shortest(&self) -> Option<&Class> {
        self.classes.first()
    }

    /// How many documents are expected to be able to score above a floor, if words meet by chance, and what finding them costs
    /// beside, in documents.
    fn expected(&self, floor: f64) -> f64 {
        self.cuts(floor).cost
    }

    /// The best way to tell classes apart for a floor: the documents of a group all meet the condition of the shortest ones,
    /// and each group but the last costs a look at the lists of all documents up to its last class.
    fn cuts(&self, floor: f64) -> Cuts {
        let above: Vec<f64> = self.classes.iter().map(|class| class.expected(floor)).collect();
        // Shares of documents up to each class.
        let mut below = vec![0.0; self.classes.len() + 1];
        for (n, class) in self.classes.iter().enumerate() {
            below[n + 1] = below[n] + class.lengths.share;
        }
        let group = |from: usize, to: usize| (below[to] - below[from]) * above.get(from).unwrap_or(&0.0);
        let list = |to: usize| below[to] / LENGTH_ENTRIES;
        let all = self.classes.len();
        let cost = |lasts: [Option<usize>; 2], share: f64| Cuts { lasts, cost: self.total * share };
        let mut best = cost([None, None], group(0, all));
        for first in 1..all {
            let start = group(0, first) + list(first);
            let one = cost([Some(first - 1), None], start + group(first, all));
            if one.cost < best.cost {
                best = one;
            }
            for second in first + 1..all {
                let share = start + group(first, second) + list(second) + group(second, all);
                if self.total * share < best.cost {
                    best = cost([Some(first - 1), Some(second - 1)], share);
                }
            }
        }
        best
    }

    /// The lowest floor above which no more than so many documents are expected; below the highest bound at least, so that
    /// something is looked at.
    #[must_use]
    pub fn affordable(&self, documents: f64) -> f64 {
        let within = self.bounds.partition_point(|floor| self.expected(*floor) <= documents);
        // What is equal to a floor is not above it.
        let floor = match within.checked_sub(1) {
            Some(last) if within < self.bounds.len() || self.expected(0.0) > documents => self.bounds[last],
            _ => 0.0,
        };
        match self.bounds.first() {
            Some(highest) if floor >= *highest => self.lower(*highest),
            _ => floor,
        }
    }

    /// A floor above which fewer documents are expected than above another one, when these were too many to be all looked
    /// at: those with the rarest term, or a fraction; none where there is no higher one.
    #[must_use]
    pub fn higher(&self, floor: f64) -> Option<f64> {
        let first = self.shortest().and_then(|class| class.terms.first());
        let rarest = first.map_or(0.0, |(_, term)| term.documents());
        let fraction = self.expected(floor) / FRACTION;
        // What adds up to the rarest one's documents may do so to the last bit or not.
        let expected = [fraction.max(rarest * (1.0 + ROUNDING)), fraction];
        expected.map(|expected| self.affordable(expected)).into_iter().find(|higher| *higher > floor)
    }

    /// The highest bound of a combination below a floor.
    fn lower(&self, floor: f64) -> f64 {
        self.bounds.iter().copied().find(|most| *most < floor).unwrap_or(0.0)
    }

    /// The floor of the first pass of a search for the best `wanted` documents, which may look at `most` documents.
    #[must_use]
    pub fn first(&self, wanted: usize, most: u64) -> f64 {
        self.affordable((self.worth_a_pass() + PER_WANTED * wanted as f64).min(most as f64))
    }

    /// What comes after a pass that has looked at all documents above `floor`, and these were `read`.
    ///
    /// `needed` is what a document has to score to matter: those with less do not, once enough with more are known; none
    /// where all matter. `most` is how many documents a pass may look at.
    #[must_use]
    pub fn next(&self, floor: f64, read: u64, needed: Option<f64>, most: u64) -> Next {
        if floor <= 0.0 || needed.is_some_and(|needed| needed > floor * (1.0 + ROUNDING)) {
            return Next::Done;
        }
        let target = needed.map_or(0.0, |needed| (needed * (1.0 - ROUNDING)).clamp(0.0, floor * (1.0 - ROUNDING)));
        // Words of a query meet more often than by chance.
        let found = (read as f64 / self.expected(floor).max(1.0)).max(1.0);
        let expected = |floor: f64| (found * self.expected(floor)).min(self.at_most(floor));
        let growth = (GROWTH * (read as f64).max(self.worth_a_pass())).min(most as f64);
        if expected(target) <= growth {
            return Next::Pass(target);
        }
        let lower = target.max(self.affordable(growth / found));
        if lower < floor {
            return Next::Pass(lower);
        }
        // A single combination may be more than that. Without enough documents for a page it is looked at all the same.
        let lower = self.lower(floor).max(target);
        if needed.is_none() || expected(lower) <= most as f64 { Next::Pass(lower) } else { Next::TooMany }
    }

    /// Documents that take as long to read as a pass takes that goes through all lists.
    fn worth_a_pass(&self) -> f64 {
        PASS + self.at_most(0.0) / ENTRIES
    }

    /// How many documents can score above a floor at most: those with any of the terms without which they cannot.
    fn at_most(&self, floor: f64) -> f64 {
        self.shortest().map_or(0.0, |class| class.needed(floor).map(|(_, term)| term.documents()).sum())
    }

    /// What documents have that can score above a floor; all with any of the terms for a floor of 0.
    #[must_use]
    pub fn condition(&self, floor: f64) -> Condition {
        let [first, second] = self.cuts(floor).lasts;
        // Groups of classes from the longest documents on: each with its first class and its last, if there is one behind it.
        let (mut groups, mut last) = (Vec::new(), None);
        for before in [second, first].into_iter().flatten() {
            groups.push((before + 1, last));
            last = Some(before);
        }
        groups.push((0, last));
        let parts = condition::MOST_PARTS / groups.len();
        let mut ways: Vec<(Option<usize>, Condition)> = Vec::new();
        for (start, last) in groups {
            let Some(class) = self.classes.get(start) else { continue };
            let condition = Condition::above(class, floor, parts);
            if ways.last().is_none_or(|(_, longer)| *longer != condition) {
                ways.push((last.and_then(|last| self.classes[last].lengths.last), condition));
            }
        }
        Condition::any_within(ways)
    }

    /// Whether documents are looked at that have one of the terms alone, by its place in the query.
    #[must_use]
    pub fn alone(&self, term: usize, floor: f64) -> bool {
        let mut terms = self.shortest().into_iter().flat_map(|class| &class.terms);
        terms.any(|(place, known)| *place == term && known.most() > floor)
    }
}

impl Class {
    fn new(lengths: Lengths, terms: Vec<Term>, total: f64) -> Self {
        let mut terms: Vec<(usize, Term)> = terms.into_iter().enumerate().filter(|(_, t)| t.most() > 0.0).collect();
        terms.sort_by(|(_, a), (_, b)| b.most().total_cmp(&a.most()));
        let mut together = vec![0.0; terms.len() + 1];
        for n in (0..terms.len()).rev() {
            together[n] = together[n + 1] + terms[n].1.most();
        }
        let combinations = combinations(&terms, total);
        Self { lengths, terms, together, combinations }
    }

    /// The share of its documents that are expected to be able to score above a floor.
    fn expected(&self, floor: f64) -> f64 {
        let above = self.combinations.partition_point(|(most, _)| *most > floor);
        above.checked_sub(1).map_or(0.0, |last| self.combinations[last].1)
    }

    /// The terms without which a document cannot score above a floor.
    fn needed(&self, floor: f64) -> impl Iterator<Item = &(usize, Term)> {
        self.terms.iter().zip(&self.together).take_while(move |(_, together)| **together > floor).map(|(term, _)| term)
    }
}

/// What combinations of the first terms can bring, and the share of the documents that have these or better ones.
fn combinations(terms: &[(usize, Term)], total: f64) -> Vec<(f64, f64)> {
    let share = |level: Option<&Level>| level.map_or(0.0, |level| (level.documents / total).min(1.0));
    let mut all = vec![(0.0, 1.0)];
    let mut combined = 0;
    for (_, term) in terms.iter().take(COMBINED) {
        // Where there is no room for all of its levels, it counts by what it brings on average.
        let levels: Vec<(f64, f64)> = if all.len() * (term.levels.len() + 1) <= MOST_COMBINATIONS {
            let chance = |n: usize| share(term.levels.get(n)) - share(term.levels.get(n + 1));
            term.levels.iter().enumerate().map(|(n, level)| (level.most, chance(n).max(0.0))).collect()
        } else {
            vec![(term.usual(), share(term.levels.first()))]
        };
        if all.len() * (levels.len() + 1) > MOST_COMBINATIONS {
            break;
        }
        combined += 1;
        let mut more = Vec::with_capacity(all.len() * (levels.len() + 1));
        for (bound, chance) in all {
            more.push((bound, chance * (1.0 - share(term.levels.first()))));
            more.extend(levels.iter().map(|(most, share)| (bound + most, chance * share)));
        }
        all = more;
    }
    // What the others bring to a document on average.
    let rest: f64 = terms[combined..].iter().map(|(_, term)| share(term.levels.first()) * term.usual()).sum();
    all.retain(|(bound, _)| *bound > 0.0);
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut sum = 0.0;
    for (bound, chance) in &mut all {
        sum += *chance;
        *bound += rest;
        *chance = sum;
    }
    all
}

#[cfg(test)]
mod tests;
