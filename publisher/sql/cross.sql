-- Count the things by the codes of two facets at once, those of one cluster once, with an example: the title of the first that has one.
SELECT one.code, other.code, count(*) FILTER (cluster IS NULL) + count(DISTINCT cluster) AS counted, count(*), arg_min(title, iri)
FROM marks JOIN marks AS others USING (thing) JOIN things USING (thing) LEFT JOIN groups USING (thing)
    JOIN codes AS one ON one.value = marks.value JOIN codes AS other ON other.value = others.value
WHERE one.facet = $one AND other.facet = $other AND marks.bases & $bits <> 0 AND others.bases & $bits <> 0 AND $things
GROUP BY ALL
ORDER BY one.code, counted DESC, other.code
