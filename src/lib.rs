//! pg_harca: tells what kind of search a query is, inside PostgreSQL. The table of contents of the glue; the work is
//! done in `harca_core`.

#[macro_use]
mod install_sql;

mod api;
mod backend;
mod bridge;
mod embedding;
mod engine;
mod init;
mod parser;
mod process;
mod registry;
mod search;
mod settings;
mod shared_memory;

// What CREATE EXTENSION runs, in this order: a file mentions only objects of its own and of those before it.
install_sql! {
    "../sql/schema.sql"
    "../sql/classify/classify.sql"
    "../sql/vectors/embed.sql"
    "../sql/search/text_search.sql"
    "../sql/search/target.sql"
    "../sql/search/passages.sql"
    "../sql/search/statistics.sql"
    "../sql/search/registration.sql"
    "../sql/search/bm25.sql"
    "../sql/search/words.sql"
    "../sql/search/fusion.sql"
    "../sql/search/hybrid_search.sql"
    "../sql/search/explain.sql"
    "../sql/search/tuning.sql"
    "../sql/models/registry.sql"
    "../sql/models/evaluation.sql"
    "../sql/models/deployment.sql"
    "../sql/models/engine.sql"
    "../sql/embedding/passages.sql"
    "../sql/embedding/embedded_table.sql"
    "../sql/embedding/model_change.sql"
    "../sql/watch/session.sql"
    "../sql/watch/cache.sql"
    "../sql/watch/inference.sql"
    "../sql/watch/memory.sql"
    "../sql/watch/traffic.sql"
    "../sql/watch/drift.sql"
    "../sql/watch/query_log.sql"
    "../sql/watch/health.sql"
    "../sql/watch/advice.sql"
    "../sql/grants.sql"
}
