CREATE FUNCTION harca.measure_models(
    models text[],
    labelled_query text,
    OUT model text,
    OUT identity text,
    OUT queries bigint,
    OUT accuracy double precision,
    OUT macro_f1 double precision,
    OUT calibration_error double precision,
    OUT p50_us double precision,
    OUT p95_us double precision,
    OUT p99_us double precision,
    OUT queries_per_second double precision,
    OUT labels text[],
    OUT confusion bigint[],
    OUT labelled_digest text
) RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 2
    AS 'MODULE_PATHNAME', 'harca_measure_models';
COMMENT ON FUNCTION harca.measure_models(text[], text) IS
'Runs models, by their keys, on the queries that a query gives with their labels, in turns and without the cache; nothing is stored. confusion has a row for each label and one for others, and as many columns';

CREATE FUNCTION harca.models_to_measure(model text) RETURNS text[]
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT pg_catalog.array_agg(m.key ORDER BY m.key = harca.model_key($1) DESC)
    FROM harca.models m WHERE m.key = harca.model_key($1) OR m.status = 'active';
END;
COMMENT ON FUNCTION harca.models_to_measure(text) IS 'The keys of a model and of the active one';

CREATE FUNCTION harca.confusion_by_label(labels text[], confusion bigint[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    WITH label AS (
        SELECT l.label, l.place FROM pg_catalog.unnest($1 || 'other'::text) WITH ORDINALITY AS l (label, place)
    )
    SELECT pg_catalog.jsonb_object_agg(r.label, (
        SELECT pg_catalog.jsonb_object_agg(c.label, $2[(r.place - 1) * (pg_catalog.cardinality($1) + 1) + c.place]) FROM label c
        WHERE $2[(r.place - 1) * (pg_catalog.cardinality($1) + 1) + c.place] > 0))
    FROM label r
    WHERE EXISTS (SELECT FROM label c WHERE $2[(r.place - 1) * (pg_catalog.cardinality($1) + 1) + c.place] > 0);
END;
COMMENT ON FUNCTION harca.confusion_by_label(text[], bigint[]) IS
'A confusion matrix of harca.measure_models by the names of its labels, without the zeros';

CREATE FUNCTION harca.store_evaluation(measured harca.model_evaluation) RETURNS SETOF harca.model_evaluation
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER ROWS 1
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    measured.model := harca.model_key(measured.model);
    measured.evaluated_at := clock_timestamp();
    measured.evaluated_by := SESSION_USER;
    RETURN QUERY INSERT INTO harca.model_evaluation SELECT measured.* RETURNING *;
END
$$;
COMMENT ON FUNCTION harca.store_evaluation(harca.model_evaluation) IS 'Keeps what harca.measure_models has measured; for harca.evaluate_model';

-- With the rights and the search_path of the caller, as it runs the caller's query.
CREATE FUNCTION harca.evaluate_model(model text, labelled_query text) RETURNS SETOF harca.model_evaluation
    LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE ROWS 2
BEGIN ATOMIC
    SELECT e.*
    FROM harca.measure_models(harca.models_to_measure($1), $2) AS m,
         LATERAL harca.store_evaluation(
             ROW (m.model, m.identity, m.queries, m.accuracy, m.macro_f1, m.calibration_error, m.p50_us, m.p95_us, m.p99_us,
                  m.queries_per_second, harca.confusion_by_label(m.labels, m.confusion), m.labelled_digest, NULL, NULL)
             ::harca.model_evaluation) AS e;
END;
COMMENT ON FUNCTION harca.evaluate_model(text, text) IS
'Measures a model, and the active one beside it, on labelled queries: those that the query given gives as its first two columns, text and label, such as ''SELECT query, label FROM judged''. Stores and gives accuracy, macro-F1, calibration error, confusion matrix, times and throughput, one row for each of the two';
