-- BM25: the scores, the statistics behind them, which rows are looked at.
-- the formula, by hand: N 100, n 5, tf 2, 3 words where 3 are the average
SELECT round(harca.bm25('a:1,2 b:3', q)::numeric, 4) AS score,
       round((ln(1 + 95.5 / 5.5) * 2 / (2 + 0.9))::numeric, 4) AS by_hand,
       round(harca.bm25_bound(q)::numeric, 4) AS bound,
       harca.bm25('b:3', q) AS without
FROM harca.bm25_query('{a}', '{1}', '{5}', 100, 3) AS q;
-- repetition and length count as k1 and b say
SELECT k1, b, round(harca.bm25('a:1,2,3 b:4', q)::numeric, 3) AS often, round(harca.bm25('a:1 b:2', q)::numeric, 3) AS short,
       round(harca.bm25('a:1 b:2 c:3 d:4 e:5 f:6', q)::numeric, 3) AS long
FROM (VALUES (0, 0), (0.9, 0), (0.9, 1), (100, 0.4)) AS p (k1, b), harca.bm25_query('{a}', '{1}', '{5}', 100, 3, k1, b) AS q;
-- stripped vectors, empty ones, other scripts; a word that is not in the document
SELECT round(harca.bm25(strip('a:1,2 b:3'), q)::numeric, 4) AS stripped, harca.bm25('', q) AS empty,
       round(harca.bm25(to_tsvector('harca', '全文検索の設定'), q)::numeric, 4) AS japanese
FROM harca.bm25_query('{a,検索,zebra}', '{1,1,1}', '{5,5,0}', 100, NULL) AS q;
-- a document that was compressed, and one that was moved out of its row
CREATE TABLE long_document (tsv tsvector);
INSERT INTO long_document SELECT to_tsvector('simple', string_agg('w' || i, ' ')) FROM generate_series(1, 30000) AS i;
SELECT pg_column_size(tsv) > 100000 AS long, round(harca.bm25(tsv, q)::numeric, 4) AS score
FROM long_document, harca.bm25_query('{w1,w30000,w30001}', '{1,1,1}', '{1,1,1}', 10, NULL) AS q;
DROP TABLE long_document;
SELECT harca.bm25(NULL, ''), harca.bm25('a', NULL), harca.bm25_bound(NULL), harca.bm25_query(NULL, '{}', '{}', 1, 1);
SELECT harca.bm25('a', harca.bm25_query('{}', '{}', '{}', 0, NULL)) AS no_words;
SELECT error_of($$SELECT harca.bm25('a', 'x')$$);
SELECT error_of($$SELECT harca.bm25_bound('\x0100')$$);
SELECT error_of($$SELECT harca.bm25_query('{a}', '{1}', '{5}', 100, 3, k1 => 'NaN')$$);
SELECT error_of($$SELECT harca.bm25_query('{a}', '{1}', '{5}', 100, 3, b => 1.5)$$);

-- a table with a word in every row, one in each second, and rare ones
CREATE TABLE report (
    id integer PRIMARY KEY,
    content text,
    embedding vector(2),
    tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED
) WITH (autovacuum_enabled = off);
CREATE INDEX ON report USING gin (tsv);
SELECT harca.register_search_target('report', 'report');
SELECT documents, average_length, documents_read, changed_rows, state FROM harca.stat_search_target;
INSERT INTO report
SELECT i, concat_ws(' ', 'report', CASE WHEN i % 2 = 0 THEN 'harbour' END, CASE WHEN i % 40 = 0 THEN 'crane' END, 'n' || i,
                    CASE WHEN i % 500 = 0 THEN '港の北' END),
       '[1, 0]'
