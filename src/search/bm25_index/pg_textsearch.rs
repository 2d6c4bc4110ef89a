//! What the indexes of the extension pg_textsearch give (<https://github.com/timescale/pg_textsearch>).
//!
//! `CREATE INDEX … USING bm25 (content) WITH (text_config = 'public.harca', k1 = 0.9, b = 0.4)`. A scan is asked for by
//! `ORDER BY content <@> to_bm25query(query, index) LIMIT n`, and gives scores below 0.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::mem::ManuallyDrop;

use harca_core::search::bm25::Parameters;
use harca_core::search::options::Options;
use harca_core::search::sql_text::{quote_ident, quote_literal};
use pgrx::pg_sys::{self, Oid};

use super::super::catalog;
use super::super::local_settings::LocalSettings;
use super::super::target::Target;
use super::engine::{Engine, Trial};
use super::indexes::{self, ColumnIndex};
use super::kept_call::KeptCall;
use crate::bridge::server_text;

/// What the extension takes where an index does not say otherwise.
const DEFAULTS: (f64, f64) = (1.2, 0.75);
/// Its bound for the rows of a scan.
const MOST_ROWS: u64 = 100_000;
/// Its function that scores keeps the weights of so many words from call to call, and warns of more.
const WORDS_KEPT: usize = 64;

/// What a session has found out of the access method.
#[derive(Clone, Copy)]
struct Extension {
    access_method: Oid,
    /// The schema of everything in it.
    schema: Oid,
    /// `bm25_get_current_score()`.
    score_function: Oid,
    /// `to_bm25query(text, text)`.
    query_function: Oid,
}

thread_local! {
    static KNOWN: Cell<Option<Extension>> = const { Cell::new(None) };
    /// The function that scores: as long as an index has the same documents, it need not look a word up again.
    static SCORING: Cell<Option<KeptCall>> = const { Cell::new(None) };
    /// The words that it keeps the weights of, as hashes of each with the index. Never dropped: it lasts as long as the
    /// session.
    static SCORED: ManuallyDrop<RefCell<HashSet<u64>>> = ManuallyDrop::new(RefCell::new(HashSet::new()));
}

/// Takes the words of a trial down; false where they would be too many with the others, which are then forgotten.
fn has_room(scored: &mut HashSet<u64>, index: Oid, trial: &Trial<'_>) -> bool {
    let hasher = BuildHasherDefault::<DefaultHasher>::new();
    // It keeps the beginning of a long word, does not find it again, and keeps it once more.
    let again = |word: &[u8]| if word.len() < pg_sys::NAMEDATALEN as usize { 0 } else { scored.len() };
    let words: HashSet<u64> = trial.words.iter().map(|word| hasher.hash_one((index, again(word), word))).collect();
    let fits = scored.union(&words).count() <= WORDS_KEPT;
    if !fits {
        scored.clear();
    }
    scored.extend(words);
    fits
}

/// An index of the extension.
pub struct PgTextsearch {
    index: Oid,
    /// The name with its schema, as functions of the extension take it.
    name: String,
    /// Whether its configuration was given with a schema.
    is_qualified: bool,
    /// The function that scores a text for a query.
    scoring: Oid,
    extension: Extension,
    /// The schema as SQL.
    schema: String,
    /// What a scan orders rows by, as SQL, which every search needs again; and the score of the row that it has given.
    order: String,
    scanned_score: String,
    parameters: Parameters,
}

impl PgTextsearch {
    /// Whether an index is one of the extension. Not by the name of its access method alone, which anybody can give.
    pub fn recognises(index: &ColumnIndex) -> bool {
        extension(index.access_method).is_some()
    }

