CREATE TABLE harca.embedding_change (
    target text PRIMARY KEY REFERENCES harca.search_target (name) ON UPDATE CASCADE ON DELETE CASCADE,
    shadow text NOT NULL UNIQUE REFERENCES harca.search_target (name) ON UPDATE CASCADE ON DELETE CASCADE,
    state text NOT NULL DEFAULT 'filling' CHECK (state IN ('filling', 'switched')),
    began timestamptz NOT NULL DEFAULT pg_catalog.now(),
    switched_at timestamptz
);
COMMENT ON TABLE harca.embedding_change IS
'Search targets on their way to another embedding model; edited by harca.change_embedding_model and the functions that end it';
COMMENT ON COLUMN harca.embedding_change.target IS 'Search target';
COMMENT ON COLUMN harca.embedding_change.shadow IS
'The search target of the other column and model: of the new ones while they are filled, of the former ones, which are kept in step as well, from then on';
COMMENT ON COLUMN harca.embedding_change.state IS 'filling: searches use the former column; switched: the new one';
COMMENT ON COLUMN harca.embedding_change.began IS 'When the change was asked for';
COMMENT ON COLUMN harca.embedding_change.switched_at IS 'When searches went over';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON harca.embedding_change
    FOR EACH ROW EXECUTE FUNCTION harca.guard_search_settings();
CREATE TRIGGER a_leave_out BEFORE INSERT ON harca.embedding_change
    FOR EACH ROW WHEN (harca.is_restoring()) EXECUTE FUNCTION harca.leave_out_orphan();
SELECT pg_catalog.pg_extension_config_dump('harca.embedding_change', '');

