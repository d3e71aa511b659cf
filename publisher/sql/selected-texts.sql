-- The terms of the table selected (place, s, p, o). They are not sorted, since texts may be long; a new table is read in the order of its rows: https://duckdb.org/docs/stable/sql/dialect/order_preservation
CREATE OR REPLACE TEMP TABLE texts AS
SELECT id, kind, lexical, language, datatype
FROM terms SEMI JOIN (SELECT s AS id FROM selected UNION SELECT o FROM selected) USING (id)