    /// The index for searches of a target; else why it does not fit. Not for one user: rights are asked for at each search.
    pub fn open(index: &ColumnIndex, target: &Target) -> Result<Self, &'static str> {
        let extension = extension(index.access_method).ok_or("is of an access method that is not known")?;
        let scoring = scoring_function(extension.schema, index.operator_family)
            .ok_or("is of an operator class that is not known")?;
        let given = indexes::storage_parameters(index.index);
        let value = |name: &str| given.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let config = value("text_config").unwrap_or_default();
        if indexes::configuration(config) != Some(target.config) {
            return Err("was made with another text search configuration than that of the search target");
        }
        let number = |name: &str, default: f64| value(name).and_then(|value| value.parse().ok()).unwrap_or(default);
        let parameters = Parameters::new(number("k1", DEFAULTS.0), number("b", DEFAULTS.1))
            .ok_or("has parameters that are out of range")?;
        let (Some(name), Some(schema)) = (catalog::relation_name(index.index), schema_name(extension.schema)) else {
            return Err("has just been dropped");
        };
        let is_qualified = catalog::has_schema(config);
        let column = quote_ident(&target.text_column);
        let order = format!("t.{column} OPERATOR({schema}.<@>) {schema}.to_bm25query($3, {})", quote_literal(&name));
        let scanned_score = format!("{schema}.bm25_get_current_score()");
        let index = index.index;
        Ok(Self { index, name, is_qualified, scoring, extension, schema, order, scanned_score, parameters })
    }

    /// Whether it is made with the same configuration under another `search_path`.
    pub fn is_qualified(&self) -> bool {
        self.is_qualified
    }
}

impl Engine for PgTextsearch {
    fn index(&self) -> Oid {
        self.index
    }

    fn refuses(&self, options: &Options) -> Option<&'static str> {
        if !indexes::may_use(self.extension.schema) {
            return Some("is of an extension whose schema the user may not use");
        }
        // It keeps them in single precision.
        let differs = |asked: Option<f64>, own: f64| asked.is_some_and(|asked| asked as f32 != own as f32);
        (differs(options.k1, self.parameters.k1) || differs(options.b, self.parameters.b))
            .then_some("was made with other parameters k1 and b than those of the options")
    }

    fn parameters(&self) -> Parameters {
        self.parameters
    }

    fn most_rows(&self) -> u64 {
        MOST_ROWS
    }

    fn order(&self) -> &str {
        &self.order
    }

    fn scanned_score(&self) -> &str {
        &self.scanned_score
    }

    fn score_function(&self) -> Oid {
        self.extension.score_function
    }

    fn computed_score(&self) -> &str {
        &self.order
    }

    fn score(&self, given: f64) -> f64 {
        0.0 - given
    }

    fn prepare(&self, settings: &LocalSettings, rows: usize) {
        // A scan takes LIMIT from where the planner has left it, which is once for a kept plan, and else this.
        settings.set(c"pg_textsearch.default_limit", &rows.clamp(1, MOST_ROWS as usize).to_string());
        // SAFETY: a catalog look-up.
        if unsafe { !pg_sys::FunctionIsVisible(self.extension.score_function) } {
            // The extension's hook in the planner looks for that function without a schema, and fails where it is not found.
            settings.set(c"search_path", &format!("pg_catalog, {}, pg_temp", self.schema));
        }
    }

    fn scores(&self, trials: &[Trial<'_>]) -> Vec<f64> {
        let name = server_text::from_utf8(&self.name);
        let mut call = SCORING.get().unwrap_or_else(|| KeptCall::new(self.scoring));
        let mut score = |trial: &Trial<'_>| {
            let room = SCORED.with(|scored| has_room(&mut scored.borrow_mut(), self.index, trial));
            if !room || call.is_stale(self.scoring) {
                call.forget(self.scoring);
            }
            SCORING.set(Some(call));
            let (query, document) = (server_text::from_bytes(&trial.query), server_text::from_bytes(&trial.document));
            // SAFETY: functions of the extension with values of their types. What the second one keeps it compares with the
            // index at every call.
            let given = unsafe {
                let query = pg_sys::OidFunctionCall2Coll(
                    self.extension.query_function,
                    pg_sys::DEFAULT_COLLATION_OID,
                    query,
                    name,
                );
                call.double(document, query)
            };
            SCORING.set(Some(call));
            self.score(given)
        };
        trials.iter().map(&mut score).collect()
    }
}

