\echo Use "CREATE EXTENSION pg_harca" to load this file. \quit

CREATE SCHEMA harca;
COMMENT ON SCHEMA harca IS 'pg_harca: search targets, search profiles and administration';
