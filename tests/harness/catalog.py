"""What the catalogs of a database say of the extension, as lines of text that can be compared.

Nothing in them depends on object identifiers or on the order in which objects came, but for the order of columns.
"""

# Sorted, as its order is that of the grants.
_ACL = "(SELECT array_agg(a::text ORDER BY a::text) FROM unnest({0}) AS a)"

# The members, and what belongs to those that are tables.
_MEMBERS = """
    WITH member AS (
        SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_harca'
    ), relation AS (
        SELECT c.* FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
    )
"""

_PARTS = {
    "extension": """
        SELECT e.extversion, e.extrelocatable, n.nspname,
               (SELECT array_agg(c.table::regclass::text || ' ' || c.condition ORDER BY c.table::regclass::text)
                FROM unnest(e.extconfig, e.extcondition) AS c ("table", condition)),
               (SELECT array_agg(r.extname ORDER BY r.extname) FROM pg_depend d JOIN pg_extension r ON r.oid = d.refobjid
                WHERE d.classid = 'pg_extension'::regclass AND d.objid = e.oid AND d.refclassid = 'pg_extension'::regclass)
        FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_harca'""",
    "member": """
        SELECT i.type, i.identity FROM member m, LATERAL pg_identify_object(m.classid, m.objid, 0) AS i""",
    "schema": f"""
        SELECT n.nspname, {_ACL.format("n.nspacl")}
        FROM pg_namespace n JOIN member m ON m.classid = 'pg_namespace'::regclass AND m.objid = n.oid""",
    "function": f"""
        SELECT p.oid::regprocedure, p.prokind, pg_get_functiondef(p.oid), {_ACL.format("p.proacl")}
        FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid""",
    "type": f"""
        SELECT t.oid::regtype, t.typtype, t.typcategory, t.typlen, t.typbyval, t.typalign, t.typstorage, t.typinput, t.typoutput,
               t.typreceive, t.typsend, t.typdefault, {_ACL.format("t.typacl")}
        FROM pg_type t JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid""",
    "cast": """
        SELECT c.castsource::regtype, c.casttarget::regtype, c.castfunc::regproc, c.castcontext, c.castmethod
        FROM pg_cast c JOIN member m ON m.classid = 'pg_cast'::regclass AND m.objid = c.oid""",
    "operator": """
        SELECT o.oid::regoperator, o.oprresult::regtype, o.oprcode, o.oprcom::regoperator, o.oprnegate::regoperator, o.oprrest,
               o.oprjoin, o.oprcanmerge, o.oprcanhash
        FROM pg_operator o JOIN member m ON m.classid = 'pg_operator'::regclass AND m.objid = o.oid""",
    "relation": f"""
        SELECT r.oid::regclass, r.relkind, r.relpersistence, r.relreplident, r.relrowsecurity, r.reloptions, {_ACL.format("r.relacl")}
        FROM relation r""",
    # Of composite types as well.
    "column": f"""
        SELECT a.attrelid::regclass, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attisdropped,
               a.attstorage, a.attcompression, a.attidentity, a.attgenerated, a.attcollation::regcollation, a.attstattarget,
               pg_get_expr(d.adbin, d.adrelid), {_ACL.format("a.attacl")}
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attnum > 0 AND a.attrelid IN (
            SELECT r.oid FROM relation r
            UNION SELECT t.typrelid FROM pg_type t JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid)""",
    "constraint": """
        SELECT c.conrelid::regclass, c.conname, c.contype, c.convalidated, pg_get_constraintdef(c.oid)
        FROM pg_constraint c JOIN relation r ON r.oid = c.conrelid""",
    "index": """
        SELECT i.indrelid::regclass, i.indisprimary, i.indisvalid, i.indisreplident, pg_get_indexdef(i.indexrelid)
        FROM pg_index i JOIN relation r ON r.oid = i.indrelid""",
    "trigger": """
        SELECT t.tgrelid::regclass, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid)
        FROM pg_trigger t JOIN relation r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal""",
    "view": "SELECT r.oid::regclass, pg_get_viewdef(r.oid) FROM relation r WHERE r.relkind IN ('v', 'm')",
    "policy": "SELECT p.polrelid::regclass, p.polname FROM pg_policy p JOIN relation r ON r.oid = p.polrelid",
    "sequence": """
        SELECT s.seqrelid::regclass, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle
        FROM pg_sequence s JOIN relation r ON r.oid = s.seqrelid""",
    "event trigger": """
        SELECT t.evtname, t.evtevent, t.evtfoid::regprocedure, t.evtenabled, t.evttags
        FROM pg_event_trigger t JOIN member m ON m.classid = 'pg_event_trigger'::regclass AND m.objid = t.oid""",
    "parser": """
        SELECT n.nspname, p.prsname, p.prsstart, p.prstoken, p.prsend, p.prsheadline, p.prslextype
        FROM pg_ts_parser p JOIN pg_namespace n ON n.oid = p.prsnamespace
        JOIN member m ON m.classid = 'pg_ts_parser'::regclass AND m.objid = p.oid""",
    "configuration": """
        SELECT c.oid::regconfig, p.prsname, w.maptokentype, w.mapseqno, w.mapdict::regdictionary
        FROM pg_ts_config c JOIN member m ON m.classid = 'pg_ts_config'::regclass AND m.objid = c.oid
        JOIN pg_ts_parser p ON p.oid = c.cfgparser JOIN pg_ts_config_map w ON w.mapcfg = c.oid""",
    "comment": """
        SELECT i.type, i.identity, d.description
        FROM member m JOIN pg_description d ON d.classoid = m.classid AND d.objoid = m.objid,
             LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i""",
    # What pg_dump takes for the grants of the extension, and leaves out.
    "first grants": f"""
        SELECT i.type, i.identity, p.privtype, {_ACL.format("p.initprivs")}
        FROM member m JOIN pg_init_privs p ON p.classoid = m.classid AND p.objoid = m.objid,
             LATERAL pg_identify_object(p.classoid, p.objoid, p.objsubid) AS i""",
    "dependency": """
        SELECT i.type, i.identity, d.deptype, o.type, o.identity
        FROM member m JOIN pg_depend d ON d.classid = m.classid AND d.objid = m.objid,
             LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) AS i,
             LATERAL pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) AS o""",
}


def catalog(server, database):
    """All that the catalogs of a database say of the extension: sorted lines, each with the part that it is of."""
    script = "SET search_path = '';\n" + "".join(
        f"{_MEMBERS} SELECT json_build_array('{part}', to_json(x))::text FROM ({query}) AS x;\n" for part, query in _PARTS.items()
    )
    return sorted(server.psql(script, database).splitlines())


def differences(one, other):
    """What only one of two catalogs has, with a sign in front: - for the first, + for the second."""
    return [f"- {line}" for line in one if line not in set(other)] + [f"+ {line}" for line in other if line not in set(one)]
