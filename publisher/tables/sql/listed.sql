-- found
SELECT iri, kind, source, title, language, begins, ends, issued, changed, venue, cancelled
FROM things
-- placed
WHERE true
-- narrowed
ORDER BY $order, iri
LIMIT $limit OFFSET $offset
