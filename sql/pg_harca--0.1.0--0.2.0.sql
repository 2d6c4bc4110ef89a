-- From 0.1.0 to 0.2.0: the catalogs are then those of a fresh 0.2.0, which tests/t/220_upgrade.py sees to. What is changed stands
-- in the order of the install script, whose files are named; what goes, or is in the way of a change, goes first.
\echo Use "ALTER EXTENSION pg_harca UPDATE TO '0.2.0'" to load this file. \quit

-- Searches are one function of the library now.
DROP VIEW harca.stat_search_target, harca.feedback, harca.common_term;
DROP FUNCTION harca.distance_sql(harca.search_target, text, text);
DROP FUNCTION harca.judged_curves(harca.search_target, regclass, double precision[], double precision[]);
DROP FUNCTION harca.weight_curve(text[], double precision[], text[], double precision[], text, double precision, double precision, text[], double precision[], double precision);
DROP FUNCTION harca.milliseconds(timestamptz[], integer);
DROP FUNCTION harca.candidates(jsonb, integer);
DROP FUNCTION harca.check_page(integer, integer);
DROP FUNCTION harca.ranked_rows(text, text[], double precision[], text[], double precision[], real, double precision, double precision, text[], double precision[], jsonb);
DROP FUNCTION harca.search_legs(harca.search_target, text, vector, integer, jsonb, jsonb);
DROP FUNCTION harca.leg_plan(harca.search_target, text, harca.leg_results, vector, integer, jsonb, jsonb);
DROP FUNCTION harca.restore_index_scan(jsonb);
DROP FUNCTION harca.widen_index_scan(integer);
DROP FUNCTION harca.leg_sql(harca.search_target, text, jsonb, jsonb, boolean);
DROP FUNCTION harca.word_score_sql(text, text, text);
DROP FUNCTION harca.expected_vector_weight(harca.search_target, real[], double precision);
DROP FUNCTION harca.mean_weight(double precision[], double precision[], double precision[], double precision);
DROP FUNCTION harca.search_options(jsonb);
DROP FUNCTION harca.boost_sql(regclass, jsonb);
DROP FUNCTION harca.filter_condition(regclass, jsonb);
DROP FUNCTION harca.has_order(oid);
DROP FUNCTION harca.matches(harca.query_terms, boolean, bigint);
DROP FUNCTION harca.search_terms(harca.search_target, text, jsonb);
DROP FUNCTION harca.count_documents(harca.search_target, tsquery[], integer);
DROP FUNCTION harca.candidate_units(bigint[], bigint, bigint);
DROP FUNCTION harca.register_search_target(text, regclass, name, name, name, name, regconfig, text, real, boolean);
DROP TYPE harca.leg_results;
DROP TYPE harca.query_terms;

-- sql/vectors/embed.sql
CREATE FUNCTION harca.embed(content text, model text, kind text DEFAULT 'query') RETURNS vector
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100000
    AS 'MODULE_PATHNAME', 'harca_embed';
COMMENT ON FUNCTION harca.embed(text, text, text) IS
'The vector that a model, of those in harca.models, makes of a text: by name and version, or by name alone, which is the one that was registered last. kind is query, for what is searched for, or document, for what is found, and picks the model''s prefix. What a text has beyond the tokens that the model reads is left out, and counted in harca.stat_engine';

CREATE FUNCTION harca.embed(contents text[], model text, kind text DEFAULT 'document')
    RETURNS TABLE (ordinality integer, embedding vector)
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000000 ROWS 1000
    AS 'MODULE_PATHNAME', 'harca_embed_all';
COMMENT ON FUNCTION harca.embed(text[], text, text) IS
'harca.embed for many texts at once: one row per element in storage order, counted from 1, with a null for an element that is null. In the engine they are bulk work, which interactive requests of other sessions pass';

CREATE FUNCTION harca.embedding_model(name text, OUT model text, OUT dimensions integer, OUT tokens integer) RETURNS record
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100000
    AS 'MODULE_PATHNAME', 'harca_embedding_model';
COMMENT ON FUNCTION harca.embedding_model(text) IS
'Name and version of the model that harca.embed takes by this name, the dimensions of its vectors, and the tokens that it reads of a text. An error where there is none, it gives no vectors, or it cannot be run';

-- sql/search/text_search.sql

CREATE FUNCTION harca.parser_headline(internal, internal, tsquery) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'harca_parser_headline';
COMMENT ON FUNCTION harca.parser_headline(internal, internal, tsquery) IS 'Headline function of the text search parsers "harca" and "harca_kana"';

CREATE FUNCTION harca.parser_start_kana(internal, integer) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'harca_parser_start_kana';
COMMENT ON FUNCTION harca.parser_start_kana(internal, integer) IS 'Start function of the text search parser "harca_kana"';

CREATE FUNCTION harca.parser_version() RETURNS integer
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'harca_parser_version';
COMMENT ON FUNCTION harca.parser_version() IS
'The version of the text search parsers "harca" and "harca_kana": another one cuts texts in another way, so that a stored tsvector is to be made anew';

CREATE FUNCTION harca.is_own_parser(config regconfig) RETURNS boolean
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_catalog.pg_ts_config c
                   JOIN pg_catalog.pg_ts_parser p ON p.oid = c.cfgparser
                   JOIN pg_catalog.pg_proc f ON f.oid = p.prsstart::oid
                   JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace
                   WHERE c.oid = $1 AND n.nspname = 'harca');
END;
COMMENT ON FUNCTION harca.is_own_parser(regconfig) IS
'Whether a text search configuration is made of the parser "harca" or "harca_kana"';

-- No statement gives a parser its headline function, and columns that are generated by a configuration of it forbid another
-- parser in its place.
UPDATE pg_catalog.pg_ts_parser SET prsheadline = 'harca.parser_headline'::pg_catalog.regproc
WHERE prsname OPERATOR(pg_catalog.=) 'harca' AND prsnamespace OPERATOR(pg_catalog.=) '@extschema@'::pg_catalog.regnamespace;
INSERT INTO pg_catalog.pg_depend (classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype)
SELECT 'pg_catalog.pg_ts_parser'::pg_catalog.regclass, p.oid, 0, 'pg_catalog.pg_proc'::pg_catalog.regclass, p.prsheadline, 0, 'n'
FROM pg_catalog.pg_ts_parser AS p
WHERE p.prsname OPERATOR(pg_catalog.=) 'harca' AND p.prsnamespace OPERATOR(pg_catalog.=) '@extschema@'::pg_catalog.regnamespace;
COMMENT ON TEXT SEARCH PARSER @extschema@.harca IS
'Mixed Japanese and English text: overlapping pairs of characters where a script has no spaces, words elsewhere, beside their parts; case, width and accents folded';
ALTER TEXT SEARCH CONFIGURATION @extschema@.harca
    ADD MAPPING FOR particle WITH pg_catalog.simple;
ALTER TEXT SEARCH CONFIGURATION @extschema@.harca_query
    ADD MAPPING FOR kana WITH pg_catalog.simple;
COMMENT ON TEXT SEARCH CONFIGURATION @extschema@.harca_query IS
'The query side of "harca": pairs of hiragana that make up particles and endings are left out, as they match everywhere';

CREATE TEXT SEARCH PARSER @extschema@.harca_kana (
    START = harca.parser_start_kana,
    GETTOKEN = harca.parser_next,
    END = harca.parser_end,
    HEADLINE = harca.parser_headline,
    LEXTYPES = harca.parser_types
);
COMMENT ON TEXT SEARCH PARSER @extschema@.harca_kana IS
'As "harca"; besides, hiragana are katakana but for particles and endings, and marks of repetition are what they repeat';

CREATE TEXT SEARCH CONFIGURATION @extschema@.harca_kana (PARSER = @extschema@.harca_kana);
ALTER TEXT SEARCH CONFIGURATION @extschema@.harca_kana
    ADD MAPPING FOR word WITH pg_catalog.english_stem;
ALTER TEXT SEARCH CONFIGURATION @extschema@.harca_kana
    ADD MAPPING FOR number, cjk, kana, code, particle WITH pg_catalog.simple;
COMMENT ON TEXT SEARCH CONFIGURATION @extschema@.harca_kana IS
'As "harca"; besides, each kind of kana finds the other, and marks of repetition what they repeat';

CREATE TEXT SEARCH CONFIGURATION @extschema@.harca_kana_query (PARSER = @extschema@.harca_kana);
ALTER TEXT SEARCH CONFIGURATION @extschema@.harca_kana_query
    ADD MAPPING FOR word WITH pg_catalog.english_stem;
