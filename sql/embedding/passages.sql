CREATE FUNCTION harca.read_chunking(chunking jsonb, model text, most integer, OUT tokens integer, OUT overlap integer) RETURNS record
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    strange text;
BEGIN
    IF jsonb_typeof(chunking) <> 'object' THEN
        RAISE EXCEPTION 'chunking must be a JSON object'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'For instance {"tokens": 256, "overlap": 32}.';
    END IF;
    SELECT m.key INTO strange FROM jsonb_each(chunking) AS m
    WHERE m.key NOT IN ('tokens', 'overlap') OR m.value::text !~ '^[0-9]{1,9}$' ORDER BY m.key LIMIT 1;
    IF strange IN ('tokens', 'overlap') THEN
        RAISE EXCEPTION '"%" of chunking must be a whole number', strange
            USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', chunking -> strange),
                  HINT = 'For instance {"tokens": 256, "overlap": 32}.';
    ELSIF strange IS NOT NULL THEN
        RAISE EXCEPTION '"%" is nothing that chunking has', strange
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It has tokens and overlap.';
    END IF;
    tokens := coalesce((chunking ->> 'tokens')::integer, least(256, most));
    IF tokens NOT BETWEEN 16 AND most THEN
        RAISE EXCEPTION 'passages of % tokens are out of range', tokens
            USING ERRCODE = 'numeric_value_out_of_range',
                  DETAIL = format('Model "%s" reads %s tokens of a text.', model, most),
                  HINT = 'Use a number from 16 to that.';
    END IF;
    overlap := coalesce((chunking ->> 'overlap')::integer, tokens / 8);
    IF overlap > tokens / 2 THEN
        RAISE EXCEPTION 'overlap of % tokens is out of range', overlap
            USING ERRCODE = 'numeric_value_out_of_range',
                  DETAIL = format('A passage has %s.', tokens),
                  HINT = 'Use a number up to half of that.';
    END IF;
END
$$;
COMMENT ON FUNCTION harca.read_chunking(jsonb, text, integer) IS
'What the argument chunking of harca.embed_table says, for a model that reads so many tokens; an error where it says nothing that can be done';

CREATE FUNCTION harca.create_passages(target harca.search_target, dimensions integer) RETURNS regclass
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    searched record;
    kind record;
    keys text;
    columns text;
    passages text;
BEGIN
    SELECT n.nspname, c.relname, c.relowner::regrole AS owner, c.relpersistence INTO STRICT searched
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target.relation::oid;
    SELECT n.nspname, t.typname INTO STRICT kind
    FROM pg_attribute a JOIN pg_type t ON t.oid = harca.base_type(a.atttypid) JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE a.attrelid = target.relation::oid AND a.attname = target.embedding_column;
    -- Of the type that a domain is made of: its constraints are for what is stored in the table itself.
    SELECT string_agg(format('key%s', k.place), ', ' ORDER BY k.place),
           string_agg(format('key%s %s%s NOT NULL', k.place, format_type(harca.base_type(a.atttypid), -1),
                             (SELECT format(' COLLATE %I.%I', n.nspname, c.collname)
                              FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = a.attcollation)),
                      ', ' ORDER BY k.place)
    INTO keys, columns
    FROM unnest(target.id_columns) WITH ORDINALITY AS k (name, place)
    JOIN pg_attribute a ON a.attrelid = target.relation::oid AND a.attname = k.name;
    SELECT format('%I.%I', searched.nspname, free.name) INTO passages
    FROM (SELECT left(searched.relname, 50) || '_passages' || coalesce(nullif(n, 1)::text, '') AS name, n
          FROM generate_series(1, 1000) AS n) AS free
    WHERE to_regclass(format('%I.%I', searched.nspname, free.name)) IS NULL
    ORDER BY free.n LIMIT 1;
    EXECUTE format('CREATE %s TABLE %s (%s, passage integer, passage_start integer NOT NULL, passage_length integer NOT NULL, '
                   'text_hash bigint NOT NULL, embedding %I.%I(%s) NOT NULL, PRIMARY KEY (%s, passage))',
                   CASE searched.relpersistence WHEN 'u' THEN 'UNLOGGED' END, passages, columns, kind.nspname, kind.typname,
                   dimensions, keys);
    EXECUTE format('COMMENT ON TABLE %s IS %L', passages,
                   format('Passages of the search target "%s", kept by pg_harca; see harca.passage_table', target.name));
    -- What an index of pgvector takes.
    IF dimensions <= (CASE kind.typname WHEN 'halfvec' THEN 4000 ELSE 2000 END) THEN
        EXECUTE format('CREATE INDEX ON %s USING hnsw (embedding %I.%I)', passages, kind.nspname,
                       format('%s_%s_ops', kind.typname, CASE target.distance WHEN 'inner_product' THEN 'ip' ELSE target.distance END));
    END IF;
    -- Whoever may read a row sees its passages in a search, and nowhere else.
    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', passages);
    EXECUTE format('GRANT SELECT ON %s TO PUBLIC', passages);
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', passages);
    EXECUTE format('CREATE POLICY harca_search ON %s FOR SELECT USING (harca.is_searched(tableoid))', passages);
    IF searched.owner <> current_user::regrole THEN
        EXECUTE format('ALTER TABLE %s OWNER TO %s', passages, searched.owner);
    END IF;
    RETURN passages::regclass;
