-- What follows, to the end of the script, names its own objects with their schema and takes all others from PostgreSQL:
-- a function or operator in the schema of the extension may match more closely.
SET LOCAL search_path = pg_catalog, pg_temp;

-- Roles belong to the whole server: another database may have made them.
DO $$
DECLARE
    role name;
BEGIN
    FOREACH role IN ARRAY '{harca_admin,harca_query_log}'::name[] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;

-- A backend reads columns of this table by their numbers: src/registry/tables.rs.
CREATE TABLE harca.model (
    model text PRIMARY KEY,
    identity text NOT NULL,
    manifest json NOT NULL,
    graph bytea NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    sha256 text NOT NULL,
    labels text[] NOT NULL,
    executor text NOT NULL,
    metrics jsonb,
    registered_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    registered_by name NOT NULL DEFAULT SESSION_USER,
    tokenizer bytea,
    task text NOT NULL DEFAULT 'classification' CHECK (task IN ('classification', 'embedding', 'score')),
    UNIQUE (name, version),
    CHECK (model OPERATOR(pg_catalog.=) (name OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) version))
);
-- Weights do not compress.
ALTER TABLE harca.model ALTER COLUMN graph SET STORAGE EXTERNAL;
-- Read part by part, which takes a value that is not compressed.
ALTER TABLE harca.model ALTER COLUMN tokenizer SET STORAGE EXTERNAL;
COMMENT ON TABLE harca.model IS 'Registered models, with all that is needed to run them; written by harca.register_model and harca.drop_model alone';
COMMENT ON COLUMN harca.model.model IS 'Name and version, as the column model of an answer shows them';
COMMENT ON COLUMN harca.model.identity IS 'SHA-256 of the manifest, which holds that of the graph; answers are cached under it';
COMMENT ON COLUMN harca.model.manifest IS 'The manifest as it was registered';
COMMENT ON COLUMN harca.model.graph IS 'The graph, an ONNX or ORT file';
COMMENT ON COLUMN harca.model.name IS 'Name of the model, from the manifest';
COMMENT ON COLUMN harca.model.version IS 'Its version, from the manifest';
COMMENT ON COLUMN harca.model.sha256 IS 'SHA-256 of the graph';
COMMENT ON COLUMN harca.model.labels IS 'Labels in the order of the scores';
COMMENT ON COLUMN harca.model.executor IS 'What runs it when pg_harca.executor and pg_harca.placement are auto: network, the code of the extension, or onnxruntime, both in the backend, or engine';
COMMENT ON COLUMN harca.model.metrics IS 'Figures of the training run, from the manifest';
COMMENT ON COLUMN harca.model.registered_at IS 'When it was registered';
COMMENT ON COLUMN harca.model.registered_by IS 'By whom';
COMMENT ON COLUMN harca.model.tokenizer IS 'The bytes of its tokenizer.json; null for a model that reads the features of the extension';
COMMENT ON COLUMN harca.model.task IS 'What it is for: classification, embedding or score';

-- Likewise the first seven columns of this one.
CREATE TABLE harca.deployment (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    active text NOT NULL,
    previous text,
    comparison text CHECK (comparison IN ('ab', 'canary', 'shadow')),
    challenger text,
    share double precision CHECK (share BETWEEN 0 AND 1),
    changed_at timestamptz NOT NULL,
    CHECK ((comparison IS NULL) = (challenger IS NULL) AND (comparison IS NULL) = (share IS NULL))
);
COMMENT ON TABLE harca.deployment IS 'Which models answer in this database: one row, or none as long as the built-in model does by default. Written by harca.activate_model, harca.rollback_model, harca.compare_model and harca.stop_comparison alone';
COMMENT ON COLUMN harca.deployment.only_row IS 'True';
COMMENT ON COLUMN harca.deployment.active IS 'The model that answers, "builtin" for the built-in one';
COMMENT ON COLUMN harca.deployment.previous IS 'The model that answers when the active one cannot';
COMMENT ON COLUMN harca.deployment.comparison IS 'How the challenger takes part: ab, canary or shadow';
COMMENT ON COLUMN harca.deployment.challenger IS 'The model that is compared with the active one';
COMMENT ON COLUMN harca.deployment.share IS 'Share of the queries that it takes part in, from 0 to 1';
COMMENT ON COLUMN harca.deployment.changed_at IS 'Since when this holds; statistics begin anew with every change';

