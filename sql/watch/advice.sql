CREATE FUNCTION harca.advice_on(
    facts text,
    OUT severity text,
    OUT rule text,
    OUT subject text,
    OUT finding text,
    OUT why text,
    OUT gain text,
    OUT statement text
) RETURNS SETOF record
    LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 5
    AS 'MODULE_PATHNAME', 'harca_advice_on';
COMMENT ON FUNCTION harca.advice_on(text) IS
'The rules of harca.advise, for facts that were gathered: a JSON object. What is not in it gives no advice';

CREATE FUNCTION harca.server_facts() RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    facts jsonb;
BEGIN
    facts := jsonb_build_object('server', jsonb_build_object(
        'version', current_setting('server_version_num')::integer / 10000,
        -- Nothing for whoever may not see it.
        'preloaded', (SELECT s.setting FROM pg_settings s WHERE s.name = 'shared_preload_libraries'),
        'work_mem', (SELECT 1024 * s.setting::bigint FROM pg_settings s WHERE s.name = 'work_mem')));
    IF NOT (has_function_privilege('harca.memory_statistics()', 'EXECUTE') AND has_function_privilege('harca.cache_statistics()', 'EXECUTE')) THEN
        RETURN facts;
    END IF;
    facts := jsonb_set(facts, '{server}', (facts -> 'server') || (
        SELECT jsonb_build_object('sessions', count(*) FILTER (WHERE m.bytes > 0), 'session_bytes', coalesce(sum(m.bytes), 0))
        FROM harca.stat_memory m WHERE m.part = 'session'));
    RETURN facts || coalesce((
        SELECT jsonb_build_object('cache', jsonb_build_object(
            'capacity', c.capacity, 'hits', c.hits, 'misses', c.misses, 'evictions', c.evictions,
            'sampled', (SELECT max(h.lookups) FROM harca.hit_curve() h),
            'curve', (SELECT jsonb_agg(jsonb_build_array(h.entries, h.hit_ratio) ORDER BY h.entries) FROM harca.hit_curve() h),
            'run_us', (SELECT sum(i.total_us) / nullif(sum(i.runs), 0) FROM harca.stat_inference i)))
        FROM harca.stat_cache c WHERE c.level = 'shared'), '{}');
END
$$;
COMMENT ON FUNCTION harca.server_facts() IS 'What harca.advise knows of the server and of the shared cache, as far as the caller may read it';

CREATE FUNCTION harca.index_facts(relation regclass, columns name[], expression text) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'name', i.indexrelid::regclass::text,
               'method', m.amname,
               'class', format('%I.%I', n.nspname, o.opcname),
               'valid', i.indisvalid,
               'whole', i.indpred IS NULL AND (i.indnkeyatts = 1 OR m.amname = 'gin')) ORDER BY i.indexrelid), '[]')
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am m ON m.oid = c.relam
    JOIN pg_opclass o ON o.oid = i.indclass[0]
    JOIN pg_namespace n ON n.oid = o.opcnamespace
    WHERE i.indrelid = relation
      AND (EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = ANY (columns) AND a.attnum = ANY (i.indkey::int2[]))
           OR pg_get_expr(i.indexprs, i.indrelid) = expression)
$$;
COMMENT ON FUNCTION harca.index_facts(regclass, name[], text) IS
'What harca.advise knows of the indexes of a table that have one of the columns, or are made over an expression';

CREATE FUNCTION harca.measured_recall(searched harca.search_target, ef_search integer) RETURNS double precision
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    distance constant text := harca.distance_sql(searched, format('t.%I', searched.embedding_column), 'p.embedding');
    former constant text := current_setting('hnsw.ef_search');
    recall double precision;
