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
