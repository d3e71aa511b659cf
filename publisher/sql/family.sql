-- The wholes and the parts of an initiative: by IRI, or by title at the same source, as groups.sql counts them. What is known of the initiative
-- are parameters: a join with it would compare all columns of every thing.
SELECT list_contains($wholes, iri) OR source = $source AND list_has_any($wholes, list_append(other_titles, title)) AS is_whole, $line
FROM things
WHERE kind = $kind AND iri <> $iri AND (is_whole OR list_contains(wholes, $iri) OR source = $source AND list_has_any(wholes, $titles))
ORDER BY is_whole, iri
LIMIT $limit
