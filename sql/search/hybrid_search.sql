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
    LANGUAGE c STABLE PARALLEL UNSAFE COST 10000 ROWS 10
    AS 'MODULE_PATHNAME', 'harca_hybrid_search';
COMMENT ON FUNCTION @extschema@.hybrid_search(text, text, vector, integer, integer, jsonb, jsonb) IS
'Searches a registered table by words and by meaning: classifies the query, runs the keyword leg and, when an embedding of the query is given, the vector leg, as far as the strategy wants them, and fuses both with a weight that follows the probabilities of the types. Runs with the caller''s rights. A null rank says that the leg did not find the row';

CREATE FUNCTION @extschema@.hybrid_search_passages(
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
        query_type text,
        passage_start integer,
        passage_length integer,
        passage text
    )
    LANGUAGE c STABLE PARALLEL UNSAFE COST 10000 ROWS 10
    AS 'MODULE_PATHNAME', 'harca_hybrid_search_passages';
COMMENT ON FUNCTION @extschema@.hybrid_search_passages(text, text, vector, integer, integer, jsonb, jsonb) IS
'The rows of hybrid_search, each with the passage of its text that is nearest to the query, and what substr takes for it. Null where the target has no passages (harca.embed_table), meaning had no say in the search, or the text has changed since it was embedded';
