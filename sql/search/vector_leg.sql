CREATE FUNCTION harca.check_embedding(target harca.search_target, embedding vector) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- pgvector keeps the dimension as the type modifier; -1 is any.
    dimensions constant integer := (
        SELECT a.atttypmod FROM pg_attribute a
        WHERE a.attrelid = target.relation AND a.attname = target.embedding_column);
    given integer;
BEGIN
    -- The length of the text form is not asked for: vector_dims may live in any schema, the cast to an array does not.
    given := cardinality(embedding::real[]);
    IF dimensions > 0 AND given <> dimensions THEN
        RAISE EXCEPTION 'embedding has % dimensions, search target "%" has %', given, target.name, dimensions
            USING ERRCODE = 'data_exception',
                  HINT = 'Embed the query with the model that embedded the table.';
    END IF;
END
$$;
COMMENT ON FUNCTION harca.check_embedding(harca.search_target, vector) IS
'Raises an error unless an embedding has the dimensions of the target''s column';

CREATE FUNCTION harca.vector_leg_sql(
    target harca.search_target, filter jsonb, options jsonb, by_both boolean, exact boolean
) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    condition constant text := harca.filter_condition(target.relation, filter);
    boosted constant record := harca.boost_sql(target.relation, nullif(options -> 'boosts', 'null'));
    -- What the row's other score and its boost are made of goes along under names of its own.
    read_boosts constant text := coalesce(
        (SELECT string_agg(format(', %I AS b%s', c.name, c.n), '' ORDER BY c.n)
         FROM unnest(boosted.columns) WITH ORDINALITY AS c (name, n)), '');
    distance constant text := harca.distance_sql(target, format('%I', target.embedding_column), '$9');
    found text;
    other text := 'NULL::float8';
BEGIN
    -- The id becomes text by its output function: a cast to text may be a function of whoever owns its type. The distance
    -- stands alone in ORDER BY: that is what an index on the column can answer. With an addition it cannot.
    found := format(
        'SELECT format(''%%s'', %I) AS id, %s - (%s) AS score%s%s FROM %s WHERE %I IS NOT NULL%s ORDER BY %s(%s) LIMIT $2',
        target.id_column, CASE target.distance WHEN 'cosine' THEN '1' ELSE '0' END, distance,
        CASE WHEN by_both THEN format(', %I AS document', target.tsvector_column) END, read_boosts, target.relation,
        target.embedding_column, condition, CASE WHEN exact THEN '0 + ' END, distance);
    IF by_both THEN
        other := format('nullif(%s, 0)', harca.word_score_sql(options ->> 'ranking', 'l.document', '$4'));
    END IF;
    RETURN format('SELECT l.id, l.score, %s AS other, %s AS boost FROM (%s) AS l',
                  other, coalesce(boosted.expression, 'NULL::float8'), found);
END
$$;
COMMENT ON FUNCTION harca.vector_leg_sql(harca.search_target, jsonb, jsonb, boolean, boolean) IS
'The query of the vector leg, which gives ids, scores, the rows'' scores by the keyword leg''s measure if by_both, and boosts; if exact, one that uses no vector index. Its parameters are those of harca.keyword_leg_sql';

CREATE FUNCTION harca.widen_index_scan(candidates integer) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    former constant jsonb := jsonb_build_object(
        'hnsw.ef_search', current_setting('hnsw.ef_search', true),
        'hnsw.iterative_scan', current_setting('hnsw.iterative_scan', true),
        'ivfflat.iterative_scan', current_setting('ivfflat.iterative_scan', true));
BEGIN
    -- An HNSW scan gives ef_search rows at most (40 by default, 1000 at most), and fewer behind a filter unless it may
    -- go on; a setting that pgvector does not have (0.7 and older) stays alone, as does one the user has chosen.
    IF (former ->> 'hnsw.ef_search')::integer < candidates THEN
        PERFORM set_config('hnsw.ef_search', least(candidates, 1000)::text, true);
    END IF;
    IF former ->> 'hnsw.iterative_scan' = 'off' THEN
        PERFORM set_config('hnsw.iterative_scan', 'strict_order', true);
    END IF;
    IF former ->> 'ivfflat.iterative_scan' = 'off' THEN
        PERFORM set_config('ivfflat.iterative_scan', 'relaxed_order', true);
    END IF;
    RETURN former;
END
$$;
COMMENT ON FUNCTION harca.widen_index_scan(integer) IS
'Lets pgvector''s index scans give that many rows, until harca.restore_index_scan; gives the former settings';

CREATE FUNCTION harca.restore_index_scan(former jsonb) RETURNS void
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    SELECT pg_catalog.set_config(f.key, f.value, true)
    FROM pg_catalog.jsonb_each_text($1) AS f (key, value)
    WHERE f.value IS NOT NULL AND pg_catalog.current_setting(f.key, true) <> f.value;
END;
COMMENT ON FUNCTION harca.restore_index_scan(jsonb) IS
'Puts settings back that harca.widen_index_scan has changed; an error between the two does so by itself';
