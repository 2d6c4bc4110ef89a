CREATE FUNCTION harca.model_counts(
    OUT role text,
    OUT model text,
    OUT since timestamptz,
    OUT answers bigint,
    OUT classes bigint[],
    OUT mean_confidence double precision,
    OUT runs bigint,
    OUT run_classes bigint[],
    OUT run_confidences double precision[],
    OUT failures bigint,
    OUT p50_us double precision,
    OUT p95_us double precision,
    OUT p99_us double precision,
    OUT agreement double precision,
    OUT symmetry_p double precision
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 5
    AS 'MODULE_PATHNAME', 'harca_model_counts';
COMMENT ON FUNCTION harca.model_counts() IS
'What the view harca.stat_models is made of: classes by the places of the labels, the last one for answers without a label; number, sum and sum of squares of the confidences of runs';

CREATE FUNCTION harca.model_parts(
    OUT role text,
    OUT model text,
    OUT loaded boolean,
    OUT failure text,
    OUT breaker text,
    OUT opened_at timestamptz,
    OUT trips bigint,
    OUT failures bigint,
    OUT failed_at timestamptz,
    OUT reason text,
    OUT reference_classes bigint[],
    OUT reference_confidences bigint[],
    OUT recent_classes bigint[],
    OUT recent_confidences bigint[]
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 3
    AS 'MODULE_PATHNAME', 'harca_model_parts';
COMMENT ON FUNCTION harca.model_parts() IS
'What harca.health() and harca.drift are made of: the models that answer or are compared, as this session has them, what all sessions know of their health, and the windows of answers';

CREATE FUNCTION harca.same_class_mix(one bigint[], other bigint[]) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'harca_same_class_mix';
COMMENT ON FUNCTION harca.same_class_mix(bigint[], bigint[]) IS
'How probable so large a difference between two class mixes is by chance: the p-value of Pearson''s chi-squared test. Null when there is too little to tell';

CREATE FUNCTION harca.same_mean(one double precision[], other double precision[]) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'harca_same_mean';
COMMENT ON FUNCTION harca.same_mean(double precision[], double precision[]) IS
'How probable so large a difference between two means is by chance: the p-value of Welch''s test, of number, sum and sum of squares. Null when there is too little to tell';

CREATE FUNCTION harca.stability_index(reference bigint[], recent bigint[]) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'harca_stability_index';
COMMENT ON FUNCTION harca.stability_index(bigint[], bigint[]) IS
'The population stability index of two distributions over the same steps: 0 for equal ones, from 0.1 on they differ, from 0.25 on much. Null when one is empty';

CREATE FUNCTION harca.drift_verdict(psi double precision, reference bigint, recent bigint) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'harca_drift_verdict';
COMMENT ON FUNCTION harca.drift_verdict(double precision, bigint, bigint) IS
'What a population stability index over so many answers says: stable, shifting, drifted, or too few answers';

CREATE FUNCTION harca.aligned_classes(labels text[], classes bigint[], onto text[]) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    -- The last of classes is "unknown" for a model without that label.
    WITH counts AS (
        SELECT l.label, $2[l.place] AS count FROM pg_catalog.unnest($1) WITH ORDINALITY AS l (label, place)
        UNION ALL
        SELECT 'unknown', $2[pg_catalog.cardinality($2)] WHERE 'unknown' <> ALL ($1)
    )
    SELECT ARRAY(SELECT coalesce((SELECT sum(c.count)::bigint FROM counts c WHERE c.label = o.label), 0)
                 FROM pg_catalog.unnest($3) WITH ORDINALITY AS o (label, place) ORDER BY o.place)
           || (SELECT coalesce(sum(c.count), 0)::bigint FROM counts c WHERE c.label <> ALL ($3));
END;
COMMENT ON FUNCTION harca.aligned_classes(text[], bigint[], text[]) IS
'Classes by the labels of another model, and behind them those that it has no label for';

CREATE VIEW harca.stat_models AS
WITH counts AS (
    SELECT c.*, coalesce(m.labels, CASE WHEN c.role = 'rules' THEN '{keyword,semantic,hybrid,unknown}'::text[] END) AS labels
    FROM harca.model_counts() AS c
    LEFT JOIN harca.models AS m ON m.model = c.model
), compared AS (
    SELECT c.*,
           CASE c.role
               WHEN 'challenger' THEN harca.same_class_mix(harca.aligned_classes(a.labels, a.run_classes, a.labels),
                                                           harca.aligned_classes(c.labels, c.run_classes, a.labels))
               WHEN 'shadow' THEN c.symmetry_p
           END AS class_mix_p,
           CASE WHEN c.role IN ('challenger', 'shadow') THEN harca.same_mean(a.run_confidences, c.run_confidences) END AS confidence_p
    FROM counts AS c
    LEFT JOIN counts AS a ON a.role = 'active' AND a.since IS NOT DISTINCT FROM c.since
)
SELECT c.role,
       c.model,
       c.since,
       c.since IS NOT DISTINCT FROM (SELECT d.changed_at FROM harca.deployment AS d) AS current,
       c.answers,
       (SELECT jsonb_object_agg(l.label, round(l.count::numeric / c.answers, 4))
        FROM unnest(c.labels || NULL::text, harca.aligned_classes(c.labels, c.classes, c.labels)) AS l (label, count)
        WHERE l.label IS NOT NULL AND c.answers > 0) AS class_mix,
       c.mean_confidence,
       c.runs,
       c.failures,
       c.p50_us,
       c.p95_us,
       c.p99_us,
       c.agreement,
       c.class_mix_p,
       c.confidence_p,
       CASE
           WHEN c.role NOT IN ('challenger', 'shadow') THEN NULL
           WHEN c.runs < 100 OR (c.class_mix_p IS NULL AND c.confidence_p IS NULL) THEN 'too few answers'
           WHEN least(c.class_mix_p, c.confidence_p) < 0.01 / 2 THEN 'different'
           ELSE 'no difference seen'
       END AS verdict
FROM compared AS c;
COMMENT ON VIEW harca.stat_models IS
'What models have answered in this database, in all sessions, counted when a transaction ends. A change of the deployment begins new rows (since; current is true for those of the present one), and former ones stay as long as there is room; harca.stat_reset() begins all counts anew. role: active, challenger (answers its share), shadow (answers nobody), fallback (the previous model in place of one that cannot answer), rules. answers, from the cache too; class_mix as shares; runs of the model, that is about one for each different query, with times in microseconds for one query; failures; agreement of a shadow with the active model, from 0 to 1. class_mix_p and confidence_p say how probable so large a difference from the active model is by chance: by runs, as the same query asked again is no new evidence. verdict: different where one of the two is below 0.005, which both together are by chance once in a hundred comparisons. Without shared memory, this session alone';

CREATE TABLE harca.drift_reference (
    model text PRIMARY KEY,
    classes bigint[] NOT NULL,
    confidences bigint[] NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    taken_by name NOT NULL DEFAULT SESSION_USER
);
COMMENT ON TABLE harca.drift_reference IS 'Answers that harca.drift compares the recent ones with, where harca.set_drift_reference() has set them';
COMMENT ON COLUMN harca.drift_reference.model IS 'Name and version of the model';
COMMENT ON COLUMN harca.drift_reference.classes IS 'Numbers of answers by label, the last one for answers without a label';
COMMENT ON COLUMN harca.drift_reference.confidences IS 'Numbers of answers by confidence, in tenths';
COMMENT ON COLUMN harca.drift_reference.taken_at IS 'When';
COMMENT ON COLUMN harca.drift_reference.taken_by IS 'By whom';
SELECT pg_catalog.pg_extension_config_dump('harca.drift_reference', '');

CREATE VIEW harca.drift AS
WITH part AS (
    SELECT p.model, r.taken_at,
           coalesce(r.classes, p.reference_classes) AS reference_classes,
           coalesce(r.confidences, p.reference_confidences) AS reference_confidences,
           p.recent_classes, p.recent_confidences
    FROM harca.model_parts() AS p
    LEFT JOIN harca.drift_reference AS r ON r.model = p.model
    WHERE p.role = 'active'
), measure AS (
    SELECT p.model, p.taken_at, v.measure, v.reference, v.recent,
           coalesce((SELECT sum(n) FROM unnest(v.reference) AS n), 0)::bigint AS reference_answers,
           coalesce((SELECT sum(n) FROM unnest(v.recent) AS n), 0)::bigint AS recent_answers,
           harca.stability_index(v.reference, v.recent) AS psi
    FROM part AS p,
         LATERAL (VALUES ('class mix', p.reference_classes, p.recent_classes),
                         ('confidence', p.reference_confidences, p.recent_confidences)) AS v (measure, reference, recent)
)
SELECT m.model, m.measure, m.reference_answers, m.recent_answers, m.psi,
       coalesce(harca.drift_verdict(m.psi, m.reference_answers, m.recent_answers), 'too few answers') AS verdict,
       m.taken_at AS reference_taken_at
FROM measure AS m;
COMMENT ON VIEW harca.drift IS
'Whether what the active model answers has shifted: its class mix and its confidence in the latest window of pg_harca.drift_window answers and since, against the reference: the first window, or what harca.set_drift_reference() has set (reference_taken_at). psi is the population stability index; verdict: stable, shifting (from 0.1 on), drifted (from 0.25 on), or too few answers (below 500)';

CREATE FUNCTION harca.reset_drift_windows() RETURNS void
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_reset_drift_windows';
COMMENT ON FUNCTION harca.reset_drift_windows() IS
'Forgets the windows of harca.drift: the next one of the active model is the reference, where harca.set_drift_reference() has set none';

CREATE FUNCTION harca.set_drift_reference() RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part record;
    answers bigint;
BEGIN
    SELECT p.* INTO part FROM harca.model_parts() AS p WHERE p.role = 'active';
    answers := (SELECT sum(n) FROM unnest(part.recent_classes) AS n);
    IF answers < 500 THEN
        RAISE EXCEPTION 'there are too few answers for a reference'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('The recent windows of model "%s" hold %s, and 500 are needed.', part.model, answers),
                  HINT = 'Wait for more traffic.';
    END IF;
    INSERT INTO harca.drift_reference AS r (model, classes, confidences)
    VALUES (part.model, part.recent_classes, part.recent_confidences)
    ON CONFLICT (model) DO UPDATE
    SET classes = excluded.classes, confidences = excluded.confidences, taken_at = excluded.taken_at, taken_by = excluded.taken_by;
    RETURN answers;
END
$$;
COMMENT ON FUNCTION harca.set_drift_reference() IS
'Takes the recent answers of the active model as the reference of harca.drift, kept over restarts and in dumps, and gives their number; an error below 500';

CREATE FUNCTION harca.drop_drift_reference() RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM harca.drift_reference AS r USING harca.model_parts() AS p WHERE p.role = 'active' AND r.model = p.model;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION harca.drop_drift_reference() IS
'Drops the reference that harca.set_drift_reference() has set for the active model: the first window is the reference again. False when there was none';
