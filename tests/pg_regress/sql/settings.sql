-- Every setting: default, range, who may set it; and that off is off.
SELECT name, setting, unit, min_val, max_val, context FROM pg_settings WHERE name LIKE 'pg\_harca.%' ORDER BY name;

SELECT replace(error_of('SET pg_harca.cache_ttl = -1'), ' s', '') AS without_units; -- PostgreSQL 18 names them
SELECT error_of('SET pg_harca.max_query_chars = 15');
SELECT error_of('SET pg_harca.no_such_setting = 1');

-- off: the rules answer, and say so
SET pg_harca.enabled = off;
SELECT query_type, language, model, scores FROM classify_query('How do I make vector search faster?');
SELECT query_type, model FROM classify_queries(ARRAY['東京 天気', 'causes of the war', '?']);
SELECT state FROM harca.backend_status();
SELECT error_of('SELECT harca.load_model()');
RESET pg_harca.enabled;
SELECT model ~ '^query_type' AS model FROM classify_query('How do I make vector search faster?');

-- the cache: bounded, switched off, past its time
SET pg_harca.local_cache_size = 10;
SELECT count(query_type('item ' || i)) FROM generate_series(1, 50) AS i;
SELECT cache_entries FROM harca.backend_status();
SET pg_harca.local_cache_size = 0;
SELECT count(query_type('item ' || i)) FROM generate_series(1, 50) AS i;
SELECT cache_entries FROM harca.backend_status();
RESET pg_harca.local_cache_size;
SET pg_harca.cache_ttl = '1s';
SELECT query_type('why does an answer grow old?');
SELECT pg_sleep(1.1);
SELECT cache_expirations AS expirations FROM harca.backend_status() \gset
SELECT query_type('why does an answer grow old?');
SELECT cache_expirations - :expirations AS expirations FROM harca.backend_status();
RESET pg_harca.cache_ttl;

-- encoded queries: kept as long as there is room for them, and good for another model of the same encoder
SET pg_harca.local_cache_size = 0;
SELECT query_type('東京 天気'), bytes AS buffers FROM harca.stat_memory WHERE pid = pg_backend_pid() AND part = 'buffers' \gset
SET pg_harca.feature_cache_size = 100;
SELECT string_agg(query_type(format(q, i)), ' ' ORDER BY i) AS types
FROM unnest(ARRAY['router %s', 'why is router %s slow?', 'history of router %s']) WITH ORDINALITY AS given(q, i);
SELECT bytes AS kept FROM harca.stat_memory WHERE pid = pg_backend_pid() AND part = 'buffers' \gset
SELECT :kept > :buffers AS kept;
SET pg_harca.model = query_type;
SELECT string_agg(query_type(format(q, i)), ' ' ORDER BY i) AS types
FROM unnest(ARRAY['router %s', 'why is router %s slow?', 'history of router %s']) WITH ORDINALITY AS given(q, i);
RESET pg_harca.model;
RESET pg_harca.feature_cache_size;
RESET pg_harca.local_cache_size;
SELECT query_type('東京 天気'), bytes < :kept AS given_back
FROM harca.stat_memory WHERE pid = pg_backend_pid() AND part = 'buffers';

-- what is read of a query is part of what an answer is kept under
SET pg_harca.max_query_chars = 16;
SELECT query_type('postgresql index why does it not work as I want it to?') AS first_16;
RESET pg_harca.max_query_chars;
SELECT query_type('postgresql index why does it not work as I want it to?') AS whole;

-- files and code are named by a superuser
CREATE ROLE regress_harca_user;
SET ROLE regress_harca_user;
SELECT error_of($$SET pg_harca.model = '/tmp/model'$$);
SELECT error_of($$SET pg_harca.onnxruntime_path = '/tmp/lib.so'$$);
SELECT error_of('SELECT harca.reset_local_cache()');
SELECT error_of('SELECT harca.load_model()');
SELECT error_of('SELECT * FROM harca.backend_status()');
SELECT query_type('東京 天気');
RESET ROLE;
DROP ROLE regress_harca_user;
SELECT harca.load_model() ~ '^query_type \d' AS loaded;