FROM generate_series(1, 2000) AS i;
ANALYZE report;
SELECT documents, average_length, changed_rows, state FROM harca.stat_search_target;
-- words are ranked by how rare they are even before the statistics are built
SELECT id, round(keyword_score::numeric, 3) AS keyword_score FROM hybrid_search('report', 'harbour crane n7', "limit" => 2);
SELECT harca.refresh_search_statistics('report');
SELECT documents, round(average_length::numeric, 3) AS average_length, documents_read, changed_rows, state FROM harca.stat_search_target;
SELECT lexeme, documents FROM harca.common_term ORDER BY documents DESC, lexeme;
SELECT id, round(keyword_score::numeric, 3) AS keyword_score FROM hybrid_search('report', 'harbour crane n7', "limit" => 2);
SELECT id, keyword_rank FROM hybrid_search('report', '港の n9', "limit" => 3);

-- how far apart the scores of any two rows are: for the fusion
SELECT similarity_deviation FROM harca.search_statistics;
UPDATE report SET embedding = CASE WHEN id % 2 = 0 THEN '[1, 0]' ELSE '[0, 1]' END::vector;
SELECT harca.refresh_search_statistics('report');
SELECT round(similarity_deviation::numeric, 1) AS cosine FROM harca.search_statistics;
UPDATE harca.search_target SET distance = 'l2' WHERE name = 'report';
SELECT harca.refresh_search_statistics('report');
SELECT round(similarity_deviation::numeric, 1) AS l2 FROM harca.search_statistics;
UPDATE harca.search_target SET distance = 'cosine' WHERE name = 'report';

-- what the leg looks for: what can come onto the page, and not every row with a common word
CREATE FUNCTION looked_for(query text, max_matches integer)
    RETURNS TABLE (query text, words text[], documents bigint[], looked_up boolean[], total bigint) LANGUAGE sql
AS $$
    SELECT k ->> 'query', array_agg(w ->> 'word' ORDER BY n), array_agg((w ->> 'documents')::bigint ORDER BY n),
           array_agg((w ->> 'looked_up')::boolean ORDER BY n), (k ->> 'documents')::bigint
    FROM hybrid_search_explain('report', $1, '[1, 0]', options => jsonb_build_object('max_matches', $2, 'strategy', 'parallel')) AS x,
         LATERAL (SELECT x -> 'legs' -> 'keyword') AS l (k), jsonb_array_elements(k -> 'words') WITH ORDINALITY AS a (w, n)
    GROUP BY k
$$;
SELECT * FROM looked_for('report harbour crane n7', 100);
SELECT * FROM looked_for('report harbour', 100);
SELECT * FROM looked_for('report harbour', 1100);
SELECT * FROM looked_for('report harbour', 20000);
SELECT hybrid_search_explain('report', '?!') -> 'legs' -> 'keyword' ? 'words' AS something;
-- no more rows are ranked than may be
SELECT count(*) FROM hybrid_search('report', 'report', "limit" => 1000, options => '{"max_matches": 25, "candidates": 1000}');
SELECT * FROM harca.quoted_phrases('the "harbour crane" of “北の港” and "no more');
SELECT count(*) FROM harca.quoted_phrases(NULL);
-- what is in quotation marks is looked for as it stands as well, and ranks by how rare it is
SELECT k ->> 'query' AS query, k -> 'phrases' AS phrases
FROM (SELECT hybrid_search_explain('report', 'report "harbour crane" “港の北”', '[1, 0]', options => '{"max_matches": 100, "strategy": "parallel"}')
             -> 'legs' -> 'keyword') AS x (k);
SELECT count(*), min(id::integer) FROM hybrid_search('report', 'n9 "harbour crane"', "limit" => 51) WHERE keyword_score > 3;
SELECT count(*), min(id::integer) FROM hybrid_search('report', 'report "harbour crane"', "limit" => 100, options => '{"phrases": "require"}');
SELECT count(*) FROM hybrid_search('report', '"crane harbour"', options => '{"phrases": "require"}');
SELECT count(*) FROM hybrid_search('report', '"harbour crane" “港の北”', options => '{"phrases": "require"}');
SELECT count(*) FROM hybrid_search('report', 'n9 “港の北”', "limit" => 100);
SELECT count(*) FROM hybrid_search('report', 'n9 "?"');
SELECT error_of($$SELECT * FROM hybrid_search('report', 'x', options => '{"phrases": "yes"}')$$);
-- a phrase or word that has the signs of the query language
SELECT count(*) FROM hybrid_search('report', $$"it's | & ! \ (" n9 :* <-> 'x' \$$);
SELECT count(*) FROM hybrid_search('report', $$"it's | & ! \ (" n9$$, options => '{"phrases": "require"}');

