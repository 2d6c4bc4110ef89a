CREATE FUNCTION harca.classify(query text, model text) RETURNS @extschema@.query_classification
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10000
    AS 'MODULE_PATHNAME', 'harca_classify';
COMMENT ON FUNCTION harca.classify(text, text) IS
'What one model, of those in harca.models, makes of a query: by name and version, by name alone, which is the one that was registered last, or "builtin". The model need not be active, nothing else answers in its place, and no cache is asked: an error where it cannot be run';

CREATE FUNCTION harca.classify(queries text[], model text)
    RETURNS TABLE (
        ordinality integer,
        query text,
        query_type text,
        confidence real,
        scores real[],
        language text,
        model_name text
    )
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000000 ROWS 1000
    AS 'MODULE_PATHNAME', 'harca_classify_all';
COMMENT ON FUNCTION harca.classify(text[], text) IS
'harca.classify for many queries at once: one row per element in storage order, counted from 1; an element that is null gives a row of nulls. In the engine they are bulk work, which interactive requests of other sessions pass';

CREATE FUNCTION harca.inspect_model(
    manifest json,
    graph bytea,
    tokenizer bytea,
    OUT model text,
    OUT name text,
    OUT version text,
    OUT sha256 text,
    OUT identity text,
    OUT labels text[],
    OUT executor text,
    OUT task text
) RETURNS record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_inspect_transformer';
COMMENT ON FUNCTION harca.inspect_model(json, bytea, bytea) IS
'Checks a model with a tokenizer as harca.register_model does, and stores nothing: size, digests, operators, and in the engine inputs, outputs, shapes, and the golden queries of its manifest. An error says what is wrong';

CREATE FUNCTION harca.register_model(manifest json, graph bytea, tokenizer bytea) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    checked record;
BEGIN
    checked := harca.inspect_model(manifest, graph, tokenizer);
    PERFORM harca.lock_name(checked.model);
    INSERT INTO harca.model (model, identity, manifest, graph, tokenizer, task, name, version, sha256, labels, executor, metrics)
    VALUES (checked.model, checked.identity, manifest, graph, tokenizer, checked.task, checked.name, checked.version,
            checked.sha256, checked.labels, checked.executor, (manifest -> 'metrics')::jsonb);
    RETURN checked.model;
END
$$;
COMMENT ON FUNCTION harca.register_model(json, bytea, bytea) IS
'Stores a model with a tokenizer, which the engine runs, after it has been checked as by harca.inspect_model, and gives its name and version. The tokenizer is the bytes of a tokenizer.json';

CREATE FUNCTION harca.read_model_folder(
    folder text,
    changes json,
    OUT manifest json,
    OUT graph bytea,
    OUT tokenizer bytea
) RETURNS record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_read_model_folder';
COMMENT ON FUNCTION harca.read_model_folder(text, json) IS
'What harca.import_model registers: the manifest that it makes of a folder, the graph in one file, and the tokenizer';

CREATE FUNCTION harca.import_model(folder text, changes json DEFAULT '{}') RETURNS text
    LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT harca.register_model(f.manifest, f.graph, f.tokenizer) FROM harca.read_model_folder(folder, changes) AS f;
END;
COMMENT ON FUNCTION harca.import_model(text, json) IS
'Registers a model from a folder of the server as model hubs lay it out (config.json, tokenizer.json, onnx/model.onnx or model.onnx), and gives its name and version. Keys of changes stand in the manifest in place of what was found there, name, version, query_types and golden for instance; its key graph_file names another graph. For members of both harca_admin and pg_read_server_files';

