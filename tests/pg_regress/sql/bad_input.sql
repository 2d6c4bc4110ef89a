-- What holds nothing to search for is unknown; what is too long is read as far as it matters.
SELECT quote_literal(q.query) AS query, c.query_type, c.confidence, c.scores, c.language
FROM (VALUES (''), (' '), (E'\t\r\n'), (U&'\3000'), (U&'\200B'), ('?'), ('。。。'), ('!"#$%&'), ('👍'), ('a'), ('あ'), ('7')) AS q (query),
     classify_query(q.query) AS c;
SELECT query_type('牛') AS one_han_character, query_type('C7') AS two_signs;

SELECT query_type(repeat('how do I find this ', 50000)) AS "1 MB",
       length((classify_query(repeat('how do I find this ', 50000))).query) AS returned_as_it_came;
SELECT c.query_type IN (SELECT label FROM harca.labels()) AS has_type, length(c.query) FROM classify_queries(ARRAY[repeat('検索 ', 500000), 'short one']) AS c;
SELECT count(DISTINCT (c.query_type, c.scores))
FROM (VALUES (1025), (2000), (200000)) AS q (n), classify_query(left(repeat('word ', 100000), n)) AS c;
SELECT query_type(U&'e' || repeat(U&'\0301', 100000)) IS NOT NULL AS combining_marks;
SELECT query_type(repeat(' ', 100000) || 'x y') AS blank_as_far_as_it_is_read;

-- a wrong type is the caller's error, and PostgreSQL's message
SELECT error_of($$SELECT classify_query(1)$$);
SELECT error_of($$SELECT classify_queries(ARRAY[1, 2])$$);
