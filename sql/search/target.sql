CREATE FUNCTION harca.owns(relation regclass) RETURNS boolean
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce((SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE') FROM pg_catalog.pg_class c WHERE c.oid = $1),
                    -- The table is gone: whoever finds the row may tidy it away.
                    true);
END;

COMMENT ON FUNCTION harca.owns(regclass) IS
'Whether the current user has the rights of the owner of a table; true when the table is gone';

CREATE FUNCTION harca.check_owner(relation regclass, action text) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT harca.owns(relation) THEN
        RAISE EXCEPTION 'must be owner of table %', relation
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('Ask the owner of the table to %s.', action);
    END IF;
END
$$;
COMMENT ON FUNCTION harca.check_owner(regclass, text) IS
'Raises an error unless the current user has the rights of the owner of a table, and says what the owner should do';

-- What stands for a table in a dump is its name, as a regclass has it. Of a regclass that is not there COPY reads nothing at
-- all, and every registration would be lost with that of one table.
CREATE TYPE harca.searched_table;
CREATE FUNCTION harca.searched_table_in(cstring) RETURNS harca.searched_table
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'harca_searched_table_in';
COMMENT ON FUNCTION harca.searched_table_in(cstring) IS 'Input function of harca.searched_table';
CREATE FUNCTION harca.searched_table_out(harca.searched_table) RETURNS cstring
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'harca_searched_table_out';
COMMENT ON FUNCTION harca.searched_table_out(harca.searched_table) IS 'Output function of harca.searched_table';
CREATE TYPE harca.searched_table (INPUT = harca.searched_table_in, OUTPUT = harca.searched_table_out, LIKE = oid);
COMMENT ON TYPE harca.searched_table IS
'A table, as a regclass, which it is cast to; what names no table is read as one that is not there, and that is written as "-"';
CREATE CAST (harca.searched_table AS regclass) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (harca.searched_table AS oid) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (regclass AS harca.searched_table) WITHOUT FUNCTION AS ASSIGNMENT;
COMMENT ON CAST (harca.searched_table AS regclass) IS 'The table, or an object identifier of 0 where it is not there';
COMMENT ON CAST (harca.searched_table AS oid) IS 'The object identifier of the table, 0 where it is not there';
COMMENT ON CAST (regclass AS harca.searched_table) IS 'The same table';

-- A regconfig column would forbid pg_upgrade, so configurations are stored as qualified names.
CREATE TABLE harca.search_target (
    name text PRIMARY KEY CHECK (name <> ''),
    relation harca.searched_table NOT NULL,
    id_columns name[] NOT NULL CHECK (pg_catalog.cardinality(id_columns) > 0),
    text_column name NOT NULL,
    tsvector_column name NOT NULL,
    embedding_column name NOT NULL,
    config text NOT NULL,
    query_config text NOT NULL,
    distance text NOT NULL CHECK (distance IN ('cosine', 'l2', 'inner_product')),
    vector_weight real NOT NULL CHECK (vector_weight BETWEEN 0 AND 1),
    k1 double precision NOT NULL DEFAULT 0.9 CHECK (k1 BETWEEN 0 AND 100),
    b double precision NOT NULL DEFAULT 0.4 CHECK (b BETWEEN 0 AND 1),
    calibration text NOT NULL DEFAULT 'on' CHECK (calibration IN ('on', 'scales', 'off')),
    parser_version integer,
    embedding_model text
);
COMMENT ON TABLE harca.search_target IS 'Tables that hybrid_search can search; edited by harca.register_search_target';
COMMENT ON COLUMN harca.search_target.name IS 'What hybrid_search calls it';
COMMENT ON COLUMN harca.search_target.relation IS 'Table, partitioned table or materialized view';
COMMENT ON COLUMN harca.search_target.id_columns IS 'Columns that identify a row: one is returned as text, several as a JSON array';
COMMENT ON COLUMN harca.search_target.text_column IS 'Column with the text itself';
COMMENT ON COLUMN harca.search_target.tsvector_column IS 'Column of type tsvector, with a GIN index';
COMMENT ON COLUMN harca.search_target.embedding_column IS 'Column of pgvector''s type vector or halfvec, with an HNSW or IVFFlat index';
COMMENT ON COLUMN harca.search_target.config IS 'Text search configuration that fills the tsvector column';
COMMENT ON COLUMN harca.search_target.query_config IS 'Text search configuration for queries; where it leaves nothing of a query, config is used';
COMMENT ON COLUMN harca.search_target.distance IS 'cosine, l2 or inner_product: the one that the index was built for';
COMMENT ON COLUMN harca.search_target.vector_weight IS 'Weight of the vector leg, from 0 to 1, for types without one of their own';
COMMENT ON COLUMN harca.search_target.k1 IS 'Parameter of BM25: how much the repetition of a word counts, from 0 to 100';
COMMENT ON COLUMN harca.search_target.b IS 'Parameter of BM25: how much the length of a document is held against it, from 0 to 1';
COMMENT ON COLUMN harca.search_target.parser_version IS 'Version of the parser "harca" that has cut what the tsvector column holds; null for configurations of other parsers. A column that is made in a way of your own is yours to say this of, once it is made anew';
COMMENT ON COLUMN harca.search_target.embedding_model IS 'Name and version of the model, of those in harca.models, that has embedded the rows, and embeds queries that come without an embedding; null: the application does';
COMMENT ON COLUMN harca.search_target.calibration IS 'What becomes of what searches tell of the table: "on", weights and scales go by it; "scales", the weights are fixed, as they are after harca.tune_search; "off", nothing. harca.stat_search_target shows what it is';

CREATE TABLE harca.search_profile (
    target text REFERENCES harca.search_target (name) ON UPDATE CASCADE ON DELETE CASCADE,
    query_type text CHECK (query_type <> ''),
    vector_weight real NOT NULL CHECK (vector_weight BETWEEN 0 AND 1),
    PRIMARY KEY (target, query_type)
);
COMMENT ON TABLE harca.search_profile IS
'The weight of the vector leg for each query type of a target. The weight of a query is their mean, weighted by the probabilities of the types. Edit it freely';
COMMENT ON COLUMN harca.search_profile.target IS 'Search target';
COMMENT ON COLUMN harca.search_profile.query_type IS 'A label of the model, or "exact term", which takes the place of "keyword" for a query with a word that few documents have; labels without a row have the vector_weight of the target';
COMMENT ON COLUMN harca.search_profile.vector_weight IS 'From 0, keyword leg only, to 1, vector leg only';

CREATE FUNCTION harca.is_restoring() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT pg_catalog.current_setting('check_function_bodies') = 'off';
END;
COMMENT ON FUNCTION harca.is_restoring() IS
'Whether the session seems to restore a dump: every script of pg_dump, and every session of pg_restore, sets check_function_bodies off';

CREATE FUNCTION harca.leave_out_orphan() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN EXISTS (SELECT FROM harca.search_target t WHERE t.name = NEW.target) THEN NEW END;
END
$$;
COMMENT ON FUNCTION harca.leave_out_orphan() IS
'Leaves out of a restore what belongs to a search target that was left out, for its table was; the foreign key would refuse all of it';

-- Everybody sees what can be searched; the owner of a table decides whether and how it is searched. A trigger and not
-- row-level security, as pg_dump refuses tables with policies to everybody but superusers and their owners.
CREATE FUNCTION harca.guard_search_settings() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Null for the profile of a target that is just being deleted: whoever deletes the one deletes the other.
    former regclass;
    later regclass;
BEGIN
    IF TG_TABLE_NAME = 'search_target' THEN
        former := CASE WHEN TG_OP <> 'INSERT' THEN OLD.relation END;
        later := CASE WHEN TG_OP <> 'DELETE' THEN NEW.relation END;
        IF later = 0 AND harca.is_restoring() THEN
            RAISE WARNING 'search target "%" is left out', NEW.name
                USING DETAIL = 'Its table is not in this database.',
                      HINT = 'Restore the table and register it with harca.register_search_target.';
            RETURN NULL;
        ELSIF later = 0 THEN
            RAISE EXCEPTION 'table of search target "%" does not exist', NEW.name
                USING ERRCODE = 'undefined_table',
                      HINT = 'Register a table with harca.register_search_target.';
        END IF;
    ELSE
        former := (SELECT t.relation FROM harca.search_target t WHERE TG_OP <> 'INSERT' AND t.name = OLD.target);
        later := (SELECT t.relation FROM harca.search_target t WHERE TG_OP <> 'DELETE' AND t.name = NEW.target);
    END IF;
    IF NOT harca.owns(former) THEN
        RETURN NULL;
    END IF;
    PERFORM harca.check_owner(later, 'register it');
    RETURN coalesce(NEW, OLD);
END
$$;
COMMENT ON FUNCTION harca.guard_search_settings() IS
'Lets nobody but the owner of a table write its search target and profile: rows of others stay as they are, and new rows for tables of others are refused';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON harca.search_target
    FOR EACH ROW EXECUTE FUNCTION harca.guard_search_settings();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON harca.search_profile
    FOR EACH ROW EXECUTE FUNCTION harca.guard_search_settings();
CREATE TRIGGER a_leave_out BEFORE INSERT ON harca.search_profile
    FOR EACH ROW WHEN (harca.is_restoring()) EXECUTE FUNCTION harca.leave_out_orphan();

CREATE FUNCTION harca.announce_target() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'harca_announce_target';
COMMENT ON FUNCTION harca.announce_target() IS
'Tells every session of the database, and of its replicas, that search targets have changed, when the transaction commits';
-- For each row and always: it must fire where a subscription applies changes, which it does row by row.
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON harca.search_target
    FOR EACH ROW EXECUTE FUNCTION harca.announce_target();
ALTER TABLE harca.search_target ENABLE ALWAYS TRIGGER announce;
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON harca.search_profile
    FOR EACH ROW EXECUTE FUNCTION harca.announce_target();
ALTER TABLE harca.search_profile ENABLE ALWAYS TRIGGER announce;

CREATE FUNCTION harca.forget_dropped_tables() RETURNS event_trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM harca.search_target t USING pg_event_trigger_dropped_objects() d
    WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND d.objid = t.relation;
END
$$;
COMMENT ON FUNCTION harca.forget_dropped_tables() IS
'Takes the search targets of a table out with the table, and with them their weights, statistics, feedback and tuning: another table may have its object identifier one day';
CREATE EVENT TRIGGER harca_forget_dropped_tables ON sql_drop EXECUTE FUNCTION harca.forget_dropped_tables();
COMMENT ON EVENT TRIGGER harca_forget_dropped_tables IS 'Ends the registration of a table that is dropped';

SELECT pg_catalog.pg_extension_config_dump('harca.search_target', '');
SELECT pg_catalog.pg_extension_config_dump('harca.search_profile', '');

CREATE FUNCTION harca.check_relation(relation regclass) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Not a view: its functions would run with the rights of whoever searches.
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND c.relkind IN ('r', 'p', 'm', 'f')) THEN
        RAISE EXCEPTION '% cannot be searched', relation
            USING ERRCODE = 'wrong_object_type',
                  DETAIL = 'A search target is a table, partitioned table, foreign table or materialized view.';
    END IF;
    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND c.relpersistence = 't') THEN
        RAISE EXCEPTION 'temporary table % cannot be searched', relation
            USING ERRCODE = 'wrong_object_type',
                  DETAIL = 'It goes with its session, and the registration would stay.',
                  HINT = 'Register a table that stays; it may be unlogged.';
    END IF;
