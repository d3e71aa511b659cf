-- The organizations that take part in most things, those of one cluster once.
SELECT organization, bodies.title, count(*) FILTER (cluster IS NULL) + count(DISTINCT cluster) AS counted, count(*)
FROM parties JOIN things USING (thing) LEFT JOIN groups USING (thing) LEFT JOIN things AS bodies ON bodies.iri = organization
WHERE roles <> 0 AND $things
GROUP BY ALL
ORDER BY counted DESC, organization
LIMIT $limit
