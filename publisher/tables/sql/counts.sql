-- found
SELECT facet, code, things FROM (
    SELECT value, count(*) AS things FROM marks WHERE bases & $bases <> 0
    -- narrowed
    GROUP BY value
) AS counted JOIN terms USING (value)
WHERE $only IS NULL OR facet = $only
ORDER BY facet, things DESC, code
