-- What words of a query find: as others write them, in Japanese, in codes, and with signs.
CREATE TABLE note (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, content text,
                   tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED, embedding vector(1));
CREATE INDEX ON note USING gin (tsv);
SELECT harca.register_search_target('note', 'note');
-- Which of some texts a query finds, the best first.
CREATE FUNCTION places(query text, VARIADIC texts text[]) RETURNS integer[] LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE note RESTART IDENTITY;
    INSERT INTO note (content) SELECT t FROM unnest(texts) WITH ORDINALITY AS u (t, n) ORDER BY n;
    RETURN ARRAY(SELECT h.id::integer FROM hybrid_search('note', query) AS h ORDER BY h.keyword_rank);
END $$;

-- Japanese
SELECT query, texts, places(query, VARIADIC texts) FROM (VALUES
    ('X線', ARRAY['X 検査の予約', 'X線検査の予約', '線路の工事']),
    ('12月', ARRAY['12日の売上', '12月の売上', '12件の売上']),
    ('第3回', ARRAY['第3章', '第3回の会議', '3回の会議']),
    ('検索', ARRAY[E'全文検\n索エンジン', E'全文検\r\n索エンジン', '全文検 索エンジン', E'全文検\n\n索エンジン']),
    ('葛飾区', ARRAY[U&'\845b\+0E0100飾区の地図', '江戸川区の地図']),
    (U&'\845b\+0E0100飾区', ARRAY['葛飾区の地図', '江戸川区の地図']),
    ('さくら 開花', ARRAY['梅の開花予想', 'さくらの開花予想']),
    ('サーバー', ARRAY[U&'サ\FF0Dバ\FF0D', U&'サ\2015バ\2015の設定', 'ｻｰﾊﾞｰ', 'サ-バ-']),
    ('ガイド', ARRAY[U&'カ\309Bイト\309B', 'カイト']),
    ('西暦', ARRAY[U&'\2EC4暦の表', '和暦の表']),
    ('IT', ARRAY['it is so', 'IT導入補助金']),
    ('IT導入補助金', ARRAY['IT導入補助金の申請', '導入の手順']),
    ('AT&T', ARRAY['at the office', 'AT&T and others']),
    ('時々', ARRAY['時々雨'])
) AS q (query, texts);
SELECT id FROM hybrid_search('note', U&'\FF02時々雨\FF02', options => '{"phrases": "require"}');

-- Latin letters, codes and signs
SELECT query, texts, places(query, VARIADIC texts) FROM (VALUES
    ('C++', ARRAY['a C developer', 'a C# developer', 'a C++ developer']),
    ('C#', ARRAY['a C developer', 'a C++ developer', 'a C# developer']),
    ('F#', ARRAY['note f', 'F# in practice']),
    ('.NET', ARRAY['a net of fish', 'the .NET runtime']),
    ('C', ARRAY['a C++ developer', 'a C developer']),
    ('user by id', ARRAY['by and by', 'call getUserById first']),
    ('getUserById', ARRAY['get the user by its id', 'call getUserById first']),
    ('Windows 11', ARRAY['Windows 10', 'Windows11の設定']),
    ('Windows11', ARRAY['Windows 10', 'Windows 11']),
    ('wifi', ARRAY['Wi-Fi is slow', 'the fi of wi']),
    ('Wi-Fi', ARRAY['wifi is slow', 'something else']),
    ('AX1200', ARRAY['AX-1200/B', 'AX-1100/B']),
    ('1000', ARRAY['1,000 yen', '1 or 000']),
    ('PostgreSQL 16', ARRAY['PostgreSQL 15.2', 'PostgreSQL 16.4']),
    ('16.4', ARRAY['version 16', 'version v16.4.1']),
    ('cafe', ARRAY['the café', 'the cave']),
    ('café', ARRAY['the cafe', 'the cave']),
    ('елка', ARRAY['ёлка', 'белка']),
    (U&'\2764\FE0F', ARRAY[U&'\2702\FE0F', U&'\2764\FE0F']),
    ('software', ARRAY[U&'soft\00ADware', U&'soft\200Bware', 'soft ware'])
) AS q (query, texts);

