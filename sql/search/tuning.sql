CREATE TABLE harca.search_feedback (
    target text NOT NULL REFERENCES harca.search_target (name) ON UPDATE CASCADE ON DELETE CASCADE,
    query text NOT NULL,
    embedding vector,
    id text NOT NULL,
    grade real NOT NULL CHECK (grade BETWEEN 0 AND 10),
    recorded_by name NOT NULL DEFAULT CURRENT_USER,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    -- A row can be told from others where a publication needs that; no number, which a subscriber would count anew.
    feedback_id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid()
);
COMMENT ON TABLE harca.search_feedback IS
'How well rows answered queries, for harca.tune_search; written by harca.record_feedback. harca.feedback shows it to the owners of the tables';
COMMENT ON COLUMN harca.search_feedback.target IS 'Search target';
COMMENT ON COLUMN harca.search_feedback.query IS 'The query';
COMMENT ON COLUMN harca.search_feedback.embedding IS 'Its embedding; null when there is none, and then the query tunes nothing';
COMMENT ON COLUMN harca.search_feedback.id IS 'A row of the target''s table, as hybrid_search names it';
COMMENT ON COLUMN harca.search_feedback.grade IS 'From 0, no answer, to 10; 1 is an answer, and each step more counts twice as much';
COMMENT ON COLUMN harca.search_feedback.recorded_by IS 'Role that recorded it';
COMMENT ON COLUMN harca.search_feedback.recorded_at IS 'When';
COMMENT ON COLUMN harca.search_feedback.feedback_id IS 'Tells it from others';
CREATE INDEX ON harca.search_feedback (target, query);

CREATE VIEW harca.feedback WITH (security_barrier) AS
SELECT f.*
FROM harca.search_feedback AS f
JOIN harca.search_target AS t ON t.name = f.target
WHERE harca.owns(t.relation);
COMMENT ON VIEW harca.feedback IS 'What harca.record_feedback has collected for the tables that the current user owns';

CREATE TABLE harca.search_tuning (
    target text NOT NULL REFERENCES harca.search_target (name) ON UPDATE CASCADE ON DELETE CASCADE,
    tuned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    queries integer NOT NULL,
    ndcg_before double precision NOT NULL,
    ndcg_after double precision NOT NULL,
    former jsonb NOT NULL,
    PRIMARY KEY (target, tuned_at)
);
COMMENT ON TABLE harca.search_tuning IS
'What harca.tune_search has changed, newest last; harca.undo_tuning takes the newest back';
COMMENT ON COLUMN harca.search_tuning.target IS 'Search target';
COMMENT ON COLUMN harca.search_tuning.tuned_at IS 'When';
COMMENT ON COLUMN harca.search_tuning.queries IS 'Judged queries that it rests on';
COMMENT ON COLUMN harca.search_tuning.ndcg_before IS 'nDCG at 10 with what was set before, from 0 to 1';
COMMENT ON COLUMN harca.search_tuning.ndcg_after IS 'nDCG at 10 by cross-validation';
COMMENT ON COLUMN harca.search_tuning.former IS 'What was set before: vector_weight, k1, b, calibration, and the weights of the profile';

CREATE FUNCTION harca.guard_search_feedback() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    searched harca.search_target;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT t.* INTO searched FROM harca.search_target t WHERE t.name = NEW.target;
        -- Without the row, the foreign key refuses it.
        IF FOUND AND NOT (SELECT bool_and(has_column_privilege(searched.relation, c.name::text, 'SELECT'))
                          FROM unnest(searched.id_columns) AS c (name)) THEN
            RAISE EXCEPTION 'permission denied for table %', searched.relation
                USING ERRCODE = 'insufficient_privilege',
                      HINT = 'Feedback on a search is for those who may run it.';
        END IF;
        -- A dump is restored as it was.
        IF NOT harca.owns(searched.relation) THEN
            NEW.recorded_by := CURRENT_USER;
            NEW.recorded_at := now();
        END IF;
        RETURN NEW;
    END IF;
    -- Null for a target that is just being deleted: whoever deletes the one deletes the other.
    RETURN CASE WHEN harca.owns((SELECT t.relation FROM harca.search_target t WHERE t.name = OLD.target)) IS NOT FALSE THEN OLD END;
END
$$;
COMMENT ON FUNCTION harca.guard_search_feedback() IS
'Lets those record feedback on a search target who may read its ids, in their own name, and nobody but the owner of the table delete it: rows of others stay as they are';
CREATE TRIGGER guard BEFORE INSERT OR DELETE ON harca.search_feedback
    FOR EACH ROW EXECUTE FUNCTION harca.guard_search_feedback();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON harca.search_tuning
    FOR EACH ROW EXECUTE FUNCTION harca.guard_search_settings();

CREATE TRIGGER a_leave_out BEFORE INSERT ON harca.search_feedback
    FOR EACH ROW WHEN (harca.is_restoring()) EXECUTE FUNCTION harca.leave_out_orphan();
