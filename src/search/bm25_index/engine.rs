//! What a BM25 index of another extension has to give.

use harca_core::search::bm25::Parameters;
use harca_core::search::options::Options;
use pgrx::pg_sys::Oid;

use super::super::local_settings::LocalSettings;

/// A document that an index is to score for a query, both in the server's encoding.
pub struct Trial<'a> {
    /// The query.
    pub query: Vec<u8>,
    /// The document, which need not be in the table.
    pub document: Vec<u8>,
    /// Words of the query that are in the document.
    pub words: Vec<&'a [u8]>,
}

/// An index that fits the searches of a target.
///
/// Its scan gives rows in the order of [`Engine::order`] and none without a word of the query. Every score is BM25 with the
/// weight ln(1 + (N − n + ½) / (n + ½)) of a word, times k1 + 1. SQL is of a row `t`, has the query as the parameter `$3`, and
/// names everything with its schema.
pub trait Engine {
    /// The index.
    fn index(&self) -> Oid;

    /// Why it does not serve the current user's search with these options, if it does not.
    fn refuses(&self, options: &Options) -> Option<&'static str>;

    /// Its k1 and b.
    fn parameters(&self) -> Parameters;

    /// Rows that a scan gives at most, however many are asked for.
    fn most_rows(&self) -> u64;

    /// What rows are ordered by, the best first, so that PostgreSQL can take them from the index.
    fn order(&self) -> &str;

    /// What a row adds to the order that it stands in, by a call of [`Engine::score_function`]: right only in the select list
    /// of a scan of the index itself, where it costs nothing.
    fn scanned_score(&self) -> &str;

    /// A function without arguments that gives the score of the row that a scan has given last.
    fn score_function(&self) -> Oid;

    /// The same score of any row, computed from its text, which takes long.
    fn computed_score(&self) -> &str;

    /// From either to a score that is the higher, the better.
    fn score(&self, given: f64) -> f64;

    /// Makes the settings with which a scan gives so many rows at once, and its statement can be planned.
    fn prepare(&self, settings: &LocalSettings, rows: usize);

    /// What the index scores documents that it is shown, in their order.
    fn scores(&self, trials: &[Trial<'_>]) -> Vec<f64>;
}