CREATE TABLE harca.model_activation (
    number integer PRIMARY KEY,
    model text NOT NULL,
    former text NOT NULL,
    forced boolean NOT NULL,
    activated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    activated_by name NOT NULL DEFAULT SESSION_USER,
    rolled_back_at timestamptz,
    rolled_back_by name
);
COMMENT ON TABLE harca.model_activation IS 'What was activated in this database and when, and what was rolled back';
COMMENT ON COLUMN harca.model_activation.number IS 'Counts activations from 1';
COMMENT ON COLUMN harca.model_activation.model IS 'The model that became the active one';
COMMENT ON COLUMN harca.model_activation.former IS 'The one that had been';
COMMENT ON COLUMN harca.model_activation.forced IS 'Whether the regression gate was passed over';
COMMENT ON COLUMN harca.model_activation.activated_at IS 'When';
COMMENT ON COLUMN harca.model_activation.activated_by IS 'By whom';
COMMENT ON COLUMN harca.model_activation.rolled_back_at IS 'When harca.rollback_model undid it';
COMMENT ON COLUMN harca.model_activation.rolled_back_by IS 'Who did so';

CREATE TABLE harca.model_evaluation (
    model text NOT NULL,
    identity text NOT NULL,
    queries bigint NOT NULL,
    accuracy double precision,
    macro_f1 double precision,
    calibration_error double precision,
    p50_us double precision,
    p95_us double precision,
    p99_us double precision,
    queries_per_second double precision,
    confusion jsonb,
    labelled_digest text NOT NULL,
    evaluated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    evaluated_by name NOT NULL DEFAULT SESSION_USER,
    PRIMARY KEY (model, evaluated_at)
);
COMMENT ON TABLE harca.model_evaluation IS 'What harca.evaluate_model has measured';
COMMENT ON COLUMN harca.model_evaluation.model IS 'The model, "builtin" for the built-in one';
COMMENT ON COLUMN harca.model_evaluation.identity IS 'What tells it from others that had the name: SHA-256 of the manifest';
COMMENT ON COLUMN harca.model_evaluation.queries IS 'Labelled queries';
COMMENT ON COLUMN harca.model_evaluation.accuracy IS 'Share of them that it gives the right label, from 0 to 1';
COMMENT ON COLUMN harca.model_evaluation.macro_f1 IS 'Mean of the F1 of all labels that occur, from 0 to 1';
COMMENT ON COLUMN harca.model_evaluation.calibration_error IS 'Expected calibration error over 15 steps of the confidence, from 0 to 1: how far the confidence is from the share of right answers';
COMMENT ON COLUMN harca.model_evaluation.p50_us IS 'Median of the time of a query, encoding included, in microseconds';
COMMENT ON COLUMN harca.model_evaluation.p95_us IS 'The time that 95 of 100 queries keep, in microseconds';
COMMENT ON COLUMN harca.model_evaluation.p99_us IS 'The time that 99 of 100 queries keep, in microseconds';
COMMENT ON COLUMN harca.model_evaluation.queries_per_second IS 'Queries that one session runs in a second, one by one';
COMMENT ON COLUMN harca.model_evaluation.confusion IS 'Numbers of queries by their label and then by the answer; "other" is what the model has no label for';
COMMENT ON COLUMN harca.model_evaluation.labelled_digest IS 'What tells the set of labelled queries from another: only evaluations on one set can be compared';
COMMENT ON COLUMN harca.model_evaluation.evaluated_at IS 'When';
COMMENT ON COLUMN harca.model_evaluation.evaluated_by IS 'By whom';

SELECT pg_catalog.pg_extension_config_dump('harca.model', '');
SELECT pg_catalog.pg_extension_config_dump('harca.deployment', '');
SELECT pg_catalog.pg_extension_config_dump('harca.model_activation', '');
SELECT pg_catalog.pg_extension_config_dump('harca.model_evaluation', '');

CREATE FUNCTION harca.announce_deployment() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'harca_announce_deployment';
COMMENT ON FUNCTION harca.announce_deployment() IS
'Tells every session of the database, and of its replicas, that models have changed, when the transaction commits';
-- For each row and always: it must fire where a subscription applies changes, which it does row by row.
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON harca.deployment
    FOR EACH ROW EXECUTE FUNCTION harca.announce_deployment();
ALTER TABLE harca.deployment ENABLE ALWAYS TRIGGER announce;
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON harca.model
    FOR EACH ROW EXECUTE FUNCTION harca.announce_deployment();
ALTER TABLE harca.model ENABLE ALWAYS TRIGGER announce;

CREATE FUNCTION harca.builtin_model(OUT manifest json, OUT bytes integer) RETURNS record
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'harca_builtin_model';
COMMENT ON FUNCTION harca.builtin_model() IS 'The manifest of the model that is built into the library, and the bytes of its graph';

