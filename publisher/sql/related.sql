-- The things of the kind of $iri that share most codes with it, at least two.
WITH own AS MATERIALIZED (
    SELECT DISTINCT thing, kind, value FROM marks JOIN codes USING (value)
    WHERE list_contains($facets, facet) AND thing IN (SELECT thing FROM things WHERE iri = $iri)
)
SELECT $line FROM things JOIN (
    SELECT marks.thing, count(*) AS shared FROM marks JOIN own USING (kind, value) WHERE marks.thing <> own.thing GROUP BY ALL HAVING shared > 1
) USING (thing)
ORDER BY shared DESC, iri
LIMIT $limit
