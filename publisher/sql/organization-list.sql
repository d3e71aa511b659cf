-- The organizations, those of one cluster once, with the number of initiatives in which any of its members takes part.
WITH taken AS (
    SELECT DISTINCT organization, coalesce(cluster, things.iri) AS initiative
    FROM parties JOIN things USING (thing) LEFT JOIN groups USING (thing)
    WHERE things.kind = 1 AND roles <> 0
)
SELECT min(iri) AS iri, arg_min(title, iri) AS title, arg_min(language, iri) AS language, arg_min(sort_title, iri) AS sort_title, count(DISTINCT initiative) AS initiatives
FROM things LEFT JOIN groups USING (thing) LEFT JOIN organizations USING (iri) LEFT JOIN taken USING (organization)
WHERE kind = 5
GROUP BY coalesce(cluster, iri)
