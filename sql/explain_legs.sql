CREATE FUNCTION harca.explain_legs(
    target text,
    query text,
    embedding vector DEFAULT NULL,
    "limit" integer DEFAULT 10,
    filter jsonb DEFAULT NULL,
    options jsonb DEFAULT NULL
) RETURNS TABLE (leg text, plan text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 20
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    searched constant harca.search_target := harca.search_target_row(target);
    chosen constant jsonb := harca.search_options(options);
    candidates constant integer := greatest((chosen ->> 'candidates')::integer, "limit");
    keyword constant record := harca.keyword_leg(searched, query, chosen);
    former_settings jsonb;
BEGIN
    IF embedding IS NOT NULL THEN
        PERFORM harca.check_embedding(searched, embedding);
        former_settings := harca.widen_index_scan(candidates);
        leg := 'vector';
        FOR plan IN EXECUTE 'EXPLAIN (COSTS OFF) ' || harca.leg_sql(searched, leg, filter, chosen ->> 'ranking')
            USING embedding, candidates, filter LOOP
            RETURN NEXT;
        END LOOP;
        PERFORM harca.restore_index_scan(former_settings);
    END IF;
    IF keyword.matches IS NOT NULL THEN
        leg := 'keyword';
        FOR plan IN EXECUTE 'EXPLAIN (COSTS OFF) ' || harca.leg_sql(searched, leg, filter, chosen ->> 'ranking')
            USING keyword.matches, candidates, filter, keyword.ranker, (chosen ->> 'max_matches')::bigint, keyword.wanted,
                  keyword.phrases, keyword.phrase_weights LOOP
            RETURN NEXT;
        END LOOP;
    END IF;
END
$$;
COMMENT ON FUNCTION harca.explain_legs(text, text, vector, integer, jsonb, jsonb) IS
'The plans of the queries that hybrid_search would run for the same arguments, without running them: does each leg use its index?';
