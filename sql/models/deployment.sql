CREATE FUNCTION harca.deploy(active text, previous text, comparison text, challenger text, share double precision) RETURNS void
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO harca.deployment AS d (active, previous, comparison, challenger, share, changed_at)
    VALUES ($1, $2, $3, $4, $5, pg_catalog.clock_timestamp())
    ON CONFLICT (only_row) DO UPDATE
    SET active = excluded.active, previous = excluded.previous, comparison = excluded.comparison,
        challenger = excluded.challenger, share = excluded.share, changed_at = excluded.changed_at;
END;
COMMENT ON FUNCTION harca.deploy(text, text, text, text, double precision) IS
'Writes the row of harca.deployment; for the functions that decide what stands there';

CREATE FUNCTION harca.lock_deployment(OUT active text, OUT previous text, OUT comparison text, OUT challenger text, OUT share double precision)
    RETURNS record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Readers go on; who wants to change it as well waits for this transaction to end.
    LOCK TABLE harca.deployment IN SHARE ROW EXCLUSIVE MODE;
    SELECT d.active, d.previous, d.comparison, d.challenger, d.share
    INTO active, previous, comparison, challenger, share FROM harca.deployment d;
    active := coalesce(active, 'builtin');
END
$$;
COMMENT ON FUNCTION harca.lock_deployment() IS
'What harca.deployment says, or that the built-in model answers, locked against other changes until the transaction ends';

CREATE FUNCTION harca.check_activation(candidate text, active text) RETURNS void
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_candidate harca.model_evaluation;
    of_active harca.model_evaluation;
    max_drop float8 := current_setting('pg_harca.max_accuracy_drop')::float8;
    max_ratio float8 := current_setting('pg_harca.max_latency_ratio')::float8;
    -- In milliseconds, whatever unit current_setting would choose.
    max_us float8 := 1000 * (SELECT s.setting::float8 FROM pg_settings s WHERE s.name = 'pg_harca.max_latency');
BEGIN
    SELECT e.* INTO of_candidate FROM harca.model_evaluation e
    WHERE e.model = candidate
      AND e.identity = (SELECT m.identity FROM harca.models m WHERE m.key = candidate)
      AND EXISTS (SELECT FROM harca.model_evaluation a
                  WHERE a.model = active AND a.labelled_digest = e.labelled_digest
                    AND a.identity = (SELECT m.identity FROM harca.models m WHERE m.key = active))
    ORDER BY e.evaluated_at DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'model "%" has not been compared with the active one', candidate
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('There is no evaluation of it and of "%s" on the same labelled queries.', active),
                  HINT = 'Call harca.evaluate_model(model, labelled_query), which measures both, or activate it with force => true.';
    END IF;
    SELECT a.* INTO of_active FROM harca.model_evaluation a
    WHERE a.model = active AND a.labelled_digest = of_candidate.labelled_digest
    ORDER BY a.evaluated_at DESC LIMIT 1;
    -- Accuracies are multiples of one in the number of queries: a millionth is no part of any.
    IF of_candidate.accuracy < of_active.accuracy - max_drop - 1e-6 THEN
        RAISE EXCEPTION 'model "%" is less accurate than the active one', candidate
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('Its accuracy on %s queries is %s, that of "%s" is %s; it may lose %s.', of_candidate.queries,
                                  round(of_candidate.accuracy::numeric, 4), active, round(of_active.accuracy::numeric, 4), max_drop),
                  HINT = 'Train it further, raise pg_harca.max_accuracy_drop, or activate it with force => true.';
    END IF;
    IF of_candidate.p95_us > max_ratio * of_active.p95_us OR (max_us > 0 AND of_candidate.p95_us > max_us) THEN
        RAISE EXCEPTION 'model "%" is too slow', candidate
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('95 of 100 queries take it %s us, and "%s" %s us; it may take %s times as long, and %s us.',
                                  round(of_candidate.p95_us::numeric, 1), active, round(of_active.p95_us::numeric, 1), max_ratio,
                                  CASE WHEN max_us > 0 THEN max_us::text ELSE 'any number of' END),
                  HINT = 'Make it smaller, raise pg_harca.max_latency_ratio or pg_harca.max_latency, or activate it with force => true.';
    END IF;
END
$$;
COMMENT ON FUNCTION harca.check_activation(text, text) IS
'The regression gate: an error when a model loses more than pg_harca.max_accuracy_drop against the active one, takes more than pg_harca.max_latency_ratio times as long or more than pg_harca.max_latency, or was not evaluated on the same labelled queries';

