-- Which legs run, what raises a score, how pages follow one another, and how a search explains itself.
CREATE TABLE part (
    id integer PRIMARY KEY,
    content text NOT NULL,
    stock integer,
    listed_on date,
    embedding vector(2),
    tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED
);
-- The meaning of a part turns with its number; every part is a pump or a valve, one has a code.
INSERT INTO part
SELECT i, CASE WHEN i % 2 = 0 THEN 'pump' ELSE 'valve' END || CASE i WHEN 6 THEN ' XK-4471' ELSE '' END || ' of steel',
       i % 10, current_date - i, format('[%s, %s]', round(cos(i / 100.0)::numeric, 4), round(sin(i / 100.0)::numeric, 4))::vector
FROM generate_series(1, 300) AS i;
CREATE INDEX ON part USING gin (tsv);
CREATE INDEX ON part USING hnsw (embedding vector_cosine_ops);
ANALYZE part;
SELECT harca.register_search_target('part', 'part');

CREATE FUNCTION found(query text, embedding vector, options jsonb, OUT rows bigint, OUT first text, OUT by_words bigint, OUT by_meaning bigint)
    LANGUAGE sql
AS $$
    SELECT count(*), string_agg(h.id, ' ' ORDER BY h.place) FILTER (WHERE h.place <= 3), count(h.keyword_rank), count(h.vector_rank)
    FROM (SELECT *, row_number() OVER () AS place FROM hybrid_search('part', query, embedding, 50, options => options)) AS h
$$;
SELECT s.strategy, f.* FROM unnest('{parallel,keyword_first,vector_first,intersection,keyword_only,vector_only}'::text[]) WITH ORDINALITY AS s (strategy, place),
    found('steel valve', '[1, 0]', jsonb_build_object('strategy', s.strategy, 'candidates', 50, 'vector_weight', 0.5)) AS f ORDER BY s.place;
-- the limit is the number of candidates here: what else is found has the words, or is near
SELECT s.strategy, count(*), bool_and(h.keyword_rank IS NOT NULL) AS words, bool_and(h.vector_rank IS NOT NULL) AS meaning
FROM unnest('{parallel,keyword_first,vector_first,intersection,keyword_only,vector_only}'::text[]) WITH ORDINALITY AS s (strategy, place),
    hybrid_search('part', 'valve', '[1, 0]', 40, options => jsonb_build_object('strategy', s.strategy, 'candidates', 40)) AS h
GROUP BY s.place, s.strategy ORDER BY s.place;
-- the other measure is that of the leg, whoever calculates it
SELECT count(*) AS compared, bool_and(a.vector_score = b.vector_score) AS same_meaning, bool_and(a.keyword_score = b.keyword_score) AS same_words
FROM hybrid_search('part', 'valve', '[1, 0]', 300, options => '{"strategy": "parallel"}') AS a
JOIN hybrid_search('part', 'valve', '[1, 0]', 40, options => '{"strategy": "keyword_first", "candidates": 40}') AS b USING (id);
SELECT count(*) AS compared, bool_and(a.vector_score = b.vector_score) AS same_meaning, bool_and(a.keyword_score = b.keyword_score) AS same_words
FROM hybrid_search('part', '"steel valve"', '[1, 0]', 300, options => '{"strategy": "parallel"}') AS a
JOIN hybrid_search('part', '"steel valve"', '[1, 0]', 40, options => '{"strategy": "vector_first", "candidates": 40}') AS b USING (id);
-- every row has both scores, whatever finds, fuses and ranks it; those in neither leg's candidates too
SELECT s.options, count(*), count(*) FILTER (WHERE h.vector_score IS DISTINCT FROM m.vector_score) AS other_meaning,
       count(*) FILTER (WHERE h.keyword_score IS DISTINCT FROM w.keyword_score) AS other_words,
       count(*) FILTER (WHERE h.vector_rank IS NULL OR h.keyword_rank IS NULL) > 0 AS of_one_leg
