-- What the table of a list has of each thing beside its line: where it counts, a page, and the codes that registries declare, by facet.
SELECT things.thing, coalesce(cluster, things.iri) AS cluster, page, codes
FROM things LEFT JOIN groups USING (iri) LEFT JOIN (
    SELECT thing, map_from_entries(list((facet, codes))) AS codes FROM (
        SELECT thing, facet, list(code ORDER BY length(code), code) AS codes FROM marks JOIN terms USING (value)
        WHERE facet IN ('country', 'line', 'goal') AND bases & 1 <> 0 AND thing IN THINGS
        GROUP BY ALL
    ) GROUP BY thing
) USING (thing)
WHERE things.thing IN THINGS