-- a keyword query with a rare word leans on the words
SELECT harca.rarity('{3,100}') AS three, harca.rarity('{0,16,100}') AS sixteen, harca.rarity('{0}') AS absent, harca.rarity(NULL) AS none;
-- its weight is the mean of the profile's by the probabilities, each as much that of exact terms as a word is rare; a
-- twentieth is as good as nothing, and the rest as good as certain
SELECT q.query, round((x ->> 'vector_weight')::numeric, 3) = round((sum(s.p * CASE
           WHEN s.label = 'keyword' THEN (1 - r.rarity) * k.vector_weight + r.rarity * e.vector_weight
           ELSE coalesce(p.vector_weight, 0.55) END) / sum(s.p))::numeric, 3) AS mean
FROM (VALUES ('NUMBER7'), ('CRANE'), ('how high is the crane of the harbour'), ('cranes of harbours')) AS q (query),
     hybrid_search_explain('report', q.query, '[1, 0]') AS x,
     LATERAL (SELECT (x ->> 'rarity')::float8) AS r (rarity),
     LATERAL (SELECT key, least(1, greatest(0, (value::float8 - 0.05) / 0.9)) FROM jsonb_each_text(x -> 'classification' -> 'scores')) AS s (label, p)
LEFT JOIN harca.search_profile AS p ON p.query_type = s.label,
     harca.search_profile AS k, harca.search_profile AS e
WHERE k.query_type = 'keyword' AND e.query_type = 'exact term'
GROUP BY q.query, x ORDER BY q.query COLLATE "C";
SELECT query_type, round(vector_weight::numeric, 1) AS weight FROM hybrid_search('report', 'NUMBER7', '[1, 0]', "limit" => 1);
SELECT query_type, round(vector_weight::numeric, 1) AS weight FROM hybrid_search('report', 'CRANE', '[1, 0]', "limit" => 1);
DELETE FROM harca.search_profile WHERE query_type = 'exact term';
SELECT query_type, round(vector_weight::numeric, 1) AS weight FROM hybrid_search('report', 'NUMBER7', '[1, 0]', "limit" => 1);

