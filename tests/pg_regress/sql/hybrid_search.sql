-- One call: classify, search both legs, fuse.
CREATE TABLE memory (
    id bigint PRIMARY KEY,
    content text,
    lang text,
    importance integer,
    noted_on date,
    embedding vector(3),
    tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED
);
INSERT INTO memory VALUES
    (1, 'PostgreSQLの全文検索を設定した', 'ja', 3, '2026-01-05', '[1, 0, 0]'),
    (2, 'The ef_search setting was raised to 80', 'en', 2, '2026-02-05', '[0, 1, 0]'),
    (3, 'Lunch with Tanaka at the harbour', 'en', 5, '2026-03-05', '[0, 0, 1]'),
    (4, 'Searches are slow since the index was dropped', 'en', 4, '2026-04-05', '[0.1, 0.9, 0.2]'),
    (5, 'No embedding yet: the harbour report', 'en', 1, NULL, NULL),
    (6, NULL, NULL, NULL, NULL, '[0, 0.5, 0.5]');
CREATE INDEX ON memory USING gin (tsv);
CREATE INDEX ON memory USING hnsw (embedding vector_cosine_ops);
SELECT harca.register_search_target('memory', 'memory');

-- words and meaning agree
SELECT id, vector_rank, keyword_rank, query_type FROM hybrid_search('memory', '全文検索 設定', '[1, 0.1, 0]', "limit" => 2);
-- a question leans on the vector leg, a code on the keyword leg
SELECT query_type, round(vector_weight::numeric, 1) AS weight FROM hybrid_search('memory', 'why has searching become so slow?', '[0, 1, 0]', "limit" => 1);
SELECT query_type, round(vector_weight::numeric, 1) AS weight FROM hybrid_search('memory', 'ef_search', '[0, 1, 0]', "limit" => 1);
-- without an embedding the keyword leg stands alone; a row may lack what a leg needs
SELECT id, vector_rank, keyword_rank FROM hybrid_search('memory', 'harbour');
SELECT id, vector_rank, keyword_rank FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', options => '{"vector_weight": 0}') WHERE keyword_rank IS NOT NULL;
-- without words the vector leg does
SELECT id, vector_rank, keyword_rank, query_type FROM hybrid_search('memory', '?', '[0, 0, 1]', "limit" => 1);
-- nothing to search with, nothing found; no query, no rows
SELECT count(*) FROM hybrid_search('memory', '?');
SELECT count(*) FROM hybrid_search('memory', NULL, '[0, 0, 1]');
SELECT count(*) FROM hybrid_search('memory', 'zebra');

-- fused score: both legs, normalised, by the weight
SELECT id, round(score::numeric, 4) AS score, vector_rank, keyword_rank, round(vector_score::numeric, 4) AS vector_score
FROM hybrid_search('memory', 'harbour lunch', '[0, 0, 1]', options => '{"vector_weight": 0.5, "fusion": "minmax"}');
-- every method; "auto" counts vector scores in deviations of the table's, keyword scores beside what they could be
SELECT m.method, f.id, round(f.score::numeric, 4) AS score
FROM unnest('{auto,max,minmax,zscore,sigmoid,rrf}'::text[]) WITH ORDINALITY AS m (method, place),
     harca.fuse('{a,b,c}', '{0.9,0.5,0.1}', '{c,d}', '{4,2}', 0.5, m.method, 0.1, 16) AS f
ORDER BY m.place, f.score DESC, f.id;
SELECT f.id, round(f.score::numeric, 4) AS score FROM harca.fuse('{a,b}', '{0.9,0.5}', '{b}', '{4}', 0.5) AS f;
SELECT error_of($$SELECT * FROM harca.fuse('{a}', '{1}', '{b}', '{1}', 0.5, 'best')$$);
SELECT id, round(score::numeric, 6) AS score, vector_rank, keyword_rank
FROM hybrid_search('memory', 'harbour lunch', '[0, 0, 1]', options => '{"vector_weight": 0.5, "fusion": "rrf"}', "limit" => 2);

-- the profile is read at every call
UPDATE harca.search_profile SET vector_weight = 1 WHERE target = 'memory';
SELECT DISTINCT vector_weight FROM hybrid_search('memory', 'harbour lunch', '[0, 0, 1]');
DELETE FROM harca.search_profile WHERE target = 'memory';
SELECT DISTINCT vector_weight FROM hybrid_search('memory', 'harbour lunch', '[0, 0, 1]');

