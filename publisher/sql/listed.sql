-- What the table of a list has of each of the things wanted beside its line: where it counts, a page, and the codes that registries declare, by facet.
SELECT things.thing, coalesce(cluster, things.iri) AS cluster, page, codes
FROM things SEMI JOIN wanted USING (thing) LEFT JOIN groups USING (thing) LEFT JOIN (
    SELECT thing, map_from_entries(list((facet, codes))) AS codes FROM (
        SELECT thing, facet, list(code ORDER BY length(code), code) AS codes FROM marks SEMI JOIN wanted USING (thing) JOIN codes USING (value)
        WHERE facet IN ('country', 'line', 'goal') AND bases & 1 <> 0
        GROUP BY ALL
    ) GROUP BY thing
) USING (thing)
