-- The pairs of organizations that take part in most things together, those of one cluster once. Organizations are paired by their rank,
-- since the pairs of the texts of a million things exceed the memory of a server process.
WITH ranked AS MATERIALIZED (
    SELECT organization, row_number() OVER (ORDER BY organization) AS place
    FROM (SELECT DISTINCT organization FROM parties WHERE roles <> 0 AND $things)),
taking AS MATERIALIZED (SELECT thing, place FROM parties JOIN ranked USING (organization) WHERE roles <> 0 AND $things),
paired AS (
    SELECT one.place AS one, other.place AS other, count(*) FILTER (cluster IS NULL) + count(DISTINCT cluster) AS counted, count(*) AS records
    FROM taking AS one JOIN taking AS other USING (thing) LEFT JOIN groups USING (thing)
    WHERE one.place < other.place
    GROUP BY ALL ORDER BY counted DESC, one, other LIMIT $limit)
SELECT first.organization, second.organization, counted, records
FROM paired JOIN ranked AS first ON first.place = one JOIN ranked AS second ON second.place = other
ORDER BY counted DESC, one, other
