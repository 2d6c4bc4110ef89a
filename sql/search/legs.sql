CREATE TYPE harca.leg_results AS (
    classified @extschema@.query_classification,
    terms harca.query_terms,
    rarity double precision,
    vector_weight real,
    strategy text,
    reason text,
    matches tsquery,
    looked_up boolean[],
    ran text[],
    exact boolean,
    most_ranked bigint,
    keyword_ids text[],
    keyword_scores double precision[],
    vector_ids text[],
    vector_scores double precision[],
    boosted_ids text[],
    boosts double precision[],
    similarity_deviation double precision,
    times timestamptz[]
);
COMMENT ON TYPE harca.leg_results IS
'What the legs of a search have found, best first, and all that it rests on: the classification, the terms of the query and how rare the rarest is, the weight of the vector leg, the strategy that was taken and why, the rows that the keyword leg looks at, the words that it looks up by themselves, the legs that ran, whether the vector leg had to go without a vector index, how many rows the keyword leg ranks at most, the table''s deviation of similarities, and the times at which the search began, had the classification, had the terms, had the keyword leg and had the vector leg';

CREATE FUNCTION harca.leg_plan(
    target harca.search_target,
    leg text,
    legs harca.leg_results,
    embedding vector,
    candidates integer,
    filter jsonb,
    options jsonb
) RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    terms constant harca.query_terms := legs.terms;
    former_settings constant jsonb := harca.widen_index_scan(candidates);
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || CASE leg
        WHEN 'keyword' THEN
            harca.keyword_leg_sql(target, filter, options, legs.strategy = 'keyword_first' AND embedding IS NOT NULL)
        ELSE
            harca.vector_leg_sql(target, filter, options, legs.strategy = 'vector_first' AND embedding IS NOT NULL,
                                 legs.exact)
        END
        USING legs.matches, candidates, filter, terms.ranker, legs.most_ranked, terms.wanted,
              terms.phrases, terms.phrase_weights, embedding;
    PERFORM harca.restore_index_scan(former_settings);
END
$$;
COMMENT ON FUNCTION harca.leg_plan(harca.search_target, text, harca.leg_results, vector, integer, jsonb, jsonb) IS
'PostgreSQL''s plan for the query that one leg, "vector" or "keyword", of a search has run';

CREATE FUNCTION harca.search_legs(
    target harca.search_target,
    query text,
    embedding vector,
    candidates integer,
    filter jsonb,
    options jsonb
) RETURNS harca.leg_results
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- A word that a handful of documents have, in a query whose meaning has next to no say.
    least_rarity constant double precision := 0.8;
    most_weight constant real := 0.2;
    too_few constant text := 'documents with the words of the query are too few to fill its pages';
    legs harca.leg_results;
    terms harca.query_terms;
    matched record;
    -- A leg in order, its rows in the order of the other measure, and boosts. A vector of zeros has no cosine.
    ordered constant text :=
        'SELECT array_agg(id ORDER BY score DESC, id), array_agg(score ORDER BY score DESC, id),'
        ' array_agg(id ORDER BY other DESC, id) FILTER (WHERE other IS NOT NULL),'
        ' array_agg(other ORDER BY other DESC, id) FILTER (WHERE other IS NOT NULL),'
        ' array_agg(id) FILTER (WHERE boost > 0), array_agg(boost) FILTER (WHERE boost > 0)'
        ' FROM (%s) AS leg WHERE score <> ''NaN''';
    other_ids text[];
    other_scores double precision[];
    further_ids text[];
    further_boosts double precision[];
    exact boolean;
    former_settings jsonb;