CREATE FUNCTION harca.engine_status(
    OUT state text,
    OUT detail text,
    OUT pid integer,
    OUT since timestamptz,
    OUT restarts bigint,
    OUT providers text[],
    OUT runtime text,
    OUT threads integer,
    OUT memory bigint,
    OUT memory_bound bigint,
    OUT models_loaded text[],
    OUT connections integer,
    OUT queued integer,
    OUT queue_bound integer,
    OUT cancelled bigint,
    OUT let_go bigint[],
    OUT threads_changed bigint
) RETURNS record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_engine_status';
COMMENT ON FUNCTION harca.engine_status() IS
'How the engine is. state: running, not running (detail says why, and it is started again), not started (no session has needed it yet, and the library is not preloaded), or off. memory and memory_bound in bytes; let_go: how many models were let go because memory was short, beyond 85 and beyond 90 % of the bound; cancelled: texts that were dropped before they ran because nobody waited for them any more; threads_changed: how often runs got fewer or more threads because processors were pressed or idle. It starts no engine';

CREATE FUNCTION harca.engine_statistics(
    OUT model text,
    OUT identity text,
    OUT state text,
    OUT priority text,
    OUT requests bigint,
    OUT failed bigint,
    OUT queued integer,
    OUT wait_p50_us double precision,
    OUT wait_p95_us double precision,
    OUT wait_p99_us double precision,
    OUT run_p50_us double precision,
    OUT run_p95_us double precision,
    OUT run_p99_us double precision,
    OUT runs bigint,
    OUT texts bigint,
    OUT tokens bigint,
    OUT truncated bigint,
    OUT texts_per_run double precision,
    OUT tokens_per_second double precision,
    OUT batch_tokens integer,
    OUT bytes bigint,
    OUT loaded_in_us double precision,
    OUT provider text,
    OUT detail text
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 4
    AS 'MODULE_PATHNAME', 'harca_engine_statistics';
COMMENT ON FUNCTION harca.engine_statistics() IS 'What the view harca.stat_engine shows';

CREATE VIEW harca.stat_engine AS
-- The engine never learns the name of a model that it does not run.
SELECT coalesce(nullif(s.model, ''), m.model, s.identity) AS model, s.identity, s.state, s.priority, s.requests, s.failed, s.queued,
       s.wait_p50_us, s.wait_p95_us, s.wait_p99_us, s.run_p50_us, s.run_p95_us, s.run_p99_us, s.runs, s.texts, s.tokens, s.truncated, s.texts_per_run,
       s.tokens_per_second, s.batch_tokens, s.bytes, s.loaded_in_us, s.provider, s.detail
FROM harca.engine_statistics() AS s LEFT JOIN harca.model AS m ON m.identity OPERATOR(pg_catalog.=) s.identity;
COMMENT ON VIEW harca.stat_engine IS
'What the engine has done since it began: a row for each model and priority (interactive, bulk). model is its name and version, or its identity where this database does not have it and it never ran. requests were answered, failed were refused or failed, queued texts wait; wait and run are the times of requests before and from their first run, in microseconds, right to 3 in 100. The columns from runs on are of the model, whatever the priority: runs, their texts and tokens, texts that were cut, tokens a second while it ran, padded tokens that the next run may have, bytes of its files, the time that loading took, the execution provider and why better ones were not had. state: loading, ready, broken, quarantined or gone (let go; loaded again when it is asked for). No rows without an engine';

CREATE FUNCTION harca.restart_engine() RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_restart_engine';
COMMENT ON FUNCTION harca.restart_engine() IS
'Ends the engine; it is started anew at once, and requests that it was at fail. False when there was none';

CREATE FUNCTION harca.release_identity(identity text) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_release_identity';
COMMENT ON FUNCTION harca.release_identity(text) IS 'What harca.release_model does, for the identity of a model';

CREATE FUNCTION harca.release_model(model text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known text := harca.model_key($1);
BEGIN
    RETURN harca.release_identity((SELECT m.identity FROM harca.models m WHERE m.key = known));
END
$$;
COMMENT ON FUNCTION harca.release_model(text) IS
'Lets a model run again that was quarantined because it had brought the engine down three times. False when it was not quarantined; the engine hears of it within a second';
