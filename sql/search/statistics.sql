CREATE TABLE harca.search_statistics (
    target text PRIMARY KEY REFERENCES harca.search_target (name) ON UPDATE CASCADE ON DELETE CASCADE,
    documents bigint NOT NULL CHECK (documents >= 0),
    average_length double precision CHECK (average_length > 0),
    similarity_deviation double precision CHECK (similarity_deviation > 0),
    documents_read bigint NOT NULL CHECK (documents_read >= 0),
    changes bigint,
    refreshed_at timestamptz NOT NULL,
    documents_cut bigint NOT NULL CHECK (documents_cut >= 0)
);
COMMENT ON TABLE harca.search_statistics IS
'What ranking and fusion know of the rows of a search target; written by harca.refresh_search_statistics. harca.stat_search_target says how old it has become';
COMMENT ON COLUMN harca.search_statistics.target IS 'Search target';
COMMENT ON COLUMN harca.search_statistics.documents IS 'Rows with a tsvector; an estimate when not all were read';
COMMENT ON COLUMN harca.search_statistics.average_length IS 'Words of a document on average; null when there was no document';
COMMENT ON COLUMN harca.search_statistics.similarity_deviation IS 'Standard deviation of the vector leg''s score between any two rows; null when there are too few';
COMMENT ON COLUMN harca.search_statistics.documents_read IS 'Documents that were read for it';
COMMENT ON COLUMN harca.search_statistics.changes IS 'Rows of the table that had ever been inserted, updated or deleted, as PostgreSQL''s statistics knew';
COMMENT ON COLUMN harca.search_statistics.refreshed_at IS 'When it was';
COMMENT ON COLUMN harca.search_statistics.documents_cut IS 'Documents of which words were left out, as a tsvector has no room for all; an estimate when not all were read';

CREATE TABLE harca.search_term (
    target text REFERENCES harca.search_target (name) ON UPDATE CASCADE ON DELETE CASCADE,
    lexeme text COLLATE "C",
    documents bigint NOT NULL CHECK (documents > 0),
    PRIMARY KEY (target, lexeme)
);
COMMENT ON TABLE harca.search_term IS
'How many documents of a search target have a lexeme, for those that many have; written by harca.refresh_search_statistics. harca.common_term shows it to those who may read the documents';
COMMENT ON COLUMN harca.search_term.target IS 'Search target';
COMMENT ON COLUMN harca.search_term.lexeme IS 'Lexeme of the tsvector column';
COMMENT ON COLUMN harca.search_term.documents IS 'Documents that have it; an estimate when not all were read';

CREATE TABLE harca.search_background (
    target text PRIMARY KEY REFERENCES harca.search_target (name) ON UPDATE CASCADE ON DELETE CASCADE,
    embeddings real[] NOT NULL
);
COMMENT ON TABLE harca.search_background IS
'Embeddings of some rows of a search target, from which the best rows of a search stand out; written by harca.refresh_search_statistics, and read by searches alone';
COMMENT ON COLUMN harca.search_background.target IS 'Search target';
COMMENT ON COLUMN harca.search_background.embeddings IS 'One row of numbers for each of 16 to 64 rows of the table';

CREATE VIEW harca.common_term WITH (security_barrier) AS
SELECT s.target, s.lexeme, s.documents
FROM harca.search_term AS s
JOIN harca.search_target AS t ON t.name = s.target
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.relation AND a.attname = t.tsvector_column
WHERE pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')
      AND NOT pg_catalog.row_security_active(a.attrelid);
COMMENT ON VIEW harca.common_term IS
'How many documents have a lexeme, for lexemes that many have: of the search targets whose tsvector column the current user may read, all rows of it. A search counts the other lexemes when it needs them';

CREATE FUNCTION harca.guard_search_statistics() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Once for all rows of a statement: there are thousands. A target that is just being deleted is not there any more.
    PERFORM harca.check_owner(t.relation, 'call harca.refresh_search_statistics')
    FROM harca.search_target t
    WHERE t.name IN (SELECT c.target FROM changed c);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION harca.guard_search_statistics() IS
'Lets nobody but the owner of a table write the statistics of its search targets';
CREATE TRIGGER guard_insert AFTER INSERT ON harca.search_statistics
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION harca.guard_search_statistics();
CREATE TRIGGER guard_delete AFTER DELETE ON harca.search_statistics
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION harca.guard_search_statistics();
CREATE TRIGGER guard_insert AFTER INSERT ON harca.search_background
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION harca.guard_search_statistics();
CREATE TRIGGER guard_delete AFTER DELETE ON harca.search_background
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION harca.guard_search_statistics();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON harca.search_background
    FOR EACH ROW EXECUTE FUNCTION harca.announce_target();
