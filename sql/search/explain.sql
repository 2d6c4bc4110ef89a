CREATE FUNCTION harca.explain_legs(
    target text,
    query text,
    embedding vector DEFAULT NULL,
    "limit" integer DEFAULT 10,
    filter jsonb DEFAULT NULL,
    options jsonb DEFAULT NULL
) RETURNS TABLE (leg text, plan text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 20
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    searched constant harca.search_target := harca.search_target_row(target);
    chosen constant jsonb := harca.search_options(options);
    candidates constant integer := harca.candidates(chosen, "limit");
    legs constant harca.leg_results := harca.search_legs(searched, query, embedding, candidates, filter, chosen);
BEGIN
    RETURN QUERY
        SELECT l.leg, p.plan
        FROM unnest(legs.ran) WITH ORDINALITY AS l (leg, place)
        CROSS JOIN LATERAL harca.leg_plan(searched, l.leg, legs, embedding, candidates, filter, chosen)
            WITH ORDINALITY AS p (plan, line)
        ORDER BY l.place DESC, p.line;
END
$$;
COMMENT ON FUNCTION harca.explain_legs(text, text, vector, integer, jsonb, jsonb) IS
'The plans of the queries that hybrid_search runs for the same arguments, the vector leg''s first: does each leg use its index?';

CREATE FUNCTION @extschema@.hybrid_search_explain(
    target text,
    query text,
    embedding vector DEFAULT NULL,
    "limit" integer DEFAULT 10,
    "offset" integer DEFAULT 0,
    filter jsonb DEFAULT NULL,
    options jsonb DEFAULT NULL
) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    searched constant harca.search_target := harca.search_target_row(target);
    chosen constant jsonb := harca.search_options(options);
    candidates constant integer := harca.candidates(chosen, "limit");
    legs harca.leg_results;
    classified @extschema@.query_classification;
    terms harca.query_terms;
    leg text;
    found integer;
    indexes text[];
    matched bigint;
    fusion_times timestamptz[];
    ranked harca.ranked_row[];
    state text;
    explained jsonb := '{}';
    warnings text[] := '{}';
BEGIN
    PERFORM harca.check_page("limit", "offset");
    IF query IS NULL THEN
        RETURN NULL;
    END IF;
    legs := harca.search_legs(searched, query, embedding, candidates, filter, chosen);
    fusion_times := ARRAY[clock_timestamp()];
    SELECT array_agg(q.r) INTO ranked
    FROM (
        SELECT r
        FROM harca.ranked_rows(
            legs.strategy, legs.vector_ids, legs.vector_scores, legs.keyword_ids, legs.keyword_scores, legs.vector_weight,
            legs.similarity_deviation, (legs.terms).bound, legs.boosted_ids, legs.boosts, chosen) AS r
        LIMIT "limit" OFFSET "offset"
    ) AS q;
    fusion_times := fusion_times || clock_timestamp();
    classified := legs.classified;
    terms := legs.terms;
    state := (SELECT s.state FROM harca.stat_search_target s WHERE s.target = target);

    FOREACH leg IN ARRAY '{keyword,vector}'::text[] LOOP
        found := coalesce(cardinality(CASE leg WHEN 'keyword' THEN legs.keyword_ids ELSE legs.vector_ids END), 0);
        indexes := NULL;
        IF leg = ANY (legs.ran) THEN
            SELECT array_agg(DISTINCT m[1]) INTO indexes
            FROM harca.leg_plan(searched, leg, legs, embedding, candidates, filter, chosen) AS p (line)
            CROSS JOIN LATERAL regexp_matches(p.line, '(?:Scan using|Scan Backward using|Bitmap Index Scan on) ("(?:[^"]|"")+"|\S+)') AS m;
            warnings := warnings
                || CASE WHEN leg = 'vector' AND legs.exact THEN 'the vector index gave up before it had enough rows: all that qualify were read'
                        WHEN indexes IS NULL THEN format('the %s leg reads the whole table: PostgreSQL uses no index for it', leg) END
                || CASE WHEN found = 0 THEN format('the %s leg found nothing%s', leg, CASE WHEN filter IS NOT NULL THEN ': see whether the filter leaves rows' END) END;
        ELSE
            warnings := warnings || format('the %s leg was skipped: %s', leg, CASE
                WHEN legs.strategy IN ('keyword_first', 'vector_first') AND found > 0 THEN
                    format('it only scores the rows of the other leg (strategy %s%s)', legs.strategy, ', as ' || legs.reason)
                WHEN leg = 'vector' AND embedding IS NULL THEN 'no embedding of the query was given'
                WHEN leg = 'keyword' AND terms.words IS NULL AND legs.strategy <> 'vector_only' OR legs.reason IS NOT NULL THEN
                    'the text search configuration leaves no word of the query'
                ELSE format('the strategy is %s', legs.strategy) END);
        END IF;
        explained := jsonb_set(explained, ARRAY[leg], jsonb_build_object(
            'ran', coalesce(leg = ANY (legs.ran), false), 'rows', found, 'indexes', coalesce(to_jsonb(indexes), '[]'),
            'milliseconds', harca.milliseconds(legs.times, CASE leg WHEN 'keyword' THEN 3 ELSE 4 END)));
    END LOOP;
    IF terms.words IS NOT NULL THEN
        explained := jsonb_set(explained, '{keyword,words}', (
            SELECT jsonb_agg(jsonb_build_object('word', w.word, 'documents', w.documents, 'looked_up', w.looked_up) ORDER BY w.place)
            FROM unnest(terms.words, terms.documents, legs.looked_up) WITH ORDINALITY AS w (word, documents, looked_up, place)));
        explained := jsonb_set(explained, '{keyword,phrases}', to_jsonb(terms.phrases::text[]));
        warnings := warnings || (
            SELECT format('too common to be looked up alone: %s', string_agg(w.word, ', ' ORDER BY w.place))
            FROM unnest(terms.words, legs.looked_up) WITH ORDINALITY AS w (word, looked_up, place)
            WHERE NOT w.looked_up HAVING count(*) > 0);
    END IF;
    IF 'keyword' = ANY (legs.ran) THEN
        EXECUTE format('SELECT count(*) FROM (SELECT FROM %s WHERE %I @@ $1%s LIMIT $2 + 1) AS m', searched.relation,
                       searched.tsvector_column, harca.filter_condition(searched.relation, filter))
            INTO matched USING legs.matches, legs.most_ranked, filter;
        explained := jsonb_set(explained, '{keyword,ranked}', to_jsonb(least(matched, legs.most_ranked)));
        warnings := warnings || CASE WHEN matched > legs.most_ranked THEN
            format('more than %1$s rows match: %1$s of them were ranked, not the best of all', legs.most_ranked) END;
    END IF;
    warnings := warnings
        || CASE WHEN state <> 'fresh' THEN format('the statistics of the search target are not fresh (%s): call harca.refresh_search_statistics(%L)', state, target) END
        || CASE WHEN classified.model = 'rules' THEN 'the rules answered in the place of a model' END;
    RETURN jsonb_build_object(
        'classification', to_jsonb(classified) - 'query' || jsonb_build_object('scores', (
            SELECT jsonb_object_agg(l.label, s.score)
            FROM unnest(classified.scores) WITH ORDINALITY AS s (score, ordinality) JOIN harca.labels() AS l USING (ordinality))),
        'vector_weight', legs.vector_weight,
        'rarity', coalesce(legs.rarity, 0),
        'strategy', jsonb_build_object('asked', chosen ->> 'strategy', 'taken', legs.strategy, 'reason', legs.reason),
        'options', chosen,
        'fusion', jsonb_build_object('method', chosen ->> 'fusion', 'similarity_deviation', legs.similarity_deviation,
                                     'keyword_bound', terms.bound),
        'legs', explained,
        'statistics', state,
        'milliseconds', jsonb_build_object(
            'classification', harca.milliseconds(legs.times, 1), 'terms', harca.milliseconds(legs.times, 2),
            'keyword_leg', harca.milliseconds(legs.times, 3), 'vector_leg', harca.milliseconds(legs.times, 4),
            'fusion', harca.milliseconds(fusion_times, 1)),
        'rows', (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.ordinality), '[]') FROM unnest(ranked) WITH ORDINALITY AS r),
        'warnings', array_remove(warnings, NULL));
END
$$;
COMMENT ON FUNCTION @extschema@.hybrid_search_explain(text, text, vector, integer, integer, jsonb, jsonb) IS
'Runs the search that hybrid_search would run and says how it came to its rows, as JSON: classification, vector_weight, rarity of the rarest word, strategy, options, fusion, legs (rows, indexes, milliseconds; words with the documents that have them), statistics, milliseconds of each step, rows with ranks, scores and normalised scores, and warnings in words: a leg that was skipped or is empty, and why; words that were too common; statistics that are old. Null for a null query';

CREATE FUNCTION harca.milliseconds(times timestamptz[], step integer) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT pg_catalog.round(1000.0 * extract(epoch FROM $1[$2 + 1] - $1[$2]), 3)::double precision;
END;
COMMENT ON FUNCTION harca.milliseconds(timestamptz[], integer) IS
'How long a step took, by the times before and after it: from element step to the next one';
