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

CREATE FUNCTION harca.stat_reset() RETURNS void
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_stat_reset';
COMMENT ON FUNCTION harca.stat_reset() IS
'Begins the counts of harca.stat_inference and of level "shared" in harca.stat_cache anew; what is cached stays';
