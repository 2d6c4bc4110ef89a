//! A search target as one search sees it: the row of `harca.search_target`, its table, and its statistics.
#![allow(unsafe_code)]

use std::cell::OnceCell;
use std::rc::Rc;

use harca_core::search::background::Background;
use harca_core::search::sql_text::quote_ident;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{PgLogLevel, PgSqlErrorCode};

use super::catalog::{self, Column, Type};
use super::distance::Distance;
use super::passages::Passages;
use crate::bridge::own_table::{self, Row};
use crate::bridge::server_text;

/// What becomes of what searches tell of a target.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Calibrated {
    /// The weight of the vector leg and the scales of both legs go by it.
    Wholly,
    /// The scales alone: the weight is fixed.
    Scales,
    /// Nothing.
    No,
}

/// A target whose table and columns are there. Each search has a copy of the one that is kept, of which most is shared, but not
/// what it finds out for the role that searches.
#[derive(Clone)]
pub struct Target {
    /// What searches call it.
    pub name: Rc<str>,
    /// The table.
    pub relation: Oid,
    /// The table as SQL.
    pub table: Rc<str>,
    /// What identifies a row `t`, as SQL: its column, or a `jsonb` array of several.
    pub id: Rc<str>,
    /// The rows `t` that have one, as SQL that begins with AND; empty where all do.
    pub identified: Rc<str>,
    /// The column of the `tsvector`, as SQL.
    pub document: Rc<str>,
    /// That of the embedding.
    pub embedding: Rc<str>,
    /// The name of that column.
    document_column: Rc<str>,
    /// Whether an index over `harca.with_frequencies` finds its documents, once a search has asked.
    marked: OnceCell<bool>,
    /// The name of the column with the text, which need not be there.
    pub text_column: Rc<str>,
    /// The type of the identifier.
    pub id_type: Oid,
    /// The text search configuration of documents.
    pub config: Oid,
    /// That of queries.
    pub query_config: Oid,
    /// What the index of the embeddings was built for.
    pub distance: Distance,
    /// The operator of the distance as SQL, schema and all.
    pub operator: Rc<str>,
    /// The type of the embeddings.
    pub embedding_oid: Oid,
    /// That type as SQL.
    pub embedding_type: Rc<str>,
    /// pgvector's type `vector`, which embeddings of queries have.
    pub vector_type: Oid,
    /// Their dimensions, where the column has a number of them.
    pub dimensions: Option<usize>,
    /// The model that embeds queries that come without an embedding.
    pub embedding_model: Option<String>,
    /// The weight of the vector leg.
    pub vector_weight: f32,
    /// Parameters of BM25.
    pub k1: f64,
    /// Likewise.
    pub b: f64,
    /// What is known of its rows, once a search has asked: for all that follow, while nothing changes.
    statistics: Rc<OnceCell<Statistics>>,
    /// Some rows of it, once a search has asked, likewise.
    background: Rc<OnceCell<Option<Background>>>,
    /// What becomes of what searches tell of it.
    pub calibrated: Calibrated,
    /// Its passages, where it has any, or why they are not searched.
    pub passages: Rc<Result<Option<Passages>, String>>,
    /// The weights of the profile, by label.
    pub profile: Rc<[(String, f64)]>,
    /// Whether its row means the same under another `search_path`.
    pub(super) is_qualified: bool,
}

/// Columns of `harca.search_target`, from 0, in the order of `sql/search/target.sql`.
mod target_column {
    pub const RELATION: usize = 1;
    pub const IDS: usize = 2;
    pub const TEXT: usize = 3;
    pub const TSVECTOR: usize = 4;
    pub const EMBEDDING: usize = 5;
    pub const CONFIG: usize = 6;
    pub const QUERY_CONFIG: usize = 7;
    pub const DISTANCE: usize = 8;
    pub const VECTOR_WEIGHT: usize = 9;
    pub const K1: usize = 10;
    pub const B: usize = 11;
    pub const CALIBRATION: usize = 12;
    pub const EMBEDDING_MODEL: usize = 14;
}

