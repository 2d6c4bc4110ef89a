CREATE FUNCTION harca.fuse(
    vector_ids text[],
    vector_scores double precision[],
    keyword_ids text[],
    keyword_scores double precision[],
    vector_weight double precision,
    reciprocal_rank boolean DEFAULT false
) RETURNS TABLE (
        id text,
        score double precision,
        vector_rank integer,
        keyword_rank integer,
        vector_score double precision,
        keyword_score double precision
    )
    LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 100
    AS 'MODULE_PATHNAME', 'harca_fuse';
COMMENT ON FUNCTION harca.fuse(text[], double precision[], text[], double precision[], double precision, boolean) IS
'Fuses two ranked lists, best first, into one: ids and scores of the vector leg, ids and scores of the keyword leg, the weight of the vector leg from 0 to 1, and whether to add reciprocal ranks (k = 60) instead of normalised scores';

CREATE FUNCTION harca.keyword_query(config regconfig, query text) RETURNS tsquery
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    -- Any of the words, as all of them together match nothing for a long question. Each lexeme is quoted for tsquery's
    -- input syntax, in which a backslash escapes.
    SELECT pg_catalog.string_agg(
               '''' || pg_catalog.replace(pg_catalog.replace(u.lexeme, '\', '\\'), '''', '''''') || '''', ' | '
               ORDER BY u.positions[1]
           )::pg_catalog.tsquery
    FROM pg_catalog.unnest(pg_catalog.to_tsvector($1, $2)) AS u;
END;
COMMENT ON FUNCTION harca.keyword_query(regconfig, text) IS
'The words of a query, any of which is to match; null when the configuration leaves none';

CREATE FUNCTION harca.search_target_row(name text) RETURNS harca.search_target
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    target harca.search_target;
BEGIN
    SELECT t.* INTO target FROM harca.search_target t WHERE t.name = name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'search target "%" does not exist', name
            USING ERRCODE = 'undefined_object',
                  HINT = 'Register the table with harca.register_search_target(name, relation), or see harca.search_target for what there is.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = target.relation) THEN
        RAISE EXCEPTION 'table of search target "%" no longer exists', name
            USING ERRCODE = 'undefined_table',
                  DETAIL = format('It had the object identifier %s.', target.relation::oid),
                  HINT = 'Register the new table with replace => true, or call harca.drop_search_target(name).';
    END IF;
    -- Checked again, although registering does: the owner of a table may write the row by hand, and tables change.
    PERFORM harca.check_relation(target.relation);
    PERFORM harca.check_column(target.relation, target.id_column, 'id', '{}');
    PERFORM harca.check_column(target.relation, target.tsvector_column, 'tsvector', '{tsvector}');
    PERFORM harca.check_column(target.relation, target.embedding_column, 'embedding', '{vector,halfvec}');
    RETURN target;
END
$$;
COMMENT ON FUNCTION harca.search_target_row(text) IS
'A search target whose table and columns are there; an error else';

CREATE FUNCTION harca.leg_sql(target harca.search_target, leg text, filter jsonb) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    condition text := harca.filter_condition(target.relation, filter);
    vector_schema name;
    type_name text;
    distance text;