BEGIN
    PERFORM set_config('hnsw.ef_search', ef_search::text, true);
    -- By distances, as rows may be equally far. With an addition no index can answer: that is what is right.
    EXECUTE format(
        'WITH picked AS MATERIALIZED ('
        ' SELECT %1$I AS embedding FROM %2$s WHERE %1$I IS NOT NULL ORDER BY hashtextextended(ctid::text, 0) LIMIT 20)'
        ' SELECT avg(found.rows) / 10 FROM picked AS p,'
        ' LATERAL (SELECT max(n.distance) AS tenth FROM (SELECT 0::float8 + (%3$s) AS distance FROM %2$s AS t'
        '   WHERE t.%1$I IS NOT NULL ORDER BY 1 LIMIT 10) AS n) AS nearest,'
        ' LATERAL (SELECT count(*) AS rows FROM (SELECT a.distance FROM (SELECT %3$s AS distance FROM %2$s AS t'
        '   WHERE t.%1$I IS NOT NULL ORDER BY %3$s LIMIT 100) AS a ORDER BY a.distance LIMIT 10) AS b'
        '   WHERE b.distance <= nearest.tenth) AS found',
        searched.embedding_column, searched.relation, distance) INTO recall;
    PERFORM set_config('hnsw.ef_search', former, true);
    RETURN recall;
END
$$;
COMMENT ON FUNCTION harca.measured_recall(harca.search_target, integer) IS
'Which share of the ten nearest rows a search finds with a value of hnsw.ef_search, from 0 to 1, by 20 rows of the table as queries; for those who may read them';

CREATE FUNCTION harca.measured_facts(searched harca.search_target, rows bigint) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- An exact search of more takes longer than whoever asks would wait, twenty times over.
    most_rows constant bigint := 200000;
    facts jsonb := '{}';
    ef_search integer;
BEGIN
    BEGIN
        -- The owner of a table may write the row by hand: its types have to be pgvector's before a function of theirs is called.
        searched := harca.search_target_row(searched.name);
    EXCEPTION WHEN OTHERS THEN
        RETURN facts;
    END;
    IF harca.owns(searched.relation)
       AND (SELECT count(DISTINCT f.query) >= 10 FROM harca.feedback f WHERE f.target = searched.name AND f.embedding IS NOT NULL AND f.grade > 0) THEN
        BEGIN
            facts := facts || (SELECT jsonb_build_object('tuning', jsonb_build_object('queries', t.queries, 'before', t.ndcg_before, 'after', t.ndcg_after))
                               FROM harca.tune_search(searched.name) AS t);
        EXCEPTION WHEN invalid_parameter_value THEN
            -- Too few of the judged rows are still there.
            NULL;
        END;
    END IF;
    IF rows <= most_rows AND has_column_privilege(searched.relation, searched.embedding_column::text, 'SELECT')
       AND NOT row_security_active(searched.relation)
       AND EXISTS (SELECT FROM pg_class c WHERE c.oid = searched.relation AND c.relkind IN ('r', 'm'))
       AND harca.index_facts(searched.relation, ARRAY[searched.embedding_column], NULL) @> '[{"method": "hnsw", "valid": true}]' THEN
        -- pgvector defines its settings when a session first uses it.
        EXECUTE format('SELECT cardinality(t.%1$I::real[]) FROM %2$s AS t WHERE t.%1$I IS NOT NULL LIMIT 1', searched.embedding_column, searched.relation);
        -- A search sets it to its candidates, 100, unless it is higher.
        ef_search := greatest(100, current_setting('hnsw.ef_search', true)::integer);
        IF ef_search < 1000 AND current_setting('hnsw.ef_search', true) IS NOT NULL THEN
            facts := facts || jsonb_build_object('recall', jsonb_build_object(
                'queries', least(20, rows), 'ef_search', ef_search, 'found', coalesce(harca.measured_recall(searched, ef_search), 1),
                'wider', least(1000, 4 * ef_search), 'found_wider', coalesce(harca.measured_recall(searched, least(1000, 4 * ef_search)), 1)));
        END IF;
    END IF;
    RETURN facts;
END
$$;
COMMENT ON FUNCTION harca.measured_facts(harca.search_target, bigint) IS
'What harca.advise(measure => true) measures of a search target, as far as the caller may read its table: what a tuning would gain, and what its vector index finds';

