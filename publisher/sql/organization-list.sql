-- The organizations, those of one cluster once, with the number of initiatives in which any of its members takes part. Each cluster has the
-- number of its first thing, since a million numbers are compared faster than their IRIs.
WITH grouped AS (SELECT thing, min(thing) OVER (PARTITION BY cluster) AS first FROM groups),
members AS MATERIALIZED (
    SELECT coalesce(first, thing) AS first, things.iri, title, language, sort_title, organization
    FROM things LEFT JOIN grouped USING (thing) LEFT JOIN organizations USING (hash)
    WHERE kind = 5
),
taken AS (
    SELECT members.first, count(DISTINCT coalesce(grouped.first, thing)) AS initiatives
    FROM parties JOIN members USING (organization) LEFT JOIN grouped USING (thing)
    WHERE kind = 1 AND roles <> 0
    GROUP BY members.first
)
SELECT min(iri) AS iri, arg_min(title, iri) AS title, arg_min(language, iri) AS language, arg_min(sort_title, iri) AS sort_title, coalesce(any_value(initiatives), 0) AS initiatives
FROM members LEFT JOIN taken USING (first)
GROUP BY first
