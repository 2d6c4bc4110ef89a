//! The condition that finds all documents that can score above a floor.

use std::cell::Cell;

use super::{COMBINED, Class, Level};

/// Parts of a condition at most, beyond which it finds more documents than it has to.
pub(super) const MOST_PARTS: usize = 96;
/// Combinations of terms at most that are told apart for it.
const MOST_PLACES: usize = 512;

/// A boolean condition on the terms of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// No document.
    Never,
    /// Documents that a level of a term finds: the place of the term in the query, and the level.
    Has(usize, usize),
    /// Documents that are no longer than those of a [class](crate::search::length_classes).
    NoLonger(usize),
    /// Documents that meet all of them.
    All(Vec<Condition>),
    /// Documents that meet any of them.
    Any(Vec<Condition>),
}

impl Condition {
    /// What documents of a class have that can score above a floor.
    ///
    /// The exact condition is a tree over the terms, the strongest first: a document has the first one, and of the others
    /// what is left to bring; or it does not, and of the others all. It is cut where it gets too large or has too many
    /// terms: there it asks for any of the terms without which the floor cannot be passed.
    pub(super) fn above(class: &Class, floor: f64, most_parts: usize) -> Self {
        let mut places = 1;
        let apart = class.terms.iter().take(COMBINED).take_while(|(_, term)| {
            places *= term.levels.len() + 1;
            places <= MOST_PLACES
        });
        let floor = floor.max(0.0);
        (0..=apart.count())
            .rev()
            .map(|depth| Tree { class, depth, left: Cell::new(most_parts) })
            .find_map(|tree| tree.above(0, floor).filter(|_| tree.left.get() > 0))
            .unwrap_or_else(|| any(class.needed(floor).map(|(term, _)| Self::Has(*term, 0)).collect()))
    }

    /// What documents meet that meet any of some conditions, each for documents that are no longer than those of a class, if
    /// there is one.
    pub(super) fn any_within(ways: impl IntoIterator<Item = (Option<usize>, Self)>) -> Self {
        let within = |(last, condition): (Option<usize>, Self)| match (last, condition) {
            (Some(last), condition) if condition != Self::Never => all(Self::NoLonger(last), condition),
            (_, condition) => condition,
        };
        any(ways.into_iter().map(within).collect())
    }

    /// Whether a document meets it; `has` says whether a level of a term finds the document, and `no_longer` whether it is no
    /// longer than those of a class.
    pub fn met(&self, has: &impl Fn(usize, usize) -> bool, no_longer: &impl Fn(usize) -> bool) -> bool {
        match self {
            Self::Never => false,
            Self::Has(term, level) => has(*term, *level),
            Self::NoLonger(class) => no_longer(*class),
            Self::All(parts) => parts.iter().all(|part| part.met(has, no_longer)),
            Self::Any(parts) => parts.iter().any(|part| part.met(has, no_longer)),
        }
    }
}

struct Tree<'a> {
    class: &'a Class,
    /// Terms that are told apart.
    depth: usize,
    /// Parts that the condition may still get; with none left, what comes is of no use.
    left: Cell<usize>,
}

impl Tree<'_> {
    /// What documents have of the terms from one on that bring more than `need`; none for all documents.
    fn above(&self, first: usize, need: f64) -> Option<Condition> {
        if need < 0.0 {
            return None;
        }
        if self.class.together[first] <= need || self.left.get() == 0 {
            return Some(Condition::Never);
        }
        if first >= self.depth {
            // The others together do not pass it without one of these.
            let needed = (first..self.class.terms.len()).take_while(|n| self.class.together[*n] > need);
            return Some(any(needed.map(|n| self.has(n, 0)).collect()));
        }
        let levels = &self.class.terms[first].1.levels;
        let without = self.above(first + 1, need)?;
        // For levels with what their documents need beside: what all documents of a level need, those of a higher one need
        // not be told again.
        let mut needs: Vec<(usize, Option<Condition>)> = Vec::with_capacity(levels.len());
        for (level, Level { most, .. }) in levels.iter().enumerate() {
            let rest = self.above(first + 1, need - most);
            let known = needs.last().map_or(Some(&without), |(_, known)| known.as_ref());
            let all_of_it = rest.is_none();
            if rest.as_ref() != known {
                needs.push((level, rest));
            }
            // A higher level finds none but these.
            if all_of_it {
                break;
            }
        }
        let ways = needs.into_iter().map(|(level, rest)| match rest {
            None => self.has(first, level),
            Some(Condition::Never) => Condition::Never,
            Some(rest) => all(self.has(first, level), rest),
        });
        Some(any(ways.chain([without]).collect()))
    }

    fn has(&self, term: usize, level: usize) -> Condition {
        self.left.set(self.left.get().saturating_sub(1));
        Condition::Has(self.class.terms[term].0, level)
    }
}

fn all(first: Condition, rest: Condition) -> Condition {
    match rest {
        Condition::All(mut parts) => {
            parts.insert(0, first);
            Condition::All(parts)
        }
        rest => Condition::All(vec![first, rest]),
    }
}

fn any(ways: Vec<Condition>) -> Condition {
    let mut flat = Vec::with_capacity(ways.len());
    for way in ways {
        match way {
            Condition::Never => {}
            Condition::Any(parts) => flat.extend(parts),
            way => flat.push(way),
        }
    }
    if flat.len() > 1 { Condition::Any(flat) } else { flat.pop().unwrap_or(Condition::Never) }
}