CREATE FUNCTION harca.target_facts(measure boolean) RETURNS jsonb
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'name', t.name,
        'literal', quote_literal(t.name),
        'table', t.relation::text,
        'kind', c.relkind,
        'rows', a.rows,
        'pages', a.pages,
        'state', s.state,
        'documents', s.documents,
        'changed_rows', s.changed_rows,
        'renewal', s.renewal,
        'tsvector', jsonb_build_object(
            'name', quote_ident(t.tsvector_column),
            'indexes', harca.index_facts(t.relation, ARRAY[t.tsvector_column, t.text_column], format('harca.with_frequencies(%I)', t.tsvector_column))),
        'embedding', jsonb_build_object(
            'name', quote_ident(t.embedding_column),
            'kind', e.typname,
            'dimensions', e.dimensions,
            'class', e.class,
            'half', e.half,
            'indexes', harca.index_facts(t.relation, ARRAY[t.embedding_column], NULL)),
        'distance', t.distance,
        'new_judgements', (SELECT count(*) FROM harca.search_feedback f
                           WHERE f.target = t.name
                             AND f.recorded_at > coalesce((SELECT max(u.tuned_at) FROM harca.search_tuning u WHERE u.target = t.name), '-infinity')))
        || CASE WHEN measure THEN harca.measured_facts(t, a.rows) ELSE '{}' END ORDER BY t.name), '[]')
    FROM harca.search_target t
    JOIN harca.stat_search_target s ON s.target = t.name
    JOIN pg_class c ON c.oid = t.relation
    CROSS JOIN LATERAL (
        WITH RECURSIVE part (oid) AS (
            SELECT t.relation::oid
            UNION
            SELECT i.inhrelid FROM pg_inherits i JOIN part ON i.inhparent = part.oid
        )
        SELECT greatest(l.live, l.planned, 0) AS rows,
               (SELECT sum(coalesce(pg_relation_size(p.oid), 0)) / current_setting('block_size')::integer FROM part p)::bigint AS pages
        FROM harca.table_activity(t.relation) AS l
    ) AS a
    LEFT JOIN LATERAL (
        SELECT ty.typname, n.nspname, greatest(0, b.atttypmod, d.typtypmod) AS dimensions,
               format('%I.%I', n.nspname, ty.typname || CASE t.distance WHEN 'cosine' THEN '_cosine_ops' WHEN 'l2' THEN '_l2_ops' ELSE '_ip_ops' END) AS class,
               format('%I.halfvec', n.nspname) AS half
        FROM pg_attribute b
        JOIN pg_type d ON d.oid = b.atttypid
        JOIN pg_type ty ON ty.oid = harca.base_type(b.atttypid)
        JOIN pg_namespace n ON n.oid = ty.typnamespace
        WHERE b.attrelid = t.relation AND b.attname = t.embedding_column
    ) AS e ON true
$$;
COMMENT ON FUNCTION harca.target_facts(boolean) IS
'What harca.advise knows of the search targets; with measure also what harca.measured_facts gives';

CREATE FUNCTION harca.model_facts() RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    active constant text := coalesce((SELECT d.active FROM harca.deployment d), 'builtin');
    bound constant float8 := 1000 * (SELECT s.setting::float8 FROM pg_settings s WHERE s.name = 'pg_harca.max_latency');
    facts jsonb;
