CREATE FUNCTION harca.check_page("limit" integer, "offset" integer) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF "limit" < 0 OR "offset" < 0 OR "limit"::bigint + "offset" > 10000 THEN
        RAISE EXCEPTION 'limit % with offset % is out of range', "limit", "offset"
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Neither may be negative, and their sum may be 10000 at most.';
    END IF;
END
$$;
COMMENT ON FUNCTION harca.check_page(integer, integer) IS 'Raises an error for a limit and offset that no search answers';

CREATE FUNCTION harca.candidates(options jsonb, "limit" integer) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    -- Not by the offset: another number of candidates is another normalisation, and pages would overlap.
    SELECT greatest(($1 ->> 'candidates')::integer, $2);
END;
COMMENT ON FUNCTION harca.candidates(jsonb, integer) IS 'The rows that a search takes from each leg: the option, or the limit where that is more';

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
    chosen constant jsonb := harca.search_options(options);
    legs harca.leg_results;
BEGIN
    PERFORM harca.check_page("limit", "offset");
    IF query IS NULL THEN
        RETURN;
    END IF;
    legs := harca.search_legs(harca.search_target_row(target), query, embedding,
                              harca.candidates(chosen, "limit"), filter, chosen);
    RETURN QUERY
        SELECT r.id, r.score, r.vector_rank, r.keyword_rank, r.vector_score, r.keyword_score, legs.vector_weight,
               (legs.classified).query_type
        FROM harca.ranked_rows(
            legs.strategy, legs.vector_ids, legs.vector_scores, legs.keyword_ids, legs.keyword_scores, legs.vector_weight,
            legs.similarity_deviation, (legs.terms).bound, legs.boosted_ids, legs.boosts, chosen) AS r
        LIMIT "limit" OFFSET "offset";
END
$$;
COMMENT ON FUNCTION @extschema@.hybrid_search(text, text, vector, integer, integer, jsonb, jsonb) IS
'Searches a registered table by words and by meaning: classifies the query, runs the keyword leg and, when an embedding of the query is given, the vector leg, as far as the strategy wants them, and fuses both with a weight that follows the probabilities of the types. Runs with the caller''s rights. A null rank says that the leg did not find the row';

