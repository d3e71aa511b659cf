CREATE OR REPLACE TABLE predicates AS
    SELECT p, count(*) AS triples, approx_count_distinct(s) AS subjects,
        approx_count_distinct(o) AS objects
    FROM triples GROUP BY p;