-- filters
SELECT id FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', filter => '{"lang": "en"}') ORDER BY id;
SELECT id FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', filter => '{"lang": "en", "importance": {"gte": 2, "lt": 5}}') ORDER BY id;
SELECT id FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', filter => '{"id": [1, 3, 99]}') ORDER BY id;
SELECT id FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', filter => '{"lang": {"in": ["ja", "de"]}}') ORDER BY id;
SELECT id FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', filter => '{"lang": {"ne": "en"}}') ORDER BY id;
SELECT id FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', filter => '{"lang": null}') ORDER BY id;
SELECT id FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', filter => '{"noted_on": {"gt": "2026-02-28", "lte": "2026-03-05"}}') ORDER BY id;
SELECT id FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', filter => '{"noted_on": {"ne": null}, "importance": {"gt": 4}}') ORDER BY id;
SELECT count(*) FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', filter => '{"id": []}');
-- whatever a column is called
ALTER TABLE memory ADD e text DEFAULT 'x', ADD t integer DEFAULT 7, ADD "it's ""odd"" \ $2" integer DEFAULT 8;
SELECT count(*) FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', filter => '{"lang": ["en"], "e": ["x", "y"], "t": 7, "it''s \"odd\" \\ $2": {"in": [8]}}');
ALTER TABLE memory DROP e, DROP t, DROP "it's ""odd"" \ $2";
SELECT count(*) FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', filter => '{}');
SELECT count(*) FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', filter => $${"lang": "en' OR 'x' = 'x"}$$);

-- pages follow one another
SELECT array_agg(id) AS all_at_once FROM hybrid_search('memory', 'harbour search', '[0, 0.5, 0.5]');
SELECT array_agg(p.id ORDER BY page, p.place) AS page_by_page
FROM generate_series(0, 5, 2) AS page,
     LATERAL (SELECT id, row_number() OVER () AS place
              FROM hybrid_search('memory', 'harbour search', '[0, 0.5, 0.5]', "limit" => 2, "offset" => page)) AS p;
SELECT count(*) FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', "limit" => 0);
SELECT count(*) FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', "limit" => NULL, "offset" => NULL);

-- settings of the index scan are as before
SHOW hnsw.ef_search;
-- a join on the id
SELECT m.id, left(m.content, 8) AS content
FROM hybrid_search('memory', 'harbour', '[0, 0, 1]', "limit" => 1) AS h JOIN memory AS m ON m.id = h.id::bigint;

