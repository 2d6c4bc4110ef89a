-- The text search parser and configurations for mixed Japanese and English text.
SELECT * FROM ts_token_type('harca');
SELECT p.tokid, p.token FROM ts_parse('harca', 'PostgreSQLの全文検索は、ef_search=40 でﾃﾞｰﾀをＮＡＴＯ') AS p;
SELECT to_tsvector('harca', 'Indexes were rebuilt; 索引を作り直した');
SELECT to_tsvector('harca', '検索') @@ to_tsquery('harca', '検索') AS term,
       to_tsvector('harca', '全文検索の設定') @@ phraseto_tsquery('harca', '全文検索') AS phrase,
       to_tsvector('harca', '検索エンジンの全文') @@ phraseto_tsquery('harca', '全文検索') AS other_order,
       to_tsvector('harca', 'ﾃﾞｰﾀﾍﾞｰｽ') @@ to_tsquery('harca', 'データベース') AS width,
       to_tsvector('harca', 'running late') @@ to_tsquery('harca', 'runs') AS stem,
       to_tsvector('harca', 'error E-1042 seen') @@ plainto_tsquery('harca', 'e-1042') AS code;
SELECT to_tsvector('harca', ''), to_tsvector('harca', '、。！'), to_tsvector('harca', NULL);
SELECT length(to_tsvector('harca', repeat('全文検索', 50000))) AS distinct_lexemes;
-- a long text is read in pieces, and no word is cut between two of them
SELECT length(to_tsvector('harca', string_agg('item' || i, CASE i % 7 WHEN 0 THEN '、' ELSE ' ' END))) AS words
FROM generate_series(1, 30000) AS i;
SELECT length(to_tsvector('harca', repeat('検', 70000))) AS bigrams, length(to_tsvector('harca', repeat('検索、', 40000))) AS terms;
SET statement_timeout = '20ms';
SELECT count(*) FROM ts_parse('harca', repeat('長い文章。long text, ', 4000000));
RESET statement_timeout;

-- queries: any of the words, particles and endings left out
SELECT harca.keyword_query('harca_query', '全文検索の使い方を教えて');
SELECT harca.keyword_query('harca_query', 'ありがとう'), harca.keyword_query('harca', 'ありがとう');
SELECT harca.keyword_query('simple', $$it's a 'quoted' back\slash & | ! ( <-> :*$$);
SELECT harca.keyword_query('english', 'the of and'), harca.keyword_query('english', NULL);

-- Chinese and Korean are cut the same way
SELECT to_tsvector('harca', '数据库索引') @@ to_tsquery('harca', '索引') AS chinese,
       to_tsvector('harca', '한국어 검색') @@ to_tsquery('harca', '검색') AS korean;

-- a search in Japanese from end to end needs nothing but the two extensions: no dictionary, no other parser
SELECT extname FROM pg_extension ORDER BY extname;
CREATE TABLE memory (id integer PRIMARY KEY, content text, tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED, embedding vector(2));
INSERT INTO memory (id, content, embedding) VALUES
    (1, '全文検索の設定を見直し、日本語の辞書なしで動くようにした', '[1, 0]'),
    (2, '検索が遅い原因は索引の欠如だった', '[0.8, 0.2]'),
    (3, '東京の天気は晴れ、明日は雨の予報', '[0, 1]'),
    (4, '田中さんと港でデータベースの話をした', '[0.2, 0.8]'),
    (5, '全文を読んでから検索語を決める', '[0.5, 0.5]');
CREATE INDEX ON memory USING gin (tsv);
SELECT harca.register_search_target('memory', 'memory');
SELECT q.query, string_agg(h.id, ' ' ORDER BY h.score DESC) AS found
FROM (VALUES ('東京 天気'), ('なぜ検索が遅いのですか？'), ('ﾃﾞｰﾀﾍﾞｰｽ'), ('索引'), ('"全文検索"'), ('猫')) AS q (query)
LEFT JOIN LATERAL hybrid_search('memory', q.query) AS h ON h.keyword_rank = 1 GROUP BY q.query ORDER BY q.query COLLATE "C";
SELECT id, vector_rank = 1 AS by_meaning, keyword_rank = 1 AS by_words
FROM hybrid_search('memory', '検索が遅い', '[1, 0]') WHERE 1 IN (vector_rank, keyword_rank) ORDER BY id;
DROP TABLE memory;
SELECT harca.drop_search_target('memory');

-- what a text shows of a query: the part that has most of it, each run marked once
SELECT ts_headline('harca', t, harca.keyword_query('harca_query', q))
FROM (VALUES ('全文検索の設定を見直し、日本語の辞書なしで動くようにした', '全文検索'), ('ＮＡＴＯとﾃﾞｰﾀﾍﾞｰｽ', 'nato データベース'),
             ('Indexes were rebuilt on Monday', 'rebuild an index'), ('set ef_search = 40', 'ef_search'), ('the Café is open', 'cafe'),
             (E'全文検\n索エンジン', '検索'), ('nothing of it', 'something'), ('', 'x')) AS v (t, q);
SELECT ts_headline('harca', string_agg(CASE i WHEN 50 THEN 'needle' WHEN 150 THEN 'needle and thread' ELSE 'w' || i END, ' ' ORDER BY i),
                   to_tsquery('harca', 'needle | thread'), o)
FROM generate_series(1, 200) AS i, unnest('{"MaxWords=8, MinWords=4","MaxWords=8, MinWords=4, MaxFragments=2","StartSel=[, StopSel=], MaxWords=5, MinWords=3"}'::text[]) AS o
GROUP BY o ORDER BY o;
SELECT length(ts_headline('harca', repeat('長い文章。long text, ', 10000) || 'needle', to_tsquery('harca', 'needle'), 'HighlightAll=1')) AS all_of_it,
       ts_headline('harca', repeat('長い文章。long text, ', 10000) || 'needle', to_tsquery('harca', 'needle'), 'MaxWords=5, MinWords=4') AS its_end;
SELECT error_of($$SELECT ts_headline('harca', 'a', to_tsquery('harca', 'b'), 'MinWords=9, MaxWords=3')$$);
SELECT error_of($$SELECT ts_headline('harca', 'a', to_tsquery('harca', 'b'), 'Words=9')$$);
-- a text whose places cannot be told is shown without marks
SELECT ts_headline('harca_kana', U&'\+020BB7々屋の検索', to_tsquery('harca_kana', '検索')) AS unmarked;
