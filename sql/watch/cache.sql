CREATE FUNCTION harca.cache_statistics(
    OUT level text,
    OUT capacity bigint,
    OUT entries bigint,
    OUT bytes bigint,
    OUT hits bigint,
    OUT misses bigint,
    OUT evictions bigint,
    OUT expirations bigint,
    OUT restored bigint,
    OUT counted_since timestamptz
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 3
    AS 'MODULE_PATHNAME', 'harca_cache_statistics';
COMMENT ON FUNCTION harca.cache_statistics() IS 'What the view harca.stat_cache shows';

CREATE VIEW harca.stat_cache AS
SELECT s.level, s.capacity, s.entries, s.bytes, s.hits, s.misses, s.evictions, s.expirations, s.restored, s.counted_since
FROM harca.cache_statistics() AS s;
COMMENT ON VIEW harca.stat_cache IS
'The caches of answers. Level "shared": that of all sessions, its counts since counted_since, and how many of its entries came from the file of a former run; there is no such row where pg_harca.cache_size is 0, nor before PostgreSQL 17 without shared_preload_libraries. Level "embeddings": that of the vectors of queries, of all sessions; its capacity is in numbers, of which a vector takes multiples of 138; there is no such row where pg_harca.embedding_cache_size is 0. Level "local": that of this session, which it uses when there is no shared one. Expired entries count as such when a look-up finds them; a look-up that finds one is also a miss';

CREATE FUNCTION harca.cache_reset() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'harca_cache_reset';
COMMENT ON FUNCTION harca.cache_reset() IS
'Forgets the answers and the embeddings of the shared caches, and those that this session keeps; gives how many there were. The counts go on. An answer that another session is storing at this moment may stay';

CREATE FUNCTION harca.hit_curve(
    OUT entries bigint,
    OUT hit_ratio double precision,
    OUT lookups bigint,
    OUT keys bigint
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 8
    AS 'MODULE_PATHNAME', 'harca_hit_curve';
COMMENT ON FUNCTION harca.hit_curve() IS
'Which share of the look-ups of the shared cache since counted_since of harca.stat_cache would have been hits with so many entries, if it always put out the answer that was asked for longest ago, from an eighth of its capacity to 16 times as many. It rests on the reuse distances of a sample: so many look-ups, of so many keys that are followed now. No rows before 1,000 look-ups of 100 keys are sampled, of one key in 64 to begin with, nor while pg_harca.track_statistics is off';
