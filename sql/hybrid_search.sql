CREATE FUNCTION harca.fuse(
    vector_ids text[],
    vector_scores double precision[],
    keyword_ids text[],
    keyword_scores double precision[],
    vector_weight double precision,
    method text DEFAULT 'auto',
    vector_deviation double precision DEFAULT NULL,
    keyword_bound double precision DEFAULT NULL
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
COMMENT ON FUNCTION harca.fuse(text[], double precision[], text[], double precision[], double precision, text, double precision, double precision) IS
'Fuses two ranked lists, best first, into one: ids and scores of the vector leg, ids and scores of the keyword leg, the weight of the vector leg from 0 to 1, and the method: "auto", "max", "minmax", "zscore" or "sigmoid" for the weighted sum of normalised scores, "rrf" for that of reciprocal ranks (k = 60). "auto" counts vector scores from the lowest in standard deviations of the table''s (vector_deviation), and keyword scores in the geometric mean of the highest and the highest possible (keyword_bound); without these, it does as well as it can';

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

CREATE FUNCTION harca.leg_sql(target harca.search_target, leg text, filter jsonb, ranking text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    condition text := harca.filter_condition(target.relation, filter);
    distance text;
BEGIN
    -- The id becomes text by its output function: a cast to text may be a function of whoever owns its type.
    IF leg = 'keyword' THEN
        RETURN format(
            'SELECT format(''%%s'', m.%1$I) AS id, %2$s AS score'
            ' FROM (SELECT %1$I, %3$I FROM %4$s WHERE %3$I @@ $1%5$s LIMIT $5) AS m ORDER BY score DESC, id LIMIT $2',
            target.id_column,
            format(CASE ranking WHEN 'bm25' THEN
                       'harca.bm25(m.%1$I, $4) + CASE WHEN cardinality($7) > 0 THEN'
                       ' (SELECT coalesce(sum(p.weight), 0) FROM unnest($7, $8) AS p (phrase, weight) WHERE m.%1$I @@ p.phrase)'
                       ' ELSE 0 END'
                   ELSE 'ts_rank_cd(m.%1$I, $6, 1)::float8' END,
                   target.tsvector_column),
            target.tsvector_column, target.relation, condition);
    END IF;
    -- The distance stands alone in ORDER BY: that is what an index on the column can answer.
    distance := harca.distance_sql(target, format('%I', target.embedding_column), '$1');
    RETURN format(
        'SELECT format(''%%s'', %1$I) AS id, %2$s - (%3$s) AS score FROM %4$s WHERE %5$I IS NOT NULL%6$s ORDER BY %3$s LIMIT $2',
        target.id_column, CASE target.distance WHEN 'cosine' THEN 1 ELSE 0 END, distance, target.relation,
        target.embedding_column, condition);
END
$$;
COMMENT ON FUNCTION harca.leg_sql(harca.search_target, text, jsonb, text) IS
'The query of one leg, "vector" or "keyword", in which $1 is the embedding or the tsquery, $2 the number of rows, $3 the filter, and for the keyword leg $4 the ranker, $5 the most rows that are ranked, $6 all words, $7 the phrases and $8 their weights; ranking is "bm25" or "ts_rank_cd"';

CREATE FUNCTION harca.search_options(options jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    defaults constant jsonb := '{"candidates": 100, "vector_weight": null, "fusion": "auto", "ranking": "bm25",
                                 "k1": null, "b": null, "max_matches": 20000, "phrases": "prefer"}';
    unknown_key text;
    chosen jsonb := defaults || coalesce(options, '{}');
    numbers record;
BEGIN
    IF jsonb_typeof(options) <> 'object' THEN
        RAISE EXCEPTION 'options must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT key INTO unknown_key FROM jsonb_object_keys(chosen) AS key WHERE NOT defaults ? key LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'search option "%" is not known', unknown_key
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The options are candidates, vector_weight, fusion, ranking, k1, b, max_matches and phrases.';
    END IF;
    FOR numbers IN SELECT * FROM (VALUES ('candidates', 10000), ('max_matches', 10000000)) AS n (key, most) LOOP
        IF jsonb_typeof(chosen -> numbers.key) <> 'number'
            OR NOT (chosen ->> numbers.key)::numeric BETWEEN 1 AND numbers.most
            OR (chosen ->> numbers.key)::numeric % 1 <> 0 THEN
            RAISE EXCEPTION 'search option "%" must be a whole number from 1 to %', numbers.key, numbers.most
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;
    FOR numbers IN SELECT * FROM (VALUES ('vector_weight', 1), ('k1', 100), ('b', 1)) AS n (key, most) LOOP
        IF NOT (jsonb_typeof(chosen -> numbers.key) = 'null'
                OR jsonb_typeof(chosen -> numbers.key) = 'number'
                   AND (chosen ->> numbers.key)::numeric BETWEEN 0 AND numbers.most) THEN
            RAISE EXCEPTION 'search option "%" must be a number from 0 to %, or null', numbers.key, numbers.most
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;
    IF chosen ->> 'fusion' NOT IN ('auto', 'max', 'minmax', 'zscore', 'sigmoid', 'rrf') OR chosen ->> 'fusion' IS NULL THEN
        RAISE EXCEPTION 'search option "fusion" must be "auto", "max", "minmax", "zscore", "sigmoid" or "rrf"'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF chosen ->> 'phrases' NOT IN ('prefer', 'require') OR chosen ->> 'phrases' IS NULL THEN
        RAISE EXCEPTION 'search option "phrases" must be "prefer" or "require"'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF chosen ->> 'ranking' NOT IN ('bm25', 'ts_rank_cd') OR chosen ->> 'ranking' IS NULL THEN
        RAISE EXCEPTION 'search option "ranking" must be "bm25" or "ts_rank_cd"'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN chosen;
END
$$;
COMMENT ON FUNCTION harca.search_options(jsonb) IS
'The options of hybrid_search with defaults filled in: candidates, the rows taken from each leg (100); vector_weight, which overrides the profile (null); fusion, the method of harca.fuse ("auto"); ranking of the keyword leg, "bm25" or "ts_rank_cd" ("bm25"); k1 and b, which override BM25''s parameters of the target (null); max_matches, the rows that the keyword leg ranks at most (20000); phrases, "prefer" or "require" what stands in quotation marks ("prefer")';

CREATE FUNCTION harca.rarity(documents bigint[]) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    -- A word of five documents is looked for in order to find these; one of ten is no more than a fourth as telling.
    SELECT least(1, coalesce(5.0::double precision / pg_catalog.min(d), 0)) ^ 2 FROM pg_catalog.unnest($1) AS d WHERE d > 0;
END;
COMMENT ON FUNCTION harca.rarity(bigint[]) IS
'How rare the rarest word of a query is, by how many documents have each: 1 when five do at most, falling with the square of their number; 0 when none has any';

CREATE FUNCTION harca.expected_vector_weight(target harca.search_target, scores real[], rarity double precision) RETURNS real
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT (pg_catalog.sum(s.probability * coalesce(
                (1 - $3) * p.vector_weight + $3 * coalesce(e.vector_weight, p.vector_weight), ($1).vector_weight))
            / pg_catalog.sum(s.probability::double precision))::real
    FROM pg_catalog.unnest($2) WITH ORDINALITY AS s (probability, ordinality)
    JOIN harca.labels() AS l ON l.ordinality = s.ordinality
    LEFT JOIN harca.search_profile AS p ON p.target = ($1).name AND p.query_type = l.label
    LEFT JOIN harca.search_profile AS e ON e.target = ($1).name AND e.query_type = 'exact term' AND l.label = 'keyword';
END;
COMMENT ON FUNCTION harca.expected_vector_weight(harca.search_target, real[], double precision) IS
'The weight of the vector leg for a query with these scores, whose rarest word is so rare (harca.rarity): the mean of the profile''s weights by the probabilities of their types; a type without a row has the target''s own weight, and that of "keyword" goes over to that of "exact term" as the word is rare';

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
    keyword record;
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
    IF embedding IS NOT NULL THEN
        PERFORM harca.check_embedding(searched, embedding);
        former_settings := harca.widen_index_scan(candidates);
        -- A vector of zeros has no cosine. Equal scores, and what an approximate index gives out of order, are ordered
        -- here.
        EXECUTE 'SELECT array_agg(id ORDER BY score DESC, id), array_agg(score ORDER BY score DESC, id) FROM ('
                || harca.leg_sql(searched, 'vector', filter, chosen ->> 'ranking') || ') AS leg WHERE score <> ''NaN'''
            INTO vector_ids, vector_scores USING embedding, candidates, filter;
        PERFORM harca.restore_index_scan(former_settings);
    END IF;
    keyword := harca.keyword_leg(searched, query, chosen);
    -- By the probabilities and not by the type, which pg_harca.min_confidence may make unknown: doubt has moved them
    -- already.
    weight := coalesce((chosen ->> 'vector_weight')::real,
                       harca.expected_vector_weight(searched, classified.scores, harca.rarity(keyword.documents)));
    IF keyword.matches IS NOT NULL THEN
        EXECUTE 'SELECT array_agg(id), array_agg(score) FROM ('
                || harca.leg_sql(searched, 'keyword', filter, chosen ->> 'ranking') || ') AS leg'
            INTO keyword_ids, keyword_scores
            USING keyword.matches, candidates, filter, keyword.ranker, (chosen ->> 'max_matches')::bigint, keyword.wanted,
                  keyword.phrases, keyword.phrase_weights;
    END IF;

    RETURN QUERY
        SELECT f.id, f.score, f.vector_rank, f.keyword_rank, f.vector_score, f.keyword_score, weight,
               classified.query_type
        FROM harca.fuse(vector_ids, vector_scores, keyword_ids, keyword_scores, weight, chosen ->> 'fusion',
                        (SELECT s.similarity_deviation FROM harca.search_statistics s WHERE s.target = target),
                        CASE chosen ->> 'ranking' WHEN 'bm25' THEN keyword.bound END) AS f
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
