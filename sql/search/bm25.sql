CREATE FUNCTION harca.bm25_query(
    lexemes text[],
    occurrences integer[],
    documents bigint[],
    total bigint,
    average_length double precision,
    k1 double precision DEFAULT 0.9,
    b double precision DEFAULT 0.4
) RETURNS bytea
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'harca_bm25_query';
COMMENT ON FUNCTION harca.bm25_query(text[], integer[], bigint[], bigint, double precision, double precision, double precision) IS
'A query for harca.bm25: its lexemes, how often it has each, how many documents have each, how many documents there are, how many words they have on average (null when that is not known: lengths then do not count), and the parameters k1 (from 0 to 100) and b (from 0 to 1)';

CREATE FUNCTION harca.bm25(document tsvector, query bytea) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
    AS 'MODULE_PATHNAME', 'harca_bm25';
COMMENT ON FUNCTION harca.bm25(tsvector, bytea) IS
'The BM25 score of a document for a query that harca.bm25_query has made: 0 when it has none of the words, below harca.bm25_bound(query) always';

CREATE FUNCTION harca.bm25_bound(query bytea) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'harca_bm25_bound';
COMMENT ON FUNCTION harca.bm25_bound(bytea) IS
'What no document''s score for the query exceeds: the sum of the weights of its words';

CREATE FUNCTION harca.with_frequencies(document tsvector) RETURNS tsvector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100
    AS 'MODULE_PATHNAME', 'harca_with_frequencies';
COMMENT ON FUNCTION harca.with_frequencies(tsvector) IS
'A document with a mark for each of its lexemes that it has at least 2, 3 or 5 times and two for its length, for a GIN index: a keyword leg that finds such an index reads fewer rows';
