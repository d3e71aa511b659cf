-- Count the things, those of one cluster once, and their records.
WITH wanted AS MATERIALIZED (SELECT thing FROM things WHERE $things)
SELECT records - repeated, records
FROM (SELECT count(*) AS records FROM wanted), (SELECT count(*) - count(DISTINCT cluster) AS repeated FROM groups JOIN wanted USING (thing))
