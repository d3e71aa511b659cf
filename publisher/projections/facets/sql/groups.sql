-- The things that count once together: the members of a cluster, and an initiative with its parts. A part is in no cluster; its whole is
-- the initiative with that IRI, or with that title at the same source. Parts of one title count once also where no initiative has it.
WITH parts AS (
    SELECT iri, kind, source, whole FROM things WHERE whole IS NOT NULL AND iri NOT IN (SELECT iri FROM clusters)
), titled AS (
    SELECT things.kind, things.source, title AS whole, min(things.iri) AS found
    FROM things JOIN (SELECT DISTINCT kind, source, whole FROM parts) AS named
        ON things.kind = named.kind AND things.source = named.source AND title = named.whole
    GROUP BY ALL
), found_parts AS (
    SELECT parts.iri, parts.source || ' ' || parts.whole AS name, contains(parts.whole, '://') AS is_iri,
        coalesce(same.iri, titled.found) AS found
    FROM parts
    LEFT JOIN things AS same ON same.iri = parts.whole AND same.kind = parts.kind
    LEFT JOIN titled ON titled.kind = parts.kind AND titled.source = parts.source AND titled.whole = parts.whole
), groups AS (
    SELECT iri, cluster FROM clusters
    UNION SELECT iri, coalesce(found, name) FROM found_parts WHERE found <> iri OR found IS NULL AND NOT is_iri
    UNION SELECT found, found FROM found_parts WHERE found <> iri
)
SELECT index AS member, (dense_rank() OVER (ORDER BY cluster) - 1)::UINTEGER AS cluster
FROM thing_index JOIN groups USING (iri) ORDER BY index, cluster
