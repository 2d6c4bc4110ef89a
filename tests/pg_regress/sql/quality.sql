-- The model on queries written for this repository, which it was not trained on. An untrained model fails here.
\getenv tests HARCA_TESTS
\set file :tests '/../tests/data/quality_queries.tsv'
CREATE TABLE truth (query text, label text, language text);
\set copy_command '\\copy truth FROM ' :'file' ' WITH (FORMAT csv, HEADER, DELIMITER E''\\t'', QUOTE E''\\b'')'
:copy_command
SELECT count(*) > 400 AS enough, count(DISTINCT label) AS labels FROM truth;
CREATE VIEW f1 AS
WITH variant (name, change) AS (VALUES ('as written', false), ('lower case, no final punctuation', true)),
answer AS (
    SELECT v.name, t.label, t.language,
           query_type(CASE WHEN v.change THEN rtrim(lower(t.query), '?？!！.。') ELSE t.query END) AS found
    FROM variant AS v, truth AS t
),
class AS (
    SELECT name, c.label,
           2.0 * count(*) FILTER (WHERE a.label = c.label AND a.found = c.label)
           / nullif(count(*) FILTER (WHERE a.label = c.label) + count(*) FILTER (WHERE a.found = c.label), 0) AS f1
    FROM answer AS a, (VALUES ('keyword'), ('semantic'), ('hybrid')) AS c (label)
    GROUP BY name, c.label
)
SELECT name, avg(coalesce(f1, 0)) AS macro_f1 FROM class GROUP BY name;
SELECT name, macro_f1 >= CASE name WHEN 'as written' THEN 0.90 ELSE 0.85 END AS good,
       CASE WHEN macro_f1 < 0.85 THEN round(macro_f1, 3) END AS low
FROM f1 ORDER BY name;
SELECT label, avg((query_type(query) = label)::integer) >= 0.8 AS at_least_80_percent FROM truth GROUP BY label ORDER BY label;

-- Words find memories in both languages: the keyword leg alone, on queries that share words with what they look for.
CREATE TABLE memory (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(1));
CREATE TABLE line (memory jsonb);
\set file :tests '/../tests/data/memories.jsonl'
\set copy_command '\\copy line FROM ' :'file' ' WITH (FORMAT csv, DELIMITER E''\\x01'', QUOTE E''\\x02'')'
:copy_command
INSERT INTO memory SELECT (memory ->> 'id')::integer, memory ->> 'content', to_tsvector('harca', memory ->> 'content') FROM line;
CREATE TABLE relevance (query text, language text, type text, relevant_ids text);
\set file :tests '/../tests/data/search_relevance.tsv'
\set copy_command '\\copy relevance FROM ' :'file' ' WITH (FORMAT csv, HEADER, DELIMITER E''\\t'', QUOTE E''\\b'')'
:copy_command
SELECT harca.register_search_target('memory', 'memory');
SELECT r.language, r.type,
       avg((SELECT count(*) FROM hybrid_search('memory', r.query) AS h WHERE h.id = ANY (string_to_array(r.relevant_ids, ',')))
           / least(10, cardinality(string_to_array(r.relevant_ids, ',')))::numeric)
       >= CASE r.type WHEN 'keyword' THEN 0.9 ELSE 0.5 END AS recall_at_10
FROM relevance AS r WHERE r.type <> 'semantic' GROUP BY r.language, r.type ORDER BY 1, 2;
SELECT harca.drop_search_target('memory');
DROP VIEW f1;
DROP TABLE truth, memory, line, relevance;
