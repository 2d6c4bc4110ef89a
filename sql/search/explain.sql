CREATE FUNCTION harca.explain_legs(
    target text,
    query text,
    embedding vector DEFAULT NULL,
    "limit" integer DEFAULT 10,
    filter jsonb DEFAULT NULL,
    options jsonb DEFAULT NULL
) RETURNS TABLE (leg text, plan text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 20
    AS 'MODULE_PATHNAME', 'harca_explain_legs';
COMMENT ON FUNCTION harca.explain_legs(text, text, vector, integer, jsonb, jsonb) IS
'The plans of the queries that hybrid_search runs for the same arguments, the vector leg''s first: does each leg use its index?';

CREATE FUNCTION @extschema@.hybrid_search_explain(
    target text,
    query text,
    embedding vector DEFAULT NULL,
    "limit" integer DEFAULT 10,
    "offset" integer DEFAULT 0,
    filter jsonb DEFAULT NULL,
    options jsonb DEFAULT NULL
) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'harca_hybrid_search_explain';
COMMENT ON FUNCTION @extschema@.hybrid_search_explain(text, text, vector, integer, integer, jsonb, jsonb) IS
'Runs the search that hybrid_search would run and says how it came to its rows, as JSON: classification, vector_weight, rarity of the rarest word, strategy, options, fusion, legs (rows, indexes, milliseconds; words with the documents that have them), statistics, milliseconds of each step, rows with ranks, scores and normalised scores, and warnings in words: a leg that was skipped or is empty, and why; words that were too common; statistics that are old. Null for a null query';