ALTER TEXT SEARCH CONFIGURATION @extschema@.harca_kana_query
    ADD MAPPING FOR number, cjk, kana, code WITH pg_catalog.simple;
COMMENT ON TEXT SEARCH CONFIGURATION @extschema@.harca_kana_query IS
'The query side of "harca_kana"';

-- sql/search/target.sql

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

-- The names of the constraints that follow come from that of the column.
ALTER TABLE harca.search_target ALTER COLUMN id_column DROP NOT NULL;
ALTER TABLE harca.search_target RENAME COLUMN id_column TO id_columns;
ALTER TABLE harca.search_target
    ALTER COLUMN relation TYPE harca.searched_table,
    ALTER COLUMN id_columns TYPE name[] USING ARRAY[id_columns],
    ALTER COLUMN id_columns SET NOT NULL,
    ADD CHECK (pg_catalog.cardinality(id_columns) > 0),
    ADD COLUMN calibration text NOT NULL DEFAULT 'on' CHECK (calibration IN ('on', 'scales', 'off')),
    ADD COLUMN parser_version integer,
    ADD COLUMN embedding_model text;
COMMENT ON COLUMN harca.search_target.id_columns IS 'Columns that identify a row: one is returned as text, several as a JSON array';
COMMENT ON COLUMN harca.search_target.parser_version IS 'Version of the parser "harca" that has cut what the tsvector column holds; null for configurations of other parsers. A column that is made in a way of your own is yours to say this of, once it is made anew';
COMMENT ON COLUMN harca.search_target.embedding_model IS 'Name and version of the model, of those in harca.models, that has embedded the rows, and embeds queries that come without an embedding; null: the application does';
COMMENT ON COLUMN harca.search_target.calibration IS 'What becomes of what searches tell of the table: "on", weights and scales go by it; "scales", the weights are fixed, as they are after harca.tune_search; "off", nothing. harca.stat_search_target shows what it is';

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
CREATE OR REPLACE FUNCTION harca.guard_search_settings() RETURNS trigger
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

CREATE OR REPLACE FUNCTION harca.check_relation(relation regclass) RETURNS void
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

