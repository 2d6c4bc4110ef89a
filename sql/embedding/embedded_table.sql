CREATE TABLE harca.embedded_table (
    target text PRIMARY KEY REFERENCES harca.search_target (name) ON UPDATE CASCADE ON DELETE CASCADE,
    rows_per_second real CHECK (rows_per_second > 0),
    since timestamptz NOT NULL DEFAULT pg_catalog.now(),
    rows bigint,
    backfilled bigint NOT NULL DEFAULT 0,
    backfilled_to jsonb,
    is_backfilled boolean NOT NULL DEFAULT false,
    embedded bigint NOT NULL DEFAULT 0,
    per_second real,
    embedded_at timestamptz,
    failure text,
    failed_at timestamptz
);
COMMENT ON TABLE harca.embedded_table IS
'Search targets whose embeddings are kept in step with their text; edited by harca.embed_table and harca.stop_embedding, read by way of harca.embedding_progress';
COMMENT ON COLUMN harca.embedded_table.target IS 'Search target';
COMMENT ON COLUMN harca.embedded_table.rows_per_second IS 'Rows a second at most of those that were there before; null: as many as the engine makes';
COMMENT ON COLUMN harca.embedded_table.since IS 'Since when';
COMMENT ON COLUMN harca.embedded_table.rows IS 'Rows without an embedding that were there before; null until they are counted';
COMMENT ON COLUMN harca.embedded_table.backfilled IS 'How many of them are done';
COMMENT ON COLUMN harca.embedded_table.backfilled_to IS 'The key of the last of them';
COMMENT ON COLUMN harca.embedded_table.is_backfilled IS 'Whether all of them are done';
COMMENT ON COLUMN harca.embedded_table.embedded IS 'Rows that were embedded, whenever they came';
COMMENT ON COLUMN harca.embedded_table.per_second IS 'Rows a second of late, while there was work';
COMMENT ON COLUMN harca.embedded_table.embedded_at IS 'When a row was embedded last';
COMMENT ON COLUMN harca.embedded_table.failure IS 'Why the last batch could not be embedded or written; null since one could';
COMMENT ON COLUMN harca.embedded_table.failed_at IS 'When that was';

CREATE SEQUENCE harca.embedding_queue_seq;
COMMENT ON SEQUENCE harca.embedding_queue_seq IS 'Numbers of the entries of harca.embedding_queue';
-- Rows come and go: a vacuum whenever a thousand of them have gone keeps it small.
CREATE TABLE harca.embedding_queue (
    seq bigint PRIMARY KEY DEFAULT pg_catalog.nextval('harca.embedding_queue_seq'),
    target text NOT NULL,
    key jsonb NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    attempts integer NOT NULL DEFAULT 0,
    not_before timestamptz,
    error text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_insert_scale_factor = 0);
ALTER SEQUENCE harca.embedding_queue_seq OWNED BY harca.embedding_queue.seq;
CREATE INDEX embedding_queue_key ON harca.embedding_queue (target, key);
COMMENT ON TABLE harca.embedding_queue IS
'Rows of embedded tables whose text is new or has changed; written by triggers of these tables, and emptied by a background worker';
COMMENT ON COLUMN harca.embedding_queue.seq IS 'The order in which they came';
COMMENT ON COLUMN harca.embedding_queue.target IS 'Search target';
COMMENT ON COLUMN harca.embedding_queue.key IS 'The columns that identify the row, as a JSON array of texts';
COMMENT ON COLUMN harca.embedding_queue.queued_at IS 'When the transaction began that has written the text';
COMMENT ON COLUMN harca.embedding_queue.attempts IS 'How often it has failed; a row that has failed six times is left until harca.retry_embeddings';
COMMENT ON COLUMN harca.embedding_queue.not_before IS 'When it is tried again';
COMMENT ON COLUMN harca.embedding_queue.error IS 'Why it has failed';

CREATE FUNCTION harca.unsafe_key_column(relation regclass, id_columns name[]) RETURNS name
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT a.attname
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = harca.base_type(a.atttypid)
    WHERE a.attrelid = relation::oid AND a.attname = ANY (id_columns) AND t.typnamespace <> 'pg_catalog'::regnamespace::oid
    LIMIT 1;