FROM jsonb_array_elements('[{"strategy": "parallel"}, {"strategy": "keyword_first"}, {"strategy": "vector_first"}, {"strategy": "intersection"},
                            {"strategy": "keyword_only"}, {"strategy": "vector_only"}, {"fusion": "rrf", "strategy": "parallel"}, {"fusion": "minmax", "strategy": "parallel"}, {"fusion": "max", "strategy": "parallel"}]')
         WITH ORDINALITY AS s (options, place),
     hybrid_search('part', 'XK-4471 valve', '[1, 0]', 60, options => s.options || '{"candidates": 40, "k1": 0.9}') AS h
JOIN hybrid_search('part', '?', '[1, 0]', 300) AS m USING (id)
LEFT JOIN hybrid_search('part', 'XK-4471 valve', NULL, 300) AS w USING (id)
GROUP BY s.place, s.options ORDER BY s.place;
SELECT count(*) FILTER (WHERE h.keyword_score IS DISTINCT FROM w.keyword_score) AS other_words, count(*) FILTER (WHERE h.vector_score IS NULL) AS no_meaning
FROM hybrid_search('part', 'steel valve', '[1, 0]', 60, options => '{"ranking": "ts_rank_cd", "candidates": 40}') AS h
LEFT JOIN hybrid_search('part', 'steel valve', NULL, 300, options => '{"ranking": "ts_rank_cd"}') AS w USING (id);
-- a row that only words have found counts for less the farther its meaning is, and never for less than nothing
CREATE TABLE far (id integer PRIMARY KEY, content text, embedding vector(2), tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED);
INSERT INTO far
SELECT i, CASE WHEN i <= 3 THEN 'crane of the harbour' ELSE 'nothing' END,
       CASE i WHEN 1 THEN '[0, 1]' WHEN 2 THEN '[-1, 0]' WHEN 3 THEN NULL ELSE format('[1, %s]', i / 400.0) END::vector
FROM generate_series(1, 200) AS i;
SELECT harca.register_search_target('far', 'far', calibration => 'off');
SELECT id, vector_rank, round(vector_score::numeric, 2) AS meaning, keyword_rank, score / first_value(score) OVER (ORDER BY score DESC) < 0.9 AS less, score >= 0 AS some
FROM hybrid_search('far', 'harbour cranes', '[1, 0]', 60, options => '{"candidates": 50}') WHERE keyword_rank IS NOT NULL ORDER BY score DESC, id;
SELECT harca.drop_search_target('far');
DROP TABLE far;

