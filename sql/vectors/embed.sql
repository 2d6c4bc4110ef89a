CREATE FUNCTION harca.embed(content text, model text, kind text DEFAULT 'query') RETURNS vector
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100000
    AS 'MODULE_PATHNAME', 'harca_embed';
COMMENT ON FUNCTION harca.embed(text, text, text) IS
'The vector that a model, of those in harca.models, makes of a text: by name and version, or by name alone, which is the one that was registered last. kind is query, for what is searched for, or document, for what is found, and picks the model''s prefix. What a text has beyond the tokens that the model reads is left out, and counted in harca.stat_engine';

CREATE FUNCTION harca.embed(contents text[], model text, kind text DEFAULT 'document')
    RETURNS TABLE (ordinality integer, embedding vector)
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000000 ROWS 1000
    AS 'MODULE_PATHNAME', 'harca_embed_all';
COMMENT ON FUNCTION harca.embed(text[], text, text) IS
'harca.embed for many texts at once: one row per element in storage order, counted from 1, with a null for an element that is null. In the engine they are bulk work, which interactive requests of other sessions pass';

CREATE FUNCTION harca.embedding_model(name text, OUT model text, OUT dimensions integer, OUT tokens integer) RETURNS record
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100000
    AS 'MODULE_PATHNAME', 'harca_embedding_model';
COMMENT ON FUNCTION harca.embedding_model(text) IS
'Name and version of the model that harca.embed takes by this name, the dimensions of its vectors, and the tokens that it reads of a text. An error where there is none, it gives no vectors, or it cannot be run';
