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
