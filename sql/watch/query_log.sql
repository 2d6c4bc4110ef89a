CREATE FUNCTION harca.logged_queries(
    OUT logged_at timestamptz,
    OUT query text,
    OUT query_type text,
    OUT confidence real,
    OUT language text,
    OUT model text
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10000
    AS 'MODULE_PATHNAME', 'harca_logged_queries';
COMMENT ON FUNCTION harca.logged_queries() IS 'What the view harca.query_log shows';

CREATE VIEW harca.query_log AS
SELECT l.logged_at, l.query, l.query_type, l.confidence, l.language, l.model FROM harca.logged_queries() AS l;
COMMENT ON VIEW harca.query_log IS
'Queries of this database that were sampled (pg_harca.query_log_sample), with what was answered, oldest first, for pg_harca.query_log_retention days. They stand in files of the data folder, are not written to the WAL and not dumped; each server of a replication has its own';

CREATE FUNCTION harca.forget_queries(before timestamptz DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'harca_forget_queries';
COMMENT ON FUNCTION harca.forget_queries(timestamptz) IS
'Removes logged queries of this database, those before a time or all, and gives their number. A query that is logged at this moment may be lost as well';

CREATE FUNCTION harca.unlogged_queries() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_unlogged_queries';
COMMENT ON FUNCTION harca.unlogged_queries() IS
'Sampled queries of all databases that could not be logged, as pg_harca.query_log_size was reached or the file could not be written, since harca.stat_reset(). Null without shared memory';

CREATE TABLE harca.labelled_query (
    query text PRIMARY KEY CHECK (query <> ''),
    label text NOT NULL CHECK (label <> ''),
    labelled_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    labelled_by name NOT NULL DEFAULT SESSION_USER
);
COMMENT ON TABLE harca.labelled_query IS 'Queries with the label that a person has given them: for harca.export_training_data, and to evaluate models on';
COMMENT ON COLUMN harca.labelled_query.query IS 'The query';
COMMENT ON COLUMN harca.labelled_query.label IS 'Its label';
COMMENT ON COLUMN harca.labelled_query.labelled_at IS 'When';
COMMENT ON COLUMN harca.labelled_query.labelled_by IS 'By whom';
SELECT pg_catalog.pg_extension_config_dump('harca.labelled_query', '');

CREATE FUNCTION harca.export_training_data(min_confidence real DEFAULT 0, labelled_only boolean DEFAULT false) RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE ROWS 10000
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN NEXT E'query\tlabel\tlanguage\tsource';
    RETURN QUERY
    WITH logged AS (
        -- A query is one example, however often it was asked.
        SELECT DISTINCT ON (l.query) l.query, l.query_type, l.language, l.confidence
        FROM harca.query_log AS l ORDER BY l.query, l.logged_at DESC
    )
    SELECT concat_ws(E'\t', regexp_replace(coalesce(j.query, l.query), '[[:cntrl:][:space:]]+', ' ', 'g'),
                     coalesce(j.label, l.query_type), coalesce(l.language, 'und'),
                     CASE WHEN j.query IS NULL THEN 'query_log' ELSE 'labelled_query' END)
    FROM harca.labelled_query AS j FULL JOIN logged AS l USING (query)
    WHERE j.query IS NOT NULL OR (NOT labelled_only AND l.confidence >= min_confidence AND l.query_type <> 'unknown')
    ORDER BY 1;
END
$$;
COMMENT ON FUNCTION harca.export_training_data(real, boolean) IS
'Lines of a tab-separated file that harca_train reads, its header first: the queries of harca.labelled_query with their labels and, unless labelled_only is true, those of harca.query_log with the label that the model gave them at a confidence of min_confidence or more. For psql -qAt -c "SELECT harca.export_training_data()" > queries.tsv';
