-- What identifies a row: one column or several, and what makes them tell rows apart.
CREATE TABLE ticket (tenant text, number integer, content text, tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED,
                     embedding vector(2), PRIMARY KEY (tenant, number));
INSERT INTO ticket (tenant, number, content, embedding)
SELECT t, n, 'harbour ' || n, format('[1, %s]', n)::vector FROM unnest('{north,"the \"south",NULL west}'::text[]) AS t, generate_series(1, 40) AS n;
CREATE INDEX ON ticket USING gin (tsv);
SELECT error_of($$SELECT harca.register_search_target('ticket', 'ticket', id_column => 'number')$$);
SELECT error_of($$SELECT harca.register_search_target('ticket', 'ticket', id_columns => '{tenant,none}')$$);
SELECT error_of($$SELECT harca.register_search_target('ticket', 'ticket', id_columns => '{}')$$);
SELECT error_of($$SELECT harca.register_search_target('ticket', 'ticket', id_columns => '{tenant,NULL}')$$);
SELECT harca.register_search_target('ticket', 'ticket', id_columns => '{tenant,number}');
SELECT id_columns FROM harca.search_target WHERE name = 'ticket';
-- every row once, of both legs and of each
SELECT count(*), count(DISTINCT id), count(vector_rank), count(keyword_rank)
FROM hybrid_search('ticket', 'harbour', '[1, 0]', NULL, options => '{"candidates": 200}');
SELECT count(*), count(DISTINCT id) FROM hybrid_search('ticket', 'harbour', NULL, NULL, options => '{"candidates": 200}');
SELECT id FROM hybrid_search('ticket', '7', NULL);
SELECT t.content, count(*) FROM hybrid_search('ticket', 'harbour 7', '[1, 7]', 3) AS h
JOIN ticket AS t ON t.tenant = h.id::jsonb ->> 0 AND t.number = (h.id::jsonb ->> 1)::integer GROUP BY t.content;
SELECT id FROM hybrid_search('ticket', 'harbour 7', '[1, 7]', 1, filter => '{"tenant": "the \"south"}');
SELECT hybrid_search_explain('ticket', 'harbour 7', "limit" => 1) #>> '{rows,0,id}' AS explained;
-- pages: the last row of one is where the next begins
WITH first AS (SELECT *, row_number() OVER () AS n FROM hybrid_search('ticket', 'harbour', '[1, 0]', 60, options => '{"candidates": 200}')),
last AS (SELECT jsonb_build_array(score, id) AS place FROM first ORDER BY n DESC LIMIT 1)
SELECT count(*), count(*) FILTER (WHERE h.id IN (SELECT id FROM first)) AS again
FROM last, hybrid_search('ticket', 'harbour', '[1, 0]', 100, options => jsonb_build_object('after', last.place, 'candidates', 200)) AS h;
-- feedback names rows alike, and so do judgements
SELECT harca.record_feedback('ticket', 'harbour 7', '["north", 7]', 1, '[1, 7]');
CREATE TABLE judged AS
SELECT format('harbour %s', n) AS query, format('[1, %s]', n)::vector AS embedding, jsonb_build_array('north', n) AS id, 1 AS grade
FROM generate_series(1, 12) AS n;
SELECT queries, ndcg_before > 0.3 AS found FROM harca.tune_search('ticket', 'judged');
DROP TABLE judged;

