CREATE FUNCTION harca.cache_statistics(
    OUT level text,
    OUT capacity bigint,
    OUT entries bigint,
    OUT bytes bigint,
    OUT hits bigint,
    OUT misses bigint,
    OUT evictions bigint,
    OUT expirations bigint,
    OUT restored bigint,
    OUT counted_since timestamptz
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 2
    AS 'MODULE_PATHNAME', 'harca_cache_statistics';
COMMENT ON FUNCTION harca.cache_statistics() IS 'What the view harca.stat_cache shows';

CREATE VIEW harca.stat_cache AS
SELECT s.level, s.capacity, s.entries, s.bytes, s.hits, s.misses, s.evictions, s.expirations, s.restored, s.counted_since
FROM harca.cache_statistics() AS s;
COMMENT ON VIEW harca.stat_cache IS
'The caches of answers. Level "shared": that of all sessions, its counts since counted_since, and how many of its entries came from the file of a former run; there is no such row where pg_harca.cache_size is 0, nor before PostgreSQL 17 without shared_preload_libraries. Level "local": that of this session, which it uses when there is no shared one. Expired entries count as such when a look-up finds them; a look-up that finds one is also a miss';

CREATE FUNCTION harca.inference_statistics(
    OUT model text,
    OUT queries bigint,
    OUT runs bigint,
    OUT total_us double precision,
    OUT p50_us double precision,
    OUT p95_us double precision,
    OUT p99_us double precision,
    OUT max_us double precision
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 2
    AS 'MODULE_PATHNAME', 'harca_inference_statistics';
COMMENT ON FUNCTION harca.inference_statistics() IS 'What the view harca.stat_inference shows';

CREATE VIEW harca.stat_inference AS
SELECT s.model, s.queries, s.runs, s.total_us, s.p50_us, s.p95_us, s.p99_us, s.max_us
FROM harca.inference_statistics() AS s;
COMMENT ON VIEW harca.stat_inference IS
'What each model has done in all sessions since the counts of harca.stat_cache began: the queries that it has run on, the runs, which are fewer where classify_queries runs many queries at once, and the time of a run in microseconds, encoding included where it has one query: sum, median, 95 and 99 of 100, maximum; quantiles are right to 3 in 100. It has no rows without shared memory, as harca.stat_cache has none of level "shared", and counts 16 models at most';

CREATE FUNCTION harca.memory_statistics(
    OUT pid integer,
    OUT part text,
    OUT bytes bigint
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 20
    AS 'MODULE_PATHNAME', 'harca_memory_statistics';
COMMENT ON FUNCTION harca.memory_statistics() IS 'What the view harca.stat_memory shows, and processes that have ended';

CREATE VIEW harca.stat_memory AS
SELECT s.pid, s.part, s.bytes
FROM harca.memory_statistics() AS s
WHERE s.pid IS NULL
    OR s.pid = pg_backend_pid()
    OR EXISTS (SELECT FROM pg_stat_get_activity(NULL) AS a WHERE a.pid = s.pid);
COMMENT ON VIEW harca.stat_memory IS
'Where memory goes, in bytes. Without a pid, what all sessions share: "shared cache" and "statistics". For each process that has used a model: "session", what loading the runtime and the model has added to it (next to nothing where they were inherited from the postmaster), "buffers" for texts on their way, and "local cache". The runtime keeps no arena: what a run needs it gives back. Without shared memory, as for harca.stat_cache, the view knows this session alone';

CREATE FUNCTION harca.cache_reset() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_cache_reset';
COMMENT ON FUNCTION harca.cache_reset() IS
'Forgets the answers of the shared cache, and those that this session keeps; gives how many there were. The counts go on. An answer that another session is storing at this moment may stay';

CREATE FUNCTION harca.stat_reset() RETURNS void
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_stat_reset';
COMMENT ON FUNCTION harca.stat_reset() IS
'Begins the counts of harca.stat_inference and of level "shared" in harca.stat_cache anew; what is cached stays';

CREATE FUNCTION harca.prewarm() RETURNS text
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_prewarm';
COMMENT ON FUNCTION harca.prewarm() IS
'Makes this session ready: loads the model, if it was not inherited, and attaches to the shared cache, so that no query pays for it. Gives the name of whoever answers from now on, "rules" when there is no model; never fails for want of one. For connection poolers';
