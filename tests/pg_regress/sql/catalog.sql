-- Every function: volatility, parallel safety, strictness, who may call it.
SELECT p.pronamespace::regnamespace || '.' || p.proname AS function, p.provolatile AS volatility, p.proparallel AS parallel,
       p.proisstrict AS strict, p.prosecdef AS definer, has_function_privilege('public', p.oid, 'EXECUTE') AS public
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_harca')
ORDER BY 1;

-- nothing is without a comment: functions, types, tables and their columns, schemas, parsers, configurations
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment
FROM pg_depend d
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_harca')
  AND obj_description(d.objid, d.classid::regclass::name) IS NULL
  -- the row types of tables and the array types of types share the comment of what they belong to
  AND NOT EXISTS (SELECT FROM pg_type t WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid
                  AND (t.typelem <> 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid IN (t.typrelid, (SELECT e.typrelid FROM pg_type e WHERE e.oid = t.typelem)) AND c.relkind <> 'c')))
ORDER BY 1;
SELECT a.attrelid::regclass, a.attname AS without_comment
FROM pg_attribute a
WHERE a.attrelid IN ('harca.search_target'::regclass, 'harca.search_profile'::regclass, 'harca.search_statistics'::regclass,
                     'harca.search_term'::regclass, 'harca.model'::regclass, 'harca.deployment'::regclass,
                     'harca.model_activation'::regclass, 'harca.model_evaluation'::regclass,
                     'harca.drift_reference'::regclass, 'harca.labelled_query'::regclass) AND a.attnum > 0
  AND col_description(a.attrelid, a.attnum) IS NULL;

-- PL/pgSQL functions fix their search_path
SELECT p.oid::regprocedure AS open_search_path
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid JOIN pg_language l ON l.oid = p.prolang
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_harca')
  AND l.lanname = 'plpgsql' AND p.proconfig IS DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp'];

-- so do all that run with the rights of the owner, in whatever language
SELECT p.oid::regprocedure AS open_search_path
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_harca')
  AND p.prosecdef AND p.proconfig IS DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp'];

-- the settings that a dump takes along
SELECT unnest(extconfig)::regclass AS dumped FROM pg_extension WHERE extname = 'pg_harca';

-- installed into a schema of its own, everything still finds everything
DROP EXTENSION pg_harca;
CREATE SCHEMA "Odd Schema";
CREATE EXTENSION pg_harca SCHEMA "Odd Schema";
CREATE TABLE note (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(2));
INSERT INTO note SELECT 1, '東京の天気', to_tsvector('"Odd Schema".harca', '東京の天気'), '[1, 0]';
SELECT harca.register_search_target('note', 'note');
SELECT id, keyword_rank, vector_rank FROM "Odd Schema".hybrid_search('note', '東京 天気', '[1, 0]');
DROP TABLE note;
DROP EXTENSION pg_harca;
DROP SCHEMA "Odd Schema";
CREATE EXTENSION pg_harca;
