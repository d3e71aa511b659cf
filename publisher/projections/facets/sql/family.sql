-- The wholes and the parts of an initiative: by IRI, or by title at the same source, as groups.sql counts them.
WITH this AS (SELECT iri, kind, source, title, whole FROM things WHERE iri = $thing)
SELECT true AS is_whole, things.iri
FROM things JOIN this ON things.kind = this.kind AND things.iri <> this.iri
WHERE things.iri = this.whole OR things.source = this.source AND things.title = this.whole
UNION ALL
SELECT false, things.iri
FROM things JOIN this ON things.kind = this.kind AND things.iri <> this.iri
WHERE things.whole = this.iri OR things.source = this.source AND things.whole = this.title
ORDER BY ALL
LIMIT $limit
