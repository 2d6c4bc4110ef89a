-- pg_harca.min_confidence: a type that is less sure than that is unknown; what it was judged by stays as it is.
SHOW pg_harca.min_confidence;
SELECT query AS sentence, confidence, least(confidence + 0.001, 1) AS more
FROM classify_query('How do I make vector search faster?') \gset
SELECT :confidence > 0.5 AND :confidence < :more AS usable;

-- its own confidence is enough, more is too much
SET pg_harca.min_confidence = :confidence;
SELECT query_type(:'sentence');
SET pg_harca.min_confidence = :more;
SELECT query_type(:'sentence');
SELECT query_type, confidence = :'confidence' AS same_confidence, scores[2] = :'confidence' AS same_score, language,
       model ~ '^query_type \d' AS model
FROM classify_query(:'sentence');
SELECT ordinality, query_type, confidence = :'confidence' AS same_confidence
FROM classify_queries(ARRAY[:'sentence', NULL, :'sentence', '', '???']);

-- 0 asks for nothing; at 1 hardly anything is sure enough
SET pg_harca.min_confidence = 0;
SELECT query_type(:'sentence');
SET pg_harca.min_confidence = 1;
SELECT query_type(:'sentence');
SELECT query_type(NULL) IS NULL AS null_stays_null;
SELECT query_type, confidence FROM classify_query(' ');
SELECT error_of('SET pg_harca.min_confidence = 1.001');
SELECT error_of('SET pg_harca.min_confidence = -0.001');
SELECT error_of('SET pg_harca.min_confidence = NaN');
SELECT error_of($$SET pg_harca.min_confidence = 'high'$$);
SHOW pg_harca.min_confidence;

-- kept answers stay, and follow the setting at once, both ways
RESET pg_harca.min_confidence;
SELECT cache_hits AS hits, cache_entries AS entries, inferences AS runs FROM harca.backend_status() \gset
SELECT query_type(:'sentence');
SET pg_harca.min_confidence = :more;
SELECT query_type(:'sentence');
RESET pg_harca.min_confidence;
SELECT query_type(:'sentence');
SELECT cache_hits - :hits AS hits, cache_entries - :entries AS entries, inferences - :runs AS runs
FROM harca.backend_status();

-- the rules are never surer than 0.7, and are asked for as much
SET pg_harca.enabled = off;
SET pg_harca.min_confidence = 0.7;
SELECT query_type, confidence, scores, model FROM classify_query(:'sentence');
SET pg_harca.min_confidence = 0.71;
SELECT query_type, confidence, scores, model FROM classify_query(:'sentence');
SELECT query_type, model FROM classify_queries(ARRAY['東京 天気', '???']);
SELECT query_type('東京 天気');
RESET pg_harca.enabled;
RESET pg_harca.min_confidence;

-- a search says unknown, and weighs the legs by the probabilities as before
CREATE TABLE note (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(2));
INSERT INTO note VALUES (1, 'faster', to_tsvector('harca', 'faster'), '[1, 0]');
SELECT harca.register_search_target('note', 'note');
UPDATE harca.search_profile SET vector_weight = CASE query_type WHEN 'semantic' THEN 0.7 ELSE 0 END
WHERE target = 'note' AND query_type IN ('semantic', 'unknown');
SELECT id, query_type, vector_weight FROM hybrid_search('note', :'sentence', '[1, 0]') \gset before_
SET pg_harca.min_confidence = 1;
SELECT id, query_type, vector_weight = :'before_vector_weight' AS same_weight, vector_weight > 0.5 AS leans_on_meaning
FROM hybrid_search('note', :'sentence', '[1, 0]');
RESET pg_harca.min_confidence;
SELECT harca.drop_search_target('note');
DROP TABLE note;

-- for everybody, and for a role as any setting
CREATE ROLE regress_harca_user;
SET ROLE regress_harca_user;
SET pg_harca.min_confidence = 0.25;
SHOW pg_harca.min_confidence;
RESET pg_harca.min_confidence;
RESET ROLE;
DROP ROLE regress_harca_user;