CREATE TRIGGER a_leave_out BEFORE INSERT ON harca.search_tuning
    FOR EACH ROW WHEN (harca.is_restoring()) EXECUTE FUNCTION harca.leave_out_orphan();

SELECT pg_catalog.pg_extension_config_dump('harca.search_feedback', '');
SELECT pg_catalog.pg_extension_config_dump('harca.search_tuning', '');

CREATE FUNCTION harca.record_feedback(
    target text, query text, id text, grade real DEFAULT 1, embedding vector DEFAULT NULL
) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    searched constant harca.search_target := harca.search_target_row(target);
BEGIN
    IF query IS NULL OR id IS NULL OR grade IS NULL THEN
        RAISE EXCEPTION 'query, id and grade of feedback must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF NOT grade BETWEEN 0 AND 10 THEN
        RAISE EXCEPTION 'grade % is out of range', grade
            USING ERRCODE = 'numeric_value_out_of_range',
                  HINT = 'Use a number from 0 (no answer) to 10; 1 is an answer.';
    END IF;
    PERFORM harca.check_embedding(searched, embedding);
    INSERT INTO harca.search_feedback (target, query, embedding, id, grade) VALUES (target, query, embedding, id, grade);
END
$$;
COMMENT ON FUNCTION harca.record_feedback(text, text, text, real, vector) IS
'Keeps how well a row answered a query, from 0 (not at all) to 10, for harca.tune_search; for everybody who may search the target. The embedding is that of the query, without which it tunes nothing';

CREATE FUNCTION harca.fit_weights(
    exactness double precision[],
    k1_places integer[],
    b_places integer[],
    curves double precision[],
    present integer,
    INOUT vector_weight double precision,
    INOUT exact_term_weight double precision,
    OUT setting integer,
    OUT validated double precision
)
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'harca_fit_weights';
COMMENT ON FUNCTION harca.fit_weights(double precision[], integer[], integer[], double precision[], integer, double precision, double precision) IS
'The weights and parameters that suit judged queries best, held towards the present ones: for each query how much it is one for an exact term, from 0 to 1; the parameters that were tried, as places on the grids of k1 and b; for each query and each of them the 21 values of harca.judged_curves; which of the parameters is the present one, from 1; the present weights. Gives the weights, which of the parameters, and the nDCG by cross-validation';

CREATE FUNCTION harca.judged_curves(
    target text,
    judgements regclass,
    k1_grid double precision[],
    b_grid double precision[]
) RETURNS TABLE (query text, exactness double precision, measure double precision, curve double precision[])
    LANGUAGE c STABLE PARALLEL UNSAFE ROWS 100
    AS 'MODULE_PATHNAME', 'harca_judged_curves';
COMMENT ON FUNCTION harca.judged_curves(text, regclass, double precision[], double precision[]) IS
'What harca.tune_search chooses from: each judged query, how much it is one for an exact term, its nDCG at 10 as the target is set, and for each k1 and each b that with each of 21 weights of the vector leg, from 0 to 1. Null for the judgements takes those of harca.record_feedback';

CREATE FUNCTION harca.tune_search(
    target text,
    judgements regclass DEFAULT NULL,
    tune_bm25 boolean DEFAULT false,
    apply boolean DEFAULT false
) RETURNS TABLE (
        queries integer,
        ndcg_before double precision,
        ndcg_after double precision,
        vector_weight real,
        exact_term_weight real,
        k1 double precision,
        b double precision,
        applied boolean
    )
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    least_queries constant integer := 10;
    searched harca.search_target := harca.search_target_row(target);
    missing text;
    profile jsonb := (
        SELECT jsonb_object_agg(p.query_type, p.vector_weight) FROM harca.search_profile p WHERE p.target = target);
    k1_grid double precision[] := ARRAY[searched.k1];
    b_grid double precision[] := ARRAY[searched.b];
    present constant double precision := (SELECT s.vector_weight FROM harca.stat_search_target s WHERE s.target = target);
    gathered record;
    tuned record;
