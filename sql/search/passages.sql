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