END
$$;
COMMENT ON FUNCTION harca.check_relation(regclass) IS
'Raises an error unless the relation is of a kind that can be searched, and lasts';

CREATE FUNCTION harca.base_type(type oid) RETURNS oid
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    WITH RECURSIVE base (type, kind) AS (
        SELECT t.oid, t.typtype FROM pg_catalog.pg_type t WHERE t.oid = $1
        UNION ALL
        SELECT t.oid, t.typtype
        FROM base JOIN pg_catalog.pg_type d ON d.oid = base.type JOIN pg_catalog.pg_type t ON t.oid = d.typbasetype
        WHERE base.kind = 'd'
    )
    SELECT b.type FROM base b WHERE b.kind <> 'd';
END;
COMMENT ON FUNCTION harca.base_type(oid) IS 'The type that a domain is made of, or the type itself';

CREATE FUNCTION harca.check_column(
    relation regclass, column_name name, role text, types text[]
) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found text;
    known boolean;
BEGIN
    -- A type counts by what it is, not by its name alone: anybody can create a type called vector, with operators that
    -- would run with the rights of whoever searches. A domain is what it is made of: its constraints are for what is stored.
    SELECT ty.typname,
           ty.typname = ANY (types)
           AND (ty.typnamespace = 'pg_catalog'::regnamespace
                OR EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                           WHERE d.classid = 'pg_type'::regclass AND d.objid = ty.oid AND d.deptype = 'e'
                             AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'vector'))
    INTO found, known
    FROM pg_attribute a JOIN pg_type ty ON ty.oid = harca.base_type(a.atttypid)
    WHERE a.attrelid = relation AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped;
    IF found IS NULL THEN
        RAISE EXCEPTION 'column "%" of table % does not exist', column_name, relation
            USING ERRCODE = 'undefined_column',
                  DETAIL = format('It was given as the %s column of a search target.', role),
                  HINT = format('Name the %s column with %I => ''...'' in harca.register_search_target.', role, role || '_column');
    ELSIF NOT known AND cardinality(types) > 0 THEN
        RAISE EXCEPTION 'column "%" of table % cannot be the % column', column_name, relation, role
            USING ERRCODE = 'datatype_mismatch',
                  DETAIL = format('Its type is %s, expected PostgreSQL''s or pgvector''s %s.', found, array_to_string(types, ' or ')),
                  HINT = 'Name a column of that type, or add one to the table.';
    END IF;
