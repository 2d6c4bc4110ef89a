//! Which BM25 index a search takes, and why none.
#![allow(unsafe_code)]

use harca_core::search::options::{KeywordIndex, Options, Ranking, Strategy};
use harca_core::search::sql_text::{quote_ident, quote_literal};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;

use super::super::catalog;
use super::super::target::{Target, refuse};
use super::engine::Engine;
use super::indexes::{self, ColumnIndex};
use super::pg_textsearch::PgTextsearch;
use crate::bridge::server_text;

/// A BM25 index, and what PostgreSQL estimates of its table.
pub struct Chosen {
    /// The index.
    pub engine: Box<dyn Engine>,
    /// Rows of the table.
    pub rows: f64,
}

/// The index that a search takes; else why none, where there is one that might have been meant.
///
/// Raises an error where the options want one and none fits.
pub fn choose(target: &Target, options: &Options) -> Result<Chosen, Option<String>> {
    if options.keyword_index == KeywordIndex::Gin {
        return Err(None);
    }
    let found = fitting(target, options);
    match found {
        Err(reason) if options.keyword_index == KeywordIndex::Bm25 => refuse(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("no BM25 index fits the search of target \"{}\"", target.name),
            Some(reason.unwrap_or_else(|| absence(target))),
            Some(format!(
                "Create one with CREATE INDEX ON {} USING bm25 ({}) WITH (text_config = {}), by the extension pg_textsearch, or \
                 leave the option keyword_index out.",
                target.table,
                quote_ident(&target.text_column),
                quote_literal(&configuration_name(target.config))
            )),
        ),
        found => found,
    }
}

/// Why there is none to speak of.
fn absence(target: &Target) -> String {
    let Target { table, text_column, .. } = target;
    match catalog::relation_kind(target.relation) {
        Some('r' | 'm') if indexes::text_column(target.relation, text_column).is_none() => {
            format!("Table {table} has no column \"{text_column}\" of type text.")
        }
        Some('r' | 'm') => format!("Table {table} has no BM25 index on its text column."),
        _ => format!("{table} is neither a table by itself nor a materialized view."),
    }
}

fn fitting(target: &Target, options: &Options) -> Result<Chosen, Option<String>> {
    // The partitions of a table have an index and statistics each, so that their scores do not compare.
    if !matches!(catalog::relation_kind(target.relation), Some('r' | 'm')) {
        return Err(None);
    }
    let Some(column) = indexes::text_column(target.relation, &target.text_column) else { return Err(None) };
    let table = indexes::on_column(target.relation, column);
    let indexes: Vec<&ColumnIndex> = table.found.iter().filter(|index| PgTextsearch::recognises(index)).collect();
    let named = |index: &ColumnIndex, why: &str| {
        Err(Some(format!("Index {} {why}.", catalog::relation_name(index.index).unwrap_or_default())))
    };
    let able: Vec<&ColumnIndex> = indexes.iter().copied().filter(|index| index.usable && index.plain).collect();
    let index = match (&able[..], indexes.first()) {
        ([index], _) => *index,
        // The planner, which sees but a parameter, could not be told which.
        ([_, _, ..], _) => {
            return Err(Some(format!("Table {} has more than one BM25 index on its text column.", target.table)));
        }
        ([], Some(index)) if !index.plain => {
            return named(index, "has a condition, an expression or more than one column");
        }
        ([], Some(index)) => return named(index, "is not valid, or not yet for this transaction"),
        ([], None) => return Err(None),
    };
    if table.has_heirs {
        return named(index, "lacks the rows of the tables that inherit from this one");
    }
    if options.strategy == Strategy::VectorFirst {
        return named(index, "cannot score the rows of the vector leg one by one, as the strategy vector_first asks");
    }
    if options.ranking != Ranking::Bm25 {
        return named(index, "does not rank by ts_rank_cd");
    }
    if !indexes::may_read(target.relation, column) {
        return named(index, "is on a column that the user may not read");
    }
    if catalog::hides_rows(target.relation) {
        return named(index, "counts the rows that row-level security hides from the user");
    }
    match PgTextsearch::open(index, target, options) {
        Ok(engine) => Ok(Chosen { engine: Box::new(engine), rows: table.rows }),
        Err(why) => named(index, why),
    }
}

/// A text search configuration as SQL writes it.
fn configuration_name(config: pg_sys::Oid) -> String {
    // SAFETY: the output function of the type gives a string.
    let name = unsafe {
        std::ffi::CStr::from_ptr(pg_sys::OidOutputFunctionCall(pg_sys::F_REGCONFIGOUT.into(), config.into()))
    };
    server_text::to_utf8(name.to_bytes(), usize::MAX).into_owned()
}