ALTER TABLE harca.search_background ENABLE ALWAYS TRIGGER announce;
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON harca.search_statistics
    FOR EACH ROW EXECUTE FUNCTION harca.announce_target();
ALTER TABLE harca.search_statistics ENABLE ALWAYS TRIGGER announce;
CREATE TRIGGER guard_insert AFTER INSERT ON harca.search_term
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION harca.guard_search_statistics();
CREATE TRIGGER guard_delete AFTER DELETE ON harca.search_term
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION harca.guard_search_statistics();

CREATE TRIGGER a_leave_out BEFORE INSERT ON harca.search_statistics
    FOR EACH ROW WHEN (harca.is_restoring()) EXECUTE FUNCTION harca.leave_out_orphan();
CREATE TRIGGER a_leave_out BEFORE INSERT ON harca.search_term
    FOR EACH ROW WHEN (harca.is_restoring()) EXECUTE FUNCTION harca.leave_out_orphan();
CREATE TRIGGER a_leave_out BEFORE INSERT ON harca.search_background
    FOR EACH ROW WHEN (harca.is_restoring()) EXECUTE FUNCTION harca.leave_out_orphan();

SELECT pg_catalog.pg_extension_config_dump('harca.search_statistics', '');
SELECT pg_catalog.pg_extension_config_dump('harca.search_term', '');
SELECT pg_catalog.pg_extension_config_dump('harca.search_background', '');

CREATE FUNCTION harca.table_activity(relation regclass, OUT changes bigint, OUT live bigint, OUT planned bigint)
    LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
    -- What this session has not yet told the statistics is in the counts "xact".
    WITH RECURSIVE part (oid) AS (
        SELECT relation::pg_catalog.oid
        UNION
        SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN part ON i.inhparent = part.oid
    )
    SELECT pg_catalog.sum(pg_catalog.pg_stat_get_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid)
               + pg_catalog.pg_stat_get_tuples_updated(c.oid) + pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
               + pg_catalog.pg_stat_get_tuples_deleted(c.oid) + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid))::bigint,
           greatest(0, pg_catalog.sum(pg_catalog.pg_stat_get_live_tuples(c.oid) + pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid)
                           - pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid)))::bigint,
           pg_catalog.sum(greatest(c.reltuples, 0))::bigint
    FROM part JOIN pg_catalog.pg_class c ON c.oid = part.oid
    WHERE c.relkind IN ('r', 'm');
END;
COMMENT ON FUNCTION harca.table_activity(regclass) IS
'Rows of a table and its partitions that have ever been inserted, updated or deleted, and the rows there are now by PostgreSQL''s statistics and by its planner; null when nobody counts them, as for a foreign table';

CREATE FUNCTION harca.table_calibration(
    target text, relation regclass,
    OUT searches bigint, OUT weight double precision, OUT weight_searches bigint, OUT weight_since timestamptz,
    OUT nearness double precision, OUT wording double precision, OUT prominence double precision
) RETURNS record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_table_calibration';
COMMENT ON FUNCTION harca.table_calibration(text, regclass) IS
'What searches have told of a search target since the server started: how many; the weight of the vector leg that came of it, from how many of them and since when, null before there are enough; and the means of what they have shown: how near the best row by words is to the query, as a share of the best by meaning; what the best row by meaning has of the BM25 score of the best by words; how many standard deviations it stands above any rows';