-- without a unique index; one of a part of the rows, of an expression, of more columns: rows would be taken for one
CREATE TABLE loose (id integer NOT NULL, part integer NOT NULL, content text, tsv tsvector, embedding vector(2));
SELECT error_of($$SELECT harca.register_search_target('loose', 'loose')$$);
CREATE INDEX ON loose (id);
CREATE UNIQUE INDEX ON loose (id) WHERE part = 1;
CREATE UNIQUE INDEX ON loose (abs(id));
SELECT error_of($$SELECT harca.register_search_target('loose', 'loose')$$);
CREATE UNIQUE INDEX both_columns ON loose (part, id) INCLUDE (content);
SELECT error_of($$SELECT harca.register_search_target('loose', 'loose')$$);
SELECT harca.register_search_target('loose', 'loose', id_columns => '{id,part}');
SELECT error_of($$SELECT harca.register_search_target('loose', 'loose', id_columns => '{id,part,content}', replace => true)$$);
DROP INDEX both_columns;
CREATE UNIQUE INDEX one_column ON loose (id);
ALTER TABLE loose ALTER COLUMN id DROP NOT NULL;
SELECT error_of($$SELECT harca.register_search_target('loose', 'loose', replace => true)$$);
-- a column that may be null since: rows without an id are left out, and none is taken for another
ALTER TABLE loose ALTER COLUMN id SET NOT NULL;
SELECT harca.register_search_target('loose', 'loose', replace => true);
ALTER TABLE loose ALTER COLUMN id DROP NOT NULL;
INSERT INTO loose SELECT nullif(n, 3), n, 'crane', 'crane', '[1, 0]' FROM generate_series(1, 4) AS n;
SELECT id FROM hybrid_search('loose', 'crane', '[1, 0]') ORDER BY id;
SELECT id FROM hybrid_search('loose', 'crane', '[1, 0]', filter => '{"part": {"gt": 2}}');

-- partitions, whose key is the table's; and materialized views, whose columns are never declared NOT NULL
CREATE TABLE entry (day date, number integer, content text, tsv tsvector, embedding vector(2), PRIMARY KEY (day, number)) PARTITION BY RANGE (day);
CREATE TABLE entry_1 PARTITION OF entry FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE entry_2 PARTITION OF entry FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO entry SELECT date '2026-01-30' + d, n, 'crane', 'crane', format('[1, %s]', n)::vector FROM generate_series(0, 3) AS d, generate_series(1, 2) AS n;
SELECT error_of($$SELECT harca.register_search_target('entry', 'entry', id_column => 'number')$$);
SELECT harca.register_search_target('entry', 'entry', id_columns => '{day,number}');
SELECT id FROM hybrid_search('entry', 'crane', '[1, 0]') ORDER BY id;
CREATE MATERIALIZED VIEW seen AS SELECT nullif(number, 2) AS id, content, tsv, embedding FROM entry WHERE day = '2026-02-01';
SELECT error_of($$SELECT harca.register_search_target('seen', 'seen')$$);
CREATE UNIQUE INDEX ON seen (id);
SELECT harca.register_search_target('seen', 'seen');
SELECT id FROM hybrid_search('seen', 'crane', '[1, 0]');

-- one column of several may be of a type of somebody's, and no cast of theirs runs
CREATE TYPE coat AS ENUM ('red', 'blue');
CREATE FUNCTION coat_json(coat) RETURNS json LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'a cast of its owner ran'; END$$;
CREATE CAST (coat AS json) WITH FUNCTION coat_json(coat);
CREATE TABLE worn (coat coat, at timestamptz, content text, tsv tsvector, embedding vector(2), PRIMARY KEY (coat, at));
INSERT INTO worn VALUES ('red', '2026-01-02 03:04:05+00', 'crane', 'crane', '[1, 0]');
SELECT harca.register_search_target('worn', 'worn', id_columns => '{coat,at}');
SET timezone = 'UTC';
SELECT id FROM hybrid_search('worn', 'crane', '[1, 0]');
RESET timezone;
DROP TABLE worn;
DROP CAST (coat AS json);
DROP FUNCTION coat_json;
DROP TYPE coat;

-- a registration by hand names a table that is there
SELECT error_of($$INSERT INTO harca.search_target VALUES ('nothing', 'none', '{id}', 'content', 'tsv', 'embedding', 'simple', 'simple', 'l2', 0.5)$$);
SELECT error_of($$INSERT INTO harca.search_target VALUES ('nothing', '-', '{id}', 'content', 'tsv', 'embedding', 'simple', 'simple', 'l2', 0.5)$$);
SELECT error_of($$UPDATE harca.search_target SET relation = '12345' WHERE name = 'seen'$$);
SELECT relation, relation = 'seen'::regclass AS seen FROM harca.search_target WHERE name = 'seen';
DROP MATERIALIZED VIEW seen;
DROP TABLE entry, loose, ticket;
SELECT count(*) FROM harca.search_target;