END
$$;
COMMENT ON FUNCTION harca.check_column(regclass, name, text, text[]) IS
'Raises an error unless the table has the column and its type is one of the given ones (any type when none is given)';

CREATE FUNCTION harca.check_key(relation regclass, id_columns name[]) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind constant "char" := (SELECT c.relkind FROM pg_class c WHERE c.oid = relation);
    -- Whether what makes its keys unique is among the id columns; the primary key first.
    keys constant jsonb := (
        SELECT jsonb_agg(jsonb_build_object('columns', k.columns, 'covered', k.columns <@ id_columns)
                         ORDER BY i.indisprimary DESC, i.indexrelid)
        FROM pg_index i,
             LATERAL (SELECT array_agg(a.attname ORDER BY n.place) AS columns
                      FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS n (attnum, place)
                      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = n.attnum
                      WHERE n.place <= i.indnkeyatts) AS k
        WHERE i.indrelid = relation AND i.indisunique AND i.indisvalid AND i.indexprs IS NULL AND i.indpred IS NULL);
    open_column name;
BEGIN
    -- A foreign table has no indexes: who owns it vouches for them.
    IF kind = 'f' THEN
        RETURN;
    END IF;
    IF NOT jsonb_path_exists(coalesce(keys, '[]'), '$[*] ? (@.covered == true)') THEN
        RAISE EXCEPTION 'no unique index covers the id of table %', relation
            USING ERRCODE = 'invalid_column_reference',
                  DETAIL = format('Rows with equal values in %s would be taken for one.', array_to_string(id_columns, ', ')),
                  HINT = CASE WHEN keys IS NULL
                      THEN format('Create one: CREATE UNIQUE INDEX ON %s (%s).', relation,
                                  (SELECT string_agg(quote_ident(c.name), ', ') FROM unnest(id_columns) AS c (name)))
                      ELSE format('Name the columns of one that there is: id_columns => %L.',
                                  ARRAY(SELECT jsonb_array_elements_text(keys #> '{0,columns}'))) END;
    END IF;
    -- Columns of a materialized view cannot be declared so; searches leave its rows without an id out.
    SELECT a.attname INTO open_column FROM pg_attribute a
    WHERE kind <> 'm' AND a.attrelid = relation AND a.attname = ANY (id_columns) AND NOT a.attnotnull;
    IF FOUND THEN
        RAISE EXCEPTION 'column "%" of table % may be null', open_column, relation
            USING ERRCODE = 'invalid_column_reference',
                  DETAIL = 'A row without an id cannot be told from another one.',
                  HINT = format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL, or name other columns.', relation, open_column);
    END IF;
END
$$;
COMMENT ON FUNCTION harca.check_key(regclass, name[]) IS
'Raises an error unless a unique index of a table, and no null, says that columns tell its rows apart';

CREATE FUNCTION harca.search_target_row(name text) RETURNS harca.search_target
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    target harca.search_target;
BEGIN
    SELECT t.* INTO target FROM harca.search_target t WHERE t.name = name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'search target "%" does not exist', name
            USING ERRCODE = 'undefined_object',
                  HINT = 'Register the table with harca.register_search_target(name, relation), or see harca.search_target for what there is.';
    END IF;
    -- Not by the snapshot, which may be one of before.
    IF target.relation::text = '-' THEN
        RAISE EXCEPTION 'table of search target "%" no longer exists', name
            USING ERRCODE = 'undefined_table',
                  DETAIL = format('It had the object identifier %s.', target.relation::oid),
                  HINT = 'Register the new table with replace => true, or call harca.drop_search_target(name).';
    END IF;
    -- Checked again, although registering does: the owner of a table may write the row by hand, and tables change.
    PERFORM harca.check_relation(target.relation);
    PERFORM harca.check_column(target.relation, c.name, 'id', '{}') FROM unnest(target.id_columns) AS c (name);
    PERFORM harca.check_column(target.relation, target.tsvector_column, 'tsvector', '{tsvector}');
    PERFORM harca.check_column(target.relation, target.embedding_column, 'embedding', '{vector,halfvec}');
    RETURN target;
END
$$;
COMMENT ON FUNCTION harca.search_target_row(text) IS
'A search target whose table and columns are there; an error else';

CREATE FUNCTION harca.distance_sql(target harca.search_target, embedding text, other text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT pg_catalog.format('%s OPERATOR(%I.%s) %s::%I.%I', $2, n.nspname,
                             CASE ($1).distance WHEN 'cosine' THEN '<=>' WHEN 'l2' THEN '<->' ELSE '<#>' END,
                             $3, n.nspname, ty.typname)
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_type ty ON ty.oid = harca.base_type(a.atttypid)
    JOIN pg_catalog.pg_namespace n ON n.oid = ty.typnamespace
    WHERE a.attrelid = ($1).relation AND a.attname = ($1).embedding_column;
END;
COMMENT ON FUNCTION harca.distance_sql(harca.search_target, text, text) IS
'The SQL of the distance between two embeddings of a target, which are given as SQL themselves';

CREATE FUNCTION harca.check_embedding(target harca.search_target, embedding vector) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- pgvector keeps the dimension as the type modifier; -1 is any.
    dimensions constant integer := (
        SELECT a.atttypmod FROM pg_attribute a
        WHERE a.attrelid = target.relation AND a.attname = target.embedding_column);
    given integer;
BEGIN
    -- The length of the text form is not asked for: vector_dims may live in any schema, the cast to an array does not.
    given := cardinality(embedding::real[]);
    IF dimensions > 0 AND given <> dimensions THEN
        RAISE EXCEPTION 'embedding has % dimensions, search target "%" has %', given, target.name, dimensions
            USING ERRCODE = 'data_exception',
                  HINT = 'Embed the query with the model that embedded the table.';
    END IF;
END
$$;
COMMENT ON FUNCTION harca.check_embedding(harca.search_target, vector) IS
'Raises an error unless an embedding has the dimensions of the target''s column';
