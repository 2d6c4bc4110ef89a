CREATE FUNCTION harca.search_options(options jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    defaults constant jsonb := '{"strategy": "auto", "candidates": 100, "vector_weight": null, "fusion": "auto",
                                 "ranking": "bm25", "k1": null, "b": null, "max_matches": 20000, "phrases": "prefer",
                                 "boosts": null, "after": null}';
    -- Those with a name for a value.
    choices constant jsonb := '{"strategy": ["auto", "parallel", "keyword_first", "vector_first", "intersection",
                                             "keyword_only", "vector_only"],
                                "fusion": ["auto", "max", "minmax", "zscore", "sigmoid", "rrf"],
                                "ranking": ["bm25", "ts_rank_cd"],
                                "phrases": ["prefer", "require"]}';
    unknown_key text;
    chosen jsonb := defaults || coalesce(options, '{}');
    numbers record;
    choice record;
BEGIN
    IF jsonb_typeof(options) <> 'object' THEN
        RAISE EXCEPTION 'options must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT key INTO unknown_key FROM jsonb_object_keys(chosen) AS key WHERE NOT defaults ? key LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'search option "%" is not known', unknown_key
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The options are strategy, candidates, vector_weight, fusion, ranking, k1, b, max_matches, phrases, '
                         'boosts and after.';
    END IF;
    FOR numbers IN SELECT * FROM (VALUES ('candidates', 10000), ('max_matches', 10000000)) AS n (key, most) LOOP
        IF jsonb_typeof(chosen -> numbers.key) <> 'number'
            OR NOT (chosen ->> numbers.key)::numeric BETWEEN 1 AND numbers.most
            OR (chosen ->> numbers.key)::numeric % 1 <> 0 THEN
            RAISE EXCEPTION 'search option "%" must be a whole number from 1 to %', numbers.key, numbers.most
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        -- 10.0 is a whole number too, but its text is no integer.
        chosen := jsonb_set(chosen, ARRAY[numbers.key], to_jsonb(trunc((chosen ->> numbers.key)::numeric)));
    END LOOP;
    FOR numbers IN SELECT * FROM (VALUES ('vector_weight', 1), ('k1', 100), ('b', 1)) AS n (key, most) LOOP
        IF NOT (jsonb_typeof(chosen -> numbers.key) = 'null'
                OR jsonb_typeof(chosen -> numbers.key) = 'number'
                   AND (chosen ->> numbers.key)::numeric BETWEEN 0 AND numbers.most) THEN
            RAISE EXCEPTION 'search option "%" must be a number from 0 to %, or null', numbers.key, numbers.most
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        -- Numbers that are nearly 0 are too small for the types that these become.
        chosen := jsonb_set(chosen, ARRAY[numbers.key],
                            coalesce(to_jsonb(round((chosen ->> numbers.key)::numeric, 30)), 'null'));
    END LOOP;
    FOR choice IN SELECT * FROM jsonb_each(choices) AS c (key, known) LOOP
        IF NOT choice.known @> (chosen -> choice.key) OR jsonb_typeof(chosen -> choice.key) <> 'string' THEN
            RAISE EXCEPTION 'search option "%" must be one of %', choice.key,
                (SELECT string_agg(format('"%s"', name), ', ') FROM jsonb_array_elements_text(choice.known) AS name)
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;
    IF jsonb_typeof(chosen -> 'boosts') NOT IN ('object', 'null') THEN
        RAISE EXCEPTION 'search option "boosts" must be a JSON object, or null' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF jsonb_typeof(chosen -> 'after') <> 'null'
        AND (jsonb_typeof(chosen -> 'after') <> 'array' OR jsonb_array_length(chosen -> 'after') <> 2
             OR jsonb_typeof(chosen -> 'after' -> 0) <> 'number' OR jsonb_typeof(chosen -> 'after' -> 1) <> 'string') THEN
        RAISE EXCEPTION 'search option "after" must be an array of the score and the id of a row, or null'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN chosen;
END
$$;
COMMENT ON FUNCTION harca.search_options(jsonb) IS
'The options of hybrid_search with defaults filled in: strategy, which legs run and how ("auto"); candidates, the rows taken from each leg (100); vector_weight, which overrides the profile (null); fusion, the method of harca.fuse ("auto"); ranking of the keyword leg, "bm25" or "ts_rank_cd" ("bm25"); k1 and b, which override BM25''s parameters of the target (null); max_matches, the rows that the keyword leg ranks at most (20000); phrases, "prefer" or "require" what stands in quotation marks ("prefer"); boosts, columns that raise the score (null); after, the score and id of the row that the page follows (null)';
