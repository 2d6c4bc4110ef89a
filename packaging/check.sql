-- What a package is to do once it is installed, on a database with or without the extension: README.md in small. Each DO block is an
-- error where it does not. The folder /tmp/tiny_bert is tests/data/tiny_bert.
CREATE EXTENSION IF NOT EXISTS pg_harca CASCADE;
DROP TABLE IF EXISTS memory;

DO $$
BEGIN
    ASSERT query_type('PostgreSQL ベクトル検索 インデックス') = 'keyword', 'keyword';
    ASSERT query_type('How do I make vector search faster?') = 'semantic', 'semantic';
    ASSERT query_type('causes of the french revolution') = 'hybrid', 'hybrid';
    ASSERT (SELECT model FROM classify_query('restaurants near the station')) LIKE 'query_type %', 'the model answers and not the rules';
END
$$;

CREATE TABLE memory (id bigint PRIMARY KEY, content text, kind text, embedding vector(3),
                     tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED);
INSERT INTO memory
SELECT n, CASE n WHEN 42 THEN 'we fixed the login timeout with a longer session' WHEN 43 THEN '全文検索の設定を見直した'
               ELSE 'note ' || n || ' about the harbour' END,
       CASE n % 2 WHEN 0 THEN 'fact' ELSE 'decision' END, ARRAY[sin(n), cos(n), 1]::vector(3)
FROM generate_series(1, 60) AS n;
SELECT harca.register_search_target('memory', 'memory');
CREATE INDEX ON memory USING gin (tsv);
CREATE INDEX ON memory USING hnsw (embedding vector_cosine_ops);

DO $$
BEGIN
    ASSERT (SELECT h.id FROM hybrid_search('memory', 'login timeout', '[0,1,1]') AS h LIMIT 1) = '42', 'a search finds the words';
    ASSERT (SELECT h.id FROM hybrid_search('memory', '全文検索') AS h LIMIT 1) = '43', 'and those of Japanese';
    ASSERT (SELECT count(*) FROM hybrid_search('memory', 'harbour', '[0,1,1]', filter => '{"kind": ["fact"]}')) = 10, 'with a filter';
    ASSERT hybrid_search_explain('memory', 'login timeout', '[0,1,1]') ? 'classification', 'and says how';
    ASSERT (SELECT count(*) FROM harca.health()) > 5, 'health';
END
$$;

-- ONNX Runtime in the session, and in the engine beside the server.
SET pg_harca.executor = 'onnxruntime';
SELECT harca.load_model();
DO $$
BEGIN
    ASSERT query_type('How do I make vector search faster?') = 'semantic', 'ONNX Runtime';
    IF NOT EXISTS (SELECT FROM harca.model) THEN
        PERFORM harca.import_model('/tmp/tiny_bert', '{"name": "tiny", "version": "1", "golden": [{"query": "東京 天気", "type": "keyword"}]}');
    END IF;
    ASSERT (SELECT query_type FROM harca.classify('東京 天気', 'tiny 1')) = 'keyword', 'a transformer';
    ASSERT (SELECT state FROM harca.engine_status()) = 'running', 'the engine runs';
END
$$;