-- what "auto" takes: a code with another word, when its pages can be filled; else both legs; one, when there is but one
CREATE FUNCTION taken(query text, embedding vector, options jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE sql
AS $$SELECT (hybrid_search_explain('part', query, embedding, options => options) -> 'strategy') - 'asked'::text$$;
SELECT taken('XK-4471 pump', '[1, 0]');
SELECT taken('XK-4471', '[1, 0]');
SELECT taken('pump', '[1, 0]');
SELECT taken('pump', NULL);
SELECT taken('?', '[1, 0]');
SELECT taken('XK-4471 pump', '[1, 0]', '{"vector_weight": 0.7}');
SELECT taken('XK-4471 pump', '[1, 0]', '{"strategy": "parallel"}');
SELECT f.rows, split_part(f.first, ' ', 1) AS first FROM found('XK-4471 pump', '[-1, 0]', NULL) AS f;
UPDATE harca.search_profile SET vector_weight = 0.5 WHERE target = 'part' AND query_type = 'exact term';
SELECT taken('XK-4471 pump', '[1, 0]');

-- words that are too common alone are looked up all the same, when nothing else can fill the page
SELECT count(*) FROM hybrid_search('part', 'pump valve', NULL, options => '{"max_matches": 50}');
SELECT h -> 'legs' -> 'keyword' -> 'words' AS words, h -> 'legs' -> 'keyword' -> 'rows' AS rows
FROM hybrid_search_explain('part', 'pump valve', '[1, 0]', options => '{"max_matches": 50}') AS h;

-- boosts: a number by its share of max, a date by how many half-lives it is old
SELECT id, round(score::numeric, 4) AS score FROM hybrid_search('part', 'pump XK-4471', NULL, 3);
SELECT h.id, round((h.score / h.keyword_score)::numeric, 4) = round((1.5 * p.score / p.keyword_score)::numeric, 4) AS half_more
FROM hybrid_search('part', 'pump', NULL, 3, options => '{"boosts": {"stock": {"weight": 0.5, "max": 8}}}') AS h
JOIN hybrid_search('part', 'pump', NULL, 300) AS p USING (id) ORDER BY h.score DESC, h.id COLLATE "C";
SELECT id FROM hybrid_search('part', 'pump', NULL, 3, options => '{"boosts": {"listed_on": {"weight": 1, "half_life": "7 days"}}}');
SELECT id FROM hybrid_search('part', 'pump', '[1, 0]', 3,
    options => '{"vector_weight": 0, "candidates": 300, "boosts": {"listed_on": {"weight": 1, "half_life": "7 days"}, "stock": {"weight": 9, "max": 8}}}');
UPDATE part SET listed_on = 'infinity', stock = NULL WHERE id = 100;
UPDATE part SET listed_on = '-infinity', stock = -7 WHERE id = 102;
SELECT id FROM hybrid_search('part', 'pump', NULL, 2, options => '{"boosts": {"listed_on": {"weight": 1, "half_life": "1 second"}, "stock": {"weight": 0.1, "max": 1e15}}, "candidates": 300}');
-- null earns nothing, a date no more than a number
UPDATE part SET listed_on = NULL WHERE id IN (2, 4);
SELECT h.id, h.score = h.keyword_score / p.keyword_score * p.score AS plain
FROM hybrid_search('part', 'pump', NULL, 300, options => '{"boosts": {"listed_on": {"weight": 1, "half_life": "7 days"}}}') AS h
JOIN hybrid_search('part', 'pump', NULL, 300) AS p USING (id) WHERE id IN ('2', '4', '8') ORDER BY id;
SELECT error_of($$SELECT * FROM hybrid_search('part', 'pump', options => '{"boosts": {"nowhere": {"weight": 1, "max": 1}}}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('part', 'pump', options => '{"boosts": {"content": {"weight": 1, "max": 1}}}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('part', 'pump', options => '{"boosts": {"stock": {"weight": 1}}}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('part', 'pump', options => '{"boosts": {"stock": 3}}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('part', 'pump', options => '{"boosts": {"stock": {"weight": -1, "max": 1}}}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('part', 'pump', options => '{"boosts": {"stock": {"weight": 1, "max": 1, "half_life": "1 day"}}}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('part', 'pump', options => '{"boosts": {"listed_on": {"weight": 1, "half_life": "-1 day"}}}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('part', 'pump', options => '{"boosts": {"listed_on": {"weight": 1, "half_life": "soon"}}}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('part', 'pump', options => '{"boosts": 1}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('part', 'pump', options => '{"strategy": "best"}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('part', 'pump', options => '{"strategy": "vector_first"}')$$);

-- the page after a row
CREATE FUNCTION chained(size integer, pages integer) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    after jsonb;
    seen text[];
    page record;
BEGIN
    FOR n IN 1..pages LOOP
        SELECT array_agg(h.id ORDER BY h.place) AS ids, (array_agg(jsonb_build_array(h.score, h.id) ORDER BY h.place DESC))[1] AS last
        INTO page
        FROM (SELECT *, row_number() OVER () AS place
              FROM hybrid_search('part', 'steel pump', '[0.6, 0.8]', size, options => jsonb_build_object('after', after))) AS h;
        seen := seen || page.ids;
        after := page.last;
    END LOOP;
    RETURN seen;
END
$$;
SELECT cardinality(chained(7, 10)), chained(7, 10) = ARRAY(SELECT id FROM hybrid_search('part', 'steel pump', '[0.6, 0.8]', 70)) AS as_one_page;
SELECT count(*) FROM hybrid_search('part', 'pump', '[1, 0]', options => '{"after": [0, "~"]}');
SELECT error_of($$SELECT * FROM hybrid_search('part', 'pump', options => '{"after": 0.5}')$$);
SELECT error_of($$SELECT * FROM hybrid_search('part', 'pump', options => '{"after": ["0.5", "7"]}')$$);

-- a search explains itself
CREATE FUNCTION explained(query text, embedding vector DEFAULT NULL, options jsonb DEFAULT NULL, filter jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE sql
AS $$SELECT hybrid_search_explain('part', query, embedding, 2, 0, filter, options)$$;
-- beside meaning, a word of a query for an exact term counts once, or nearly so; alone, and where k1 is given, as ever
SELECT (explained('XK-4471 valve', '[1, 0]') #> '{legs,keyword,k1}')::float8 < 0.3 AS beside_meaning,
       explained('XK-4471 valve', NULL) #> '{legs,keyword,k1}' AS alone,
       hybrid_search_explain('part', 'XK-4471 valve', '[1, 0]', options => '{"k1": 2}') #> '{legs,keyword,k1}' AS given;
SELECT key, jsonb_typeof(value) FROM jsonb_each(explained('steel valve XK-4471', '[1, 0]')) ORDER BY key;
SELECT key, jsonb_typeof(value) FROM jsonb_each(explained('steel valve XK-4471', '[1, 0]') -> 'legs' -> 'keyword') ORDER BY key;
SELECT x -> 'legs' -> 'keyword' -> 'words' AS words, x -> 'legs' -> 'keyword' -> 'ranked' AS ranked, x -> 'legs' -> 'vector' -> 'rows' AS near,
       x -> 'rarity' AS rarity, x -> 'statistics' AS statistics, x -> 'fusion' -> 'method' AS method
FROM explained('steel valve XK-4471', '[1, 0]') AS x;
SELECT r ->> 'id' AS id, abs((r -> 'score')::numeric - (x -> 'vector_weight')::numeric * coalesce((r ->> 'vector_normalised')::numeric, 0)
                               - (1 - (x -> 'vector_weight')::numeric) * coalesce((r ->> 'keyword_normalised')::numeric, 0)) < 1e-9 AS adds_up
FROM explained('steel valve', '[1, 0]', '{"vector_weight": 0.25, "strategy": "keyword_first"}') AS x, jsonb_array_elements(x -> 'rows') AS r;
SELECT bool_and((t.value)::numeric >= 0) AS times FROM jsonb_each(explained('valve', '[1, 0]') -> 'milliseconds') AS t;
SET enable_seqscan = off;
SELECT x -> 'legs' -> 'keyword' -> 'indexes' AS by_words, x -> 'legs' -> 'vector' -> 'indexes' AS by_meaning FROM explained('valve', '[1, 0]') AS x;
RESET enable_seqscan;
SET enable_bitmapscan = off;
SET enable_indexscan = off;
SELECT explained('valve', '[1, 0]') -> 'warnings' AS without_indexes;
RESET enable_bitmapscan;
RESET enable_indexscan;
SET enable_seqscan = off;
SELECT explained('valve') -> 'warnings' AS no_embedding;
SELECT explained('?', '[1, 0]') -> 'warnings' AS no_words;
SELECT explained('?') -> 'warnings' AS nothing;
SELECT explained('zebra', '[1, 0]') -> 'warnings' AS no_such_word;
SELECT explained('valve', '[1, 0]', filter => '{"stock": 99}') -> 'warnings' AS nothing_left;
SELECT explained('steel valve', '[1, 0]', '{"max_matches": 10}') -> 'warnings' AS given_up;
SELECT explained('steel', '[1, 0]', '{"max_matches": 10}') -> 'warnings' AS not_all_ranked;
SELECT explained('valve', '[1, 0]', '{"strategy": "vector_only"}') -> 'warnings' AS as_asked;
SELECT explained('valve', '[1, 0]', '{"strategy": "keyword_first"}') -> 'warnings' AS scored_only;
DELETE FROM part WHERE id > 100;
SET pg_harca.enabled = off;
SELECT explained('valve', '[1, 0]') -> 'warnings' AS old_and_by_rules;
RESET pg_harca.enabled;
SELECT hybrid_search_explain('part', NULL) IS NULL AS nothing;
SELECT error_of($$SELECT hybrid_search_explain('part', 'x', '[1, 0]', -1)$$);
SELECT error_of($$SELECT hybrid_search_explain('no such target', 'x')$$);
RESET ALL;
SELECT harca.drop_search_target('part');
DROP FUNCTION found, taken, chained, explained;
DROP TABLE part;
