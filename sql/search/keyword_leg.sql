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
'The SQL of a document''s score in the keyword leg, for a ranking, a tsvector and a ranker that are given as SQL themselves; its other parameters are those of harca.leg_sql';