CREATE OR REPLACE FUNCTION harca.check_column(
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

CREATE OR REPLACE FUNCTION harca.search_target_row(name text) RETURNS harca.search_target
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

CREATE TABLE harca.passage_table (
    target text PRIMARY KEY REFERENCES harca.search_target (name) ON UPDATE CASCADE ON DELETE CASCADE,
    relation harca.searched_table NOT NULL,
    tokens integer NOT NULL CHECK (tokens > 0),
    overlap integer NOT NULL CHECK (overlap >= 0),
    in_use boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE harca.passage_table IS
'Search targets whose texts are embedded in passages, and where these are; edited by harca.embed_table and harca.stop_embedding';
COMMENT ON COLUMN harca.passage_table.target IS 'Search target';
COMMENT ON COLUMN harca.passage_table.relation IS
'The table of its passages, in the schema of the searched table and of the same owner: key1, key2 and so on identify the row, passage counts from 1, passage_start and passage_length are what substr takes, text_hash tells the text that it was cut from, embedding is its own';
COMMENT ON COLUMN harca.passage_table.tokens IS 'Tokens of a passage at most';
COMMENT ON COLUMN harca.passage_table.overlap IS 'Tokens of the passage before that a passage begins with, at most';
COMMENT ON COLUMN harca.passage_table.in_use IS 'Whether searches go by them: since all rows that were there before had theirs';

CREATE FUNCTION harca.guard_passages() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.relation::oid = 0 AND harca.is_restoring() THEN
        RAISE WARNING 'passages of search target "%" are left out', NEW.target
            USING DETAIL = 'Their table is not in this database.',
                  HINT = 'Call harca.embed_table with chunking to have them made.';
        RETURN NULL;
    END IF;
    -- Searches and the worker read and write it for the owner of the searched table.
    IF NOT EXISTS (
        SELECT FROM harca.search_target t JOIN pg_class s ON s.oid = t.relation::oid
        JOIN pg_class p ON p.oid = NEW.relation::oid AND p.relkind = 'r' AND p.relowner = s.relowner
        WHERE t.name = NEW.target)
    THEN
        RAISE EXCEPTION 'table % cannot have the passages of search target "%"', NEW.relation, NEW.target
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'It has to be a table of the owner of the searched one.',
                  HINT = 'Call harca.embed_table with chunking, which makes one.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION harca.guard_passages() IS
'Lets no table have the passages of a target that is not its owner''s, and leaves out of a restore what has lost its table';

CREATE FUNCTION harca.drop_passages() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The policy tells it from other tables of the owner.
    IF EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = OLD.relation::oid AND p.polname = 'harca_search') THEN
        EXECUTE format('DROP TABLE %s', OLD.relation::regclass);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION harca.drop_passages() IS 'Drops the table of the passages of a target that has none any more';
CREATE TRIGGER drop_passages AFTER DELETE ON harca.passage_table
    FOR EACH ROW EXECUTE FUNCTION harca.drop_passages();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON harca.passage_table
    FOR EACH ROW EXECUTE FUNCTION harca.guard_search_settings();
CREATE TRIGGER guard_passages BEFORE INSERT OR UPDATE ON harca.passage_table
    FOR EACH ROW EXECUTE FUNCTION harca.guard_passages();
CREATE TRIGGER a_leave_out BEFORE INSERT ON harca.passage_table
    FOR EACH ROW WHEN (harca.is_restoring()) EXECUTE FUNCTION harca.leave_out_orphan();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON harca.passage_table
    FOR EACH ROW EXECUTE FUNCTION harca.announce_target();
ALTER TABLE harca.passage_table ENABLE ALWAYS TRIGGER announce;
SELECT pg_catalog.pg_extension_config_dump('harca.passage_table', '');

CREATE FUNCTION harca.forget_dropped_passages() RETURNS event_trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM harca.passage_table p USING pg_event_trigger_dropped_objects() d
    WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND d.objid = p.relation::oid;
END
$$;
COMMENT ON FUNCTION harca.forget_dropped_passages() IS
'Lets the searches of a target whose passages were dropped go by the embeddings of its rows';
CREATE EVENT TRIGGER harca_forget_dropped_passages ON sql_drop EXECUTE FUNCTION harca.forget_dropped_passages();
COMMENT ON EVENT TRIGGER harca_forget_dropped_passages IS 'Ends the use of a table of passages that is dropped';

CREATE FUNCTION harca.is_searched(passages oid) RETURNS boolean
    -- RESTRICTED: a parallel worker knows of no search.
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_is_searched';
COMMENT ON FUNCTION harca.is_searched(oid) IS
'Whether a search of this session is reading this table of passages: the policy of such a table, which lets nobody but its owner see its rows in another way';

CREATE FUNCTION harca.cut_passages(content text, tokens integer DEFAULT 256, overlap integer DEFAULT 32)
    RETURNS TABLE (passage integer, passage_start integer, passage_length integer)
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 ROWS 10
    AS 'MODULE_PATHNAME', 'harca_cut_passages';
COMMENT ON FUNCTION harca.cut_passages(text, integer, integer) IS
'How harca.embed_table cuts a text with chunking: the passages by number, and what substr takes for each. They end where sentences end, have so many tokens at most by an estimate, and begin with what fits of the one before into the overlap';

-- sql/search/statistics.sql
ALTER TABLE harca.search_statistics ADD COLUMN documents_cut bigint CHECK (documents_cut >= 0);
-- The former parser left out no words: a text with too many was an error.
UPDATE harca.search_statistics SET documents_cut = 0;
ALTER TABLE harca.search_statistics ALTER COLUMN documents_cut SET NOT NULL;
COMMENT ON COLUMN harca.search_statistics.documents_cut IS 'Documents of which words were left out, as a tsvector has no room for all; an estimate when not all were read';

CREATE TABLE harca.search_background (
    target text PRIMARY KEY REFERENCES harca.search_target (name) ON UPDATE CASCADE ON DELETE CASCADE,
    embeddings real[] NOT NULL
);
COMMENT ON TABLE harca.search_background IS
'Embeddings of some rows of a search target, from which the best rows of a search stand out; written by harca.refresh_search_statistics, and read by searches alone';
COMMENT ON COLUMN harca.search_background.target IS 'Search target';
COMMENT ON COLUMN harca.search_background.embeddings IS 'One row of numbers for each of 16 to 64 rows of the table';

CREATE VIEW harca.common_term WITH (security_barrier) AS
SELECT s.target, s.lexeme, s.documents
FROM harca.search_term AS s
JOIN harca.search_target AS t ON t.name = s.target
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.relation AND a.attname = t.tsvector_column
WHERE pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')
      AND NOT pg_catalog.row_security_active(a.attrelid);
COMMENT ON VIEW harca.common_term IS
'How many documents have a lexeme, for lexemes that many have: of the search targets whose tsvector column the current user may read, all rows of it. A search counts the other lexemes when it needs them';
CREATE TRIGGER guard_insert AFTER INSERT ON harca.search_background
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION harca.guard_search_statistics();
CREATE TRIGGER guard_delete AFTER DELETE ON harca.search_background
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION harca.guard_search_statistics();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON harca.search_background
    FOR EACH ROW EXECUTE FUNCTION harca.announce_target();
ALTER TABLE harca.search_background ENABLE ALWAYS TRIGGER announce;
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE ON harca.search_statistics
    FOR EACH ROW EXECUTE FUNCTION harca.announce_target();
ALTER TABLE harca.search_statistics ENABLE ALWAYS TRIGGER announce;

CREATE TRIGGER a_leave_out BEFORE INSERT ON harca.search_statistics
    FOR EACH ROW WHEN (harca.is_restoring()) EXECUTE FUNCTION harca.leave_out_orphan();
CREATE TRIGGER a_leave_out BEFORE INSERT ON harca.search_term
    FOR EACH ROW WHEN (harca.is_restoring()) EXECUTE FUNCTION harca.leave_out_orphan();
CREATE TRIGGER a_leave_out BEFORE INSERT ON harca.search_background
    FOR EACH ROW WHEN (harca.is_restoring()) EXECUTE FUNCTION harca.leave_out_orphan();
SELECT pg_catalog.pg_extension_config_dump('harca.search_background', '');

CREATE FUNCTION harca.table_calibration(
    target text, relation regclass,
    OUT searches bigint, OUT weight double precision, OUT weight_searches bigint, OUT weight_since timestamptz,
    OUT nearness double precision, OUT wording double precision, OUT prominence double precision
) RETURNS record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_table_calibration';
COMMENT ON FUNCTION harca.table_calibration(text, regclass) IS
'What searches have told of a search target since the server started: how many; the weight of the vector leg that came of it, from how many of them and since when, null before there are enough; and the means of what they have shown: how near the best row by words is to the query, as a share of the best by meaning; what the best row by meaning has of the BM25 score of the best by words; how many standard deviations it stands above any rows';

CREATE FUNCTION harca.reset_calibration(target text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'harca_reset_calibration';
COMMENT ON FUNCTION harca.reset_calibration(text) IS
'Forgets what searches have told of a search target, for all sessions at once; for the owner of the table';

CREATE VIEW harca.stat_search_target AS
SELECT t.name AS target, s.documents, s.average_length, s.documents_read, s.documents_cut, s.refreshed_at,
       a.changes - s.changes AS changed_rows,
       CASE WHEN s.target IS NULL THEN 'never built'
            WHEN pg_catalog.pg_is_in_recovery() THEN 'counted on the primary'
            WHEN a.changes IS NULL OR s.changes IS NULL THEN 'changes are not counted'
            WHEN a.changes < s.changes THEN 'changes were forgotten'
            -- A truncated table, or a materialized view made anew, has fewer rows although none was deleted.
            WHEN greatest(a.changes - s.changes, s.documents - a.live) > 50 + s.documents / 10 THEN 'stale'
            ELSE 'fresh' END AS state,
       t.calibration,
       CASE WHEN t.calibration = 'on' THEN coalesce(c.weight::real, t.vector_weight) ELSE t.vector_weight END AS vector_weight,
       t.vector_weight AS fixed_weight, c.weight::real AS calibrated_weight, c.weight_since AS calibrated_since,
       c.weight_searches AS calibrated_from, c.searches, c.nearness::real, c.wording::real, c.prominence::real,
       t.parser_version,
       CASE WHEN t.parser_version < harca.parser_version()
            THEN pg_catalog.format('UPDATE %s SET %I = %I; SELECT harca.refresh_search_statistics(%L)',
                                   t.relation, t.text_column, t.text_column, t.name) END AS renewal
FROM harca.search_target AS t
LEFT JOIN harca.search_statistics AS s ON s.target = t.name
CROSS JOIN LATERAL harca.table_activity(t.relation) AS a
CROSS JOIN LATERAL harca.table_calibration(t.name, t.relation) AS c;
COMMENT ON VIEW harca.stat_search_target IS
'How old the statistics of the search targets are. State: "fresh"; "stale", when more than a tenth of the documents and 50 have changed since; "never built"; "changes were forgotten", after a crash, an upgrade or a reset of PostgreSQL''s statistics; "changes are not counted", for foreign tables; "counted on the primary", on a replica, which knows no more. All but the last and "fresh" call for harca.refresh_search_statistics. documents_cut counts those of which words were left out, as a tsvector has no room for all. parser_version is that of the text search parser that has cut the documents, and renewal, where that is older than the one installed, what makes the column anew. The weight of the vector leg: what searches go by, what it would be without calibration, and what the searches of the table tell, since when, and from how many of those that have counted since the server started; beside it the means of what they have shown, as harca.table_calibration gives them';

CREATE OR REPLACE FUNCTION harca.refresh_search_statistics(target text, sample_rows integer DEFAULT 30000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- A lexeme of fewer documents of those that are read is counted by a search, which takes no longer than to find
    -- them; a share of all that is estimated from fewer would be chance.
    fewest constant integer := 10;
    searched harca.search_target := harca.search_target_row(target);
    activity record;
    sample text := '';
    share double precision := 1;
    -- What searches by meaning go by: the rows, or their passages.
    embedded record;
    documents_read bigint;
    words bigint;
    documents_cut bigint;
    deviation double precision;
    background real[];
    renewed boolean;
BEGIN
    PERFORM harca.check_owner(searched.relation, 'call harca.refresh_search_statistics');
    IF sample_rows < 1 THEN
        RAISE EXCEPTION 'sample_rows must be positive'
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('It is %s.', sample_rows),
                  HINT = 'Pass null to read all rows.';
    END IF;
    -- The table is locked before the target, as whoever drops it does.
    BEGIN
        EXECUTE format('SELECT FROM %s LIMIT 0', searched.relation);
    EXCEPTION WHEN undefined_table THEN
        PERFORM harca.search_target_row(target);
        RAISE;
    END;
    -- One refresh of a target waits for the other here, and for whoever replaces or tunes it; then it reads what there is.
    PERFORM FROM harca.search_target t WHERE t.name = target FOR NO KEY UPDATE;
    searched := harca.search_target_row(target);
    activity := harca.table_activity(searched.relation);
    -- Blocks, as reading rows here and there would read most blocks anyway. From up to twice as many rows all are read.
    IF (SELECT c.relkind IN ('r', 'p', 'm') FROM pg_class c WHERE c.oid = searched.relation) AND greatest(activity.live, activity.planned) > 2 * sample_rows::bigint THEN
        share := sample_rows::float8 / greatest(activity.live, activity.planned);
        sample := format(' TABLESAMPLE SYSTEM (%s) REPEATABLE (0)', 100 * share);
    END IF;
    EXECUTE format('SELECT count(*) FROM %s%s WHERE %I IS NOT NULL', searched.relation, sample, searched.tsvector_column)
        INTO documents_read;
    SELECT e.* INTO embedded
    FROM (SELECT 1 AS place, 'embedding'::name AS embedding, p.relation::regclass AS relation,
                 (SELECT string_agg(format('format(''%%s '', key%s)', n), ' || ') FROM generate_series(1, cardinality(searched.id_columns)) AS n)
                 || ' || passage::text' AS identity,
                 CASE WHEN greatest(a.live, a.planned) > 2 * sample_rows::bigint
                      THEN format(' TABLESAMPLE SYSTEM (%s) REPEATABLE (0)', 100 * sample_rows::float8 / greatest(a.live, a.planned))
                      ELSE '' END AS sampled
          FROM harca.passage_table p CROSS JOIN LATERAL harca.table_activity(p.relation) AS a WHERE p.target = target AND p.in_use
          UNION ALL
          SELECT 2, searched.embedding_column, searched.relation::regclass,
                 (SELECT string_agg(format('format(''%%s'', %I)', c.name), ' || ') FROM unnest(searched.id_columns) AS c (name)), sample) AS e
    ORDER BY e.place LIMIT 1;
    -- 200 rows have 19,900 pairs: their deviation is known to a hundredth. The same rows each time, whatever their order.
    EXECUTE format(
        'WITH picked AS MATERIALIZED ('
        ' SELECT p.embedding, row_number() OVER () AS n FROM ('
        '  SELECT %1$I AS embedding FROM %2$s%3$s WHERE %1$I IS NOT NULL ORDER BY hashtextextended(%4$s, 0) LIMIT 200'
        ' ) AS p)'
        ' SELECT (SELECT stddev_samp(d.distance) FROM ('
        '         SELECT %5$s AS distance FROM picked AS a JOIN picked AS b ON a.n < b.n'
        '        ) AS d WHERE d.distance NOT IN (''NaN'', ''Infinity'', ''-Infinity'')),'
        -- 128 kilobytes of them: a session keeps them.
        '        (SELECT array_agg(p.embedding::real[] ORDER BY p.n) FROM picked AS p'
        '         WHERE p.n <= (SELECT greatest(16, least(64, 32768 / cardinality(f.embedding::real[]))) FROM picked AS f WHERE f.n = 1))',
        embedded.embedding, embedded.relation, embedded.sampled, embedded.identity,
        harca.distance_sql(searched, 'a.embedding', 'b.embedding')) INTO deviation, background;
    DELETE FROM harca.search_statistics AS s WHERE s.target = target;
    DELETE FROM harca.search_term AS s WHERE s.target = target;
    DELETE FROM harca.search_background AS s WHERE s.target = target;
    WITH counted AS MATERIALIZED (
        SELECT w.word, w.ndoc, w.nentry
        FROM ts_stat(format('SELECT %I FROM %s%s', searched.tsvector_column, searched.relation, sample)) AS w
    ), kept AS (
        INSERT INTO harca.search_term
        SELECT target, c.word, round(c.ndoc / share) FROM counted AS c WHERE c.ndoc >= fewest
    )
    -- The parser gives the mark to a text that does not fit.
    SELECT sum(c.nentry), coalesce(max(c.ndoc) FILTER (WHERE c.word = '*cut'), 0) INTO words, documents_cut FROM counted AS c;
    INSERT INTO harca.search_statistics
    VALUES (target, round(documents_read / share), words::float8 / nullif(documents_read, 0), nullif(deviation, 0),
            documents_read, activity.changes, clock_timestamp(), round(documents_cut / share));
    INSERT INTO harca.search_background SELECT target, background WHERE background IS NOT NULL;
    -- A column that was made anew has what the parser makes of the text now. One of other texts than that column's is not told.
    IF searched.parser_version < harca.parser_version() THEN
        EXECUTE format(
            'SELECT coalesce(bool_and(strip(r.%1$I) = strip(to_tsvector(%2$L::regconfig, r.%3$I::text))), false)'
            ' FROM (SELECT t.* FROM %4$s AS t%5$s WHERE t.%1$I IS NOT NULL LIMIT 1000) AS r',
            searched.tsvector_column, searched.config, searched.text_column, searched.relation, sample) INTO renewed;
        UPDATE harca.search_target AS t SET parser_version = harca.parser_version() WHERE t.name = target AND renewed;
    END IF;
    RETURN round(documents_read / share);
END
$$;

CREATE OR REPLACE FUNCTION harca.refresh_stale_search_statistics() RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stale text;
BEGIN
    FOR stale IN
        SELECT s.target FROM harca.stat_search_target s JOIN harca.search_target t ON t.name = s.target
        WHERE s.state <> 'fresh' AND harca.owns(t.relation)
              AND EXISTS (SELECT FROM pg_class c WHERE c.oid = t.relation)
        ORDER BY s.target
    LOOP
        BEGIN
            PERFORM harca.refresh_search_statistics(stale);
            RETURN NEXT stale;
        EXCEPTION WHEN undefined_object THEN
            -- Dropped since the others were found.
            IF EXISTS (SELECT FROM harca.search_target t WHERE t.name = stale) THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END
$$;

-- sql/search/registration.sql

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

-- sql/search/bm25.sql

COMMENT ON FUNCTION harca.bm25(tsvector, bytea) IS
'The BM25 score of a document for a query that harca.bm25_query has made: 0 when it has none of the words, below harca.bm25_bound(query) always';

CREATE FUNCTION harca.with_frequencies(document tsvector) RETURNS tsvector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100
    AS 'MODULE_PATHNAME', 'harca_with_frequencies';
COMMENT ON FUNCTION harca.with_frequencies(tsvector) IS
'A document with a mark for each of its lexemes that it has at least 2, 3 or 5 times and two for its length, for a GIN index: a keyword leg that finds such an index reads fewer rows';

-- sql/search/hybrid_search.sql
CREATE OR REPLACE FUNCTION @extschema@.hybrid_search(
    target text,
    query text,
    embedding vector DEFAULT NULL,
    "limit" integer DEFAULT 10,
    "offset" integer DEFAULT 0,
    filter jsonb DEFAULT NULL,
    options jsonb DEFAULT NULL
) RETURNS TABLE (
        id text,
        score double precision,
        vector_rank integer,
        keyword_rank integer,
        vector_score double precision,
        keyword_score double precision,
        vector_weight real,
        query_type text
    )
    -- UNSAFE: the settings of the index scan cannot change inside a parallel query. The legs themselves may be parallel.
    LANGUAGE c STABLE PARALLEL UNSAFE COST 10000 ROWS 10
    AS 'MODULE_PATHNAME', 'harca_hybrid_search';

CREATE FUNCTION @extschema@.hybrid_search_passages(
    target text,
    query text,
    embedding vector DEFAULT NULL,
    "limit" integer DEFAULT 10,
    "offset" integer DEFAULT 0,
    filter jsonb DEFAULT NULL,
    options jsonb DEFAULT NULL
) RETURNS TABLE (
        id text,
        score double precision,
        vector_rank integer,
        keyword_rank integer,
        vector_score double precision,
        keyword_score double precision,
        vector_weight real,
        query_type text,
        passage_start integer,
        passage_length integer,
        passage text
    )
    LANGUAGE c STABLE PARALLEL UNSAFE COST 10000 ROWS 10
    AS 'MODULE_PATHNAME', 'harca_hybrid_search_passages';
COMMENT ON FUNCTION @extschema@.hybrid_search_passages(text, text, vector, integer, integer, jsonb, jsonb) IS
'The rows of hybrid_search, each with the passage of its text that is nearest to the query, and what substr takes for it. Null where the target has no passages (harca.embed_table), meaning had no say in the search, or the text has changed since it was embedded';

-- sql/search/explain.sql
CREATE OR REPLACE FUNCTION harca.explain_legs(
    target text,
    query text,
    embedding vector DEFAULT NULL,
    "limit" integer DEFAULT 10,
    filter jsonb DEFAULT NULL,
    options jsonb DEFAULT NULL
) RETURNS TABLE (leg text, plan text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 20
    AS 'MODULE_PATHNAME', 'harca_explain_legs';

CREATE OR REPLACE FUNCTION @extschema@.hybrid_search_explain(
    target text,
    query text,
    embedding vector DEFAULT NULL,
    "limit" integer DEFAULT 10,
    "offset" integer DEFAULT 0,
    filter jsonb DEFAULT NULL,
    options jsonb DEFAULT NULL
) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'harca_hybrid_search_explain';

-- sql/search/tuning.sql
ALTER TABLE harca.search_feedback
    ADD COLUMN feedback_id uuid PRIMARY KEY DEFAULT pg_catalog.gen_random_uuid();
COMMENT ON COLUMN harca.search_feedback.feedback_id IS 'Tells it from others';

CREATE VIEW harca.feedback WITH (security_barrier) AS
SELECT f.*
FROM harca.search_feedback AS f
JOIN harca.search_target AS t ON t.name = f.target
WHERE harca.owns(t.relation);
COMMENT ON VIEW harca.feedback IS 'What harca.record_feedback has collected for the tables that the current user owns';
COMMENT ON COLUMN harca.search_tuning.former IS 'What was set before: vector_weight, k1, b, calibration, and the weights of the profile';

CREATE OR REPLACE FUNCTION harca.guard_search_feedback() RETURNS trigger
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

CREATE TRIGGER a_leave_out BEFORE INSERT ON harca.search_feedback
    FOR EACH ROW WHEN (harca.is_restoring()) EXECUTE FUNCTION harca.leave_out_orphan();
CREATE TRIGGER a_leave_out BEFORE INSERT ON harca.search_tuning
    FOR EACH ROW WHEN (harca.is_restoring()) EXECUTE FUNCTION harca.leave_out_orphan();
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

CREATE OR REPLACE FUNCTION harca.tune_search(
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

CREATE OR REPLACE FUNCTION harca.undo_tuning(target text) RETURNS boolean
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

-- sql/models/registry.sql

-- As in the install script: what follows takes all objects but its own from PostgreSQL.
SET LOCAL search_path = pg_catalog, pg_temp;

ALTER TABLE harca.model
    ADD COLUMN tokenizer bytea,
    ADD COLUMN task text NOT NULL DEFAULT 'classification' CHECK (task IN ('classification', 'embedding', 'score'));
-- Read part by part, which takes a value that is not compressed.
ALTER TABLE harca.model ALTER COLUMN tokenizer SET STORAGE EXTERNAL;
COMMENT ON COLUMN harca.model.executor IS 'What runs it when pg_harca.executor and pg_harca.placement are auto: network, the code of the extension, or onnxruntime, both in the backend, or engine';
COMMENT ON COLUMN harca.model.tokenizer IS 'The bytes of its tokenizer.json; null for a model that reads the features of the extension';
COMMENT ON COLUMN harca.model.task IS 'What it is for: classification, embedding or score';

CREATE OR REPLACE VIEW harca.models AS
WITH known AS (
    SELECT m.model, m.name, m.version, m.labels, pg_catalog.octet_length(m.graph) AS bytes, m.sha256, m.identity, m.executor,
           m.metrics, m.registered_at, m.registered_by, m.model AS key, m.task
    FROM harca.model m
    UNION ALL
    SELECT b.manifest ->> 'name' || ' ' || (b.manifest ->> 'version'), b.manifest ->> 'name', b.manifest ->> 'version',
           ARRAY(SELECT pg_catalog.json_array_elements_text(b.manifest -> 'labels')), b.bytes, b.manifest ->> 'sha256',
           pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(b.manifest::text, 'UTF8')), 'hex'), 'network',
           (b.manifest -> 'metrics')::jsonb, NULL, NULL, 'builtin', 'classification'
    FROM harca.builtin_model() b
)
SELECT k.model,
       k.name,
       k.version,
       CASE k.key
           WHEN coalesce(d.active, 'builtin') THEN 'active'
           WHEN d.challenger THEN d.comparison
           WHEN d.previous THEN 'previous'
           WHEN 'builtin' THEN 'built in'
           ELSE 'registered'
       END AS status,
       k.labels,
       k.executor,
       k.bytes,
       k.sha256,
       k.identity,
       k.metrics,
       k.registered_at,
       k.registered_by,
       (SELECT max(a.activated_at) FROM harca.model_activation a WHERE a.model = k.key) AS activated_at,
       k.key,
       k.task
FROM known k LEFT JOIN harca.deployment d ON true;
COMMENT ON VIEW harca.models IS
'All models of this database, the built-in one among them. status: active, previous (answers when the active one cannot), ab, canary or shadow (is compared with the active one), registered, or built in. key is what harca.deployment calls it, task what it is for';

CREATE FUNCTION harca.lock_name(model text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    LOCK TABLE harca.model IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM harca.models m WHERE m.model = $1) THEN
        RAISE EXCEPTION 'model "%" exists', $1
            USING ERRCODE = 'duplicate_object',
                  HINT = 'Give it another version in its manifest, or drop the other one with harca.drop_model(model).';
    END IF;
END
$$;
COMMENT ON FUNCTION harca.lock_name(text) IS
'Keeps others from registering models until the transaction ends; an error when there is one of this name and version';

CREATE OR REPLACE FUNCTION harca.register_model(manifest json, graph bytea) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    checked record;
BEGIN
    checked := harca.inspect_model(manifest, graph);
    PERFORM harca.lock_name(checked.model);
    INSERT INTO harca.model (model, identity, manifest, graph, name, version, sha256, labels, executor, metrics)
    VALUES (checked.model, checked.identity, manifest, graph, checked.name, checked.version, checked.sha256, checked.labels,
            checked.executor, (manifest -> 'metrics')::jsonb);
    RETURN checked.model;
END
$$;

-- sql/models/deployment.sql

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

CREATE OR REPLACE FUNCTION harca.activate_model(model text, force boolean DEFAULT false) RETURNS text
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

CREATE OR REPLACE FUNCTION harca.compare_model(model text, comparison text DEFAULT 'shadow', share double precision DEFAULT NULL) RETURNS text
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

-- sql/models/engine.sql
CREATE FUNCTION harca.classify(query text, model text) RETURNS @extschema@.query_classification
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10000
    AS 'MODULE_PATHNAME', 'harca_classify';
COMMENT ON FUNCTION harca.classify(text, text) IS
'What one model, of those in harca.models, makes of a query: by name and version, by name alone, which is the one that was registered last, or "builtin". The model need not be active, nothing else answers in its place, and no cache is asked: an error where it cannot be run';

CREATE FUNCTION harca.classify(queries text[], model text)
    RETURNS TABLE (
        ordinality integer,
        query text,
        query_type text,
        confidence real,
        scores real[],
        language text,
        model_name text
    )
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000000 ROWS 1000
    AS 'MODULE_PATHNAME', 'harca_classify_all';
COMMENT ON FUNCTION harca.classify(text[], text) IS
'harca.classify for many queries at once: one row per element in storage order, counted from 1; an element that is null gives a row of nulls. In the engine they are bulk work, which interactive requests of other sessions pass';

CREATE FUNCTION harca.inspect_model(
    manifest json,
    graph bytea,
    tokenizer bytea,
    OUT model text,
    OUT name text,
    OUT version text,
    OUT sha256 text,
    OUT identity text,
    OUT labels text[],
    OUT executor text,
    OUT task text
) RETURNS record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_inspect_transformer';
COMMENT ON FUNCTION harca.inspect_model(json, bytea, bytea) IS
'Checks a model with a tokenizer as harca.register_model does, and stores nothing: size, digests, operators, and in the engine inputs, outputs, shapes, and the golden queries of its manifest. An error says what is wrong';

CREATE FUNCTION harca.register_model(manifest json, graph bytea, tokenizer bytea) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    checked record;
BEGIN
    checked := harca.inspect_model(manifest, graph, tokenizer);
    PERFORM harca.lock_name(checked.model);
    INSERT INTO harca.model (model, identity, manifest, graph, tokenizer, task, name, version, sha256, labels, executor, metrics)
    VALUES (checked.model, checked.identity, manifest, graph, tokenizer, checked.task, checked.name, checked.version,
            checked.sha256, checked.labels, checked.executor, (manifest -> 'metrics')::jsonb);
    RETURN checked.model;
END
$$;
COMMENT ON FUNCTION harca.register_model(json, bytea, bytea) IS
'Stores a model with a tokenizer, which the engine runs, after it has been checked as by harca.inspect_model, and gives its name and version. The tokenizer is the bytes of a tokenizer.json';

CREATE FUNCTION harca.read_model_folder(
    folder text,
    changes json,
    OUT manifest json,
    OUT graph bytea,
    OUT tokenizer bytea
) RETURNS record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_read_model_folder';
COMMENT ON FUNCTION harca.read_model_folder(text, json) IS
'What harca.import_model registers: the manifest that it makes of a folder, the graph in one file, and the tokenizer';

CREATE FUNCTION harca.import_model(folder text, changes json DEFAULT '{}') RETURNS text
    LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT harca.register_model(f.manifest, f.graph, f.tokenizer) FROM harca.read_model_folder(folder, changes) AS f;
END;
COMMENT ON FUNCTION harca.import_model(text, json) IS
'Registers a model from a folder of the server as model hubs lay it out (config.json, tokenizer.json, onnx/model.onnx or model.onnx), and gives its name and version. Keys of changes stand in the manifest in place of what was found there, name, version, query_types and golden for instance; its key graph_file names another graph. For members of both harca_admin and pg_read_server_files';

CREATE FUNCTION harca.engine_status(
    OUT state text,
    OUT detail text,
    OUT pid integer,
    OUT since timestamptz,
    OUT restarts bigint,
    OUT providers text[],
    OUT runtime text,
    OUT threads integer,
    OUT memory bigint,
    OUT memory_bound bigint,
    OUT models_loaded text[],
    OUT connections integer,
    OUT queued integer,
    OUT queue_bound integer,
    OUT cancelled bigint,
    OUT let_go bigint[],
    OUT threads_changed bigint
) RETURNS record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_engine_status';
COMMENT ON FUNCTION harca.engine_status() IS
'How the engine is. state: running, not running (detail says why, and it is started again), not started (no session has needed it yet, and the library is not preloaded), or off. memory and memory_bound in bytes; let_go: how many models were let go because memory was short, beyond 85 and beyond 90 % of the bound; cancelled: texts that were dropped before they ran because nobody waited for them any more; threads_changed: how often runs got fewer or more threads because processors were pressed or idle. It starts no engine';

CREATE FUNCTION harca.engine_statistics(
    OUT model text,
    OUT identity text,
    OUT state text,
    OUT priority text,
    OUT requests bigint,
    OUT failed bigint,
    OUT queued integer,
    OUT wait_p50_us double precision,
    OUT wait_p95_us double precision,
    OUT wait_p99_us double precision,
    OUT run_p50_us double precision,
    OUT run_p95_us double precision,
    OUT run_p99_us double precision,
    OUT runs bigint,
    OUT texts bigint,
    OUT tokens bigint,
    OUT truncated bigint,
    OUT texts_per_run double precision,
    OUT tokens_per_second double precision,
    OUT batch_tokens integer,
    OUT bytes bigint,
    OUT loaded_in_us double precision,
    OUT provider text,
    OUT detail text
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 4
    AS 'MODULE_PATHNAME', 'harca_engine_statistics';
COMMENT ON FUNCTION harca.engine_statistics() IS 'What the view harca.stat_engine shows';

CREATE VIEW harca.stat_engine AS
-- The engine never learns the name of a model that it does not run.
SELECT coalesce(nullif(s.model, ''), m.model, s.identity) AS model, s.identity, s.state, s.priority, s.requests, s.failed, s.queued,
       s.wait_p50_us, s.wait_p95_us, s.wait_p99_us, s.run_p50_us, s.run_p95_us, s.run_p99_us, s.runs, s.texts, s.tokens, s.truncated, s.texts_per_run,
       s.tokens_per_second, s.batch_tokens, s.bytes, s.loaded_in_us, s.provider, s.detail
FROM harca.engine_statistics() AS s LEFT JOIN harca.model AS m ON m.identity OPERATOR(pg_catalog.=) s.identity;
COMMENT ON VIEW harca.stat_engine IS
'What the engine has done since it began: a row for each model and priority (interactive, bulk). model is its name and version, or its identity where this database does not have it and it never ran. requests were answered, failed were refused or failed, queued texts wait; wait and run are the times of requests before and from their first run, in microseconds, right to 3 in 100. The columns from runs on are of the model, whatever the priority: runs, their texts and tokens, texts that were cut, tokens a second while it ran, padded tokens that the next run may have, bytes of its files, the time that loading took, the execution provider and why better ones were not had. state: loading, ready, broken, quarantined or gone (let go; loaded again when it is asked for). No rows without an engine';

CREATE FUNCTION harca.restart_engine() RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_restart_engine';
COMMENT ON FUNCTION harca.restart_engine() IS
'Ends the engine; it is started anew at once, and requests that it was at fail. False when there was none';

CREATE FUNCTION harca.release_identity(identity text) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_release_identity';
COMMENT ON FUNCTION harca.release_identity(text) IS 'What harca.release_model does, for the identity of a model';

CREATE FUNCTION harca.release_model(model text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known text := harca.model_key($1);
BEGIN
    RETURN harca.release_identity((SELECT m.identity FROM harca.models m WHERE m.key = known));
END
$$;
COMMENT ON FUNCTION harca.release_model(text) IS
'Lets a model run again that was quarantined because it had brought the engine down three times. False when it was not quarantined; the engine hears of it within a second';

-- sql/embedding/passages.sql
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

-- sql/embedding/embedded_table.sql
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

-- sql/embedding/model_change.sql
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

-- sql/watch/cache.sql
CREATE OR REPLACE FUNCTION harca.cache_statistics(
    OUT level text,
    OUT capacity bigint,
    OUT entries bigint,
    OUT bytes bigint,
    OUT hits bigint,
    OUT misses bigint,
    OUT evictions bigint,
    OUT expirations bigint,
    OUT restored bigint,
    OUT counted_since timestamptz
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 3
    AS 'MODULE_PATHNAME', 'harca_cache_statistics';
COMMENT ON VIEW harca.stat_cache IS
'The caches of answers. Level "shared": that of all sessions, its counts since counted_since, and how many of its entries came from the file of a former run; there is no such row where pg_harca.cache_size is 0, nor before PostgreSQL 17 without shared_preload_libraries. Level "embeddings": that of the vectors of queries, of all sessions; its capacity is in numbers, of which a vector takes multiples of 138; there is no such row where pg_harca.embedding_cache_size is 0. Level "local": that of this session, which it uses when there is no shared one. Expired entries count as such when a look-up finds them; a look-up that finds one is also a miss';
COMMENT ON FUNCTION harca.cache_reset() IS
'Forgets the answers and the embeddings of the shared caches, and those that this session keeps; gives how many there were. The counts go on. An answer that another session is storing at this moment may stay';

CREATE FUNCTION harca.hit_curve(
    OUT entries bigint,
    OUT hit_ratio double precision,
    OUT lookups bigint,
    OUT keys bigint
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 8
    AS 'MODULE_PATHNAME', 'harca_hit_curve';
COMMENT ON FUNCTION harca.hit_curve() IS
'Which share of the look-ups of the shared cache since counted_since of harca.stat_cache would have been hits with so many entries, if it always put out the answer that was asked for longest ago, from an eighth of its capacity to 16 times as many. It rests on the reuse distances of a sample: so many look-ups, of so many keys that are followed now. No rows before 1,000 look-ups of 100 keys are sampled, of one key in 64 to begin with, nor while pg_harca.track_statistics is off';

-- sql/watch/health.sql
CREATE OR REPLACE FUNCTION harca.health() RETURNS TABLE (component text, state text, detail text, since timestamptz, events bigint)
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

-- sql/watch/advice.sql
CREATE FUNCTION harca.advice_on(
    facts text,
    OUT severity text,
    OUT rule text,
    OUT subject text,
    OUT finding text,
    OUT why text,
    OUT gain text,
    OUT statement text
) RETURNS SETOF record
    LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 5
    AS 'MODULE_PATHNAME', 'harca_advice_on';
COMMENT ON FUNCTION harca.advice_on(text) IS
'The rules of harca.advise, for facts that were gathered: a JSON object. What is not in it gives no advice';

CREATE FUNCTION harca.server_facts() RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    facts jsonb;
BEGIN
    facts := jsonb_build_object('server', jsonb_build_object(
        'version', current_setting('server_version_num')::integer / 10000,
        -- Nothing for whoever may not see it.
        'preloaded', (SELECT s.setting FROM pg_settings s WHERE s.name = 'shared_preload_libraries'),
        'work_mem', (SELECT 1024 * s.setting::bigint FROM pg_settings s WHERE s.name = 'work_mem')));
    IF NOT (has_function_privilege('harca.memory_statistics()', 'EXECUTE') AND has_function_privilege('harca.cache_statistics()', 'EXECUTE')) THEN
        RETURN facts;
    END IF;
    facts := jsonb_set(facts, '{server}', (facts -> 'server') || (
        SELECT jsonb_build_object('sessions', count(*) FILTER (WHERE m.bytes > 0), 'session_bytes', coalesce(sum(m.bytes), 0))
        FROM harca.stat_memory m WHERE m.part = 'session'));
    RETURN facts || coalesce((
        SELECT jsonb_build_object('cache', jsonb_build_object(
            'capacity', c.capacity, 'hits', c.hits, 'misses', c.misses, 'evictions', c.evictions,
            'sampled', (SELECT max(h.lookups) FROM harca.hit_curve() h),
            'curve', (SELECT jsonb_agg(jsonb_build_array(h.entries, h.hit_ratio) ORDER BY h.entries) FROM harca.hit_curve() h),
            'run_us', (SELECT sum(i.total_us) / nullif(sum(i.runs), 0) FROM harca.stat_inference i)))
        FROM harca.stat_cache c WHERE c.level = 'shared'), '{}');
END
$$;
COMMENT ON FUNCTION harca.server_facts() IS 'What harca.advise knows of the server and of the shared cache, as far as the caller may read it';

CREATE FUNCTION harca.index_facts(relation regclass, columns name[], expression text) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'name', i.indexrelid::regclass::text,
               'method', m.amname,
               'class', format('%I.%I', n.nspname, o.opcname),
               'valid', i.indisvalid,
               'whole', i.indpred IS NULL AND (i.indnkeyatts = 1 OR m.amname = 'gin')) ORDER BY i.indexrelid), '[]')
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am m ON m.oid = c.relam
    JOIN pg_opclass o ON o.oid = i.indclass[0]
    JOIN pg_namespace n ON n.oid = o.opcnamespace
    WHERE i.indrelid = relation
      AND (EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = ANY (columns) AND a.attnum = ANY (i.indkey::int2[]))
           OR pg_get_expr(i.indexprs, i.indrelid) = expression)
$$;
COMMENT ON FUNCTION harca.index_facts(regclass, name[], text) IS
'What harca.advise knows of the indexes of a table that have one of the columns, or are made over an expression';

CREATE FUNCTION harca.measured_recall(searched harca.search_target, ef_search integer) RETURNS double precision
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    distance constant text := harca.distance_sql(searched, format('t.%I', searched.embedding_column), 'p.embedding');
    former constant text := current_setting('hnsw.ef_search');
    recall double precision;
BEGIN
    PERFORM set_config('hnsw.ef_search', ef_search::text, true);
    -- By distances, as rows may be equally far. With an addition no index can answer: that is what is right.
    EXECUTE format(
        'WITH picked AS MATERIALIZED ('
        ' SELECT %1$I AS embedding FROM %2$s WHERE %1$I IS NOT NULL ORDER BY hashtextextended(ctid::text, 0) LIMIT 20)'
        ' SELECT avg(found.rows) / 10 FROM picked AS p,'
        ' LATERAL (SELECT max(n.distance) AS tenth FROM (SELECT 0::float8 + (%3$s) AS distance FROM %2$s AS t'
        '   WHERE t.%1$I IS NOT NULL ORDER BY 1 LIMIT 10) AS n) AS nearest,'
        ' LATERAL (SELECT count(*) AS rows FROM (SELECT a.distance FROM (SELECT %3$s AS distance FROM %2$s AS t'
        '   WHERE t.%1$I IS NOT NULL ORDER BY %3$s LIMIT 100) AS a ORDER BY a.distance LIMIT 10) AS b'
        '   WHERE b.distance <= nearest.tenth) AS found',
        searched.embedding_column, searched.relation, distance) INTO recall;
    PERFORM set_config('hnsw.ef_search', former, true);
    RETURN recall;
END
$$;
COMMENT ON FUNCTION harca.measured_recall(harca.search_target, integer) IS
'Which share of the ten nearest rows a search finds with a value of hnsw.ef_search, from 0 to 1, by 20 rows of the table as queries; for those who may read them';

CREATE FUNCTION harca.measured_facts(searched harca.search_target, rows bigint) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- An exact search of more takes longer than whoever asks would wait, twenty times over.
    most_rows constant bigint := 200000;
    facts jsonb := '{}';
    ef_search integer;
BEGIN
    BEGIN
        -- The owner of a table may write the row by hand: its types have to be pgvector's before a function of theirs is called.
        searched := harca.search_target_row(searched.name);
    EXCEPTION WHEN OTHERS THEN
        RETURN facts;
    END;
    IF harca.owns(searched.relation)
       AND (SELECT count(DISTINCT f.query) >= 10 FROM harca.feedback f WHERE f.target = searched.name AND f.embedding IS NOT NULL AND f.grade > 0) THEN
        BEGIN
            facts := facts || (SELECT jsonb_build_object('tuning', jsonb_build_object('queries', t.queries, 'before', t.ndcg_before, 'after', t.ndcg_after))
                               FROM harca.tune_search(searched.name) AS t);
        EXCEPTION WHEN invalid_parameter_value THEN
            -- Too few of the judged rows are still there.
            NULL;
        END;
    END IF;
    IF rows <= most_rows AND has_column_privilege(searched.relation, searched.embedding_column::text, 'SELECT')
       AND NOT row_security_active(searched.relation)
       AND EXISTS (SELECT FROM pg_class c WHERE c.oid = searched.relation AND c.relkind IN ('r', 'm'))
       AND harca.index_facts(searched.relation, ARRAY[searched.embedding_column], NULL) @> '[{"method": "hnsw", "valid": true}]' THEN
        -- pgvector defines its settings when a session first uses it.
        EXECUTE format('SELECT cardinality(t.%1$I::real[]) FROM %2$s AS t WHERE t.%1$I IS NOT NULL LIMIT 1', searched.embedding_column, searched.relation);
        -- A search sets it to its candidates, 100, unless it is higher.
        ef_search := greatest(100, current_setting('hnsw.ef_search', true)::integer);
        IF ef_search < 1000 AND current_setting('hnsw.ef_search', true) IS NOT NULL THEN
            facts := facts || jsonb_build_object('recall', jsonb_build_object(
                'queries', least(20, rows), 'ef_search', ef_search, 'found', coalesce(harca.measured_recall(searched, ef_search), 1),
                'wider', least(1000, 4 * ef_search), 'found_wider', coalesce(harca.measured_recall(searched, least(1000, 4 * ef_search)), 1)));
        END IF;
    END IF;
    RETURN facts;
END
$$;
COMMENT ON FUNCTION harca.measured_facts(harca.search_target, bigint) IS
'What harca.advise(measure => true) measures of a search target, as far as the caller may read its table: what a tuning would gain, and what its vector index finds';

CREATE FUNCTION harca.target_facts(measure boolean) RETURNS jsonb
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'name', t.name,
        'literal', quote_literal(t.name),
        'table', t.relation::text,
        'kind', c.relkind,
        'rows', a.rows,
        'pages', a.pages,
        'state', s.state,
        'documents', s.documents,
        'changed_rows', s.changed_rows,
        'renewal', s.renewal,
        'tsvector', jsonb_build_object(
            'name', quote_ident(t.tsvector_column),
            'indexes', harca.index_facts(t.relation, ARRAY[t.tsvector_column, t.text_column], format('harca.with_frequencies(%I)', t.tsvector_column))),
        'embedding', jsonb_build_object(
            'name', quote_ident(t.embedding_column),
            'kind', e.typname,
            'dimensions', e.dimensions,
            'class', e.class,
            'half', e.half,
            'indexes', harca.index_facts(t.relation, ARRAY[t.embedding_column], NULL)),
        'distance', t.distance,
        'new_judgements', (SELECT count(*) FROM harca.search_feedback f
                           WHERE f.target = t.name
                             AND f.recorded_at > coalesce((SELECT max(u.tuned_at) FROM harca.search_tuning u WHERE u.target = t.name), '-infinity')))
        || CASE WHEN measure THEN harca.measured_facts(t, a.rows) ELSE '{}' END ORDER BY t.name), '[]')
    FROM harca.search_target t
    JOIN harca.stat_search_target s ON s.target = t.name
    JOIN pg_class c ON c.oid = t.relation
    CROSS JOIN LATERAL (
        WITH RECURSIVE part (oid) AS (
            SELECT t.relation::oid
            UNION
            SELECT i.inhrelid FROM pg_inherits i JOIN part ON i.inhparent = part.oid
        )
        SELECT greatest(l.live, l.planned, 0) AS rows,
               (SELECT sum(coalesce(pg_relation_size(p.oid), 0)) / current_setting('block_size')::integer FROM part p)::bigint AS pages
        FROM harca.table_activity(t.relation) AS l
    ) AS a
    LEFT JOIN LATERAL (
        SELECT ty.typname, n.nspname, greatest(0, b.atttypmod, d.typtypmod) AS dimensions,
               format('%I.%I', n.nspname, ty.typname || CASE t.distance WHEN 'cosine' THEN '_cosine_ops' WHEN 'l2' THEN '_l2_ops' ELSE '_ip_ops' END) AS class,
               format('%I.halfvec', n.nspname) AS half
        FROM pg_attribute b
        JOIN pg_type d ON d.oid = b.atttypid
        JOIN pg_type ty ON ty.oid = harca.base_type(b.atttypid)
        JOIN pg_namespace n ON n.oid = ty.typnamespace
        WHERE b.attrelid = t.relation AND b.attname = t.embedding_column
    ) AS e ON true
