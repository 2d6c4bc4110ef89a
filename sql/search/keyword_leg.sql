CREATE FUNCTION harca.word_score_sql(ranking text, document text, ranker text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE $1 WHEN 'bm25' THEN
        pg_catalog.format('harca.bm25(%1$s, %2$s) + CASE WHEN cardinality($7) > 0 THEN'
                          ' (SELECT coalesce(sum(p.weight), 0) FROM unnest($7, $8) AS p (phrase, weight) WHERE %1$s @@ p.phrase)'
                          ' ELSE 0 END', $2, $3)
        ELSE pg_catalog.format('ts_rank_cd(%s, $6, 1)::float8', $2) END;
END;
COMMENT ON FUNCTION harca.word_score_sql(text, text, text) IS
'The SQL of a document''s score in the keyword leg, for a ranking, a tsvector and a ranker that are given as SQL themselves; its other parameters are those of harca.keyword_leg_sql';

CREATE FUNCTION harca.keyword_leg_sql(
    target harca.search_target, filter jsonb, options jsonb, by_both boolean
) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    condition constant text := harca.filter_condition(target.relation, filter);
    boosted constant record := harca.boost_sql(target.relation, nullif(options -> 'boosts', 'null'));
    -- What the row's other score and its boost are made of goes along under names of its own.
    read_boosts constant text := coalesce(
        (SELECT string_agg(format(', %I AS b%s', c.name, c.n), '' ORDER BY c.n)
         FROM unnest(boosted.columns) WITH ORDINALITY AS c (name, n)), '');
    pass_boosts constant text := coalesce(
        (SELECT string_agg(format(', m.b%s', n), '' ORDER BY n) FROM generate_series(1, cardinality(boosted.columns)) AS n), '');
    found text;
    other text := 'NULL::float8';
BEGIN
    -- The id becomes text by its output function: a cast to text may be a function of whoever owns its type.
    found := format(
        'SELECT format(''%%s'', m.id) AS id, %s AS score%s%s FROM ('
        'SELECT %I AS id, %I AS document%s%s FROM %s WHERE %I @@ $1%s LIMIT $5'
        ') AS m ORDER BY score DESC, id LIMIT $2',
        harca.word_score_sql(options ->> 'ranking', 'm.document', '$4'),
        CASE WHEN by_both THEN ', m.embedding' END, pass_boosts, target.id_column, target.tsvector_column,
        CASE WHEN by_both THEN format(', %I AS embedding', target.embedding_column) END, read_boosts,
        target.relation, target.tsvector_column, condition);
    IF by_both THEN
        other := format('nullif(%s - (%s), ''NaN'')', CASE target.distance WHEN 'cosine' THEN '1' ELSE '0' END,
                        harca.distance_sql(target, 'l.embedding', '$9'));
    END IF;
    RETURN format('SELECT l.id, l.score, %s AS other, %s AS boost FROM (%s) AS l',
                  other, coalesce(boosted.expression, 'NULL::float8'), found);
END
$$;
COMMENT ON FUNCTION harca.keyword_leg_sql(harca.search_target, jsonb, jsonb, boolean) IS
'The query of the keyword leg, which gives ids, scores, the rows'' scores by the vector leg''s measure if by_both, and boosts. In it $1 is the tsquery, $2 the number of rows, $3 the filter, $4 the ranker, $5 the most rows that are ranked, $6 all words, $7 the phrases and $8 their weights, $9 the embedding';
