-- Who may do what. Functions are PUBLIC unless taken back here; all of them run with the caller's rights.
GRANT USAGE ON SCHEMA harca TO PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON harca.search_target, harca.search_profile TO PUBLIC; -- a trigger guards them
GRANT SELECT, INSERT, DELETE ON harca.search_statistics TO PUBLIC; -- a trigger guards it, and the next
-- Lexemes are part of what a table holds: they are read through harca.common_term.
GRANT SELECT (target), INSERT, DELETE ON harca.search_term TO PUBLIC;
GRANT SELECT ON harca.common_term, harca.stat_search_target TO PUBLIC;
-- Queries are read through harca.feedback, by the owners of the tables.
GRANT SELECT (target, recorded_at), INSERT, DELETE ON harca.search_feedback TO PUBLIC; -- a trigger guards it
GRANT SELECT ON harca.feedback TO PUBLIC;
GRANT SELECT, INSERT, DELETE ON harca.search_tuning TO PUBLIC; -- a trigger guards it

REVOKE ALL ON FUNCTION harca.backend_status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION harca.backend_status() TO pg_monitor;
REVOKE ALL ON FUNCTION harca.load_model() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION harca.load_model() TO pg_monitor;
REVOKE ALL ON FUNCTION harca.reset_local_cache() FROM PUBLIC;
REVOKE ALL ON FUNCTION harca.cache_statistics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION harca.cache_statistics() TO pg_monitor;
REVOKE ALL ON FUNCTION harca.inference_statistics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION harca.inference_statistics() TO pg_monitor;
REVOKE ALL ON FUNCTION harca.memory_statistics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION harca.memory_statistics() TO pg_monitor;
GRANT SELECT ON harca.stat_cache, harca.stat_inference, harca.stat_memory TO pg_monitor;
REVOKE ALL ON FUNCTION harca.cache_reset() FROM PUBLIC;
REVOKE ALL ON FUNCTION harca.stat_reset() FROM PUBLIC;
