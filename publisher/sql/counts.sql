-- Count the marks of some facets by code, the things of one cluster once; those that are with others are few and are counted apart.
WITH wanted AS MATERIALIZED (SELECT thing FROM things WHERE $things),
chosen AS (SELECT thing, value FROM marks WHERE bases & $bits <> 0 AND value IN (SELECT value FROM codes WHERE $facets) AND $marks)
SELECT facet, code, records - coalesce(repeated, 0) AS things, records
FROM (SELECT value, count(*) AS records FROM chosen GROUP BY value)
    LEFT JOIN (SELECT value, count(*) - count(DISTINCT cluster) AS repeated FROM chosen JOIN groups USING (thing) GROUP BY value) USING (value)
    JOIN codes USING (value)
ORDER BY things DESC, code
