CREATE FUNCTION harca.health() RETURNS TABLE (component text, state text, detail text, since timestamptz, events bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL RESTRICTED SECURITY DEFINER ROWS 9
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part record;
    enabled boolean := current_setting('pg_harca.enabled')::boolean;
    retry interval := (SELECT make_interval(secs => s.setting::float8) FROM pg_settings s WHERE s.name = 'pg_harca.retry_interval');
    part_state text;
    active_state text;
    previous_state text;
BEGIN
    FOR part IN SELECT p.* FROM harca.model_parts() AS p LOOP
        part_state := CASE
            WHEN NOT enabled THEN 'off'
            WHEN part.failure IS NOT NULL THEN 'failed'
            WHEN part.breaker = 'open' THEN 'too slow'
            WHEN part.breaker = 'half-open' THEN 'on probation'
            WHEN part.failed_at > clock_timestamp() - retry THEN 'failing'
            ELSE 'ok'
        END;
        IF part.role = 'active' THEN
            active_state := part_state;
        ELSIF part.role = 'previous' THEN
            previous_state := part_state;
        END IF;
        RETURN QUERY SELECT part.role || ' model', part_state,
            part.model || CASE part_state
                WHEN 'failed' THEN ': ' || part.failure
                WHEN 'too slow' THEN ': slower than pg_harca.max_latency; it is tried again after pg_harca.retry_interval'
                WHEN 'on probation' THEN ': it was slower than pg_harca.max_latency and is tried again'
                WHEN 'failing' THEN ': in some session, ' || part.reason
                ELSE ''
            END,
            CASE part_state WHEN 'too slow' THEN part.opened_at WHEN 'on probation' THEN part.opened_at ELSE part.failed_at END,
            part.failures + part.trips;
    END LOOP;
    RETURN QUERY SELECT 'classification',
        CASE
            WHEN NOT enabled THEN 'off'
            WHEN active_state IN ('failed', 'too slow') THEN
                CASE WHEN previous_state IN ('ok', 'on probation', 'failing') THEN 'fallback' ELSE 'rules' END
            ELSE 'ok'
        END,
        CASE
            WHEN NOT enabled THEN 'pg_harca.enabled is off: the rules answer'
            WHEN active_state IN ('failed', 'too slow') THEN
                CASE WHEN previous_state IN ('ok', 'on probation', 'failing') THEN 'the previous model answers' ELSE 'the rules answer' END
            ELSE 'the active model answers'
        END,
        NULL::timestamptz,
        -- Answers that others have given in place of a model.
        (SELECT coalesce(sum(c.answers), 0)::bigint FROM harca.model_counts() AS c WHERE c.role IN ('fallback', 'rules'));
    RETURN QUERY SELECT 'comparison', coalesce(d.comparison, 'none'),
        d.challenger || ' for ' || round(100 * d.share::numeric, 1) || ' % of the queries', d.changed_at, NULL::bigint
    FROM (VALUES (true)) AS one LEFT JOIN harca.deployment AS d ON d.challenger IS NOT NULL;
    RETURN QUERY SELECT 'drift: ' || d.measure, d.verdict,
        format('population stability index %s over %s recent answers', coalesce(round(d.psi::numeric, 3)::text, 'unknown'), d.recent_answers),
        d.reference_taken_at, NULL::bigint
    FROM harca.drift AS d;
    RETURN QUERY SELECT 'query log', CASE WHEN current_setting('pg_harca.query_log_sample')::float8 > 0 THEN 'on' ELSE 'off' END,
        format('pg_harca.query_log_sample is %s', current_setting('pg_harca.query_log_sample')), NULL::timestamptz,
        harca.unlogged_queries();
    RETURN QUERY SELECT 'engine',
        CASE WHEN e.state = 'running' AND q.models IS NOT NULL THEN 'quarantine' ELSE e.state END,
        CASE WHEN q.models IS NOT NULL THEN 'not run, as they have brought it down: ' || q.models || '; see harca.release_model'
             WHEN e.state = 'running' THEN coalesce(p.reasons, format('%s models in %s MB', cardinality(e.models_loaded), e.memory / 1048576))
             ELSE e.detail END,
        e.since, e.restarts
    FROM harca.engine_status() AS e,
         LATERAL (SELECT string_agg(DISTINCT s.model, ', ') AS models FROM harca.stat_engine AS s WHERE s.state = 'quarantined') AS q,
         LATERAL (SELECT string_agg(DISTINCT s.model || ': ' || s.detail, '; ') AS reasons FROM harca.stat_engine AS s
                  WHERE s.state IN ('ready', 'broken') AND s.detail <> '') AS p;
    RETURN QUERY SELECT 'shared memory', CASE WHEN EXISTS (SELECT FROM harca.memory_statistics() AS m WHERE m.part = 'statistics') THEN 'ok' ELSE 'none' END,
        CASE WHEN EXISTS (SELECT FROM harca.memory_statistics() AS m WHERE m.part = 'statistics') THEN NULL
             ELSE 'each session counts and judges models for itself: add pg_harca to shared_preload_libraries' END,
        NULL::timestamptz, NULL::bigint;
END
$$;
COMMENT ON FUNCTION harca.health() IS
'One row for each part that can be well or not. "classification": ok, fallback (the previous model answers), rules, off; events are the answers that others have given in place of a model. "active model", "previous model" and the model of a comparison: ok, failed (this session cannot use it), failing (some session could not, within pg_harca.retry_interval), too slow, on probation; events are its failures and how often it was given up as too slow. "comparison", "drift", "query log" (events: sampled queries that were not logged), "engine": running, not running, not started, off or quarantine (a model that has brought it down is not run); events are its restarts; and "shared memory"';
