-- found
SELECT iri, key FROM (
    SELECT iri, $key AS key FROM things WHERE true
    -- narrowed
) AS keyed
WHERE key IS NOT NULL AND (key $compares $since OR (key = $since AND iri $compares $after))
ORDER BY key $direction, iri $direction
LIMIT $limit
