//! Which BM25 index a search takes, and why none.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::num::NonZeroUsize;
use std::rc::Rc;

use harca_core::search::options::{KeywordIndex, Options, Ranking, Strategy};
use harca_core::search::sql_text::{quote_ident, quote_literal};
use lru::LruCache;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Oid};

use super::super::catalog;
use super::super::catalog_changes::seen;
use super::super::target::{Target, refuse};
use super::engine::Engine;
use super::indexes::{self, ColumnIndex};
use super::pg_textsearch::PgTextsearch;
use crate::bridge::server_text;
use crate::process;

/// A BM25 index.
pub struct Chosen {
    /// The index.
    pub engine: Rc<dyn Engine>,
    /// Where the write-ahead log stands, if it tells of every change of the table.
    pub log_position: Option<u64>,
}

/// Tables whose index a session keeps.
const KEPT: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// What the text column of a table has, whoever searches, and for what.
#[derive(Clone)]
enum Indexed {
    /// No BM25 index.
    Nothing,
    /// One that nobody can take, and why.
    Unfit(String),
    /// One to take.
    Fit {
        engine: Rc<dyn Engine>,
        /// The column.
        column: pg_sys::AttrNumber,
    },
}

/// What decides about it, how many changes had been seen, and what it was.
type Kept = LruCache<(Oid, Oid, Rc<str>), (u64, Indexed)>;

thread_local! {
    // Never dropped: it lasts as long as the session.
    static INDEXED: ManuallyDrop<RefCell<Kept>> = ManuallyDrop::new(RefCell::new(LruCache::new(KEPT)));
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
    let (engine, column) = match known(target) {
        Indexed::Nothing => return Err(None),
        Indexed::Unfit(why) => return Err(Some(why)),
        Indexed::Fit { engine, column } => (engine, column),
    };
    let why = if options.strategy == Strategy::VectorFirst {
        "cannot score the rows of the vector leg one by one, as the strategy vector_first asks"
    } else if options.ranking != Ranking::Bm25 {
        "does not rank by ts_rank_cd"
    } else if !indexes::may_read(target.relation, column) {
        "is on a column that the user may not read"
    } else if catalog::hides_rows(target.relation) {
        "counts the rows that row-level security hides from the user"
    } else if let Some(why) = engine.refuses(options) {
        why
    } else {
        let logged = indexes::is_logged(target.relation);
        return Ok(Chosen { engine, log_position: logged.then(process::log_position) });
    };
    Err(Some(unfit(engine.index(), why)))
}

fn unfit(index: Oid, why: &str) -> String {
    format!("Index {} {why}.", catalog::relation_name(index).unwrap_or_default())
}

/// What the text column of a target has, found out anew when something may have changed since.
fn known(target: &Target) -> Indexed {
    // The target was found a moment ago, and its table is locked: what others have changed is known.
    let changes = seen();
    let key = (target.relation, target.config, Rc::clone(&target.text_column));
    let kept = INDEXED.with(|kept| {
        let mut kept = kept.borrow_mut();
        kept.get(&key).filter(|(then, _)| *then == changes).map(|(_, indexed)| indexed.clone())
    });
    kept.unwrap_or_else(|| {
        let (indexed, lasts) = found(target);
        if lasts && seen() == changes {
            INDEXED.with(|kept| kept.borrow_mut().push(key, (changes, indexed.clone())));
        }
        indexed
    })
}

/// What the text column of a target has, and whether that lasts until something changes.
fn found(target: &Target) -> (Indexed, bool) {
    // The partitions of a table have an index and statistics each, so that their scores do not compare.
    if !matches!(catalog::relation_kind(target.relation), Some('r' | 'm')) {
        return (Indexed::Nothing, true);
    }
    let Some(column) = indexes::text_column(target.relation, &target.text_column) else {
        return (Indexed::Nothing, true);
    };
    let table = indexes::on_column(target.relation, column);
    let indexes: Vec<&ColumnIndex> = table.found.iter().filter(|index| PgTextsearch::recognises(index)).collect();
    let able: Vec<&ColumnIndex> = indexes.iter().copied().filter(|index| index.usable && index.plain).collect();
    let index = match (&able[..], indexes.first()) {
        ([index], _) => *index,
        // The planner, which sees but a parameter, could not be told which.
        ([_, _, ..], _) => {
            let why = format!("Table {} has more than one BM25 index on its text column.", target.table);
            return (Indexed::Unfit(why), false);
        }
        ([], Some(index)) => {
            let why = if index.plain {
                "is not valid, or not yet for this transaction"
            } else {
                "has a condition, an expression or more than one column"
            };
            return (Indexed::Unfit(unfit(index.index, why)), false);
        }
        ([], None) => return (Indexed::Nothing, true),
    };
    if table.has_heirs {
        return (Indexed::Unfit(unfit(index.index, "lacks the rows of the tables that inherit from this one")), false);
    }
    match PgTextsearch::open(index, target) {
        Ok(engine) => {
            let lasts = engine.is_qualified() && !indexes.iter().any(|index| index.is_young);
            (Indexed::Fit { engine: Rc::new(engine), column }, lasts)
        }
        Err(why) => (Indexed::Unfit(unfit(index.index, why)), false),
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
