-- Registering tables: what is stored, what is refused, whose right it is.
CREATE SCHEMA shop;
CREATE TABLE shop.item (
    item_id uuid PRIMARY KEY,
    body text,
    words tsvector,
    meaning vector(3)
);
SELECT harca.register_search_target('items', 'shop.item', 'item_id', 'body', 'words', 'meaning', 'english', 'l2', 0.6);
SELECT * FROM harca.search_target;
SELECT query_type, vector_weight FROM harca.search_profile WHERE target = 'items' ORDER BY 1;

SELECT error_of($$SELECT harca.register_search_target('items', 'shop.item')$$);
SELECT error_of($$SELECT harca.register_search_target('items', 'shop.item', 'item_id', 'body', 'words', 'meaning')$$);
SELECT harca.register_search_target('items', 'shop.item', 'item_id', 'body', 'words', 'meaning', vector_weight => 0.9, replace => true);
SELECT config, query_config, distance, vector_weight FROM harca.search_target;
SELECT query_type, vector_weight FROM harca.search_profile WHERE target = 'items' ORDER BY 1;

SELECT error_of($$SELECT harca.register_search_target(NULL, 'shop.item')$$);
SELECT error_of($$SELECT harca.register_search_target('', 'shop.item')$$);
SELECT error_of($$SELECT harca.register_search_target('x', 'shop.nothing')$$);
SELECT error_of($$SELECT harca.register_search_target('x', 'shop.item_pkey', 'item_id')$$);
SELECT error_of($$SELECT harca.register_search_target('x', 'shop.item', 'item_id', 'body', 'body', 'meaning')$$);
SELECT error_of($$SELECT harca.register_search_target('x', 'shop.item', 'item_id', 'body', 'words', 'words')$$);
SELECT error_of($$SELECT harca.register_search_target('x', 'shop.item', 'item_id', 'body', 'words', 'meaning', distance => 'hamming')$$);
SELECT error_of($$SELECT harca.register_search_target('x', 'shop.item', 'item_id', 'body', 'words', 'meaning', vector_weight => 1.5)$$);
SELECT error_of($$SELECT harca.register_search_target('x', 'shop.item', 'item_id', 'body', 'words', 'meaning', 'no_such_config')$$);
SELECT error_of($$UPDATE harca.search_profile SET vector_weight = 2$$);

-- the owner of the table decides; others look on
CREATE ROLE regress_harca_owner;
CREATE ROLE regress_harca_other;
GRANT USAGE ON SCHEMA shop TO regress_harca_owner, regress_harca_other;
ALTER TABLE shop.item OWNER TO regress_harca_owner;
SET ROLE regress_harca_other;
SELECT name FROM harca.search_target;
SELECT error_of($$SELECT harca.register_search_target('mine', 'shop.item', 'item_id', 'body', 'words', 'meaning')$$);
SELECT harca.drop_search_target('items');
UPDATE harca.search_profile SET vector_weight = 0 WHERE target = 'items';
SELECT error_of($$INSERT INTO harca.search_profile VALUES ('items', 'other', 0.5)$$);
SELECT error_of($$INSERT INTO harca.search_target
    VALUES ('mine', 'shop.item', '{item_id}', 'body', 'words', 'meaning', 'simple', 'simple', 'l2', 0.5)$$);
SET ROLE regress_harca_owner;
UPDATE harca.search_profile SET vector_weight = 0.25 WHERE target = 'items' AND query_type = 'keyword';
SELECT query_type, vector_weight FROM harca.search_profile WHERE target = 'items' ORDER BY 1;
SELECT harca.drop_search_target('items'), harca.drop_search_target('items');
SELECT count(*) FROM harca.search_profile;
RESET ROLE;
DROP TABLE shop.item;
DROP SCHEMA shop;
DROP ROLE regress_harca_owner, regress_harca_other;