$$;
COMMENT ON FUNCTION harca.target_facts(boolean) IS
'What harca.advise knows of the search targets; with measure also what harca.measured_facts gives';

CREATE FUNCTION harca.model_facts() RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    active constant text := coalesce((SELECT d.active FROM harca.deployment d), 'builtin');
    bound constant float8 := 1000 * (SELECT s.setting::float8 FROM pg_settings s WHERE s.name = 'pg_harca.max_latency');
    facts jsonb;
BEGIN
    facts := jsonb_build_object(
        'shadows', (
            SELECT jsonb_agg(jsonb_build_object(
                'model', s.model, 'literal', quote_literal((SELECT m.key FROM harca.models m WHERE m.model = s.model)), 'active', a.model,
                'answers', s.answers, 'agreement', s.agreement, 'p50_us', s.p50_us, 'active_p50_us', a.p50_us))
            FROM harca.stat_models s JOIN harca.stat_models a ON a.current AND a.role = 'active'
            WHERE s.current AND s.role = 'shadow'),
        'slow_models', (
            SELECT jsonb_agg(jsonb_build_object(
                'model', p.model, 'bound_us', bound, 'p95_us', a.p95_us, 'runs', a.runs,
                'replaced', (SELECT coalesce(sum(o.answers), 0)::bigint FROM harca.stat_models o WHERE o.current AND o.role IN ('fallback', 'rules'))))
            FROM harca.model_parts() p JOIN harca.stat_models a ON a.current AND a.role = 'active' AND a.model = p.model
            WHERE p.role = 'active' AND p.breaker <> 'closed'));
    IF has_table_privilege('harca.model_evaluation', 'SELECT') THEN
        facts := facts || jsonb_build_object('evaluations', (
            SELECT jsonb_agg(to_jsonb(e))
            FROM (SELECT DISTINCT ON (m.key)
                         m.model, quote_literal(m.key) AS literal, b.model AS active, o.queries, o.accuracy, a.accuracy AS active_accuracy,
                         o.p50_us, a.p50_us AS active_p50_us
                  FROM harca.models m
                  JOIN harca.model_evaluation o ON o.model = m.key AND o.identity = m.identity
                  JOIN harca.models b ON b.key = active
                  JOIN harca.model_evaluation a ON a.model = b.key AND a.identity = b.identity AND a.labelled_digest = o.labelled_digest
                  WHERE m.key <> active AND m.task = 'classification'
                  ORDER BY m.key, o.evaluated_at DESC, a.evaluated_at DESC) AS e));
    END IF;
    RETURN facts;