END;
COMMENT ON FUNCTION harca.unsafe_key_column(regclass, name[]) IS
'A column of a key whose type is not PostgreSQL''s own: to make a text of it may run a function of whoever made the type. Null where there is none';

CREATE FUNCTION harca.queue_embeddings() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target record;
    key text;
BEGIN
    -- Of the table that the trigger belongs to alone: anybody may put it on a table of his own, with a target of others.
    SELECT t.name, t.id_columns, t.text_column, t.embedding_column, p.target IS NOT NULL AS has_passages INTO target
    FROM harca.search_target t JOIN harca.embedded_table e ON e.target = t.name
    LEFT JOIN harca.passage_table p ON p.target = t.name
    WHERE t.name = TG_ARGV[0] AND t.relation::oid IN (TG_RELID, pg_partition_root(TG_RELID)::oid)
      -- harca.embed_table has refused these, but types can be changed.
      AND harca.unsafe_key_column(TG_RELID, t.id_columns) IS NULL;
    IF NOT FOUND THEN
        RETURN NEW;
    END IF;
    key := (SELECT string_agg(format(CASE TG_LEVEL WHEN 'STATEMENT' THEN 'n.%I::text' ELSE '($2).%I::text' END, c), ', ')
            FROM unnest(target.id_columns) AS c);
    IF TG_OP = 'TRUNCATE' THEN
        -- At the end of a backfill what belongs to no row goes.
        UPDATE harca.embedded_table e SET is_backfilled = false, backfilled_to = NULL WHERE e.target = target.name;
    ELSIF TG_OP = 'DELETE' AND TG_LEVEL = 'STATEMENT' THEN
        EXECUTE format('INSERT INTO harca.embedding_queue (target, key) SELECT $1, jsonb_build_array(%s) FROM old_rows n', key)
            USING target.name;
    ELSIF TG_OP = 'DELETE' THEN
        EXECUTE format('INSERT INTO harca.embedding_queue (target, key) SELECT $1, jsonb_build_array(%s)', key)
            USING target.name, OLD;
    ELSIF TG_LEVEL = 'STATEMENT' THEN
        EXECUTE format('INSERT INTO harca.embedding_queue (target, key) SELECT $1, jsonb_build_array(%s) FROM new_rows n '
                       'WHERE n.%I IS NOT NULL AND ($2 OR n.%I IS NULL)', key, target.text_column, target.embedding_column)
            USING target.name, target.has_passages;
    ELSE
        EXECUTE format('INSERT INTO harca.embedding_queue (target, key) SELECT $1, jsonb_build_array(%s) '
                       'WHERE $3 OR ($2).%I IS NOT NULL AND ($4 OR ($2).%I IS NULL)', key, target.text_column, target.embedding_column)
            USING target.name, NEW, TG_OP = 'UPDATE', target.has_passages;
        IF TG_OP = 'UPDATE' AND target.has_passages THEN
            -- Passages of the key that the row had.
            EXECUTE format('INSERT INTO harca.embedding_queue (target, key) SELECT $1, f.key FROM (SELECT jsonb_build_array(%s)) AS f (key) '
                           'WHERE f.key <> jsonb_build_array(%s)',
                           key, (SELECT string_agg(format('($3).%I::text', c), ', ') FROM unnest(target.id_columns) AS c))
                USING target.name, OLD, NEW;
        END IF;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION harca.queue_embeddings() IS
'Trigger of embedded tables: queues rows that have come without an embedding, and those whose text or key has changed; with passages also those that came with one, and that have gone';

CREATE FUNCTION harca.embedding_trigger(target text, event text) RETURNS name
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    -- Triggers run in the order of their names: this one sees what the others have made of a row.
    SELECT pg_catalog.format('zzz_harca_embed_%s_%s', event, pg_catalog.to_hex(pg_catalog.hashtextextended(target, 0)))::name;
