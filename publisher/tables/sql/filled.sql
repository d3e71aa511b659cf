-- found
SELECT source, count(DISTINCT thing) FROM things JOIN (
    SELECT thing FROM marks WHERE value IN (SELECT value FROM terms WHERE facet = $facet) AND bases & $bases <> 0
    -- narrowed
) AS filled USING (thing)
GROUP BY source