END
$$;
COMMENT ON FUNCTION harca.model_facts() IS 'What harca.advise knows of the models that answer, as far as the caller may read it';

CREATE FUNCTION harca.engine_facts() RETURNS jsonb
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'state', e.state,
        'needed_by', (SELECT coalesce(jsonb_agg(n.name ORDER BY n.name), '[]')
                      FROM (SELECT 'search target ' || quote_ident(t.name) FROM harca.search_target t WHERE t.embedding_model IS NOT NULL
                            UNION ALL
                            SELECT 'model ' || m.model FROM harca.models m
                            WHERE m.executor = 'engine' AND m.status IN ('active', 'ab', 'canary', 'shadow')) AS n (name)),
        'memory', e.memory, 'memory_bound', e.memory_bound, 'let_go_idle', e.let_go[1], 'let_go_pressed', e.let_go[2],
        'queued', e.queued, 'queue_bound', e.queue_bound, 'threads', e.threads,
        'strategy', current_setting('pg_harca.engine_strategy'),
        'models', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                       'model', s.model, 'literal', quote_literal(s.model), 'state', s.state, 'priority', s.priority, 'requests', s.requests,
                       'failed', s.failed, 'wait_p95_us', s.wait_p95_us, 'run_p95_us', s.run_p95_us, 'bytes', s.bytes)), '[]')
                   FROM harca.stat_engine s))
    FROM harca.engine_status() e
