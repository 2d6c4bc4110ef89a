//! The best rows of those that a leg reads, and what is kept of each.
#![allow(unsafe_code)]

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};
use std::ffi::CStr;

use pgrx::pg_sys::{self, FmgrInfo, Oid};

use super::legs::Id;
use super::passages::Span;
use super::statements::{Copied, Row};

/// Writes identifiers.
pub struct Output(FmgrInfo);

impl Output {
    /// Those of a type.
    pub fn of(kind: Oid) -> Self {
        let (mut function, mut variable) = (pg_sys::InvalidOid, false);
        let mut output = FmgrInfo::default();
        // SAFETY: catalog look-ups; the places are ours, and the memory at hand outlives the statement whose rows are written.
        unsafe {
            pg_sys::getTypeOutputInfo(kind, &mut function, &mut variable);
            pg_sys::fmgr_info(function, &mut output);
        }
        Self(output)
    }

    /// The first column of a row by its output function, not by a cast, which may be a function of whoever owns its type.
    pub fn id(&mut self, row: &Row<'_>) -> Id {
        // SAFETY: the output function of the column's type gives a string.
        row.datum(0).map_or_else(Id::new, |datum| unsafe {
            CStr::from_ptr(pg_sys::OutputFunctionCall(&mut self.0, datum)).to_bytes().into()
        })
    }
}

/// What is kept of a row beside its score.
#[derive(Default)]
pub struct Extra {
    /// What the other leg scores it by, where it does: the embedding or the document, as it is stored.
    pub other: Option<Copied>,
    /// Its score by words.
    pub words: Option<f64>,
    /// Its boost.
    pub boost: f64,
    /// Its passage that is nearest to the query, where it has passages.
    pub passage: Option<Span>,
}

/// A row among the best.
pub struct Candidate {
    /// By the leg.
    pub score: f64,
    /// The row.
    pub id: Id,
    /// What else is kept.
    pub extra: Extra,
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The worst one is the greatest.
impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then_with(|| self.id.cmp(&other.id))
    }
}

/// Rows that there is room for at once: what most pages need.
const A_PAGE: usize = 16;

/// The best rows so far: the higher score first, then the lower identifier.
pub struct Best {
    most: usize,
    heap: BinaryHeap<Candidate>,
}

impl Best {
    /// None yet, and so many at most.
    pub fn new(most: usize) -> Self {
        Self { most, heap: BinaryHeap::with_capacity(most.min(A_PAGE)) }
    }

    /// Takes a row if it is among the best; what it takes time to read is read only then.
    pub fn offer(&mut self, score: f64, id: impl FnOnce() -> Id, extra: impl FnOnce() -> Extra) {
        if self.heap.len() < self.most {
            self.heap.push(Candidate { score, id: id(), extra: extra() });
            return;
        }
        let Some(mut worst) = self.heap.peek_mut() else { return };
        if score < worst.score {
            return;
        }
        let id = id();
        if score > worst.score || id < worst.id {
            *worst = Candidate { score, id, extra: extra() };
        }
    }

    /// The best rows so far.
    pub fn ids(&self) -> HashSet<Id> {
        self.heap.iter().map(|row| row.id.clone()).collect()
    }

    /// What is left, of so many that were read.
    pub fn rows(self, read: usize) -> Ranked {
        Ranked { candidates: self.heap.into_sorted_vec(), read }
    }
}

/// The best rows in order.
pub struct Ranked {
    /// Best first.
    pub candidates: Vec<Candidate>,
    /// Rows that the query gave.
    pub read: usize,
}

impl Ranked {
    /// Takes in rows that were found before, and leaves so many at most.
    pub fn merge(&mut self, former: Self, most: usize) {
        let known: HashSet<&Id> = self.candidates.iter().map(|row| &row.id).collect();
        let more: Vec<Candidate> = former.candidates.into_iter().filter(|row| !known.contains(&row.id)).collect();
        self.candidates.extend(more);
        self.candidates.sort();
        self.candidates.truncate(most);
    }

    /// Rows and scores.
    pub fn scores(&self) -> Vec<(Id, f64)> {
        self.candidates.iter().map(|row| (row.id.clone(), row.score)).collect()
    }

    /// The nearest passages of rows that have passages.
    pub fn passages(&self) -> impl Iterator<Item = (Id, Span)> {
        self.candidates.iter().filter_map(|row| Some((row.id.clone(), row.extra.passage?)))
    }

    /// Boosts of rows that have one.
    pub fn boosts(&self) -> impl Iterator<Item = (Id, f64)> {
        self.candidates.iter().filter(|row| row.extra.boost > 0.0).map(|row| (row.id.clone(), row.extra.boost))
    }
}

/// Rows by a score that not all of them have.
pub fn in_order(scored: impl Iterator<Item = (Id, Option<f64>)>) -> Vec<(Id, f64)> {
    let mut ordered: Vec<_> = scored.filter_map(|(id, score)| Some((id, score?))).collect();
    ordered.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    ordered
}
