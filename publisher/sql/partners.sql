-- The pairs of organizations that take part in most things together, those of one cluster once.
SELECT parties.organization, other.organization, count(*) FILTER (cluster IS NULL) + count(DISTINCT cluster) AS counted, count(*)
FROM parties JOIN parties AS other USING (thing) JOIN things USING (thing) LEFT JOIN groups USING (thing)
WHERE parties.roles <> 0 AND other.roles <> 0 AND parties.organization < other.organization AND $things
GROUP BY ALL
ORDER BY counted DESC, parties.organization, other.organization
LIMIT $limit