$$;
COMMENT ON FUNCTION harca.engine_facts() IS 'What harca.advise knows of the engine';

CREATE FUNCTION harca.advise(measure boolean DEFAULT false)
    RETURNS TABLE (severity text, rule text, subject text, finding text, why text, gain text, statement text)
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE ROWS 5
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- First of all: the settings of a library that is not preloaded come with its first function.
    engine constant jsonb := harca.engine_facts();
BEGIN
    RETURN QUERY SELECT a.* FROM harca.advice_on(jsonb_strip_nulls(
        jsonb_build_object('engine', engine, 'targets', harca.target_facts(measure)) || harca.server_facts() || harca.model_facts())::text) AS a;
END
$$;
COMMENT ON FUNCTION harca.advise(boolean) IS
'What to change on this server, told from its statistics and settings as far as the caller may read them, what matters most first. severity: critical, warning or notice; rule, one of docs/monitoring.md; subject; finding, with its numbers; why it matters; gain; and the statement that makes the change. With measure, judged queries are searched for with other weights, and the vector indexes of tables of up to 200,000 rows are compared with exact searches, which takes seconds: of tables of the caller''s, and that the caller may read';

-- sql/grants.sql

-- What is new alone: what an administrator has granted or taken back since stays so.
GRANT SELECT (target), INSERT, DELETE ON harca.search_background TO PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON harca.passage_table TO PUBLIC;
GRANT SELECT ON harca.common_term, harca.stat_search_target, harca.feedback TO PUBLIC;
REVOKE ALL ON FUNCTION
    harca.announce_target(), harca.inspect_model(json, bytea, bytea), harca.register_model(json, bytea, bytea),
    harca.lock_name(text), harca.classifier_key(text), harca.engine_status(), harca.engine_statistics(),
    harca.restart_engine(), harca.release_identity(text), harca.release_model(text), harca.read_model_folder(text, json),
    harca.import_model(text, json), harca.hit_curve(), harca.advice_on(text), harca.server_facts(),
    harca.index_facts(regclass, name[], text), harca.measured_recall(harca.search_target, integer),
    harca.measured_facts(harca.search_target, bigint), harca.target_facts(boolean), harca.model_facts(), harca.engine_facts(),
    harca.advise(boolean)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    harca.inspect_model(json, bytea, bytea), harca.register_model(json, bytea, bytea), harca.restart_engine(),
    harca.release_model(text), harca.import_model(text, json)
    TO harca_admin;
