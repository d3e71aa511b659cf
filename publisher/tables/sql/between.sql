-- found
SELECT iri, kind, source, title, language, begins, ends, issued, changed, venue, cancelled
FROM things
WHERE begins IS NOT NULL AND begins[:10] <= $last AND coalesce(ends, begins)[:10] >= $first
-- narrowed
ORDER BY begins, iri
