CREATE FUNCTION harca.parser_start(internal, integer) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'harca_parser_start';
COMMENT ON FUNCTION harca.parser_start(internal, integer) IS 'Start function of the text search parser "harca"';

CREATE FUNCTION harca.parser_next(internal, internal, internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'harca_parser_next';
COMMENT ON FUNCTION harca.parser_next(internal, internal, internal) IS 'Next-token function of the text search parser "harca"';

CREATE FUNCTION harca.parser_end(internal) RETURNS void
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'harca_parser_end';
COMMENT ON FUNCTION harca.parser_end(internal) IS 'End function of the text search parser "harca"';

CREATE FUNCTION harca.parser_types(internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'harca_parser_types';
COMMENT ON FUNCTION harca.parser_types(internal) IS 'Token types of the text search parser "harca"';

CREATE FUNCTION harca.quoted_phrases(query text) RETURNS TABLE (place integer, phrase text)
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 2
    AS 'MODULE_PATHNAME', 'harca_quoted_phrases';
COMMENT ON FUNCTION harca.quoted_phrases(text) IS
'What a query has between straight or curved double quotation marks, in order';

CREATE TEXT SEARCH PARSER @extschema@.harca (
    START = harca.parser_start,
    GETTOKEN = harca.parser_next,
    END = harca.parser_end,
    LEXTYPES = harca.parser_types
);
COMMENT ON TEXT SEARCH PARSER @extschema@.harca IS
'Mixed Japanese and English text: overlapping pairs of characters where a script has no spaces, words elsewhere, beside their parts; case, width and accents folded';

CREATE TEXT SEARCH CONFIGURATION @extschema@.harca (PARSER = @extschema@.harca);
ALTER TEXT SEARCH CONFIGURATION @extschema@.harca
    ADD MAPPING FOR word WITH pg_catalog.english_stem;
ALTER TEXT SEARCH CONFIGURATION @extschema@.harca
    ADD MAPPING FOR number, cjk, kana, code, particle WITH pg_catalog.simple;
COMMENT ON TEXT SEARCH CONFIGURATION @extschema@.harca IS
'For the tsvector column of Japanese and English text, alone or mixed: English words are stemmed';

CREATE TEXT SEARCH CONFIGURATION @extschema@.harca_query (PARSER = @extschema@.harca);
ALTER TEXT SEARCH CONFIGURATION @extschema@.harca_query
    ADD MAPPING FOR word WITH pg_catalog.english_stem;
ALTER TEXT SEARCH CONFIGURATION @extschema@.harca_query
    ADD MAPPING FOR number, cjk, kana, code WITH pg_catalog.simple;
COMMENT ON TEXT SEARCH CONFIGURATION @extschema@.harca_query IS
'The query side of "harca": pairs of hiragana that make up particles and endings are left out, as they match everywhere';