/// Columns of `harca.search_profile`, likewise.
mod profile_column {
    pub const QUERY_TYPE: usize = 1;
    pub const VECTOR_WEIGHT: usize = 2;
}

/// Columns of `harca.search_statistics`, in the order of `sql/search/statistics.sql`.
mod statistics_column {
    pub const DOCUMENTS: usize = 1;
    pub const AVERAGE_LENGTH: usize = 2;
    pub const SIMILARITY_DEVIATION: usize = 3;
}

/// Column of `harca.search_background`, likewise.
const EMBEDDINGS: usize = 1;

/// The row of a target before it is checked.
struct Found {
    relation: Oid,
    ids: Vec<String>,
    columns: [String; 2],
    text_column: String,
    configs: [String; 2],
    distance: String,
    embedding_model: Option<String>,
    vector_weight: f32,
    k1: f64,
    b: f64,
    calibrated: Calibrated,
}

impl Found {
    fn of(row: &Row<'_>) -> Self {
        use target_column::*;
        let name = |n| row.name(n).unwrap_or_default();
        let text = |n| row.text(n).unwrap_or_default();
        Self {
            relation: row.oid(RELATION).unwrap_or(pg_sys::InvalidOid),
            ids: row.names(IDS),
            columns: [name(TSVECTOR), name(EMBEDDING)],
            text_column: name(TEXT),
            configs: [text(CONFIG), text(QUERY_CONFIG)],
            distance: text(DISTANCE),
            embedding_model: row.text(EMBEDDING_MODEL),
            vector_weight: row.real(VECTOR_WEIGHT).unwrap_or(0.5),
            k1: row.double(K1).unwrap_or(0.9),
            b: row.double(B).unwrap_or(0.4),
            calibrated: match text(CALIBRATION).as_str() {
                "on" => Calibrated::Wholly,
                "scales" => Calibrated::Scales,
                _ => Calibrated::No,
            },
        }
    }
}

/// What is known of a target's rows; all none before the first refresh.
#[derive(Clone, Copy, Default)]
pub struct Statistics {
    /// How many have a `tsvector`.
    pub documents: Option<u64>,
    /// Words of a document.
    pub average_length: Option<f64>,
    /// Standard deviation of the similarity of two rows.
    pub similarity_deviation: Option<f64>,
}

impl Statistics {
    fn of(target: &str) -> Self {
        use statistics_column::*;
        let mut found = Self::default();
        let name = server_text::from_utf8(target);
        own_table::scan_for(c"search_statistics", c"search_statistics_pkey", name, |row| {
            found.documents = row.big_int(DOCUMENTS).and_then(|n| u64::try_from(n).ok());
            found.average_length = row.double(AVERAGE_LENGTH);
            found.similarity_deviation = row.double(SIMILARITY_DEVIATION);
        });
        found
    }
}

/// The weights of the profile of a target, by label.
fn profile(name: Datum) -> Vec<(String, f64)> {
    use profile_column::*;
    let mut found = Vec::new();
    own_table::scan_for(c"search_profile", c"search_profile_pkey", name, |row| {
        found.extend(row.text(QUERY_TYPE).zip(row.real(VECTOR_WEIGHT).map(f64::from)));
    });
    found
}

impl Target {
    /// The target of this name, read and checked; an error where it, its table or a column is not there.
    pub(super) fn read(name: &str) -> Self {
        let key = server_text::from_utf8(name);
        let mut found = None;
        own_table::scan_for(c"search_target", c"search_target_pkey", key, |row| found = Some(Found::of(row)));
        let Some(found) = found else {
            refuse(
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!("search target \"{name}\" does not exist"),
                None,
                Some("Register the table with harca.register_search_target(name, relation), or see harca.search_target for what there is.".into()),
            )
        };
        Self::checked(name, found, profile(key))
    }

