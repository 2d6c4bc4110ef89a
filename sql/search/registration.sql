CREATE FUNCTION harca.qualified_name(config regconfig) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT pg_catalog.format('%I.%I', n.nspname, c.cfgname)
    FROM pg_catalog.pg_ts_config c JOIN pg_catalog.pg_namespace n ON n.oid = c.cfgnamespace
    WHERE c.oid = $1;
END;
COMMENT ON FUNCTION harca.qualified_name(regconfig) IS
'The schema-qualified name of a text search configuration';

CREATE FUNCTION harca.check_dimensions(relation regclass, embedding_column name, model text, dimensions integer) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    width integer;
BEGIN
    SELECT CASE WHEN a.atttypmod > 0 THEN a.atttypmod ELSE t.typtypmod END INTO width
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = relation AND a.attname = embedding_column;
    IF width > 0 AND width <> dimensions THEN
        RAISE EXCEPTION 'column "%" of table % has % dimensions, model "%" makes %', embedding_column, relation, width, model, dimensions
            USING ERRCODE = 'data_exception',
                  HINT = 'Name the model that has embedded the rows, or make the column one of as many dimensions.';
    END IF;
END
$$;
COMMENT ON FUNCTION harca.check_dimensions(regclass, name, text, integer) IS
'Raises an error where a column of embeddings has another number of dimensions than a model''s vectors';

CREATE FUNCTION harca.register_search_target(
    name text,
    relation regclass,
    id_column name DEFAULT 'id',
    text_column name DEFAULT 'content',
    tsvector_column name DEFAULT 'tsv',
    embedding_column name DEFAULT 'embedding',
    config regconfig DEFAULT '@extschema@.harca',
    distance text DEFAULT 'cosine',
    vector_weight real DEFAULT 0.55,
    replace boolean DEFAULT false,
    calibration text DEFAULT 'on',
    query_config regconfig DEFAULT NULL,
    id_columns name[] DEFAULT NULL,
    embedding_model text DEFAULT NULL
) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    made record;
BEGIN
    id_columns := coalesce(id_columns, ARRAY[id_column]);
    IF name IS NULL OR relation IS NULL OR array_position(id_columns, NULL) > 0 OR cardinality(id_columns) = 0 OR text_column IS NULL OR tsvector_column IS NULL
        OR embedding_column IS NULL OR config IS NULL OR distance IS NULL OR vector_weight IS NULL OR calibration IS NULL OR name = '' THEN
        RAISE EXCEPTION 'arguments of register_search_target must not be null or empty'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Leave out an argument to get its default.';
    END IF;
    IF distance NOT IN ('cosine', 'l2', 'inner_product') THEN
        RAISE EXCEPTION 'distance "%" is not known', distance
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Use cosine, l2 or inner_product, as the index on the embedding column does.';
    END IF;
    IF NOT vector_weight BETWEEN 0 AND 1 THEN
        RAISE EXCEPTION 'vector_weight % is out of range', vector_weight
            USING ERRCODE = 'numeric_value_out_of_range',
                  HINT = 'Use a number from 0 (keyword leg only) to 1 (vector leg only).';
    END IF;
    IF calibration NOT IN ('on', 'scales', 'off') THEN
        RAISE EXCEPTION 'calibration "%" is not known', calibration
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Use on, scales (the weights are fixed) or off.';
    END IF;
    PERFORM harca.check_relation(relation);
    PERFORM harca.check_owner(relation, 'register it');
    PERFORM harca.check_column(relation, c.name, 'id', '{}') FROM unnest(id_columns) AS c (name);
    PERFORM harca.check_column(relation, text_column, 'text', '{}');
    PERFORM harca.check_column(relation, tsvector_column, 'tsvector', '{tsvector}');
    PERFORM harca.check_column(relation, embedding_column, 'embedding', '{vector,halfvec}');
    PERFORM harca.check_key(relation, id_columns);
    IF embedding_model IS NOT NULL THEN
        -- The name with its version: a version that is registered later makes other vectors than the rows have.
        made := harca.embedding_model(embedding_model);
        embedding_model := made.model;
        PERFORM harca.check_dimensions(relation, embedding_column, made.model, made.dimensions);
    END IF;
    IF query_config IS NULL THEN
        query_config := CASE config WHEN '@extschema@.harca'::regconfig THEN '@extschema@.harca_query'::regconfig
                                    WHEN '@extschema@.harca_kana'::regconfig THEN '@extschema@.harca_kana_query'::regconfig
                                    ELSE config END;
    END IF;
    IF replace THEN
        DELETE FROM harca.search_target t WHERE t.name = name;
    END IF;
    IF EXISTS (SELECT FROM harca.search_target t WHERE t.name = name) THEN
        RAISE EXCEPTION 'search target "%" already exists', name
            USING ERRCODE = 'duplicate_object',
                  HINT = 'Pass replace => true to register it anew, or choose another name.';
    END IF;
    INSERT INTO harca.search_target AS t
        (name, relation, id_columns, text_column, tsvector_column, embedding_column, config, query_config, distance,
         vector_weight, calibration, parser_version, embedding_model)
    VALUES (name, relation, id_columns, text_column, tsvector_column, embedding_column,
            harca.qualified_name(config), harca.qualified_name(query_config), distance, vector_weight, calibration,
            CASE WHEN harca.is_own_parser(config) THEN harca.parser_version() END, embedding_model);
    PERFORM harca.reset_calibration(name);
    -- The table's own weight says how good its embeddings are. A code or name that few documents have is what is looked
    -- for; the types alone gain nothing from weights of their own (docs/SEARCH_QUALITY.md).
    INSERT INTO harca.search_profile AS p
    SELECT name, d.query_type, greatest(0, least(1, round(vector_weight::numeric, 4) + d.shift))
    FROM (VALUES ('exact term', -0.45), ('keyword', 0), ('hybrid', 0), ('semantic', 0), ('unknown', 0)) AS d (query_type, shift);
    PERFORM harca.refresh_search_statistics(name);
END
$$;
COMMENT ON FUNCTION harca.register_search_target(text, regclass, name, name, name, name, regconfig, text, real, boolean, text, regconfig, name[], text) IS
'Makes a table searchable by hybrid_search under a name, with the default weights per query type, and builds its statistics; for the owner of the table. replace => true drops a former registration with its weights. calibration says what becomes of what searches tell of the table: on, scales (the weights are fixed) or off. query_config is the text search configuration of queries; without it, that which belongs to config: harca_query to harca, harca_kana_query to harca_kana, and any other one to itself. id_columns names several columns that identify a row together, in the place of id_column. embedding_model is the model that has embedded the rows: hybrid_search then embeds the queries that come without an embedding';

CREATE FUNCTION harca.drop_search_target(name text) RETURNS boolean
    LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH gone AS (DELETE FROM harca.search_target t WHERE t.name = $1 RETURNING t.name)
    SELECT EXISTS (SELECT FROM gone);
END;
COMMENT ON FUNCTION harca.drop_search_target(text) IS
'Takes a search target and its weights out; the table stays as it is. False when there was none, or it belongs to another''s table';