-- each kind of kana finds the other, and marks of repetition what they repeat, where that is asked for
ALTER TABLE note DROP tsv, ADD tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca_kana', content)) STORED;
SELECT harca.register_search_target('note', 'note', config => 'harca_kana', replace => true);
SELECT config, query_config FROM harca.search_target WHERE name = 'note';
SELECT query, texts, places(query, VARIADIC texts) FROM (VALUES
    ('がっこう', ARRAY['ガッコウの門', '会社の門']),
    ('ガッコウ', ARRAY['がっこうの門', '会社の門']),
    ('時時', ARRAY['時々雨', '時間']),
    ('時々', ARRAY['時時雨', '時間']),
    ('です', ARRAY['デスクです'])
) AS q (query, texts);

-- a target may name both sides
SELECT harca.register_search_target('note', 'note', config => 'harca', query_config => 'simple', replace => true);
SELECT config, query_config, parser_version = harca.parser_version() AS current FROM harca.search_target WHERE name = 'note';
SELECT harca.register_search_target('note', 'note', config => 'english', replace => true);
SELECT config, query_config, parser_version FROM harca.search_target WHERE name = 'note';

-- a column of an older parser is told, and how it is made anew
CREATE TABLE old (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(1));
INSERT INTO old (id, content, tsv) VALUES (1, 'Wi-Fi is slow', $$'wi-fi':1 'wi':2 'fi':3 'slow':5$$), (2, 'slow', $$'slow':1$$);
SELECT harca.register_search_target('old', 'old');
UPDATE harca.search_target SET parser_version = 1 WHERE name = 'old';
SELECT id FROM hybrid_search('old', 'wifi');
SELECT parser_version, renewal FROM harca.stat_search_target WHERE target = 'old';
SELECT w FROM jsonb_array_elements_text(hybrid_search_explain('old', 'slow') -> 'warnings') AS w WHERE w LIKE '%parser%';
SELECT harca.refresh_search_statistics('old');
SELECT parser_version, renewal FROM harca.stat_search_target WHERE target = 'old';
UPDATE old SET tsv = to_tsvector('harca', content);
SELECT harca.refresh_search_statistics('old');
SELECT parser_version = harca.parser_version() AS current, renewal FROM harca.stat_search_target WHERE target = 'old';
SELECT id FROM hybrid_search('old', 'wifi');

-- a registration goes with its table
DROP TABLE old;
SELECT count(*) FROM harca.search_target WHERE name = 'old';
DROP FUNCTION places;
BEGIN;
DROP TABLE note;
SELECT count(*) FROM harca.search_target WHERE name = 'note';
ROLLBACK;
SELECT count(*) FROM harca.search_target WHERE name = 'note';
DROP TABLE note;
SELECT count(*) FROM harca.search_target WHERE name = 'note';

-- no text is too long
CREATE TABLE long (id integer PRIMARY KEY, content text, tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED, embedding vector(2));
INSERT INTO long (id, content)
SELECT 1, string_agg(chr(19968 + ('x' || left(md5(i::text), 7))::bit(28)::integer % 20000), '' ORDER BY i) FROM generate_series(1, 200000) AS i;
SELECT length(content) AS characters, length(tsv) > 90000 AS most, tsv @@ to_tsquery('harca', left(content, 2)) AS found,
       tsv @@ '''*cut''' AS cut, ts_headline('harca', content, to_tsquery('harca', left(content, 2)), 'MaxWords=4, MinWords=1')
                                 LIKE format('<b>%s</b>%%', left(content, 2)) AS headline
FROM long;
INSERT INTO long (id, content) VALUES (2, 'short *cut');
SELECT harca.register_search_target('long', 'long');
SELECT documents, documents_cut FROM harca.stat_search_target WHERE target = 'long';
SELECT hybrid_search_explain('long', 'short') -> 'documents_cut' AS documents_cut, w AS warning
FROM jsonb_array_elements_text(hybrid_search_explain('long', 'short') -> 'warnings') AS w WHERE w LIKE '%tsvector%';
DROP TABLE long;
