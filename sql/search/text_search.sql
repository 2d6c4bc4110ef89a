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

CREATE FUNCTION harca.parser_headline(internal, internal, tsquery) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'harca_parser_headline';
COMMENT ON FUNCTION harca.parser_headline(internal, internal, tsquery) IS 'Headline function of the text search parsers "harca" and "harca_kana"';

CREATE FUNCTION harca.parser_start_kana(internal, integer) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'harca_parser_start_kana';
COMMENT ON FUNCTION harca.parser_start_kana(internal, integer) IS 'Start function of the text search parser "harca_kana"';

CREATE FUNCTION harca.parser_version() RETURNS integer
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'harca_parser_version';
COMMENT ON FUNCTION harca.parser_version() IS
'The version of the text search parsers "harca" and "harca_kana": another one cuts texts in another way, so that a stored tsvector is to be made anew';

CREATE FUNCTION harca.is_own_parser(config regconfig) RETURNS boolean
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_catalog.pg_ts_config c
                   JOIN pg_catalog.pg_ts_parser p ON p.oid = c.cfgparser
                   JOIN pg_catalog.pg_proc f ON f.oid = p.prsstart::oid
                   JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace
                   WHERE c.oid = $1 AND n.nspname = 'harca');
END;
COMMENT ON FUNCTION harca.is_own_parser(regconfig) IS
'Whether a text search configuration is made of the parser "harca" or "harca_kana"';

CREATE FUNCTION harca.quoted_phrases(query text) RETURNS TABLE (place integer, phrase text)
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 2
    AS 'MODULE_PATHNAME', 'harca_quoted_phrases';
COMMENT ON FUNCTION harca.quoted_phrases(text) IS
'What a query has between straight or curved double quotation marks, in order';

CREATE TEXT SEARCH PARSER @extschema@.harca (
    START = harca.parser_start,
    GETTOKEN = harca.parser_next,
    END = harca.parser_end,
    HEADLINE = harca.parser_headline,
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

CREATE TEXT SEARCH PARSER @extschema@.harca_kana (
    START = harca.parser_start_kana,
    GETTOKEN = harca.parser_next,
    END = harca.parser_end,
    HEADLINE = harca.parser_headline,
    LEXTYPES = harca.parser_types
);
COMMENT ON TEXT SEARCH PARSER @extschema@.harca_kana IS
'As "harca"; besides, hiragana are katakana but for particles and endings, and marks of repetition are what they repeat';

CREATE TEXT SEARCH CONFIGURATION @extschema@.harca_kana (PARSER = @extschema@.harca_kana);
ALTER TEXT SEARCH CONFIGURATION @extschema@.harca_kana
    ADD MAPPING FOR word WITH pg_catalog.english_stem;
ALTER TEXT SEARCH CONFIGURATION @extschema@.harca_kana
    ADD MAPPING FOR number, cjk, kana, code, particle WITH pg_catalog.simple;
COMMENT ON TEXT SEARCH CONFIGURATION @extschema@.harca_kana IS
'As "harca"; besides, each kind of kana finds the other, and marks of repetition what they repeat';

CREATE TEXT SEARCH CONFIGURATION @extschema@.harca_kana_query (PARSER = @extschema@.harca_kana);
ALTER TEXT SEARCH CONFIGURATION @extschema@.harca_kana_query
    ADD MAPPING FOR word WITH pg_catalog.english_stem;
ALTER TEXT SEARCH CONFIGURATION @extschema@.harca_kana_query
    ADD MAPPING FOR number, cjk, kana, code WITH pg_catalog.simple;
COMMENT ON TEXT SEARCH CONFIGURATION @extschema@.harca_kana_query IS
'The query side of "harca_kana"';
