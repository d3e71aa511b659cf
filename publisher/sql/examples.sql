-- By the codes of two facets, the title of the first thing that has both, and a title.
SELECT one.code, other.code, arg_min(title, iri) AS title
FROM marks JOIN marks AS others USING (thing, kind) JOIN things USING (thing, kind)
    JOIN codes AS one ON one.value = marks.value JOIN codes AS other ON other.value = others.value
WHERE one.facet = $one AND other.facet = $other AND marks.bases & $bits <> 0 AND others.bases & $bits <> 0 AND title IS NOT NULL AND $things
GROUP BY ALL