    /// Checked here, although registering does: the owner of a table may write the row by hand, and tables change.
    fn checked(name: &str, found: Found, profile: Vec<(String, f64)>) -> Self {
        let relation = found.relation;
        // Whoever drops or changes the table now has to wait, and is waited for before anything is looked up.
        catalog::lock(relation);
        let Some((kind, table)) = catalog::relation_kind(relation).zip(catalog::relation_name(relation)) else {
            refuse(
                PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                format!("table of search target \"{name}\" no longer exists"),
                Some(format!("It had the object identifier {}.", relation.to_u32())),
                Some("Register the new table with replace => true, or call harca.drop_search_target(name).".into()),
            )
        };
        // Not a view: its functions would run with the rights of whoever searches.
        if !matches!(kind, 'r' | 'p' | 'm' | 'f') {
            refuse(
                PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                format!("{table} cannot be searched"),
                Some("A search target is a table, partitioned table, foreign table or materialized view.".into()),
                None,
            );
        }
        let Identifier { sql: id, kind: id_type, present: identified } = Identifier::of(relation, &table, &found.ids);
        let [document, embedding] = found.columns;
        column(relation, &table, &document, "tsvector", &["tsvector"]);
        let (embedded, kind) = column(relation, &table, &embedding, "embedding", &["vector", "halfvec"]);
        let distance = Distance::named(&found.distance);
        let (embedding_type, schema) =
            kind.map_or_else(Default::default, |kind: Type| (kind.qualified_name, kind.schema));
        let is_qualified = found.configs.iter().all(|config| catalog::has_schema(config));
        let passages = Passages::of(name, relation, &found.ids, embedded.kind).into();
        let [config, query_config] = found.configs.map(|config| configuration(&config));
        Self {
            name: name.into(),
            relation,
            table: table.into(),
            id: id.into(),
            identified: identified.into(),
            document: quote_ident(&document).into(),
            embedding: quote_ident(&embedding).into(),
            document_column: document.into(),
            marked: OnceCell::new(),
            text_column: found.text_column.into(),
            id_type,
            config,
            query_config,
            distance,
            operator: format!("OPERATOR({schema}.{})", distance.operator()).into(),
            embedding_oid: embedded.kind,
            // Its types are in one schema.
            vector_type: catalog::sibling(embedded.kind, c"vector").unwrap_or(embedded.kind),
            embedding_type: embedding_type.into(),
            dimensions: usize::try_from(embedded.modifier).ok().filter(|dimensions| *dimensions > 0),
            embedding_model: found.embedding_model,
            vector_weight: found.vector_weight,
            k1: found.k1,
            b: found.b,
            statistics: Rc::default(),
            background: Rc::default(),
            calibrated: found.calibrated,
            passages,
            profile: profile.into(),
            is_qualified,
        }
    }

    /// Its passages, which searches by meaning go by.
    pub fn passages(&self) -> Option<&Passages> {
        self.passages.as_ref().as_ref().ok()?.as_ref()
    }

    /// Whether an index over `harca.with_frequencies` finds its documents. A search that goes without GIN need not know.
    pub fn marked(&self) -> bool {
        // Behind a policy no index on the tsvector is used.
        *self.marked.get_or_init(|| {
            catalog::has_frequency_index(self.relation, &self.document_column) && !catalog::hides_rows(self.relation)
        })
    }

    /// What is known of its rows. A search by words on a BM25 index, which has statistics of its own, need not know.
    pub fn statistics(&self) -> Statistics {
        *self.statistics.get_or_init(|| Statistics::of(&self.name))
    }

    /// Some of its rows, as they were when its statistics were made.
    pub fn background(&self) -> Option<&Background> {
        let read = || {
            let mut found = None;
            let name = server_text::from_utf8(&self.name);
            own_table::scan_for(c"search_background", c"search_background_pkey", name, |row| {
                found = row.reals(EMBEDDINGS).and_then(|(rows, dimensions)| Background::new(rows, dimensions));
            });
            found
        };
        self.background.get_or_init(read).as_ref()
    }

    /// The document of a row `t` as SQL, as it is in the index.
    pub fn indexed(&self) -> String {
        let document = &self.document;
        if self.marked() { format!("harca.with_frequencies(t.{document})") } else { format!("t.{document}") }
    }