BEGIN
    -- The id becomes text by its output function: a cast to text may be a function of whoever owns its type.
    IF leg = 'keyword' THEN
        RETURN format(
            'SELECT format(''%%s'', %1$I) AS id, ts_rank(%2$I, $1, 1)::float8 AS score FROM %3$s WHERE %2$I @@ $1%4$s'
            ' ORDER BY score DESC, id LIMIT $2',
            target.id_column, target.tsvector_column, target.relation, condition);
    END IF;
    SELECT n.nspname, ty.typname INTO vector_schema, type_name
    FROM pg_attribute a JOIN pg_type ty ON ty.oid = a.atttypid JOIN pg_namespace n ON n.oid = ty.typnamespace
    WHERE a.attrelid = target.relation AND a.attname = target.embedding_column;
    -- The distance stands alone in ORDER BY: that is what an index on the column can answer.
    distance := format('%I OPERATOR(%I.%s) $1::%I.%I', target.embedding_column, vector_schema,
                       ('{"cosine": "<=>", "l2": "<->", "inner_product": "<#>"}'::jsonb) ->> target.distance,
                       vector_schema, type_name);
    RETURN format(
        'SELECT format(''%%s'', %1$I) AS id, %2$s - (%3$s) AS score FROM %4$s WHERE %5$I IS NOT NULL%6$s ORDER BY %3$s LIMIT $2',
        target.id_column, CASE target.distance WHEN 'cosine' THEN 1 ELSE 0 END, distance, target.relation,
        target.embedding_column, condition);
END
$$;
COMMENT ON FUNCTION harca.leg_sql(harca.search_target, text, jsonb) IS
'The query of one leg, "vector" or "keyword", in which $1 is the embedding or the tsquery, $2 the number of rows and $3 the filter';

