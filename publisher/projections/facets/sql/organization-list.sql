-- The organizations, those of one cluster once, with the number of initiatives in which any of its members takes part.
CREATE OR REPLACE TABLE organization_list AS
WITH taken AS (
    SELECT DISTINCT organization, coalesce(groups.cluster, things.iri) AS initiative
    FROM parties JOIN things ON things.thing = parties.thing LEFT JOIN groups ON groups.iri = things.iri
    WHERE things.kind = 1 AND roles <> 0
)
SELECT min(bodies.iri) AS iri, arg_min(title, bodies.iri) AS title, arg_min(language, bodies.iri) AS language, count(DISTINCT initiative) AS initiatives
FROM (SELECT iri, title, language FROM things WHERE kind = 5) AS bodies
    LEFT JOIN groups ON groups.iri = bodies.iri LEFT JOIN taken ON taken.organization = bodies.iri
GROUP BY coalesce(groups.cluster, bodies.iri);
