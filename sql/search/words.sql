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

CREATE FUNCTION harca.count_documents(
    target harca.search_target,
    words tsquery[],
    most integer,
    OUT documents bigint[],
    OUT total bigint
)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF row_security_active(target.relation) THEN
        -- Behind a policy no index on the tsvector is used: one scan for all words.
        EXECUTE (
            SELECT format('SELECT ARRAY[%s], count(%I) FROM %s',
                          string_agg(format('count(*) FILTER (WHERE %I @@ $1[%s])', target.tsvector_column, w.place), ', '
                                     ORDER BY w.place),
                          target.tsvector_column, target.relation)
            FROM generate_series(1, cardinality(words)) AS w (place)
        ) INTO documents, total USING words;
    ELSE
        EXECUTE format(
            'SELECT array_agg((SELECT count(*) FROM (SELECT FROM %s WHERE %I @@ w.word LIMIT $2) AS found) ORDER BY w.place)'
            ' FROM unnest($1) WITH ORDINALITY AS w (word, place)', target.relation, target.tsvector_column)
            INTO documents USING words, most;
    END IF;
END
$$;
COMMENT ON FUNCTION harca.count_documents(harca.search_target, tsquery[], integer) IS
'How many rows that the current user sees match each of the queries, counted up to a most. Where row-level security hides rows, it counts all matches, and in total the documents that the user does see; null else';

CREATE TYPE harca.query_terms AS (
    words text[],
    documents bigint[],
    total bigint,
    phrases tsquery[],
    phrase_weights double precision[],
    ranker bytea,
    bound double precision,
    wanted tsquery
);
COMMENT ON TYPE harca.query_terms IS
'What the keyword leg reads in a query: its words, how many documents have each, and how many there are; its phrases and what each adds to a score; how to rank (ranker, for harca.bm25, and wanted, for ts_rank_cd alone), and the bound that no row''s score exceeds';

CREATE FUNCTION harca.search_terms(target harca.search_target, query text, options jsonb) RETURNS harca.query_terms
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- What the statistics do not hold is rare, or new.
    most_counted constant integer := 1000;
    read constant text := "left"(query, coalesce(current_setting('pg_harca.max_query_chars', true)::integer, 1024));
    config regconfig := target.query_config::regconfig;
    terms harca.query_terms;
    occurrences integer[];
    average_length double precision;
    unknown integer[];
    counted record;
