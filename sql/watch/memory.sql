CREATE FUNCTION harca.memory_statistics(
    OUT pid integer,
    OUT part text,
    OUT bytes bigint
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 20
    AS 'MODULE_PATHNAME', 'harca_memory_statistics';
COMMENT ON FUNCTION harca.memory_statistics() IS 'What the view harca.stat_memory shows, and processes that have ended';

CREATE VIEW harca.stat_memory AS
SELECT s.pid, s.part, s.bytes
FROM harca.memory_statistics() AS s
WHERE s.pid IS NULL
    OR s.pid = pg_backend_pid()
    OR EXISTS (SELECT FROM pg_stat_get_activity(NULL) AS a WHERE a.pid = s.pid);
COMMENT ON VIEW harca.stat_memory IS
'Where memory goes, in bytes. Without a pid, what all sessions share: "shared cache" and "statistics". For each process that has used a model: "session", what loading the runtime and the model has added to it (next to nothing where they were inherited from the postmaster), "buffers" for texts on their way, and "local cache". The runtime keeps no arena: what a run needs it gives back. Without shared memory, as for harca.stat_cache, the view knows this session alone';