BEGIN
    legs.strategy := options ->> 'strategy';
    IF embedding IS NOT NULL THEN
        PERFORM harca.check_embedding(target, embedding);
    ELSIF legs.strategy IN ('vector_first', 'vector_only', 'intersection') THEN
        RAISE EXCEPTION 'search strategy "%" needs an embedding of the query', legs.strategy
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Pass the embedding as the third argument, or use the strategy auto.';
    END IF;
    legs.times := ARRAY[clock_timestamp()];
    legs.classified := @extschema@.classify_query(query);
    legs.times := legs.times || clock_timestamp();
    IF legs.strategy <> 'vector_only' THEN
        terms := harca.search_terms(target, query, options);
        legs.terms := terms;
    END IF;
    legs.rarity := harca.rarity(terms.documents);
    -- By the probabilities and not by the type, which pg_harca.min_confidence may make unknown: doubt has moved them
    -- already.
    legs.vector_weight := CASE legs.strategy WHEN 'keyword_only' THEN 0 WHEN 'vector_only' THEN 1
        ELSE coalesce((options ->> 'vector_weight')::real,
                      harca.expected_vector_weight(target, (legs.classified).scores, legs.rarity)) END;
    legs.most_ranked := (options ->> 'max_matches')::bigint;
    IF legs.strategy = 'auto' THEN
        IF embedding IS NULL THEN
            legs.strategy := 'keyword_only';
            legs.reason := 'no embedding of the query was given';
        ELSIF terms.words IS NULL THEN
            legs.strategy := 'vector_only';
            legs.reason := 'no word of the query can be looked up';
        ELSIF legs.rarity >= least_rarity AND legs.vector_weight <= most_weight THEN
            legs.strategy := 'keyword_first';
            legs.reason := 'a word of the query is in a handful of documents';
            legs.most_ranked := least(legs.most_ranked, 10 * candidates);
            IF (SELECT sum(d) FROM unnest(terms.documents) AS d) < candidates THEN
                legs.strategy := 'parallel';
                legs.reason := too_few;
            END IF;
        ELSE
            legs.strategy := 'parallel';
            legs.reason := 'both legs have a say';
        END IF;
    END IF;
    IF terms.words IS NOT NULL AND legs.strategy <> 'vector_first' THEN
        matched := harca.matches(terms, options ->> 'phrases' = 'require', legs.most_ranked);
        legs.matches := matched.query;
        legs.looked_up := matched.looked_up;
    END IF;
    legs.times := legs.times || clock_timestamp();

    IF legs.matches IS NOT NULL THEN
        legs.ran := legs.ran || 'keyword'::text;
        LOOP
            EXECUTE format(ordered, harca.keyword_leg_sql(target, filter, options,
                                                          embedding IS NOT NULL AND legs.strategy = 'keyword_first'))
                INTO legs.keyword_ids, legs.keyword_scores, legs.vector_ids, legs.vector_scores, legs.boosted_ids, legs.boosts
                USING legs.matches, candidates, filter, terms.ranker, legs.most_ranked, terms.wanted,
                      terms.phrases, terms.phrase_weights, embedding;
            EXIT WHEN cardinality(legs.keyword_ids) >= candidates;
            IF legs.reason IS NOT NULL AND legs.strategy = 'keyword_first' THEN
                legs.strategy := 'parallel';
                legs.reason := too_few;
            END IF;
            -- With no other leg to fill its pages, common words that it meant to look up together are looked up alone.
            EXIT WHEN legs.strategy NOT IN ('keyword_only', 'keyword_first') OR true = ALL (legs.looked_up);
            matched := harca.matches(terms, options ->> 'phrases' = 'require', NULL);
            legs.matches := matched.query;
            legs.looked_up := matched.looked_up;
        END LOOP;
    END IF;
    legs.times := legs.times || clock_timestamp();

    IF embedding IS NOT NULL AND legs.strategy IN ('parallel', 'vector_first', 'intersection', 'vector_only') THEN
        legs.ran := legs.ran || 'vector'::text;
        former_settings := harca.widen_index_scan(candidates);
        FOREACH exact IN ARRAY '{false,true}'::boolean[] LOOP
            EXECUTE format(ordered, harca.vector_leg_sql(target, filter, options,
                                                         legs.strategy = 'vector_first' AND terms.words IS NOT NULL, exact))
                INTO legs.vector_ids, legs.vector_scores, other_ids, other_scores, further_ids, further_boosts
                USING legs.matches, candidates, filter, terms.ranker, legs.most_ranked, terms.wanted,
                      terms.phrases, terms.phrase_weights, embedding;
            legs.exact := exact;
            -- An HNSW scan gives up after hnsw.max_scan_tuples rows or with its memory, and what a filter or a policy lets
            -- through may all lie further away: then whatever it lets through is read.
            EXIT WHEN exact OR cardinality(legs.vector_ids) >= candidates
                OR NOT EXISTS (SELECT FROM harca.leg_plan(target, 'vector', legs, embedding, candidates, filter, options) AS p (line)
                               WHERE p.line ~ '^ *Order By: ');
        END LOOP;
        PERFORM harca.restore_index_scan(former_settings);
        IF legs.strategy = 'vector_first' THEN
            legs.keyword_ids := other_ids;
            legs.keyword_scores := other_scores;
        END IF;
        legs.boosted_ids := legs.boosted_ids || further_ids;
        legs.boosts := legs.boosts || further_boosts;
    END IF;
    legs.times := legs.times || clock_timestamp();
    legs.similarity_deviation := (SELECT s.similarity_deviation FROM harca.search_statistics s WHERE s.target = target.name);
    RETURN legs;
END
$$;
COMMENT ON FUNCTION harca.search_legs(harca.search_target, text, vector, integer, jsonb, jsonb) IS
'Runs the legs of a search by the strategy of the options, which have their defaults filled in, for so many candidates of each';

-- Its arguments are the parts of a harca.leg_results, each by itself: the whole would be copied for every mention.
CREATE FUNCTION harca.ranked_rows(
    strategy text,
    vector_ids text[],
    vector_scores double precision[],
    keyword_ids text[],
    keyword_scores double precision[],
    vector_weight real,
    similarity_deviation double precision,
    keyword_bound double precision,
    boosted_ids text[],
    boosts double precision[],
    options jsonb
) RETURNS SETOF harca.ranked_row
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT f.*
    FROM harca.fuse(vector_ids, vector_scores, keyword_ids, keyword_scores, vector_weight, options ->> 'fusion', similarity_deviation,
                    CASE options ->> 'ranking' WHEN 'bm25' THEN keyword_bound END, boosted_ids, boosts) AS f
    WHERE (strategy <> 'intersection' OR f.vector_rank + f.keyword_rank > 0)
          AND (pg_catalog.jsonb_typeof(options -> 'after') = 'null'
               OR f.score < (options -> 'after' ->> 0)::double precision
               OR f.score = (options -> 'after' ->> 0)::double precision AND f.id COLLATE "C" > (options -> 'after' ->> 1));
END;
COMMENT ON FUNCTION harca.ranked_rows(text, text[], double precision[], text[], double precision[], real, double precision, double precision, text[], double precision[], jsonb) IS
'The rows of a search in their order, as harca.fuse makes them of what the legs have found: under "intersection" those of both legs alone, and those behind the place that the option "after" names';