-- errors
SELECT error_of($$SELECT * FROM hybrid_search('no such target', 'x')$$);
SELECT error_of($$SELECT * FROM hybrid_search(NULL, 'x')$$);
SELECT error_of($$SELECT * FROM hybrid_search('memory', 'x', '[1, 2]')$$);
SELECT error_of($$SELECT * FROM hybrid_search('memory', 'x', '[1, 0, 0]', "limit" => -1)$$);
SELECT error_of($$SELECT * FROM hybrid_search('memory', 'x', '[1, 0, 0]', "offset" => 2147483647)$$);
SELECT error_of($$SELECT * FROM hybrid_search('memory', 'x', filter => '{"nowhere": 1}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('memory', 'x', filter => '{"lang": {"like": "e%"}}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('memory', 'x', filter => '{"lang": {"in": "en"}}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('memory', 'x', filter => '{"id": "many"}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('memory', 'x', filter => '[1]')$$);
SELECT error_of($$SELECT * FROM hybrid_search('memory', 'x', options => '{"k": 1}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('memory', 'x', options => '{"candidates": 0}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('memory', 'x', options => '{"vector_weight": "much"}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('memory', 'x', options => '{"fusion": null}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('memory', 'x', options => '7')$$);
SHOW hnsw.ef_search;
ALTER TABLE memory RENAME COLUMN embedding TO meaning;
SELECT error_of($$SELECT * FROM hybrid_search('memory', 'x', '[1, 0, 0]')$$);
ALTER TABLE memory RENAME COLUMN meaning TO embedding;
ALTER TABLE memory RENAME TO renamed;
SELECT id FROM hybrid_search('memory', 'harbour', "limit" => 1);
DROP TABLE renamed;
SELECT regexp_replace(error_of($$SELECT * FROM hybrid_search('memory', 'x')$$), 'identifier \d+', 'identifier N');
SELECT harca.drop_search_target('memory');

-- types that are not PostgreSQL's own: text forms are compared, and no function of their owner runs
CREATE TYPE mood AS ENUM ('calm', 'cross');
CREATE DOMAIN short_text AS text CHECK (length(VALUE) < 8);
CREATE TABLE entry (id uuid PRIMARY KEY, content text, mood mood, label short_text, tsv tsvector, embedding halfvec(2));
INSERT INTO entry VALUES
    ('00000000-0000-0000-0000-00000000000a', 'harbour', 'calm', 'one', to_tsvector('harca', 'harbour'), '[1, 0]'),
    ('00000000-0000-0000-0000-00000000000b', 'harbour', 'cross', 'two', to_tsvector('harca', 'harbour'), '[0, 1]');
SELECT harca.register_search_target('entry', 'entry', distance => 'inner_product');
SELECT id, vector_rank, round(vector_score::numeric, 2) AS vector_score FROM hybrid_search('entry', 'harbour', '[0.9, 0.1]');
SELECT id FROM hybrid_search('entry', 'harbour', '[1, 0]', filter => '{"mood": "cross"}');
SELECT id FROM hybrid_search('entry', 'harbour', '[1, 0]', filter => '{"mood": ["calm", "other"], "label": {"lt": "p"}}');
SELECT count(*) FROM hybrid_search('entry', 'harbour', '[1, 0]', filter => '{"label": "longer than the domain allows"}');
SELECT error_of($$SELECT * FROM hybrid_search('entry', 'harbour', '[1, 0]', filter => '{"mood": {"lt": "cross"}}')$$);
SELECT harca.drop_search_target('entry');
CREATE SCHEMA trap;
CREATE TYPE trap.vector AS (x real);
CREATE TABLE trap.bait (id integer PRIMARY KEY, content text, tsv tsvector, embedding trap.vector);
CREATE VIEW trap.view AS SELECT id, content, tsv, '[1, 0]'::vector(2) AS embedding FROM trap.bait;
SELECT error_of($$SELECT harca.register_search_target('bait', 'trap.bait')$$);
SELECT error_of($$SELECT harca.register_search_target('bait', 'trap.view')$$);
INSERT INTO harca.search_target VALUES ('bait', 'trap.view', '{id}', 'content', 'tsv', 'embedding', 'simple', 'simple', 'l2', 0.5);
SELECT error_of($$SELECT * FROM hybrid_search('bait', 'x')$$);
SELECT harca.drop_search_target('bait');
DROP VIEW trap.view;
DROP TABLE entry, trap.bait;
DROP TYPE trap.vector, mood;
DROP DOMAIN short_text;
DROP SCHEMA trap;

-- columns may be of domains
CREATE DOMAIN words AS tsvector;
CREATE DOMAIN some_words AS words CHECK (VALUE IS NOT NULL);
CREATE DOMAIN meaning AS vector(2);
CREATE TABLE domained (id integer PRIMARY KEY, content text, tsv some_words, embedding meaning);
INSERT INTO domained SELECT i, t, to_tsvector('harca', t), format('[1, %s]', i)::vector FROM unnest('{harbour,crane}'::text[]) WITH ORDINALITY AS u (t, i);
CREATE INDEX ON domained USING gin (tsv);
SELECT harca.register_search_target('domained', 'domained');
SELECT id, vector_rank, keyword_rank FROM hybrid_search('domained', 'crane', '[1, 1]') ORDER BY id;
SELECT error_of($$SELECT * FROM hybrid_search('domained', 'crane', '[1, 1, 1]')$$);
SELECT harca.drop_search_target('domained');
DROP TABLE domained;
DROP DOMAIN meaning, some_words, words;

-- a temporary table would leave its registration behind
CREATE TEMPORARY TABLE passing (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(2));
SELECT error_of($$SELECT harca.register_search_target('passing', 'passing')$$);
DROP TABLE passing;

-- words are read where classification has stopped
CREATE TABLE letter (id integer PRIMARY KEY, content text, tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED, embedding vector(2));
INSERT INTO letter (id, content) VALUES (1, 'the needle'), (2, 'hay');
SELECT harca.register_search_target('letter', 'letter');
SELECT id FROM hybrid_search('letter', repeat('and so on ', 1000) || 'needle');
SELECT count(*) AS found, (SELECT hybrid_search_explain('letter', repeat('and so on ', 2000) || 'needle') -> 'warnings') AS warnings
FROM hybrid_search('letter', repeat('and so on ', 2000) || 'needle');
SELECT harca.drop_search_target('letter');
DROP TABLE letter;