-- parameters: of the target, and of the call
SELECT round(keyword_score::numeric, 3) AS keyword_score FROM hybrid_search('report', 'crane', options => '{"k1": 0}', "limit" => 1);
UPDATE harca.search_target SET k1 = 0 WHERE name = 'report';
SELECT round(keyword_score::numeric, 3) AS keyword_score FROM hybrid_search('report', 'crane', "limit" => 1);
SELECT round(keyword_score::numeric, 3) AS keyword_score FROM hybrid_search('report', 'crane', options => '{"k1": 2}', "limit" => 1);
SELECT error_of($$UPDATE harca.search_target SET b = 2$$);
-- PostgreSQL's own ranking is still there
SELECT id, round(keyword_score::numeric, 4) AS keyword_score
FROM hybrid_search('report', 'harbour n7 n8', options => '{"ranking": "ts_rank_cd"}', "limit" => 2);
SELECT error_of($$SELECT * FROM hybrid_search('report', 'x', options => '{"ranking": "ts_rank"}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('report', 'x', options => '{"k1": 101}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('report', 'x', options => '{"b": "small"}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('report', 'x', options => '{"max_matches": 0.5}')$$);

-- statistics grow old and say so; a tenth of the rows may change
UPDATE report SET embedding = '[0, 1]' WHERE id <= 250;
SELECT changed_rows, state FROM harca.stat_search_target;
SELECT harca.refresh_stale_search_statistics();
DELETE FROM report WHERE id <= 300;
SELECT changed_rows, state FROM harca.stat_search_target;
SELECT harca.refresh_stale_search_statistics();
SELECT documents, changed_rows, state FROM harca.stat_search_target;
SELECT lexeme, documents FROM harca.common_term ORDER BY documents DESC, lexeme;
SELECT harca.refresh_stale_search_statistics();
-- all rows instead of a sample, and a sample of blocks
SELECT harca.refresh_search_statistics('report', NULL);
ANALYZE report;
SELECT harca.refresh_search_statistics('report', 200) BETWEEN 200 AND 10000 AS about_all;
SELECT documents_read < 1700 AS sampled, documents BETWEEN 200 AND 10000 AS scaled FROM harca.stat_search_target;
SELECT error_of($$SELECT harca.refresh_search_statistics('report', 0)$$);
SELECT error_of($$SELECT harca.refresh_search_statistics('nothing')$$);
-- an empty table has none; a table that is dropped leaves its registration behind, as ever
TRUNCATE report;
SELECT pg_stat_force_next_flush();
SELECT changed_rows, state FROM harca.stat_search_target;
SELECT harca.refresh_search_statistics('report');
SELECT documents, average_length, state FROM harca.stat_search_target;
SELECT count(*) FROM hybrid_search('report', 'harbour');
DROP TABLE report;
SELECT target, state FROM harca.stat_search_target;
SELECT harca.refresh_stale_search_statistics();
SELECT count(*) FROM harca.common_term;
SELECT harca.drop_search_target('report');
SELECT count(*) FROM harca.search_statistics;

-- partitions and materialized views
CREATE TABLE log (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(2)) PARTITION BY RANGE (id);
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (100);
CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (100) TO (200);
INSERT INTO log SELECT i, 'entry', to_tsvector('harca', 'entry ' || i), '[1, 0]' FROM generate_series(0, 199) AS i;
CREATE MATERIALIZED VIEW shown AS SELECT * FROM log WHERE id < 150;
CREATE UNIQUE INDEX ON shown (id);
SELECT harca.register_search_target('log', 'log'), harca.register_search_target('shown', 'shown');
SELECT target, documents, average_length, changed_rows, state FROM harca.stat_search_target ORDER BY 1;
SELECT target, lexeme, documents FROM harca.common_term ORDER BY 1;
SELECT id FROM hybrid_search('log', 'entry 150', "limit" => 1);
DELETE FROM log WHERE id > 20;
REFRESH MATERIALIZED VIEW shown;
SELECT pg_stat_force_next_flush();
SELECT target, state FROM harca.stat_search_target ORDER BY 1;
SELECT count(harca.drop_search_target(name)) FROM harca.search_target;
DROP MATERIALIZED VIEW shown;
DROP TABLE log;
DROP FUNCTION looked_for;

-- the row with the rarest word is ranked, also where more rows match than the statistics tell
CREATE TABLE crowd (
    id integer PRIMARY KEY,
    content text,
    embedding vector(2) DEFAULT '[1, 0]',
    tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED
) WITH (autovacuum_enabled = off);
INSERT INTO crowd SELECT i, CASE WHEN i % 40 = 0 THEN 'crane' ELSE 'report' END FROM generate_series(1, 2000) AS i;
SELECT harca.register_search_target('crowd', 'crowd');
INSERT INTO crowd SELECT i, 'crane' FROM generate_series(2001, 2200) AS i;
INSERT INTO crowd VALUES (2201, 'crane n2201'), (2202, 'n2202');
SELECT id FROM hybrid_search('crowd', 'crane n2201', "limit" => 1, options => '{"max_matches": 60, "candidates": 10}');
SELECT id FROM hybrid_search('crowd', 'crane n2202', '[1, 0]', "limit" => 1,
                             options => '{"max_matches": 60, "candidates": 60, "strategy": "keyword_first", "vector_weight": 0}');
SELECT harca.drop_search_target('crowd');
DROP TABLE crowd;