END;
COMMENT ON FUNCTION harca.embedding_trigger(text, text) IS
'The name of the trigger of an embedded table for an event: insert, update, delete or truncate';

CREATE FUNCTION harca.forget_embedded_table() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    attached record;
BEGIN
    DELETE FROM harca.embedding_queue q WHERE q.target = OLD.target;
    FOR attached IN
        SELECT t.tgname, t.tgrelid::regclass AS relation FROM pg_trigger t
        WHERE t.tgname = ANY (SELECT harca.embedding_trigger(OLD.target, e) FROM unnest('{insert,update,delete,truncate}'::text[]) AS e)
          AND t.tgfoid = 'harca.queue_embeddings'::regproc AND t.tgparentid = 0
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', attached.tgname, attached.relation);
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION harca.forget_embedded_table() IS
'Takes the triggers off a table that is embedded no more, and its rows out of the queue';
CREATE TRIGGER forget AFTER DELETE ON harca.embedded_table
    FOR EACH ROW EXECUTE FUNCTION harca.forget_embedded_table();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON harca.embedded_table
    FOR EACH ROW EXECUTE FUNCTION harca.guard_search_settings();
CREATE TRIGGER a_leave_out BEFORE INSERT ON harca.embedded_table
    FOR EACH ROW WHEN (harca.is_restoring()) EXECUTE FUNCTION harca.leave_out_orphan();
CREATE TRIGGER guard BEFORE UPDATE ON harca.embedding_queue
    FOR EACH ROW EXECUTE FUNCTION harca.guard_search_settings();
CREATE TRIGGER a_leave_out BEFORE INSERT ON harca.embedding_queue
    FOR EACH ROW WHEN (harca.is_restoring()) EXECUTE FUNCTION harca.leave_out_orphan();
SELECT pg_catalog.pg_extension_config_dump('harca.embedded_table', '');
SELECT pg_catalog.pg_extension_config_dump('harca.embedding_queue', '');
SELECT pg_catalog.pg_extension_config_dump('harca.embedding_queue_seq', '');

CREATE FUNCTION harca.call_embedding_worker() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'harca_call_embedding_worker';
COMMENT ON FUNCTION harca.call_embedding_worker() IS
'Has the worker of this database started, unless it runs, when the transaction commits';

CREATE FUNCTION harca.lock_embeddings(target text) RETURNS void
    LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
BEGIN ATOMIC
    -- Not the row of the target, which whoever writes its table may have locked.
    SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(target, 0));
END;
COMMENT ON FUNCTION harca.lock_embeddings(text) IS
'Lets the worker write no embeddings of a target until the transaction is over, which changes where they go: then it looks again';