    /// The weight of the profile for a label.
    pub fn weight_of(&self, label: &str) -> Option<f64> {
        self.profile.iter().find(|(known, _)| known == label).map(|(_, weight)| *weight)
    }
}

/// What identifies a row `t`.
struct Identifier {
    sql: String,
    kind: Oid,
    present: String,
}

impl Identifier {
    fn of(relation: Oid, table: &str, names: &[String]) -> Self {
        let read = |name: &String| (format!("t.{}", quote_ident(name)), column(relation, table, name, "id", &[]).0);
        let columns: Vec<(String, Column)> = names.iter().map(read).collect();
        // Not IS NOT NULL, which of a row asks for each of its columns, and for which PostgreSQL might take an index on them in
        // the place of that on the embedding.
        let open = columns.iter().filter(|(_, column)| !column.not_null);
        let present = open.map(|(part, _)| format!(" AND ({part} IS NOT DISTINCT FROM NULL) IS FALSE")).collect();
        if let [(part, column)] = columns.as_slice() {
            return Self { sql: part.clone(), kind: column.kind, present };
        }
        // Of a type that somebody has made, jsonb_build_array would run a cast that somebody has written.
        let built_in = |kind| catalog::type_of(catalog::base_type(kind)).is_some_and(|kind| kind.built_in);
        let element = |(part, column): &(String, Column)| {
            if built_in(column.kind) { part.clone() } else { format!("pg_catalog.format('%s', {part})") }
        };
        let elements: Vec<String> = columns.iter().map(element).collect();
        Self { sql: format!("pg_catalog.jsonb_build_array({})", elements.join(", ")), kind: pg_sys::JSONBOID, present }
    }
}

/// A column of one of these types and what its type is, or a column of any type where none is given; an error for another.
fn column(relation: Oid, table: &str, name: &str, role: &str, types: &[&str]) -> (Column, Option<Type>) {
    let Some(column) = catalog::column(relation, name) else {
        refuse(
            PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
            format!("column \"{name}\" of table {table} does not exist"),
            Some(format!("It was given as the {role} column of a search target.")),
            Some(format!("Name the {role} column with {role}_column => '...' in harca.register_search_target.")),
        )
    };
    if types.is_empty() {
        return (column, None);
    }
    // A type counts by what it is, not by its name alone: anybody can create a type called vector, with operators that
    // would run with the rights of whoever searches. A domain is what it is made of: its constraints are for what is stored.
    let column = catalog::base_column(column);
    let kind = catalog::type_of(column.kind);
    let known =
        kind.as_ref().is_some_and(|kind| types.contains(&kind.name.as_str()) && (kind.built_in || kind.of_vector));
    if !known {
        refuse(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            format!("column \"{name}\" of table {table} cannot be the {role} column"),
            Some(format!(
                "Its type is {}, expected PostgreSQL's or pgvector's {}.",
                kind.map_or_else(String::new, |kind| kind.name),
                types.join(" or ")
            )),
            Some("Name a column of that type, or add one to the table.".into()),
        );
    }
    (column, kind)
}

/// A text search configuration by its qualified name, as PostgreSQL reads it; its error where there is none.
fn configuration(name: &str) -> Oid {
    let name = catalog::server_string(name).unwrap_or_default();
    // SAFETY: a function of the server's that takes a string and gives the configuration.
    let found = unsafe {
        pg_sys::OidInputFunctionCall(pg_sys::F_REGCONFIGIN.into(), name.as_ptr().cast_mut(), pg_sys::InvalidOid, -1)
    };
    Oid::from(found.value() as u32)
}

/// Raises an error.
pub fn refuse(code: PgSqlErrorCode, message: String, detail: Option<String>, hint: Option<String>) -> ! {
    let mut report = ErrorReport::new(code, message, "");
    if let Some(detail) = detail {
        report = report.set_detail(detail);
    }
    if let Some(hint) = hint {
        report = report.set_hint(hint);
    }
    report.report(PgLogLevel::ERROR);
    unreachable!("an error report of this level does not return")
}
