-- What shares most marks of lines, goals, targets, countries and types with a thing, beyond those that many share.
WITH own AS MATERIALIZED (
    SELECT marks.value, terms.facet FROM marks JOIN terms USING (value)
    WHERE thing = (SELECT thing FROM things WHERE iri = $iri) AND facet IN ('line', 'goal', 'target', 'country', 'type')
), alike AS (
    SELECT marks.thing, count(*) AS shared FROM marks JOIN own USING (value)
    WHERE kind = (SELECT kind FROM things WHERE iri = $iri)
    GROUP BY marks.thing HAVING count(*) >= 2 ORDER BY shared DESC, marks.thing LIMIT $limit + 1
)
SELECT iri, kind, source, title, language, begins, ends, issued, changed, venue, cancelled
FROM alike JOIN things USING (thing)
WHERE iri <> $iri
ORDER BY shared DESC, iri
LIMIT $limit