CREATE FUNCTION harca.search_options(options jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    defaults constant jsonb := '{"candidates": 100, "vector_weight": null, "fusion": "convex"}';
    unknown_key text;
    chosen jsonb := defaults || coalesce(options, '{}');
BEGIN
    IF jsonb_typeof(options) <> 'object' THEN
        RAISE EXCEPTION 'options must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT key INTO unknown_key FROM jsonb_object_keys(chosen) AS key WHERE NOT defaults ? key LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'search option "%" is not known', unknown_key
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The options are candidates, vector_weight and fusion.';
    END IF;
    IF jsonb_typeof(chosen -> 'candidates') <> 'number'
        OR NOT (chosen ->> 'candidates')::numeric BETWEEN 1 AND 10000
        OR (chosen ->> 'candidates')::numeric % 1 <> 0 THEN
        RAISE EXCEPTION 'search option "candidates" must be a whole number from 1 to 10000'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT (jsonb_typeof(chosen -> 'vector_weight') = 'null'
            OR jsonb_typeof(chosen -> 'vector_weight') = 'number'
               AND (chosen ->> 'vector_weight')::numeric BETWEEN 0 AND 1) THEN
        RAISE EXCEPTION 'search option "vector_weight" must be a number from 0 to 1, or null'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF chosen ->> 'fusion' NOT IN ('convex', 'rrf') OR chosen ->> 'fusion' IS NULL THEN
        RAISE EXCEPTION 'search option "fusion" must be "convex" or "rrf"'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN chosen;
END
$$;
COMMENT ON FUNCTION harca.search_options(jsonb) IS
'The options of hybrid_search with defaults filled in: candidates, the rows taken from each leg (100); vector_weight, which overrides the profile (null); fusion, "convex" or "rrf" ("convex")';

CREATE FUNCTION harca.expected_vector_weight(target harca.search_target, scores real[]) RETURNS real
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT (pg_catalog.sum(s.probability * coalesce(p.vector_weight, ($1).vector_weight))
            / pg_catalog.sum(s.probability))::real
    FROM pg_catalog.unnest($2) WITH ORDINALITY AS s (probability, ordinality)
    JOIN harca.labels() AS l ON l.ordinality = s.ordinality
    LEFT JOIN harca.search_profile AS p ON p.target = ($1).name AND p.query_type = l.label;
END;
COMMENT ON FUNCTION harca.expected_vector_weight(harca.search_target, real[]) IS
'The weight of the vector leg for a query with these scores: the mean of the profile''s weights by the probabilities of their types; a type without a row has the target''s own weight';

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

CREATE FUNCTION harca.keyword_leg_query(target harca.search_target, query text) RETURNS tsquery
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(harca.keyword_query(($1).query_config::regconfig, q.read),
                    harca.keyword_query(($1).config::regconfig, q.read))
    FROM (SELECT pg_catalog."left"($2, coalesce(pg_catalog.current_setting('pg_harca.max_query_chars', true)::integer, 1024))) AS q (read);
END;
COMMENT ON FUNCTION harca.keyword_leg_query(harca.search_target, text) IS
'What the keyword leg looks for; null when nothing is left of the query';

CREATE FUNCTION @extschema@.hybrid_search(
    target text,
    query text,
    embedding vector DEFAULT NULL,
    "limit" integer DEFAULT 10,
    "offset" integer DEFAULT 0,
    filter jsonb DEFAULT NULL,
    options jsonb DEFAULT NULL
) RETURNS TABLE (
        id text,
        score double precision,
        vector_rank integer,
        keyword_rank integer,
        vector_score double precision,
        keyword_score double precision,
        vector_weight real,
        query_type text
    )
    -- UNSAFE: the settings of the index scan cannot change inside a parallel query. The legs themselves may be parallel.
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE COST 10000 ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    searched harca.search_target;
    chosen constant jsonb := harca.search_options(options);
    candidates integer;
    classified @extschema@.query_classification;
    weight real;
    words tsquery;
    vector_ids text[];
    vector_scores double precision[];
    keyword_ids text[];
    keyword_scores double precision[];
    former_settings jsonb;
BEGIN
    IF "limit" < 0 OR "offset" < 0 OR "limit"::bigint + "offset" > 10000 THEN
        RAISE EXCEPTION 'limit % with offset % is out of range', "limit", "offset"
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Neither may be negative, and their sum may be 10000 at most.';
    END IF;
    IF query IS NULL THEN
        RETURN;
    END IF;
    searched := harca.search_target_row(target);
    -- Not by the offset: another number of candidates is another normalisation, and pages would overlap.
    candidates := greatest((chosen ->> 'candidates')::integer, "limit");
    classified := @extschema@.classify_query(query);
    -- By the probabilities and not by the type, which pg_harca.min_confidence may make unknown: doubt has moved them
    -- already.
    weight := coalesce((chosen ->> 'vector_weight')::real,
                       harca.expected_vector_weight(searched, classified.scores));

    IF embedding IS NOT NULL THEN
        PERFORM harca.check_embedding(searched, embedding);
        former_settings := harca.widen_index_scan(candidates);
        -- A vector of zeros has no cosine. Equal scores, and what an approximate index gives out of order, are ordered
        -- here.
        EXECUTE 'SELECT array_agg(id ORDER BY score DESC, id), array_agg(score ORDER BY score DESC, id) FROM ('
                || harca.leg_sql(searched, 'vector', filter) || ') AS leg WHERE score <> ''NaN'''
            INTO vector_ids, vector_scores USING embedding, candidates, filter;
        PERFORM harca.restore_index_scan(former_settings);
    END IF;
    words := harca.keyword_leg_query(searched, query);
    IF words IS NOT NULL THEN
        EXECUTE 'SELECT array_agg(id), array_agg(score) FROM ('
                || harca.leg_sql(searched, 'keyword', filter) || ') AS leg'
            INTO keyword_ids, keyword_scores USING words, candidates, filter;
    END IF;

    RETURN QUERY
        SELECT f.id, f.score, f.vector_rank, f.keyword_rank, f.vector_score, f.keyword_score, weight,
               classified.query_type
        FROM harca.fuse(vector_ids, vector_scores, keyword_ids, keyword_scores, weight,
                        chosen ->> 'fusion' = 'rrf') AS f
        LIMIT "limit" OFFSET "offset";
END
$$;
COMMENT ON FUNCTION @extschema@.hybrid_search(text, text, vector, integer, integer, jsonb, jsonb) IS
'Searches a registered table by words and by meaning: classifies the query, runs the keyword leg and, when an embedding of the query is given, the vector leg, and fuses both with a weight that follows the probabilities of the types. Runs with the caller''s rights. A null rank says that the leg did not find the row';

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
