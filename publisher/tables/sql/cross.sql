-- found
SELECT ones.code, others.code, things FROM (
    SELECT one.value AS one, other.value AS other, count(*) AS things
    FROM (
        SELECT thing, value FROM marks
        WHERE value IN (SELECT value FROM terms WHERE facet = $one) AND bases & $bases <> 0
        -- narrowed
    ) AS one
    JOIN (
        SELECT thing, value FROM marks
        WHERE value IN (SELECT value FROM terms WHERE facet = $other) AND bases & $bases <> 0
        -- narrowed
    ) AS other USING (thing)
    GROUP BY ALL
) AS counted
JOIN terms AS ones ON ones.value = one
JOIN terms AS others ON others.value = other
