CREATE FUNCTION harca.has_order(type oid) RETURNS boolean
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_type t
        JOIN pg_catalog.pg_type e ON e.oid = CASE t.typcategory WHEN 'A' THEN t.typelem ELSE t.oid END
        JOIN pg_catalog.pg_opclass o ON o.opcdefault
        JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod AND m.amname = 'btree'
        WHERE t.oid = $1 AND (o.opcintype = e.oid
            OR o.opcintype = CASE e.typtype WHEN 'r' THEN 'anyrange' WHEN 'm' THEN 'anymultirange' WHEN 'e' THEN 'anyenum' END::regtype::oid
            OR EXISTS (SELECT FROM pg_catalog.pg_cast c
                       WHERE c.castsource = e.oid AND c.casttarget = o.opcintype AND c.castmethod = 'b' AND c.castcontext = 'i')));
END;
COMMENT ON FUNCTION harca.has_order(oid) IS 'Whether values of a type, or the elements of an array type, have an order by default';

CREATE FUNCTION harca.filter_condition(relation regclass, filter jsonb) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    condition text := '';
    field text;
    wanted jsonb;
    comparison text;
    operand jsonb;
    type_name text;
    built_in boolean;
    is_array boolean;
    compared text;
    place text;
BEGIN
    IF filter IS NULL THEN
        RETURN '';
    END IF;
    IF jsonb_typeof(filter) <> 'object' THEN
        RAISE EXCEPTION 'filter must be a JSON object'
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('It is of the type %s.', jsonb_typeof(filter)),
                  HINT = 'Write {"column": value} or {"column": {"gte": value}}.';
    END IF;
    FOR field, wanted IN SELECT * FROM jsonb_each(filter) LOOP
        -- A domain is compared as the type it is made of: its constraints are for what is stored.
        WITH RECURSIVE chain AS (
            SELECT ty.*
            FROM pg_attribute a JOIN pg_type ty ON ty.oid = a.atttypid
            WHERE a.attrelid = relation AND a.attname = field AND a.attnum > 0 AND NOT a.attisdropped
            UNION ALL
            SELECT ty.* FROM chain JOIN pg_type ty ON ty.oid = chain.typbasetype
        )
        -- With -1, as character and bit alone mean a length of 1.
        SELECT format_type(chain.oid, -1), chain.typnamespace = 'pg_catalog'::regnamespace AND harca.has_order(chain.oid),
               chain.typcategory = 'A'
        INTO type_name, built_in, is_array
        FROM chain WHERE chain.typbasetype = 0;
        IF type_name IS NULL THEN
            RAISE EXCEPTION 'column "%" of table % does not exist', field, relation
                USING ERRCODE = 'undefined_column',
                      DETAIL = 'It was given as a key of the filter.';
        END IF;
        -- The operators and casts of another type may be functions of whoever owns it, and would run with the rights of
        -- whoever searches: its text form is compared, which its output function makes. So is that of json, point and
        -- the like, which have no order and often no equality.
        compared := CASE WHEN built_in THEN format('%I', field) ELSE format('format(''%%s'', %I)', field) END;
        type_name := CASE WHEN built_in THEN type_name ELSE 'text' END;
        IF jsonb_typeof(wanted) <> 'object' THEN
            wanted := jsonb_build_object(CASE jsonb_typeof(wanted) WHEN 'array' THEN 'in' ELSE 'eq' END, wanted);
            place := format('$3 -> %L', field);
        ELSE
            place := NULL;
        END IF;
        FOR comparison, operand IN SELECT * FROM jsonb_each(wanted) LOOP
            -- Values stay parameters: the condition names the place in the filter where the value stands.
            condition := condition || ' AND ' || CASE
                WHEN comparison IN ('eq', 'ne') AND jsonb_typeof(operand) = 'null' THEN
                    format('%I IS %s', field, CASE comparison WHEN 'eq' THEN 'NULL' ELSE 'NOT NULL' END)
                WHEN (comparison IN ('eq', 'ne') OR built_in AND comparison IN ('lt', 'lte', 'gt', 'gte'))
                    AND jsonb_typeof(operand) <> 'array' THEN
                    format('%s %s ((%s) #>> ''{}'')::%s', compared,
                           ('{"eq": "=", "ne": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}'::jsonb) ->> comparison,
                           coalesce(place, format('$3 -> %L -> %L', field, comparison)), type_name)
                WHEN comparison = 'in' AND jsonb_typeof(operand) = 'array' THEN
                    -- No array of arrays, which would be compared by the elements of the elements.
                    format(CASE WHEN is_array THEN '%s IN (SELECT e::%s FROM jsonb_array_elements_text(%s) AS e)'
                                ELSE '%s = ANY (ARRAY(SELECT e::%s FROM jsonb_array_elements_text(%s) AS e))' END,
                           compared, type_name, coalesce(place, format('$3 -> %L -> %L', field, comparison)))
            END;
            IF condition IS NULL THEN
                RAISE EXCEPTION 'filter on column "%" is not understood', field
                    USING ERRCODE = 'invalid_parameter_value',
                          DETAIL = format('It has "%s" with a value of the type %s.', comparison, jsonb_typeof(operand)),
                          HINT = 'Use eq or ne with one value, or in with an array; lt, lte, gt and gte with one value, '
                                 'on columns of PostgreSQL''s own types that have an order.';
            END IF;
        END LOOP;
    END LOOP;
    RETURN condition;
END
$$;
COMMENT ON FUNCTION harca.filter_condition(regclass, jsonb) IS
'The SQL condition of a filter, to be appended to a WHERE clause in which $3 is the filter itself; empty for null';