/// The extension that an access method belongs to, if it is this one.
fn extension(access_method: Oid) -> Option<Extension> {
    let schema = handler_schema(access_method)?;
    // That an object belongs to an extension is read from a table, which takes longer than all else here.
    let known = KNOWN.get().filter(|known| known.access_method == access_method && known.schema == schema);
    if known.is_some() {
        return known;
    }
    // SAFETY: catalog look-ups inside a transaction.
    let found = unsafe {
        let extension = pg_sys::getExtensionOfObject(pg_sys::AccessMethodRelationId, access_method);
        if extension == pg_sys::InvalidOid || extension != pg_sys::get_extension_oid(c"pg_textsearch".as_ptr(), true) {
            return None;
        }
        let score_function = function(schema, c"bm25_get_current_score", &[])?;
        let query_function = function(schema, c"to_bm25query", &[pg_sys::TEXTOID, pg_sys::TEXTOID])?;
        if [score_function, query_function]
            .iter()
            .any(|function| pg_sys::getExtensionOfObject(pg_sys::ProcedureRelationId, *function) != extension)
        {
            return None;
        }
        Extension { access_method, schema, score_function, query_function }
    };
    KNOWN.set(Some(found));
    Some(found)
}

/// The schema of the function that an access method named bm25 is made of, which is that of its extension.
fn handler_schema(access_method: Oid) -> Option<Oid> {
    // SAFETY: as above; the tuple is read before it is released, and a name ends with a zero byte.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::AMOID as i32, access_method.into());
        if tuple.is_null() {
            return None;
        }
        let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_am>();
        let named = std::ffi::CStr::from_ptr((*form).amname.data.as_ptr()) == c"bm25";
        let handler = (*form).amhandler;
        pg_sys::ReleaseSysCache(tuple);
        named.then(|| pg_sys::get_func_namespace(handler)).filter(|schema| *schema != pg_sys::InvalidOid)
    }
}

/// A function by its name and the types of its arguments.
fn function(schema: Oid, name: &std::ffi::CStr, arguments: &[Oid]) -> Option<Oid> {
    // SAFETY: as above; the vector is a fresh allocation.
    let found = unsafe {
        let arguments = pg_sys::buildoidvector(arguments.as_ptr(), arguments.len() as i32);
        pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::PROCNAMEARGSNSP as i32,
            pg_sys::Anum_pg_proc_oid as pg_sys::AttrNumber,
            name.as_ptr().into(),
            arguments.into(),
            schema.into(),
            pg_sys::Datum::null(),
        )
    };
    (found != pg_sys::InvalidOid).then_some(found)
}

/// The function of the operator by which an operator family orders `text` for a query of the extension.
fn scoring_function(schema: Oid, family: Oid) -> Option<Oid> {
    // SAFETY: as above.
    unsafe {
        let query = pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::TYPENAMENSP as i32,
            pg_sys::Anum_pg_type_oid as pg_sys::AttrNumber,
            c"bm25query".as_ptr().into(),
            schema.into(),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
        );
        let operator = pg_sys::get_opfamily_member(family, pg_sys::TEXTOID, query, 1);
        (operator != pg_sys::InvalidOid).then(|| pg_sys::get_opcode(operator))
    }
}

fn schema_name(schema: Oid) -> Option<String> {
    // SAFETY: as above; the name is a copy, and null when the schema has just gone.
    unsafe {
        let name = pg_sys::get_namespace_name(schema);
        let name = (!name.is_null()).then(|| std::ffi::CStr::from_ptr(name).to_bytes())?;
        Some(quote_ident(&server_text::to_utf8(name, usize::MAX)))
    }
}
