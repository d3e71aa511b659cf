-- found
SELECT one.organization, other.organization, count(*) AS things
FROM (SELECT thing, organization FROM parties WHERE roles <> 0
    -- narrowed
) AS one
JOIN (SELECT thing, organization FROM parties WHERE roles <> 0
    -- narrowed
) AS other ON one.thing = other.thing AND one.organization < other.organization
GROUP BY ALL
ORDER BY things DESC, one.organization, other.organization
LIMIT $limit