CREATE FUNCTION harca.keep_embedded(target text, relation regclass, model text, rows_per_second real, chunking jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    kept harca.search_target;
    made record;
    kind "char";
    changed text;
    has_passages boolean;
BEGIN
    IF target IS NULL THEN
        RAISE EXCEPTION 'target must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name a search target, or a table.';
    END IF;
    SELECT * INTO kept FROM harca.search_target t WHERE t.name = target;
    IF NOT FOUND AND relation IS NULL THEN
        RAISE EXCEPTION 'search target "%" does not exist', target
            USING ERRCODE = 'undefined_object',
                  DETAIL = 'There is no table of this name either.',
                  HINT = 'Register the table with harca.register_search_target(name, relation).';
    ELSIF NOT FOUND THEN
        PERFORM harca.register_search_target(target, relation, embedding_model => model);
        SELECT * INTO STRICT kept FROM harca.search_target t WHERE t.name = target;
    ELSIF model IS NOT NULL THEN
        made := harca.embedding_model(model);
        IF kept.embedding_model <> made.model THEN
            RAISE EXCEPTION 'search target "%" has embeddings of the model "%"', target, kept.embedding_model
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = 'Call harca.change_embedding_model, or leave out the argument.';
        END IF;
        PERFORM harca.check_dimensions(kept.relation, kept.embedding_column, made.model, made.dimensions);
        UPDATE harca.search_target t SET embedding_model = made.model WHERE t.name = target;
        kept.embedding_model := made.model;
    END IF;
    IF kept.embedding_model IS NULL THEN
        RAISE EXCEPTION 'search target "%" has no embedding model', target
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Name the model with model => ''...''.';
    END IF;
    IF rows_per_second <= 0 THEN
        RAISE EXCEPTION 'rows_per_second % is out of range', rows_per_second
            USING ERRCODE = 'numeric_value_out_of_range', HINT = 'Use a number above 0, or null for no bound.';
    END IF;
    PERFORM harca.check_owner(kept.relation, 'have it embedded');
    SELECT c.relkind INTO kind FROM pg_class c WHERE c.oid = kept.relation::oid;
    IF kind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION '% cannot be embedded', kept.relation::regclass
            USING ERRCODE = 'wrong_object_type',
                  DETAIL = 'Only tables and partitioned tables can be kept in step.',
                  HINT = 'Have the table embedded that it is made of.';
    END IF;
    IF harca.unsafe_key_column(kept.relation, kept.id_columns) IS NOT NULL THEN
        RAISE EXCEPTION 'column "%" cannot identify rows that are embedded', harca.unsafe_key_column(kept.relation, kept.id_columns)
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'Its type is not one of PostgreSQL''s own, nor a domain over one.',
                  HINT = 'Register the target with another key of the table.';
    END IF;
    PERFORM harca.lock_embeddings(target);
    has_passages := harca.keep_passages(kept, chunking);
    DELETE FROM harca.embedded_table e WHERE e.target = target;
    INSERT INTO harca.embedded_table (target, rows_per_second) VALUES (target, rows_per_second);
    SELECT string_agg(format('OLD.%1$I IS DISTINCT FROM NEW.%1$I', c.name), ' OR ') INTO changed
    FROM unnest(kept.id_columns || kept.text_column) AS c (name);
    -- A trigger for each row, whose condition is looked at before anything is queued, costs an update of other columns a few
    -- hundredths; the rows before and after an update, which one for each statement would compare, have to be kept for it. A
    -- partitioned table has triggers for rows alone in its partitions, and of a row that moves between them one sees the change
    -- only before.
    EXECUTE format('CREATE TRIGGER %I %s UPDATE ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION harca.queue_embeddings(%L)',
                   harca.embedding_trigger(target, 'update'), CASE kind WHEN 'p' THEN 'BEFORE' ELSE 'AFTER' END,
                   kept.relation::regclass, changed, target);
    EXECUTE format('CREATE TRIGGER %I AFTER INSERT ON %s %s EXECUTE FUNCTION harca.queue_embeddings(%L)',
                   harca.embedding_trigger(target, 'insert'), kept.relation::regclass,
                   CASE kind WHEN 'p' THEN 'FOR EACH ROW' ELSE 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT' END, target);
    IF has_passages THEN
        EXECUTE format('CREATE TRIGGER %I AFTER DELETE ON %s %s EXECUTE FUNCTION harca.queue_embeddings(%L)',
                       harca.embedding_trigger(target, 'delete'), kept.relation::regclass,
                       CASE kind WHEN 'p' THEN 'FOR EACH ROW' ELSE 'REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT' END, target);
        EXECUTE format('CREATE TRIGGER %I AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION harca.queue_embeddings(%L)',
                       harca.embedding_trigger(target, 'truncate'), kept.relation::regclass, target);
    END IF;
    PERFORM harca.call_embedding_worker();
END
$$;
COMMENT ON FUNCTION harca.keep_embedded(text, regclass, text, real, jsonb) IS 'What harca.embed_table does; relation is the table of the target''s name';

CREATE FUNCTION harca.embed_table(
    target text, model text DEFAULT NULL, rows_per_second real DEFAULT NULL, chunking jsonb DEFAULT NULL
) RETURNS void
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    SELECT harca.keep_embedded(target, pg_catalog.to_regclass(target), model, rows_per_second, chunking);
END;
COMMENT ON FUNCTION harca.embed_table(text, text, real, jsonb) IS
'Keeps the embeddings of a search target in step with its text: a background worker embeds the rows that have none, at most rows_per_second of them, and from then on those that come without one or whose text changes; for the owner of the table. Where there is no such target, the table of that name is registered as one, with its default columns and this model. chunking, {"tokens": 256, "overlap": 32} for instance, has texts embedded in passages, which searches go by, in a table of their own beside the searched one; a row then has the mean of its passages as its embedding. Called again it begins anew with the rows that have none, and without chunking leaves that as it is';

CREATE FUNCTION harca.stop_embedding(target text) RETURNS boolean
    LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH gone AS (DELETE FROM harca.embedded_table e WHERE e.target = $1 RETURNING e.target),
         passages AS (DELETE FROM harca.passage_table p WHERE p.target IN (SELECT g.target FROM gone g))
    SELECT EXISTS (SELECT FROM gone);
END;
COMMENT ON FUNCTION harca.stop_embedding(text) IS
'Keeps the embeddings of a search target in step no more; they stay as they are, but for passages, which are dropped. False when they were not, or the table is another''s';

CREATE FUNCTION harca.retry_embeddings(target text) RETURNS bigint
    LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH again AS (
        UPDATE harca.embedding_queue q SET attempts = 0, not_before = NULL
        WHERE q.target = $1 AND q.attempts > 0
        RETURNING q.target
    )
    SELECT count(*) FROM again;
END;
COMMENT ON FUNCTION harca.retry_embeddings(text) IS
'Has the rows of a search target tried again that could not be embedded, and says how many; for the owner of the table';

CREATE VIEW harca.embedding_failures AS
SELECT q.target, q.key, q.attempts, q.not_before AS next_attempt, q.error, q.queued_at
FROM harca.embedding_queue AS q
JOIN harca.search_target AS t ON t.name = q.target
WHERE q.attempts > 0 AND harca.owns(t.relation);
COMMENT ON VIEW harca.embedding_failures IS
'Rows of the current user''s tables that could not be embedded, and why. After six attempts next_attempt is null: the row waits for harca.retry_embeddings';

CREATE VIEW harca.embedding_progress AS
SELECT p.target, p.model, p.state, p.rows, p.done, p.pending, p.failed, p.per_second,
       CASE WHEN p.pending > 0 AND p.per_second > 0
            THEN pg_catalog.now() + pg_catalog.make_interval(secs => p.pending / least(p.per_second, p.bound)) END AS expected_end,
       p.failure, p.failed_at
FROM (
    SELECT e.target, t.embedding_model AS model,
           CASE WHEN e.failure IS NOT NULL THEN 'failing'
                WHEN NOT e.is_backfilled THEN 'backfill'
                WHEN q.waiting > 0 THEN 'working'
                ELSE 'in step' END AS state,
           e.rows, e.embedded AS done,
           q.waiting + CASE WHEN e.is_backfilled THEN 0 ELSE greatest(e.rows - e.backfilled, 0) END AS pending,
           q.failed, e.per_second, coalesce(e.rows_per_second, 'infinity') AS bound, e.failure, e.failed_at
    FROM harca.embedded_table AS e
    JOIN harca.search_target AS t ON t.name = e.target
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT q.key) FILTER (WHERE q.attempts = 0 OR q.not_before IS NOT NULL) AS waiting,
               count(DISTINCT q.key) FILTER (WHERE q.attempts > 0 AND q.not_before IS NULL) AS failed
        FROM harca.embedding_queue AS q WHERE q.target = e.target
    ) AS q
    WHERE harca.owns(t.relation) OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
) AS p;
COMMENT ON VIEW harca.embedding_progress IS
'How far the embeddings of a table are in step with its text, for its owner and pg_monitor. state: backfill, rows that were there before are embedded; working; in step; or failing, failure says why and it is tried again. rows were there before without an embedding; done have been embedded since, whenever they came; pending wait; failed have failed six times (harca.embedding_failures); per_second of late. When nothing is left to do, a notification goes out on the channel harca_embedding, with the name of the target';
