-- The pairs of organizations that take part in most things together, those of one cluster once; things that are with others are few and
-- are counted apart. Organizations are paired by their hashes, since the pairs of the texts of a million things exceed the memory of a
-- server process.
WITH taking AS MATERIALIZED (SELECT thing, hash(organization) AS place FROM parties WHERE roles <> 0 AND $things),
pairs AS MATERIALIZED (
    SELECT thing, one.place AS one, other.place AS other FROM taking AS one JOIN taking AS other USING (thing) WHERE one.place < other.place),
repeated AS (SELECT one, other, count(*) - count(DISTINCT cluster) AS repeated FROM pairs JOIN groups USING (thing) GROUP BY ALL),
paired AS MATERIALIZED (
    SELECT one, other, records - coalesce(repeated, 0) AS counted, records
    FROM (SELECT one, other, count(*) AS records FROM pairs GROUP BY ALL) LEFT JOIN repeated USING (one, other)
    QUALIFY rank() OVER (ORDER BY counted DESC) <= $limit),
named AS MATERIALIZED (
    SELECT DISTINCT hash(organization) AS place, organization FROM parties
    WHERE hash(organization) IN (SELECT one FROM paired UNION ALL SELECT other FROM paired))
SELECT least(first.organization, second.organization) AS one, greatest(first.organization, second.organization) AS other, counted, records
FROM paired JOIN named AS first ON first.place = paired.one JOIN named AS second ON second.place = paired.other
ORDER BY counted DESC, one, other LIMIT $limit
