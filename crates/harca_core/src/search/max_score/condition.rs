//! The condition that finds all documents that can score above a floor.

use super::{COMBINED, Term};

/// Parts of a condition at most, beyond which it finds more documents than it has to.
const MOST_PARTS: usize = 96;

/// A boolean condition on the terms of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// No document.
    Never,
    /// Documents that a level of a term finds: the place of the term in the query, and the level.
    Has(usize, usize),
    /// Documents that meet all of them.
    All(Vec<Condition>),
    /// Documents that meet any of them.
    Any(Vec<Condition>),
}

impl Condition {
    /// What documents have that can score above a floor.
    ///
    /// The exact condition is a tree over the terms, the strongest first: a document has the first one, and of the others
    /// what is left to bring; or it does not, and of the others all. It is cut where it gets too large or has too many
    /// terms: there it asks for any of the terms without which the floor cannot be passed.
    pub(super) fn above(terms: &[(usize, Term)], together: &[f64], floor: f64) -> Self {
        (0..=COMBINED)
            .rev()
            .map(|depth| Tree { terms, together, depth: terms.len().min(depth) }.above(0, floor.max(0.0)))
            .find(|found| found.as_ref().is_some_and(|found| found.parts() <= MOST_PARTS))
            .flatten()
            .unwrap_or_else(|| any(terms.iter().map(|(term, _)| Self::Has(*term, 0)).collect()))
    }

    /// How many terms it names.
    fn parts(&self) -> usize {
        match self {
            Self::Never => 0,
            Self::Has(..) => 1,
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::parts).sum(),
        }
    }

    /// Whether a document meets it; `has` says whether a level of a term finds the document.
    pub fn met(&self, has: &impl Fn(usize, usize) -> bool) -> bool {
        match self {
            Self::Never => false,
            Self::Has(term, level) => has(*term, *level),
            Self::All(parts) => parts.iter().all(|part| part.met(has)),
            Self::Any(parts) => parts.iter().any(|part| part.met(has)),
        }
    }
}

struct Tree<'a> {
    terms: &'a [(usize, Term)],
    together: &'a [f64],
    /// Terms that are told apart.
    depth: usize,
}

impl Tree<'_> {
    /// What documents have of the terms from one on that bring more than `need`; none for all documents.
    fn above(&self, first: usize, need: f64) -> Option<Condition> {
        if need < 0.0 {
            return None;
        }
        if self.together[first] <= need {
            return Some(Condition::Never);
        }
        if first >= self.depth {
            // The others together do not pass it without one of these.
            let needed = (first..self.terms.len()).take_while(|n| self.together[*n] > need);
            return Some(any(needed.map(|n| Condition::Has(self.terms[n].0, 0)).collect()));
        }
        let (place, term) = &self.terms[first];
        let without = self.above(first + 1, need)?;
        let mut ways = Vec::new();
        // What all documents of a level need, those of a higher one need not be told again.
        let mut known = without.clone();
        for (n, level) in term.levels.iter().enumerate() {
            let has = Condition::Has(*place, n);
            match self.above(first + 1, need - level.most) {
                // A higher level finds none but these.
                None => {
                    ways.push(has);
                    break;
                }
                Some(rest) if rest == known => {}
                Some(rest) => {
                    known = rest.clone();
                    ways.push(all(has, rest));
                }
            }
        }
        ways.push(without);
        Some(any(ways))
    }
}

fn all(has: Condition, rest: Condition) -> Condition {
    match rest {
        Condition::Never => Condition::Never,
        Condition::All(mut parts) => {
            parts.insert(0, has);
            Condition::All(parts)
        }
        rest => Condition::All(vec![has, rest]),
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
