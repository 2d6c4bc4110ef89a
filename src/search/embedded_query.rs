//! The embedding of a query that came without one, by the model of the target.

use std::cell::Cell;
use std::time::{Duration, Instant};

use harca_core::error::Error;
use pgrx::pg_sys::Datum;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};

use super::target::Target;
use crate::backend;
use crate::bridge::server_text::ServerText;
use crate::bridge::value;

thread_local! {
    /// Whether the session was warned that queries cannot be embedded, since one was.
    static WARNED: Cell<bool> = const { Cell::new(false) };
}

/// How a query came to its embedding.
pub struct EmbeddedQuery {
    /// The model.
    pub model: String,
    /// What it took.
    pub took: Duration,
    /// Whether the cache had it.
    pub from_cache: bool,
    /// The embedding, a `vector`, or why there is none.
    pub found: Result<Datum, String>,
}

impl EmbeddedQuery {
    /// Why there is no embedding.
    pub fn failure(&self) -> Option<&str> {
        self.found.as_ref().err().map(String::as_str)
    }
}

/// Embeds a query, if the target has a model for that. Without an engine or a model the search goes on by words alone, and the
/// session is warned once.
pub fn embed(target: &Target, query: ServerText) -> Option<EmbeddedQuery> {
    let model = target.embedding_model.clone()?;
    let began = Instant::now();
    let found = backend::embed_query(&model, query).and_then(|(vectors, from_cache)| match target.dimensions {
        Some(wanted) if wanted != vectors.width => {
            let found = vectors.width;
            Err(Error::ModelShape(format!("it makes vectors of {found} dimensions, the column has {wanted}")))
        }
        _ => Ok((value::vector(&vectors.numbers), from_cache)),
    });
    let took = began.elapsed();
    match &found {
        Ok(_) => WARNED.set(false),
        Err(error) if !WARNED.replace(true) => {
            ErrorReport::new(PgSqlErrorCode::ERRCODE_WARNING, "queries are searched for by words alone", "")
                .set_detail(format!("Model \"{model}\" does not embed them: {error}."))
                .set_hint("See harca.health() for the engine, or pass an embedding.")
                .report(PgLogLevel::WARNING);
        }
        Err(_) => {}
    }
    let from_cache = found.as_ref().is_ok_and(|(_, from_cache)| *from_cache);
    let found = found.map(|(embedding, _)| embedding).map_err(|error| error.to_string());
    Some(EmbeddedQuery { model, took, from_cache, found })
}
