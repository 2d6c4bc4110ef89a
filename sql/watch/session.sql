CREATE FUNCTION harca.backend_status(
    OUT state text,
    OUT model text,
    OUT sha256 text,
    OUT failure text,
    OUT runtime_version text,
    OUT runtime_path text,
    OUT threads integer,
    OUT inferences bigint,
    OUT rule_answers bigint,
    OUT cache_entries bigint,
    OUT cache_hits bigint,
    OUT cache_misses bigint,
    OUT cache_evictions bigint,
    OUT cache_expirations bigint
) RETURNS record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_backend_status';
COMMENT ON FUNCTION harca.backend_status() IS
'What this session knows of its model: off, not loaded, ready or failed and why; the runtime; the threads of the process; and counts since the session began of queries run through the model, answered by the rules, and of the cache';

CREATE FUNCTION harca.load_model() RETURNS text
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_load_model';
COMMENT ON FUNCTION harca.load_model() IS
'Loads the model in this session now and gives its name and version. Unlike a classification, an error when it cannot be had';

CREATE FUNCTION harca.reset_local_cache() RETURNS void
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_reset_local_cache';
COMMENT ON FUNCTION harca.reset_local_cache() IS 'Forgets the answers that this session keeps; the counts go on';

CREATE FUNCTION harca.prewarm() RETURNS text
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_prewarm';
COMMENT ON FUNCTION harca.prewarm() IS
'Makes this session ready: loads the model, if it was not inherited, and attaches to the shared cache, so that no query pays for it. Gives the name of whoever answers from now on, "rules" when there is no model; never fails for want of one. For connection poolers';
