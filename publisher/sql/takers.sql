-- The organizations that take part in most things, those of one cluster once; things that are with others are few and are counted apart.
WITH taking AS (SELECT thing, organization FROM parties WHERE roles <> 0 AND $things),
repeated AS (SELECT organization, count(*) - count(DISTINCT cluster) AS repeated FROM taking JOIN groups USING (thing) GROUP BY organization),
taken AS MATERIALIZED (
    SELECT organization, records - coalesce(repeated, 0) AS counted, records
    FROM (SELECT organization, count(*) AS records FROM taking GROUP BY organization) LEFT JOIN repeated USING (organization)
    QUALIFY rank() OVER (ORDER BY counted DESC) <= $limit)
SELECT iri, title, counted, records
FROM taken JOIN organizations USING (organization) LEFT JOIN (SELECT iri, title FROM things WHERE kind = 5) USING (iri)
ORDER BY counted DESC, iri
LIMIT $limit