BEGIN
    facts := jsonb_build_object(
        'shadows', (
            SELECT jsonb_agg(jsonb_build_object(
                'model', s.model, 'literal', quote_literal((SELECT m.key FROM harca.models m WHERE m.model = s.model)), 'active', a.model,
                'answers', s.answers, 'agreement', s.agreement, 'p50_us', s.p50_us, 'active_p50_us', a.p50_us))
            FROM harca.stat_models s JOIN harca.stat_models a ON a.current AND a.role = 'active'
            WHERE s.current AND s.role = 'shadow'),
        'slow_models', (
            SELECT jsonb_agg(jsonb_build_object(
                'model', p.model, 'bound_us', bound, 'p95_us', a.p95_us, 'runs', a.runs,
                'replaced', (SELECT coalesce(sum(o.answers), 0)::bigint FROM harca.stat_models o WHERE o.current AND o.role IN ('fallback', 'rules'))))
            FROM harca.model_parts() p JOIN harca.stat_models a ON a.current AND a.role = 'active' AND a.model = p.model
            WHERE p.role = 'active' AND p.breaker <> 'closed'));
    IF has_table_privilege('harca.model_evaluation', 'SELECT') THEN
        facts := facts || jsonb_build_object('evaluations', (
            SELECT jsonb_agg(to_jsonb(e))
            FROM (SELECT DISTINCT ON (m.key)
                         m.model, quote_literal(m.key) AS literal, b.model AS active, o.queries, o.accuracy, a.accuracy AS active_accuracy,
                         o.p50_us, a.p50_us AS active_p50_us
                  FROM harca.models m
                  JOIN harca.model_evaluation o ON o.model = m.key AND o.identity = m.identity
                  JOIN harca.models b ON b.key = active
                  JOIN harca.model_evaluation a ON a.model = b.key AND a.identity = b.identity AND a.labelled_digest = o.labelled_digest
                  WHERE m.key <> active AND m.task = 'classification'
                  ORDER BY m.key, o.evaluated_at DESC, a.evaluated_at DESC) AS e));
    END IF;
    RETURN facts;
END
$$;
COMMENT ON FUNCTION harca.model_facts() IS 'What harca.advise knows of the models that answer, as far as the caller may read it';

CREATE FUNCTION harca.engine_facts() RETURNS jsonb
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'state', e.state,
        'needed_by', (SELECT coalesce(jsonb_agg(n.name ORDER BY n.name), '[]')
                      FROM (SELECT 'search target ' || quote_ident(t.name) FROM harca.search_target t WHERE t.embedding_model IS NOT NULL
                            UNION ALL
                            SELECT 'model ' || m.model FROM harca.models m
                            WHERE m.executor = 'engine' AND m.status IN ('active', 'ab', 'canary', 'shadow')) AS n (name)),
        'memory', e.memory, 'memory_bound', e.memory_bound, 'let_go_idle', e.let_go[1], 'let_go_pressed', e.let_go[2],
        'queued', e.queued, 'queue_bound', e.queue_bound, 'threads', e.threads,
        'strategy', current_setting('pg_harca.engine_strategy'),
        'models', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                       'model', s.model, 'literal', quote_literal(s.model), 'state', s.state, 'priority', s.priority, 'requests', s.requests,
                       'failed', s.failed, 'wait_p95_us', s.wait_p95_us, 'run_p95_us', s.run_p95_us, 'bytes', s.bytes)), '[]')
                   FROM harca.stat_engine s))
    FROM harca.engine_status() e
$$;
COMMENT ON FUNCTION harca.engine_facts() IS 'What harca.advise knows of the engine';

CREATE FUNCTION harca.advise(measure boolean DEFAULT false)
    RETURNS TABLE (severity text, rule text, subject text, finding text, why text, gain text, statement text)
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE ROWS 5
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- First of all: the settings of a library that is not preloaded come with its first function.
    engine constant jsonb := harca.engine_facts();
BEGIN
    RETURN QUERY SELECT a.* FROM harca.advice_on(jsonb_strip_nulls(
        jsonb_build_object('engine', engine, 'targets', harca.target_facts(measure)) || harca.server_facts() || harca.model_facts())::text) AS a;
END
$$;
COMMENT ON FUNCTION harca.advise(boolean) IS
'What to change on this server, told from its statistics and settings as far as the caller may read them, what matters most first. severity: critical, warning or notice; rule, one of docs/monitoring.md; subject; finding, with its numbers; why it matters; gain; and the statement that makes the change. With measure, judged queries are searched for with other weights, and the vector indexes of tables of up to 200,000 rows are compared with exact searches, which takes seconds: of tables of the caller''s, and that the caller may read';
