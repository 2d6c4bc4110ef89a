-- classify_query, classify_queries and query_type on input that users send.
SELECT query_type(query), query
FROM (VALUES
    ('PostgreSQL ベクトル検索 インデックス'),
    ('How do I make vector search faster?'),
    ('causes of the french revolution'),
    ('東京タワーの高さは何メートルですか'),
    ('max_parallel_workers_per_gather'),
    ('???')
) AS q (query);

-- programming languages of a letter and signs are names, other letters nothing to search for
SELECT string_agg(query, ' ') FILTER (WHERE query_type(query) = 'keyword') AS keyword,
       string_agg(query, ' ') FILTER (WHERE query_type(query) = 'unknown') AS unknown,
       (SELECT count(*) FROM classify_queries(array_agg(query)) AS c WHERE c.query_type = 'keyword') AS in_a_batch
FROM unnest('{C,R,c,r,C++,C#,F#,Ｃ＋＋,.NET,x,C+,x#,+}'::text[]) AS q (query);

-- the columns, their types and what holds for each
SELECT a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_attribute a
WHERE a.attrelid = 'query_classification'::regclass AND a.attnum > 0
ORDER BY a.attnum;
SELECT query, query_type, language, model ~ '^query_type \d' AS model,
       cardinality(scores) = (SELECT count(*) FROM harca.labels()) AS one_score_per_label,
       abs((SELECT sum(s) FROM unnest(scores) s) - 1) < 1e-5 AS sums_to_1,
       confidence = (SELECT max(s) FROM unnest(scores) s) AS confidence_is_the_best_score,
       scores[(SELECT ordinality FROM harca.labels() l WHERE l.label = query_type)] = confidence AS label_order
FROM classify_query('東京 天気');
SELECT * FROM harca.labels();

-- null gives null
SELECT classify_query(NULL) IS NULL AS classification, query_type(NULL) IS NULL AS type;
SELECT (classify_query(NULL)).*;
SELECT count(*) FROM classify_queries(NULL);

-- one row per element, in order, nulls included
SELECT ordinality, query, query_type, confidence IS NULL AS no_confidence, scores IS NULL AS no_scores, language
FROM classify_queries(ARRAY['東京 天気', NULL, '', 'how do I reset my password', NULL, '東京 天気']);
SELECT count(*) FROM classify_queries('{}');
SELECT count(*), count(query_type) FROM classify_queries(ARRAY[NULL, NULL]::text[]);
SELECT ordinality, query FROM classify_queries('{{a,b},{c,d}}');
SELECT ordinality, query FROM classify_queries('[5:6]={x,y}'::text[]);

-- a batch answers as single calls do, across the borders of batches
SELECT count(*), bool_and(b.query_type = s.query_type AND b.language = s.language
                          AND abs(b.confidence - s.confidence) < 1e-4) AS equal
FROM (SELECT array_agg('how to fold item ' || i % 150 || CASE i % 3 WHEN 0 THEN ' の説明' ELSE '' END ORDER BY i) AS queries
      FROM generate_series(1, 1000) AS i) AS q,
     classify_queries(q.queries) AS b,
     classify_query(b.query) AS s;

-- in every place where an expression may stand
CREATE TABLE search_log (query text);
INSERT INTO search_log VALUES ('how do I reset my password'), ('東京 天気'), (NULL), ('...');
SELECT query_type(query) AS type, count(*) FROM search_log GROUP BY 1 ORDER BY 1;
SELECT query FROM search_log WHERE query_type(query) = 'semantic';
SELECT c.query_type, CASE WHEN c.confidence > 0.5 THEN 'sure' ELSE 'unsure' END
FROM search_log, classify_query(query) AS c WHERE c.query IS NOT NULL ORDER BY 1;
DROP TABLE search_log;

-- the session survives what ends a statement
SELECT error_of($$SELECT query_type('one more'), 1 / 0$$);
DISCARD ALL;
SELECT query_type('東京 天気');

-- the second call is a hit
SELECT harca.reset_local_cache();
SELECT cache_hits AS hits, cache_misses AS misses, inferences AS runs FROM harca.backend_status() \gset
SELECT query_type('a query that is new here'), query_type('a query that is new here');
SELECT state, cache_hits - :hits AS hits, cache_misses - :misses AS misses, inferences - :runs AS runs, threads
FROM harca.backend_status();
