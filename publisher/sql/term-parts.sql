-- The highest number of each part of the terms whose texts have about $size bytes.
WITH lengths AS MATERIALIZED (SELECT id, strlen(lexical) AS length FROM terms)
SELECT max(id) FROM (
    SELECT id, sum(length) OVER (ORDER BY id) // $size AS part FROM lengths
) GROUP BY part ORDER BY part
