CREATE TYPE harca.ranked_row AS (
    id text,
    score double precision,
    vector_rank integer,
    keyword_rank integer,
    vector_score double precision,
    keyword_score double precision,
    vector_normalised double precision,
    keyword_normalised double precision
);
COMMENT ON TYPE harca.ranked_row IS
'A row that a search has found: its id, the fused score, its place in each leg and its score there, as the leg gave it and on the scale of the fusion, before the weight; null where a leg did not find it';

CREATE FUNCTION harca.fuse(
    vector_ids text[],
    vector_scores double precision[],
    keyword_ids text[],
    keyword_scores double precision[],
    vector_weight double precision,
    method text DEFAULT 'auto',
    vector_deviation double precision DEFAULT NULL,
    keyword_bound double precision DEFAULT NULL,
    boosted_ids text[] DEFAULT NULL,
    boosts double precision[] DEFAULT NULL
) RETURNS SETOF harca.ranked_row
    LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 100
    AS 'MODULE_PATHNAME', 'harca_fuse';
COMMENT ON FUNCTION harca.fuse(text[], double precision[], text[], double precision[], double precision, text, double precision, double precision, text[], double precision[]) IS
'Fuses two ranked lists, best first, into one: ids and scores of the vector leg, ids and scores of the keyword leg, the weight of the vector leg from 0 to 1, and the method: "auto", "max", "minmax", "zscore" or "sigmoid" for the weighted sum of normalised scores, "rrf" for that of reciprocal ranks (k = 60). "auto" counts vector scores from the lowest in standard deviations of the table''s (vector_deviation), and keyword scores in the geometric mean of the highest and the highest possible (keyword_bound); without these, it does as well as it can. Rows with a boost have their score multiplied by 1 + boost. A row''s score is the weighted sum of its normalised scores, times that';

CREATE FUNCTION harca.rarity(documents bigint[]) RETURNS double precision
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'harca_rarity';
COMMENT ON FUNCTION harca.rarity(bigint[]) IS
'How rare the rarest word of a query is, by how many documents have each: 1 when five do at most, falling with the square of their number; 0 when none has any';