GRANT EXECUTE ON FUNCTION
    harca.engine_status(), harca.engine_statistics(), harca.advice_on(text), harca.server_facts(),
    harca.index_facts(regclass, name[], text), harca.measured_recall(harca.search_target, integer),
    harca.measured_facts(harca.search_target, bigint), harca.target_facts(boolean), harca.model_facts(), harca.engine_facts(),
    harca.advise(boolean)
    TO harca_admin, pg_monitor;
GRANT EXECUTE ON FUNCTION harca.hit_curve() TO pg_monitor;
GRANT SELECT ON harca.stat_engine TO harca_admin, pg_monitor;
GRANT EXECUTE ON FUNCTION harca.read_model_folder(text, json) TO pg_read_server_files;

-- Triggers guard both: the owner of a table decides whether it is embedded.
GRANT SELECT (target), INSERT, UPDATE (rows_per_second), DELETE ON harca.embedded_table TO PUBLIC;
GRANT SELECT (target, attempts), UPDATE (attempts, not_before) ON harca.embedding_queue TO PUBLIC;
GRANT SELECT ON harca.embedding_progress, harca.embedding_failures TO PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON harca.embedding_change TO PUBLIC; -- a trigger guards it

-- What the registrations of 0.1.0 mean now. Their columns hold what the parser of 0.1.0 made of the text: renewal in
-- harca.stat_search_target says how to make them anew.
UPDATE harca.search_target AS t SET parser_version = 1
FROM pg_catalog.pg_ts_config AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.cfgnamespace
WHERE t.config OPERATOR(pg_catalog.=) pg_catalog.format('%I.%I', n.nspname, c.cfgname) AND harca.is_own_parser(c.oid);
-- Weights that were found from judgements stay, as harca.tune_search sees to now.
UPDATE harca.search_target AS t SET calibration = 'scales'
WHERE EXISTS (SELECT FROM harca.search_tuning AS s WHERE s.target OPERATOR(pg_catalog.=) t.name);
