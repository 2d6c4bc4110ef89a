CREATE TYPE @extschema@.query_classification AS (
    query text,
    query_type text,
    confidence real,
    scores real[],
    language text,
    model text
);
COMMENT ON TYPE @extschema@.query_classification IS
'The type of a search query: the query as given; keyword, semantic, hybrid or unknown (a model of your own has its own labels), unknown also when the confidence is below pg_harca.min_confidence; the confidence, which is the probability of the most probable label; the probabilities of all labels in the order of harca.labels(), with the sum 1; the ISO 639 code of the language it seems to be in; the model that answered, or "rules"';

-- STABLE, not IMMUTABLE: the answer changes with the model. The cost is that of a cached answer beside md5(), so that
-- a scan over many rows gets parallel workers.
CREATE FUNCTION @extschema@.classify_query(query text) RETURNS @extschema@.query_classification
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10
    AS 'MODULE_PATHNAME', 'harca_classify_query';
COMMENT ON FUNCTION @extschema@.classify_query(text) IS
'Tells what kind of search a query is. Null gives null; text without anything to search for gives "unknown", and so does a confidence below pg_harca.min_confidence. Never fails for want of a model: then the rules answer';

CREATE FUNCTION @extschema@.classify_queries(queries text[])
    RETURNS TABLE (
        ordinality integer,
        query text,
        query_type text,
        confidence real,
        scores real[],
        language text,
        model text
    )
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 ROWS 1000
    AS 'MODULE_PATHNAME', 'harca_classify_queries';
COMMENT ON FUNCTION @extschema@.classify_queries(text[]) IS
'Classifies many queries at once, faster than one by one: one row per element in storage order, counted from 1; an element that is null gives a row of nulls';

CREATE FUNCTION @extschema@.query_type(query text) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 5
    AS 'MODULE_PATHNAME', 'harca_query_type';
COMMENT ON FUNCTION @extschema@.query_type(text) IS
'The query_type of classify_query(query), for scans, CASE and filters';

CREATE FUNCTION harca.labels() RETURNS TABLE (ordinality integer, label text)
    LANGUAGE c STABLE PARALLEL SAFE ROWS 4
    AS 'MODULE_PATHNAME', 'harca_labels';
COMMENT ON FUNCTION harca.labels() IS
'What the elements of scores stand for: the labels of the model, which is loaded if it is not yet, or those of the rules when they answer';
