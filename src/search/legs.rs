//! What both legs of a search have in common: what they read beside the query, and what they give.

use harca_core::search::boosts::Boosts;
use harca_core::search::fusion::Legs;
use harca_core::search::options::Ranking;
use pgrx::pg_sys::{self, Datum};
use smallvec::SmallVec;

use super::statements::{Parameter, Row};
use super::target::Target;
use super::terms::{Matches, Terms};

/// An identifier, as its type's output function writes it. A UUID and whatever is shorter has no allocation of its own: a search
/// holds some dozens of them for a moment, and the C library sorts what is freed by the dozen.
pub type Id = SmallVec<[u8; 40]>;

/// A leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leg {
    /// By words.
    Keyword,
    /// By meaning.
    Vector,
}

impl Leg {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Vector => "vector",
        }
    }
}

/// What both legs read beside the query.
pub struct Scope<'a> {
    /// The table.
    pub target: &'a Target,
    /// Which rows, as SQL that begins with AND, and its parameter.
    pub condition: &'a str,
    /// The filter, a `jsonb`.
    pub filter: Option<Datum>,
    /// What raises scores.
    pub boosts: &'a Boosts,
    /// How many rows are taken.
    pub candidates: usize,
    /// How words rank.
    pub ranking: Ranking,
    /// The embedding of the query, a `vector`.
    pub embedding: Option<Datum>,
}

impl Scope<'_> {
    /// The parameters of both queries: $1 to $4.
    pub fn parameters(&self, matches: Option<&Matches>, terms: Option<&Terms>) -> [Parameter; 4] {
        [
            Parameter(pg_sys::TSQUERYOID, matches.map(|matches| matches.query)),
            Parameter(pg_sys::JSONBOID, self.filter),
            Parameter(pg_sys::TSQUERYOID, terms.and_then(|terms| terms.wanted)),
            Parameter(self.target.vector_type, self.embedding),
        ]
    }

    /// The values of boosts as SQL, each behind a comma.
    pub(super) fn boost_columns(&self) -> String {
        self.boosts.values("t").into_iter().map(|value| format!(", {value}")).collect()
    }

    /// The boost of a row whose values begin at a column.
    pub(super) fn boost(&self, row: &Row<'_>, first: usize) -> f64 {
        if self.boosts.is_empty() {
            return 0.0;
        }
        self.boosts.boost((0..self.boosts.len()).map(|n| row.double(first + n)))
    }
}

/// Rows with scores, as fusion takes them.
pub struct Borrowed<'a> {
    vector: Vec<(&'a [u8], f64)>,
    keyword: Vec<(&'a [u8], f64)>,
    words_of_vector: Vec<(&'a [u8], f64)>,
    similarities_of_keyword: Vec<(&'a [u8], f64)>,
}

impl<'a> Borrowed<'a> {
    /// The vector leg, the keyword leg, and what else is known of the rows of each.
    pub fn of(
        vector: &'a [(Id, f64)],
        keyword: &'a [(Id, f64)],
        words_of_vector: &'a [(Id, f64)],
        similarities_of_keyword: &'a [(Id, f64)],
    ) -> Self {
        let borrowed = |rows: &'a [(Id, f64)]| rows.iter().map(|(id, score)| (id.as_slice(), *score)).collect();
        Self {
            vector: borrowed(vector),
            keyword: borrowed(keyword),
            words_of_vector: borrowed(words_of_vector),
            similarities_of_keyword: borrowed(similarities_of_keyword),
        }
    }

    /// Both legs.
    pub fn legs(&self) -> Legs<'_, &'a [u8]> {
        let Self { vector, keyword, words_of_vector, similarities_of_keyword } = self;
        Legs { vector, keyword, words_of_vector, similarities_of_keyword }
    }
}
