-- The registry of models by SQL: what it answers and what it refuses. Models that misbehave are in tests/t.
\set VERBOSITY default
\set SHOW_CONTEXT never
-- the built-in model's files, under another name
CREATE VIEW files AS
SELECT pg_read_file(folder || '/manifest.json')::jsonb - 'training' - 'metrics' AS manifest, pg_read_binary_file(folder || '/model.onnx') AS graph
FROM (SELECT setting || '/pg_harca/models/query_type' AS folder FROM pg_config WHERE name = 'PKGLIBDIR') AS c;
CREATE FUNCTION register(name text, version text, change jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS
$$ SELECT harca.register_model((manifest || jsonb_build_object('name', name, 'version', version) || change)::json, graph) FROM files $$;
SELECT status, labels, executor, key FROM harca.models;
TABLE harca.deployment;
SELECT register('mine', '1', '{"metrics": {"accuracy": 0.9}}'), register('mine', '2');
SELECT model, status, labels, executor, metrics, key FROM harca.models WHERE key <> 'builtin' ORDER BY model;
SELECT register('mine', '1');
SELECT harca.model_key('mine') AS by_name, harca.model_key('mine 1') AS by_both, harca.model_key('builtin') AS builtin;
SELECT harca.model_key('nobody''s');
SELECT harca.register_model(NULL, NULL) IS NULL AS strict;
SELECT register(repeat('x', 64), '1');
SELECT register('mine', '3', '{"sha256": "00"}');
SELECT register('mine', '3', '{"golden": [{"query": "東京 天気", "type": "semantic"}]}');

-- activation: not without an evaluation beside the active one
SELECT harca.activate_model('mine 1');
CREATE TABLE judged (query text, label text);
INSERT INTO judged VALUES ('E0308 mismatched types', 'keyword'), ('why are my searches slow', 'semantic'), ('東京 天気', 'keyword'),
    ('causes of the french revolution', 'hybrid'), ('??', 'unknown'), (NULL, 'keyword'), ('x y', NULL);
SELECT model, queries, accuracy, macro_f1, confusion, p50_us <= p99_us AS times FROM harca.evaluate_model('mine 1', 'SELECT query, label FROM judged -- all of them');
SELECT queries FROM harca.evaluate_model('builtin', 'TABLE judged;');
-- seven queries on a busy machine say little of a model's time: the gate gets times that are the same on every machine
CREATE FUNCTION take_us(of_model text, us float8) RETURNS void LANGUAGE sql AS
$$ UPDATE harca.model_evaluation SET p95_us = us WHERE model = of_model $$;
SELECT take_us('mine 1', 10), take_us('builtin', 10);
SELECT harca.evaluate_model('mine 1', 'SELECT query FROM judged');
SELECT harca.evaluate_model('mine 1', 'SELECT 1 FROM nowhere');
SELECT harca.activate_model('mine 1');
SELECT model FROM classify_query('why are my searches slow');
SELECT active, previous, comparison, challenger, share FROM harca.deployment;
SELECT harca.activate_model('mine 1');

-- the gate: a model that has its labels mixed up
SELECT register('wrong', '1', '{"labels": ["semantic", "keyword", "unknown", "hybrid"], "golden": [{"query": "東京 天気", "type": "semantic"}]}');
SELECT model, accuracy FROM harca.evaluate_model('wrong', 'TABLE judged');
SELECT take_us('mine 1', 10), take_us('wrong 1', 100);
SELECT harca.activate_model('wrong');
SELECT harca.activate_model('wrong', force => true);
SELECT model, query_type FROM classify_query('why are my searches slow');
SELECT harca.rollback_model();
SET pg_harca.max_accuracy_drop = 1;
SELECT harca.activate_model('wrong');
SELECT harca.rollback_model(), take_us('wrong 1', 101);
SELECT harca.activate_model('wrong');
SELECT take_us('mine 1', 1000), take_us('wrong 1', 10001);
SELECT harca.activate_model('wrong');
SELECT take_us('wrong 1', 10000);
SELECT harca.activate_model('wrong');
SELECT harca.rollback_model(), harca.rollback_model();
RESET pg_harca.max_accuracy_drop;
SELECT harca.rollback_model();
SELECT number, model, former, forced, rolled_back_at IS NOT NULL AS rolled_back FROM harca.model_activation ORDER BY number;

-- comparison
SELECT harca.compare_model('mine 2', 'better');
SELECT harca.compare_model('mine 2', 'ab', 1.5);
SELECT harca.compare_model('builtin');
SELECT harca.compare_model('mine 2');
SELECT comparison, challenger, share FROM harca.deployment;
SELECT model = (SELECT model FROM harca.models WHERE key = 'builtin') AS the_active_one FROM classify_query('why are my searches slow');
SELECT harca.compare_model('mine 2', 'ab', 1);
SELECT model FROM classify_query('why are my searches slow');
SELECT harca.drop_model('mine 2');
SELECT harca.stop_comparison(), harca.stop_comparison();
SELECT harca.drop_model('mine 2');
SELECT harca.drop_model('builtin');
SELECT harca.drop_model('mine 1'), harca.drop_model('wrong');
SELECT model FROM harca.model;
SELECT count(*) FROM harca.model_evaluation WHERE model <> 'builtin';

-- the statistics behind the views
SELECT harca.aligned_classes('{a,b}', '{5,3,0,0,0,0,0,0,2}', '{b,c,unknown}') AS by_name, harca.aligned_classes('{a,unknown}', '{5,3,0,0,0,0,0,0,0}', '{unknown}') AS with_unknown;
SELECT round(harca.same_class_mix('{762,327,468}', '{484,239,477}')::numeric, 8) AS p, harca.same_class_mix('{1,2}', '{0,0}') AS nothing;
SELECT round(harca.same_mean('{10,7.5,33.5}', '{10,23.3,90.37}')::numeric, 4) AS p, harca.same_mean('{1}', '{2}') AS nothing;
SELECT round(harca.stability_index('{450,350,180,20}', '{10,970,20,0}')::numeric, 2) AS psi, harca.stability_index('{}', '{}') AS nothing;
SELECT p, harca.drift_verdict(p, 5000, n) FROM (VALUES (0.05, 5000), (0.1, 5000), (0.25, 5000), (9, 499)) AS v (p, n);
-- a trigger function is for triggers
SELECT harca.announce_deployment();
SELECT harca.announce_target();
-- nobody but its functions writes the registry; nothing of it is PUBLIC
SELECT c.oid::regclass AS readable_by_all FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'harca' AND c.relkind IN ('r', 'v') AND has_table_privilege('public', c.oid, 'SELECT') ORDER BY 1;
DROP FUNCTION take_us;
DROP FUNCTION register;
DROP VIEW files;
DROP TABLE judged;