BEGIN
    PERFORM harca.check_owner(searched.relation, 'call harca.tune_search');
    SELECT c.name INTO missing FROM unnest('{query,embedding,id,grade}'::text[]) AS c (name)
    WHERE judgements IS NOT NULL
          AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = judgements AND a.attname = c.name AND NOT a.attisdropped)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'column "%" of table % does not exist', missing, judgements
            USING ERRCODE = 'undefined_column',
                  HINT = 'Judgements have the columns query, embedding, id and grade.';
    END IF;
    IF tune_bm25 THEN
        k1_grid := ARRAY(SELECT DISTINCT k FROM unnest('{0.5,0.9,1.3,1.8,2.5}'::float8[] || searched.k1) AS k ORDER BY k);
        b_grid := ARRAY(SELECT DISTINCT k FROM unnest('{0.2,0.4,0.6,0.8}'::float8[] || searched.b) AS k ORDER BY k);
    END IF;
    SELECT count(*)::integer AS queries, array_agg(j.exactness) AS exactness, avg(j.measure) AS measure, array_agg(j.curve) AS curves
    INTO gathered
    FROM harca.judged_curves(target, judgements, k1_grid, b_grid) AS j;
    IF gathered.queries < least_queries THEN
        RAISE EXCEPTION 'too few judgements to tune search target "%"', target
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('There are %s queries with an embedding and a grade above 0, at least %s are needed.',
                                  gathered.queries, least_queries),
                  HINT = 'Collect more with harca.record_feedback, or name a table with the columns query, embedding, id and grade.';
    END IF;
    tuned := harca.fit_weights(
        gathered.exactness,
        ARRAY(SELECT i FROM generate_subscripts(k1_grid, 1) AS i, generate_subscripts(b_grid, 1) AS j ORDER BY i, j),
        ARRAY(SELECT j FROM generate_subscripts(k1_grid, 1) AS i, generate_subscripts(b_grid, 1) AS j ORDER BY i, j),
        gathered.curves,
        (array_position(k1_grid, searched.k1) - 1) * cardinality(b_grid) + array_position(b_grid, searched.b),
        present,
        coalesce((profile ->> 'exact term')::float8, (profile ->> 'keyword')::float8, present));
    queries := gathered.queries;
    ndcg_before := gathered.measure;
    ndcg_after := tuned.validated;
    vector_weight := tuned.vector_weight;
    exact_term_weight := tuned.exact_term_weight;
    k1 := k1_grid[(tuned.setting - 1) / cardinality(b_grid) + 1];
    b := b_grid[(tuned.setting - 1) % cardinality(b_grid) + 1];
    applied := apply AND ndcg_after > ndcg_before;
    IF applied THEN
        -- What another session has set since is what is changed now.
        PERFORM FROM harca.search_target t WHERE t.name = target FOR NO KEY UPDATE;
        searched := harca.search_target_row(target);
        profile := (SELECT jsonb_object_agg(p.query_type, p.vector_weight) FROM harca.search_profile p WHERE p.target = target);
        INSERT INTO harca.search_tuning (target, queries, ndcg_before, ndcg_after, former)
        VALUES (target, queries, ndcg_before, ndcg_after,
                jsonb_build_object('vector_weight', searched.vector_weight, 'k1', searched.k1, 'b', searched.b,
                                   'calibration', searched.calibration, 'profile', coalesce(profile, '{}')));
        -- Judgements go before what searches tell; the scales by which the weight was found stay.
        UPDATE harca.search_target AS t
        SET vector_weight = vector_weight, k1 = k1, b = b,
            calibration = CASE searched.calibration WHEN 'off' THEN 'off' ELSE 'scales' END
        WHERE t.name = target;
        INSERT INTO harca.search_profile AS p VALUES (target, 'exact term', exact_term_weight) ON CONFLICT DO NOTHING;
        UPDATE harca.search_profile AS p
        SET vector_weight = CASE p.query_type WHEN 'exact term' THEN exact_term_weight ELSE vector_weight END
        WHERE p.target = target;
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION harca.tune_search(text, regclass, boolean, boolean) IS
'Finds the weights of a search target, and on request its parameters of BM25, that suit judged queries best: those of a table with the columns query, embedding (of the query), id and grade (from 0 to 10), or of harca.record_feedback. Gives the number of queries, nDCG at 10 as it is set now and by cross-validation, and what it found; with apply it is set, where it gains. For the owner of the table';

CREATE FUNCTION harca.undo_tuning(target text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    searched constant harca.search_target := harca.search_target_row(target);
    tuning harca.search_tuning;
BEGIN
    PERFORM harca.check_owner(searched.relation, 'call harca.undo_tuning');
    -- Of two at once, the second takes back what the first has left.
    PERFORM FROM harca.search_target t WHERE t.name = target FOR NO KEY UPDATE;
    SELECT t.* INTO tuning FROM harca.search_tuning t WHERE t.target = target ORDER BY t.tuned_at DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE harca.search_target AS t
    SET vector_weight = (tuning.former ->> 'vector_weight')::real,
        k1 = (tuning.former ->> 'k1')::float8,
        b = (tuning.former ->> 'b')::float8,
        calibration = coalesce(tuning.former ->> 'calibration', t.calibration)
    WHERE t.name = target;
    DELETE FROM harca.search_profile AS p WHERE p.target = target;
    INSERT INTO harca.search_profile
    SELECT target, w.key, w.value::real FROM jsonb_each_text(tuning.former -> 'profile') AS w;
    DELETE FROM harca.search_tuning AS t WHERE t.target = target AND t.tuned_at = tuning.tuned_at;
    RETURN true;
END
$$;
COMMENT ON FUNCTION harca.undo_tuning(text) IS
'Sets a search target to what it was before harca.tune_search last changed it; false when there is nothing to take back. For the owner of the table';