CREATE FUNCTION harca.reset_calibration(target text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'harca_reset_calibration';
COMMENT ON FUNCTION harca.reset_calibration(text) IS
'Forgets what searches have told of a search target, for all sessions at once; for the owner of the table';

CREATE VIEW harca.stat_search_target AS
SELECT t.name AS target, s.documents, s.average_length, s.documents_read, s.documents_cut, s.refreshed_at,
       a.changes - s.changes AS changed_rows,
       CASE WHEN s.target IS NULL THEN 'never built'
            WHEN pg_catalog.pg_is_in_recovery() THEN 'counted on the primary'
            WHEN a.changes IS NULL OR s.changes IS NULL THEN 'changes are not counted'
            WHEN a.changes < s.changes THEN 'changes were forgotten'
            -- A truncated table, or a materialized view made anew, has fewer rows although none was deleted.
            WHEN greatest(a.changes - s.changes, s.documents - a.live) > 50 + s.documents / 10 THEN 'stale'
            ELSE 'fresh' END AS state,
       t.calibration,
       CASE WHEN t.calibration = 'on' THEN coalesce(c.weight::real, t.vector_weight) ELSE t.vector_weight END AS vector_weight,
       t.vector_weight AS fixed_weight, c.weight::real AS calibrated_weight, c.weight_since AS calibrated_since,
       c.weight_searches AS calibrated_from, c.searches, c.nearness::real, c.wording::real, c.prominence::real,
       t.parser_version,
       CASE WHEN t.parser_version < harca.parser_version()
            THEN pg_catalog.format('UPDATE %s SET %I = %I; SELECT harca.refresh_search_statistics(%L)',
                                   t.relation, t.text_column, t.text_column, t.name) END AS renewal
FROM harca.search_target AS t
LEFT JOIN harca.search_statistics AS s ON s.target = t.name
CROSS JOIN LATERAL harca.table_activity(t.relation) AS a
CROSS JOIN LATERAL harca.table_calibration(t.name, t.relation) AS c;
COMMENT ON VIEW harca.stat_search_target IS
'How old the statistics of the search targets are. State: "fresh"; "stale", when more than a tenth of the documents and 50 have changed since; "never built"; "changes were forgotten", after a crash, an upgrade or a reset of PostgreSQL''s statistics; "changes are not counted", for foreign tables; "counted on the primary", on a replica, which knows no more. All but the last and "fresh" call for harca.refresh_search_statistics. documents_cut counts those of which words were left out, as a tsvector has no room for all. parser_version is that of the text search parser that has cut the documents, and renewal, where that is older than the one installed, what makes the column anew. The weight of the vector leg: what searches go by, what it would be without calibration, and what the searches of the table tell, since when, and from how many of those that have counted since the server started; beside it the means of what they have shown, as harca.table_calibration gives them';

CREATE FUNCTION harca.refresh_search_statistics(target text, sample_rows integer DEFAULT 30000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- A lexeme of fewer documents of those that are read is counted by a search, which takes no longer than to find
    -- them; a share of all that is estimated from fewer would be chance.
    fewest constant integer := 10;
    searched harca.search_target := harca.search_target_row(target);
    activity record;
    sample text := '';
    share double precision := 1;
    -- What searches by meaning go by: the rows, or their passages.
    embedded record;
    documents_read bigint;
    words bigint;
    documents_cut bigint;
    deviation double precision;
    background real[];
    renewed boolean;
BEGIN
    PERFORM harca.check_owner(searched.relation, 'call harca.refresh_search_statistics');
    IF sample_rows < 1 THEN
        RAISE EXCEPTION 'sample_rows must be positive'
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('It is %s.', sample_rows),
                  HINT = 'Pass null to read all rows.';
    END IF;
    -- The table is locked before the target, as whoever drops it does.
    BEGIN
        EXECUTE format('SELECT FROM %s LIMIT 0', searched.relation);
    EXCEPTION WHEN undefined_table THEN
        PERFORM harca.search_target_row(target);
        RAISE;
    END;
    -- One refresh of a target waits for the other here, and for whoever replaces or tunes it; then it reads what there is.
    PERFORM FROM harca.search_target t WHERE t.name = target FOR NO KEY UPDATE;
    searched := harca.search_target_row(target);
    activity := harca.table_activity(searched.relation);
    -- Blocks, as reading rows here and there would read most blocks anyway. From up to twice as many rows all are read.
    IF (SELECT c.relkind IN ('r', 'p', 'm') FROM pg_class c WHERE c.oid = searched.relation) AND greatest(activity.live, activity.planned) > 2 * sample_rows::bigint THEN
        share := sample_rows::float8 / greatest(activity.live, activity.planned);
        sample := format(' TABLESAMPLE SYSTEM (%s) REPEATABLE (0)', 100 * share);
    END IF;
    EXECUTE format('SELECT count(*) FROM %s%s WHERE %I IS NOT NULL', searched.relation, sample, searched.tsvector_column)
        INTO documents_read;
    SELECT e.* INTO embedded
    FROM (SELECT 1 AS place, 'embedding'::name AS embedding, p.relation::regclass AS relation,
                 (SELECT string_agg(format('format(''%%s '', key%s)', n), ' || ') FROM generate_series(1, cardinality(searched.id_columns)) AS n)
                 || ' || passage::text' AS identity,
                 CASE WHEN greatest(a.live, a.planned) > 2 * sample_rows::bigint
                      THEN format(' TABLESAMPLE SYSTEM (%s) REPEATABLE (0)', 100 * sample_rows::float8 / greatest(a.live, a.planned))
                      ELSE '' END AS sampled
          FROM harca.passage_table p CROSS JOIN LATERAL harca.table_activity(p.relation) AS a WHERE p.target = target AND p.in_use
          UNION ALL
          SELECT 2, searched.embedding_column, searched.relation::regclass,
                 (SELECT string_agg(format('format(''%%s'', %I)', c.name), ' || ') FROM unnest(searched.id_columns) AS c (name)), sample) AS e
    ORDER BY e.place LIMIT 1;
    -- 200 rows have 19,900 pairs: their deviation is known to a hundredth. The same rows each time, whatever their order.
    EXECUTE format(
        'WITH picked AS MATERIALIZED ('
        ' SELECT p.embedding, row_number() OVER () AS n FROM ('
        '  SELECT %1$I AS embedding FROM %2$s%3$s WHERE %1$I IS NOT NULL ORDER BY hashtextextended(%4$s, 0) LIMIT 200'
        ' ) AS p)'
        ' SELECT (SELECT stddev_samp(d.distance) FROM ('
        '         SELECT %5$s AS distance FROM picked AS a JOIN picked AS b ON a.n < b.n'
        '        ) AS d WHERE d.distance NOT IN (''NaN'', ''Infinity'', ''-Infinity'')),'
        -- 128 kilobytes of them: a session keeps them.
        '        (SELECT array_agg(p.embedding::real[] ORDER BY p.n) FROM picked AS p'
        '         WHERE p.n <= (SELECT greatest(16, least(64, 32768 / cardinality(f.embedding::real[]))) FROM picked AS f WHERE f.n = 1))',
        embedded.embedding, embedded.relation, embedded.sampled, embedded.identity,
        harca.distance_sql(searched, 'a.embedding', 'b.embedding')) INTO deviation, background;
    DELETE FROM harca.search_statistics AS s WHERE s.target = target;
    DELETE FROM harca.search_term AS s WHERE s.target = target;
    DELETE FROM harca.search_background AS s WHERE s.target = target;
    WITH counted AS MATERIALIZED (
        SELECT w.word, w.ndoc, w.nentry
        FROM ts_stat(format('SELECT %I FROM %s%s', searched.tsvector_column, searched.relation, sample)) AS w
    ), kept AS (
        INSERT INTO harca.search_term
        SELECT target, c.word, round(c.ndoc / share) FROM counted AS c WHERE c.ndoc >= fewest
    )
    -- The parser gives the mark to a text that does not fit.
    SELECT sum(c.nentry), coalesce(max(c.ndoc) FILTER (WHERE c.word = '*cut'), 0) INTO words, documents_cut FROM counted AS c;
    INSERT INTO harca.search_statistics
    VALUES (target, round(documents_read / share), words::float8 / nullif(documents_read, 0), nullif(deviation, 0),
            documents_read, activity.changes, clock_timestamp(), round(documents_cut / share));
    INSERT INTO harca.search_background SELECT target, background WHERE background IS NOT NULL;
    -- A column that was made anew has what the parser makes of the text now. One of other texts than that column's is not told.
    IF searched.parser_version < harca.parser_version() THEN
        EXECUTE format(
            'SELECT coalesce(bool_and(strip(r.%1$I) = strip(to_tsvector(%2$L::regconfig, r.%3$I::text))), false)'
            ' FROM (SELECT t.* FROM %4$s AS t%5$s WHERE t.%1$I IS NOT NULL LIMIT 1000) AS r',
            searched.tsvector_column, searched.config, searched.text_column, searched.relation, sample) INTO renewed;
        UPDATE harca.search_target AS t SET parser_version = harca.parser_version() WHERE t.name = target AND renewed;
    END IF;
    RETURN round(documents_read / share);
END
$$;
COMMENT ON FUNCTION harca.refresh_search_statistics(text, integer) IS
'Builds the statistics that ranking and fusion need for a search target anew, and gives the number of its documents; for the owner of the table. Of a table of more than twice as many rows, a sample of blocks is read, so that it takes seconds at any size; null reads all';

CREATE FUNCTION harca.refresh_stale_search_statistics() RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stale text;
BEGIN
    FOR stale IN
        SELECT s.target FROM harca.stat_search_target s JOIN harca.search_target t ON t.name = s.target
        WHERE s.state <> 'fresh' AND harca.owns(t.relation)
              AND EXISTS (SELECT FROM pg_class c WHERE c.oid = t.relation)
        ORDER BY s.target
    LOOP
        BEGIN
            PERFORM harca.refresh_search_statistics(stale);
            RETURN NEXT stale;
        EXCEPTION WHEN undefined_object THEN
            -- Dropped since the others were found.
            IF EXISTS (SELECT FROM harca.search_target t WHERE t.name = stale) THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION harca.refresh_stale_search_statistics() IS
'Refreshes the statistics of all search targets that are not fresh and whose tables the current user owns, and gives their names: to be called by a scheduler, or after loading';