BEGIN
    FOR attempt IN 1..2 LOOP
        SELECT array_agg(u.lexeme ORDER BY u.positions[1], u.lexeme),
               array_agg(coalesce(cardinality(u.positions), 1) ORDER BY u.positions[1], u.lexeme)
        INTO terms.words, occurrences
        FROM unnest(to_tsvector(config, read)) AS u;
        EXIT WHEN terms.words IS NOT NULL;
        config := target.config::regconfig;
    END LOOP;
    IF terms.words IS NULL THEN
        RETURN NULL;
    END IF;

    SELECT s.documents, s.average_length INTO terms.total, average_length
    FROM harca.search_statistics s WHERE s.target = target.name;
    SELECT array_agg(t.documents ORDER BY w.place) INTO terms.documents
    FROM unnest(terms.words) WITH ORDINALITY AS w (lexeme, place)
    -- Word by word, through the index: a join would read all common words.
    LEFT JOIN LATERAL (
        SELECT c.documents FROM harca.common_term AS c WHERE c.target = target.name AND c.lexeme = w.lexeme LIMIT 1
    ) AS t ON true;
    unknown := array_positions(terms.documents, NULL);
    IF cardinality(unknown) > 0 THEN
        counted := harca.count_documents(
            target, ARRAY(SELECT harca.lexeme_query(terms.words[p]) FROM unnest(unknown) AS p), most_counted);
        FOR n IN 1..cardinality(unknown) LOOP
            terms.documents[unknown[n]] := counted.documents[n];
        END LOOP;
        terms.total := coalesce(counted.total, terms.total);
    END IF;
    IF coalesce(terms.total, 0) = 0 THEN
        -- No statistics yet, or of an empty table.
        terms.total := (SELECT greatest(a.live, a.planned) FROM harca.table_activity(target.relation) AS a);
    END IF;
    terms.total := greatest(terms.total, (SELECT max(d) FROM unnest(terms.documents) AS d));
    terms.ranker := harca.bm25_query(
        terms.words, occurrences, terms.documents, terms.total, average_length,
        coalesce((options ->> 'k1')::float8, target.k1), coalesce((options ->> 'b')::float8, target.b));
    -- What stands in quotation marks is one more thing to look for, and counts as the rare thing that it is.
    terms.phrases := ARRAY(
        SELECT phraseto_tsquery(target.config::regconfig, q.phrase)
        FROM harca.quoted_phrases(read) AS q
        -- phraseto_tsquery gives a notice where it finds no word.
        WHERE to_tsvector(target.config::regconfig, q.phrase) <> ''
        ORDER BY q.place);
    IF cardinality(terms.phrases) > 0 THEN
        counted := harca.count_documents(target, terms.phrases, most_counted);
        terms.phrase_weights := ARRAY(
            SELECT ln(1 + (greatest(terms.total, n) - n + 0.5) / (n + 0.5))::float8 FROM unnest(counted.documents) AS n);
    END IF;
    terms.bound := harca.bm25_bound(terms.ranker) + coalesce((SELECT sum(w) FROM unnest(terms.phrase_weights) AS w), 0);
    IF options ->> 'ranking' = 'ts_rank_cd' THEN
        terms.wanted := harca.keyword_query(config, read);
    END IF;
    RETURN terms;
END
$$;
COMMENT ON FUNCTION harca.search_terms(harca.search_target, text, jsonb) IS
'What the keyword leg reads in a query, under options with defaults filled in; null when nothing is left of the query';

CREATE FUNCTION harca.candidate_units(documents bigint[], total bigint, most bigint)
    RETURNS TABLE (first integer, second integer)
    LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 10
    AS 'MODULE_PATHNAME', 'harca_candidate_units';
COMMENT ON FUNCTION harca.candidate_units(bigint[], bigint, bigint) IS
'Which words a search looks up, by how many documents have each, how many there are, and how many may be looked at (null: all of them): places of words, from 1; with a second one, only documents that have both';

CREATE FUNCTION harca.matches(
    terms harca.query_terms, require_phrases boolean, most bigint, OUT query tsquery, OUT looked_up boolean[]
)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    words constant text[] := terms.words;
    phrases constant tsquery[] := terms.phrases;
BEGIN
    WITH unit AS (SELECT * FROM harca.candidate_units(terms.documents, terms.total, most))
    SELECT string_agg(format('(%s)', concat_ws(' & ', harca.lexeme_query(words[u.first]), harca.lexeme_query(words[u.second]))),
                      ' | ')::tsquery,
           (SELECT array_agg(w.place IN (SELECT u.first FROM unit AS u WHERE u.second IS NULL) ORDER BY w.place)
            FROM generate_series(1, cardinality(words)) AS w (place))
    INTO query, looked_up
    FROM unit AS u;
    IF cardinality(phrases) > 0 THEN
        query := (SELECT string_agg(format('(%s)', q), CASE WHEN require_phrases THEN ' & ' ELSE ' | ' END)::tsquery
                  FROM unnest(CASE WHEN require_phrases THEN phrases ELSE query || phrases END) AS q);
    END IF;
END
$$;
COMMENT ON FUNCTION harca.matches(harca.query_terms, boolean, bigint) IS
'Which rows the keyword leg looks at for the terms of a query, most of them at most, or all with null: the query for the tsvector, and which of the words are looked up by themselves, not only with another one';
