-- Weights that suit a table, by queries whose right answers are known.
CREATE TABLE fact (
    id integer PRIMARY KEY,
    content text NOT NULL,
    embedding vector(2),
    tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED
);
-- Fifty topics of four rows each; what a row means has nothing to do with its topic.
INSERT INTO fact
SELECT i, format('note about topic%s and place%s', i % 50, i % 7), format('[%s, %s]', round(cos(i)::numeric, 4), round(sin(i)::numeric, 4))::vector
FROM generate_series(1, 200) AS i;
CREATE INDEX ON fact USING gin (tsv);
CREATE INDEX ON fact USING hnsw (embedding vector_cosine_ops);
ANALYZE fact;
SELECT harca.register_search_target('fact', 'fact', vector_weight => 0.9, calibration => 'off');
CREATE TABLE judged AS
SELECT format('what is known about topic%s?', t) AS query, '[0.6, 0.8]'::vector AS embedding, i AS id, 1 AS grade
FROM generate_series(1, 30) AS t, generate_series(t, 200, 50) AS i;

CREATE FUNCTION tuned(bm25 boolean DEFAULT false, apply boolean DEFAULT false) RETURNS TABLE (queries integer, gains boolean, leans_less boolean, exact_lower boolean, k1 float8, b float8, applied boolean)
LANGUAGE sql AS $$
    SELECT queries, ndcg_after > ndcg_before + 0.1, vector_weight < 0.85, exact_term_weight < vector_weight, k1, b, applied
    FROM harca.tune_search('fact', 'judged', bm25, apply)
$$;
-- nothing is written unless asked
SELECT * FROM tuned();
SELECT vector_weight, k1, b FROM harca.search_target;
SELECT count(*) FROM harca.search_tuning;
SELECT queries, k1 BETWEEN 0.5 AND 2.5 AS k1, b BETWEEN 0.2 AND 0.8 AS b FROM tuned(bm25 => true);
-- what is measured before is what a search gives
SELECT round(t.ndcg_before::numeric, 6) = round(avg(m.dcg / (1 + 1 / log(2, 3) + 1 / log(2, 4) + 1 / log(2, 5))), 6) AS same
FROM harca.tune_search('fact', 'judged') AS t, (
    SELECT q.query, sum(CASE WHEN j.id IS NOT NULL THEN 1 / log(2, (h.place + 1)::numeric) ELSE 0 END) AS dcg
    FROM (SELECT DISTINCT query, embedding FROM judged) AS q
    CROSS JOIN LATERAL (SELECT s.id, row_number() OVER () AS place FROM hybrid_search('fact', q.query, q.embedding, options => '{"strategy": "parallel"}') AS s) AS h
    LEFT JOIN judged AS j ON j.query = q.query AND j.id::text = h.id
    GROUP BY q.query
) AS m GROUP BY t.ndcg_before;
-- on demand it is, and can be undone
UPDATE harca.search_profile SET vector_weight = 0.85 WHERE query_type = 'hybrid';
CREATE TABLE former AS SELECT t.vector_weight AS base, t.k1, t.b, p.query_type, p.vector_weight FROM harca.search_target AS t, harca.search_profile AS p;
SELECT applied FROM tuned(apply => true);
SELECT (SELECT vector_weight < 0.85 FROM harca.search_target) AS target, count(*) FILTER (WHERE vector_weight < 0.85) AS types FROM harca.search_profile;
SELECT queries, ndcg_after > ndcg_before AS gained, former -> 'vector_weight' AS weight, former -> 'profile' -> 'hybrid' AS hybrid FROM harca.search_tuning;
-- there is little to gain a second time
SELECT gains FROM tuned();
SELECT harca.undo_tuning('fact');
SELECT count(*) AS otherwise FROM former AS f
FULL JOIN (SELECT t.vector_weight AS base, t.k1, t.b, p.query_type, p.vector_weight FROM harca.search_target AS t, harca.search_profile AS p) AS n
    USING (base, k1, b, query_type, vector_weight) WHERE f IS NULL OR n IS NULL;
SELECT harca.undo_tuning('fact');

-- feedback from production
SELECT count(harca.record_feedback('fact', query, id::text, grade, embedding)) FROM judged;
SELECT harca.record_feedback('fact', 'without an embedding', '1');
SELECT harca.record_feedback('fact', 'nothing was right', '1', 0, '[1, 0]');
SELECT count(*), count(DISTINCT query), min(recorded_by) = current_user AS own FROM harca.feedback;
SELECT queries, round(ndcg_before::numeric, 6) = (SELECT round(ndcg_before::numeric, 6) FROM harca.tune_search('fact', 'judged')) AS same FROM harca.tune_search('fact');
DELETE FROM harca.search_feedback WHERE target = 'fact';
SELECT error_of($$SELECT harca.tune_search('fact')$$);
SELECT error_of($$SELECT harca.tune_search('fact', 'fact')$$);
SELECT error_of($$SELECT harca.tune_search('fact', 'no_such_table')$$);
SELECT error_of($$SELECT harca.tune_search('no such target')$$);
SELECT error_of($$SELECT harca.undo_tuning('no such target')$$);
SELECT error_of($$SELECT harca.record_feedback('fact', 'x', '1', 11)$$);
SELECT error_of($$SELECT harca.record_feedback('fact', 'x', '1', 'NaN')$$);
SELECT error_of($$SELECT harca.record_feedback('fact', NULL, '1')$$);
SELECT error_of($$SELECT harca.record_feedback('fact', 'x', '1', 1, '[1, 2, 3]')$$);
SELECT error_of($$SELECT harca.fit_weights('{0}', '{1}', '{1}', '{1,2,3}', 1, 0.5, 0.5)$$);
SELECT harca.drop_search_target('fact');
SELECT count(*) FROM harca.search_tuning;
DROP FUNCTION tuned;
DROP TABLE fact, judged, former;
