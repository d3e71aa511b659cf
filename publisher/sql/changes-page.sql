WITH page AS MATERIALIZED (FROM ($query) ORDER BY number $direction LIMIT $limit)
SELECT page.number, sequence, previous, name, entry, type, kind, sets, stamp, coalesce(announced, $announced)
FROM page JOIN graph_changes USING (sequence) JOIN entries ON entries.number = entry ORDER BY page.number $direction
