CREATE FUNCTION harca.lexeme_query(lexeme text) RETURNS tsquery
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    -- Quoted for tsquery's input syntax, in which a backslash escapes.
    SELECT ('''' || pg_catalog.replace(pg_catalog.replace($1, '\', '\\'), '''', '''''') || '''')::pg_catalog.tsquery;
END;
COMMENT ON FUNCTION harca.lexeme_query(text) IS 'The query that looks for one lexeme, as it stands';

CREATE FUNCTION harca.keyword_query(config regconfig, query text) RETURNS tsquery
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    -- Any of the words, as all of them together match nothing for a long question.
    SELECT pg_catalog.string_agg(harca.lexeme_query(u.lexeme)::text, ' | ' ORDER BY u.positions[1])::pg_catalog.tsquery
    FROM pg_catalog.unnest(pg_catalog.to_tsvector($1, $2)) AS u;
END;
COMMENT ON FUNCTION harca.keyword_query(regconfig, text) IS
'The words of a query, any of which is to match; null when the configuration leaves none';
