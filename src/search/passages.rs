//! The passages of a target: where they are, and who sees them.
//!
//! A policy of their table lets nobody but its owner see them but [while a search reads them](Reading). A search joins them with
//! the searched table, of which its caller sees what he may see.

use std::cell::Cell;

use harca_core::search::sql_text::quote_ident;
use pgrx::pg_sys::{self, Oid};

use super::catalog;
use crate::bridge::own_table;
use crate::bridge::server_text;

/// Columns of `harca.passage_table`, from 0, in the order of `sql/search/passages.sql`.
mod passage_column {
    pub const RELATION: usize = 1;
    pub const IN_USE: usize = 4;
}

/// The passages of a target.
pub struct Passages {
    /// Their table.
    pub relation: Oid,
    /// The table as SQL.
    pub table: String,
    /// The condition that a passage `p` is one of a row `t`, as SQL.
    pub of_row: String,
    /// The condition that a passage `p` is one of the row whose identifier is `k.id`.
    pub of_id: String,
    /// The condition that a row `t` is the one with that identifier.
    pub row_of_id: String,
}

/// Where a passage is in the text of its row, as `substr` takes it.
#[derive(Clone, Copy)]
pub struct Span {
    /// Its number, from 1.
    pub passage: i32,
    /// Its first character, from 1.
    pub start: i32,
    /// Its characters.
    pub length: i32,
}

impl Passages {
    /// Those of a target whose table, identifying columns and type of embeddings are these. None where it has none; why they
    /// cannot be searched, where they cannot.
    pub fn of(target: &str, searched: Oid, ids: &[String], embedding: Oid) -> Result<Option<Self>, String> {
        use passage_column::*;
        let mut found = None;
        let key = server_text::from_utf8(target);
        own_table::scan_for(c"passage_table", c"passage_table_pkey", key, |row| {
            found = row.oid(RELATION).map(|relation| (relation, row.is_true(IN_USE)));
        });
        let Some((relation, in_use)) = found else { return Ok(None) };
        if !in_use {
            return Err("not all rows have theirs yet".into());
        }
        catalog::lock(relation);
        let Some(table) = catalog::relation_name(relation) else { return Err("their table does not exist".into()) };
        // Nothing else may run, or be read, in the name of whoever searches.
        if catalog::relation_kind(relation) != Some('r') {
            return Err(format!("{table} is no table"));
        }
        if catalog::owner(relation) != catalog::owner(searched) {
            return Err(format!("{table} is not of the owner of the searched table"));
        }
        let kind_of =
            |relation, name: &str| catalog::column(relation, name).map(|column| catalog::base_type(column.kind));
        let unfit = |name: &str| format!("column \"{name}\" of {table} is not what harca.embed_table has made");
        let counts = ["passage", "passage_start", "passage_length"];
        let fixed = counts.iter().map(|name| (*name, pg_sys::INT4OID));
        for (name, wanted) in fixed.chain([("text_hash", pg_sys::INT8OID), ("embedding", embedding)]) {
            if kind_of(relation, name) != Some(wanted) {
                return Err(unfit(name));
            }
        }
        let (mut of_row, mut of_id, mut row_of_id) = (Vec::new(), Vec::new(), Vec::new());
        for (n, id) in ids.iter().enumerate() {
            let key = format!("key{}", n + 1);
            let kind = kind_of(relation, &key).filter(|kind| kind_of(searched, id) == Some(*kind));
            let Some(kind) = kind.and_then(catalog::type_of).filter(|kind| kind.built_in) else {
                return Err(unfit(&key));
            };
            let column = quote_ident(id);
            let value = match ids.len() {
                1 => format!("k.id::{}", kind.qualified_name),
                _ => format!("(k.id::pg_catalog.jsonb OPERATOR(pg_catalog.->>) {n})::{}", kind.qualified_name),
            };
            of_row.push(format!("p.{key} OPERATOR(pg_catalog.=) t.{column}"));
            of_id.push(format!("p.{key} OPERATOR(pg_catalog.=) {value}"));
            row_of_id.push(format!("t.{column} OPERATOR(pg_catalog.=) {value}"));
        }
        let all = |conditions: Vec<String>| conditions.join(" AND ");
        Ok(Some(Self { relation, table, of_row: all(of_row), of_id: all(of_id), row_of_id: all(row_of_id) }))
    }
}

thread_local! {
    static READ: Cell<Oid> = const { Cell::new(pg_sys::InvalidOid) };
}

/// Lets the policy of a table of passages show them for as long as it lasts.
pub struct Reading(Oid);

impl Reading {
    /// Begins with those of a target, if it has any.
    pub fn begin(passages: Option<&Passages>) -> Self {
        Self(READ.replace(passages.map_or(pg_sys::InvalidOid, |passages| passages.relation)))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        READ.set(self.0);
    }
}

/// Whether a search is reading this table of passages.
pub fn is_searched(relation: Oid) -> bool {
    relation != pg_sys::InvalidOid && READ.get() == relation
}
