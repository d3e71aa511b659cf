-- found
SELECT organization, title, counted.things FROM (
    SELECT organization, count(*) AS things FROM parties WHERE roles <> 0
    -- narrowed
    GROUP BY organization ORDER BY things DESC, organization LIMIT $limit
) AS counted LEFT JOIN things ON iri = organization
ORDER BY counted.things DESC, organization
