//! pg_harca: tells what kind of search a query is, inside PostgreSQL. The table of contents of the glue; the work is
//! done in `harca_core`.

mod api;
mod backend;
mod bridge;
mod init;
mod process;
mod registry;
mod search;
mod settings;
mod shared_memory;

pgrx::extension_sql_file!("../sql/schema.sql", name = "schema", bootstrap);
pgrx::extension_sql_file!("../sql/classify/classify.sql", name = "classify", requires = ["schema"]);
pgrx::extension_sql_file!("../sql/search/text_search.sql", name = "text_search", requires = ["classify"]);
pgrx::extension_sql_file!("../sql/search/target.sql", name = "search_target", requires = ["text_search"]);
pgrx::extension_sql_file!("../sql/search/bm25.sql", name = "ranking", requires = ["search_target"]);
pgrx::extension_sql_file!("../sql/search/statistics.sql", name = "search_statistics", requires = ["ranking"]);
pgrx::extension_sql_file!("../sql/search/words.sql", name = "search_words", requires = ["search_statistics"]);
pgrx::extension_sql_file!("../sql/search/filter.sql", name = "search_filter", requires = ["search_words"]);
pgrx::extension_sql_file!("../sql/search/boosts.sql", name = "search_boosts", requires = ["search_filter"]);
pgrx::extension_sql_file!("../sql/search/options.sql", name = "search_options", requires = ["search_boosts"]);
pgrx::extension_sql_file!("../sql/search/fusion.sql", name = "fusion", requires = ["search_options"]);
pgrx::extension_sql_file!("../sql/search/legs.sql", name = "search_legs", requires = ["fusion"]);
pgrx::extension_sql_file!("../sql/search/hybrid_search.sql", name = "hybrid_search", requires = ["search_legs"]);
pgrx::extension_sql_file!("../sql/search/explain.sql", name = "explain_search", requires = ["hybrid_search"]);
pgrx::extension_sql_file!("../sql/search/tuning.sql", name = "search_tuning", requires = ["explain_search"]);
pgrx::extension_sql_file!("../sql/watch/session.sql", name = "status", requires = ["search_tuning"]);
pgrx::extension_sql_file!("../sql/watch/cache.sql", name = "statistics", requires = ["status"]);
pgrx::extension_sql_file!("../sql/models/registry.sql", name = "models", requires = ["statistics"]);
pgrx::extension_sql_file!("../sql/models/deployment.sql", name = "model_deployment", requires = ["models"]);
pgrx::extension_sql_file!("../sql/watch/traffic.sql", name = "model_statistics", requires = ["model_deployment"]);
pgrx::extension_sql_file!("../sql/watch/query_log.sql", name = "query_log", requires = ["model_statistics"]);
pgrx::extension_sql_file!("../sql/watch/health.sql", name = "health", requires = ["query_log"]);
pgrx::extension_sql_file!("../sql/grants.sql", name = "grants", finalize);
