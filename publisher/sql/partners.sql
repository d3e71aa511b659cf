-- The pairs of organizations that take part in most things together, those of one cluster once; things that are with others are few and
-- are counted apart.
WITH taking AS MATERIALIZED (SELECT thing, organization FROM parties WHERE roles <> 0 AND $things),
pairs AS MATERIALIZED (
    SELECT thing, one.organization AS one, other.organization AS other
    FROM taking AS one JOIN taking AS other USING (thing) WHERE one.organization < other.organization),
repeated AS (SELECT one, other, count(*) - count(DISTINCT cluster) AS repeated FROM pairs JOIN groups USING (thing) GROUP BY ALL),
paired AS (
    SELECT one, other, records - coalesce(repeated, 0) AS counted, records
    FROM (SELECT one, other, count(*) AS records FROM pairs GROUP BY ALL) LEFT JOIN repeated USING (one, other)
    QUALIFY rank() OVER (ORDER BY counted DESC) <= $limit)
SELECT least(first.iri, second.iri) AS one, greatest(first.iri, second.iri) AS other, counted, records
FROM paired JOIN organizations AS first ON first.organization = paired.one JOIN organizations AS second ON second.organization = paired.other
ORDER BY counted DESC, one, other
LIMIT $limit