CREATE VIEW harca.models AS
WITH known AS (
    SELECT m.model, m.name, m.version, m.labels, pg_catalog.octet_length(m.graph) AS bytes, m.sha256, m.identity, m.executor,
           m.metrics, m.registered_at, m.registered_by, m.model AS key, m.task
    FROM harca.model m
    UNION ALL
    SELECT b.manifest ->> 'name' || ' ' || (b.manifest ->> 'version'), b.manifest ->> 'name', b.manifest ->> 'version',
           ARRAY(SELECT pg_catalog.json_array_elements_text(b.manifest -> 'labels')), b.bytes, b.manifest ->> 'sha256',
           pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(b.manifest::text, 'UTF8')), 'hex'), 'network',
           (b.manifest -> 'metrics')::jsonb, NULL, NULL, 'builtin', 'classification'
    FROM harca.builtin_model() b
)
SELECT k.model,
       k.name,
       k.version,
       CASE k.key
           WHEN coalesce(d.active, 'builtin') THEN 'active'
           WHEN d.challenger THEN d.comparison
           WHEN d.previous THEN 'previous'
           WHEN 'builtin' THEN 'built in'
           ELSE 'registered'
       END AS status,
       k.labels,
       k.executor,
       k.bytes,
       k.sha256,
       k.identity,
       k.metrics,
       k.registered_at,
       k.registered_by,
       (SELECT max(a.activated_at) FROM harca.model_activation a WHERE a.model = k.key) AS activated_at,
       k.key,
       k.task
FROM known k LEFT JOIN harca.deployment d ON true;
COMMENT ON VIEW harca.models IS
'All models of this database, the built-in one among them. status: active, previous (answers when the active one cannot), ab, canary or shadow (is compared with the active one), registered, or built in. key is what harca.deployment calls it, task what it is for';

CREATE FUNCTION harca.model_key(model text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known text;
BEGIN
    SELECT m.key INTO known FROM harca.models m
    WHERE $1 IN (m.key, m.model, m.name)
    -- Itself first, then the latest of the name.
    ORDER BY $1 IN (m.key, m.model) DESC, m.registered_at DESC NULLS LAST LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'model "%" does not exist', $1
            USING ERRCODE = 'undefined_object',
                  HINT = 'See harca.models for what there is, or register it with harca.register_model(manifest, graph).';
    END IF;
    RETURN known;
END
$$;
COMMENT ON FUNCTION harca.model_key(text) IS
'The key of a model in harca.deployment: by name and version, by name alone, which is the one that was registered last, or "builtin"; an error when there is none';

CREATE FUNCTION harca.inspect_model(
    manifest json,
    graph bytea,
    OUT model text,
    OUT name text,
    OUT version text,
    OUT sha256 text,
    OUT identity text,
    OUT labels text[],
    OUT executor text
) RETURNS record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_inspect_model';
COMMENT ON FUNCTION harca.inspect_model(json, bytea) IS
'Checks a model as harca.register_model does, and stores nothing: size, digest, operators, opset, shapes, labels, and a run on the golden queries of its manifest. An error says what is wrong';

CREATE FUNCTION harca.lock_name(model text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    LOCK TABLE harca.model IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM harca.models m WHERE m.model = $1) THEN
        RAISE EXCEPTION 'model "%" exists', $1
            USING ERRCODE = 'duplicate_object',
                  HINT = 'Give it another version in its manifest, or drop the other one with harca.drop_model(model).';
    END IF;
END
$$;
COMMENT ON FUNCTION harca.lock_name(text) IS
'Keeps others from registering models until the transaction ends; an error when there is one of this name and version';

CREATE FUNCTION harca.register_model(manifest json, graph bytea) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    checked record;
BEGIN
    checked := harca.inspect_model(manifest, graph);
    PERFORM harca.lock_name(checked.model);
    INSERT INTO harca.model (model, identity, manifest, graph, name, version, sha256, labels, executor, metrics)
    VALUES (checked.model, checked.identity, manifest, graph, checked.name, checked.version, checked.sha256, checked.labels,
            checked.executor, (manifest -> 'metrics')::jsonb);
    RETURN checked.model;
END
$$;
COMMENT ON FUNCTION harca.register_model(json, bytea) IS
'Stores a model after it has been checked as by harca.inspect_model, and gives its name and version. It answers nothing before it is activated or compared';

CREATE FUNCTION harca.drop_model(model text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key text := harca.model_key($1);
    part text;
BEGIN
    IF key = 'builtin' THEN
        RAISE EXCEPTION 'the built-in model cannot be dropped'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'It is part of the library.',
                  HINT = 'Activate another one with harca.activate_model(model).';
    END IF;
    LOCK TABLE harca.deployment IN SHARE ROW EXCLUSIVE MODE;
    SELECT CASE key WHEN d.active THEN 'active' WHEN d.challenger THEN d.comparison WHEN d.previous THEN 'previous' END
    INTO part FROM harca.deployment d;
    IF part IS NOT NULL THEN
        RAISE EXCEPTION 'model "%" is in use', key
            USING ERRCODE = 'object_in_use',
                  DETAIL = format('Its status in harca.models is "%s".', part),
                  HINT = 'Activate another one, or call harca.stop_comparison(), first. A previous model is let go by a further activation.';
    END IF;
    DELETE FROM harca.model_evaluation e WHERE e.model = key;
    DELETE FROM harca.model m WHERE m.model = key;
END
$$;
COMMENT ON FUNCTION harca.drop_model(text) IS 'Takes a model out of the registry, with its evaluations; an error when it is in use';
