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