CREATE FUNCTION harca.index_embeddings(relation regclass, former name, later name, methods name[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT am.amname, n.nspname, o.opcname, c.reloptions, pg_get_expr(i.indpred, i.indrelid) AS predicate
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_am am ON am.oid = c.relam
        JOIN pg_opclass o ON o.oid = i.indclass[0]
        JOIN pg_namespace n ON n.oid = o.opcnamespace
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = relation AND i.indnatts = 1 AND i.indexprs IS NULL AND i.indisvalid AND a.attname = former
          AND am.amname = ANY (methods)
    LOOP
        EXECUTE format('CREATE INDEX ON %s USING %I (%I %I.%I)%s%s', relation, found.amname, later, found.nspname, found.opcname,
                       coalesce(format(' WITH (%s)', array_to_string(found.reloptions, ', ')), ''),
                       coalesce(' WHERE ' || found.predicate, ''));
    END LOOP;
END
$$;
COMMENT ON FUNCTION harca.index_embeddings(regclass, name, name, name[]) IS
'Gives a column of embeddings the indexes that another one has, of these access methods';

CREATE FUNCTION harca.embedding_change_row(target text) RETURNS harca.embedding_change
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    change harca.embedding_change;
BEGIN
    SELECT * INTO change FROM harca.embedding_change c WHERE c.target = target;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'embedding model of search target "%" is not being changed', target
            USING ERRCODE = 'undefined_object', HINT = 'See harca.embedding_change for what is.';
    END IF;
    PERFORM harca.check_owner((SELECT t.relation FROM harca.search_target t WHERE t.name = target), 'change its model');
    RETURN change;
END
$$;
COMMENT ON FUNCTION harca.embedding_change_row(text) IS 'The change of the embedding model of a target; an error where there is none, or for others than the owner of its table';

CREATE FUNCTION harca.change_embedding_model(target text, model text, rows_per_second real DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    kept harca.search_target := harca.search_target_row(target);
    made record;
    kind record;
    shadow text;
    later name;
BEGIN
    PERFORM harca.check_owner(kept.relation, 'change its model');
    IF EXISTS (SELECT FROM harca.embedding_change c WHERE target IN (c.target, c.shadow)) THEN
        RAISE EXCEPTION 'embedding model of search target "%" is being changed already', target
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'End that with harca.end_embedding_change or harca.undo_embedding_change first.';
    END IF;
    made := harca.embedding_model(model);
    IF made.model = kept.embedding_model THEN
        RAISE EXCEPTION 'search target "%" has embeddings of the model "%" already', target, made.model
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name another model, or another version.';
    END IF;
    shadow := format('%s (%s)', target, made.model);
    later := left(format('%s_%s', kept.embedding_column, to_hex(hashtextextended(made.model, 0))), 63);
    SELECT n.nspname, t.typname INTO STRICT kind
    FROM pg_attribute a JOIN pg_type t ON t.oid = harca.base_type(a.atttypid) JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE a.attrelid = kept.relation::oid AND a.attname = kept.embedding_column;
    EXECUTE format('ALTER TABLE %s ADD COLUMN %I %I.%I(%s)', kept.relation::regclass, later, kind.nspname, kind.typname, made.dimensions);
    -- An index that is there from the beginning takes the rows as they come; lists need rows to be made of.
    PERFORM harca.index_embeddings(kept.relation, kept.embedding_column, later, '{hnsw}');
    INSERT INTO harca.search_target
        (name, relation, id_columns, text_column, tsvector_column, embedding_column, config, query_config, distance, vector_weight,
         k1, b, calibration, parser_version, embedding_model)
    VALUES (shadow, kept.relation, kept.id_columns, kept.text_column, kept.tsvector_column, later, kept.config, kept.query_config,
            kept.distance, kept.vector_weight, kept.k1, kept.b, kept.calibration, kept.parser_version, made.model);
    INSERT INTO harca.embedding_change (target, shadow) VALUES (target, shadow);
    PERFORM harca.keep_embedded(shadow, NULL, NULL, rows_per_second, p.chunking)
    FROM (SELECT 1) AS always
    LEFT JOIN (SELECT jsonb_build_object('tokens', p.tokens, 'overlap', p.overlap) AS chunking
               FROM harca.passage_table p WHERE p.target = target) AS p ON true;
END
$$;
COMMENT ON FUNCTION harca.change_embedding_model(text, text, real) IS
'Has the rows of a search target embedded by another model, in a column of their own with the same indexes, while searches use the former one; when all rows are done, searches go over to it in one transaction. harca.embedding_progress shows how far it is, under the name of the target with the model behind it. Both columns are kept in step until harca.end_embedding_change or harca.undo_embedding_change; for the owner of the table';

CREATE FUNCTION harca.queue_for_both(target text) RETURNS void
    LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- Nobody but whoever waits for a row loses by it: what is queued already is not queued again.
    INSERT INTO harca.embedding_queue (target, key)
    SELECT DISTINCT o.name, q.key
    FROM harca.embedding_change c
    CROSS JOIN LATERAL (VALUES (c.target, c.shadow), (c.shadow, c.target)) AS o (name, other)
    JOIN harca.embedding_queue q ON q.target = o.other
    WHERE c.target = $1
      AND NOT EXISTS (SELECT FROM harca.embedding_queue k WHERE k.target = o.name AND k.key = q.key AND k.attempts = 0);
END;
COMMENT ON FUNCTION harca.queue_for_both(text) IS
'Queues the rows for both columns of a target whose model changes that are queued for one: the columns are about to change places, and what was done of the one was not of the other';

CREATE FUNCTION harca.exchange_embeddings(target text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    change harca.embedding_change := harca.embedding_change_row(target);
    one harca.search_target;
    other harca.search_target;
BEGIN
    PERFORM harca.lock_embeddings(name) FROM unnest(ARRAY[change.target, change.shadow]) AS name ORDER BY name;
    SELECT * INTO STRICT one FROM harca.search_target t WHERE t.name = change.target;
    SELECT * INTO STRICT other FROM harca.search_target t WHERE t.name = change.shadow;
    UPDATE harca.search_target t SET embedding_column = other.embedding_column, embedding_model = other.embedding_model
    WHERE t.name = one.name;
    UPDATE harca.search_target t SET embedding_column = one.embedding_column, embedding_model = one.embedding_model
    WHERE t.name = other.name;
    UPDATE harca.passage_table p SET relation = o.relation, tokens = o.tokens, overlap = o.overlap, in_use = o.in_use
    FROM harca.passage_table o
    WHERE (p.target, o.target) IN ((one.name, other.name), (other.name, one.name));
    PERFORM harca.queue_for_both(target);
    -- What was learned of the former embeddings says nothing of these.
    PERFORM harca.refresh_search_statistics(target);
    PERFORM harca.reset_calibration(target);
END
$$;
COMMENT ON FUNCTION harca.exchange_embeddings(text) IS 'Lets a target and its shadow change their columns and models';

CREATE FUNCTION harca.switch_embeddings(shadow text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    change harca.embedding_change;
    kept harca.search_target;
BEGIN
    SELECT * INTO change FROM harca.embedding_change c WHERE c.shadow = shadow AND c.state = 'filling';
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT * INTO STRICT kept FROM harca.search_target t WHERE t.name = change.target;
    PERFORM harca.index_embeddings(kept.relation, kept.embedding_column, t.embedding_column, '{ivfflat}')
    FROM harca.search_target t WHERE t.name = shadow;
    PERFORM harca.exchange_embeddings(change.target);
    UPDATE harca.embedding_change c SET state = 'switched', switched_at = now() WHERE c.target = change.target;
    -- Whoever kept the former column in step by himself is spared it from now on.
    IF NOT EXISTS (SELECT FROM harca.embedded_table e WHERE e.target = change.target) THEN
        PERFORM harca.keep_embedded(change.target, NULL, NULL, NULL, NULL);
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION harca.switch_embeddings(text) IS
'Lets searches go over to the new embeddings, which are all there; called by the worker, with the rights of the owner of the table. False when there is nothing to switch';

CREATE FUNCTION harca.leave_embeddings(change harca.embedding_change) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    left_over harca.search_target := harca.search_target_row(change.shadow);
BEGIN
    DELETE FROM harca.embedding_change c WHERE c.target = change.target;
    PERFORM harca.drop_search_target(change.shadow);
    EXECUTE format('ALTER TABLE %s DROP COLUMN %I', left_over.relation::regclass, left_over.embedding_column);
END
$$;
COMMENT ON FUNCTION harca.leave_embeddings(harca.embedding_change) IS 'Drops the column that a change of the model leaves over';

CREATE FUNCTION harca.end_embedding_change(target text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    change constant harca.embedding_change := harca.embedding_change_row(target);
BEGIN
    IF change.state = 'filling' THEN
        RAISE EXCEPTION 'new embeddings of search target "%" are not all there', target
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Wait until harca.embedding_change says switched, or give it up with harca.undo_embedding_change.';
    END IF;
    PERFORM harca.leave_embeddings(change);
END
$$;
COMMENT ON FUNCTION harca.end_embedding_change(text) IS
'Drops the former embeddings of a target whose searches have gone over to those of another model; for the owner of the table';

CREATE FUNCTION harca.undo_embedding_change(target text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    change constant harca.embedding_change := harca.embedding_change_row(target);
BEGIN
    IF change.state = 'switched' THEN
        PERFORM harca.exchange_embeddings(target);
    END IF;
    PERFORM harca.leave_embeddings(change);
END
$$;
COMMENT ON FUNCTION harca.undo_embedding_change(text) IS
'Stops a change of the embedding model, or takes it back: searches use the former embeddings, which were kept in step, and the new ones are dropped; for the owner of the table';
