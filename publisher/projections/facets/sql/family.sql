-- The wholes and the parts of an initiative: by IRI, or by title at the same source, as groups.sql counts them. What is known of the initiative
-- are parameters: a join with it would compare all columns of every thing.
SELECT true AS is_whole, iri FROM things
WHERE kind = $kind AND iri <> $iri AND (list_contains($wholes, iri) OR source = $source AND list_has_any($wholes, list_append(other_titles, title)))
UNION ALL
SELECT false, iri FROM things
WHERE kind = $kind AND iri <> $iri AND (list_contains(wholes, $iri) OR source = $source AND list_has_any(wholes, $titles))
ORDER BY ALL
LIMIT $limit