CREATE FUNCTION harca.classifier_key(model text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key text := harca.model_key($1);
    its_task text := (SELECT m.task FROM harca.models m WHERE m.key = harca.model_key($1));
BEGIN
    IF its_task <> 'classification' THEN
        RAISE EXCEPTION 'model "%" does not classify', key
            USING ERRCODE = 'wrong_object_type',
                  DETAIL = format('Its task is "%s".', its_task),
                  HINT = 'See the column task of harca.models for those that do.';
    END IF;
    RETURN key;
END
$$;
COMMENT ON FUNCTION harca.classifier_key(text) IS 'harca.model_key for a model that is to classify queries: an error for any other';

CREATE FUNCTION harca.activate_model(model text, force boolean DEFAULT false) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    now record := harca.lock_deployment();
    key text := harca.classifier_key($1);
BEGIN
    IF key = now.active THEN
        RAISE EXCEPTION 'model "%" is active already', key
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'See harca.models for the status of all models.';
    END IF;
    IF NOT force THEN
        PERFORM harca.check_activation(key, now.active);
    END IF;
    INSERT INTO harca.model_activation (number, model, former, forced)
    SELECT coalesce(max(a.number), 0) + 1, key, now.active, force FROM harca.model_activation a;
    PERFORM harca.deploy(key, now.active, NULL, NULL, NULL);
    RETURN key;
END
$$;
COMMENT ON FUNCTION harca.activate_model(text, boolean) IS
'Makes a model the one that answers, in every session from its next statement on once the transaction commits; the one that did so far is the previous one. A comparison ends. Refuses a model that harca.check_activation refuses, unless force is true. Gives the key of the model';

CREATE FUNCTION harca.rollback_model() RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    now record := harca.lock_deployment();
    latest harca.model_activation;
    before text;
BEGIN
    SELECT a.* INTO latest FROM harca.model_activation a WHERE a.rolled_back_at IS NULL ORDER BY a.number DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no activation to roll back'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'See harca.model_activation for what was activated.';
    END IF;
    IF NOT EXISTS (SELECT FROM harca.models m WHERE m.key = latest.former) THEN
        RAISE EXCEPTION 'model "%" does not exist any more', latest.former
            USING ERRCODE = 'undefined_object',
                  DETAIL = format('It was active before "%s".', latest.model),
                  HINT = 'Register it again, or activate another one with harca.activate_model(model).';
    END IF;
    UPDATE harca.model_activation a SET rolled_back_at = clock_timestamp(), rolled_back_by = SESSION_USER
    WHERE a.number = latest.number;
    -- The model that is rolled back is not to answer in anybody's place.
    SELECT a.former INTO before FROM harca.model_activation a
    WHERE a.rolled_back_at IS NULL AND a.former <> latest.former AND EXISTS (SELECT FROM harca.models m WHERE m.key = a.former)
    ORDER BY a.number DESC LIMIT 1;
    PERFORM harca.deploy(latest.former, before, NULL, NULL, NULL);
    RETURN latest.former;
END
$$;
COMMENT ON FUNCTION harca.rollback_model() IS
'Undoes the last activation that was not rolled back: the model that was active before it answers again. A comparison ends. Gives the key of that model';

CREATE FUNCTION harca.compare_model(model text, comparison text DEFAULT 'shadow', share double precision DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    now record := harca.lock_deployment();
    key text := harca.classifier_key($1);
BEGIN
    IF key IS NULL OR comparison IS NULL OR comparison NOT IN ('ab', 'canary', 'shadow') THEN
        RAISE EXCEPTION 'comparison is not known'
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('Model %s, comparison %s.', coalesce(quote_literal($1), 'null'), coalesce(quote_literal(comparison), 'null')),
                  HINT = 'Name a model, and "ab", "canary" or "shadow".';
    END IF;
    share := coalesce(share, CASE comparison WHEN 'ab' THEN 0.5 WHEN 'canary' THEN 0.1 ELSE 1 END);
    IF NOT share BETWEEN 0 AND 1 THEN
        RAISE EXCEPTION 'share is out of range'
            USING ERRCODE = 'numeric_value_out_of_range',
                  DETAIL = format('It is %s.', share),
                  HINT = 'Give a number from 0, no queries, to 1, all of them.';
    END IF;
    IF key = now.active THEN
        RAISE EXCEPTION 'model "%" is the active one', key
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Compare another one with it: see harca.models.';
    END IF;
    PERFORM harca.deploy(now.active, now.previous, comparison, key, share);
    RETURN key;
END
$$;
COMMENT ON FUNCTION harca.compare_model(text, text, double precision) IS
'Compares a model with the active one on live traffic: as "ab" or "canary" it answers the share of the queries (0.5, 0.1), as "shadow" it runs for them (all) and never answers. Which queries is a matter of their text. A former comparison ends. harca.stat_models shows how it does';

CREATE FUNCTION harca.stop_comparison() RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    now record := harca.lock_deployment();
BEGIN
    IF now.challenger IS NOT NULL THEN
        PERFORM harca.deploy(now.active, now.previous, NULL, NULL, NULL);
    END IF;
    RETURN now.challenger;
END
$$;
COMMENT ON FUNCTION harca.stop_comparison() IS
'Ends the comparison: the active model answers all queries. Gives the model that was compared with it, null when there was none. What harca.stat_models shows of the comparison stays for a while';
