-- The wholes and the parts of an initiative: by IRI, or by title at the same source, as groups.sql counts them. What is known of the initiative
-- are parameters: a join with it would compare all columns of every thing.
SELECT true AS is_whole, iri FROM things
WHERE kind = $kind AND iri <> $iri AND (iri = $whole OR source = $source AND title = $whole)
UNION ALL
SELECT false, iri FROM things
WHERE kind = $kind AND iri <> $iri AND (whole = $iri OR source = $source AND whole = $title)
ORDER BY ALL
LIMIT $limit
