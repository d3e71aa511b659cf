-- What the table of a list has of each thing beside its line: where it counts, a page, and the codes that registries declare, by facet.
SELECT things.thing, coalesce(cluster, things.iri) AS cluster, page, codes
FROM things LEFT JOIN groups USING (thing) LEFT JOIN (
    SELECT thing, map_from_entries(list((facet, codes))) AS codes FROM (
        SELECT thing, facet, list(code ORDER BY length(code), code) AS codes FROM marks JOIN codes USING (value)
        WHERE facet IN ('country', 'line', 'goal') AND bases & 1 <> 0 AND list_contains($numbers, thing)
        GROUP BY ALL
    ) GROUP BY thing
) USING (thing)
WHERE list_contains($numbers, things.thing)