END
$$;
COMMENT ON FUNCTION harca.create_passages(harca.search_target, integer) IS
'Creates the table of the passages of a target, with its indexes, beside the searched table and for its owner';

CREATE FUNCTION harca.use_passages(target text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE harca.passage_table p SET in_use = true WHERE p.target = target AND NOT p.in_use;
    IF FOUND THEN
        -- What was learned of the embeddings of rows says nothing of those of passages.
        PERFORM harca.refresh_search_statistics(target);
        PERFORM harca.reset_calibration(target);
    END IF;
END
$$;
COMMENT ON FUNCTION harca.use_passages(text) IS
'Lets searches go by the passages of a target, which are all there, unless they do; called by the worker, with the rights of the owner of the table';

CREATE FUNCTION harca.keep_passages(target harca.search_target, chunking jsonb) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept harca.passage_table;
    made record;
    wanted record;
BEGIN
    SELECT * INTO kept FROM harca.passage_table p WHERE p.target = target.name;
    IF chunking IS NULL THEN
        RETURN kept.target IS NOT NULL;
    END IF;
    made := harca.embedding_model(target.embedding_model);
    wanted := harca.read_chunking(chunking, made.model, made.tokens);
    IF (kept.tokens, kept.overlap) = (wanted.tokens, wanted.overlap) THEN
        RETURN true;
    END IF;
    IF current_setting('server_encoding') = 'SQL_ASCII' THEN
        RAISE EXCEPTION 'texts of this database cannot be cut into passages'
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'Its encoding is SQL_ASCII: nobody knows what characters they are made of.',
                  HINT = 'Create the database with the encoding of its texts.';
    END IF;
    -- An array as a part of a key is written in one way in an id, and in another as the text that it is read from.
    IF cardinality(target.id_columns) > 1 AND EXISTS (
        SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = harca.base_type(a.atttypid)
        WHERE a.attrelid = target.relation::oid AND a.attname = ANY (target.id_columns) AND t.typcategory = 'A')
    THEN
        RAISE EXCEPTION 'rows of search target "%" cannot have passages', target.name
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'One of the columns that identify them together is an array.',
                  HINT = 'Register the target with another key of the table.';
    END IF;
    DELETE FROM harca.passage_table p WHERE p.target = target.name;
    INSERT INTO harca.passage_table
    VALUES (target.name, harca.create_passages(target, made.dimensions), wanted.tokens, wanted.overlap);
    RETURN true;
END
$$;
COMMENT ON FUNCTION harca.keep_passages(harca.search_target, jsonb) IS
'Gives a target passages by what chunking says, unless it has such; null leaves it as it is. Whether it has passages';
