CREATE FUNCTION harca.boost_sql(relation regclass, boosts jsonb, OUT columns text[], OUT expression text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    field text;
    boost jsonb;
    weight double precision;
    place text;
    kind text;
    understood boolean;
BEGIN
    FOR field, boost IN SELECT * FROM jsonb_each(boosts) LOOP
        -- Other types, domains among them, may have casts that are functions of whoever owns them.
        SELECT CASE WHEN a.atttypid = ANY ('{int2,int4,int8,float4,float8,numeric}'::regtype[]) THEN 'max'
                    WHEN a.atttypid = ANY ('{date,timestamp,timestamptz}'::regtype[]) THEN 'half_life' END
        INTO kind
        FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = field AND a.attnum > 0 AND NOT a.attisdropped;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'column "%" of table % does not exist', field, relation
                USING ERRCODE = 'undefined_column',
                      DETAIL = 'It was given as a key of the search option "boosts".';
        ELSIF kind IS NULL THEN
            RAISE EXCEPTION 'column "%" cannot boost a search', field
                USING ERRCODE = 'datatype_mismatch',
                      HINT = 'Name a column with numbers, dates or timestamps.';
        END IF;
        IF jsonb_typeof(boost) <> 'object' THEN
            understood := false;
        ELSIF kind = 'max' THEN
            understood := jsonb_typeof(boost -> 'max') = 'number' AND (boost ->> 'max')::numeric BETWEEN 1e-9 AND 1e15;
        ELSE
            understood := jsonb_typeof(boost -> 'half_life') = 'string'
                AND extract(epoch FROM (boost ->> 'half_life')::interval) > 0;
        END IF;
        understood := understood AND jsonb_typeof(boost -> 'weight') = 'number'
            AND (boost ->> 'weight')::numeric BETWEEN 0 AND 100
            AND NOT EXISTS (SELECT FROM jsonb_object_keys(boost) AS key WHERE key NOT IN ('weight', kind));
        IF understood IS NOT TRUE THEN
            RAISE EXCEPTION 'boost by column "%" is not understood', field
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = format('Write {"weight": 0.2, %s}, with a weight from 0 to 100.',
                                    CASE kind WHEN 'max' THEN '"max": 5' ELSE '"half_life": "30 days"' END);
        END IF;
        columns := columns || field;
        place := format('l.b%s', cardinality(columns));
        weight := (boost ->> 'weight')::float8;
        expression := concat_ws(' + ', expression, CASE kind
            WHEN 'max' THEN
                format('%L::float8 * coalesce(least(1, greatest(0, %s::float8 / %L::float8)), 0)', weight, place, boost ->> 'max')
            ELSE
                -- A thousand half-lives are enough: power() refuses to give a number too small to be written.
                format('%L::float8 * coalesce(0.5::float8 ^ least(1000, greatest(0, date_part(''epoch'', now())'
                       ' - date_part(''epoch'', %s::timestamptz)) / %L::float8), 0)',
                       weight, place, extract(epoch FROM (boost ->> 'half_life')::interval)::float8)
            END);
    END LOOP;
END
$$;
COMMENT ON FUNCTION harca.boost_sql(regclass, jsonb) IS
'What the search option "boosts" asks for as SQL: the columns it needs, and an expression in which they are l.b1, l.b2 and so on: the sum of the weights, each times its number''s share of max or its date''s recency, which halves in half_life. Null without boosts';
